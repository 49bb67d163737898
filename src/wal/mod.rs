//! The write-ahead log: records in mapped segments, made durable in groups.
//!
//! Promises: LSNs are dense from 1; a group (the records of one request) is recovered as a whole or not at all;
//! what a finished sync covered is recovered, or its damage is noticed (of the newest group once a mark vouches for it); a record that was not covered is recovered or
//! is gone, and never half; nothing of an earlier use of a file is ever taken for a record.
//! It does not: know what a record means (kinds and bodies are opaque), decide when to sync (the master does), or
//! run the sync (the helper thread does, see [`SyncThread`]).
//!
//! An append copies into the map of the newest segment and returns at once. [`Wal::sync_request`] says what to make
//! durable; [`Wal::synced`] is told of the outcome. One sync is under way at a time.
//!
//! Room: segments are really allocated before they are used, and a spare is made ahead. When no further one can be
//! made, [`Wal::room_for_jobs`] refuses new jobs while the last [`RESERVE_BYTES`] go on serving everything else.

mod dir;
mod error;
mod memory;
mod mmap;
mod reader;
mod record;
mod recover;
mod segment;
mod spare;
mod storage;
mod sync;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

pub use dir::{DirDevice, DirLock};
pub use error::WalError;
pub use memory::MemoryDevice;
pub use reader::visit_all;
pub use record::{Record, RecordHead, record_bytes};
pub use storage::{LogDevice, Payload};
pub use sync::{SyncOutcome, SyncRequest, SyncThread};

use crate::ids::{Location, Lsn};
use crate::limits::RESERVE_BYTES;
use crate::time::{Millis, Timestamp};
use record::{KIND_MARK, Stamp, encode_header};
use recover::{FoundSegment, recover};
use segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use spare::Spare;
use storage::{Segment, SegmentWriter};

/// How long after a segment could not be made the next attempt is.
const SPARE_RETRY: Millis = Millis(500);

/// The log.
#[derive(Debug)]
pub struct Wal {
    device: Arc<dyn LogDevice>,
    /// Size of the segments to come; one that is there may have another.
    segment_bytes: u32,
    log_id: u128,
    /// What the records of the newest segment have in common; no epoch above its own was ever in use.
    stamp: Stamp,
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
    spare: Spare,
    spare_retry_at: Timestamp,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct HeldSegment {
    epoch: u32,
    shared: Arc<dyn Segment>,
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
    /// Opens a log, visits every record in it, and makes it ready to append.
    /// A log that is not there is begun with `log_id`.
    ///
    /// # Errors
    /// See [`WalError`]; damage is refused and changes nothing.
    pub fn open(
        device: Arc<dyn LogDevice>,
        segment_bytes: u32,
        log_id: u128,
        mut visit: impl FnMut(&Record<'_>) -> Result<(), WalError>,
    ) -> Result<Wal, WalError> {
        let found = recover(&*device, &mut visit)?;
        let spare = Spare::new(Arc::clone(&device), segment_bytes);
        let Some(last) = found.segments.last() else {
            return Wal::begin(device, spare, segment_bytes, log_id, found.last_epoch);
        };
        let opening = |first: Lsn| WalError::io(format!("opening segment {first:020}.wal"));
        let mut segments = Vec::new();
        let mut writer = None;
        for FoundSegment { header, end, next_lsn, .. } in &found.segments {
            let opened = device.open(header.first_lsn, *end).map_err(opening(header.first_lsn))?;
            // What a killed daemon had written but not synced is told from now on, so it is made durable first.
            if *next_lsn > found.durable {
                opened.shared().sync().map_err(WalError::io("syncing the recovered log"))?;
            }
            segments.push(HeldSegment { epoch: header.epoch, shared: opened.shared() });
            writer = Some(opened);
        }
        device.sync_names().map_err(WalError::io("syncing the data directory"))?;
        let mut wal = Wal {
            log_id: last.header.log_id,
            stamp: Stamp::new(last.header.log_id, found.last_epoch),
            segments,
            end: last.end,
            last_crc: last.crc,
            next_lsn: found.next_lsn,
            durable: Lsn(found.next_lsn.0 - 1),
            vouched: found.durable,
            names_unsynced: false,
            ..Wal::empty(device, segment_bytes, writer.expect("at least one segment was found"), spare)
        };
        if found.was_cut {
            wal.roll()?;
        }
        wal.spare.begin();
        Ok(wal)
    }

    fn begin(
        device: Arc<dyn LogDevice>,
        mut spare: Spare,
        segment_bytes: u32,
        log_id: u128,
        last_epoch: u32,
    ) -> Result<Wal, WalError> {
        spare.wait().map_err(WalError::io("making the first log segment"))?;
        let opening = WalError::io("naming the first log segment");
        let writer = device.adopt_spare(Lsn(1)).map_err(opening)?;
        spare.used();
        spare.begin();
        let mut wal = Wal {
            log_id,
            stamp: Stamp::new(log_id, last_epoch),
            ..Wal::empty(device, segment_bytes, writer, spare)
        };
        wal.write_header()?;
        let sync = wal.sync_request().map(SyncRequest::run);
        if let Some(outcome) = sync {
            wal.synced(&outcome)?;
        }
        Ok(wal)
    }

    fn empty(
        device: Arc<dyn LogDevice>,
        segment_bytes: u32,
        writer: Box<dyn SegmentWriter>,
        spare: Spare,
    ) -> Wal {
        Wal {
            device,
            segment_bytes,
            log_id: 0,
            stamp: Stamp::new(0, 0),
            segments: Vec::new(),
            writer,
            end: 0,
            last_crc: 0,
            next_lsn: Lsn(1),
            durable: Lsn(0),
            unsynced: Vec::new(),
            names_unsynced: true,
            syncing: false,
            syncs: 0,
            vouched: Lsn(0),
            mark_unsynced: false,
            spare,
            spare_retry_at: Timestamp(0),
            scratch: Vec::new(),
        }
    }

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
            bytes: self.segments.iter().map(|held| u64::from(held.shared.bytes())).sum(),
        }
    }

