//! Looking into a directory without changing anything: what recovery would find and do, by recovery's own code, and
//! all faults instead of the first.
//!
//! A daemon may be writing the log meanwhile, and what it does between two reads can pass for a fault. A real fault
//! is there again at the next look.

use super::found::{Cut, Examined, FoundSegment};
use super::replay::{self, Inspected, check_covered};
use super::{Progress, Restore, later};
use crate::ids::Lsn;
use crate::wal::device::LogDevice;
use crate::wal::error::WalError;
use crate::wal::names;
use crate::wal::segment::SegmentStats;
use crate::wal::segment::reader::{pass_over, read_segment};
use crate::wal::snapshot::reading::{self, Loaded};

/// A log as recovery finds it.
#[derive(Debug)]
pub struct Inspection {
    pub segments: Vec<SegmentStats>,
    /// What recovery would take out of it, none of which was ever answered for: a sentence each.
    pub torn: Vec<String>,
}

/// What was read, and all that is wrong with it.
#[derive(Debug, Default)]
pub struct Verified {
    /// Segments that are whole.
    pub segments: usize,
    pub records: u64,
    pub snapshots: usize,
    /// Bytes of the files that were read.
    pub bytes: u64,
    pub is_served: bool,
    /// What is damaged; recovery refuses the log for it, or passes over a snapshot.
    pub faults: Vec<WalError>,
    /// As in [`Inspection`].
    pub torn: Vec<String>,
}

/// Reads the log as recovery does and rebuilds the state.
pub fn inspect(device: &dyn LogDevice, restore: &mut dyn Restore) -> Result<Inspection, WalError> {
    let Inspected { examined, .. } = replay::inspect(device, &Progress::default(), restore)?;
    let segments = examined.segments.iter().map(stats).collect();
    Ok(Inspection { segments, torn: torn(&examined) })
}

/// Reads every segment and every snapshot, and goes on after a fault. If recovery would serve the log, `is_whole`
/// holds the state against the epochs of the segments that are there.
pub fn verify<R: Restore>(
    device: &dyn LogDevice,
    restore: &mut R,
    is_whole: impl FnOnce(&R, &[u32]) -> Result<(), WalError>,
) -> Result<Verified, WalError> {
    let listed = device.names().map_err(WalError::io("listing the data directory"))?;
    let mut verified = Verified::default();
    later::written_later(device, &listed).for_each(|error| verified.add(error));
    let mut newest = None;
    for lsn in names::snapshots(&listed) {
        match reading::load(device, lsn) {
            Ok(loaded) => {
                verified.snapshots += 1;
                verified.bytes += loaded.bytes;
                newest = Some(loaded);
            }
            Err(error) => verified.add(error),
        }
    }
    match inspect(device, restore) {
        Ok(inspection) => {
            let epochs: Vec<u32> = inspection.segments.iter().map(|segment| segment.epoch).collect();
            inspection.segments.iter().for_each(|segment| verified.count(segment));
            verified.torn = inspection.torn;
            let checked = is_whole(restore, &epochs);
            verified.is_served = checked.is_ok();
            checked.unwrap_or_else(|error| verified.add(error));
        }
        Err(error) => {
            verified.add(error);
            verified.look_further(device, &names::segments(&listed), newest.as_ref());
        }
    }
    Ok(verified)
}

impl WalError {
    /// The file of a fault and the byte in it, as far as it has them.
    pub fn place(&self) -> (Option<String>, Option<u64>) {
        match self {
            WalError::Damaged { segment, offset, .. } => (Some(names::segment(*segment)), Some(u64::from(*offset))),
            WalError::Segment { segment, .. } | WalError::Header { segment, .. } => {
                (Some(names::segment(*segment)), Some(0))
            }
            WalError::Snapshot { name, offset, .. } => (Some(name.clone()), Some(*offset)),
            WalError::Later { file, .. } => (file.clone(), None),
            WalError::Missing { before, .. } => (before.map(names::segment), None),
            _ => (None, None),
        }
    }
}

impl Verified {
    /// Adds a fault, unless it is known from elsewhere.
    fn add(&mut self, fault: WalError) {
        let place = fault.place();
        if place == (None, None) || self.faults.iter().all(|known| known.place() != place) {
            self.faults.push(fault);
        }
    }

    fn count(&mut self, segment: &SegmentStats) {
        self.segments += 1;
        self.records += segment.next.0 - segment.first.0;
        self.bytes += u64::from(segment.bytes);
    }

    /// Reads each segment for itself: recovery has ended at the first fault.
    fn look_further(&mut self, device: &dyn LogDevice, firsts: &[Lsn], snapshot: Option<&Loaded>) {
        let progress = Progress::default();
        let covered = snapshot.map_or(&[][..], |loaded| &loaded.covered);
        for (index, first) in firsts.iter().enumerate() {
            let known = covered.iter().find(|covered| covered.first == *first);
            let is_newest = covered.last().is_none_or(|newest| *first >= newest.first);
            let found = match (known, snapshot) {
                (Some(covered), Some(snapshot)) if !is_newest => check_covered(device, snapshot, covered, &progress),
                // It was given up before the snapshot was taken.
                (None, _) if !is_newest => continue,
                _ => check_alone(device, *first, firsts.get(index + 1).copied()),
            };
            match found {
                Ok(found) => self.count(&stats(&found)),
                Err(error) => self.add(error),
            }
        }
    }
}

/// Reads a segment up to its end, which the next segment has to continue.
fn check_alone(device: &dyn LogDevice, first: Lsn, next: Option<Lsn>) -> Result<FoundSegment, WalError> {
    let mut content = Vec::new();
    let header = read_segment(device, first, &mut content)?;
    let end = pass_over(&content, &header)?;
    if let Some(next) = next.filter(|next| *next != end.next_lsn) {
        let (offset, lsn, found) = (end.offset, end.next_lsn, end.bad);
        return Err(WalError::Damaged { segment: first, offset, lsn, found, durable: Lsn(next.0 - 1) });
    }
    Ok(FoundSegment { header, end: end.offset, crc: end.crc, next_lsn: end.next_lsn })
}

fn stats(found: &FoundSegment) -> SegmentStats {
    SegmentStats {
        epoch: found.header.epoch,
        first: found.header.first_lsn,
        next: found.next_lsn,
        used_bytes: found.end,
        bytes: found.header.segment_bytes,
    }
}

fn torn(found: &Examined) -> Vec<String> {
    let mut torn = Vec::new();
    let last = found.next_lsn.0 - 1;
    if let Some(Cut { segment, offset, bad, .. }) = &found.mending.cut {
        let name = names::segment(*segment);
        torn.push(format!(
            "{name}, byte {offset}: after record {last} there is {bad}; nothing there was synced, and falcond cuts the \
             log there when it starts"
        ));
    }
    for first in &found.mending.drop {
        let name = names::segment(*first);
        torn.push(format!("{name}: nothing in it was synced, and falcond moves it away when it starts"));
    }
    torn
}
