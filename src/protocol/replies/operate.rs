//! What answers those who look at jobs and queues, wait for them and mend them.

use super::{Figure, ItemStatus};
use crate::codec::{List, message};
use crate::ids::JobId;
use crate::rules::{GroupSettings, QueueSettings};
use crate::time::Timestamp;

message! {
    /// The job that holds a key.
    FindOk {
        job: JobId;
    }
}

message! {
    /// Bytes of a job.
    TextOk<'a> {} tail text: &'a [u8]
}

message! {
    /// Where each job stands: when all of them have ended, or one where that is enough, or when the wait ran out, or
    /// when there is progress that was asked for.
    WaitOk<'a> {
        jobs: List<'a, JobEnd>;
    } extras {
        /// Where it was asked for and the request was parked.
        1 progress: WaitProgress<'a>;
    }
}

message! {
    /// How far jobs are that are waited for.
    WaitProgress<'a> {
        /// From when on the next wait is to be told.
        at: Timestamp;
        /// Those of which something new was told, the newest first, at most 64.
        jobs: List<'a, WaitedProgress<'a>>;
    }
}

message! {
    WaitedProgress<'a> {
        job: JobId;
        percent: u8;
        /// For people; may be empty.
        text: &'a str;
    }
}

message! {
    JobEnd {
        job: JobId;
        /// [`Standing`](crate::job::Standing)'s number, one of a later version, or one of those below.
        standing: u8;
    }
}

impl JobEnd {
    /// It has ended, and was not kept: how is not known any more.
    pub const GONE: u8 = 254;
    /// No job ever had this id.
    pub const NEVER_WAS: u8 = 255;
}

message! {
    /// How many jobs are to run.
    IdleOk {
        /// Those that are pending, in flight, or await another attempt.
        left: u64;
        /// Those that are delayed to a later time.
        delayed: u64;
        /// How many jobs have died since the log began.
        died: u64;
        /// How many are dead now.
        dead: u64;
    }
}

message! {
    /// What became of each job.
    MendOk<'a> {
        items: List<'a, ItemStatus>;
    }
}

message! {
    /// It is done.
    Done {}
}

message! {
    /// Everything that is known of a queue.
    QueueFacts<'a> {
        figures: List<'a, Figure<'a>>;
        settings: QueueSettings;
        /// Whether a poll waits for its jobs.
        polled: bool;
    } extras {
        1 pause_in: QueuePause<'a>;
        2 pause_out: QueuePause<'a>;
    }
}

message! {
    /// A pause of a queue.
    QueuePause<'a> {
        /// How long it lasts still; 0 for until it is ended.
        left_ms: u64;
        reason: &'a str;
    }
}

message! {
    /// A page of groups.
    GroupsOk<'a> {
        groups: List<'a, GroupRow<'a>>;
        /// Where to go on; 0 if that was all.
        next: u64;
    }
}

message! {
    /// What is known of a group.
    GroupRow<'a> {
        /// Empty for the jobs that are in none.
        name: &'a str;
        /// Its own; what is not set is as for each group of its queue.
        settings: GroupSettings;
        /// Its jobs that are there; of the one without a name those that wait or are in flight.
        jobs: u64;
        in_flight: u64;
    } extras {
        /// How many groups have their turn before it, if it may hand out a job now; counted up to 10,000.
        1 before: u64;
        /// In how long its next token comes, if it waits for one.
        2 token_in_ms: u64;
    }
}

message! {
    /// A page of jobs.
    ListJobsOk<'a> {
        jobs: List<'a, JobRow<'a>>;
        /// Where to go on; 0 if that was all.
        next: JobId;
        /// How many jobs were looked at.
        looked: u32;
    }
}

message! {
    /// What a list tells of a job.
    JobRow<'a> {
        job: JobId;
        queue: &'a str;
        /// Empty for none.
        key: &'a str;
        /// [`Standing`](crate::job::Standing)'s number, or one of a later version.
        standing: u8;
        priority: u8;
        attempts: u16;
        max_attempts: u16;
        submitted_at: Timestamp;
        /// 0 unless it is delayed.
        due_at: Timestamp;
    } extras {
        /// When it ended, or its last attempt.
        1 ended_at: Timestamp;
        /// Why its last attempt failed, the beginning of it.
        2 error: &'a str;
        3 error_kind: u64;
        /// Who has it.
        4 worker: &'a str;
        /// Since when it may have been started.
        5 begun_at: Timestamp;
        /// How far it is, in percent, as its worker has told; and its words.
        6 percent: u8;
        7 progress: &'a str;
        8 group: &'a str;
    }
}

message! {
    /// How many jobs are meant.
    CountJobsOk<'a> {
        count: u64;
        /// The most frequent first; those past 1,000 are in the count alone.
        errors: List<'a, ErrorCount<'a>>;
        /// Where to go on; 0 if that was all.
        next: JobId;
        /// How many jobs were looked at.
        looked: u32;
    }
}

message! {
    /// Jobs whose last attempts failed for the same reason, but for numbers and ids in its words.
    ErrorCount<'a> {
        kind: u64;
        count: u64;
        /// One of them, and its error, the beginning of it.
        job: JobId;
        error: &'a str;
    } extras {
        /// When the first of these attempts ended, and the last.
        1 first_at: Timestamp;
        2 last_at: Timestamp;
    }
}

message! {
    /// How many jobs of the page were changed.
    MendAllOk {
        done: u64;
        /// Where it could not be done.
        refused: u64;
        /// Where to go on; 0 if that was all.
        next: JobId;
        /// When the first page was asked for.
        since: Timestamp;
        /// How many jobs were looked at.
        looked: u32;
    }
}

message! {
    /// Reasons, the first one first to look at.
    ExplainOk<'a> {
        reasons: List<'a, Reason<'a>>;
    }
}

message! {
    Reason<'a> {
        /// [`Cause`](crate::protocol::Cause)'s number, or one of a later version.
        cause: u8;
        /// For a person: what it is, and what would change it.
        text: &'a str;
    } extras {
        /// How many it is about.
        1 count: u64;
        /// When it ends by itself.
        2 left_ms: u64;
    }
}
