//! Reading across damage: every record that is whole, whatever stands around it. For repair alone; recovery never
//! looks past a hole.

use std::ops::RangeInclusive;

use super::replay::take_in;
use super::{Progress, Restore, later};
use crate::ids::Lsn;
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_PAGE_BYTES};
use crate::wal::device::LogDevice;
use crate::wal::error::WalError;
use crate::wal::names;
use crate::wal::segment::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::wal::segment::reader::plausible_record_at;
use crate::wal::segment::record::{KIND_MARK, RECORD_HEADER_BYTES, Record, Stamp};
use crate::wal::snapshot::reading::{Loaded, newest};

/// What is known of a log whose files are damaged.
#[derive(Clone, Copy, Debug)]
pub struct Salvage {
    pub log_id: u128,
    pub segment_bytes: u32,
    /// The highest epoch that may have been in use.
    pub last_epoch: u32,
    /// LSN of the newest record that can be read.
    pub last_read: Lsn,
    /// How many records may follow it that cannot be read.
    pub unread_records: u64,
}

/// Takes in the newest snapshot that is whole; returns its LSN, 0 without one.
pub fn newest_snapshot(device: &dyn LogDevice, restore: &mut dyn Restore) -> Result<Lsn, WalError> {
    let (snapshot, _) = newest(device)?;
    take_in(snapshot.as_ref(), &Progress::default(), restore)?;
    Ok(snapshot.map_or(Lsn(0), |loaded| loaded.lsn))
}

/// Visits every whole record in every segment, in order. What cannot be read is taken for zeros.
pub fn visit_whole(
    device: &dyn LogDevice,
    mut visit: impl FnMut(&Record<'_>) -> Result<(), WalError>,
) -> Result<Salvage, WalError> {
    let listed = device.names().map_err(WalError::io("listing the segments"))?;
    later::refuse(device, &listed)?;
    let firsts = names::segments(&listed);
    let headers: Vec<Option<SegmentHeader>> = firsts.iter().map(|first| header(device, *first)).collect();
    let (snapshot, _) = newest(device)?;
    let mut salvage = Salvage::from_heads(&firsts, &headers, snapshot.as_ref())?;
    let seed = Stamp::new(salvage.log_id, 0).seed;
    for (index, first) in firsts.iter().enumerate() {
        let content = read_around(device, *first)?;
        let epochs = epochs_at(&headers, index);
        let end = walk(&content, *first, seed, &epochs, &mut |record| {
            record.known()?;
            salvage.last_read = salvage.last_read.max(record.head.lsn);
            salvage.last_epoch = salvage.last_epoch.max(record.head.epoch);
            if record.head.kind == KIND_MARK { Ok(()) } else { visit(record) }
        });
        let end = end.map_err(WalError::in_file(|| names::segment(*first)))?;
        salvage.last_read = salvage.last_read.max(Lsn(first.0 - 1));
        salvage.unread_records = ((content.len() - end) / RECORD_HEADER_BYTES) as u64;
    }
    // Segments without a header may have had epochs of their own.
    let unknown = u32::try_from(headers.iter().filter(|header| header.is_none()).count()).unwrap_or(u32::MAX);
    salvage.last_epoch = salvage.last_epoch.saturating_add(unknown);
    Ok(salvage)
}

impl Salvage {
    /// What the headers and the snapshot tell.
    fn from_heads(
        firsts: &[Lsn],
        headers: &[Option<SegmentHeader>],
        snapshot: Option<&Loaded>,
    ) -> Result<Salvage, WalError> {
        let whole = || headers.iter().flatten();
        let log_id = whole().map(|header| header.log_id).next();
        let Some(log_id) = log_id.or(snapshot.map(|loaded| loaded.log_id)) else {
            let segment = firsts.first().copied().unwrap_or(Lsn(1));
            let why = "no segment's header and no snapshot tells which log this is";
            return Err(WalError::Segment { segment, why });
        };
        let covered = snapshot.and_then(|loaded| loaded.covered.last()).map(|newest| newest.epoch);
        Ok(Salvage {
            log_id,
            segment_bytes: whole().map(|header| header.segment_bytes).max().unwrap_or(0),
            last_epoch: whole().map(|header| header.epoch).chain(covered).max().unwrap_or(0),
            last_read: snapshot.map_or(Lsn(0), |loaded| loaded.lsn),
            unread_records: 0,
        })
    }
}

/// The epochs that the records of a segment may have: without its header, any between those around it.
fn epochs_at(headers: &[Option<SegmentHeader>], index: usize) -> RangeInclusive<u32> {
    if let Some(header) = &headers[index] {
        return header.epoch..=header.epoch;
    }
    let before = headers[..index].iter().rev().flatten().next().map_or(0, |header| header.epoch);
    let after = headers[index + 1..].iter().flatten().next().map_or(u32::MAX, |header| header.epoch);
    before.saturating_add(1)..=after.saturating_sub(1)
}

fn header(device: &dyn LogDevice, first: Lsn) -> Option<SegmentHeader> {
    let head = device.read_piece(&names::segment(first), 0, SEGMENT_HEADER_BYTES).ok()?;
    SegmentHeader::decode(&head).ok().filter(|header| header.first_lsn == first)
}

/// A file's content, with zeros in place of what the disk refuses to give.
fn read_around(device: &dyn LogDevice, first: Lsn) -> Result<Vec<u8>, WalError> {
    let name = names::segment(first);
    if let Ok(content) = device.read(&name) {
        return Ok(content);
    }
    let bytes = device.bytes(&name).map_err(WalError::io(format!("looking at {name}")))?;
    let mut content = vec![0; usize::try_from(bytes).unwrap_or(0).min(SEGMENT_BYTES_MAX as usize)];
    for (number, page) in (0..).zip(content.chunks_mut(SEGMENT_PAGE_BYTES)) {
        let read = device.read_piece(&name, number * SEGMENT_PAGE_BYTES as u64, page.len());
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
