//! What is kept: which segments a replay needs, which are dead and given up, and reading one in slices so that what
//! lives in it can be moved. Each is done when the caller asks for it.

use std::sync::Arc;

use super::append::{HeldSegment, Wal};
use super::device::{Payload, SharedFile};
use super::error::WalError;
use super::names;
use super::segment::record::Record;
use super::segment::{Covered, SegmentStats};
use super::snapshot::file::{KEPT, KeptSnapshot, SnapshotHeader};
use super::snapshot::writer::{SnapshotWriter, remove_old};
use crate::ids::{Location, Lsn};
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

/// As long as a log stays below its bound (twice the live bytes and so many segments more), one spare more than is
/// wanted is kept: a dead segment would be removed else, and another one written soon.
const BOUND_SEGMENTS: u64 = 4;

/// Files of a snapshot that there may be at once: the last two, and one that is being written.
const SNAPSHOTS_AT_ONCE: u64 = 3;

impl Wal {
    /// Size of the segments to come.
    pub fn segment_bytes(&self) -> u32 {
        self.config.segment_bytes
    }

    /// Bytes of the log behind the newest snapshot when it was opened, and all that was written since.
    pub fn written_bytes(&self) -> u64 {
        self.behind_bytes + self.written_bytes
    }

    /// Size of the newest snapshot; 0 if there is none.
    pub fn snapshot_bytes(&self) -> u64 {
        self.snapshots.last().map_or(0, |newest| newest.bytes)
    }

    pub fn snapshot_lsn(&self) -> Option<Lsn> {
        self.snapshots.last().map(|newest| newest.lsn)
    }

    /// The snapshots that are kept, oldest first.
    pub fn snapshots(&self) -> &[KeptSnapshot] {
        &self.snapshots
    }

    /// All segments in use, newest first; the first of them is written.
    pub fn newest_segments(&self) -> impl Iterator<Item = SegmentStats> {
        self.covered().zip(&self.segments).rev().map(|(covered, held)| SegmentStats {
            epoch: covered.epoch,
            first: covered.first,
            next: covered.next,
            used_bytes: covered.end,
            bytes: held.shared.bytes(),
        })
    }

    /// How many spares there are, ready or being written.
    pub fn spare_segments(&self) -> usize {
        self.spares.count()
    }

    /// The segments that are full, oldest first.
    pub fn full_segments(&self) -> impl Iterator<Item = SegmentStats> {
        self.segments[..self.segments.len() - 1].iter().map(|HeldSegment { covered, shared, .. }| SegmentStats {
            epoch: covered.epoch,
            first: covered.first,
            next: covered.next,
            used_bytes: covered.end,
            bytes: shared.bytes(),
        })
    }

    pub(super) fn covered(&self) -> impl DoubleEndedIterator<Item = Covered> + ExactSizeIterator {
        let newest = self.segments.len() - 1;
        let (end, crc, next) = (self.newest.end(), self.newest.last_crc(), self.next_lsn);
        self.segments.iter().enumerate().map(move |(index, held)| {
            if index == newest { Covered { next, end, crc, ..held.covered } } else { held.covered }
        })
    }

    /// Begins a snapshot of everything up to the newest record.
    pub fn begin_snapshot(&self, at: Timestamp) -> Result<SnapshotWriter, WalError> {
        let header = SnapshotHeader { log_id: self.log_id, lsn: self.last_lsn(), at };
        let covered: Vec<Covered> = self.covered().collect();
        SnapshotWriter::begin(Arc::clone(&self.device), header, &covered, self.config.beside)
    }

    /// Notes that a snapshot has got its name.
    pub fn snapshot_published(&mut self, published: KeptSnapshot) {
        self.snapshots.push(published);
        let old = self.snapshots.len().saturating_sub(KEPT);
        self.snapshots.drain(..old);
    }

    /// Removes all snapshots but the newest, to make room for the next; says whether there were any.
    pub fn give_up_old_snapshots(&mut self) -> Result<bool, WalError> {
        let gone = remove_old(&*self.device, 1).map_err(WalError::io("removing an old snapshot"))?;
        let old = self.snapshots.len().saturating_sub(1);
        self.snapshots.drain(..old);
        Ok(gone)
    }

    /// No replay needs the records up to this LSN, neither from the newest snapshot nor from the one before it.
    pub fn replay_base(&self) -> Lsn {
        let begins_at_one = self.segments.first().is_some_and(|held| held.covered.first == Lsn(1));
        match self.snapshots[..] {
            [.., before, _] => before.lsn,
            // The log itself stands in for the snapshot before.
            [_] if begins_at_one => Lsn(0),
            [only] => only.lsn,
            [] => Lsn(0),
        }
    }

