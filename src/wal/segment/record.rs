//! One record of the log, as bytes. Pure: no file is touched here.
//!
//! | offset | size | field | meaning |
//! | ---: | ---: | --- | --- |
//! | 0 | 4 | `crc32` | CRC-32 (as in zlib) of all that follows in the record, begun with that of the `log_id` |
//! | 4 | 4 | `length` | of header and body, without padding; 0 is "no record" |
//! | 8 | 8 | `lsn` | one more than the record before |
//! | 16 | 8 | `at_ms` | when it was decided, ms since 1970 |
//! | 24 | 4 | `term` | 0 with a single master |
//! | 28 | 4 | `epoch` | that of the segment; a record of another epoch is left over |
//! | 32 | 4 | `durable_lag` | `lsn` less the newest LSN known durable then; from 2^32 - 1 on nothing is known |
//! | 36 | 1 | `kind` | what the body is; opaque to the log |
//! | 37 | 1 | `flags` | bit 0: the next record belongs to the same group, which is valid only as a whole |
//! | 38 | 2 | – | 0 |
//! | 40 | – | body | |
//!
//! Little-endian; a record begins at a multiple of 8 bytes, and the padding is 0. A flag that is not known is of a
//! later version. Every record names a durable LSN: that is what tells a torn tail from damage.
//!
//! Kind 0 is a **mark**: an empty record that only names a durable LSN. It carries the LSN of the record before it
//! and takes none of its own. One is written when the log has fallen silent, so that its newest group is vouched for,
//! too.
//!
//! The checksum begins with the log's random id, which no client ever sees. So no payload can hold bytes that pass
//! for a record of this log. It stands before the length, so that what it covers is one run of bytes. A reader checks
//! the length against its bounds before it uses it, then the checksum, then the epoch, then that the LSN is the next
//! one.

use super::crc_of;
use crate::ids::Lsn;
use crate::limits::RECORD_BYTES_MAX;
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;
use crate::wal::error::{Bad, WalError};

/// The kind of a mark. All other kinds are the caller's.
pub const KIND_MARK: u8 = 0;

pub const RECORD_HEADER_BYTES: usize = 40;

/// Zeros after the newest record: as many as say that there is no record.
pub const TERMINATOR_BYTES: u32 = 8;

const FLAG_MORE: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    pub lsn: Lsn,
    pub at: Timestamp,
    pub term: u32,
    pub epoch: u32,
    pub durable: Lsn,
    pub kind: u8,
    pub more: bool,
}

/// A record that passed the checks which need no neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub head: RecordHead,
    /// Offset of the body in its segment.
    pub body_at: u32,
    pub body: &'a [u8],
    pub crc: u32,
    /// Bits of `flags` and of the two bytes behind it that only a later falcond knows.
    pub unknown_flags: u32,
}

impl Record<'_> {
    /// Refuses a record with unknown flags.
    pub(in crate::wal) fn known(&self) -> Result<(), WalError> {
        if self.unknown_flags == 0 { Ok(()) } else { Err(WalError::flags(self.head.lsn, self.unknown_flags)) }
    }

    /// Where the next record begins.
    pub fn end(&self) -> u32 {
        self.body_at + padded(self.body.len()) // the header's length is a multiple of 8
    }
}

/// What the records of one segment have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub epoch: u32,
    /// What checksums begin with.
    pub seed: u32,
}

impl Stamp {
    /// The stamp of a segment with this epoch in the log of this id.
    pub fn new(log_id: u128, epoch: u32) -> Stamp {
        Stamp { epoch, seed: crc32fast::hash(&log_id.to_le_bytes()) }
    }
}

/// Bytes that a record of this body takes, with its header and padding.
pub const fn record_bytes(body_bytes: usize) -> usize {
    RECORD_HEADER_BYTES + body_bytes.next_multiple_of(8)
}

fn padded(body_bytes: usize) -> u32 {
    u32::try_from(body_bytes.next_multiple_of(8)).expect("a body is within its limit")
}

