//! Opening a log: the newest snapshot is taken in, the rest is replayed, the end is mended, and what a killed daemon had
//! not synced is made durable before it is told.

use std::sync::Arc;

use super::error::ADVICE;
use super::mend::mend;
use super::names;
use super::record::{Record, Stamp};
use super::recover::{Examined, FoundSegment, Progress, examine};
use super::snapshots::{self, Covered, Loaded};
use super::spare::Spares;
use super::storage::{LogDevice, SegmentWriter};
use super::sync::SyncRequest;
use super::{HeldSegment, Wal, WalError};
use crate::ids::Lsn;
use crate::time::Timestamp;

/// Settings of a log.
#[derive(Clone, Copy, Debug)]
pub struct WalConfig {
    /// Size of the segments to come; one that is there may have another.
    pub segment_bytes: u32,
    /// Id of a log that is begun.
    pub log_id: u128,
    /// Whether spares and snapshots are made by threads beside the loop, or each step at once.
    pub beside: bool,
}

/// What is rebuilt from a log.
pub trait Restore {
    /// Takes a block of the snapshot, in the order in which they were written.
    ///
    /// # Errors
    /// `Replay` when it cannot be understood.
    fn block(&mut self, kind: u32, body: &[u8]) -> Result<(), WalError>;

    /// The snapshot is complete: it was begun at this moment, and holds everything up to this LSN.
    ///
    /// # Errors
    /// `Replay` when it does not fit together.
    fn loaded(&mut self, lsn: Lsn, at: Timestamp) -> Result<(), WalError>;

