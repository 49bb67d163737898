//! Opening a log. The newest snapshot is taken in, the rest is replayed, and the end is mended. What a killed daemon
//! had not synced is made durable before it is told.

use std::sync::Arc;

use super::append::{HeldSegment, Wal, WalConfig, begin_segment};
use super::device::LogDevice;
use super::error::WalError;
use super::names;
use super::recovery::found::{Examined, FoundSegment};
use super::recovery::mend::mend;
use super::recovery::replay::{Inspected, inspect};
use super::recovery::salvage::Salvage;
use super::recovery::{Progress, Restore};
use super::segment::Covered;
use super::segment::header::SegmentHeader;
use super::segment::spares::Spares;
use super::segment::writer::RecordWriter;
use super::snapshot::file::{HEADER_BYTES, KeptSnapshot, SnapshotHeader};
use crate::ids::Lsn;
use crate::limits::{SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_PAGE_BYTES};
use crate::time::Timestamp;

impl Wal {
    /// Opens a log, rebuilds the state, and makes the log ready to append. A log that is not there is begun.
    /// Damage is refused and changes nothing.
    pub fn open(
        device: Arc<dyn LogDevice>,
        config: WalConfig,
        progress: &Progress,
        restore: &mut dyn Restore,
    ) -> Result<Wal, WalError> {
        let Inspected { examined, snapshot, damaged_snapshots } = inspect(&*device, progress, restore)?;
        restore.ended(&|epoch| examined.segments.iter().any(|segment| segment.header.epoch == epoch))?;
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

    /// Goes on behind the newest record that was found.
    fn go_on(device: Arc<dyn LogDevice>, config: WalConfig, found: &Examined) -> Result<Wal, WalError> {
        let last = found.segments.last().expect("at least one segment was found");
        let (segments, newest) = open_segments(&*device, found)?;
        let snapshots = list_snapshots(&*device)?;
        let base = snapshots.last().map_or(Lsn(0), |newest| newest.lsn);
        let behind = found.segments.iter().filter(|segment| segment.next_lsn.0 - 1 > base.0);
        let behind_bytes = behind.map(|segment| u64::from(segment.end)).sum();
        let spares = Spares::new(Arc::clone(&device), config.segment_bytes, config.beside)
            .map_err(WalError::io("looking for spare segments"))?;
        // A spare may have been the next segment for a while, until a power cut took that name back. Nothing else
        // tells of the epoch that it had then.
        let last_epoch =
            spares.last_epoch(found.last_epoch, found.next_lsn).map_err(WalError::io("looking at a spare segment"))?;
        let mut wal = Wal {
            log_id: last.header.log_id,
            last_epoch,
            segments,
            next_lsn: found.next_lsn,
            durable: Lsn(found.next_lsn.0 - 1),
            vouched: found.durable,
            names_unsynced: false,
            snapshots,
            behind_bytes,
            written_bytes: 0,
            ..Wal::empty(device, config, newest, spares)
        };
        if found.mending.cuts() {
            wal.go_on_after_cut()?;
        }
        Ok(wal)
    }

    /// After a cut the log goes on in a fresh segment, if there is space for one. Else it goes on in the cut one,
    /// which is clean to its end.
    fn go_on_after_cut(&mut self) -> Result<(), WalError> {
        match self.roll() {
            Err(WalError::Full) => {
                log::warn!("there is no space for a fresh segment; the log goes on in the one that was cut");
                Ok(())
            }
            outcome => {
                outcome?;
                self.sync_now()
            }
        }
    }

    /// Begins a log whose first record gets the LSN `first`.
    pub(super) fn begin(
        device: Arc<dyn LogDevice>,
        config: WalConfig,
        first: Lsn,
        last_epoch: u32,
    ) -> Result<Wal, WalError> {
        let making = || WalError::io("making the first log segment");
        let mut spares = Spares::new(Arc::clone(&device), config.segment_bytes, config.beside).map_err(making())?;
        let epoch = spares.last_epoch(last_epoch, first).map_err(making())? + 1;
        let spare = spares.take().map_err(making())?;
        let durable = Lsn(first.0 - 1);
        let header = SegmentHeader {
            log_id: config.log_id,
            epoch,
            segment_bytes: config.segment_bytes,
            first_lsn: first,
            durable,
            before_end: 0,
            before_crc: 0,
            used_before: spare.used_before,
        };
        let newest = begin_segment(&*device, &spare, &header)?;
        let mut wal = Wal {
            log_id: config.log_id,
            last_epoch: epoch,
            segments: vec![HeldSegment::begun(&newest, first)],
            next_lsn: first,
            durable,
            vouched: durable,
            mark_unsynced: true,
            ..Wal::empty(device, config, newest, spares)
        };
        wal.sync_now()?;
        Ok(wal)
    }

    fn empty(device: Arc<dyn LogDevice>, config: WalConfig, newest: RecordWriter, spares: Spares) -> Wal {
        Wal {
            spares,
            is_over: false,
            reserved: 0,
            room_ahead: u64::from(config.segment_bytes) / 2,
            device,
            config,
            log_id: 0,
            last_epoch: 0,
            segments: Vec::new(),
            newest,
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
            behind_bytes: 0,
            written_bytes: 0,
        }
    }
}

/// Opens the segments that were found, and the newest one to be written.
fn open_segments(device: &dyn LogDevice, found: &Examined) -> Result<(Vec<HeldSegment>, RecordWriter), WalError> {
    let mut segments = Vec::new();
    let mut newest = None;
    for FoundSegment { header, end, crc, next_lsn } in &found.segments {
        let name = names::segment(header.first_lsn);
        let opened = device.open(&name, *end).map_err(WalError::io(format!("opening segment {name}")))?;
        // What a killed daemon had not synced will be told from now on.
        if *next_lsn > found.durable {
            opened.shared().sync().map_err(WalError::io("syncing the recovered log"))?;
        }
        let (epoch, first) = (header.epoch, header.first_lsn);
        let covered = Covered { epoch, first, next: *next_lsn, end: *end, crc: *crc };
        segments.push(HeldSegment { covered, shared: opened.shared(), dead_at: None });
        newest = Some(RecordWriter::go_on(opened, header.stamp(), *end, *crc));
    }
    device.sync_names().map_err(WalError::io("syncing the data directory"))?;
    Ok((segments, newest.expect("at least one segment was found")))
}

/// The snapshots that are kept, oldest first.
fn list_snapshots(device: &dyn LogDevice) -> Result<Vec<KeptSnapshot>, WalError> {
    let listed = device.names().map_err(WalError::io("listing the snapshots"))?;
    let kept = names::snapshots(&listed).into_iter().map(|lsn| {
        let name = names::snapshot(lsn);
        let bytes = device.bytes(&name).map_err(WalError::io("looking at a snapshot"))?;
        Ok(KeptSnapshot { lsn, bytes, at: begun_at(device, &name) })
    });
    kept.collect()
}

/// When a snapshot was begun. One that is damaged is met when it is needed, and keeps no master from its work before.
fn begun_at(device: &dyn LogDevice, name: &str) -> Timestamp {
    let header = device.read_piece(name, 0, HEADER_BYTES).map_err(|error| error.to_string());
    let header = header.and_then(|header| SnapshotHeader::decode(&header).map_err(|fault| fault.why));
    header.map_or_else(
        |why| {
            log::warn!("the snapshot {name} does not tell when it was made: {why}");
            Timestamp(0)
        },
        |header| header.at,
    )
}

/// Begins a log in an empty directory that goes on behind another. Its LSNs and epochs are above all that were ever
/// in use there.
pub fn begin_behind(device: Arc<dyn LogDevice>, salvage: &Salvage) -> Result<Wal, WalError> {
    let fits = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&salvage.segment_bytes)
        && (salvage.segment_bytes as usize).is_multiple_of(SEGMENT_PAGE_BYTES);
    let segment_bytes = if fits { salvage.segment_bytes } else { SEGMENT_BYTES_DEFAULT };
    let config = WalConfig { segment_bytes, log_id: salvage.log_id, beside: false };
    Wal::begin(device, config, Lsn(salvage.last_read.0 + salvage.unread_records + 1), salvage.last_epoch)
}
