//! What is told of batches.

use super::Figure;
use crate::codec::{List, message};

message! {
    /// The batch is open.
    BeginBatchOk {
        /// How many members it has.
        members: u64;
    }
}

message! {
    /// Everything that is known of a batch.
    BatchFacts<'a> {
        name: &'a str;
        /// All members are there.
        sealed: bool;
        /// It is cancelled.
        called_off: bool;
        members: u64;
        /// Of these, how many have not ended; a batch that is sealed is over when there are none.
        left: u64;
        /// Of its members: as of a queue, without those that are of no use here.
        figures: List<'a, Figure<'a>>;
    }
}

message! {
    /// A page of batches.
    ListBatchesOk<'a> {
        batches: List<'a, BatchRow<'a>>;
        /// Whether there are more behind the last.
        more: bool;
    }
}

message! {
    /// What a list tells of a batch.
    BatchRow<'a> {
        name: &'a str;
        sealed: bool;
        called_off: bool;
        members: u64;
        /// Of these, how many have not ended, and how many have and did not complete.
        left: u64;
        failed: u64;
    }
}
