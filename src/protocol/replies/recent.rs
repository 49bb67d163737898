//! What happened lately.

use crate::codec::{List, message};
use crate::ids::{JobId, Lsn};
use crate::time::Timestamp;

message! {
    /// What happened behind an LSN.
    RecentOk<'a> {
        /// What to ask with next.
        next: Lsn;
        /// Records behind the one that was named of which nothing can be told any more.
        missed: u64;
        /// In the order of the log.
        events: List<'a, RecentEvent<'a>>;
    }
}

message! {
    /// An event, without what it says.
    RecentEvent<'a> {
        lsn: Lsn;
        at: Timestamp;
        /// Its number.
        kind: u8;
        /// The job that it is about; 0 for none.
        job: JobId;
        /// The queue of that job, or the one that it is about; empty for none.
        queue: &'a str;
    } extras {
        /// The schedule or the batch that it is about.
        1 name: &'a str;
    }
}
