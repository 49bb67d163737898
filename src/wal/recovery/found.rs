//! What recovery found in a log, and what is to be done about it.

use crate::ids::Lsn;
use crate::wal::error::Bad;
use crate::wal::segment::header::SegmentHeader;

#[derive(Debug, Default)]
pub struct Examined {
    pub segments: Vec<FoundSegment>,
    pub next_lsn: Lsn,
    /// Newest LSN that is known to have been durable.
    pub durable: Lsn,
    /// The highest epoch that was in use, whether its segment is still there or not.
    pub last_epoch: u32,
    /// What is to be done before the log is written again.
    pub mending: Mending,
}

/// What recovery does to the files.
#[derive(Debug, Default)]
pub struct Mending {
    pub cut: Option<Cut>,
    /// Segments that leave the log, the newest last; what is in them is kept.
    pub drop: Vec<Lsn>,
    /// Segments that were given up before; they are removed.
    pub remove: Vec<Lsn>,
    /// Valid records that follow the hole and were never synced.
    pub unsynced: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub segment: Lsn,
    pub offset: u32,
    pub bytes: u32,
    pub bad: Bad,
}

impl Mending {
    /// Whether the log goes on in a fresh segment.
    pub fn cuts(&self) -> bool {
        self.cut.is_some() || !self.drop.is_empty()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct FoundSegment {
    pub header: SegmentHeader,
    pub end: u32,
    pub crc: u32,
    pub next_lsn: Lsn,
}
