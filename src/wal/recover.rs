//! Recovery: reads the log from its first record to its last, and decides about what stands there. [`examine`] changes
//! nothing; [`mend`] carries out what was decided, and may be interrupted at any place and begun again.
//!
//! A *hole* is the first place where a valid record or a segment's header should be and is not.
//!
//! | at the hole | means | done |
//! | --- | --- | --- |
//! | its LSN is at or below a durable LSN that any valid record, segment header or snapshot names | synced data is damaged | refused: segment, offset, what to do; nothing is changed |
//! | valid records follow, all of whose durable LSNs are below it | a group that was not synced arrived out of order | cut there, and said |
//! | something follows, but nothing valid | torn tail | cut there, the bytes kept aside, and said |
//! | only records of another epoch follow, or anything at all after a clean end in a file that is used again | left over | the end |
//! | nothing follows | | the end |
//!
//! A segment that a later one continues is no case of its own: the loop does not wait for the old segment's sync
//! before it begins the next, so after a power cut a hole in the unsynced end of the old one, or in place of a header, may
//! lie before a valid new one. Whether anything durable is lost is what the durable LSNs tell, there as everywhere.
//!
//! The segments that a snapshot covers are not replayed, but they are read: a payload that is damaged is found before the
//! daemon serves. Each must end where the snapshot says. One that is not in its list was given up and is removed.
//!
//! What was not certainly synced is read from the disk itself, not from the system's memory: after a failed sync that may
//! hold what never reached the disk.
//!
//! A file of another kind or of an unknown version is refused, wherever it stands.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

use super::WalError;
use super::names;
use super::open::{Restore, take_in};
use super::reader::{
    Following, ScanEnd, header_of, is_zero, read_segment, scan, valid_after, view_from_disk, view_segment,
};
use super::record::{Bad, Stamp};
use super::segment::{HeaderFault, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::snapshots::{Covered, Loaded};
use super::storage::LogDevice;
use crate::ids::Lsn;
use crate::planted::{Bug, is_planted};

/// Bytes from which on it pays to read covered segments beside the replay.
const BESIDE_BYTES: u64 = 4 << 20;

/// How far recovery is, in bytes that were read.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Bytes that were read, and that will be in all.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// How far it is, from 0 to 100.
    #[must_use]
    pub fn per_cent(&self) -> u64 {
        let (done, total) = self.bytes();
        (done.saturating_mul(100)).checked_div(total).unwrap_or(0).min(100)
    }

    pub(super) fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn read(&self, bytes: usize) {
        self.done.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Examined {
    /// The segments, in order.
    pub segments: Vec<FoundSegment>,
    /// LSN that the next record gets.
    pub next_lsn: Lsn,
    /// Newest LSN that is known to have been durable.
    pub durable: Lsn,
    /// The highest epoch that was in use, whether its segment is still there or not.
    pub last_epoch: u32,
    /// What is to be done before the log is written again.
    pub mending: Mending,
}

/// What recovery does to the files.
#[derive(Debug, Default)]
pub struct Mending {
    /// Where the log is cut.
    pub cut: Option<Cut>,
    /// Segments that leave the log, the newest last; what is in them is kept.
    pub drop: Vec<Lsn>,
    /// Segments that were given up before; they are removed.
    pub remove: Vec<Lsn>,
    /// Valid records that follow the hole and were never synced.
    pub unsynced: usize,
}

/// A torn tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub segment: Lsn,
    /// Where its valid records end.
    pub offset: u32,
    /// Size of the segment.
    pub bytes: u32,
    /// What stands there.
    pub bad: Bad,
}

impl Mending {
    /// Whether the log goes on in a fresh segment.
    #[must_use]
    pub fn cuts(&self) -> bool {
        self.cut.is_some() || !self.drop.is_empty()
    }
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
    /// Whether its file was used before.
    used_before: bool,
    /// Where the missing record should begin; 0 if the header is missing.
    offset: u32,
    /// What stands there.
    bad: Bad,
    /// The segments after it.
    later: &'a [Lsn],
}

/// Rebuilds the state from the snapshot and every record after it, in order, and finds out what is to be mended.
///
/// # Errors
/// When durable data is damaged, a file is no segment of this log, or what is rebuilt refuses a block or record.
pub fn examine(
    device: &dyn LogDevice,
    snapshot: Option<&Loaded>,
    progress: &Progress,
    restore: &mut dyn Restore,
) -> Result<Examined, WalError> {
    let listed = device.names().map_err(WalError::io("listing the segments"))?;
    let firsts = names::segments(&listed);
    let mut bytes = 0;
    for first in &firsts {
        let name = names::segment(*first);
        bytes += device.bytes(&name).map_err(WalError::io(format!("looking at segment {name}")))?;
    }
    let Some(snapshot) = snapshot else {
        let tail = Tail { device, progress, base: Lsn(0), log_id: None };
        return tail.examine(&firsts, Examined::begun(), restore);
    };
    let begins = snapshot.covered.last().map_or(Lsn(1), |newest| newest.first);
    let (before, tail) = firsts.split_at(firsts.partition_point(|first| *first < begins));
    let mut found = Examined::after(snapshot);
    let covered = |first: &Lsn| snapshot.covered.iter().find(|covered| covered.first == *first).copied();
    let (kept, given_up): (Vec<Lsn>, Vec<Lsn>) = before.iter().partition(|first| covered(first).is_some());
    found.mending.remove = given_up;
    let kept: Vec<Covered> = kept.iter().filter_map(covered).collect();
    let check = || -> Result<Vec<FoundSegment>, WalError> {
        kept.iter().map(|covered| check_covered(device, snapshot, covered, progress)).collect()
    };
    let tail_of = Tail { device, progress, base: snapshot.lsn, log_id: Some(snapshot.log_id) };
    if bytes < BESIDE_BYTES {
        found.segments = check()?;
        take_in(Some(snapshot), progress, restore)?;
        return tail_of.examine(tail, found, restore);
    }
    std::thread::scope(|scope| {
        let checking = scope.spawn(check);
        let replayed =
            take_in(Some(snapshot), progress, restore).and_then(|()| tail_of.examine(tail, found, restore));
        let checked = checking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let mut found = replayed?;
        found.segments.splice(0..0, checked?);
        Ok(found)
    })
}

/// Reads a segment that a snapshot covers: every record in it has to be there.
pub(super) fn check_covered(
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
        let why = "it is not the segment of this name that the snapshot knows".to_owned();
        return Err(WalError::Segment { segment: first, why });
    }
    let inside = content.get(..covered.end as usize).unwrap_or(content);
    let Ok(end) = scan(inside, header.stamp(), first, &mut |_| Ok::<(), std::convert::Infallible>(()));
    if (end.offset, end.next_lsn, end.crc) != (covered.end, covered.next, covered.crc) {
        let ScanEnd { offset, next_lsn: lsn, bad, .. } = end;
        return Err(WalError::Damaged { segment: first, offset, lsn, found: bad, durable: snapshot.lsn });
    }
    Ok(FoundSegment { header, end: end.offset, crc: end.crc, next_lsn: end.next_lsn })
}