    /// Takes the next record.
    ///
    /// # Errors
    /// `Replay` when it does not fit what came before.
    fn record(&mut self, record: &Record<'_>) -> Result<(), WalError>;
}

/// What a directory holds, read and judged; nothing was changed.
#[derive(Debug)]
pub(super) struct Inspected {
    pub(super) examined: Examined,
    pub(super) snapshot: Option<Lsn>,
    pub(super) damaged_snapshots: Vec<WalError>,
}

/// Reads everything and rebuilds the state; nothing is changed.
pub(super) fn inspect(
    device: &dyn LogDevice,
    progress: &Progress,
    restore: &mut dyn Restore,
) -> Result<Inspected, WalError> {
    expect_all(device, progress)?;
    let (snapshot, mut damaged_snapshots) = snapshots::newest(device)?;
    let examined = match examine(device, snapshot.as_ref(), progress, restore) {
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

/// Counts what will be read.
fn expect_all(device: &dyn LogDevice, progress: &Progress) -> Result<(), WalError> {
    let listed = device.names().map_err(WalError::io("listing the data directory"))?;
    let segments = names::segments(&listed).into_iter().map(names::segment);
    let newest = names::snapshots(&listed).into_iter().rev().take(1).map(names::snapshot);
    for name in segments.chain(newest) {
        progress.expect(device.bytes(&name).map_err(WalError::io(format!("looking at {name}")))?);
    }
    Ok(())
}

/// Hands a snapshot's blocks over.
pub(super) fn take_in(
    snapshot: Option<&Loaded>,
    progress: &Progress,
    restore: &mut dyn Restore,
) -> Result<(), WalError> {
    let Some(snapshot) = snapshot else { return Ok(()) };
    for (kind, body) in snapshot.blocks() {
        restore.block(kind, body)?;
        progress.read(body.len());
    }
    restore.loaded(snapshot.lsn, snapshot.at)
}

impl Wal {
    /// Opens a log, rebuilds the state, and makes the log ready to append. A log that is not there is begun.
    ///
    /// # Errors
    /// See [`WalError`]; damage is refused and changes nothing.
    pub fn open(
        device: Arc<dyn LogDevice>,
        config: WalConfig,
        progress: &Progress,
        restore: &mut dyn Restore,
    ) -> Result<Wal, WalError> {
        let Inspected { examined, snapshot, damaged_snapshots } = inspect(&*device, progress, restore)?;
        mend(&*device, &examined.mending, examined.next_lsn)?;
        for error in &damaged_snapshots {
            let used = snapshot.map_or_else(
                || "the log, which is whole, was read instead".to_owned(),
                |lsn| format!("the one before it, {}, was used instead", names::snapshot(lsn)),
            );
            log::warn!("{error}; {used}, and nothing is lost");
            if let WalError::Snapshot { name, .. } = error {
                let aside = format!("{name}.cut");
                device.rename(name, &aside).map_err(WalError::io("moving a damaged snapshot away"))?;
            }
        }
        if examined.segments.is_empty() {
            return Wal::begin(device, config, examined.next_lsn, examined.last_epoch);
        }
        Wal::go_on(device, config, &examined)
    }

    fn go_on(device: Arc<dyn LogDevice>, config: WalConfig, found: &Examined) -> Result<Wal, WalError> {
        let mut segments = Vec::new();
        let mut writer = None;
        for FoundSegment { header, end, crc, next_lsn } in &found.segments {
            let name = names::segment(header.first_lsn);
            let opened = device.open(&name, *end).map_err(WalError::io(format!("opening segment {name}")))?;
            // What a killed daemon had written but not synced is told from now on, so it is made durable first.
            if *next_lsn > found.durable {
                opened.shared().sync().map_err(WalError::io("syncing the recovered log"))?;
            }
            let covered = Covered {
                epoch: header.epoch,
                first: header.first_lsn,
                next: *next_lsn,
                end: *end,
                crc: *crc,
            };
            segments.push(HeldSegment { covered, shared: opened.shared(), dead_at: None });
            writer = Some(opened);
        }
        device.sync_names().map_err(WalError::io("syncing the data directory"))?;
        let listed = device.names().map_err(WalError::io("listing the snapshots"))?;
        let snapshots = names::snapshots(&listed);
        let base = snapshots.last().copied().unwrap_or_default();
        let snapshot_bytes = snapshots.last().map_or(Ok(0), |lsn| device.bytes(&names::snapshot(*lsn)));
        let snapshot_bytes = snapshot_bytes.map_err(WalError::io("looking at the newest snapshot"))?;
        let behind = found.segments.iter().filter(|segment| segment.next_lsn.0 - 1 > base.0);
        let written_bytes = behind.map(|segment| u64::from(segment.end)).sum();
        let last = found.segments.last().expect("at least one segment was found");
        let writer = writer.expect("at least one segment was found");
        let empty = Wal::empty(device, config, writer)?;
        // A spare may have been the next segment for a while, until a power cut took that name back: the epoch that it
        // got then, which nothing else tells of, is not given again.
        let last_epoch =
            empty.spares.last_epoch(found.last_epoch).map_err(WalError::io("looking at a spare segment"))?;
        let mut wal = Wal {
            log_id: last.header.log_id,
            stamp: last.header.stamp(),
            last_epoch,
            segments,
            end: last.end,
            last_crc: last.crc,
            next_lsn: found.next_lsn,
            durable: Lsn(found.next_lsn.0 - 1),
            vouched: found.durable,
            names_unsynced: false,
            snapshots,
            snapshot_bytes,
            written_bytes,
            ..empty
        };
        if found.mending.cuts() {
            wal.go_on_after_cut()?;
        }
        Ok(wal)
    }

    /// After a cut the log goes on in a fresh segment, if there is space for one; the cut one is clean to its end, too.
    fn go_on_after_cut(&mut self) -> Result<(), WalError> {
        match self.roll() {
            Err(WalError::Full) => {
                log::warn!("there is no space for a fresh segment; the log goes on in the one that was cut");
                Ok(())
            }
            outcome => {
                outcome?;
                let sync = self.sync_request().map(SyncRequest::run);
                sync.map_or(Ok(()), |outcome| self.synced(&outcome))
            }
        }
    }

    /// Begins a log whose first record gets the LSN `first`.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn begin(
        device: Arc<dyn LogDevice>,
        config: WalConfig,
        first: Lsn,
        last_epoch: u32,
    ) -> Result<Wal, WalError> {
        let making = || WalError::io("making the first log segment");
        let mut spares =
            Spares::new(Arc::clone(&device), config.segment_bytes, config.beside).map_err(making())?;
        let last_epoch = spares.last_epoch(last_epoch).map_err(making())?;
        let spare = spares.take().map_err(making())?;
        let name = names::segment(first);
        device.rename(&spare.name, &name).map_err(WalError::io("naming the first log segment"))?;
        let writer = device.open(&name, 0).map_err(WalError::io("opening the first log segment"))?;
        let mut wal = Wal {
            log_id: config.log_id,
            stamp: Stamp::new(config.log_id, last_epoch),
            last_epoch,
            next_lsn: first,
            durable: Lsn(first.0 - 1),
            spares,
            ..Wal::empty(device, config, writer)?
        };
        wal.write_header(spare.used_before)?;
        wal.mark_unsynced = true;
        let sync = wal.sync_request().map(SyncRequest::run);
        if let Some(outcome) = sync {
            wal.synced(&outcome)?;
        }
        Ok(wal)
    }

    fn empty(
        device: Arc<dyn LogDevice>,
        config: WalConfig,
        writer: Box<dyn SegmentWriter>,
    ) -> Result<Wal, WalError> {
        let spares = Spares::new(Arc::clone(&device), config.segment_bytes, config.beside)
            .map_err(WalError::io("looking for spare segments"))?;
        Ok(Wal {
            spares,
            room_ahead: u64::from(config.segment_bytes) / 2,
            device,
            config,
            log_id: 0,
            stamp: Stamp::new(0, 0),
            last_epoch: 0,
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
            spare_retry_at: Timestamp(0),
            snapshots: Vec::new(),
            snapshot_bytes: 0,
            written_bytes: 0,
            scratch: Vec::new(),
        })
    }
}
