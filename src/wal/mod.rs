//! The write-ahead log: records in segments, made durable in groups; snapshots of what they come to; and the keeping of
//! both, so that the log stays small.
//!
//! Promises: LSNs are dense from 1; a group (the records of one request) is recovered as a whole or not at all;
//! what a finished sync covered is recovered, or its damage is noticed (of the newest group once a mark vouches for
//! it); a record that was not covered is recovered or is gone, and never half; nothing of an earlier use of a file is
//! ever taken for a record; no segment is given up that a replay or a live payload needs.
//! It does not: know what a record or a snapshot means (kinds and bodies are opaque), decide when to sync, to take a
//! snapshot or to clean (the master does), or run the sync (the helper thread does, see [`SyncThread`]).
//!
//! An append copies into the map of the newest segment and returns at once. [`Wal::sync_request`] says what to make
//! durable; [`Wal::synced`] is told of the outcome. One sync is under way at a time.
//!
//! Room: segments are really allocated before they are used, and spares are made ahead. [`Wal::room_for_jobs`] refuses new
//! jobs while what is left is kept for those that were accepted before.

mod beside;
mod dir;
mod error;
mod follow;
mod inspect;
mod keeping;
mod memory;
mod memory_file;
mod mend;
mod mmap;
pub mod names;
mod open;
mod pwrite;
mod reader;
mod record;
mod recover;
mod room;
mod salvage;
mod segment;
mod snapshot_writer;
mod snapshots;
mod spare;
mod spare_file;
mod storage;
mod sync;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

pub use dir::{DirDevice, DirLock, SegmentIo};
pub use error::WalError;
pub use follow::Follower;
pub use inspect::{Inspection, Verified, inspect, verify};
pub use keeping::{Backup, SegmentStats};
pub use memory::{MemoryDevice, Operation};
pub use open::{Restore, WalConfig};
pub use reader::{Visited, visit_all};
pub use record::{Record, RecordHead, record_bytes};
pub use recover::Progress;
pub use salvage::{Salvage, begin_behind, newest_snapshot, visit_whole};
pub use snapshot_writer::{Outcome as SnapshotOutcome, SnapshotWriter};
pub use storage::{LogDevice, NewFile, Payload};
pub use sync::{SyncOutcome, SyncRequest, SyncThread};

use crate::ids::{Location, Lsn};
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;
use record::{KIND_MARK, RECORD_HEADER_BYTES, Stamp, encode_start};
use segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use snapshots::Covered;
use spare::Spares;
use spare_file::SpareFile;
use storage::{Segment, SegmentWriter};

/// Zeros after the newest record: as many as say that there is no record.
const TERMINATOR_BYTES: u32 = 8;

/// The part of the newest segment that is certainly still in memory: what was written last.
const FRESH_BYTES: u32 = 1 << 20;

/// The longest payload that is copied into a reply.
const COPIED_BYTES_MAX: u32 = 4 << 10;

/// The log.
#[derive(Debug)]
pub struct Wal {
    device: Arc<dyn LogDevice>,
    config: WalConfig,
    log_id: u128,
    /// What the records of the newest segment have in common.
    stamp: Stamp,
    /// No epoch above this was ever in use.
    last_epoch: u32,
    /// All segments, oldest first; the last one is written.
    segments: Vec<HeldSegment>,
    writer: Box<dyn SegmentWriter>,
    /// Where the next record goes.
    end: u32,
    last_crc: u32,
    next_lsn: Lsn,
    durable: Lsn,
    /// Full segments that no sync has covered yet.
    unsynced: Vec<Arc<dyn Segment>>,
    names_unsynced: bool,
    syncing: bool,
    syncs: u64,
    /// Newest durable LSN that something in the log names.
    vouched: Lsn,
    mark_unsynced: bool,
    spares: Spares,
    /// Bytes that should be free in the newest segment and in spares.
    room_ahead: u64,
    /// When a spare is tried again; 0 unless one could not be made.
    spare_retry_at: Timestamp,
    /// LSNs of the snapshots that are kept, ascending, and the size of the newest.
    snapshots: Vec<Lsn>,
    snapshot_bytes: u64,
    /// Bytes of the log behind the newest snapshot when it was opened, and all that was written since.
    written_bytes: u64,
    scratch: Vec<u8>,
}

/// A segment in use. What it says of the newest one is how that began.
#[derive(Debug)]
struct HeldSegment {
    covered: Covered,
    shared: Arc<dyn Segment>,
    /// The newest LSN when nothing live was first seen to be in it.
    dead_at: Option<Lsn>,
}

/// Figures of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalStats {
    /// Records in the log.
    pub records: u64,
    /// Times that the log was made durable since it was opened.
    pub syncs: u64,
    /// Newest durable LSN.
    pub durable: Lsn,
    /// Segments.
    pub segments: u32,
    /// Their bytes.
    pub bytes: u64,
}