    /// Bytes that the log may still grow by before its files are at their bound. Spares that the room kept for jobs
    /// fills are not counted.
    pub fn bound_left(&self, live_bytes: u64) -> u64 {
        self.left_with(self.spares.files().min(self.spares.wanted()), live_bytes)
    }

    fn left_with(&self, spares: u64, live_bytes: u64) -> u64 {
        let bound = 2 * live_bytes + BOUND_SEGMENTS * u64::from(self.config.segment_bytes);
        let snapshot_bytes = SNAPSHOTS_AT_ONCE * self.snapshot_bytes();
        let counted = spares.saturating_sub(self.spares_full_of_jobs());
        let spare_bytes = counted * u64::from(self.config.segment_bytes);
        bound.saturating_sub(self.segment_bytes_held() + spare_bytes + snapshot_bytes)
    }

    /// Near the bound no spare is kept that can be done without, until there is place for two again: else one would
    /// come and go.
    fn note_bound(&mut self, left: u64) {
        let segment_bytes = u64::from(self.config.segment_bytes);
        self.is_over = left < if self.is_over { 3 * segment_bytes } else { segment_bytes };
        self.spares.set_over(self.is_over);
    }

    /// Gives up the segments that nothing needs: no replay, no live payload (`is_dead` tells that of an epoch), and
    /// no reply that is still being sent. Returns how many.
    pub fn give_up_segments(&mut self, live_bytes: u64, is_dead: impl Fn(u32) -> bool) -> usize {
        let (base, newest, durable) = (self.replay_base(), self.last_lsn(), self.durable);
        self.note_bound(self.left_with(self.spares.files(), live_bytes));
        let full = self.segments.len() - 1;
        let mut given_up = 0;
        let mut index = 0;
        self.segments.retain_mut(|held| {
            index += 1;
            // A replay begins in the segment that was written when the snapshot was begun, even if that ends there.
            let is_replayed = held.covered.next.0 > base.0 && !is_planted(Bug::SegmentGivenUpEarly);
            if index > full || is_replayed || !is_dead(held.covered.epoch) {
                return true;
            }
            // What ended its last payload has to be durable: a power cut must not bring that job back.
            let dead_at = *held.dead_at.get_or_insert(newest);
            if dead_at > durable || Arc::strong_count(&held.shared) > 1 {
                return true;
            }
            self.spares.give(names::segment(held.covered.first), Arc::clone(&held.shared));
            given_up += 1;
            false
        });
        given_up
    }

    /// Visits a slice of the records of a segment, as one that is pinned does.
    pub fn visit_slice(
        &self,
        epoch: u32,
        from: u32,
        bytes: u32,
        visit: &mut impl FnMut(&Record<'_>, Location) -> Result<(), WalError>,
    ) -> Result<Option<u32>, WalError> {
        let Some(held) = self.held(epoch) else { return Ok(None) };
        self.pin(held.covered, &held.shared).visit_slice(from, bytes, &mut Vec::new(), visit)
    }
}

/// A file of a log as it was at one moment. While this lives, what it held then stays as it was.
#[derive(Debug)]
pub struct BackedUp {
    pub name: String,
    /// Bytes from its beginning that count.
    pub bytes: u32,
    /// Size that it has to have; zeros follow what counts.
    pub size: u32,
    shared: Arc<dyn SharedFile>,
}

impl BackedUp {
    pub fn read(&self, offset: u32, length: u32) -> Result<Payload, WalError> {
        Arc::clone(&self.shared).payload(offset, length).map_err(WalError::io("reading a file for a backup"))
    }
}

impl Wal {
    /// The files that make up the log now: the newest snapshot and all segments.
    pub fn backup(&self) -> Result<Vec<BackedUp>, WalError> {
        let mut files = Vec::new();
        if let Some(lsn) = self.snapshot_lsn() {
            let name = names::snapshot(lsn);
            let opening = || WalError::io(format!("opening {name} for a backup"));
            let bytes = self.device.bytes(&name).map_err(opening())?;
            let bytes = u32::try_from(bytes).map_err(std::io::Error::other).map_err(opening())?;
            let shared = self.device.open(&name, bytes).map_err(opening())?.shared();
            files.push(BackedUp { name: name.clone(), bytes, size: bytes, shared });
        }
        for (covered, held) in self.covered().zip(&self.segments) {
            let shared = Arc::clone(&held.shared);
            let (name, size) = (names::segment(covered.first), shared.bytes());
            files.push(BackedUp { name, bytes: covered.end, size, shared });
        }
        Ok(files)
    }
}
