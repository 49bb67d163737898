//! The log as a value: records are appended to its newest segment, and made durable by syncs that its caller asks
//! for.

use std::io;
use std::sync::Arc;

use super::device::{LogDevice, Payload, SharedFile};
use super::error::{WalError, is_lack_of_space};
use super::names;
use super::segment::Covered;
use super::segment::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::segment::record::{KIND_MARK, RecordHead, record_bytes};
use super::segment::spare_file::SpareFile;
use super::segment::spares::Spares;
use super::segment::writer::RecordWriter;
use super::snapshot::file::KeptSnapshot;
use super::sync::{SyncOutcome, SyncRequest};
use crate::ids::{Location, Lsn};
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

#[derive(Clone, Copy, Debug)]
pub struct WalConfig {
    /// Size of the segments to come; one that is there may have another.
    pub segment_bytes: u32,
    /// Id of a log that is begun.
    pub log_id: u128,
    /// Whether spares and snapshots are made by threads beside the loop, or each step at once.
    pub beside: bool,
}

#[derive(Debug)]
pub struct Wal {
    pub(super) device: Arc<dyn LogDevice>,
    pub(super) config: WalConfig,
    pub(super) log_id: u128,
    /// No epoch above this was ever in use.
    pub(super) last_epoch: u32,
    /// All segments, oldest first; the last one is written.
    pub(super) segments: Vec<HeldSegment>,
    pub(super) newest: RecordWriter,
    pub(super) next_lsn: Lsn,
    pub(super) durable: Lsn,
    /// Full segments that no sync has covered yet.
    pub(super) unsynced: Vec<Arc<dyn SharedFile>>,
    pub(super) names_unsynced: bool,
    pub(super) syncing: bool,
    pub(super) syncs: u64,
    /// The newest durable LSN that the log itself names.
    pub(super) vouched: Lsn,
    pub(super) mark_unsynced: bool,
    pub(super) spares: Spares,
    /// Whether the files have come to their bound.
    pub(super) is_over: bool,
    /// Bytes that are kept for what happens to accepted jobs.
    pub(super) reserved: u64,
    /// Bytes that should be free in the newest segment and in spares.
    pub(super) room_ahead: u64,
    /// When a spare is tried again; 0 unless one could not be made.
    pub(super) spare_retry_at: Timestamp,
    /// The snapshots that are kept, oldest first.
    pub(super) snapshots: Vec<KeptSnapshot>,
    /// Bytes of the log behind the newest snapshot when it was opened.
    pub(super) behind_bytes: u64,
    /// Bytes that were written since it was opened.
    pub(super) written_bytes: u64,
}

/// A segment in use. Of the newest one it tells how that began, not where it ends by now.
#[derive(Debug)]
pub struct HeldSegment {
    pub(super) covered: Covered,
    pub(super) shared: Arc<dyn SharedFile>,
    /// The newest LSN at the moment when it was first seen that nothing in it lives.
    pub(super) dead_at: Option<Lsn>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalStats {
    pub records: u64,
    /// Times that the log was made durable since it was opened.
    pub syncs: u64,
    pub durable: Lsn,
    pub segments: u32,
    pub bytes: u64,
    /// Bytes that were written since it was opened.
    pub written_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    pub at: Timestamp,
    pub kind: u8,
    /// The body's first part.
    pub head: &'a [u8],
    /// The body's second part, copied straight to its place.
    pub tail: &'a [u8],
    /// Whether the next record belongs to the same group.
    pub more: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub lsn: Lsn,
    pub tail_at: Location,
}

impl Wal {
    pub fn last_lsn(&self) -> Lsn {
        Lsn(self.next_lsn.0 - 1)
    }

    pub fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    pub fn durable(&self) -> Lsn {
        self.durable
    }

    pub fn stats(&self) -> WalStats {
        WalStats {
            records: self.last_lsn().0,
            syncs: self.syncs,
            durable: self.durable,
            segments: u32::try_from(self.segments.len()).expect("segments are counted in 32 bits"),
            bytes: self.segment_bytes_held(),
            written_bytes: self.written_bytes,
        }
    }

    /// Makes sure that a group of `bytes` (the sum of its records' [`record_bytes`]) lies in one segment.
    /// After an error the log takes no more records.
    pub fn begin_group(&mut self, bytes: usize) -> Result<(), WalError> {
        let fits_a_segment = bytes + SEGMENT_HEADER_BYTES <= self.config.segment_bytes as usize;
        assert!(fits_a_segment, "a group of {bytes} bytes fits into a segment");
        if bytes > self.newest.free_bytes() {
            self.roll()?;
        }
        Ok(())
    }

    /// Appends a record of the group that was begun.
    pub fn append(&mut self, record: &NewRecord<'_>) -> Result<Appended, WalError> {
        let lsn = self.next_lsn;
        let tail_at = self.write_record(lsn, record)?;
        self.next_lsn = lsn.next();
        Ok(Appended { lsn, tail_at })
    }

    /// Whether everything is durable and nothing in the log says so yet. On a full disk no mark is wanted: what is
    /// left is kept for the jobs.
    pub fn wants_mark(&self) -> bool {
        let is_unvouched = self.durable == self.last_lsn() && self.durable > self.vouched;
        is_unvouched && !self.syncing && !self.is_short_of_space()
    }

    /// Writes a mark. Once it is durable itself, it vouches for the newest record. Where there is no room for one,
    /// none is written: the header of the next segment will vouch.
    pub fn append_mark(&mut self, at: Timestamp) -> Result<(), WalError> {
        if record_bytes(0) <= self.newest.free_bytes() {
            let mark = NewRecord { at, kind: KIND_MARK, head: &[], tail: &[], more: false };
            self.write_record(self.last_lsn(), &mark)?;
            self.mark_unsynced = true;
        }
        self.vouched = self.durable;
        Ok(())
    }

