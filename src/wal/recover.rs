//! Recovery: reads the log from its first record to its last, and decides about what stands there.
//!
//! A *hole* is the first place where a valid record or a segment's header should be and is not.
//!
//! | at the hole | means | done |
//! | --- | --- | --- |
//! | its LSN is at or below a durable LSN that any valid record or segment header names | synced data is damaged | refused: segment, offset, what to do; nothing is changed |
//! | valid records follow, all of whose durable LSNs are below it | a group that was not synced arrived out of order | cut there, and said |
//! | something follows, but nothing valid | torn tail | cut there, the bytes kept aside, and said |
//! | only records of another epoch follow | left over in a file that is used again | the end |
//! | nothing follows | | the end |
//!
//! A segment that a later one continues is no case of its own: the loop does not wait for the old segment's sync
//! before it begins the next, so after a power cut a hole in the unsynced end of the old one, or in place of a header, may
//! lie before a valid new one. Whether anything durable is lost is what the durable LSNs tell, there as everywhere.
//!
//! A file of another kind or of an unknown version is refused, wherever it stands. Segments are read with `read`, not
//! through a map: a bad sector is an error there, and a signal here.

use std::ops::RangeInclusive;

use super::WalError;
use super::reader::{Following, read_segment, scan, valid_after};
use super::record::{Bad, Record, Stamp};
use super::segment::{HeaderFault, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::storage::LogDevice;
use crate::ids::Lsn;

/// What was found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The segments, in order.
    pub segments: Vec<FoundSegment>,
    /// LSN that the next record gets.
    pub next_lsn: Lsn,
    /// Newest LSN that is known to have been durable.
    pub durable: Lsn,
    /// The highest epoch that was in use, whether its segment is still there or not.
    pub last_epoch: u32,
    /// Whether something was cut; the log then goes on in a fresh segment.
    pub was_cut: bool,
}

/// One segment with valid records.
#[derive(Clone, Copy, Debug)]
pub struct FoundSegment {
    /// Its header.
    pub header: SegmentHeader,
    /// Where its records end.
    pub end: u32,
    /// Checksum of its last record.
    pub crc: u32,
    /// LSN after its last record.
    pub next_lsn: Lsn,
}

/// Where the log cannot be read on.
struct Hole<'a> {
    /// The segment.
    first: Lsn,
    /// Its content.
    content: &'a [u8],
    /// The log.
    log_id: u128,
    /// Epochs that its records may have: one, or with its header missing, any above the one before.
    epochs: RangeInclusive<u32>,
    /// How long its file should be.
    segment_bytes: usize,
    /// Where the missing record should begin; 0 if the header is missing.
    offset: u32,
    /// What stands there.
    bad: Bad,
    /// The segments after it.
    later: &'a [Lsn],
}

