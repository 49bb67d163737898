//! The write-ahead log: records in segments, made durable in groups; snapshots of what they come to; and the keeping
//! of both, so that the log stays small.
//!
//! Promises:
//! - LSNs are dense from 1.
//! - A group, the records of one request, is recovered as a whole or not at all.
//! - What a finished sync covered is recovered, or its damage is noticed. For the newest group this holds once a mark
//!   vouches for it.
//! - A record that no sync covered is recovered whole or is gone.
//! - Nothing of an earlier use of a file is ever taken for a record.
//! - No segment is given up that a replay or a live payload needs.
//!
//! It does not know what a record or a snapshot means: kinds and bodies are opaque. It does not decide when to sync,
//! to take a snapshot or to clean: the master does. It does not run the sync: [`SyncThread`] does.
//!
//! An append copies into the map of the newest segment and returns at once. [`Wal::sync_request`] says what to make
//! durable; [`Wal::synced`] is told of the outcome. One sync is under way at a time.
//!
//! [`TextsReading`] and [`LogReading`] read beside the one who appends: what they read is pinned when they are made.
//!
//! Room: segments are really allocated before they are used, and spares are made ahead. [`Wal::room_for_jobs`]
//! refuses new jobs while what is left is kept for those that were accepted before.

mod append;
mod beside;
mod device;
mod dir;
mod error;
mod follow;
mod keeping;
pub mod names;
mod open;
mod pinned;
mod reading;
mod recovery;
mod room;
mod segment;
mod snapshot;
mod sync;
#[cfg(test)]
mod tests;

/// The bytes of segments and snapshots, for the targets of `fuzz/` alone.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use super::error::{Bad, HeaderFault};
    pub use super::segment::Covered;
    pub use super::segment::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
    pub use super::segment::reader::{ScanEnd, scan, valid_after};
    pub use super::segment::record::{RECORD_HEADER_BYTES, Stamp, encode_start, record_at};
    pub use super::snapshot::file::{BLOCK_HEADER_BYTES, BlockWriter, HEADER_BYTES, SnapshotHeader, encode_covered};
    pub use super::snapshot::reading::{Loaded, check_file, load};
}

pub use append::{Appended, NewRecord, Wal, WalConfig, WalStats};
pub use beside::spawn as spawn_beside;
pub use device::memory::{MemoryDevice, Operation};
pub use device::{LogDevice, NewFile, Payload, SegmentWriter};
pub use dir::{DirDevice, DirLock, SegmentIo};
pub use error::WalError;
pub use follow::Follower;
pub use keeping::BackedUp;
pub use open::begin_behind;
pub use reading::{KeptRecord, LogBounds, LogPage, LogReading, MissingRecords, Text, TextBatch, TextsReading};
pub use recovery::salvage::{Salvage, newest_snapshot, visit_whole};
pub use recovery::verify::{Inspection, Verified, inspect, verify};
pub use recovery::{Progress, Restore};
pub use segment::SegmentStats;
pub use segment::record::{Record, RecordHead, record_bytes};
pub use segment::visit::{Visited, visit_all};
pub use snapshot::file::KeptSnapshot;
pub use snapshot::writer::{SnapshotOutcome, SnapshotWriter};
pub use sync::{SyncOutcome, SyncRequest, SyncThread};

/// What tells one payload from another: its CRC-32 and its length.
pub fn digest(payload: &[u8]) -> u64 {
    u64::from(crc32fast::hash(payload)) << 32 | payload.len() as u64
}
