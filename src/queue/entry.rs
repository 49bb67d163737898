//! The entry of one job in memory: everything that a plain job needs, in 64 bytes. Its payload stays in
//! the log; its key, its lease and all that few jobs have lie in side tables that cost memory only for jobs that have
//! them.

use super::deadlines::{NIL, NO_CELL};
use super::groups::Home;
use crate::ids::{JobId, Location, QueueId};
use crate::job::{Settings, Standing};
use crate::time::{PackedTimestamp, Timestamp};

/// Bytes in the log, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    pub at: Location,
    pub bytes: u32,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub id: JobId,
    /// By where it stands: its order in line, its time, its delay, the number of its lease, or until when it is kept.
    /// These exclude each other.
    pub(super) place: u64,
    pub payload: Text,
    /// Where it lines up: in its queue, or in a group of it.
    pub home: Home,
    /// The entry before it in its line or cell.
    pub prev: u32,
    /// The entry after it in its line or cell.
    pub next: u32,
    /// The number of its [`Side`](super::sides::Side), or `NIL`.
    pub side: u32,
    pub settings: Settings,
    pub submitted_at: PackedTimestamp,
    /// Attempts so far.
    pub attempts: u16,
    /// Its cell in the wheel of delayed jobs, or in that of kept ones.
    pub cell: u16,
    pub standing: Standing,
}

const _: () = assert!(size_of::<Entry>() <= 64, "a plain job costs one cache line");

impl Entry {
    /// An entry that no job has.
    pub fn vacant() -> Self {
        Entry {
            id: JobId(0),
            place: 0,
            payload: Text::default(),
            home: Home::of_queue(QueueId(0)),
            prev: NIL,
            next: NIL,
            side: NIL,
            settings: Settings::default(),
            submitted_at: PackedTimestamp::default(),
            attempts: 0,
            cell: NO_CELL,
            standing: Standing::Pending,
        }
    }

    /// Its place in line, while it is pending: the lower it is, the sooner the job leaves. A snapshot needs it.
    pub fn order(&self) -> u64 {
        self.place
    }

    pub fn set_order(&mut self, order: u64) {
        self.place = order;
    }

    /// When it is due, while it is delayed.
    pub fn due_at(&self) -> Timestamp {
        Timestamp(self.place)
    }

    pub fn set_due_at(&mut self, due_at: Timestamp) {
        self.place = due_at.0;
    }

    /// How long it is delayed once those have ended that it waits for.
    pub fn delay_ms(&self) -> u64 {
        self.place
    }

    pub fn set_delay_ms(&mut self, delay_ms: u64) {
        self.place = delay_ms;
    }

    /// Until when it is kept, once it has ended; the end of time for a dead one that stays.
    pub fn kept_until(&self) -> Timestamp {
        Timestamp(self.place)
    }

    pub fn set_kept_until(&mut self, until: Timestamp) {
        self.place = until.0;
    }

    /// Its lease, while it is in flight.
    pub fn lease(&self) -> Option<u32> {
        (self.standing == Standing::InFlight).then_some(self.place as u32)
    }

    pub fn set_lease(&mut self, lease: u32) {
        self.place = u64::from(lease);
    }
}
