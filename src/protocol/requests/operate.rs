//! What a person asks of jobs and queues: to look, to wait, to mend.

use super::super::bounds::{
    at_most, group_name, group_or_none, queue_name, queue_or_all, sane_group_rules, sane_rules, some_items, some_key,
    within,
};
use crate::codec::{List, coded, message};
use crate::ids::JobId;
use crate::limits::{
    ATTEMPTS_MAX, DELAY_MS_MAX, ERROR_TEXT_BYTES_MAX, ITEMS_MAX, KEEP_MS_MAX, KEY_BYTES_MAX, REASON_BYTES_MAX,
    WAIT_MS_MAX,
};
use crate::rules::{GroupSettings, QueueSettings, Way};
use crate::time::Timestamp;

message! {
    /// Asks which job holds a key.
    Find<'a> {
        key: &'a str => some_key;
    }
}

message! {
    /// Asks for bytes of a job as they are.
    Text {
        job: JobId;
        what: TextKind;
    }
}

coded! {
    /// Which bytes of a job.
    TextKind {
        Payload = 1 "payload";
        /// Of a completed job that is kept.
        Result = 2 "result";
        /// A list of names and values; nothing if it has none.
        Headers = 3 "headers";
    }
}

message! {
    /// Waits for the ends of jobs.
    Wait<'a> {
        jobs: List<'a, JobId> => some_items;
        /// Whether the first end is enough.
        any: bool;
        wait_ms: u32 => within(0, WAIT_MS_MAX.into());
    } extras {
        /// It is to be answered, too, when a worker tells how far one of the jobs is, or has told that from this moment
        /// on: `at` of the answer before, or 0. That is a second after this moment at the soonest.
        1 progress_since: Timestamp;
    }
}

message! {
    /// Waits until nothing is to run now: no job is pending, in flight, or awaits another attempt.
    Idle<'a> {
        /// Empty for all queues.
        queue: &'a str => queue_or_all;
        wait_ms: u32 => within(0, WAIT_MS_MAX.into());
    }
}

coded! {
    /// What is done to jobs.
    Change {
        /// They are not to run; one in flight ends with its worker's report.
        Cancel = 1 "cancel";
        /// The same, but one in flight ends at once.
        CancelNow = 2 "cancel-now";
        /// Dead ones get all their attempts again.
        Requeue = 3 "requeue";
        /// Those not in flight are gone.
        Purge = 4 "purge";
        /// What was settled at the submit is another thing.
        Update = 5 "update";
    }
}

message! {
    /// Changes jobs, each by itself.
    Mend<'a> {
        change: Change;
        jobs: List<'a, JobId> => some_items;
    } extras {
        /// Of an update.
        1 update: Updated;
    }
}

message! {
    /// What an update changes; what is not said stays.
    Updated {} extras {
        /// They wait at the end of its line.
        1 priority: u8;
        2 max_attempts: u16 => within(1, ATTEMPTS_MAX.into());
        /// Not delivered before this has passed.
        3 delay_ms: u64 => within(0, DELAY_MS_MAX);
        /// Not begun within this time, they end as expired; 0 for never.
        4 ttl_ms: u64 => within(0, KEEP_MS_MAX);
    }
}

message! {
    /// Closes a queue.
    Pause<'a> {
        queue: &'a str => queue_name;
        way: Way;
        /// It opens by itself after this time; 0 for never.
        for_ms: u64 => within(0, KEEP_MS_MAX);
    } extras {
        1 reason: &'a str => at_most(REASON_BYTES_MAX);
    }
}

message! {
    /// Opens a queue again.
    Resume<'a> {
        queue: &'a str => queue_name;
        way: Way;
    }
}

message! {
    /// Settles what holds in a queue: all of it, what is not said is as everywhere.
    SetQueue<'a> {
        queue: &'a str => queue_name;
        settings: QueueSettings => sane_rules;
    }
}

message! {
    /// Settles what holds for one group of a queue: all of it, what is not said is as for each of its groups.
    SetGroup<'a> {
        queue: &'a str => queue_name;
        /// Empty for the jobs that are in none.
        group: &'a str => group_or_none;
        settings: GroupSettings => sane_group_rules;
    }
}

message! {
    /// Asks which groups a queue has: those that have settings of their own, then others that are there.
    Groups<'a> {
        queue: &'a str => queue_name;
        /// Where to go on: `next` of the page before, or 0.
        from: u64;
    } extras {
        /// This one alone; empty for the jobs that are in none.
        1 group: &'a str => group_or_none;
    }
}

