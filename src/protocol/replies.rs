//! What the master answers: one message for each request.

use bytes::BufMut;

use super::{ErrorCode, Stage};
use crate::codec::message;
use crate::codec::{List, Message};
use crate::ids::{JobId, LeaseId, Lsn, SessionId};
use crate::job::{Backoff, HeadersText, Settings};
use crate::rules::QueueSettings;
use crate::time::Timestamp;

message! {
    /// The connection may be used.
    HelloOk<'a> {
        /// The version that both speak from here on.
        version: u16;
        /// Number of this connection in the master's logs.
        session: SessionId;
        /// Name and version of the master.
        software: &'a str;
        body_bytes_max: u32;
        payload_bytes_max: u32;
        /// The most items in a list of a request.
        items_max: u16;
    } extras {
        /// Whoever waits for jobs, or has sent a Heartbeat, and is silent for so long, is taken for dead.
        1 silence_ms: u32;
    }
}

message! {
    /// The jobs are there.
    SubmitOk<'a> {
        jobs: List<'a, Submitted<'a>>;
    }
}

message! {
    Submitted<'a> {
        job: JobId;
        /// The key is held: this is the job that holds it, and no further one was made.
        duplicate: bool;
    } extras {
        /// The queue of that job.
        1 queue: &'a str;
        /// Where it stands, as in `GetOk`; 4 for completed.
        2 standing: u8;
        /// Whether it was submitted with another payload.
        3 payload_differs: bool;
        /// Whether it was submitted to another queue.
        4 queue_differs: bool;
    }
}

message! {
    /// Jobs to run, or none when the wait ran out.
    PollOk<'a> {
        jobs: List<'a, Delivery<'a>>;
    }
}

message! {
    /// One attempt, handed to a worker.
    Delivery<'a> {
        job: JobId;
        lease: LeaseId;
        queue: &'a str;
        /// Empty for none.
        key: &'a str;
        settings: Settings;
        /// 1 for the first delivery.
        attempt: u16;
        /// The lease ends this long after the dispatch.
        lease_ms: u32;
        /// How long the poll had waited at the dispatch.
        waited_ms: u32;
    } extras {
        1 headers: HeadersText<'a>;
    } tail payload: &'a [u8]
}

impl Delivery<'_> {
    /// Writes everything up to the payload's bytes, which the caller sends after it.
    pub fn write_up_to_payload(&self, payload_bytes: u32, out: &mut Vec<u8>) {
        self.write_head(out);
        out.put_u32_le(payload_bytes);
    }
}

message! {
    /// What became of each item of an Ack, Fail or Release.
    Reported<'a> {
        items: List<'a, ItemStatus>;
    }
}

message! {
    ItemStatus {
        job: JobId;
        /// 0 when it was done, or an error code.
        status: u16;
    } extras {
        /// It was done, and its text was dropped or cut.
        1 text_lost: bool;
    }
}

impl ItemStatus {
    /// Why it was not done, if it was not.
    pub fn refused(&self) -> Option<ErrorCode> {
        (self.status != 0).then(|| ErrorCode::from_code(self.status))
    }
}

message! {
    /// What the master wants of each lease.
    HeartbeatOk<'a> {
        leases: List<'a, LeaseStatus>;
    } extras {
        /// What the worker is told to do, a [`Demand`](super::Demand)'s number; one that it does not know it passes
        /// over. It is said once.
        1 order: u8;
    }
}

message! {
    LeaseStatus {
        job: JobId;
        /// What the worker has to do; a number that it does not know means stop, too.
        want: u8;
        /// What is left of the lease.
        remaining_ms: u32;
    }
}

impl LeaseStatus {
    pub const GO_ON: u8 = 0;
    /// Stop: the lease is lost.
    pub const STOP: u8 = 1;
    /// Stop: the job was cancelled. A report, whatever it says, ends it.
    pub const CANCELLED: u8 = 2;

    /// Whether the worker has to stop.
    pub fn is_stop(&self) -> bool {
        self.want != LeaseStatus::GO_ON
    }

    /// Whether it has to stop since the job was cancelled, and still holds the lease.
    pub fn is_cancelled(&self) -> bool {
        self.want == LeaseStatus::CANCELLED
    }
}

message! {
    /// The master's figures, by name.
    StatsOk<'a> {
        figures: List<'a, Figure<'a>>;
        /// In the order of names.
        queues: List<'a, QueueFigures<'a>>;
    }
}

message! {
    Figure<'a> {
        name: &'a str;
        value: u64;
    }
}

message! {
    QueueFigures<'a> {
        name: &'a str;
        figures: List<'a, Figure<'a>>;
    }
}

/// The figure of this name; 0 if the master does not tell it.
fn figure(figures: &List<'_, Figure<'_>>, name: &str) -> u64 {
    figures.iter().find(|figure| figure.name == name).map_or(0, |figure| figure.value)
}

impl StatsOk<'_> {
    /// The figure of this name; 0 if the master does not tell it.
    pub fn figure(&self, name: &str) -> u64 {
        figure(&self.figures, name)
    }
}

impl QueueFigures<'_> {
    /// The figure of this name; 0 if the master does not tell it.
    pub fn figure(&self, name: &str) -> u64 {
        figure(&self.figures, name)
    }
}

message! {
    /// A snapshot is on disk.
    SnapshotOk {
        /// Newest LSN that it holds.
        lsn: u64;
        /// Size of its file.
        bytes: u64;
    }
}

message! {
    /// The files that make up the log.
    BackupOk<'a> {
        files: List<'a, BackupFile<'a>>;
    }
}

message! {
    BackupFile<'a> {
        /// Its name in the data directory.
        name: &'a str;
        /// Bytes from its beginning that are to be read.
        bytes: u32;
        /// Size that the copy has to have; zeros follow what was read.
        size: u32;
    }
}

message! {
    /// A piece of a file.
    ReadOk<'a> {} tail piece: &'a [u8]
}

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
        4 more: More;
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
    More {} extras {
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
    }
}

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
    /// Where each job stands: when all of them have ended, or one where that is enough, or when the wait ran out.
    WaitOk<'a> {
        jobs: List<'a, JobEnd>;
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

message! {
    /// A request was refused.
    ErrorReply<'a> {
        code: u16;
        /// Whether the same request may succeed later.
        retry: bool;
        text: &'a str;
    }
}
