//! Reading a log as it is. The newest snapshot is taken in, the segments that it covers are checked, and every record
//! after it is replayed.

use super::endings::{Hole, end_at_hole, end_without_header};
use super::found::{Examined, FoundSegment};
use super::{Progress, Restore, later};
use crate::ids::Lsn;
use crate::wal::device::LogDevice;
use crate::wal::error::{ADVICE, HeaderFault, WalError};
use crate::wal::names;
use crate::wal::segment::Covered;
use crate::wal::segment::header::SegmentHeader;
use crate::wal::segment::reader::{ScanEnd, header_of, pass_over, read_segment, scan, view_from_disk, view_segment};
use crate::wal::snapshot::reading::{Loaded, newest};

/// Bytes from which on it pays to read covered segments beside the replay.
const BESIDE_BYTES: u64 = 4 << 20;

/// What a directory holds, read and judged; nothing was changed.
#[derive(Debug)]
pub struct Inspected {
    pub examined: Examined,
    pub snapshot: Option<Lsn>,
    pub damaged_snapshots: Vec<WalError>,
}

/// Reads everything and rebuilds the state; nothing is changed.
pub fn inspect(device: &dyn LogDevice, progress: &Progress, restore: &mut dyn Restore) -> Result<Inspected, WalError> {
    let listed = device.names().map_err(WalError::io("listing the data directory"))?;
    later::refuse(device, &listed)?;
    let beside = expect_all(device, &listed, progress)? >= BESIDE_BYTES;
    let (snapshot, mut damaged_snapshots) = newest(device)?;
    let firsts = names::segments(&listed);
    let examined = match examine(device, &firsts, snapshot.as_ref(), progress, restore, beside) {
        // Without its snapshot the log has no beginning: the snapshot is what has to be mended.
        Err(WalError::Missing { .. }) if snapshot.is_none() && !damaged_snapshots.is_empty() => {
            let mut newest = damaged_snapshots.swap_remove(0);
            if let WalError::Snapshot { why, .. } = &mut newest {
                *why = format!("{why}, and nothing else here can stand in for it. {ADVICE}");
            }
            return Err(newest);
        }
        outcome => outcome?,
    };
    Ok(Inspected { examined, snapshot: snapshot.map(|loaded| loaded.lsn), damaged_snapshots })
}

/// Counts what will be read; returns the bytes of all segments.
fn expect_all(device: &dyn LogDevice, listed: &[String], progress: &Progress) -> Result<u64, WalError> {
    let bytes_of = |name: String| device.bytes(&name).map_err(WalError::io(format!("looking at {name}")));
    let mut segment_bytes = 0;
    for first in names::segments(listed) {
        segment_bytes += bytes_of(names::segment(first))?;
    }
    progress.expect(segment_bytes);
    if let Some(newest) = names::snapshots(listed).last() {
        progress.expect(bytes_of(names::snapshot(*newest))?);
    }
    Ok(segment_bytes)
}

pub fn take_in(snapshot: Option<&Loaded>, progress: &Progress, restore: &mut dyn Restore) -> Result<(), WalError> {
    let Some(snapshot) = snapshot else { return Ok(()) };
    restore.begun(snapshot.lsn);
    for (kind, body) in snapshot.blocks() {
        restore.block(kind, body).map_err(WalError::in_file(|| names::snapshot(snapshot.lsn)))?;
        progress.read(body.len());
    }
    restore.loaded(snapshot.lsn, snapshot.at)
}

impl Examined {
    fn after(snapshot: &Loaded) -> Examined {
        let newest = snapshot.covered.last();
        Examined {
            next_lsn: newest.map_or(Lsn(1), |newest| newest.first),
            durable: snapshot.lsn,
            last_epoch: newest.map_or(0, |newest| newest.epoch.saturating_sub(1)),
            ..Examined::default()
        }
    }
}

