//! Where the log cannot be read on: what stands there and behind it, and what that means. The room's head has the
//! table.

use std::ops::RangeInclusive;

use super::found::{Cut, Examined, FoundSegment};
use crate::ids::Lsn;
use crate::planted::{Bug, is_planted};
use crate::wal::device::LogDevice;
use crate::wal::error::{Bad, HeaderFault, WalError};
use crate::wal::segment::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::wal::segment::reader::{Following, is_zero, read_segment, valid_after};
use crate::wal::segment::record::Stamp;

pub struct Hole<'a> {
    /// The header of the segment; where that is what is missing, of the one before.
    pub header: SegmentHeader,
    pub first: Lsn,
    pub content: &'a [u8],
    /// Where the missing record should begin; 0 if the header is missing.
    pub offset: u32,
    pub bad: Bad,
    pub later: &'a [Lsn],
}

impl Hole<'_> {
    /// Epochs that the records of the segment may have.
    fn epochs(&self) -> RangeInclusive<u32> {
        let SegmentHeader { epoch, .. } = self.header;
        if self.offset == 0 { epoch + 1..=u32::MAX } else { epoch..=epoch }
    }

    /// How long the file should be.
    fn segment_bytes(&self) -> usize {
        if self.offset == 0 { self.content.len() } else { self.header.segment_bytes as usize }
    }

    /// Whether nothing is to be done: no record was ever begun here, or what stands here is left over from an earlier
    /// use of the file. `following` valid records come after it.
    fn is_clean_end(&self, following: usize) -> bool {
        let is_whole = self.content.len() == self.segment_bytes();
        let nothing_follows = is_whole && self.content.get(self.offset as usize..).is_some_and(is_zero);
        let left_over = match self.bad {
            Bad::Epoch(epoch) => epoch < *self.epochs().start(),
            Bad::Empty => is_whole && self.header.used_before,
            _ => false,
        };
        self.later.is_empty() && self.offset > 0 && (nothing_follows || (left_over && following == 0))
    }
}

/// Ends the log at a hole, or refuses it.
pub fn end_at_hole(device: &dyn LogDevice, hole: &Hole<'_>, found: &mut Examined) -> Result<(), WalError> {
    let Hole { first, offset, bad, later, .. } = *hole;
    let missing = found.next_lsn;
    let following = look_behind(device, hole, found)?;
    if found.durable >= missing && !is_planted(Bug::DamageCut) {
        let durable = found.durable;
        return Err(WalError::Damaged { segment: first, offset, lsn: missing, found: bad, durable });
    }
    if hole.is_clean_end(following) {
        return Ok(());
    }
    found.mending.unsynced = following;
    if missing > first {
        let bytes = u32::try_from(hole.segment_bytes()).expect("a segment is within its limit");
        found.mending.cut = Some(Cut { segment: first, offset, bytes, bad });
    } else {
        // It has no record, and the next segment takes its name.
        found.segments.retain(|segment| segment.header.first_lsn != first);
        found.mending.drop.push(first);
    }
    found.mending.drop.extend_from_slice(later);
    Ok(())
}

/// Looks for valid records behind a hole, there and in all later segments; notes what they name, and counts them.
fn look_behind(device: &dyn LogDevice, hole: &Hole<'_>, found: &mut Examined) -> Result<usize, WalError> {
    let search_from = hole.offset.max(SEGMENT_HEADER_BYTES as u32);
    let (log_id, epochs) = (hole.header.log_id, hole.epochs());
    let here = valid_after(hole.content, search_from, Stamp::new(log_id, 0).seed, &epochs, found.next_lsn);
    let above = *epochs.start()..=u32::MAX;
    let further = hole.later.iter().map(|first| look_into(device, *first, log_id, &above));
    let mut records = 0;
    for there in std::iter::once(Ok(here)).chain(further) {
        let there = there?;
        records += there.records;
        found.durable = found.durable.max(there.durable);
        found.last_epoch = found.last_epoch.max(there.epoch);
    }
    Ok(records)
}

/// Looks into a segment after a hole. Without a header, records of any epoch after the hole count.
fn look_into(
    device: &dyn LogDevice,
    first: Lsn,
    log_id: u128,
    above: &RangeInclusive<u32>,
) -> Result<Following, WalError> {
    let mut content = Vec::new();
    let mut named_epoch = 0;
    let (header, epochs) = match read_segment(device, first, &mut content) {
        Ok(header) if header.log_id != log_id => {
            let why = "it belongs to another log than the segments before it";
            return Err(WalError::Segment { segment: first, why });
        }
        Ok(header) => (Some(header), header.epoch..=header.epoch),
        Err(WalError::Header { fault: HeaderFault::Unfinished, .. }) => (None, above.clone()),
        Err(WalError::OtherName { log_id: other, epoch, .. }) if other == log_id => {
            named_epoch = epoch;
            (None, above.clone())
        }
        Err(error) => return Err(error),
    };
    let seed = Stamp::new(log_id, 0).seed;
    let records = valid_after(&content, SEGMENT_HEADER_BYTES as u32, seed, &epochs, first);
    let (durable, epoch) = header.map_or((Lsn(0), named_epoch), |header| (header.durable, header.epoch));
    Ok(Following { durable: records.durable.max(durable), epoch: records.epoch.max(epoch), ..records })
}

/// A segment has no header: it was named, but a crash came before its first sync; or its header is damaged.
pub fn end_without_header(
    device: &dyn LogDevice,
    (first, content): (Lsn, &[u8]),
    later: &[Lsn],
    found: &mut Examined,
) -> Result<(), WalError> {
    let fault = HeaderFault::Unfinished;
    let Some(FoundSegment { header: before, .. }) = found.segments.last().copied() else {
        // The first segment's header is synced before anything else is written.
        if later.is_empty() && is_zero(content) && found.durable == Lsn(0) {
            found.mending.drop.push(first);
            return Ok(());
        }
        return Err(WalError::Header { segment: first, fault });
    };
    let lost = u32::try_from(later.len()).unwrap_or(u32::MAX).saturating_add(1);
    found.last_epoch = before.epoch.saturating_add(lost);
    let hole = Hole { header: before, first, content, offset: 0, bad: Bad::Empty, later };
    match end_at_hole(device, &hole, found) {
        Err(WalError::Damaged { .. }) => Err(WalError::Header { segment: first, fault }),
        outcome => outcome,
    }
}