    /// Writes a record to the end of the newest segment; returns where its body's second part lies.
    pub(super) fn write_record(&mut self, lsn: Lsn, record: &NewRecord<'_>) -> Result<Location, WalError> {
        let NewRecord { at, kind, head, tail, more } = *record;
        let (epoch, durable, begun) = (self.newest.stamp().epoch, self.durable, self.newest.end());
        let fields = RecordHead { lsn, at, term: 0, epoch, durable, kind, more };
        let tail_at = self.newest.append(&fields, head, tail).map_err(WalError::io("writing to the log"))?;
        self.written_bytes += u64::from(self.newest.end() - begun);
        self.vouched = self.vouched.max(durable);
        Ok(tail_at)
    }

    /// Lends bytes of the log.
    pub fn payload(&self, at: Location, bytes: u32) -> Result<Payload, WalError> {
        let held = self.held(at.epoch).expect("a payload lies in a segment of this log");
        Arc::clone(&held.shared).payload(at.offset, bytes).map_err(WalError::io("reading a payload"))
    }

    /// Reads bytes of the log from the device, and not through a map: a bad sector is an error so.
    pub fn read(&self, at: Location, bytes: u32, into: &mut Vec<u8>) -> Result<(), WalError> {
        let held = self.held(at.epoch).expect("a text lies in a segment of this log");
        into.resize(bytes as usize, 0);
        held.shared.read_at(at.offset, into).map_err(WalError::io("reading back from the log"))
    }

    /// A short payload that was appended a moment ago, in place; nothing for any other.
    pub fn fresh_payload(&self, at: Location, bytes: u32) -> Option<&[u8]> {
        self.newest.fresh_payload(at, bytes)
    }

    /// Whether anything was appended that no sync has covered.
    pub fn has_unsynced(&self) -> bool {
        self.last_lsn() > self.durable || self.names_unsynced || self.mark_unsynced
    }

    pub fn is_syncing(&self) -> bool {
        self.syncing
    }

    /// How many syncs were asked for since the log was opened.
    pub fn syncs_asked_for(&self) -> u64 {
        self.syncs + u64::from(self.syncing)
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
        Some(SyncRequest { lsn: self.last_lsn(), newest: self.newest.shared(), full, names })
    }

    /// Makes durable what is not yet, and waits for it.
    pub fn sync_now(&mut self) -> Result<(), WalError> {
        self.sync_request().map(SyncRequest::run).map_or(Ok(()), |outcome| self.synced(&outcome))
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
            let source = error
                .raw_os_error()
                .map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error);
            return Err(WalError::Io { doing: String::from("making the log durable"), source });
        }
        self.durable = self.durable.max(outcome.lsn);
        Ok(())
    }

    /// Whether a spare could not be made for want of space.
    pub(super) fn is_short_of_space(&self) -> bool {
        self.spare_retry_at > Timestamp(0)
    }

    pub(super) fn segment_bytes_held(&self) -> u64 {
        self.segments.iter().map(|held| u64::from(held.shared.bytes())).sum()
    }

    pub(super) fn held(&self, epoch: u32) -> Option<&HeldSegment> {
        let index = self.segments.binary_search_by_key(&epoch, |held| held.covered.epoch).ok()?;
        Some(&self.segments[index])
    }

    pub(super) fn roll(&mut self) -> Result<(), WalError> {
        let spare = self.spares.take().map_err(|error| match error {
            error if is_lack_of_space(&error) => WalError::Full,
            error => WalError::io("making a log segment")(error),
        })?;
        let (end, crc, next) = (self.newest.end(), self.newest.last_crc(), self.next_lsn);
        if let Some(before) = self.segments.last_mut() {
            before.covered = Covered { next, end, crc, ..before.covered };
        }
        let header = SegmentHeader {
            log_id: self.log_id,
            epoch: self.last_epoch + 1,
            segment_bytes: self.config.segment_bytes,
            first_lsn: next,
            durable: self.durable,
            before_end: end,
            before_crc: crc,
            used_before: spare.used_before,
        };
        let newest = begin_segment(&*self.device, &spare, &header)?;
        self.unsynced.push(std::mem::replace(&mut self.newest, newest).shared());
        self.last_epoch = header.epoch;
        self.names_unsynced = true;
        self.vouched = self.durable;
        self.segments.push(HeldSegment::begun(&self.newest, next));
        log::info!("a segment begins at record {next}; there are {}", self.segments.len());
        Ok(())
    }
}

impl HeldSegment {
    pub(super) fn begun(writer: &RecordWriter, first: Lsn) -> HeldSegment {
        let covered = Covered { epoch: writer.stamp().epoch, first, next: first, end: writer.end(), crc: 0 };
        HeldSegment { covered, shared: writer.shared(), dead_at: None }
    }
}

/// Makes a segment of a spare: gives it the name, opens it and writes the header.
pub(super) fn begin_segment(
    device: &dyn LogDevice,
    spare: &SpareFile,
    header: &SegmentHeader,
) -> Result<RecordWriter, WalError> {
    let name = names::segment(header.first_lsn);
    device.rename(&spare.name, &name).map_err(WalError::io("naming a log segment"))?;
    let file = device.open(&name, 0).map_err(WalError::io("opening a log segment"))?;
    RecordWriter::begin(file, header).map_err(WalError::io("writing a segment's header"))
}