    /// Whether `bytes` of new jobs may be accepted: they fit into this segment, or there is a next one; and the
    /// reserve stays free for the polls and acks of what was accepted before.
    ///
    /// # Errors
    /// `Full` when not. `now` bounds how often making a segment is tried again.
    pub fn room_for_jobs(&mut self, bytes: usize, now: Timestamp) -> Result<(), WalError> {
        let reserve = RESERVE_BYTES.min(self.segment_bytes / 4) as usize;
        if bytes + reserve <= self.free_bytes() {
            return Ok(());
        }
        let outcome = self.spare_for_jobs(now);
        if let Err(error @ WalError::Io { .. }) = &outcome {
            log::warn!("{error}; new jobs are refused until there is space");
            self.spare_retry_at = now.plus(SPARE_RETRY);
        }
        outcome.map_err(|_| WalError::Full)
    }

    /// Bytes that are free in the newest segment, whatever its size is.
    fn free_bytes(&self) -> usize {
        self.writer.shared().bytes().saturating_sub(self.end) as usize
    }

    /// Waits for the spare that is nearly there in the usual course; but once one could not be made, tries again
    /// beside the loop, and says no until it is there.
    fn spare_for_jobs(&mut self, now: Timestamp) -> Result<(), WalError> {
        if self.spare_retry_at == Timestamp(0) {
            return self.spare.wait().map_err(WalError::io("making a log segment"));
        }
        if self.spare.poll().map_err(WalError::io("making a log segment"))? {
            self.spare_retry_at = Timestamp(0);
            return Ok(());
        }
        if now >= self.spare_retry_at {
            self.spare.begin();
        }
        Err(WalError::Full)
    }

    /// Makes sure that a group of `bytes` (the sum of its records' [`record_bytes`]) lies in one segment.
    ///
    /// # Errors
    /// `Full`, or `Io`; the log takes no more records then.
    pub fn begin_group(&mut self, bytes: usize) -> Result<(), WalError> {
        let fits_a_segment = bytes + SEGMENT_HEADER_BYTES <= self.segment_bytes as usize;
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

    /// Whether everything is durable and nothing in the log says so yet.
    #[must_use]
    pub fn wants_mark(&self) -> bool {
        self.durable == self.last_lsn() && self.durable > self.vouched && !self.syncing
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
        let crc = encode_header(&fields, seed, head, tail, &mut self.scratch);
        self.scratch.extend_from_slice(head);
        let tail_offset = self.end + u32::try_from(self.scratch.len()).expect("a record is within its limit");
        let whole = record_bytes(head.len() + tail.len());
        let end = self.end + u32::try_from(whole).expect("a record is within its limit");
        let writing = || WalError::io("writing to the log");
        self.writer.write_at(self.end, &self.scratch).map_err(writing())?;
        self.writer.write_at(tail_offset, tail).map_err(writing())?;
        self.writer.publish(end);
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
        let index = self.segments.binary_search_by_key(&at.epoch, |held| held.epoch);
        let held = &self.segments[index.expect("a payload lies in a segment of this log")];
        Arc::clone(&held.shared).payload(at.offset, bytes).map_err(WalError::io("reading a payload"))
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
        let mut segments = std::mem::take(&mut self.unsynced);
        segments.push(self.writer.shared());
        let names = std::mem::take(&mut self.names_unsynced).then(|| Arc::clone(&self.device));
        Some(SyncRequest { lsn: self.last_lsn(), segments, names })
    }

    /// Takes the outcome of the sync that was asked for.
    ///
    /// # Errors
    /// `Io` if it failed. Never sync again then: the next one may say OK without the data being there.
    pub fn synced(&mut self, outcome: &SyncOutcome) -> Result<(), WalError> {
        self.syncing = false;
        self.syncs += 1;
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
        self.spare.wait().map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WalError::Full,
            _ => WalError::io("making a log segment")(error),
        })?;
        let writer = self.device.adopt_spare(self.next_lsn).map_err(WalError::io("naming a log segment"))?;
        self.spare.used();
        self.spare.begin();
        self.unsynced.push(std::mem::replace(&mut self.writer, writer).shared());
        self.names_unsynced = true;
        self.write_header()
    }

    fn write_header(&mut self) -> Result<(), WalError> {
        let epoch = self.stamp.epoch + 1;
        self.stamp = Stamp { epoch, ..self.stamp };
        let header = SegmentHeader {
            log_id: self.log_id,
            epoch,
            segment_bytes: self.writer.shared().bytes(),
            first_lsn: self.next_lsn,
            durable: self.durable,
            before_end: self.end,
            before_crc: self.last_crc,
        };
        self.writer.write_at(0, &header.encode()).map_err(WalError::io("writing a segment's header"))?;
        self.end = SEGMENT_HEADER_BYTES as u32;
        self.last_crc = 0;
        self.vouched = self.durable;
        self.writer.publish(self.end);
        self.segments.push(HeldSegment { epoch, shared: self.writer.shared() });
        Ok(())
    }
}
