//! What the master answers: one message for each request.

mod batches;
mod looks;
mod measures;
mod operate;
mod recent;
mod schedules;
mod storage;

pub use batches::*;
pub use looks::*;
pub use measures::*;
pub use operate::*;
pub use recent::*;
pub use schedules::*;
pub use storage::*;

use bytes::BufMut;

use super::ErrorCode;
use crate::codec::message;
use crate::codec::{List, Message};
use crate::ids::{JobId, LeaseId, SessionId};
use crate::job::{BeforeList, HeadersText, Settings};

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
        /// Whether its payload and its times are those of this submit now.
        5 replaced: bool;
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
        /// Without it the job is in none.
        2 group: &'a str;
        /// The jobs whose results it is to be given; see [`Before`](crate::job::Before).
        3 results_of: BeforeList<'a>;
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

message! {
    /// What became of an ack with follow-ups.
    AckThenOk<'a> {
        /// 0 when it was done, or an error code; then there are no jobs.
        status: u16;
        /// What became of each, as of a Submit.
        jobs: List<'a, Submitted<'a>>;
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
    /// A request was refused.
    ErrorReply<'a> {
        code: u16;
        /// Whether the same request may succeed later.
        retry: bool;
        text: &'a str;
    }
}
