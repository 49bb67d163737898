//! The keeping of segments and snapshots: what a replay needs, what is dead and given up, and reading a segment in slices
//! so that what lives in it can be moved.

use std::sync::Arc;

use super::record::{RECORD_HEADER_BYTES, Record, Stamp, record_at};
use super::segment::SEGMENT_HEADER_BYTES;
use super::snapshot_writer::{SnapshotWriter, remove_old};
use super::snapshots::{Covered, KEPT, SnapshotHeader};
use super::storage::{Payload, Segment};
use super::{HeldSegment, Wal, WalError, names};
use crate::ids::{Location, Lsn};
use crate::limits::RECORD_BYTES_MAX;
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

/// A log of no more files than this keeps one that nothing needs as a spare: it may take twice the bytes that live, and as
/// many segments more.
const SMALL_LOG_SEGMENTS: u64 = 4;

/// A segment, as the keeping sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentStats {
    /// Its epoch.
    pub epoch: u32,
    /// Its first LSN, which names its file.
    pub first: Lsn,
    /// LSN after its last record.
    pub next: Lsn,
    /// Bytes of its records.
    pub used_bytes: u32,
    /// Size of its file.
    pub bytes: u32,
}

impl Wal {
    /// Bytes of all segments.
    pub(super) fn segment_bytes_held(&self) -> u64 {
        self.segments.iter().map(|held| u64::from(held.shared.bytes())).sum()
    }

    /// Bytes of all segments and spares.
    #[must_use]
    pub fn bytes_held(&self) -> u64 {
        self.segment_bytes_held() + self.spares.held_bytes()
    }

    /// Size of the segments to come.
    #[must_use]
    pub fn segment_bytes(&self) -> u32 {
        self.config.segment_bytes
    }

    /// Bytes of the log behind the newest snapshot when it was opened, and all that was written since.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Size of the newest snapshot; 0 if there is none.
    #[must_use]
    pub fn snapshot_bytes(&self) -> u64 {
        self.snapshot_bytes
    }

    /// LSN of the newest snapshot.
    #[must_use]
    pub fn snapshot_lsn(&self) -> Option<Lsn> {
        self.snapshots.last().copied()
    }

    /// The segments that are full, oldest first.
    pub fn full_segments(&self) -> impl Iterator<Item = SegmentStats> {
        self.all_segments().take(self.segments.len() - 1)
    }

    /// All segments, oldest first; the last one is written.
    pub fn all_segments(&self) -> impl Iterator<Item = SegmentStats> {
        self.covered().zip(&self.segments).map(|(covered, held)| SegmentStats {
            epoch: covered.epoch,
            first: covered.first,
            next: covered.next,
            used_bytes: covered.end,
            bytes: held.shared.bytes(),
        })
    }

    fn covered(&self) -> impl Iterator<Item = Covered> {
        let newest = self.segments.len() - 1;
        let (end, crc, next) = (self.end, self.last_crc, self.next_lsn);
        self.segments.iter().enumerate().map(move |(index, held)| {
            if index == newest { Covered { next, end, crc, ..held.covered } } else { held.covered }
        })
    }

    pub(super) fn held(&self, epoch: u32) -> Option<&HeldSegment> {
        let index = self.segments.binary_search_by_key(&epoch, |held| held.covered.epoch).ok()?;
        Some(&self.segments[index])
    }

    /// Whether there is a segment of this epoch.
    #[must_use]
    pub fn has_segment(&self, epoch: u32) -> bool {
        self.held(epoch).is_some()
    }

    /// Begins a snapshot of everything up to the newest record.
    ///
    /// # Errors
    /// `Io`.
    pub fn begin_snapshot(&self, at: Timestamp) -> Result<SnapshotWriter, WalError> {
        let header = SnapshotHeader { log_id: self.log_id, lsn: self.last_lsn(), at };
        let covered: Vec<Covered> = self.covered().collect();
        SnapshotWriter::begin(Arc::clone(&self.device), header, &covered, self.config.beside)
    }

    /// Notes that a snapshot has got its name.
    pub fn snapshot_published(&mut self, lsn: Lsn, bytes: u64) {
        self.snapshots.push(lsn);
        self.snapshot_bytes = bytes;
        let old = self.snapshots.len().saturating_sub(KEPT);
        self.snapshots.drain(..old);
    }

    /// Removes all snapshots but the newest, to make room for the next; says whether there were any.
    ///
    /// # Errors
    /// `Io`.
    pub fn give_up_old_snapshots(&mut self) -> Result<bool, WalError> {
        let gone = remove_old(&*self.device, 1).map_err(WalError::io("removing an old snapshot"))?;
        let old = self.snapshots.len().saturating_sub(1);
        self.snapshots.drain(..old);
        Ok(gone)
    }

