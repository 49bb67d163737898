//! Recovery: reads the log from its first record to its last, and decides about what stands there.
//!
//! | at the first bad record | means | done |
//! | --- | --- | --- |
//! | its LSN is at or below a durable LSN that any valid record or segment header names | synced data is damaged | refused: segment, offset, what to do; nothing is changed |
//! | valid records follow, all of whose durable LSNs are below it | a group that was not synced arrived out of order | cut there, and said |
//! | something follows, but nothing valid | torn tail | cut there, the bytes kept aside, and said |
//! | only records of another epoch follow | left over in a file that is used again | the end |
//! | nothing follows | | the end |
//!
//! A segment that a later one continues is no case of its own: the loop does not wait for the old segment's sync
//! before it begins the next, so after a power cut a hole in the unsynced end of the old one may lie before a
//! valid new one. Whether anything durable is lost is what the durable LSNs tell, there as everywhere.
//!
//! Segments are read with `read`, not through a map: a bad sector is an error there, and a signal here.

use super::WalError;
use super::reader::{ScanEnd, read_segment, scan, valid_after};
use super::record::{Bad, Record};
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
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
            Err(error @ WalError::Segment { .. }) if later.is_empty() && index > 0 => {
                return drop_unborn(device, *first, &content, found, error);
            }
            Err(error @ WalError::Segment { .. }) if firsts.len() == 1 && is_zero(&content) => {
                return drop_unborn(device, *first, &content, found, error);
            }
            Err(error) => return Err(error),
        };
        check_continues(&found, &header)?;
        found.durable = found.durable.max(header.durable);
        let end = scan(&content, header.epoch, *first, visit)?;
        found.durable = found.durable.max(end.durable);
        found.next_lsn = end.next_lsn;
        found.segments.push(FoundSegment { header, end: end.offset, crc: end.crc, next_lsn: end.next_lsn });
        let continued = later.first().is_some_and(|next| *next == end.next_lsn);
        if !continued {
            end_at(device, &content, &header, &end, later, &mut found)?;
            return Ok(found);
        }
    }
    Ok(found)
}

fn check_continues(found: &Recovered, header: &SegmentHeader) -> Result<(), WalError> {
    let refused = |why: String| Err(WalError::Segment { segment: header.first_lsn, why });
    let Some(before) = found.segments.last() else {
        if header.first_lsn != Lsn(1) {
            return refused(format!(
                "it is the first one here, but records 1 to {} are missing before it",
                header.first_lsn.0 - 1
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

/// The last segment has no valid header: it was named, but a crash came before its first sync; unless it holds
/// valid records, then its header is damaged.
fn drop_unborn(
    device: &dyn LogDevice,
    first: Lsn,
    content: &[u8],
    mut found: Recovered,
    error: WalError,
) -> Result<Recovered, WalError> {
    let epoch = found.segments.last().map_or(1, |before| before.header.epoch + 1);
    let (records, _) =
        valid_after(content, SEGMENT_HEADER_BYTES as u32, epoch, Lsn(first.0.saturating_sub(1)));
    if records > 0 || found.durable >= first {
        return Err(error);
    }
    let kept = device.cut_whole(first).map_err(WalError::io("moving an unfinished segment away"))?;
    log::warn!("segment {first:020}.wal was begun but never used; it was moved to {kept}");
    found.was_cut = true;
    Ok(found)
}

/// Decides about what stands after the last valid record.
fn end_at(
    device: &dyn LogDevice,
    content: &[u8],
    header: &SegmentHeader,
    end: &ScanEnd,
    later: &[Lsn],
    found: &mut Recovered,
) -> Result<(), WalError> {
    let first = header.first_lsn;
    let (mut following, durable) = valid_after(content, end.offset, header.epoch, end.next_lsn);
    found.durable = found.durable.max(durable);
    for later_first in later {
        let (records, durable) = look_into(device, *later_first)?;
        following += records;
        found.durable = found.durable.max(durable);
    }
    if found.durable >= end.next_lsn {
        return Err(WalError::Damaged {
            segment: first,
            offset: end.offset,
            lsn: end.next_lsn,
            found: end.bad,
            durable: found.durable,
        });
    }
    let nothing_follows = content.len() == header.segment_bytes as usize
        && content.get(end.offset as usize..).is_some_and(is_zero);
    let left_over = matches!(end.bad, Bad::Epoch(epoch) if epoch < header.epoch) && following == 0;
    if later.is_empty() && (nothing_follows || left_over) {
        return Ok(());
    }
    let what = if following > 0 {
        format!("{following} records of groups that were never synced and arrived out of order")
    } else {
        format!("a torn tail: {}", end.bad)
    };
    let kept =
        device.cut(first, end.offset, header.segment_bytes).map_err(WalError::io("cutting the torn tail"))?;
    log::warn!(
        "the log was cut after record {}: {what} (segment {first:020}.wal, byte {}); \
         nothing that was answered with --sync always is lost; the bytes are kept in {kept}",
        end.next_lsn.0 - 1,
        end.offset,
    );
    for later_first in later {
        let kept = device.cut_whole(*later_first).map_err(WalError::io("moving a segment away"))?;
        log::warn!("segment {later_first:020}.wal lies after the cut; it was moved to {kept}");
    }
    found.was_cut = true;
    Ok(())
}

/// How many valid records a segment has, and the newest durable LSN that it names.
fn look_into(device: &dyn LogDevice, first: Lsn) -> Result<(usize, Lsn), WalError> {
    let mut content = Vec::new();
    match read_segment(device, first, &mut content) {
        Ok(header) => {
            let from = SEGMENT_HEADER_BYTES as u32;
            let (records, durable) = valid_after(&content, from, header.epoch, Lsn(first.0 - 1));
            Ok((records, durable.max(header.durable)))
        }
        Err(WalError::Segment { .. }) => Ok((0, Lsn(0))),
        Err(error) => Err(error),
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