/// Writes the header of a record and the first part of its body, which `body_tail` has to follow. Returns the
/// checksum.
pub fn encode_start(head: &RecordHead, seed: u32, body_head: &[u8], body_tail: &[u8], out: &mut Vec<u8>) -> u32 {
    let length = RECORD_HEADER_BYTES + body_head.len() + body_tail.len();
    let length = u32::try_from(length).expect("a record is within its limit");
    let lag = u32::try_from(head.lsn.0 - head.durable.0).unwrap_or(u32::MAX);
    let mut header = [0; RECORD_HEADER_BYTES];
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..16].copy_from_slice(&head.lsn.0.to_le_bytes());
    header[16..24].copy_from_slice(&head.at.0.to_le_bytes());
    header[24..28].copy_from_slice(&head.term.to_le_bytes());
    header[28..32].copy_from_slice(&head.epoch.to_le_bytes());
    header[32..36].copy_from_slice(&lag.to_le_bytes());
    header[36] = head.kind;
    header[37] = if head.more { FLAG_MORE } else { 0 };
    let start = out.len();
    out.extend_from_slice(&header);
    out.extend_from_slice(body_head);
    let crc = crc_of(seed, [&out[start + 4..], body_tail]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// The record that begins at `offset` of a segment, if a valid one does.
/// Never reads past the segment, whatever the length says.
pub fn record_at(segment: &[u8], offset: u32, stamp: Stamp) -> Result<Record<'_>, Bad> {
    let rest = segment.get(offset as usize..).unwrap_or_default();
    let Some(header) = rest.first_chunk::<RECORD_HEADER_BYTES>() else { return Err(Bad::Empty) };
    let crc = u32_in(header, 0);
    let length = u32_in(header, 4);
    if length == 0 {
        return Err(if crc == 0 { Bad::Empty } else { Bad::Length(0) });
    }
    let fits = (RECORD_HEADER_BYTES..=RECORD_BYTES_MAX).contains(&(length as usize));
    let Some(record) = rest.get(..length as usize).filter(|_| fits) else {
        return Err(Bad::Length(length));
    };
    if crc_of(stamp.seed, [&record[4..], &[]]) != crc {
        return Err(Bad::Checksum);
    }
    let lsn = u64_in(header, 8);
    let head = RecordHead {
        lsn: Lsn(lsn),
        at: Timestamp(u64_in(header, 16)),
        term: u32_in(header, 24),
        epoch: u32_in(header, 28),
        durable: match u32_in(header, 32) {
            u32::MAX => Lsn(0),
            lag => Lsn(lsn.saturating_sub(u64::from(lag))),
        },
        kind: header[36],
        more: header[37] & FLAG_MORE != 0,
    };
    if head.epoch != stamp.epoch && !is_planted(Bug::EpochIgnored) {
        return Err(Bad::Epoch(head.epoch));
    }
    let body_at = offset + RECORD_HEADER_BYTES as u32;
    let unknown_flags = u32_in(header, 36) >> 8 & !u32::from(FLAG_MORE);
    Ok(Record { head, body_at, body: &record[RECORD_HEADER_BYTES..], crc, unknown_flags })
}

fn u32_in(header: &[u8; RECORD_HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn u64_in(header: &[u8; RECORD_HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_in(header, at)) | u64::from(u32_in(header, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { epoch: 3, seed: 99 };

    fn head() -> RecordHead {
        RecordHead { lsn: Lsn(10), at: Timestamp(1234), term: 0, epoch: 3, durable: Lsn(8), kind: 2, more: true }
    }

    fn written() -> Vec<u8> {
        let mut out = Vec::new();
        encode_start(&head(), STAMP.seed, b"head", b"tail!", &mut out);
        out.extend_from_slice(b"tail!");
        out.resize(out.len().next_multiple_of(8), 0);
        out
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let segment = written();
        let record = record_at(&segment, 0, STAMP).unwrap();
        assert_eq!((record.head, record.body), (head(), &b"headtail!"[..]));
        assert_eq!(record.end() as usize, segment.len());
        assert_eq!(record_bytes(9), segment.len());
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let clean = written();
        for byte in 0..RECORD_HEADER_BYTES + 9 {
            for bit in 0..8 {
                let mut segment = clean.clone();
                segment[byte] ^= 1 << bit;
                assert!(record_at(&segment, 0, STAMP).is_err(), "byte {byte} bit {bit}");
            }
        }
    }

    #[test]
    fn a_cut_record_another_epoch_and_nothing_are_told_apart() {
        let segment = written();
        assert_eq!(record_at(&segment, 0, Stamp { epoch: 4, ..STAMP }), Err(Bad::Epoch(3)));
        assert_eq!(record_at(&segment[..48], 0, STAMP), Err(Bad::Length(49)));
        assert_eq!(record_at(&[0; 100], 0, STAMP), Err(Bad::Empty));
        assert_eq!(record_at(&segment, 1000, STAMP), Err(Bad::Empty));
    }

    #[test]
    fn a_record_of_another_log_is_none() {
        assert_eq!(record_at(&written(), 0, Stamp { seed: 98, ..STAMP }), Err(Bad::Checksum));
    }

    #[test]
    fn a_lag_that_does_not_fit_claims_nothing() {
        let far = RecordHead { lsn: Lsn(u64::from(u32::MAX) + 1000), durable: Lsn(1), ..head() };
        let mut segment = Vec::new();
        encode_start(&far, STAMP.seed, b"", b"", &mut segment);
        assert_eq!(record_at(&segment, 0, STAMP).unwrap().head.durable, Lsn(0));
    }
}
