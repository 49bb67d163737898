//! The header of a segment, as bytes. Pure: no file is touched here.
//!
//! | offset | size | field | meaning |
//! | ---: | ---: | --- | --- |
//! | 0 | 8 | `magic` | `FALCNWAL` |
//! | 8 | 4 | `version` | 1 |
//! | 12 | 4 | `crc32` | of bytes 16 to 71 |
//! | 16 | 16 | `log_id` | random, the same in every segment of a log |
//! | 32 | 4 | `epoch` | one more than that of the segment before; never used twice |
//! | 36 | 4 | `segment_bytes` | size of the file |
//! | 40 | 8 | `first_lsn` | LSN of the first record |
//! | 48 | 8 | `durable_lsn` | newest LSN known durable when the segment was begun |
//! | 56 | 4 | `before_end` | where the segment before ends |
//! | 60 | 4 | `before_crc` | checksum of its last record, 0 if it has none |
//! | 64 | 4 | `flags` | bit 0: the file was a segment before, so what stands after the last record may be left over |
//! | 68 | 4 | – | 0 |
//!
//! The first record begins at byte 72. A later version keeps the magic, the version and this checksum, so that it can
//! be told from damage. Flags that are not known are of a later version, too.

use bytes::BufMut;

use super::VERSION_MAX;
use super::record::Stamp;
use crate::codec::Reader;
use crate::ids::Lsn;
use crate::wal::error::HeaderFault;

pub const SEGMENT_HEADER_BYTES: usize = 72;

const FLAG_USED_BEFORE: u32 = 1;

const MAGIC: &[u8; 8] = b"FALCNWAL";
const VERSION: u32 = 1;

/// What a segment says of itself and of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    pub log_id: u128,
    pub epoch: u32,
    pub segment_bytes: u32,
    pub first_lsn: Lsn,
    pub durable: Lsn,
    pub before_end: u32,
    pub before_crc: u32,
    pub used_before: bool,
}

impl SegmentHeader {
    pub fn stamp(&self) -> Stamp {
        Stamp::new(self.log_id, self.epoch)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        fields.put_u128_le(self.log_id);
        fields.put_u32_le(self.epoch);
        fields.put_u32_le(self.segment_bytes);
        fields.put_u64_le(self.first_lsn.0);
        fields.put_u64_le(self.durable.0);
        fields.put_u32_le(self.before_end);
        fields.put_u32_le(self.before_crc);
        fields.put_u32_le(if self.used_before { FLAG_USED_BEFORE } else { 0 });
        fields.put_u32_le(0);
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.put_slice(MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(crc32fast::hash(&fields));
        out.put_slice(&fields);
        out
    }

    pub fn decode(segment: &[u8]) -> Result<Self, HeaderFault> {
        Self::decode_fields(segment).ok_or(HeaderFault::Short)?
    }

    /// Nothing if the bytes end before the header does.
    fn decode_fields(segment: &[u8]) -> Option<Result<Self, HeaderFault>> {
        let mut reader = Reader::new(segment);
        let magic = reader.take("magic", MAGIC.len()).ok()?;
        let version = reader.u32("version").ok()?;
        let crc = reader.u32("crc32").ok()?;
        let fields = reader.take("fields", SEGMENT_HEADER_BYTES - 16).ok()?;
        let later = |what, found, known| Some(Err(HeaderFault::Later { what, found, known }));
        if segment.iter().take(SEGMENT_HEADER_BYTES).all(|byte| *byte == 0) {
            return Some(Err(HeaderFault::Unfinished));
        }
        let is_whole = crc32fast::hash(fields) == crc;
        match version {
            _ if magic != MAGIC => return Some(Err(HeaderFault::Foreign)),
            VERSION if is_whole => {}
            VERSION => return Some(Err(HeaderFault::Unfinished)),
            VERSION..=VERSION_MAX if is_whole => return later("format version", version, VERSION),
            _ => return Some(Err(HeaderFault::Foreign)),
        }
        let mut reader = Reader::new(fields);
        let (id_low, id_high) = (reader.u64("log_id").ok()?, reader.u64("log_id").ok()?);
        let header = SegmentHeader {
            log_id: u128::from(id_low) | u128::from(id_high) << 64,
            epoch: reader.u32("epoch").ok()?,
            segment_bytes: reader.u32("segment_bytes").ok()?,
            first_lsn: Lsn(reader.u64("first_lsn").ok()?),
            durable: Lsn(reader.u64("durable_lsn").ok()?),
            before_end: reader.u32("before_end").ok()?,
            before_crc: reader.u32("before_crc").ok()?,
            used_before: false,
        };
        match (reader.u32("flags").ok()?, reader.u32("reserved").ok()?) {
            (flags @ 0..=FLAG_USED_BEFORE, 0) => Some(Ok(SegmentHeader { used_before: flags != 0, ..header })),
            (0..=FLAG_USED_BEFORE, reserved) => later("a last header field of", reserved, 0),
            (flags, _) => later("header flags of", flags, FLAG_USED_BEFORE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            log_id: 0x0123_4567_89ab_cdef_0011_2233_4455_6677,
            epoch: 2,
            segment_bytes: 1 << 20,
            first_lsn: Lsn(100),
            durable: Lsn(90),
            before_end: 5000,
            before_crc: 77,
            used_before: true,
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        let bytes = header().encode();
        assert_eq!(bytes.len(), SEGMENT_HEADER_BYTES);
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let clean = header().encode();
        for byte in 0..SEGMENT_HEADER_BYTES {
            let mut bytes = clean.clone();
            bytes[byte] ^= 1;
            assert!(SegmentHeader::decode(&bytes).is_err(), "byte {byte}");
            assert!(SegmentHeader::decode(&clean[..byte]).is_err(), "cut at {byte}");
        }
    }
}
