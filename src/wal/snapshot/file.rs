//! Snapshots as files: blocks between a header and an end. The bytes say which log a snapshot belongs to, and at
//! which LSN. What the blocks of most kinds say is the caller's.
//!
//! | offset | size | field | meaning |
//! | ---: | ---: | --- | --- |
//! | 0 | 8 | `magic` | `FALCNSNP` |
//! | 8 | 4 | `version` | 1 |
//! | 12 | 4 | `crc32` | of bytes 16 to 47 |
//! | 16 | 16 | `log_id` | that of the log's segments |
//! | 32 | 8 | `lsn` | newest LSN that it holds; the log up to it was durable before the file got its name |
//! | 40 | 8 | `at_ms` | when it was begun, ms since 1970 |
//! | 48 | – | blocks | |
//!
//! | offset | size | field of a block | meaning |
//! | ---: | ---: | --- | --- |
//! | 0 | 4 | `crc32` | of all that follows in the block, begun with the CRC-32 of the `log_id` and the `lsn` |
//! | 4 | 4 | `length` | of the body |
//! | 8 | 4 | `number` | 0 for the first block |
//! | 12 | 4 | `kind` | 0 the end, which ends the file and has no body; 1 the segments; others are the caller's |
//! | 16 | – | body | |
//!
//! Little-endian. The segments are told by 28 bytes each, oldest first: `epoch` u32, `first_lsn` u64, `next_lsn` u64,
//! and of the last record `end` u32 and `crc` u32. They are told as they were when the snapshot was begun; the last
//! one was written then.
//!
//! A snapshot is written to a file of another name, synced, read back and checked. It gets its name when the log is
//! durable up to its LSN. The last two are kept. One that is damaged is passed over for the one before, and that is
//! said. A later version keeps the magic, the version and the checksum of these bytes, so that it can be told from
//! damage: it is refused.

use bytes::BufMut;

use crate::codec::{DecodeError, Reader};
use crate::ids::Lsn;
use crate::time::Timestamp;
use crate::wal::error::WalError;
use crate::wal::segment::{Covered, VERSION_MAX, crc_of};

const MAGIC: &[u8; 8] = b"FALCNSNP";
const VERSION: u32 = 1;
pub const HEADER_BYTES: usize = 48;
pub const BLOCK_HEADER_BYTES: usize = 16;
pub const KIND_END: u32 = 0;
pub const KIND_SEGMENTS: u32 = 1;

pub const KEPT: usize = 2;

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    pub log_id: u128,
    pub lsn: Lsn,
    pub at: Timestamp,
}

/// A snapshot that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptSnapshot {
    pub lsn: Lsn,
    pub bytes: u64,
    /// When it was begun, by log time; 0 where its header does not tell.
    pub at: Timestamp,
}

impl SnapshotHeader {
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(HEADER_BYTES);
        fields.put_u128_le(self.log_id);
        fields.put_u64_le(self.lsn.0);
        fields.put_u64_le(self.at.0);
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.put_slice(MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(crc32fast::hash(&fields));
        out.put_slice(&fields);
        out
    }

    pub fn decode(content: &[u8]) -> Result<SnapshotHeader, SnapshotFault> {
        let mut reader = Reader::new(content);
        let magic = reader.take("magic", MAGIC.len())?;
        let version = reader.u32("version")?;
        let crc = reader.u32("crc32")?;
        let fields = reader.take("fields", HEADER_BYTES - 16)?;
        if magic != MAGIC {
            return Err(SnapshotFault::at(0, "it does not begin as a FalconQueue snapshot does"));
        }
        if crc32fast::hash(fields) != crc {
            return Err(SnapshotFault::at(12, "the checksum of its header does not match"));
        }
        if version != VERSION {
            let why = format!("format version {version} (this one knows {VERSION})");
            let is_later = (VERSION..=VERSION_MAX).contains(&version);
            return Err(SnapshotFault { is_later, ..SnapshotFault::at(8, why) });
        }
        let mut reader = Reader::new(fields);
        let (id_low, id_high) = (reader.u64("log_id")?, reader.u64("log_id")?);
        Ok(SnapshotHeader {
            log_id: u128::from(id_low) | u128::from(id_high) << 64,
            lsn: Lsn(reader.u64("lsn")?),
            at: Timestamp(reader.u64("at_ms")?),
        })
    }

