//! Reading segments: what recovery and the commands of `falcon-cli wal` share. Nothing is changed here.

use std::convert::Infallible;
use std::ops::RangeInclusive;

use super::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::record::{KIND_MARK, RECORD_HEADER_BYTES, Record, Stamp, record_at};
use crate::ids::Lsn;
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_PAGE_BYTES};
use crate::planted::{Bug, is_planted};
use crate::wal::device::{LogDevice, Payload};
use crate::wal::error::{Bad, WalError};
use crate::wal::names;

/// Where the valid records of a segment end, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanEnd {
    /// Byte after the last whole group.
    pub offset: u32,
    /// LSN after that of the last whole group.
    pub next_lsn: Lsn,
    /// Checksum of the last record, 0 if there is none.
    pub crc: u32,
    /// Newest LSN that a record here names as durable.
    pub durable: Lsn,
    /// What stands there instead of a next record.
    pub bad: Bad,
}

impl ScanEnd {
    /// Refuses a segment (named by its first LSN) whose records end at one with unknown flags.
    pub fn known(self, first: Lsn) -> Result<ScanEnd, WalError> {
        let Bad::Flags(lsn, flags) = self.bad else { return Ok(self) };
        Err(WalError::in_file(|| names::segment(first))(WalError::flags(lsn, flags)))
    }
}

pub fn pass_over(content: &[u8], header: &SegmentHeader) -> Result<ScanEnd, WalError> {
    let Ok(end) = scan(content, header.stamp(), header.first_lsn, &mut |_| Ok::<(), Infallible>(()));
    end.known(header.first_lsn)
}

/// Visits the records of every whole group in a segment, in order, from `first` on; marks are not visited.
pub fn scan<'c, E>(
    content: &'c [u8],
    stamp: Stamp,
    first: Lsn,
    visit: &mut impl FnMut(&Record<'c>) -> Result<(), E>,
) -> Result<ScanEnd, E> {
    scan_from(content, SEGMENT_HEADER_BYTES as u32, stamp, first, visit)
}

/// The same from any place: a group that begins with the LSN `first` stands at `offset`.
pub fn scan_from<'c, E>(
    content: &'c [u8],
    offset: u32,
    stamp: Stamp,
    first: Lsn,
    visit: &mut impl FnMut(&Record<'c>) -> Result<(), E>,
) -> Result<ScanEnd, E> {
    let mut end = ScanEnd { offset, next_lsn: first, crc: 0, durable: Lsn(0), bad: Bad::Empty };
    let mut group = Vec::new();
    let (mut at, mut next) = (offset, first);
    let bad = loop {
        let record = match known_record_at(content, at, stamp) {
            Ok(mark) if mark.head.kind == KIND_MARK && mark.head.lsn.next() == next && group.is_empty() => {
                at = mark.end();
                (end.offset, end.crc, end.durable) = (at, mark.crc, end.durable.max(mark.head.durable));
                continue;
            }
            Ok(record) if record.head.kind != KIND_MARK && record.head.lsn == next => record,
            Ok(record) if is_planted(Bug::ReplayPastHole) && record.head.lsn > next => record,
            Ok(record) => break Bad::Lsn(record.head.lsn),
            Err(_) if is_planted(Bug::ReplayPastHole) && (at as usize) < content.len() => {
                at += 8;
                continue;
            }
            Err(bad) => break bad,
        };
        (at, next) = (record.end(), record.head.lsn.next());
        group.push(record);
        if record.head.more && !is_planted(Bug::GroupTorn) {
            continue;
        }
        for record in group.drain(..) {
            (end.durable, end.crc) = (end.durable.max(record.head.durable), record.crc);
            visit(&record)?;
        }
        (end.offset, end.next_lsn) = (at, next);
    };
    Ok(ScanEnd { bad, ..end })
}

fn known_record_at(content: &[u8], at: u32, stamp: Stamp) -> Result<Record<'_>, Bad> {
    let record = record_at(content, at, stamp)?;
    if record.unknown_flags == 0 { Ok(record) } else { Err(Bad::Flags(record.head.lsn, record.unknown_flags)) }
}

/// What valid records after a place tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Following {
    pub records: usize,
    /// The newest durable LSN that one of them names.
    pub durable: Lsn,
    pub epoch: u32,
}

