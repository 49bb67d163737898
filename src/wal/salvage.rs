//! Reading across damage: every record that is whole, whatever stands around it, and a fresh log behind it all. For repair
//! alone; recovery never looks past a hole.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::dir::DirDevice;
use super::names;
use super::open::take_in;
use super::reader::plausible_record_at;
use super::record::{KIND_MARK, RECORD_HEADER_BYTES, Record, Stamp};
use super::recover::Progress;
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::snapshots;
use super::storage::LogDevice;
use super::{Restore, Wal, WalConfig, WalError};
use crate::ids::Lsn;
use crate::limits::{SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_PAGE_BYTES};

/// What is known of a log whose files are damaged.
#[derive(Clone, Copy, Debug)]
pub struct Salvage {
    log_id: u128,
    segment_bytes: u32,
    /// The highest epoch that may have been in use.
    last_epoch: u32,
    /// LSN of the newest record that can be read.
    pub last_read: Lsn,
    /// How many records may follow it that cannot be read.
    pub unread_records: u64,
}

/// Takes in the newest snapshot that is whole; returns its LSN, 0 without one.
///
/// # Errors
/// `Io`, or what is rebuilt refuses a block.
pub fn newest_snapshot(device: &DirDevice, restore: &mut dyn Restore) -> Result<Lsn, WalError> {
    let (snapshot, _) = snapshots::newest(device)?;
    take_in(snapshot.as_ref(), &Progress::default(), restore)?;
    Ok(snapshot.map_or(Lsn(0), |loaded| loaded.lsn))
}

/// Visits every whole record in every segment, in order. What cannot be read is taken for zeros.
///
/// # Errors
/// `Segment` when nothing tells which log this is; the visitor's as it is.
pub fn visit_whole<E: From<WalError>>(
    device: &DirDevice,
    mut visit: impl FnMut(&Record<'_>) -> Result<(), E>,
) -> Result<Salvage, E> {
    let listed = device.names().map_err(WalError::io("listing the segments"))?;
    let firsts = names::segments(&listed);
    let headers: Vec<Option<SegmentHeader>> = firsts.iter().map(|first| header(device, *first)).collect();
    let (snapshot, _) = snapshots::newest(device)?;
    let log_id = headers.iter().flatten().map(|header| header.log_id).next();
    let Some(log_id) = log_id.or(snapshot.as_ref().map(|loaded| loaded.log_id)) else {
        let segment = firsts.first().copied().unwrap_or(Lsn(1));
        let why = "no segment's header and no snapshot tells which log this is".to_owned();
        return Err(WalError::Segment { segment, why }.into());
    };
    let seed = Stamp::new(log_id, 0).seed;
    let mut salvage = Salvage {
        log_id,
        segment_bytes: headers.iter().flatten().map(|header| header.segment_bytes).max().unwrap_or(0),
        last_epoch: snapshot
            .as_ref()
            .and_then(|loaded| loaded.covered.last())
            .map_or(0, |newest| newest.epoch),
        last_read: snapshot.as_ref().map_or(Lsn(0), |loaded| loaded.lsn),
        unread_records: 0,
    };
    for (index, first) in firsts.iter().enumerate() {
        let content = read_around(device, *first)?;
        let before = headers[..index].iter().rev().flatten().next().map_or(0, |header| header.epoch);
        let after = headers[index + 1..].iter().flatten().next().map_or(u32::MAX, |header| header.epoch);
        let epochs = match &headers[index] {
            Some(header) => header.epoch..=header.epoch,
            None => before.saturating_add(1)..=after.saturating_sub(1),
        };
        let end = walk(&content, *first, seed, &epochs, &mut |record| {
            salvage.last_read = salvage.last_read.max(record.head.lsn);
            salvage.last_epoch = salvage.last_epoch.max(record.head.epoch);
            if record.head.kind == KIND_MARK { Ok(()) } else { visit(record) }
        })?;
        salvage.last_read = salvage.last_read.max(Lsn(first.0 - 1));
        salvage.unread_records = ((content.len() - end) / RECORD_HEADER_BYTES) as u64;
    }
    let headers_epoch = headers.iter().flatten().map(|header| header.epoch).max().unwrap_or(0);
    // Segments without a header may have had epochs of their own.
    let unknown = u32::try_from(headers.iter().filter(|header| header.is_none()).count()).unwrap_or(u32::MAX);
    salvage.last_epoch = salvage.last_epoch.max(headers_epoch).saturating_add(unknown);
    Ok(salvage)
}

/// Begins a log in an empty directory that goes on behind another: each of its LSNs and epochs is above all that were
/// ever in use there.
///
/// # Errors
/// `Io`.
pub fn begin_behind(device: Arc<dyn LogDevice>, salvage: &Salvage) -> Result<Wal, WalError> {
    let fits = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&salvage.segment_bytes)
        && (salvage.segment_bytes as usize).is_multiple_of(SEGMENT_PAGE_BYTES);
    let segment_bytes = if fits { salvage.segment_bytes } else { SEGMENT_BYTES_DEFAULT };
    let config = WalConfig { segment_bytes, log_id: salvage.log_id, beside: false };
    let first = Lsn(salvage.last_read.0 + salvage.unread_records + 1);
    Wal::begin(device, config, first, salvage.last_epoch)
}

fn header(device: &DirDevice, first: Lsn) -> Option<SegmentHeader> {
    let head = device.read_piece(&names::segment(first), 0, SEGMENT_HEADER_BYTES).ok()?;
    SegmentHeader::decode(&head).ok().filter(|header| header.first_lsn == first)
}

/// A file's content, with zeros in place of what the disk refuses to give.
fn read_around(device: &DirDevice, first: Lsn) -> Result<Vec<u8>, WalError> {
    let name = names::segment(first);
    let mut content = Vec::new();
    if device.read(&name, &mut content).is_ok() {
        return Ok(content);
    }
    let bytes = device.bytes(&name).map_err(WalError::io(format!("looking at {name}")))?;
    content = vec![0; usize::try_from(bytes).unwrap_or(0).min(SEGMENT_BYTES_MAX as usize)];
    for (number, page) in (0..).zip(content.chunks_mut(SEGMENT_PAGE_BYTES)) {
        let read = device.read_piece(&name, number * SEGMENT_PAGE_BYTES as u32, page.len());
        if let Some(read) = read.ok().filter(|read| read.len() == page.len()) {
            page.copy_from_slice(&read);
        }
    }
    Ok(content)
}

/// Visits the whole records of a segment; returns where the last one ends.
fn walk<E>(
    content: &[u8],
    first: Lsn,
    seed: u32,
    epochs: &RangeInclusive<u32>,
    visit: &mut impl FnMut(&Record<'_>) -> Result<(), E>,
) -> Result<usize, E> {
    let mut lsns = first..=Lsn(first.0.saturating_add((content.len() / RECORD_HEADER_BYTES) as u64));
    let (mut at, mut end) = (SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES.min(content.len()));
    while at + RECORD_HEADER_BYTES <= content.len() {
        let record = plausible_record_at(content, at, seed, epochs);
        let Some(record) = record.filter(|record| lsns.contains(&record.head.lsn)) else {
            at += 8;
            continue;
        };
        visit(&record)?;
        // Not the next one: a mark has the LSN of the record before it.
        lsns = record.head.lsn..=*lsns.end();
        at = record.end() as usize;
        end = at.min(content.len());
    }
    Ok(end)
}
