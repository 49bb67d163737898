//! `apply`: the only function that changes what is durable.

use std::fmt;

use super::deadlines::NIL;
use super::job::{Entry, State};
use super::{End, Enqueue, Event, Queues};
use crate::ids::{JobId, LeaseId, Location, Lsn};
use crate::limits::JOB_ID_END;
use crate::time::Timestamp;

/// An event that does not fit the state: the log was not written by this state machine, or is damaged in a way
/// that its checksums do not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    lsn: Lsn,
    event: &'static str,
    job: JobId,
    why: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broken { lsn, event, job, why } = self;
        write!(f, "record {lsn}, {event} of job {job}, does not fit what came before it: {why}")
    }
}

impl std::error::Error for Broken {}

impl Queues {
    /// Carries out one event: `lsn` and `at` are those of its record; `payload_at` is where the payload of an ENQUEUE or
    /// MOVE lies (ignored for the others).
    ///
    /// # Errors
    /// When the event does not fit the state; the state is then unchanged.
    pub fn apply(
        &mut self,
        lsn: Lsn,
        at: Timestamp,
        event: &Event<'_>,
        payload_at: Location,
    ) -> Result<(), Broken> {
        self.advance(at);
        let outcome = match *event {
            Event::Enqueue(ref job) => self.apply_enqueue(job, payload_at),
            Event::Dispatch { job, lease_ms, attempt, .. } => {
                self.apply_dispatch(lsn, at, job, lease_ms, attempt)
            }
            Event::Ack { job, lease, key_until, .. } => self.apply_ack(job, lease, key_until),
            Event::Retry { job, lease, retry_at, error } => self.end_attempt(job, lease).map(|slot| {
                self.errors.insert(job, error.into());
                self.enter_waiting(slot, retry_at, End::Back);
            }),
            Event::Timeout { job, lease, retry_at } => {
                self.end_attempt(job, lease).map(|slot| self.enter_waiting(slot, retry_at, End::Back))
            }
            Event::Dead { job, lease, error, .. } => self.end_attempt(job, lease).map(|slot| {
                self.errors.insert(job, error.into());
                self.enter_state(slot, State::Dead);
            }),
            Event::Release { job, lease, due_at } => self.end_attempt(job, lease).map(|slot| {
                self.table[slot].attempts -= 1;
                self.enter_waiting(slot, due_at, End::Front);
            }),
            Event::Move { job, payload } => self.apply_move(job, payload.len(), payload_at),
        };
        outcome.map_err(|why| Broken { lsn, event: event.name(), job: event.job(), why })
    }

    fn apply_enqueue(&mut self, job: &Enqueue<'_>, payload_at: Location) -> Result<(), &'static str> {
        if job.job < self.next_job || job.job.0 >= JOB_ID_END {
            return Err("its id is not above all ids before it");
        }
        if !job.key.is_empty() && self.keys.job(job.key).is_some() {
            return Err("its key is still remembered for another job");
        }
        let payload_bytes = u32::try_from(job.payload.len()).map_err(|_| "its payload is too long")?;
        // An empty payload lies nowhere.
        let payload_at = if payload_bytes == 0 { Location::default() } else { payload_at };
        let queue = self.queue_made(job.queue).map_err(|_| "there are too many queues")?;
        self.next_job = JobId(job.job.0 + 1);
        if !job.key.is_empty() {
            self.keys.remember(job.key, job.job);
        }
        let slot = self.table.insert(Entry {
            id: job.job,
            payload_at,
            payload_bytes,
            queue,
            timeout_ms: job.timeout_ms,
            max_attempts: job.max_attempts,
            priority: job.priority,
            ..Entry::vacant()
        });
        self.usage.add(payload_at, payload_bytes);
        self.enter_waiting(slot, job.due_at, End::Back);
        Ok(())
    }

    fn apply_move(
        &mut self,
        job: JobId,
        payload_bytes: usize,
        payload_at: Location,
    ) -> Result<(), &'static str> {
        let slot = self.table.slot(job).ok_or("there is no such job")?;
        let entry = &self.table[slot];
        if entry.payload_bytes as usize != payload_bytes {
            return Err("its payload has another length");
        }
        self.preserve(slot);
        let entry = &mut self.table[slot];
        let before = std::mem::replace(&mut entry.payload_at, payload_at);
        let payload_bytes = entry.payload_bytes;
        self.usage.remove(before, payload_bytes);
        self.usage.add(payload_at, payload_bytes);
        Ok(())
    }

