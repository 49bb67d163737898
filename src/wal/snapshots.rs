//! Snapshots as files: blocks between a header and an end. What the blocks of other kinds than the first two say is the
//! caller's; the bytes of a snapshot say which log it belongs to, and at which LSN.
//!
//! | offset | size | field | meaning |
//! | ---: | ---: | --- | --- |
//! | 0 | 8 | `magic` | `FALCNSNP` |
//! | 8 | 4 | `version` | 1 |
//! | 12 | 4 | `crc32` | of bytes 16 to 47 |
//! | 16 | 16 | `log_id` | that of the log's segments |
//! | 32 | 8 | `lsn` | newest LSN that the snapshot holds; all of the log up to it was durable before the file got its name |
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
//! The segments are told by 28 bytes each, oldest first: `epoch` u32, `first_lsn` u64, `next_lsn` u64, `end` u32 and `crc` u32
//! of the last record, as they were when the snapshot was begun; the last one is the one that was written then.
//! Little-endian.
//!
//! A snapshot is written to a file of another name, synced, read back and checked, and gets its name when the log is
//! durable up to its LSN; the last two are kept. One that is damaged is passed over for the one before, and said.

use bytes::BufMut;

use super::WalError;
use super::names;
use super::storage::LogDevice;
use crate::codec::{DecodeError, Reader};
use crate::ids::Lsn;
use crate::time::Timestamp;

const MAGIC: &[u8; 8] = b"FALCNSNP";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 48;
/// Bytes before a block's body.
pub const BLOCK_HEADER_BYTES: usize = 16;
const KIND_END: u32 = 0;
pub(super) const KIND_SEGMENTS: u32 = 1;

/// How many snapshots are kept.
pub(super) const KEPT: usize = 2;

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The log.
    pub log_id: u128,
    /// Newest LSN that it holds.
    pub lsn: Lsn,
    /// When it was begun.
    pub at: Timestamp,
}

/// A segment as a snapshot knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Its epoch.
    pub epoch: u32,
    /// Its first LSN.
    pub first: Lsn,
    /// LSN after its last record.
    pub next: Lsn,
    /// Where its records end.
    pub end: u32,
    /// Checksum of its last record.
    pub crc: u32,
}

/// A snapshot whose every byte was checked.
#[derive(Debug)]
pub struct Loaded {
    /// The log.
    pub log_id: u128,
    /// Newest LSN that it holds.
    pub lsn: Lsn,
    /// When it was begun.
    pub at: Timestamp,
    /// The segments that it covers, oldest first.
    pub covered: Vec<Covered>,
    content: Vec<u8>,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    kind: u32,
    start: usize,
    end: usize,
}

impl Loaded {
    /// The caller's blocks, in order: kind and body.
    pub fn blocks(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.blocks.iter().map(|block| (block.kind, &self.content[block.start..block.end]))
    }

    /// Size of its file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.content.len() as u64
    }
}

impl SnapshotHeader {
    /// The header as bytes.
    #[must_use]
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

    fn decode(content: &[u8]) -> Result<SnapshotHeader, Fault> {
        let mut reader = Reader::new(content);
        let magic = reader.take("magic", MAGIC.len())?;
        let version = reader.u32("version")?;
        let crc = reader.u32("crc32")?;
        let fields = reader.take("fields", HEADER_BYTES - 16)?;
        if magic != MAGIC {
            return Err(Fault::at(0, "it does not begin as a FalconQueue snapshot does"));
        }
        if version != VERSION {
            return Err(Fault::at(
                8,
                format!("its format has version {version}, and this program knows {VERSION}"),
            ));
        }
        if crc32fast::hash(fields) != crc {
            return Err(Fault::at(12, "the checksum of its header does not match"));
        }
        let mut reader = Reader::new(fields);
        let (id_low, id_high) = (reader.u64("log_id")?, reader.u64("log_id")?);
        Ok(SnapshotHeader {
            log_id: u128::from(id_low) | u128::from(id_high) << 64,
            lsn: Lsn(reader.u64("lsn")?),
            at: Timestamp(reader.u64("at_ms")?),
        })
    }

    fn seed(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.log_id.to_le_bytes());
        hasher.update(&self.lsn.0.to_le_bytes());
        hasher.finalize()
    }
}

/// Writes the blocks of a snapshot as bytes, one after the other.
#[derive(Debug)]
pub struct BlockWriter {
    seed: u32,
    number: u32,
}