message! {
    /// Forgets a queue that has no jobs.
    DeleteQueue<'a> {
        queue: &'a str => queue_name;
    }
}

message! {
    /// Asks for everything that is known of a queue.
    ShowQueue<'a> {
        queue: &'a str => queue_name;
    }
}

message! {
    /// Takes no more jobs, in no queue, until it is told otherwise or started again.
    Drain {
        on: bool;
    }
}

message! {
    /// Which jobs are meant: those of which all holds that is said.
    Filter<'a> {} extras {
        1 queue: &'a str => queue_name;
        /// A bit for each standing: 1 shifted by its number.
        2 standings: u8;
        3 key_prefix: &'a str => at_most(KEY_BYTES_MAX);
        /// Submitted at least so long ago.
        4 older_than_ms: u64;
        /// Submitted at most so long ago.
        5 younger_than_ms: u64;
        /// The error of their last attempt has this text in it.
        6 error: &'a str => at_most(ERROR_TEXT_BYTES_MAX);
        /// The error of their last attempt is of this kind, as a `Count` by errors tells it.
        7 error_kind: u64;
        /// Jobs of this group.
        8 group: &'a str => group_name;
    }
}

message! {
    /// Lists jobs, by their ids.
    ListJobs<'a> {
        filter: Filter<'a>;
        /// Where to go on: `next` of the page before, or 0.
        from: JobId;
        newest_first: bool;
        limit: u16 => within(1, ITEMS_MAX as u64);
    }
}

message! {
    /// Counts jobs.
    CountJobs<'a> {
        filter: Filter<'a>;
        /// Where to go on: `next` of the page before, or 0.
        from: JobId;
        /// Whether to count them by the errors of their last attempts, too.
        by_error: bool;
    }
}

message! {
    /// Changes all jobs that are meant, a page at a time.
    MendAll<'a> {
        change: Change;
        filter: Filter<'a>;
        /// Where to go on: `next` of the page before, or 0.
        from: JobId;
        /// When the first page was asked for, as its reply tells; 0 in the first. A job that ended, or failed, after
        /// that is left alone, so that none is changed twice.
        since: Timestamp;
    } extras {
        /// Of an update.
        1 update: Updated;
    }
}

message! {
    /// Asks why a job does not run now.
    Explain {
        job: JobId;
    }
}

message! {
    /// Asks what holds in a queue now.
    ExplainQueue<'a> {
        queue: &'a str => queue_name;
    }
}

coded! {
    /// A reason why something does not happen now.
    Cause {
        /// Nothing stands in its way.
        Next = 1 "next";
        Delayed = 2 "delayed";
        /// It awaits another attempt.
        Retry = 3 "retry";
        JobsBefore = 4 "jobs-before";
        /// Its queue hands out nothing.
        Paused = 5 "paused";
        /// The queue takes no jobs.
        PausedIn = 6 "paused-in";
        NoWorker = 7 "no-worker";
        /// Its queue's workers take no new jobs.
        Quiet = 8 "quiet";
        /// Its queue's workers have no free slot.
        Busy = 9 "busy";
        /// Its queue's workers leave their replies unread.
        Unread = 10 "unread";
        /// A worker has it, and has not begun it.
        Held = 11 "held";
        Running = 12 "running";
        WorkerSilent = 13 "worker-silent";
        WorkerGone = 14 "worker-gone";
        Cancelled = 15 "cancelled";
        Dead = 16 "dead";
        /// It has ended, and is kept.
        Ended = 17 "ended";
        /// It ends unless it is handed out in time.
        Expires = 18 "expires";
        /// As many jobs or bytes wait as may.
        Full = 19 "full";
        Drained = 20 "drained";
        Stopping = 21 "stopping";
        /// As many jobs of its queue are in flight as may be.
        Limited = 22 "limited";
        /// As many jobs of its group are.
        GroupLimited = 23 "group-limited";
        /// In strict order another job of its group is in flight, or awaits another attempt.
        Strict = 24 "strict";
        /// Its queue waits for a token.
        Throttled = 25 "throttled";
        /// Its group does.
        GroupThrottled = 26 "group-throttled";
        /// Other groups of its queue have their turn first.
        GroupsBefore = 27 "groups-before";
        /// It waits for other jobs to end.
        Waits = 28 "waits";
        /// It is a member of a batch that is open.
        Batch = 29 "batch";
    }
}