    pub fn seed(&self) -> u32 {
        crc_of(0, [&self.log_id.to_le_bytes(), &self.lsn.0.to_le_bytes()])
    }
}

/// Writes the blocks of a snapshot as bytes, one after the other.
#[derive(Debug)]
pub struct BlockWriter {
    seed: u32,
    number: u32,
}

impl BlockWriter {
    pub fn new(header: &SnapshotHeader) -> BlockWriter {
        BlockWriter { seed: header.seed(), number: 0 }
    }

    /// A block's header; its body follows.
    pub fn header(&mut self, kind: u32, body: &[u8]) -> [u8; BLOCK_HEADER_BYTES] {
        let mut out = [0; BLOCK_HEADER_BYTES];
        let length = u32::try_from(body.len()).expect("a block is short");
        out[4..8].copy_from_slice(&length.to_le_bytes());
        out[8..12].copy_from_slice(&self.number.to_le_bytes());
        out[12..].copy_from_slice(&kind.to_le_bytes());
        let crc = crc_of(self.seed, [&out[4..], body]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        self.number += 1;
        out
    }

    pub fn end(&mut self) -> [u8; BLOCK_HEADER_BYTES] {
        self.header(KIND_END, &[])
    }
}

pub fn encode_covered(covered: &[Covered]) -> Vec<u8> {
    let mut out = Vec::with_capacity(covered.len() * 28);
    for segment in covered {
        out.put_u32_le(segment.epoch);
        out.put_u64_le(segment.first.0);
        out.put_u64_le(segment.next.0);
        out.put_u32_le(segment.end);
        out.put_u32_le(segment.crc);
    }
    out
}

pub fn decode_covered(body: &[u8]) -> Result<Vec<Covered>, DecodeError> {
    let mut reader = Reader::new(body);
    let mut covered = Vec::new();
    while !reader.rest().is_empty() {
        covered.push(Covered {
            epoch: reader.u32("epoch")?,
            first: Lsn(reader.u64("first_lsn")?),
            next: Lsn(reader.u64("next_lsn")?),
            end: reader.u32("end")?,
            crc: reader.u32("crc")?,
        });
    }
    Ok(covered)
}

#[derive(Debug)]
pub struct SnapshotFault {
    pub offset: usize,
    pub why: String,
    /// Whether it is no damage, but of a later version.
    pub is_later: bool,
}

impl SnapshotFault {
    pub fn at(offset: usize, why: impl Into<String>) -> SnapshotFault {
        SnapshotFault { offset, why: why.into(), is_later: false }
    }

    pub fn in_file(self, name: &str) -> WalError {
        if self.is_later {
            return WalError::later(name.to_owned(), self.why);
        }
        WalError::Snapshot { name: name.to_owned(), offset: self.offset as u64, why: self.why }
    }
}

impl From<DecodeError> for SnapshotFault {
    fn from(error: DecodeError) -> Self {
        SnapshotFault::at(0, error.to_string())
    }
}

pub fn u32_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The kind of a block, or what is wrong with it.
pub fn check_block(block: &[u8], seed: u32, number: u32) -> Result<u32, String> {
    let head = block.first_chunk::<BLOCK_HEADER_BYTES>().ok_or("it is cut off")?;
    let field = |offset: usize| u32_of(&head[offset..offset + 4]);
    if block.len() < BLOCK_HEADER_BYTES + field(4) as usize {
        return Err("it is cut off".to_owned());
    }
    if crc_of(seed, [&block[4..], &[]]) != field(0) {
        return Err("the checksum of a block does not match".to_owned());
    }
    if field(8) != number {
        return Err(format!("block {} stands where block {number} should", field(8)));
    }
    Ok(field(12))
}
