//! Jobs and queues: the pure state machine.
//!
//! Promises: [`Queues::apply`] is the only function that changes what is durable; it takes an event with its
//! LSN and moment, so that replay of the log gives the same state, line by line, that the running master had.
//! `check` holds every invariant between the indexes.
//! It does not: decide (the master does), read clocks, draw random numbers, touch disks or sockets, or keep
//! payloads, which stay in the log.
//!
//! A delayed job becomes pending when [`Queues::advance`] passes its time. `apply` advances to the event's own
//! moment first; since the running master never lets time pass otherwise than in that order, the lines come
//! out the same in a replay.

pub mod counters;
pub mod deadlines;
pub mod event;

mod apply;
mod check;
mod job;
mod keys;
mod leases;
mod ready;
mod restore;
mod snapshot;
mod survey;
mod table;
mod usage;

use std::collections::HashMap;

use counters::Counters;
use deadlines::Wheel;
use job::{Entry, State};
use keys::Keys;
use leases::Leases;
use ready::Ready;
use snapshot::Taking;
use table::Table;
use usage::Usage;

use crate::ids::{JobId, LeaseId, Location, QueueId, SessionId};
use crate::limits::QUEUES_MAX;
use crate::planted::{Bug, is_planted};
use crate::time::{Millis, Timestamp};

pub use apply::Broken;
pub use event::{DeathReason, Enqueue, Event};
pub use restore::Restoring;
pub use snapshot::Slice;
pub use survey::PayloadAt;
pub use usage::{SegmentUse, live_bytes};

/// All queues and their jobs.
#[derive(Debug)]
pub struct Queues {
    table: Table,
    queues: Vec<QueueState>,
    by_name: HashMap<Box<str>, QueueId>,
    /// The queue that was named last: most often it is named again.
    recent: Option<QueueId>,
    /// Ids of queues that were forgotten.
    free_queues: Vec<QueueId>,
    delayed: Wheel,
    leases: Leases,
    keys: Keys,
    /// The last error of jobs that failed and are not completed.
    errors: HashMap<JobId, Box<str>>,
    /// The moment up to which delays and key windows were carried out.
    now: Timestamp,
    next_job: JobId,
    /// The newest places given at the back and at the front of lines.
    back: u64,
    front: u64,
    /// Jobs that are dead.
    dead: usize,
    /// What lives where in the log.
    usage: Usage,
    /// The snapshot that is being taken.
    taking: Option<Box<Taking>>,
    /// Queues that got pending jobs since they were last asked for.
    woken: Vec<QueueId>,
    /// Reused by `advance`.
    due: Vec<u32>,
}

/// Places in line are given from here to both sides, and never come to an end.
const LINE_MIDDLE: u64 = 1 << 63;

#[derive(Debug)]
struct QueueState {
    name: Box<str>,
    ready: Ready,
    counters: Counters,
    woken: bool,
}

/// As many queues as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyQueues;

/// What a worker is told of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobView<'a> {
    /// Its id.
    pub id: JobId,
    /// Its queue's name.
    pub queue: &'a str,
    /// Its key, or empty.
    pub key: &'a str,
    /// Its priority.
    pub priority: u8,
    /// Attempts so far.
    pub attempts: u16,
    /// Attempts that it gets.
    pub max_attempts: u16,
    /// An attempt may run this long; 0 for no bound.
    pub timeout_ms: u32,
    /// Where its payload lies.
    pub payload_at: Location,
    /// Length of its payload.
    pub payload_bytes: u32,
}

/// What the master needs to know of a live lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// Its id.
    pub id: LeaseId,
    /// Who holds it.
    pub holder: SessionId,
    /// Whether its job has a key.
    pub has_key: bool,
    /// Attempts of its job so far, this one counted.
    pub attempts: u16,
    /// Attempts that its job gets.
    pub max_attempts: u16,
}

impl Default for Queues {
    fn default() -> Self {
        Queues {
            table: Table::default(),
            queues: Vec::new(),
            by_name: HashMap::new(),
            recent: None,
            free_queues: Vec::new(),
            delayed: Wheel::default(),
            leases: Leases::default(),
            keys: Keys::default(),
            errors: HashMap::new(),
            now: Timestamp(0),
            next_job: JobId(1),
            back: LINE_MIDDLE,
            front: LINE_MIDDLE,
            dead: 0,
            usage: Usage::default(),
            taking: None,
            woken: Vec::new(),
            due: Vec::new(),
        }
    }
}