/// Looks for valid records after `from` with this seed and an epoch in `epochs`. Only LSNs from `hole` on count, and
/// no more of them than the segment can hold.
pub fn valid_after(content: &[u8], from: u32, seed: u32, epochs: &RangeInclusive<u32>, hole: Lsn) -> Following {
    let mut following = Following::default();
    if content.get(from as usize..).is_none_or(is_zero) {
        return following;
    }
    let lsns = hole..=Lsn(hole.0.saturating_add((content.len() / RECORD_HEADER_BYTES) as u64));
    let mut at = from as usize;
    while at + RECORD_HEADER_BYTES <= content.len() {
        match plausible_record_at(content, at, seed, epochs).filter(|record| lsns.contains(&record.head.lsn)) {
            Some(record) => {
                following.records += 1;
                following.durable = following.durable.max(record.head.durable);
                following.epoch = following.epoch.max(record.head.epoch);
                at = record.end() as usize;
            }
            None => at += 8,
        }
    }
    following
}

/// Whether there is nothing but zeros; a page at a time, since segments are long.
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(SEGMENT_PAGE_BYTES).all(|chunk| *chunk == [0; SEGMENT_PAGE_BYTES][..chunk.len()])
}

/// A record at this place, if its epoch looks right; only then is the checksum worth computing.
pub fn plausible_record_at<'c>(
    content: &'c [u8],
    at: usize,
    seed: u32,
    epochs: &RangeInclusive<u32>,
) -> Option<Record<'c>> {
    let field = |offset: usize| content[at + offset..].first_chunk::<4>().copied().map(u32::from_le_bytes);
    let epoch = field(28).filter(|epoch| epochs.contains(epoch))?;
    if field(4)? == 0 {
        return None;
    }
    record_at(content, u32::try_from(at).ok()?, Stamp { epoch, seed }).ok()
}

pub fn read_segment(device: &dyn LogDevice, first: Lsn, content: &mut Vec<u8>) -> Result<SegmentHeader, WalError> {
    let name = names::segment(first);
    *content = device.read(&name).map_err(WalError::io(format!("reading segment {name}")))?;
    header_of(first, content)
}

/// Looks at one segment; see [`LogDevice::view`].
pub fn view_segment(device: &dyn LogDevice, first: Lsn) -> Result<Payload, WalError> {
    let name = names::segment(first);
    device.view(&name).map_err(WalError::io(format!("reading segment {name}")))
}

/// The same as it is on the disk, as far as that may differ: records up to the LSN `base`, and up to one that a
/// record here names as durable, were certainly synced. A failed sync may have left what follows in the system's
/// memory only.
pub fn view_from_disk(device: &dyn LogDevice, first: Lsn, base: Lsn) -> Result<Payload, WalError> {
    let synced = synced_bytes(first, base, view_segment(device, first)?.as_slice());
    let name = names::segment(first);
    device.distrust(&name, synced).map_err(WalError::io(format!("reading segment {name}")))?;
    view_segment(device, first)
}

fn synced_bytes(first: Lsn, base: Lsn, content: &[u8]) -> u32 {
    let Ok(header) = header_of(first, content) else { return 0 };
    let mut ends = Vec::new();
    let Ok(end) = scan(content, header.stamp(), first, &mut |record| {
        ends.push((record.head.lsn, record.end()));
        Ok::<(), Infallible>(())
    });
    let durable = end.durable.max(base);
    let synced = ends.partition_point(|(lsn, _)| *lsn <= durable);
    synced.checked_sub(1).map_or(0, |newest| ends[newest].1)
}

pub fn header_of(first: Lsn, content: &[u8]) -> Result<SegmentHeader, WalError> {
    let header = SegmentHeader::decode(content).map_err(|fault| WalError::header(first, fault))?;
    if header.first_lsn != first {
        return Err(WalError::OtherName { segment: first, log_id: header.log_id, epoch: header.epoch });
    }
    // A cut fills the file with zeros up to this length.
    if header.segment_bytes > SEGMENT_BYTES_MAX {
        return Err(WalError::Segment {
            segment: first,
            why: "its header says that it is longer than a segment can be",
        });
    }
    // A shorter file was cut off by somebody; what is left is judged like a torn tail.
    if content.len() > header.segment_bytes as usize {
        return Err(WalError::Segment { segment: first, why: "the file is longer than its header says" });
    }
    Ok(header)
}