impl Examined {
    fn begun() -> Examined {
        Examined { next_lsn: Lsn(1), ..Examined::default() }
    }

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
    fn examine(
        &self,
        firsts: &[Lsn],
        mut found: Examined,
        restore: &mut dyn Restore,
    ) -> Result<Examined, WalError> {
        if firsts.is_empty() && self.base > Lsn(0) {
            return Err(WalError::Missing { from: found.next_lsn, to: self.base, before: None });
        }
        for (index, first) in firsts.iter().enumerate() {
            let later = &firsts[index + 1..];
            let view = view_from_disk(self.device, *first, self.base)?;
            let content = view.as_slice();
            let header = match header_of(*first, content) {
                Ok(header) => header,
                Err(WalError::Header { fault: HeaderFault::Unfinished, .. }) => {
                    self.without_header(*first, content, later, &mut found)?;
                    return Ok(found);
                }
                // A file that is used again got its name, but a crash came before its new header. What it held before can
                // be newer than the segment before it: a segment that a power cut took the name from.
                Err(WalError::OtherName { log_id, epoch, .. })
                    if found.segments.last().is_some_and(|before| before.header.log_id == log_id) =>
                {
                    self.without_header(*first, content, later, &mut found)?;
                    found.last_epoch = found.last_epoch.max(epoch);
                    return Ok(found);
                }
                Err(error) => return Err(error),
            };
            self.progress.read(content.len());
            // A mark takes no LSN: if it was the last of the segment before and never synced, only its place is missing.
            let lacks_mark = found.segments.last().is_some_and(|before| {
                before.next_lsn == header.first_lsn
                    && before.header.log_id == header.log_id
                    && before.header.epoch < header.epoch
                    && before.end < header.before_end
            });
            if lacks_mark {
                self.end_before(&firsts[index..], &mut found)?;
                return Ok(found);
            }
            self.check_continues(&found, &header)?;
            found.durable = found.durable.max(header.durable);
            found.last_epoch = header.epoch;
            let base = self.base;
            let end = scan(content, header.stamp(), *first, &mut |record| {
                if record.head.lsn > base { restore.record(record) } else { Ok(()) }
            })?;
            found.durable = found.durable.max(end.durable);
            found.next_lsn = end.next_lsn;
            let (end_at, crc, next_lsn) = (end.offset, end.crc, end.next_lsn);
            found.segments.push(FoundSegment { header, end: end_at, crc, next_lsn });
            if later.first().is_none_or(|next| *next != end.next_lsn) {
                let hole = Hole {
                    first: *first,
                    content,
                    log_id: header.log_id,
                    epochs: header.epoch..=header.epoch,
                    segment_bytes: header.segment_bytes as usize,
                    used_before: header.used_before,
                    offset: end.offset,
                    bad: end.bad,
                    later,
                };
                self.end_at_hole(&hole, &mut found)?;
                return Ok(found);
            }
        }
        Ok(found)
    }

