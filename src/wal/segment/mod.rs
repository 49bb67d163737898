//! Segments: their bytes (`header`, `record`), reading and writing them, and the spares that become the next ones.

pub mod header;
pub mod reader;
pub mod record;
pub mod spare_file;
pub mod spares;
pub mod visit;
pub mod writer;

use crate::ids::Lsn;

/// No format gets a version above this, of segments or of snapshots: a higher one is damage.
pub const VERSION_MAX: u32 = 255;

/// CRC-32 of bytes that follow one another, begun with the checksum `seed`.
#[inline]
pub fn crc_of(seed: u32, parts: [&[u8]; 2]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(parts[0]);
    if !parts[1].is_empty() {
        hasher.update(parts[1]);
    }
    hasher.finalize()
}

/// A segment, and where its records end; as a snapshot tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    pub epoch: u32,
    pub first: Lsn,
    /// LSN after its last record.
    pub next: Lsn,
    pub end: u32,
    pub crc: u32,
}

/// A segment, as the keeping sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentStats {
    pub epoch: u32,
    /// Its first LSN, which names its file.
    pub first: Lsn,
    /// LSN after its last record.
    pub next: Lsn,
    pub used_bytes: u32,
    pub bytes: u32,
}