/// Rebuilds the state from the snapshot and every record after it, in order, and finds out what is to be mended.
fn examine(
    device: &dyn LogDevice,
    firsts: &[Lsn],
    snapshot: Option<&Loaded>,
    progress: &Progress,
    restore: &mut dyn Restore,
    beside: bool,
) -> Result<Examined, WalError> {
    let Some(snapshot) = snapshot else {
        let tail = Tail { device, progress, base: Lsn(0), log_id: None };
        return tail.examine(firsts, Examined { next_lsn: Lsn(1), ..Examined::default() }, restore);
    };
    let begins = snapshot.covered.last().map_or(Lsn(1), |newest| newest.first);
    let (before, tail) = firsts.split_at(firsts.partition_point(|first| *first < begins));
    let mut found = Examined::after(snapshot);
    let covered = |first: &Lsn| snapshot.covered.iter().find(|covered| covered.first == *first).copied();
    found.mending.remove = before.iter().copied().filter(|first| covered(first).is_none()).collect();
    let kept: Vec<Covered> = before.iter().filter_map(covered).collect();
    let check = || -> Result<Vec<FoundSegment>, WalError> {
        kept.iter().map(|covered| check_covered(device, snapshot, covered, progress)).collect()
    };
    let tail_of = Tail { device, progress, base: snapshot.lsn, log_id: Some(snapshot.log_id) };
    if !beside {
        found.segments = check()?;
        take_in(Some(snapshot), progress, restore)?;
        return tail_of.examine(tail, found, restore);
    }
    std::thread::scope(|scope| {
        let checking = scope.spawn(check);
        let replayed = take_in(Some(snapshot), progress, restore).and_then(|()| tail_of.examine(tail, found, restore));
        let checked = checking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let mut found = replayed?;
        found.segments.splice(0..0, checked?);
        Ok(found)
    })
}

/// Reads a segment that a snapshot covers: every record in it has to be there.
pub fn check_covered(
    device: &dyn LogDevice,
    snapshot: &Loaded,
    covered: &Covered,
    progress: &Progress,
) -> Result<FoundSegment, WalError> {
    let first = covered.first;
    let view = view_segment(device, first)?;
    let content = view.as_slice();
    let header = header_of(first, content)?;
    progress.read(content.len());
    if (header.log_id, header.epoch) != (snapshot.log_id, covered.epoch) {
        let why = "it is not the segment of this name that the snapshot knows";
        return Err(WalError::Segment { segment: first, why });
    }
    let inside = content.get(..covered.end as usize).unwrap_or(content);
    let end = pass_over(inside, &header)?;
    if (end.offset, end.next_lsn, end.crc) != (covered.end, covered.next, covered.crc) {
        let ScanEnd { offset, next_lsn: lsn, bad, .. } = end;
        return Err(WalError::Damaged { segment: first, offset, lsn, found: bad, durable: snapshot.lsn });
    }
    Ok(FoundSegment { header, end: end.offset, crc: end.crc, next_lsn: end.next_lsn })
}

/// The part of the log that is replayed.
struct Tail<'a> {
    device: &'a dyn LogDevice,
    progress: &'a Progress,
    /// Records up to this one are in the snapshot.
    base: Lsn,
    /// The log's id, if the snapshot tells it.
    log_id: Option<u128>,
}

