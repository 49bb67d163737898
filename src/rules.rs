//! What holds in a queue, beside its jobs: the same value in a frame, in an event and in the state.

use crate::codec::{coded, message};
use crate::job::Backoff;

coded! {
    /// Which way of a queue is closed.
    Way {
        /// It takes no jobs.
        In = 1 "in";
        /// It hands none out.
        Out = 2 "out";
        Both = 3 "both";
    }
}

impl Way {
    /// Whether this closes the way in.
    pub const fn is_in(self) -> bool {
        matches!(self, Way::In | Way::Both)
    }

    /// Whether this closes the way out.
    pub const fn is_out(self) -> bool {
        matches!(self, Way::Out | Way::Both)
    }
}

message! {
    /// The settings of a queue; what is not set is as everywhere.
    QueueSettings {} extras {
        /// How long a job is kept after its end that says nothing else. Read when a job ends.
        1 keep_s: u32;
        /// How long a dead job is kept; without it until somebody requeues or purges it. Read when a job dies.
        2 dead_keep_s: u32;
        /// Of a job that has none of its own. Read when an attempt fails.
        3 backoff: Backoff;
        /// Of a job that says nothing else. Read at the submit.
        4 max_attempts: u16;
        /// How many jobs may wait, delayed or not. Read at the submit.
        5 depth_max: u64;
        /// How many bytes their payloads may have together. Read at the submit.
        6 bytes_max: u64;
        /// How long an attempt of a job may run that says nothing else. Read at the submit.
        7 timeout_ms: u32;
        /// How long a job may wait to be begun that says nothing else. Read at the submit.
        8 ttl_ms: u64;
        /// How many jobs may be in flight, over all workers. Read whenever a job may be handed out.
        9 running_max: u32;
    }
}
