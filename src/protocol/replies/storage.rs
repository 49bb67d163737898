//! What the master tells of the files of its log.

use crate::codec::{List, coded, message};
use crate::ids::Lsn;
use crate::time::Timestamp;

coded! {
    /// What a segment is there for.
    SegmentState {
        /// Records are written to it.
        Active = 1 "active";
        /// It is kept for what lives in it, or for a replay.
        Full = 2 "full";
        /// It becomes one of the next ones.
        Spare = 3 "spare";
    }
}

message! {
    /// A segment of the log.
    SegmentFacts {
        /// LSN of its first record; 0 of a spare.
        first: Lsn;
        /// Size of its file.
        bytes: u64;
        /// Bytes up to the end of its last record.
        used_bytes: u64;
        /// Bytes of the records that it would take to move what jobs need of it.
        live_bytes: u64;
        state: SegmentState;
    }
}

message! {
    /// A snapshot that is kept.
    SnapshotFacts {
        /// The newest LSN that it holds.
        lsn: Lsn;
        bytes: u64;
        /// When it was begun, by the clock on the wall; 0 where its file does not tell.
        made_at: Timestamp;
    }
}

message! {
    /// The files of the log.
    StorageOk<'a> {
        /// The one that is written, the full ones, newest first, and the spares.
        segments: List<'a, SegmentFacts>;
        /// How many more there are.
        left_out: u64;
        /// Oldest first.
        snapshots: List<'a, SnapshotFacts>;
    }
}