    /// Records up to this LSN are needed by no replay, neither from the newest snapshot nor from the one before it.
    #[must_use]
    pub fn replay_base(&self) -> Lsn {
        let begins_at_one = self.segments.first().is_some_and(|held| held.covered.first == Lsn(1));
        match self.snapshots[..] {
            [.., before, _] => before,
            // The log itself stands in for the snapshot before.
            [_] if begins_at_one => Lsn(0),
            [only] => only,
            [] => Lsn(0),
        }
    }

    /// Gives up the segments that nothing needs: no replay, no live payload (`is_dead` says so of an epoch), no reply
    /// that still sends from it. Returns how many.
    pub fn give_up_segments(&mut self, is_dead: impl Fn(u32) -> bool) -> usize {
        let (base, newest, durable) = (self.replay_base(), self.last_lsn(), self.durable);
        let is_small = self.bytes_held() <= SMALL_LOG_SEGMENTS * u64::from(self.config.segment_bytes);
        let full = self.segments.len() - 1;
        let mut given_up = 0;
        let mut index = 0;
        self.segments.retain_mut(|held| {
            index += 1;
            // The segment that was written when the snapshot was begun is where a replay begins, even if it ends there.
            let is_replayed = held.covered.next.0 > base.0 && !is_planted(Bug::SegmentGivenUpEarly);
            if index > full || is_replayed || !is_dead(held.covered.epoch) {
                return true;
            }
            // What killed its last payload has to be durable itself: a power cut must not bring that payload's job back.
            let dead_at = *held.dead_at.get_or_insert(newest);
            if dead_at > durable || Arc::strong_count(&held.shared) > 1 {
                return true;
            }
            let name = names::segment(held.covered.first);
            self.spares.give(name, Arc::clone(&held.shared), is_small);
            given_up += 1;
            false
        });
        given_up
    }

    /// Visits the records of a segment from the byte `from` on (0 for the first), for about `bytes`; returns where to
    /// go on, or nothing if that was the last. Every record is checked.
    ///
    /// # Errors
    /// `Io`, `Damaged`, or the visitor's.
    pub fn visit_slice(
        &self,
        epoch: u32,
        from: u32,
        bytes: u32,
        visit: &mut impl FnMut(&Record<'_>, Location) -> Result<(), WalError>,
    ) -> Result<Option<u32>, WalError> {
        let Some(held) = self.held(epoch) else { return Ok(None) };
        let Covered { first, end, .. } = held.covered;
        let from = from.max(SEGMENT_HEADER_BYTES as u32);
        let mut slice = Vec::new();
        let mut at = 0;
        // A record that is longer than the slice is read whole.
        for length in [bytes, RECORD_BYTES_MAX as u32 + RECORD_HEADER_BYTES as u32] {
            slice.resize(length.min(end - from) as usize, 0);
            held.shared.read_at(from, &mut slice).map_err(WalError::io("reading a segment to clean it"))?;
            let stamp = Stamp { epoch, ..self.stamp };
            let mut bad = None;
            while at < slice.len() {
                match record_at(&slice, at as u32, stamp) {
                    Ok(record) => {
                        let location = Location { epoch, offset: from + record.body_at };
                        visit(&record, location)?;
                        at = record.end() as usize;
                    }
                    Err(found) => {
                        bad = Some(found);
                        break;
                    }
                }
            }
            let reached = from + at as u32;
            if reached >= end {
                return Ok(None);
            }
            if at > 0 {
                return Ok(Some(reached));
            }
            if slice.len() as u32 == end - from || length > bytes {
                let found = bad.expect("nothing was read");
                let (offset, durable) = (from, self.durable);
                return Err(WalError::Damaged {
                    segment: first,
                    offset,
                    lsn: held.covered.next,
                    found,
                    durable,
                });
            }
        }
        Ok(None)
    }
}

/// The files that make up a log at one moment. While this lives, what they hold stays as it is.
#[derive(Debug)]
pub struct Backup {
    files: Vec<BackedUp>,
}

/// One file of a backup.
#[derive(Debug)]
pub struct BackedUp {
    /// Its name.
    pub name: String,
    /// Bytes from its beginning that count.
    pub bytes: u32,
    /// Size that it has to have; zeros follow what counts.
    pub size: u32,
    shared: Arc<dyn Segment>,
}

impl Backup {
    /// The files.
    #[must_use]
    pub fn files(&self) -> &[BackedUp] {
        &self.files
    }
}

impl BackedUp {
    /// A piece of it.
    ///
    /// # Errors
    /// `Io`.
    pub fn read(&self, offset: u32, length: u32) -> Result<Payload, WalError> {
        Arc::clone(&self.shared).payload(offset, length).map_err(WalError::io("reading a file for a backup"))
    }
}

impl Wal {
    /// The files that make up the log now: the newest snapshot and all segments.
    ///
    /// # Errors
    /// `Io`.
    pub fn backup(&self) -> Result<Backup, WalError> {
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
        Ok(Backup { files })
    }
}
