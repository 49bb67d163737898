//! Reading snapshots; every byte is checked.

use std::ops::Range;

use super::file::{
    BLOCK_HEADER_BYTES, HEADER_BYTES, KIND_END, KIND_SEGMENTS, SnapshotFault, SnapshotHeader, check_block,
    decode_covered, u32_of,
};
use crate::codec::DecodeError;
use crate::ids::Lsn;
use crate::time::Timestamp;
use crate::wal::device::LogDevice;
use crate::wal::error::WalError;
use crate::wal::names;
use crate::wal::segment::Covered;

/// What is read of a file at once: the device reads nothing ahead.
const READ_BYTES: usize = 1 << 20;

/// A snapshot whose every byte was checked.
#[derive(Debug)]
pub struct Loaded {
    pub log_id: u128,
    pub lsn: Lsn,
    pub at: Timestamp,
    pub bytes: u64,
    /// The segments that it covers, oldest first.
    pub covered: Vec<Covered>,
    content: Vec<u8>,
    /// The caller's blocks: their kinds, and where their bodies lie.
    blocks: Vec<(u32, Range<usize>)>,
}

impl Loaded {
    /// The caller's blocks, in order: kind and body.
    pub fn blocks(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.blocks.iter().map(|(kind, body)| (*kind, &self.content[body.clone()]))
    }
}

pub fn load(device: &dyn LogDevice, lsn: Lsn) -> Result<Loaded, WalError> {
    let name = names::snapshot(lsn);
    let loaded = load_file(device, &name)?;
    if loaded.lsn != lsn {
        let why = format!("it says that it is the snapshot at LSN {}", loaded.lsn);
        return Err(SnapshotFault::at(32, why).in_file(&name));
    }
    Ok(loaded)
}

/// Reads it whole: one long read is what a disk does best.
fn load_file(device: &dyn LogDevice, name: &str) -> Result<Loaded, WalError> {
    let reading = || WalError::io(format!("reading snapshot {name}"));
    device.distrust(name, 0).map_err(reading())?;
    let content = device.read(name).map_err(reading())?;
    let piece = |at: usize, wanted: usize| {
        let rest = content.get(at..).unwrap_or_default();
        Ok(rest[..wanted.min(rest.len())].to_vec())
    };
    let (mut covered, mut blocks) = (Vec::new(), Vec::new());
    let header = visit_blocks(name, content.len() as u64, piece, |kind, at, body| {
        match kind {
            KIND_SEGMENTS => covered = decode_covered(body)?,
            _ => blocks.push((kind, at..at + body.len())),
        }
        Ok(())
    })?;
    let SnapshotHeader { log_id, lsn, at } = header;
    Ok(Loaded { log_id, lsn, at, bytes: content.len() as u64, covered, content, blocks })
}

/// Checks every byte of a snapshot that was just written, whatever its file is called. It is read from the disk,
/// many blocks at a time. Returns what it says of itself, and its size.
pub fn check_file(device: &dyn LogDevice, name: &str) -> Result<(SnapshotHeader, u64), WalError> {
    let reading = || WalError::io(format!("reading snapshot {name}"));
    device.distrust(name, 0).map_err(reading())?;
    let bytes = device.bytes(name).map_err(reading())?;
    let (mut held_at, mut held) = (0, Vec::new());
    let read = |at: usize, wanted: usize| {
        if at < held_at || at + wanted > held_at + held.len() {
            held = device.read_piece(name, at as u64, wanted.max(READ_BYTES)).map_err(reading())?;
            held_at = at;
        }
        let rest = &held[at - held_at..];
        Ok(rest[..wanted.min(rest.len())].to_vec())
    };
    Ok((visit_blocks(name, bytes, read, |_, _, _| Ok(()))?, bytes))
}

/// Reads a snapshot of `bytes` by pieces, and hands over each block but the end: its kind, where its body lies, and
/// the body.
fn visit_blocks(
    name: &str,
    bytes: u64,
    mut read: impl FnMut(usize, usize) -> Result<Vec<u8>, WalError>,
    mut visit: impl FnMut(u32, usize, &[u8]) -> Result<(), DecodeError>,
) -> Result<SnapshotHeader, WalError> {
    let header = SnapshotHeader::decode(&read(0, HEADER_BYTES)?).map_err(|fault| fault.in_file(name))?;
    let mut at = HEADER_BYTES;
    for number in 0.. {
        let mut block = read(at, BLOCK_HEADER_BYTES)?;
        let body_bytes = block.get(4..8).map_or(0, |length| u32_of(length) as usize);
        // A length that is wrong reaches no further than the file.
        block.extend(read(at + block.len(), body_bytes.min(bytes as usize))?);
        let end = at + block.len();
        let kind =
            check_block(&block, header.seed(), number).map_err(|why| SnapshotFault::at(at, why).in_file(name))?;
        if kind == KIND_END && (end as u64) < bytes {
            return Err(SnapshotFault::at(end, "something follows its end").in_file(name));
        }
        if kind == KIND_END {
            break;
        }
        let body_at = at + BLOCK_HEADER_BYTES;
        visit(kind, body_at, &block[BLOCK_HEADER_BYTES..])
            .map_err(|error| SnapshotFault::at(body_at, error.to_string()).in_file(name))?;
        at = end;
    }
    Ok(header)
}

/// The newest snapshot that can be used, if there is one, and what is wrong with newer ones.
pub fn newest(device: &dyn LogDevice) -> Result<(Option<Loaded>, Vec<WalError>), WalError> {
    let listed = device.names().map_err(WalError::io("listing the snapshots"))?;
    let mut damaged = Vec::new();
    for lsn in names::snapshots(&listed).into_iter().rev() {
        match load(device, lsn) {
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
    use crate::wal::device::memory::MemoryDevice;
    use crate::wal::snapshot::file::{BlockWriter, encode_covered};

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
        for (kind, body) in [(KIND_SEGMENTS, encode_covered(&covered())), (5, b"jobs".to_vec()), (6, Vec::new())] {
            out.extend_from_slice(&writer.header(kind, &body));
            out.extend_from_slice(&body);
        }
        out.extend_from_slice(&writer.end());
        out
    }

    fn loaded(content: &[u8]) -> Result<Loaded, WalError> {
        let device = MemoryDevice::default();
        device.create("a").unwrap().append(content).unwrap();
        load_file(&device, "a")
    }

    #[test]
    fn a_snapshot_comes_back_as_it_was_written() {
        let loaded = loaded(&written()).unwrap();
        assert_eq!((loaded.log_id, loaded.lsn, loaded.at), (7, Lsn(9), Timestamp(11)));
        assert_eq!((loaded.bytes, &loaded.covered), (written().len() as u64, &covered()));
        assert_eq!(loaded.blocks().collect::<Vec<_>>(), [(5, &b"jobs"[..]), (6, &b""[..])]);
    }

    fn is_refused(content: &[u8]) -> bool {
        loaded(content).is_err()
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
