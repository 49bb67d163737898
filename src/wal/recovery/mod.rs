//! Recovery: reads the log from its first record to its last, and decides about what stands there. `replay` and
//! `endings` change nothing. `mend` carries out what they decided; it may be interrupted at any place and begun
//! again. `verify` looks and tells. `salvage` reads across damage, for repair.
//!
//! A *hole* is the first place where a valid record or a segment's header should be and is not.
//!
//! | at the hole | means | done |
//! | --- | --- | --- |
//! | its LSN is at or below a durable LSN that anything valid names | synced data is damaged | refused |
//! | valid records follow, all of whose durable LSNs are below it | an unsynced group out of order | cut, and said |
//! | something follows, but nothing valid | torn tail | cut, the bytes kept aside, and said |
//! | only records of another epoch follow, or a clean end in a file that is used again | left over | the end |
//! | nothing follows | | the end |
//!
//! Valid records, segment headers and snapshots name durable LSNs. A refusal tells the segment, the offset and what
//! to do, and changes nothing.
//!
//! A segment that a later one continues is no case of its own: the loop does not wait for the old segment's sync
//! before it begins the next. So after a power cut a hole in the unsynced end of the old one may lie before a valid
//! new one. Whether anything durable is lost is what the durable LSNs tell, there as everywhere.
//!
//! The segments that a snapshot covers are not replayed, but they are read: a payload that is damaged is found before
//! the daemon serves. Each must end where the snapshot says. One that is not in its list was given up and is removed.
//!
//! What was not certainly synced is read from the disk itself, not from the system's memory: after a failed sync that
//! may hold what never reached the disk.
//!
//! Versions are looked at first, in every file (`later`). What a later falcond wrote is refused whatever else there
//! is.

pub mod endings;
pub mod found;
pub mod later;
pub mod mend;
pub mod replay;
pub mod salvage;
pub mod verify;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::Lsn;
use crate::time::Timestamp;
use crate::wal::error::WalError;
use crate::wal::segment::record::Record;

/// How far recovery is, in bytes that were read.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Bytes that were read, and that will be in all.
    pub fn bytes(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    pub fn per_cent(&self) -> u64 {
        let (done, total) = self.bytes();
        (done.saturating_mul(100)).checked_div(total).unwrap_or(0).min(100)
    }

    pub(in crate::wal) fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(in crate::wal) fn read(&self, bytes: usize) {
        self.done.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What is rebuilt from a log. A kind that it does not know is `Later`, and what does not fit is `Replay`. Its errors
/// need not name the file.
pub trait Restore {
    /// A snapshot follows that holds everything up to this LSN.
    fn begun(&mut self, _lsn: Lsn) {}

    /// Takes a block of the snapshot, in the order in which they were written.
    fn block(&mut self, kind: u32, body: &[u8]) -> Result<(), WalError>;

    /// The snapshot is complete: it was begun at this moment, and holds everything up to this LSN.
    fn loaded(&mut self, lsn: Lsn, at: Timestamp) -> Result<(), WalError>;

    fn record(&mut self, record: &Record<'_>) -> Result<(), WalError>;

    /// Everything was read, and these segments, told by their epochs, are there. Nothing was changed yet: an error
    /// refuses the log as it is.
    fn ended(&mut self, _has_segment: &dyn Fn(u32) -> bool) -> Result<(), WalError> {
        Ok(())
    }
}
