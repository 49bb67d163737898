//! What a client asks: one message each, with its bounds. The table of all requests is in [`super::table`].

mod batches;
mod operate;
mod schedules;

pub use batches::*;
pub use operate::*;
pub use schedules::*;

use super::bounds::{
    any_items, at_most, batch_name, client_name, follow_ups, group_name, key_or_none, queue_name, queue_names,
    sane_backoff, sane_headers, sane_settings, short_payload, some_before, some_items, within,
};
use super::{MAGIC, VERSION};
use crate::codec::{DecodeError, List, Reader};
use crate::codec::{coded, message};
use crate::ids::{JobId, LeaseId, Lsn};
use crate::job::{Backoff, HeadersText, IfFailed, OnDuplicate, Settings};
use crate::limits::{
    DELAY_MS_MAX, HOST_BYTES_MAX, ITEMS_MAX, KEEP_MS_MAX, KEY_WINDOW_MS_MAX, LEASE_MS_MAX, LEASE_MS_MIN, PERCENT_MAX,
    PROGRESS_TEXT_BYTES_MAX, READ_BYTES_MAX, RECENT_TOLD_MAX, SOFTWARE_BYTES_MAX, TOKEN_BYTES_MAX, WAIT_MS_MAX,
};

message! {
    /// Who connects. The first three fields never change, so that any two versions understand each other so far.
    Hello<'a> {
        magic: u32;
        version_min: u16;
        version_max: u16;
        name: &'a str => client_name;
        token: &'a [u8] => at_most(TOKEN_BYTES_MAX);
        /// The same for all connections of one worker, and another one for each worker; 0 for none.
        instance: u64;
    } extras {
        /// It says by a Heartbeat when it begins a job. Without this each delivery counts as an attempt.
        1 says_begun: bool;
        /// Where the worker runs, as which process, which program and version it is, and how many jobs it runs at once.
        /// They are told of whoever has an `instance`.
        2 host: &'a str => at_most(HOST_BYTES_MAX);
        3 pid: u32;
        4 software: &'a str => at_most(SOFTWARE_BYTES_MAX);
        5 concurrency: u16;
        /// Its leases last as long as they were asked for: they are not cut when this connection ends.
        6 leases_stay: bool;
    }
}

impl<'a> Hello<'a> {
    /// A Hello of this version.
    pub fn new(name: &'a str, token: &'a [u8]) -> Hello<'a> {
        Hello { magic: MAGIC, version_min: VERSION, version_max: VERSION, name, token, ..Hello::default() }
    }

    /// The magic, and the oldest and newest version that the client speaks, of a Hello of whatever version.
    pub fn first_fields(body: &[u8]) -> Result<(u32, u16, u16), DecodeError> {
        let mut reader = Reader::new(body);
        Ok((reader.u32("magic")?, reader.u16("version_min")?, reader.u16("version_max")?))
    }
}

message! {
    /// Hands jobs in, all or none.
    Submit<'a> {
        jobs: List<'a, SubmitJob<'a>> => some_items;
    } extras {
        /// All are members of this batch, which is open.
        1 batch: &'a str => batch_name;
    }
}

impl<'a> Submit<'a> {
    /// These jobs, members of no batch.
    pub fn of(jobs: &'a [SubmitJob<'a>]) -> Submit<'a> {
        Submit { jobs: List::lent(jobs), batch: None }
    }
}

message! {
    /// A job to be.
    SubmitJob<'a> {
        queue: &'a str => queue_name;
        /// Empty for none.
        key: &'a str => key_or_none;
        settings: Settings => sane_settings;
        /// Not delivered before this has passed.
        delay_ms: u64 => within(0, DELAY_MS_MAX);
    } extras {
        /// Kept so long after its end, in whole seconds, rounded up; otherwise as long as its queue says.
        1 keep_ms: u64 => within(0, KEEP_MS_MAX);
        /// How long it waits after a failed attempt; otherwise as its queue says.
        2 backoff: Backoff => sane_backoff;
        /// Not begun within this time, it ends as expired; otherwise as its queue says.
        3 ttl_ms: u64 => within(1, KEEP_MS_MAX);
        /// What goes with it to its worker.
        4 headers: HeadersText<'a> => sane_headers;
        /// Inside its queue; without it the job is in none.
        5 group: &'a str => group_name;
        /// Its key is held so long from now on, whatever becomes of it; otherwise to its end, and for the key window.
        6 unique_for_ms: u64 => within(1, KEY_WINDOW_MS_MAX);
        /// Its key is held until it is handed out.
        7 unique_until_start: bool;
        /// What is done if another job holds its key; otherwise that is the answer.
        8 on_duplicate: OnDuplicate;
        /// It waits for these to end, and its delay counts from then on.
        9 after: List<'a, After<'a>> => some_before;
        /// What becomes of it if one of those does not complete; otherwise it is cancelled.
        10 if_failed: IfFailed;
        /// It is to be given the results of those.
        11 with_results: bool;
    } tail payload: &'a [u8] => short_payload
}

coded! {
    /// How a job that another one waits for is named.
    AfterBy {
        /// By its id.
        Job = 0 "job";
        /// By its place in the same request, from 0 on; it stands before the one that waits.
        Item = 1 "item";
        /// By the key that it holds.
        Key = 2 "key";
        /// It is no job but a batch, of this name.
        Batch = 3 "batch";
    }
}

