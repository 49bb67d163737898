//! Visiting every record of a log that a daemon may be writing meanwhile, for the commands that show it.

use super::header::SegmentHeader;
use super::reader::{ScanEnd, is_zero, read_segment, scan};
use super::record::Record;
use crate::ids::Lsn;
use crate::wal::device::LogDevice;
use crate::wal::error::{Bad, WalError};
use crate::wal::names;

/// What [`visit_all`] saw besides records.
#[derive(Debug, Default)]
pub struct Visited {
    /// Runs of records, first and last, whose segments were given up since nothing in them lives.
    pub given_up: Vec<(Lsn, Lsn)>,
    /// A sentence about what stands after the last record, if that is not simply the end.
    pub note: Option<String>,
}

/// Visits every record that is still there, in order, from the LSN `from` on, in a log that may be in use by a
/// daemon.
pub fn visit_all<E: From<WalError>>(
    device: &dyn LogDevice,
    from: Lsn,
    mut visit: impl FnMut(&Record<'_>) -> Result<(), E>,
) -> Result<Visited, E> {
    let listed = device.names().map_err(|error| E::from(WalError::io("listing the segments")(error)))?;
    let firsts = names::segments(&listed);
    let (mut visited, mut next) = (Visited::default(), None);
    // Whole segments before the one that holds `from` need not be read.
    let skipped = firsts.partition_point(|first| *first <= from).saturating_sub(1);
    for (index, first) in firsts.iter().enumerate().skip(skipped) {
        let is_last = index + 1 == firsts.len();
        let mut content = Vec::new();
        let Some(header) = header_if_there(device, *first, is_last, &mut content)? else { continue };
        if let Some(next) = next.filter(|next| next < first) {
            visited.given_up.push((next, Lsn(first.0 - 1)));
        }
        let end = scan(&content, header.stamp(), *first, &mut |record| {
            if record.head.lsn >= from { visit(record) } else { Ok(()) }
        })?
        .known(*first)?;
        next = Some(end.next_lsn);
        visited.note = note(*first, header.epoch, &end).or(visited.note);
    }
    Ok(visited)
}

/// A sentence about what stands behind the records of a segment, if that is not simply the end.
fn note(first: Lsn, epoch: u32, end: &ScanEnd) -> Option<String> {
    let ScanEnd { next_lsn, bad, offset, .. } = end;
    let is_end = match bad {
        Bad::Empty => true,
        Bad::Epoch(found) => *found < epoch,
        _ => false,
    };
    let last = next_lsn.0 - 1;
    (!is_end).then(|| format!("after record {last} there is {bad} (segment {first:020}.wal, byte {offset})"))
}

/// Reads a segment. Nothing if a daemon has just given it its name, and not yet a header, or has just given it up.
fn header_if_there(
    device: &dyn LogDevice,
    first: Lsn,
    is_last: bool,
    content: &mut Vec<u8>,
) -> Result<Option<SegmentHeader>, WalError> {
    let error = match read_segment(device, first, content) {
        Ok(header) => return Ok(Some(header)),
        Err(error) => error,
    };
    let is_being_made = match error {
        WalError::Header { .. } | WalError::Segment { .. } => is_last && is_zero(content),
        WalError::OtherName { .. } => is_last,
        _ => false,
    };
    if is_being_made || is_gone(device, first) { Ok(None) } else { Err(error) }
}

fn is_gone(device: &dyn LogDevice, first: Lsn) -> bool {
    device.bytes(&names::segment(first)).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