/// Visits every record of the log in order, and repairs its end.
///
/// # Errors
/// When durable data is damaged, a file is no segment of this log, or the visitor refuses a record.
pub fn recover(
    device: &dyn LogDevice,
    visit: &mut impl FnMut(&Record<'_>) -> Result<(), WalError>,
) -> Result<Recovered, WalError> {
    let firsts = device.segments().map_err(WalError::io("listing the segments"))?;
    let mut found = Recovered { next_lsn: Lsn(1), ..Recovered::default() };
    let mut content = Vec::new();
    for (index, first) in firsts.iter().enumerate() {
        let later = &firsts[index + 1..];
        let header = match read_segment(device, *first, &mut content) {
            Ok(header) => header,
            Err(WalError::Header { fault: HeaderFault::Unfinished, .. }) => {
                without_header(device, *first, &content, later, &mut found)?;
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        check_continues(&found, &header)?;
        found.durable = found.durable.max(header.durable);
        found.last_epoch = header.epoch;
        let end = scan(&content, header.stamp(), *first, visit)?;
        found.durable = found.durable.max(end.durable);
        found.next_lsn = end.next_lsn;
        let (end_at, crc, next_lsn) = (end.offset, end.crc, end.next_lsn);
        found.segments.push(FoundSegment { header, end: end_at, crc, next_lsn });
        if later.first().is_none_or(|next| *next != end.next_lsn) {
            let hole = Hole {
                first: *first,
                content: &content,
                log_id: header.log_id,
                epochs: header.epoch..=header.epoch,
                segment_bytes: header.segment_bytes as usize,
                offset: end.offset,
                bad: end.bad,
                later,
            };
            end_at_hole(device, &hole, &mut found)?;
            return Ok(found);
        }
    }
    Ok(found)
}

fn check_continues(found: &Recovered, header: &SegmentHeader) -> Result<(), WalError> {
    let refused = |why: String| Err(WalError::Segment { segment: header.first_lsn, why });
    let Some(before) = found.segments.last() else {
        if header.first_lsn != Lsn(1) {
            let last = header.first_lsn.0.saturating_sub(1);
            return refused(format!(
                "it is the first one here, but records 1 to {last} are missing before it"
            ));
        }
        return Ok(());
    };
    if header.log_id != before.header.log_id {
        return refused("it belongs to another log than the segments before it".to_owned());
    }
    if header.epoch <= before.header.epoch {
        return refused("its epoch is not above that of the segment before it".to_owned());
    }
    if (header.before_end, header.before_crc) != (before.end, before.crc) {
        return refused("it does not continue the segment before it".to_owned());
    }
    Ok(())
}

/// A segment has no header: it was named, but a crash came before its first sync; or its header is damaged.
fn without_header(
    device: &dyn LogDevice,
    first: Lsn,
    content: &[u8],
    later: &[Lsn],
    found: &mut Recovered,
) -> Result<(), WalError> {
    let fault = HeaderFault::Unfinished;
    let Some(before) = found.segments.last() else {
        // The first segment's header is synced before anything else is written.
        if later.is_empty() && is_zero(content) {
            return drop_segment(device, first, found);
        }
        return Err(WalError::Header { segment: first, fault });
    };
    let lost = u32::try_from(later.len()).unwrap_or(u32::MAX).saturating_add(1);
    found.last_epoch = before.header.epoch.saturating_add(lost);
    let hole = Hole {
        first,
        content,
        log_id: before.header.log_id,
        epochs: before.header.epoch + 1..=u32::MAX,
        segment_bytes: content.len(),
        offset: 0,
        bad: Bad::Empty,
        later,
    };
    match end_at_hole(device, &hole, found) {
        Err(WalError::Damaged { .. }) => Err(WalError::Header { segment: first, fault }),
        outcome => outcome,
    }
}

/// Decides about what stands at a hole and after it.
fn end_at_hole(device: &dyn LogDevice, hole: &Hole<'_>, found: &mut Recovered) -> Result<(), WalError> {
    let Hole { first, content, log_id, ref epochs, offset, bad, later, .. } = *hole;
    let missing = found.next_lsn;
    let seed = Stamp::new(log_id, 0).seed;
    let search_from = offset.max(SEGMENT_HEADER_BYTES as u32);
    let here = valid_after(content, search_from, seed, epochs, missing);
    let mut following = 0;
    let above = *epochs.start()..=u32::MAX;
    let further = later.iter().map(|first| look_into(device, *first, log_id, &above));
    for there in std::iter::once(Ok(here)).chain(further) {
        let there = there?;
        following += there.records;
        found.durable = found.durable.max(there.durable);
        found.last_epoch = found.last_epoch.max(there.epoch);
    }
    if found.durable >= missing {
        let durable = found.durable;
        return Err(WalError::Damaged { segment: first, offset, lsn: missing, found: bad, durable });
    }
    let nothing_follows =
        content.len() == hole.segment_bytes && content.get(offset as usize..).is_some_and(is_zero);
    let left_over = matches!(bad, Bad::Epoch(epoch) if epoch < *epochs.start()) && following == 0;
    if later.is_empty() && offset > 0 && (nothing_follows || left_over) {
        return Ok(());
    }
    if following > 0 {
        log::warn!(
            "{following} records after record {} were never synced and arrived out of order",
            missing.0 - 1
        );
    }
    if missing > first {
        let bytes = u32::try_from(hole.segment_bytes).expect("a segment is within its limit");
        let kept = device.cut(first, offset, bytes).map_err(WalError::io("cutting the torn tail"))?;
        log::warn!(
            "the log was cut after record {}, where there is {bad} (segment {first:020}.wal, byte {offset}); nothing that \
             was answered with --sync always is lost; the torn bytes are kept in {kept}",
            missing.0 - 1,
        );
        found.was_cut = true;
    } else {
        // It has no record, and the next segment takes its name.
        found.segments.retain(|segment| segment.header.first_lsn != first);
        drop_segment(device, first, found)?;
    }
    later.iter().try_for_each(|first| drop_segment(device, *first, found))
}

fn drop_segment(device: &dyn LogDevice, first: Lsn, found: &mut Recovered) -> Result<(), WalError> {
    let kept = device.cut_whole(first).map_err(WalError::io("moving a segment away"))?;
    found.was_cut = true;
    match kept {
        Some(kept) => {
            log::warn!("segment {first:020}.wal holds nothing that was synced; it was moved to {kept}");
        }
        None => log::info!("segment {first:020}.wal was begun but never used; it was removed"),
    }
    Ok(())
}

/// Looks into a segment after a hole. Without a header, records of any epoch after the hole count.
fn look_into(
    device: &dyn LogDevice,
    first: Lsn,
    log_id: u128,
    above: &RangeInclusive<u32>,
) -> Result<Following, WalError> {
    let mut content = Vec::new();
    let (header, epochs) = match read_segment(device, first, &mut content) {
        Ok(header) if header.log_id != log_id => {
            let why = "it belongs to another log than the segments before it".to_owned();
            return Err(WalError::Segment { segment: first, why });
        }
        Ok(header) => (Some(header), header.epoch..=header.epoch),
        Err(WalError::Header { fault: HeaderFault::Unfinished, .. }) => (None, above.clone()),
        Err(error) => return Err(error),
    };
    let seed = Stamp::new(log_id, 0).seed;
    let records = valid_after(&content, SEGMENT_HEADER_BYTES as u32, seed, &epochs, first);
    let (durable, epoch) = header.map_or((Lsn(0), 0), |header| (header.durable, header.epoch));
    Ok(Following { durable: records.durable.max(durable), epoch: records.epoch.max(epoch), ..records })
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
