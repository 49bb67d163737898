//! What is told of one job, and of workers.

use super::super::Stage;
use crate::codec::{List, message};
use crate::ids::{JobId, LeaseId, Lsn};
use crate::job::{Backoff, BeforeList, IfFailed, Settings};
use crate::time::Timestamp;

message! {
    /// Everything that is known of a job.
    GetOk<'a> {
        job: JobId;
        queue: &'a str;
        /// Empty for none.
        key: &'a str;
        /// [`Standing`](crate::job::Standing)'s number, or one of a later version.
        standing: u8;
        settings: Settings;
        submitted_at: Timestamp;
        /// 0 unless it is delayed.
        due_at: Timestamp;
        /// Attempts so far.
        attempts: u16;
        payload_bytes: u32;
    } extras {
        /// While it is in flight.
        1 lease: Leased<'a>;
        /// Once an attempt of it has ended that counts, or the job itself.
        2 past: Past;
        /// How far it is, as its worker has told under the lease that it has now.
        3 progress: JobProgress<'a>;
        4 more: More<'a>;
    } tail story: &'a [u8]
}

message! {
    /// Who has a job.
    Leased<'a> {
        lease: LeaseId;
        worker: &'a str;
        /// 0 while the worker only holds the job.
        begun_at: Timestamp;
        remaining_ms: u64;
    }
}

message! {
    /// When a job ended, or its last attempt.
    Past {
        ended_at: Timestamp;
        /// [`Ending`](crate::job::Ending)'s number, one of a later version, or 0 if no attempt failed.
        ending: u8;
    }
}

message! {
    /// What few jobs have.
    More<'a> {} extras {
        /// For how many seconds it wants to be kept after its end.
        1 keep_s: u32;
        /// Until when it is kept that has ended.
        2 kept_until: Timestamp;
        3 backoff: Backoff;
        /// If it was not begun by then, it ends.
        4 expires_at: Timestamp;
        5 headers_bytes: u32;
        /// Of a completed one.
        6 result_bytes: u32;
        /// It was cancelled while it was in flight.
        7 cancelled: bool;
        8 group: &'a str;
        /// What it waits for, or has waited for and wants the results of; see [`Before`](crate::job::Before).
        9 after: BeforeList<'a>;
        10 if_failed: IfFailed;
        11 with_results: bool;
        /// Of one that waits: its delay once that is over.
        12 delay_ms: u64;
        /// The batch that it is a member of.
        13 batch: &'a str;
    }
}

message! {
    /// How far a job is.
    JobProgress<'a> {
        percent: u8;
        told_at: Timestamp;
        /// For people; may be empty.
        text: &'a str;
    }
}

message! {
    /// The workers that there are, in the order of their names.
    WorkersOk<'a> {
        workers: List<'a, KnownWorker<'a>>;
    } extras {
        /// So many more have no room in this reply.
        1 left_out: u32;
    }
}

message! {
    /// What is known of a worker.
    KnownWorker<'a> {
        name: &'a str;
        /// As it said in Hello; where it said nothing 0 or empty, as all of these.
        instance: u64;
        host: &'a str;
        pid: u32;
        software: &'a str;
        concurrency: u16;
        /// Since when nothing was heard of it.
        silent_ms: u64;
        /// Whether it takes no new jobs for now.
        quiet: bool;
        /// Whether a poll of it waits.
        polls: bool;
        /// How many jobs it has that it has not begun, and how many that it has.
        held: u32;
        begun: u32;
        /// Those of its newest poll.
        queues: List<'a, &'a str>;
        /// Its jobs, the ones that it has had for longest first; not all where it has very many.
        jobs: List<'a, WorkerJob>;
    }
}

message! {
    /// A job that a worker has.
    WorkerJob {
        job: JobId;
        lease: LeaseId;
        stage: Stage;
        /// How long it has had it.
        had_ms: u64;
    }
}

message! {
    /// The workers will be told with their next Heartbeats.
    OrderOk {
        /// How many.
        workers: u32;
    }
}

message! {
    /// It was noted how far the job is.
    ProgressOk {}
}

message! {
    /// A piece of what happened to a job.
    LogOk<'a> {
        /// Ascending by LSN.
        events: List<'a, LoggedEvent<'a>>;
        /// The LSN to go on from; 0 when this was all.
        next: Lsn;
    } extras {
        /// Runs of records that the log no longer has, ascending; events of the job may have been among them.
        1 missing: List<'a, Missing>;
    }
}

message! {
    /// An event of a job.
    LoggedEvent<'a> {
        lsn: Lsn;
        at: Timestamp;
        /// Number of its kind, as in the log; it may be one of a later version.
        kind: u8;
    } tail body: &'a [u8]
}

message! {
    /// Records that are not there any more.
    Missing {
        first: Lsn;
        last: Lsn;
        /// Moment of the record behind them.
        next_at: Timestamp;
    }
}
