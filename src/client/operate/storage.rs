//! The files of the master's log.

use crate::client::{Client, ClientError};
use crate::ids::Lsn;
use crate::protocol::{self, SegmentFacts, SegmentState, SnapshotFacts, StorageOk};
use crate::time::Timestamp;

/// The files of a master's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// The segment that is written, the full ones, newest first, and the spares.
    pub segments: Vec<Segment>,
    /// How many more segments there are.
    pub left_out: u64,
    /// The snapshots that are kept, oldest first.
    pub snapshots: Vec<StoredSnapshot>,
}

/// A segment of a master's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// LSN of its first record; a spare has none.
    pub first_lsn: Option<Lsn>,
    /// Size of its file.
    pub bytes: u64,
    /// Bytes up to the end of its last record.
    pub used_bytes: u64,
    /// Bytes that it would take to move what jobs need of it.
    pub live_bytes: u64,
    /// What it is there for.
    pub state: SegmentState,
}

/// A snapshot that a master keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The newest LSN that it holds.
    pub lsn: Lsn,
    /// Size of its file.
    pub bytes: u64,
    /// When it was begun, if its file tells.
    pub made_at: Option<Timestamp>,
}

impl Client {
    /// The files of the master's log, a bounded number of them.
    pub fn storage(&self) -> Result<Storage, ClientError> {
        let answer = self.ask(protocol::Storage {})?;
        answer.read::<protocol::Storage>().map(Storage::from)
    }
}

impl From<StorageOk<'_>> for Storage {
    fn from(told: StorageOk<'_>) -> Self {
        let StorageOk { segments, left_out, snapshots } = told;
        Storage {
            segments: segments.iter().map(Segment::from).collect(),
            left_out,
            snapshots: snapshots.iter().map(StoredSnapshot::from).collect(),
        }
    }
}

impl From<SegmentFacts> for Segment {
    fn from(told: SegmentFacts) -> Self {
        let SegmentFacts { first, bytes, used_bytes, live_bytes, state } = told;
        let first_lsn = (state != SegmentState::Spare).then_some(first);
        Segment { first_lsn, bytes, used_bytes, live_bytes, state }
    }
}

impl From<SnapshotFacts> for StoredSnapshot {
    fn from(told: SnapshotFacts) -> Self {
        let SnapshotFacts { lsn, bytes, made_at } = told;
        StoredSnapshot { lsn, bytes, made_at: (made_at != Timestamp(0)).then_some(made_at) }
    }
}