    /// The newest segment that was found lacks its end, and these come after it.
    fn end_before(&self, later: &[Lsn], found: &mut Examined) -> Result<(), WalError> {
        let Some(FoundSegment { header, end, .. }) = found.segments.last().copied() else { return Ok(()) };
        let mut content = Vec::new();
        read_segment(self.device, header.first_lsn, &mut content)?;
        let Ok(ScanEnd { bad, .. }) =
            scan(&content, header.stamp(), header.first_lsn, &mut |_| Ok::<(), std::convert::Infallible>(()));
        let hole = Hole {
            first: header.first_lsn,
            content: &content,
            log_id: header.log_id,
            epochs: header.epoch..=header.epoch,
            segment_bytes: header.segment_bytes as usize,
            used_before: header.used_before,
            offset: end,
            bad,
            later,
        };
        self.end_at_hole(&hole, found)
    }

    fn check_continues(&self, found: &Examined, header: &SegmentHeader) -> Result<(), WalError> {
        let refused = |why: &str| Err(WalError::Segment { segment: header.first_lsn, why: why.to_owned() });
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

    /// A segment has no header: it was named, but a crash came before its first sync; or its header is damaged.
    fn without_header(
        &self,
        first: Lsn,
        content: &[u8],
        later: &[Lsn],
        found: &mut Examined,
    ) -> Result<(), WalError> {
        let fault = HeaderFault::Unfinished;
        let Some(before) = found.segments.last() else {
            // The first segment's header is synced before anything else is written.
            if later.is_empty() && is_zero(content) && self.base == Lsn(0) {
                found.mending.drop.push(first);
                return Ok(());
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
            used_before: false,
            offset: 0,
            bad: Bad::Empty,
            later,
        };
        match self.end_at_hole(&hole, found) {
            Err(WalError::Damaged { .. }) => Err(WalError::Header { segment: first, fault }),
            outcome => outcome,
        }
    }

    /// Decides about what stands at a hole and after it.
    fn end_at_hole(&self, hole: &Hole<'_>, found: &mut Examined) -> Result<(), WalError> {
        let Hole { first, content, log_id, ref epochs, offset, bad, later, .. } = *hole;
        let missing = found.next_lsn;
        let seed = Stamp::new(log_id, 0).seed;
        let search_from = offset.max(SEGMENT_HEADER_BYTES as u32);
        let here = valid_after(content, search_from, seed, epochs, missing);
        let mut following = 0;
        let above = *epochs.start()..=u32::MAX;
        let further = later.iter().map(|first| look_into(self.device, *first, log_id, &above));
        for there in std::iter::once(Ok(here)).chain(further) {
            let there = there?;
            following += there.records;
            found.durable = found.durable.max(there.durable);
            found.last_epoch = found.last_epoch.max(there.epoch);
        }
        if found.durable >= missing && !is_planted(Bug::DamageCut) {
            let durable = found.durable;
            return Err(WalError::Damaged { segment: first, offset, lsn: missing, found: bad, durable });
        }
        let is_whole = content.len() == hole.segment_bytes;
        let nothing_follows = is_whole && content.get(offset as usize..).is_some_and(is_zero);
        let left_over = match bad {
            Bad::Epoch(epoch) => epoch < *epochs.start(),
            Bad::Empty => is_whole && hole.used_before,
            _ => false,
        };
        if later.is_empty() && offset > 0 && (nothing_follows || (left_over && following == 0)) {
            return Ok(());
        }
        found.mending.unsynced = following;
        if missing > first {
            let bytes = u32::try_from(hole.segment_bytes).expect("a segment is within its limit");
            found.mending.cut = Some(Cut { segment: first, offset, bytes, bad });
        } else {
            // It has no record, and the next segment takes its name.
            found.segments.retain(|segment| segment.header.first_lsn != first);
            found.mending.drop.push(first);
        }
        found.mending.drop.extend_from_slice(later);
        Ok(())
    }
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
            let why = "it belongs to another log than the segments before it".to_owned();
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