    fn apply_dispatch(
        &mut self,
        lsn: Lsn,
        at: Timestamp,
        job: JobId,
        lease_ms: u32,
        attempt: u16,
    ) -> Result<(), &'static str> {
        let slot = self.table.slot(job).ok_or("there is no such job")?;
        let entry = &self.table[slot];
        if entry.state != State::Pending {
            return Err("the job is not pending");
        }
        if entry.attempts + 1 != attempt || attempt > entry.max_attempts {
            return Err("it is not the job's next attempt");
        }
        let timeout_ms = entry.timeout_ms;
        self.leave_state(slot);
        let lease = self.leases.grant(LeaseId(lsn.0), job, lease_ms, timeout_ms, at);
        let entry = &mut self.table[slot];
        entry.attempts = attempt;
        entry.lease = lease;
        self.enter_state(slot, State::InFlight);
        Ok(())
    }

    fn apply_ack(&mut self, job: JobId, lease: LeaseId, key_until: Timestamp) -> Result<(), &'static str> {
        let slot = self.end_attempt(job, lease)?;
        if !self.errors.is_empty() {
            self.errors.remove(&job);
        }
        self.keys.ended(job, key_until);
        let Entry { queue, payload_at, payload_bytes, .. } = self.table[slot];
        self.queues[queue.0 as usize].counters.completed += 1;
        self.usage.remove(payload_at, payload_bytes);
        self.table.remove(slot);
        Ok(())
    }

    /// Ends the attempt of this lease; the job is then in no state, and the caller puts it into one.
    fn end_attempt(&mut self, job: JobId, lease: LeaseId) -> Result<u32, &'static str> {
        let slot = self.table.slot(job).ok_or("there is no such job")?;
        let index = self.lease_index(job, lease).ok_or("the lease is not the job's live lease")?;
        self.leave_state(slot);
        self.leases.end(index);
        self.table[slot].lease = NIL;
        Ok(slot)
    }

    /// Makes a job pending, or delayed if its time is not yet reached.
    pub(super) fn enter_waiting(&mut self, slot: u32, due_at: Timestamp, end: End) {
        if due_at > self.now {
            self.table[slot].due_at = due_at;
            self.delayed.insert(&mut self.table, slot);
            self.enter_state(slot, State::Delayed);
        } else {
            self.enter_pending(slot, end);
        }
    }

    pub(super) fn enter_pending(&mut self, slot: u32, end: End) {
        self.table[slot].order = match end {
            End::Front => {
                self.front -= 1;
                self.front
            }
            End::Back => {
                self.back += 1;
                self.back
            }
        };
        self.line_up(slot, end);
    }

    /// Puts a job that has its place in line there.
    pub(super) fn line_up(&mut self, slot: u32, end: End) {
        let id = self.table[slot].queue;
        let queue = &mut self.queues[id.0 as usize];
        match end {
            End::Front => queue.ready.push_front(&mut self.table, slot),
            End::Back => queue.ready.push_back(&mut self.table, slot),
        }
        if !queue.woken {
            queue.woken = true;
            self.woken.push(id);
        }
        self.enter_state(slot, State::Pending);
    }

    pub(super) fn enter_state(&mut self, slot: u32, state: State) {
        self.dead += usize::from(state == State::Dead);
        let entry = &mut self.table[slot];
        entry.state = state;
        *self.queues[entry.queue.0 as usize].counters.of(state) += 1;
    }

    /// Takes a job out of its state: out of its line or of the wheel, if `advance` has not done that.
    pub(super) fn leave_state(&mut self, slot: u32) {
        self.preserve(slot);
        let entry = &self.table[slot];
        let (state, queue) = (entry.state, entry.queue);
        let queue = &mut self.queues[queue.0 as usize];
        *queue.counters.of(state) -= 1;
        match state {
            State::Pending => queue.ready.remove(&mut self.table, slot),
            State::Delayed => {
                self.delayed.remove(&mut self.table, slot);
                self.table[slot].due_at = Timestamp(0);
            }
            State::InFlight => {}
            State::Dead => self.dead -= 1,
        }
    }
}
