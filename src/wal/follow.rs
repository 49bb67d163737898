//! Following a log that a daemon writes: what was appended since the last look, across new segments, segments that
//! were given up, and a daemon that was started again. Only files are read, piece by piece, and nothing is changed.
//!
//! A record that is half written fails its checksum and is looked at again the next time.

use std::io;

use super::device::LogDevice;
use super::dir::DirDevice;
use super::error::WalError;
use super::names;
use super::segment::header::SEGMENT_HEADER_BYTES;
use super::segment::reader::{header_of, scan_from};
use super::segment::record::{Record, Stamp, TERMINATOR_BYTES};
use crate::ids::Lsn;
use crate::limits::GROUP_BYTES_MAX;

/// Bytes that are read at once, unless a group is longer.
const PIECE_BYTES: usize = 256 << 10;

/// How often a segment without a header is looked at. A daemon writes the header right after it has named the file.
const HEADER_LOOKS_MAX: u32 = 50;

/// Where a reader stands in a log.
#[derive(Debug)]
pub struct Follower<'d> {
    device: &'d DirDevice,
    /// The next record that is wanted.
    from: Lsn,
    place: Option<Reached>,
    header_looks: u32,
}

#[derive(Debug)]
struct Reached {
    first: Lsn,
    stamp: Stamp,
    at: u32,
    /// LSN of the record that begins there.
    next: Lsn,
}

impl<'d> Follower<'d> {
    /// Of the log in this directory, from this LSN on.
    pub fn new(device: &'d DirDevice, from: Lsn) -> Follower<'d> {
        Follower { device, from, place: None, header_looks: 0 }
    }

    /// Visits every whole group that is there by now, in order. Where a record says its body lies is no place in the
    /// segment here. Returns the runs of records, first and last, that are no longer there.
    pub fn proceed<E: From<WalError>>(
        &mut self,
        mut visit: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<Vec<(Lsn, Lsn)>, E> {
        let mut given_up = Vec::new();
        loop {
            // Listed before the segment is read on: if a later one is there, this one is complete.
            let Some(first) = self.next_segment()? else {
                self.read_on(&mut visit)?;
                return Ok(given_up);
            };
            self.read_on(&mut visit)?;
            let Some(stamp) = self.header(first)? else { return Ok(given_up) };
            if first > self.from {
                given_up.push((self.from, Lsn(first.0 - 1)));
                self.from = first;
            }
            self.place = Some(Reached { first, stamp, at: SEGMENT_HEADER_BYTES as u32, next: first });
        }
    }

    /// The segment after the one that is read; in the beginning the one that holds the first record wanted.
    fn next_segment(&self) -> Result<Option<Lsn>, WalError> {
        let listed = self.device.names().map_err(WalError::io("listing the segments"))?;
        let firsts = names::segments(&listed);
        let index = match &self.place {
            Some(place) => firsts.partition_point(|first| *first <= place.first),
            None => firsts.partition_point(|first| *first <= self.from).saturating_sub(1),
        };
        Ok(firsts.get(index).copied())
    }

    /// Reads the segment up to its end as it is now.
    fn read_on<E: From<WalError>>(&mut self, visit: &mut impl FnMut(&Record<'_>) -> Result<(), E>) -> Result<(), E> {
        let Some(place) = &mut self.place else { return Ok(()) };
        let name = names::segment(place.first);
        let mut bytes = PIECE_BYTES;
        loop {
            let piece = match self.device.read_piece(&name, u64::from(place.at), bytes) {
                // It was given up after all of it was dead.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                piece => piece.map_err(WalError::io(format!("reading segment {name}")))?,
            };
            let from = self.from;
            let end = scan_from(&piece, 0, place.stamp, place.next, &mut |record| {
                if record.head.lsn >= from { visit(record) } else { Ok(()) }
            })?
            .known(place.first)?;
            place.at += end.offset;
            place.next = end.next_lsn;
            self.from = self.from.max(place.next);
            let is_end = piece.len() < bytes || piece.iter().take(TERMINATOR_BYTES as usize).all(|b| *b == 0);
            match end.offset {
                // A group that is longer than the piece, or what an earlier use of the file has left behind.
                0 if is_end || bytes > PIECE_BYTES => return Ok(()),
                0 => bytes = GROUP_BYTES_MAX + PIECE_BYTES,
                _ => bytes = PIECE_BYTES,
            }
        }
    }

    /// What the records of this segment have in common; nothing while its header is not there.
    fn header(&mut self, first: Lsn) -> Result<Option<Stamp>, WalError> {
        let name = names::segment(first);
        let head = match self.device.read_piece(&name, 0, SEGMENT_HEADER_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            head => head.map_err(WalError::io(format!("reading segment {name}")))?,
        };
        self.header_looks += 1;
        match header_of(first, &head) {
            Ok(header) => {
                self.header_looks = 0;
                Ok(Some(header.stamp()))
            }
            Err(error) if error.is_later() || self.header_looks > HEADER_LOOKS_MAX => Err(error),
            Err(_) => Ok(None),
        }
    }
}
