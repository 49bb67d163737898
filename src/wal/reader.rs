//! Reading segments: what recovery and the commands of `falcon-cli wal` share. Nothing is changed here.

use std::ops::RangeInclusive;

use super::WalError;
use super::names;
use super::record::{Bad, KIND_MARK, RECORD_HEADER_BYTES, Record, Stamp, record_at};
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::storage::{LogDevice, Payload};
use crate::ids::Lsn;
use crate::limits::SEGMENT_PAGE_BYTES;
use crate::planted::{Bug, is_planted};

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

/// Visits the records of every whole group in a segment, in order, from `first` on; marks are not visited.
///
/// # Errors
/// The visitor's.
pub fn scan<'c, E>(
    content: &'c [u8],
    stamp: Stamp,
    first: Lsn,
    visit: &mut impl FnMut(&Record<'c>) -> Result<(), E>,
) -> Result<ScanEnd, E> {
    scan_from(content, SEGMENT_HEADER_BYTES as u32, stamp, first, visit)
}

/// The same from any place: a group that begins with the LSN `first` stands at `offset`.
///
/// # Errors
/// The visitor's.
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
    loop {
        let record = match record_at(content, at, stamp) {
            Ok(mark) if mark.head.kind == KIND_MARK && mark.head.lsn.next() == next && group.is_empty() => {
                at = mark.end();
                (end.offset, end.crc, end.durable) = (at, mark.crc, end.durable.max(mark.head.durable));
                continue;
            }
            Ok(record) if record.head.kind != KIND_MARK && record.head.lsn == next => record,
            Ok(record) if is_planted(Bug::ReplayPastHole) && record.head.lsn > next => record,
            Ok(record) => return Ok(ScanEnd { bad: Bad::Lsn(record.head.lsn), ..end }),
            Err(_) if is_planted(Bug::ReplayPastHole) && (at as usize) < content.len() => {
                at += 8;
                continue;
            }
            Err(bad) => return Ok(ScanEnd { bad, ..end }),
        };
        (at, next) = (record.end(), record.head.lsn.next());
        group.push(record);
        if record.head.more && !is_planted(Bug::GroupTorn) {
            continue;
        }
        for record in group.drain(..) {
            end.durable = end.durable.max(record.head.durable);
            end.crc = record.crc;
            visit(&record)?;
        }
        (end.offset, end.next_lsn) = (at, next);
    }
}

/// What valid records after a place tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// How many there are.
    pub records: usize,
    /// The newest durable LSN that one of them names.
    pub durable: Lsn,
    /// Their highest epoch.
    pub epoch: u32,
}

/// Looks for valid records after `from` with this seed and an epoch in `epochs`. Only LSNs from `hole` on count, and not
/// more of them than the segment can hold.
pub fn valid_after(
    content: &[u8],
    from: u32,
    seed: u32,
    epochs: &RangeInclusive<u32>,
    hole: Lsn,
) -> Following {
    let mut following = Following::default();
    if content.get(from as usize..).is_none_or(is_zero) {
        return following;
    }
    let lsns = hole..=Lsn(hole.0.saturating_add((content.len() / RECORD_HEADER_BYTES) as u64));
    let mut at = from as usize;
    while at + RECORD_HEADER_BYTES <= content.len() {
        match plausible_record_at(content, at, seed, epochs).filter(|record| lsns.contains(&record.head.lsn))
        {
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

/// Reads one segment and its header.
///
/// # Errors
/// `Io`, or those of [`header_of`].
pub fn read_segment(
    device: &dyn LogDevice,
    first: Lsn,
    content: &mut Vec<u8>,
) -> Result<SegmentHeader, WalError> {
    let name = names::segment(first);
    device.read(&name, content).map_err(WalError::io(format!("reading segment {name}")))?;
    header_of(first, content)
}

/// Looks at one segment; see [`LogDevice::view`].
///
/// # Errors
/// `Io`.
pub fn view_segment(device: &dyn LogDevice, first: Lsn) -> Result<Payload, WalError> {
    let name = names::segment(first);
    device.view(&name).map_err(WalError::io(format!("reading segment {name}")))
}

/// The same as it is on the disk. Records up to the LSN `base`, and those that a record here names as durable, were
/// certainly synced; what comes after them may be what a failed sync has left in the system's memory only.
///
/// # Errors
/// `Io`.
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
        Ok::<(), std::convert::Infallible>(())
    });
    let durable = end.durable.max(base);
    let synced = ends.partition_point(|(lsn, _)| *lsn <= durable);
    synced.checked_sub(1).map_or(0, |newest| ends[newest].1)
}