/// What goes into one record.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When it was decided.
    pub at: Timestamp,
    /// What the body is.
    pub kind: u8,
    /// The body's first part.
    pub head: &'a [u8],
    /// The body's second part, copied straight to its place.
    pub tail: &'a [u8],
    /// Whether the next record belongs to the same group.
    pub more: bool,
}

/// Where a record was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its position.
    pub lsn: Lsn,
    /// Where its body's second part lies.
    pub tail_at: Location,
}

impl Wal {
    /// LSN of the newest record.
    #[must_use]
    pub fn last_lsn(&self) -> Lsn {
        Lsn(self.next_lsn.0 - 1)
    }

    /// LSN that the next record gets.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// Newest durable LSN.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.durable
    }

    /// Figures.
    #[must_use]
    pub fn stats(&self) -> WalStats {
        WalStats {
            records: self.last_lsn().0,
            syncs: self.syncs,
            durable: self.durable,
            segments: u32::try_from(self.segments.len()).expect("segments are counted in 32 bits"),
            bytes: self.segment_bytes_held(),
        }
    }

    /// Bytes that are free in the newest segment, whatever its size is.
    fn free_bytes(&self) -> usize {
        self.writer.bytes().saturating_sub(self.end) as usize
    }

    /// Makes sure that a group of `bytes` (the sum of its records' [`record_bytes`]) lies in one segment.
    ///
    /// # Errors
    /// `Full`, or `Io`; the log takes no more records then.
    pub fn begin_group(&mut self, bytes: usize) -> Result<(), WalError> {
        let fits_a_segment = bytes + SEGMENT_HEADER_BYTES <= self.config.segment_bytes as usize;
        assert!(fits_a_segment, "a group of {bytes} bytes fits into a segment");
        if bytes > self.free_bytes() {
            self.roll()?;
        }
        Ok(())
    }

    /// Appends a record of the group that was begun.
    ///
    /// # Errors
    /// `Io`; the log takes no more records then.
    pub fn append(&mut self, entry: &Entry<'_>) -> Result<Appended, WalError> {
        let lsn = self.next_lsn;
        let tail_at = self.write_record(lsn, entry)?;
        self.next_lsn = lsn.next();
        Ok(Appended { lsn, tail_at })
    }

    /// Whether everything is durable and nothing in the log says so yet. On a full disk no mark is wanted: what is left
    /// is kept for the jobs.
    #[must_use]
    pub fn wants_mark(&self) -> bool {
        let is_unvouched = self.durable == self.last_lsn() && self.durable > self.vouched;
        is_unvouched && !self.syncing && !self.is_short_of_space()
    }

    /// Writes a mark, which vouches for the newest record once it is durable itself. Where there is no room for it there
    /// is none: the header of the next segment will do that.
    ///
    /// # Errors
    /// `Io`; the log takes no more records then.
    pub fn append_mark(&mut self, at: Timestamp) -> Result<(), WalError> {
        if record_bytes(0) <= self.free_bytes() {
            let mark = Entry { at, kind: KIND_MARK, head: &[], tail: &[], more: false };
            self.write_record(self.last_lsn(), &mark)?;
            self.mark_unsynced = true;
        }
        self.vouched = self.durable;
        Ok(())
    }

    /// Writes a record to the end of the newest segment; returns where its body's second part lies.
    fn write_record(&mut self, lsn: Lsn, entry: &Entry<'_>) -> Result<Location, WalError> {
        let Stamp { epoch, seed } = self.stamp;
        let Entry { at, kind, head, tail, more } = *entry;
        self.scratch.clear();
        let fields = RecordHead { lsn, at, term: 0, epoch, durable: self.durable, kind, more };
        let crc = encode_start(&fields, seed, head, tail, &mut self.scratch);
        let tail_offset = self.end + u32::try_from(self.scratch.len()).expect("a record is within its limit");
        let length = RECORD_HEADER_BYTES + head.len() + tail.len();
        let padding_at = self.end + u32::try_from(length).expect("a record is within its limit");
        let whole = record_bytes(head.len() + tail.len());
        let end = self.end + u32::try_from(whole).expect("a record is within its limit");
        // Zeros after the record end the log there, whatever an earlier use of the file has left behind.
        let zeros_end = (end + TERMINATOR_BYTES).min(self.writer.bytes());
        let zeros = &[0; 8 + TERMINATOR_BYTES as usize][..(zeros_end - padding_at) as usize];
        let writing = || WalError::io("writing to the log");
        if tail.is_empty() {
            self.scratch.extend_from_slice(zeros);
            self.writer.write_at(self.end, &self.scratch).map_err(writing())?;
        } else {
            self.writer.write_at(self.end, &self.scratch).map_err(writing())?;
            self.writer.write_at(tail_offset, tail).map_err(writing())?;
            self.writer.write_at(padding_at, zeros).map_err(writing())?;
        }
        self.writer.publish(end).map_err(writing())?;
        self.written_bytes += u64::from(end - self.end);
        self.end = end;
        self.last_crc = crc;
        self.vouched = self.vouched.max(self.durable);
        Ok(Location { epoch, offset: tail_offset })
    }

    /// Lends bytes of the log.
    ///
    /// # Errors
    /// `Io` when the device cannot.
    ///
    /// # Panics
    /// When no segment has this epoch: a location comes from this log.
    pub fn payload(&self, at: Location, bytes: u32) -> Result<Payload, WalError> {
        let held = self.held(at.epoch).expect("a payload lies in a segment of this log");
        Arc::clone(&held.shared).payload(at.offset, bytes).map_err(WalError::io("reading a payload"))
    }

    /// A short payload that was appended a moment ago, in place. It is copied into the reply, which costs less than to send it
    /// from where it lies. Older ones are not looked at here: their pages may have to be read again from the disk, and a
    /// bad sector would be a signal.
    #[must_use]
    pub fn fresh_payload(&self, at: Location, bytes: u32) -> Option<&[u8]> {
        let is_fresh = at.epoch == self.stamp.epoch && self.end - at.offset <= FRESH_BYTES;
        if is_fresh && bytes <= COPIED_BYTES_MAX { self.writer.published(at.offset, bytes) } else { None }
    }

    /// Whether anything was appended that no sync has covered.
    #[must_use]
    pub fn has_unsynced(&self) -> bool {
        self.last_lsn() > self.durable || self.names_unsynced || self.mark_unsynced
    }

    /// Whether a sync is under way.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.syncing
    }

    /// What to make durable now: everything that was appended so far. Nothing if all is durable, or if a sync
    /// is under way.
    pub fn sync_request(&mut self) -> Option<SyncRequest> {
        if self.syncing || !self.has_unsynced() {
            return None;
        }
        self.syncing = true;
        self.mark_unsynced = false;
        let full = std::mem::take(&mut self.unsynced);
        let names = std::mem::take(&mut self.names_unsynced).then(|| Arc::clone(&self.device));
        Some(SyncRequest { lsn: self.last_lsn(), newest: self.writer.shared(), full, names })
    }

    /// Takes the outcome of the sync that was asked for.
    ///
    /// # Errors
    /// `Io` if it failed. Never sync again then: the next one may say OK without the data being there.
    pub fn synced(&mut self, outcome: &SyncOutcome) -> Result<(), WalError> {
        self.syncing = false;
        self.syncs += 1;
        if outcome.result.is_err() && is_planted(Bug::SyncRetried) {
            self.mark_unsynced = true;
            return Ok(());
        }
        if let Err(error) = &outcome.result {
            let source = error.raw_os_error().map_or_else(
                || io::Error::new(error.kind(), error.to_string()),
                io::Error::from_raw_os_error,
            );
            return Err(WalError::Io { doing: String::from("making the log durable"), source });
        }
        self.durable = self.durable.max(outcome.lsn);
        Ok(())
    }

    /// Goes on in a fresh segment.
    fn roll(&mut self) -> Result<(), WalError> {
        let spare = self.spares.take().map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WalError::Full,
            _ => WalError::io("making a log segment")(error),
        })?;
        let (end, crc, next) = (self.end, self.last_crc, self.next_lsn);
        if let Some(before) = self.segments.last_mut() {
            before.covered = Covered { next, end, crc, ..before.covered };
        }
        let writer = self.name_spare(&spare)?;
        self.unsynced.push(std::mem::replace(&mut self.writer, writer).shared());
        self.write_header(spare.used_before)
    }

    /// Gives a spare the name of the next segment and opens it.
    fn name_spare(&mut self, spare: &SpareFile) -> Result<Box<dyn SegmentWriter>, WalError> {
        let name = names::segment(self.next_lsn);
        self.device.rename(&spare.name, &name).map_err(WalError::io("naming a log segment"))?;
        self.names_unsynced = true;
        self.device.open(&name, 0).map_err(WalError::io("opening a log segment"))
    }

    fn write_header(&mut self, used_before: bool) -> Result<(), WalError> {
        let epoch = self.last_epoch + 1;
        self.last_epoch = epoch;
        self.stamp = Stamp { epoch, ..self.stamp };
        let header = SegmentHeader {
            log_id: self.log_id,
            epoch,
            segment_bytes: self.writer.bytes(),
            first_lsn: self.next_lsn,
            durable: self.durable,
            before_end: self.end,
            before_crc: self.last_crc,
            used_before,
        };
        let mut bytes = header.encode();
        bytes.extend_from_slice(&[0; TERMINATOR_BYTES as usize]);
        let writing = || WalError::io("writing a segment's header");
        self.writer.write_at(0, &bytes).map_err(writing())?;
        self.end = SEGMENT_HEADER_BYTES as u32;
        self.writer.publish(self.end).map_err(writing())?;
        self.last_crc = 0;
        self.vouched = self.durable;
        let covered = Covered { epoch, first: self.next_lsn, next: self.next_lsn, end: self.end, crc: 0 };
        self.segments.push(HeldSegment { covered, shared: self.writer.shared(), dead_at: None });
        Ok(())
    }
}