message! {
    /// A job that another one waits for.
    After<'a> {
        by: AfterBy;
        number: u64;
        /// The key, or the batch's name; otherwise empty.
        name: &'a str;
    }
}

message! {
    /// Asks for jobs.
    Poll<'a> {
        /// The preferred one first.
        queues: List<'a, &'a str> => queue_names;
        /// How many of them can be begun at once.
        free: u16 => within(0, ITEMS_MAX as u64);
        /// How long to wait for the first.
        wait_ms: u32 => within(0, WAIT_MS_MAX.into());
        /// Length of each job's lease.
        lease_ms: u32 => within(LEASE_MS_MIN.into(), LEASE_MS_MAX.into());
    } extras {
        /// How many more it would hold until it can begin them. They are given only while no other poll of their queue
        /// waits that has a free slot.
        1 extra: u16 => within(1, ITEMS_MAX as u64);
        /// Bytes that the payloads may have together; the first job is given whatever it has.
        2 payload_bytes_max: u32;
    }
}

message! {
    /// Reports attempts that did their work.
    Ack<'a> {
        items: List<'a, AckItem<'a>> => some_items;
    }
}

message! {
    AckItem<'a> {
        job: JobId;
        lease: LeaseId;
    } extras {
        /// The result may be dropped where there is no room for it, or it is too long: the ack is taken.
        1 text_optional: bool;
    } tail result: &'a [u8]
}

message! {
    /// Reports an attempt that did its work, and hands the jobs in that follow from it: it is done and they are there,
    /// or neither.
    AckThen<'a> {
        item: AckItem<'a>;
        jobs: List<'a, SubmitJob<'a>> => follow_ups;
    }
}

message! {
    /// Reports attempts that did not work.
    Fail<'a> {
        items: List<'a, FailItem<'a>> => some_items;
    }
}

message! {
    FailItem<'a> {
        job: JobId;
        lease: LeaseId;
        /// Whether further attempts are pointless.
        for_good: bool;
        error: &'a str;
    } extras {
        /// The error may be cut where it is too long, or dropped where there is no room for it and the job ends.
        1 text_optional: bool;
        /// The next attempt is not before this has passed, whatever the job's backoff is.
        2 retry_in_ms: u64 => within(0, DELAY_MS_MAX);
    }
}

message! {
    /// Gives jobs back unharmed.
    Release<'a> {
        items: List<'a, ReleaseItem> => some_items;
    }
}

message! {
    ReleaseItem {
        job: JobId;
        lease: LeaseId;
        /// Not delivered again before this has passed.
        delay_ms: u64 => within(0, DELAY_MS_MAX);
    }
}

message! {
    /// Extends leases. One that names none is a sign of life.
    Heartbeat<'a> {
        leases: List<'a, HeldLease> => any_items;
    } extras {
        /// The worker takes no new jobs for now.
        1 quiet: bool;
    }
}

coded! {
    /// How far a worker is with a job that it was handed.
    Stage {
        /// It has not started it.
        Held = 0 "held";
        /// It may have.
        Begun = 1 "begun";
    }
}

message! {
    /// A lease that a worker still needs.
    HeldLease {
        job: JobId;
        lease: LeaseId;
        stage: Stage;
    }
}

message! {
    /// Asks for figures.
    Stats {}
}

message! {
    /// Asks for what was counted and measured.
    Measure {}
}

/// Behind the end of the log.
pub const FROM_NOW_ON: Lsn = Lsn(u64::MAX);

message! {
    /// Asks for what happened lately.
    Recent {
        /// What happened behind this record, or [`FROM_NOW_ON`].
        after: Lsn;
        /// So many events at most.
        most: u16 => within(1, RECENT_TOLD_MAX as u64);
    }
}

message! {
    /// Asks for the files of the log.
    Storage {}
}

message! {
    /// Asks for a snapshot of the state, to be on disk.
    Snapshot {}
}

message! {
    /// Begins a backup: which files make up the log.
    Backup {}
}

message! {
    /// Reads a piece of a file of the backup.
    Read {
        /// The file's number in the list, from 0.
        file: u16;
        /// Where the piece begins.
        offset: u32;
        /// How long it is at most.
        bytes: u32 => within(1, READ_BYTES_MAX.into());
    }
}

message! {
    /// Asks for everything that is known of a job.
    Get {
        job: JobId;
    }
}

message! {
    /// Asks which workers there are.
    Workers<'a> {
        /// Only those of this name; empty for all.
        name: &'a str => client_name;
    }
}

coded! {
    /// What a worker is told to do.
    Demand {
        /// Take no new jobs, and go on with those that run.
        Quiet = 1 "quiet";
        /// Take new jobs again.
        Resume = 2 "resume";
        /// Take no new jobs, finish those that run, and leave.
        Stop = 3 "stop";
    }
}

message! {
    /// Tells workers what to do.
    Order<'a> {
        /// All workers of this name; empty for all that there are.
        name: &'a str => client_name;
        what: Demand;
    }
}

message! {
    /// Says how far a job is.
    Progress<'a> {
        job: JobId;
        lease: LeaseId;
        percent: u8 => within(0, PERCENT_MAX.into());
        /// For people.
        text: &'a str => at_most(PROGRESS_TEXT_BYTES_MAX);
    }
}

message! {
    /// Asks what happened to a job, as far as the log still tells it.
    Log {
        job: JobId;
        /// Only from this LSN on.
        from: Lsn;
    }
}