/// The header of a segment's file.
///
/// # Errors
/// `Header`, `OtherName` when the header names another LSN than the file, `Segment` when the file is too long.
pub fn header_of(first: Lsn, content: &[u8]) -> Result<SegmentHeader, WalError> {
    let refused = |why: &str| WalError::Segment { segment: first, why: why.to_owned() };
    let header =
        SegmentHeader::decode(content).map_err(|fault| WalError::Header { segment: first, fault })?;
    if header.first_lsn != first {
        return Err(WalError::OtherName { segment: first, log_id: header.log_id, epoch: header.epoch });
    }
    // A shorter file was cut off by somebody; what is left is judged like a torn tail.
    if content.len() > header.segment_bytes as usize {
        return Err(refused("the file is longer than its header says"));
    }
    Ok(header)
}

/// What [`visit_all`] saw besides records.
#[derive(Debug, Default)]
pub struct Visited {
    /// LSN after the last record.
    pub next: Option<Lsn>,
    /// Runs of records, first and last, whose segments were given up since nothing in them lives.
    pub given_up: Vec<(Lsn, Lsn)>,
    /// A sentence about what stands after the last record, if that is not simply the end.
    pub note: Option<String>,
}

/// Visits every record that is still there, in order, from the LSN `from` on, in a log that may be in use by a daemon.
///
/// # Errors
/// `Io`, `Header` or `Segment`; the visitor's as it is.
pub fn visit_all<E: From<WalError>>(
    device: &dyn LogDevice,
    from: Lsn,
    mut visit: impl FnMut(&Record<'_>) -> Result<(), E>,
) -> Result<Visited, E> {
    let listed = device.names().map_err(|error| E::from(WalError::io("listing the segments")(error)))?;
    let firsts = names::segments(&listed);
    let mut content = Vec::new();
    let mut visited = Visited::default();
    // Whole segments before the one that holds `from` need not be read.
    let skipped = firsts.partition_point(|first| *first <= from).saturating_sub(1);
    for (index, first) in firsts.iter().enumerate().skip(skipped) {
        let is_last = index + 1 == firsts.len();
        let header = match read_segment(device, *first, &mut content) {
            Ok(header) => header,
            // A daemon names a segment before it writes the header, and takes the name away from one that is dead.
            Err(WalError::Header { .. } | WalError::Segment { .. })
                if (is_last && is_zero(&content)) || is_gone(device, *first) =>
            {
                continue;
            }
            Err(WalError::OtherName { .. }) if is_last || is_gone(device, *first) => continue,
            Err(WalError::Io { .. }) if is_gone(device, *first) => continue,
            Err(error) => return Err(error.into()),
        };
        if let Some(next) = visited.next.filter(|next| next < first) {
            visited.given_up.push((next, Lsn(first.0 - 1)));
        }
        let end = scan(&content, header.stamp(), *first, &mut |record| {
            if record.head.lsn >= from { visit(record) } else { Ok(()) }
        })?;
        visited.next = Some(end.next_lsn);
        let is_end = match end.bad {
            Bad::Empty => true,
            Bad::Epoch(epoch) => epoch < header.epoch,
            _ => false,
        };
        if !is_end {
            visited.note = Some(format!(
                "after record {} there is {} (segment {first:020}.wal, byte {})",
                end.next_lsn.0 - 1,
                end.bad,
                end.offset
            ));
        }
    }
    Ok(visited)
}

fn is_gone(device: &dyn LogDevice, first: Lsn) -> bool {
    device.bytes(&names::segment(first)).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