impl Tail<'_> {
    fn examine(&self, firsts: &[Lsn], mut found: Examined, restore: &mut dyn Restore) -> Result<Examined, WalError> {
        if firsts.is_empty() && self.base > Lsn(0) {
            return Err(WalError::Missing { from: found.next_lsn, to: self.base, before: None });
        }
        for index in 0..firsts.len() {
            if !self.take_segment(&firsts[index..], &mut found, restore)? {
                break;
            }
        }
        Ok(found)
    }

    /// Takes the first of these segments in; says whether the log goes on in the next one.
    fn take_segment(&self, firsts: &[Lsn], found: &mut Examined, restore: &mut dyn Restore) -> Result<bool, WalError> {
        let (first, later) = (firsts[0], &firsts[1..]);
        let view = view_from_disk(self.device, first, self.base)?;
        let content = view.as_slice();
        let Some(header) = self.header(first, content, later, found)? else { return Ok(false) };
        self.progress.read(content.len());
        if lacks_mark(found, &header) {
            self.end_before(firsts, found)?;
            return Ok(false);
        }
        self.check_continues(found, &header)?;
        found.durable = found.durable.max(header.durable);
        found.last_epoch = header.epoch;
        let base = self.base;
        let end = scan(content, header.stamp(), first, &mut |record| {
            if record.head.lsn > base { restore.record(record) } else { Ok(()) }
        });
        let end = end.map_err(WalError::in_file(|| names::segment(first)))?.known(first)?;
        found.durable = found.durable.max(end.durable);
        found.next_lsn = end.next_lsn;
        let ScanEnd { offset, crc, next_lsn, bad, .. } = end;
        found.segments.push(FoundSegment { header, end: offset, crc, next_lsn });
        if later.first() == Some(&next_lsn) {
            return Ok(true);
        }
        end_at_hole(self.device, &Hole { header, first, content, offset, bad, later }, found)?;
        Ok(false)
    }

    /// The header of a segment. Where there is none, the log ends before it, or is refused.
    fn header(
        &self,
        first: Lsn,
        content: &[u8],
        later: &[Lsn],
        found: &mut Examined,
    ) -> Result<Option<SegmentHeader>, WalError> {
        match header_of(first, content) {
            Ok(header) => Ok(Some(header)),
            Err(WalError::Header { fault: HeaderFault::Unfinished, .. }) => {
                end_without_header(self.device, (first, content), later, found)?;
                Ok(None)
            }
            // A file that is used again got its name, but a crash came before its new header. Its old one can be
            // newer than the segment before it, if a power cut took a name away.
            Err(WalError::OtherName { log_id, epoch, .. })
                if found.segments.last().is_some_and(|before| before.header.log_id == log_id) =>
            {
                end_without_header(self.device, (first, content), later, found)?;
                found.last_epoch = found.last_epoch.max(epoch);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The newest segment that was found lacks its end, and these come after it.
    fn end_before(&self, later: &[Lsn], found: &mut Examined) -> Result<(), WalError> {
        let Some(FoundSegment { header, end, .. }) = found.segments.last().copied() else { return Ok(()) };
        let mut content = Vec::new();
        read_segment(self.device, header.first_lsn, &mut content)?;
        let ScanEnd { bad, .. } = pass_over(&content, &header)?;
        let (first, content) = (header.first_lsn, &content[..]);
        end_at_hole(self.device, &Hole { header, first, content, offset: end, bad, later }, found)
    }

    fn check_continues(&self, found: &Examined, header: &SegmentHeader) -> Result<(), WalError> {
        let refused = |why| Err(WalError::Segment { segment: header.first_lsn, why });
        if self.log_id.is_some_and(|log_id| log_id != header.log_id) {
            return refused("it belongs to another log than the snapshot");
        }
        if header.first_lsn != found.next_lsn {
            let to = Lsn(header.first_lsn.0.saturating_sub(1));
            return Err(WalError::Missing { from: found.next_lsn, to, before: Some(header.first_lsn) });
        }
        if header.epoch <= found.last_epoch {
            return refused("its epoch is not above that of the segment before it");
        }
        let Some(before) = found.segments.last().filter(|before| before.next_lsn == header.first_lsn) else {
            return Ok(());
        };
        if header.log_id != before.header.log_id {
            return refused("it belongs to another log than the segments before it");
        }
        if (header.before_end, header.before_crc) != (before.end, before.crc) {
            return refused("it does not continue the segment before it");
        }
        Ok(())
    }
}

/// A mark takes no LSN: if it was the last of the segment before and never synced, only its place is missing.
fn lacks_mark(found: &Examined, header: &SegmentHeader) -> bool {
    found.segments.last().is_some_and(|before| {
        before.next_lsn == header.first_lsn
            && before.header.log_id == header.log_id
            && before.header.epoch < header.epoch
            && before.end < header.before_end
    })
}