impl Queues {
    /// The id that the next job gets.
    #[must_use]
    pub fn next_job(&self) -> JobId {
        self.next_job
    }

    /// The queue of this name, if it was ever used in this run.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<QueueId> {
        self.by_name.get(name).copied()
    }

    /// The queue of this name, made if it is not there: submitting to it and polling it are uses.
    ///
    /// # Errors
    /// When there are as many queues as there may be.
    pub fn queue_made(&mut self, name: &str) -> Result<QueueId, TooManyQueues> {
        if let Some(queue) = self.recent
            && *self.queues[queue.0 as usize].name == *name
        {
            return Ok(queue);
        }
        if let Some(queue) = self.queue(name) {
            self.recent = Some(queue);
            return Ok(queue);
        }
        if self.by_name.len() >= QUEUES_MAX {
            return Err(TooManyQueues);
        }
        let state = QueueState {
            name: name.into(),
            ready: Ready::default(),
            counters: Counters::default(),
            woken: false,
        };
        let queue = if let Some(queue) = self.free_queues.pop() {
            self.queues[queue.0 as usize] = state;
            queue
        } else {
            self.queues.push(state);
            QueueId(u32::try_from(self.queues.len() - 1).map_err(|_| TooManyQueues)?)
        };
        self.by_name.insert(name.into(), queue);
        Ok(queue)
    }

    /// Forgets a queue that never had a job.
    pub fn forget_if_unused(&mut self, queue: QueueId) {
        let state = &self.queues[queue.0 as usize];
        let is_known = self.by_name.get(&state.name) == Some(&queue);
        if is_known && state.counters == Counters::default() && !state.woken {
            self.by_name.remove(&state.name);
            self.recent = None;
            self.free_queues.push(queue);
        }
    }

    /// The job that would leave this queue next.
    #[must_use]
    pub fn front(&self, queue: QueueId) -> Option<JobView<'_>> {
        let slot = self.queues[queue.0 as usize].ready.front()?;
        Some(self.view(&self.table[slot]))
    }

    /// Whether any job waits in this queue.
    #[must_use]
    pub fn has_pending(&self, queue: QueueId) -> bool {
        self.queues[queue.0 as usize].ready.front().is_some()
    }

    /// The live lease of this job.
    #[must_use]
    pub fn live_lease(&self, job: JobId) -> Option<LeaseView> {
        let entry = &self.table[self.table.slot(job)?];
        if entry.state != State::InFlight {
            return None;
        }
        let lease = self.leases.lease(entry.lease);
        Some(LeaseView {
            id: lease.id,
            holder: lease.holder,
            has_key: self.keys.key(job).is_some(),
            attempts: entry.attempts,
            max_attempts: entry.max_attempts,
        })
    }

    /// The remembered job of this key.
    #[must_use]
    pub fn job_of_key(&self, key: &str) -> Option<JobId> {
        self.keys.job(key)
    }

    /// The last error of a job that failed.
    #[must_use]
    pub fn last_error(&self, job: JobId) -> Option<&str> {
        self.errors.get(&job).map(AsRef::as_ref)
    }

    /// The jobs of every queue, in the order of names.
    #[must_use]
    pub fn counters(&self) -> Vec<(&str, Counters)> {
        let mut all: Vec<_> =
            self.by_name.iter().map(|(name, id)| (&**name, self.queues[id.0 as usize].counters)).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }

    /// All jobs by state.
    #[must_use]
    pub fn totals(&self) -> Counters {
        let mut totals = Counters::default();
        self.queues.iter().for_each(|queue| totals.add(&queue.counters));
        totals
    }

    /// What lives in the segment of this epoch.
    #[must_use]
    pub fn live_in(&self, epoch: u32) -> SegmentUse {
        self.usage.of(epoch)
    }

    /// Bytes that live in all segments.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.usage.total()
    }

    /// The epochs of the segments in which something lives, ascending.
    pub fn live_epochs(&self) -> impl Iterator<Item = u32> {
        self.usage.epochs()
    }

    /// Whether this job's payload lies there.
    #[must_use]
    pub fn lives_at(&self, job: JobId, at: Location) -> bool {
        self.table.slot(job).is_some_and(|slot| {
            let entry = &self.table[slot];
            entry.payload_at == at && entry.payload_bytes > 0
        })
    }

    /// How many jobs wait, delayed or not, and how many are in flight.
    #[must_use]
    pub fn unfinished(&self) -> (usize, usize) {
        let in_flight = self.leases.len();
        (self.table.len() - in_flight - self.dead, in_flight)
    }

    /// Lets time pass: delayed jobs whose time has come become pending, in the order of their times and then
    /// of their ids, and keys whose window is over are forgotten. Time never goes back.
    pub fn advance(&mut self, now: Timestamp) {
        if now <= self.now {
            return;
        }
        self.now = now;
        self.keys.advance(now);
        let mut due = std::mem::take(&mut self.due);
        self.delayed.advance(&mut self.table, now, &mut due);
        due.sort_unstable_by_key(|slot| (self.table[*slot].due_at, self.table[*slot].id));
        for slot in due.drain(..) {
            self.leave_state(slot);
            self.enter_pending(slot, End::Back);
        }
        self.due = due;
    }

    /// A moment at or before the next one at which something is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.delayed.next_deadline().into_iter().chain(self.leases.next_deadline()).min()
    }

    /// The jobs whose lease has run out by `now`, in order. The caller ends each of these leases by an event.
    pub fn take_run_out(&mut self, now: Timestamp) -> Vec<JobId> {
        self.leases.take_run_out(now)
    }

    /// Extends a live lease to its full length from `now`; from now on `holder` holds it.
    /// Returns what is left of it, or nothing if it is not the job's live lease.
    pub fn extend(
        &mut self,
        job: JobId,
        lease: LeaseId,
        holder: SessionId,
        now: Timestamp,
    ) -> Option<Millis> {
        let index = self.lease_index(job, lease)?;
        Some(self.leases.extend(index, holder, now))
    }

    /// Notes who holds a lease that was just granted.
    pub fn hold(&mut self, job: JobId, lease: LeaseId, holder: SessionId) {
        if let Some(index) = self.lease_index(job, lease) {
            self.leases.hold(index, holder);
        }
    }

    /// Shortens a lease to end at `deadline` at the latest, if `holder` still holds it.
    pub fn cut(&mut self, job: JobId, lease: LeaseId, holder: SessionId, deadline: Timestamp) {
        if let Some(index) = self.lease_index(job, lease)
            && self.leases.lease(index).holder == holder
        {
            self.leases.cut(index, deadline);
        }
    }

    /// Puts off the end of a lease that has run out, for want of room to write it down.
    pub fn postpone(&mut self, job: JobId, lease: LeaseId, until: Timestamp) {
        if let Some(index) = self.lease_index(job, lease) {
            self.leases.postpone(index, until);
        }
    }

    /// Gives every lease its full length from `now`: after a restart.
    pub fn renew_leases(&mut self, now: Timestamp) {
        self.leases.renew_all(now);
    }

    /// Takes the next of the queues that got pending jobs since they were last asked for.
    pub fn take_woken(&mut self) -> Option<QueueId> {
        let queue = self.woken.pop()?;
        self.queues[queue.0 as usize].woken = false;
        Some(queue)
    }

    fn lease_index(&self, job: JobId, lease: LeaseId) -> Option<u32> {
        let entry = &self.table[self.table.slot(job)?];
        let live = entry.state == State::InFlight
            && (self.leases.lease(entry.lease).id == lease || is_planted(Bug::NoFence));
        live.then_some(entry.lease)
    }

    fn view(&self, entry: &Entry) -> JobView<'_> {
        JobView {
            id: entry.id,
            queue: &self.queues[entry.queue.0 as usize].name,
            key: self.keys.key(entry.id).unwrap_or_default(),
            priority: entry.priority,
            attempts: entry.attempts,
            max_attempts: entry.max_attempts,
            timeout_ms: entry.timeout_ms,
            payload_at: entry.payload_at,
            payload_bytes: entry.payload_bytes,
        }
    }
}

/// Which end of its line a job joins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Front,
    Back,
}
