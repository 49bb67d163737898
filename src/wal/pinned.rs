//! A segment that is read while the log goes on. While it is pinned it is not given up; what was written of it when it
//! was pinned stays as it was. It is read from the device, never through a map: a bad sector is an error so.

use std::sync::Arc;

use super::append::Wal;
use super::device::SharedFile;
use super::error::{Bad, WalError};
use super::segment::Covered;
use super::segment::header::SEGMENT_HEADER_BYTES;
use super::segment::record::{KIND_MARK, RECORD_HEADER_BYTES, Record, Stamp, record_at};
use crate::ids::{Location, Lsn};
use crate::limits::RECORD_BYTES_MAX;

#[derive(Debug)]
pub struct PinnedSegment {
    pub(super) covered: Covered,
    shared: Arc<dyn SharedFile>,
    stamp: Stamp,
    durable: Lsn,
}

impl Wal {
    /// Pins a segment of this log, of which so much is to be read.
    pub(super) fn pin(&self, covered: Covered, shared: &Arc<dyn SharedFile>) -> PinnedSegment {
        let stamp = Stamp { epoch: covered.epoch, ..self.newest.stamp() };
        PinnedSegment { covered, shared: Arc::clone(shared), stamp, durable: self.durable }
    }
}

impl PinnedSegment {
    /// Visits the records of the segment from the byte `from` on (0 for the first), for about `bytes`; returns where to
    /// go on, or nothing if that was the last. Every record is checked. `piece` is memory to read into.
    pub fn visit_slice(
        &self,
        from: u32,
        bytes: u32,
        piece: &mut Vec<u8>,
        visit: &mut impl FnMut(&Record<'_>, Location) -> Result<(), WalError>,
    ) -> Result<Option<u32>, WalError> {
        let Covered { epoch, first, next, end, .. } = self.covered;
        let from = from.max(SEGMENT_HEADER_BYTES as u32);
        let (mut read, mut bad) = (0, Bad::Empty);
        // A record that is longer than the slice is read whole.
        for length in [bytes, RECORD_BYTES_MAX as u32 + RECORD_HEADER_BYTES as u32] {
            piece.resize(length.min(end - from) as usize, 0);
            self.shared.read_at(from, piece).map_err(WalError::io("reading a segment of the log"))?;
            (read, bad) = visit_records(piece, self.stamp, &mut |record| {
                let at = Location { epoch, offset: from + record.body_at };
                if record.head.kind == KIND_MARK { Ok(()) } else { visit(record, at) }
            })?;
            if read > 0 || piece.len() as u32 == end - from {
                break;
            }
        }
        let reached = from + read;
        if reached >= end {
            return Ok(None);
        }
        if read > 0 {
            return Ok(Some(reached));
        }
        Err(WalError::Damaged { segment: first, offset: from, lsn: next, found: bad, durable: self.durable })
    }
}

/// Visits the records at the beginning of a piece of a segment; returns where they end, and what stands there.
fn visit_records(
    piece: &[u8],
    stamp: Stamp,
    visit: &mut impl FnMut(&Record<'_>) -> Result<(), WalError>,
) -> Result<(u32, Bad), WalError> {
    let mut at = 0;
    while (at as usize) < piece.len() {
        match record_at(piece, at, stamp) {
            Ok(record) => {
                visit(&record)?;
                at = record.end();
            }
            Err(bad) => return Ok((at, bad)),
        }
    }
    Ok((at, Bad::Empty))
}