impl BlockWriter {
    /// For the blocks after this header.
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
        let mut hasher = crc32fast::Hasher::new_with_initial(self.seed);
        hasher.update(&out[4..]);
        hasher.update(body);
        out[..4].copy_from_slice(&hasher.finalize().to_le_bytes());
        self.number += 1;
        out
    }

    /// The end.
    pub fn end(&mut self) -> [u8; BLOCK_HEADER_BYTES] {
        self.header(KIND_END, &[])
    }
}

/// The block that tells of the segments.
#[must_use]
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

fn decode_covered(body: &[u8]) -> Result<Vec<Covered>, DecodeError> {
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

/// What is wrong with a snapshot, and where.
#[derive(Debug)]
struct Fault {
    offset: usize,
    why: String,
}

impl Fault {
    fn at(offset: usize, why: impl Into<String>) -> Fault {
        Fault { offset, why: why.into() }
    }

    fn in_file(self, name: &str) -> WalError {
        WalError::Snapshot { name: name.to_owned(), offset: self.offset as u64, why: self.why }
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Fault::at(0, error.to_string())
    }
}

/// Reads a snapshot and checks every byte of it.
///
/// # Errors
/// `Io`, or `Snapshot` with the place where it is damaged.
pub fn load(device: &dyn LogDevice, lsn: Lsn, distrust: bool) -> Result<Loaded, WalError> {
    let name = names::snapshot(lsn);
    let reading = || WalError::io(format!("reading snapshot {name}"));
    if distrust {
        device.distrust(&name, 0).map_err(reading())?;
    }
    let mut content = Vec::new();
    device.read(&name, &mut content).map_err(reading())?;
    let loaded = parse(content).map_err(|fault| fault.in_file(&name))?;
    if loaded.lsn != lsn {
        let why = format!("it says that it is the snapshot at LSN {}", loaded.lsn);
        return Err(Fault::at(32, why).in_file(&name));
    }
    Ok(loaded)
}

/// Reads what was just written as a snapshot, whatever it is called, from the disk, and checks every byte of it, a block at
/// a time; what it says of itself, and its size.
///
/// # Errors
/// As [`load`].
pub fn check_file(device: &dyn LogDevice, name: &str) -> Result<(SnapshotHeader, u64), WalError> {
    let reading = || WalError::io(format!("reading snapshot {name}"));
    device.distrust(name, 0).map_err(reading())?;
    let bytes = device.bytes(name).map_err(reading())?;
    let mut file = device.reader(name).map_err(reading())?;
    let mut left = usize::try_from(bytes).expect("a file fits into the address space");
    let mut at = 0;
    // The next bytes of the file, as many as are asked for or as there are.
    let mut read = |piece: &mut Vec<u8>, wanted: usize| {
        let from = piece.len();
        let more = wanted.min(left);
        left -= more;
        piece.resize(from + more, 0);
        file.read_exact(&mut piece[from..]).map(|()| left).map_err(reading())
    };
    let mut piece = Vec::new();
    read(&mut piece, HEADER_BYTES)?;
    let header = SnapshotHeader::decode(&piece).map_err(|fault| fault.in_file(name))?;
    for number in 0.. {
        at += piece.len();
        piece.clear();
        read(&mut piece, BLOCK_HEADER_BYTES)?;
        let body_bytes = piece.get(4..8).map_or(0, |length| u32_of(length) as usize);
        let left = read(&mut piece, body_bytes)?;
        let block = check_block(&piece, 0, header.seed(), number)
            .map_err(|fault| Fault::at(at + fault.offset, fault.why).in_file(name))?;
        if block.kind == KIND_END && left > 0 {
            return Err(Fault::at(at + block.end, "something follows its end").in_file(name));
        }
        if block.kind == KIND_END {
            break;
        }
    }
    Ok((header, bytes))
}

fn parse(content: Vec<u8>) -> Result<Loaded, Fault> {
    let header = SnapshotHeader::decode(&content)?;
    let seed = header.seed();
    let mut blocks = Vec::new();
    let mut covered = Vec::new();
    let mut at = HEADER_BYTES;
    for number in 0.. {
        let block = check_block(&content, at, seed, number)?;
        at = block.end;
        match block.kind {
            KIND_END => break,
            KIND_SEGMENTS => {
                covered = decode_covered(&content[block.start..block.end])
                    .map_err(|error| Fault::at(block.start, error.to_string()))?;
            }
            _ => blocks.push(block),
        }
    }
    if at != content.len() {
        return Err(Fault::at(at, "something follows its end"));
    }
    let SnapshotHeader { log_id, lsn, at } = header;
    Ok(Loaded { log_id, lsn, at, covered, content, blocks })
}

fn u32_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn check_block(content: &[u8], at: usize, seed: u32, number: u32) -> Result<Block, Fault> {
    let cut_off = || Fault::at(at, "it is cut off");
    let head = content.get(at..at + BLOCK_HEADER_BYTES).ok_or_else(cut_off)?;
    let field = |offset: usize| u32_of(&head[offset..offset + 4]);
    let start = at + BLOCK_HEADER_BYTES;
    let end = start.checked_add(field(4) as usize).filter(|end| *end <= content.len()).ok_or_else(cut_off)?;
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(&content[at + 4..end]);
    if hasher.finalize() != field(0) {
        return Err(Fault::at(at, "the checksum of a block does not match"));
    }
    if field(8) != number {
        return Err(Fault::at(at, format!("block {} stands where block {number} should", field(8))));
    }
    Ok(Block { kind: field(12), start, end })
}

/// The newest snapshot that can be used, if there is one, and what is wrong with newer ones.
///
/// # Errors
/// `Io`.
pub fn newest(device: &dyn LogDevice) -> Result<(Option<Loaded>, Vec<WalError>), WalError> {
    let listed = device.names().map_err(WalError::io("listing the snapshots"))?;
    let mut damaged = Vec::new();
    for lsn in names::snapshots(&listed).into_iter().rev() {
        match load(device, lsn, true) {
            Ok(loaded) => return Ok((Some(loaded), damaged)),
            Err(error @ WalError::Snapshot { .. }) => damaged.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok((None, damaged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::MemoryDevice;

    fn header() -> SnapshotHeader {
        SnapshotHeader { log_id: 7, lsn: Lsn(9), at: Timestamp(11) }
    }

    fn covered() -> Vec<Covered> {
        vec![
            Covered { epoch: 1, first: Lsn(1), next: Lsn(5), end: 4000, crc: 3 },
            Covered { epoch: 3, first: Lsn(5), next: Lsn(10), end: 300, crc: 4 },
        ]
    }

    fn written() -> Vec<u8> {
        let mut writer = BlockWriter::new(&header());
        let mut out = header().encode();
        for (kind, body) in
            [(KIND_SEGMENTS, encode_covered(&covered())), (5, b"jobs".to_vec()), (6, Vec::new())]
        {
            out.extend_from_slice(&writer.header(kind, &body));
            out.extend_from_slice(&body);
        }
        out.extend_from_slice(&writer.end());
        out
    }

    #[test]
    fn a_snapshot_comes_back_as_it_was_written() {
        let loaded = parse(written()).unwrap();
        assert_eq!((loaded.log_id, loaded.lsn, loaded.at), (7, Lsn(9), Timestamp(11)));
        assert_eq!(loaded.covered, covered());
        assert_eq!(loaded.blocks().collect::<Vec<_>>(), [(5, &b"jobs"[..]), (6, &b""[..])]);
    }

    /// Whether it is refused, as a whole and when it is read a block at a time, for the same reason.
    fn is_refused(content: &[u8]) -> bool {
        let device = MemoryDevice::default();
        device.create("a").unwrap().append(content).unwrap();
        let by_blocks = check_file(&device, "a").map_err(|error| error.to_string());
        let whole = parse(content.to_vec()).map_err(|fault| fault.in_file("a").to_string());
        assert_eq!(by_blocks.as_ref().err(), whole.as_ref().err());
        if let Ok((header, bytes)) = &by_blocks {
            assert_eq!((header.lsn, *bytes), (Lsn(9), content.len() as u64));
        }
        by_blocks.is_err()
    }

    #[test]
    fn any_flipped_bit_any_cut_and_any_addition_is_noticed() {
        let clean = written();
        assert!(!is_refused(&clean));
        for byte in 0..clean.len() {
            let mut bytes = clean.clone();
            bytes[byte] ^= 1 << (byte % 8);
            assert!(is_refused(&bytes), "byte {byte}");
            assert!(is_refused(&clean[..byte]), "cut at {byte}");
        }
        assert!(is_refused(&[&clean[..], b"x"].concat()));
    }

    #[test]
    fn blocks_of_another_snapshot_or_in_another_order_are_noticed() {
        let mut writer = BlockWriter::new(&SnapshotHeader { lsn: Lsn(8), ..header() });
        let mut other = header().encode();
        other.extend_from_slice(&writer.end());
        assert!(is_refused(&other));
        let mut writer = BlockWriter::new(&header());
        let (first, second) = (writer.header(5, b""), writer.header(6, b""));
        let swapped = [&header().encode()[..], &second, &first, &writer.end()].concat();
        assert!(is_refused(&swapped));
    }
}
