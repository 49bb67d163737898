//! Reading snapshots, whole or a block at a time; every byte is checked.

use super::file::{
    BLOCK_HEADER_BYTES, BlockAt, HEADER_BYTES, KIND_END, KIND_SEGMENTS, SnapshotFault, SnapshotHeader,
    check_block, decode_covered, u32_of,
};
use crate::ids::Lsn;
use crate::time::Timestamp;
use crate::wal::device::LogDevice;
use crate::wal::error::WalError;
use crate::wal::names;
use crate::wal::segment::Covered;

/// A snapshot whose every byte was checked.
#[derive(Debug)]
pub struct Loaded {
    pub log_id: u128,
    pub lsn: Lsn,
    pub at: Timestamp,
    /// The segments that it covers, oldest first.
    pub covered: Vec<Covered>,
    content: Vec<u8>,
    blocks: Vec<BlockAt>,
}

impl Loaded {
    /// The caller's blocks, in order: kind and body.
    pub fn blocks(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.blocks.iter().map(|block| (block.kind, &self.content[block.start..block.end]))
    }

    pub fn bytes(&self) -> u64 {
        self.content.len() as u64
    }
}

/// Reads a snapshot and checks every byte of it.
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
        return Err(SnapshotFault::at(32, why).in_file(&name));
    }
    Ok(loaded)
}

/// Checks every byte of a snapshot that was just written, whatever its file is called. It is read from the disk, a
/// block at a time. Returns what it says of itself, and its size.
pub fn check_file(device: &dyn LogDevice, name: &str) -> Result<(SnapshotHeader, u64), WalError> {
    let reading = || WalError::io(format!("reading snapshot {name}"));
    device.distrust(name, 0).map_err(reading())?;
    let bytes = device.bytes(name).map_err(reading())?;
    let read = |at: usize, wanted: usize| device.read_piece(name, at as u64, wanted).map_err(reading());
    let mut piece = read(0, HEADER_BYTES)?;
    let mut at = 0;
    let header = SnapshotHeader::decode(&piece).map_err(|fault| fault.in_file(name))?;
    for number in 0.. {
        at += piece.len();
        piece = read(at, BLOCK_HEADER_BYTES)?;
        let body_bytes = piece.get(4..8).map_or(0, |length| u32_of(length) as usize);
        // A length that is wrong reaches no further than the file.
        piece.extend(read(at + piece.len(), body_bytes.min(bytes as usize))?);
        let block = check_block(&piece, 0, header.seed(), number)
            .map_err(|fault| SnapshotFault { offset: at + fault.offset, ..fault }.in_file(name))?;
        if block.kind == KIND_END && at as u64 + (block.end as u64) < bytes {
            return Err(SnapshotFault::at(at + block.end, "something follows its end").in_file(name));
        }
        if block.kind == KIND_END {
            break;
        }
    }
    Ok((header, bytes))
}

/// The newest snapshot that can be used, if there is one, and what is wrong with newer ones.
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

fn parse(content: Vec<u8>) -> Result<Loaded, SnapshotFault> {
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
                    .map_err(|error| SnapshotFault::at(block.start, error.to_string()))?;
            }
            _ => blocks.push(block),
        }
    }
    if at != content.len() {
        return Err(SnapshotFault::at(at, "something follows its end"));
    }
    let SnapshotHeader { log_id, lsn, at } = header;
    Ok(Loaded { log_id, lsn, at, covered, content, blocks })
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
