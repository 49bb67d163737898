//! The entry of one job in memory: everything that a plain job needs, in 64 bytes. Its payload stays in
//! the log; its key, error and lease lie in side tables that cost memory only for the jobs that have them.

use super::deadlines::{NIL, NO_CELL};
use crate::ids::{JobId, Location, QueueId};
use crate::time::Timestamp;

/// Where a job stands. Completed and cancelled jobs have no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for a poll.
    Pending,
    /// Waits for its time.
    Delayed,
    /// A worker has it.
    InFlight,
    /// Out of attempts, or failed for good.
    Dead,
}

/// One job.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id.
    pub id: JobId,
    /// Its place in line, while it is pending: the lower it is, the sooner the job leaves. A snapshot needs it.
    pub order: u64,
    /// When it is due, while it is delayed.
    pub due_at: Timestamp,
    /// Where its payload lies in the log.
    pub payload_at: Location,
    /// Length of its payload.
    pub payload_bytes: u32,
    /// Its queue.
    pub queue: QueueId,
    /// The entry before it in its line or cell.
    pub prev: u32,
    /// The entry after it in its line or cell.
    pub next: u32,
    /// Its lease, while it is in flight.
    pub lease: u32,
    /// An attempt may run this long; 0 for no bound.
    pub timeout_ms: u32,
    /// Attempts so far.
    pub attempts: u16,
    /// Attempts that it gets.
    pub max_attempts: u16,
    /// Its cell in the wheel of delayed jobs.
    pub cell: u16,
    /// 0 is the most urgent.
    pub priority: u8,
    /// Where it stands.
    pub state: State,
}

const _: () = assert!(size_of::<Entry>() <= 64, "a plain job costs one cache line");

impl Entry {
    /// An entry that no job has.
    pub fn vacant() -> Self {
        Entry {
            id: JobId(0),
            order: 0,
            due_at: Timestamp(0),
            payload_at: Location::default(),
            payload_bytes: 0,
            queue: QueueId(0),
            prev: NIL,
            next: NIL,
            lease: NIL,
            timeout_ms: 0,
            attempts: 0,
            max_attempts: 0,
            cell: NO_CELL,
            priority: 0,
            state: State::Pending,
        }
    }
}
