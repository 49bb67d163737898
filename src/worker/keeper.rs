//! The keeper: one thread that extends the leases of all running jobs, and tells a job to stop when its lease is lost.
//!
//! A lease is first named within a second, so that it belongs to the keeper's connection and outlives that of the poll;
//! then three times in its length. When the master cannot be reached the keeper tries again and again, and counts
//! from the moment at which the last heartbeat that was answered had been sent: then the lease is over for sure.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cancel::{Cancel, StopReason};
use super::source::JobSource;
use crate::client::{ClientError, Job};
use crate::ids::JobId;
use crate::limits::ITEMS_MAX;
use crate::protocol::{HeldLease, LeaseStatus};

/// A lease is named for the first time within this, well below the master's grace.
const FIRST_BEAT: Duration = Duration::from_secs(1);

/// Pause after a heartbeat that was not answered.
const RETRY: Duration = Duration::from_millis(200);

/// The leases of all running jobs.
#[derive(Default)]
pub struct Held {
    state: Mutex<HeldState>,
    changed: Condvar,
}

#[derive(Default)]
struct HeldState {
    /// In the order of ids, so that heartbeats name them in an order that means nothing but never changes.
    jobs: BTreeMap<JobId, HeldJob>,
    closed: bool,
}

struct HeldJob {
    held: HeldLease,
    length: Duration,
    next_beat: Instant,
    ends_at: Instant,
    cancel: Arc<Cancel>,
}

impl Held {
    /// Begins to keep the lease of a job that was handed out at or after `polled_at`.
    pub fn keep(&self, job: &Job, polled_at: Instant, cancel: Arc<Cancel>) {
        let length = job.lease_length;
        let held = HeldJob {
            held: HeldLease { job: job.id, lease: job.lease },
            length,
            next_beat: Instant::now() + FIRST_BEAT.min(length / 3),
            ends_at: polled_at + length,
            cancel,
        };
        self.locked().jobs.insert(job.id, held);
        self.changed.notify_all();
    }

    /// Stops keeping a lease.
    pub fn drop_job(&self, job: JobId) {
        self.locked().jobs.remove(&job);
        self.changed.notify_all();
    }

    /// How many jobs run.
    pub fn count(&self) -> usize {
        self.locked().jobs.len()
    }

    /// Tells every running job to stop.
    pub fn cancel_all(&self, reason: StopReason) {
        self.locked().jobs.values().for_each(|job| job.cancel.cancel(reason));
    }

    /// Waits until no job runs, or until `deadline`; says whether none does.
    pub fn wait_until_none(&self, deadline: Instant) -> bool {
        let mut state = self.locked();
        while !state.jobs.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Ends the keeper.
    pub fn close(&self) {
        self.locked().closed = true;
        self.changed.notify_all();
    }

    fn locked(&self) -> MutexGuard<'_, HeldState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until leases are due to be named, tells jobs to stop whose lease is over, and returns those that are due;
    /// nothing once the keeper is to end.
    fn wait_for_due(&self) -> Option<Vec<HeldLease>> {
        let mut state = self.locked();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            for job in state.jobs.values().filter(|job| job.ends_at <= now) {
                job.cancel.cancel(StopReason::LeaseLost);
            }
            let due: Vec<HeldLease> = state
                .jobs
                .values()
                .filter(|job| job.next_beat <= now)
                .map(|job| job.held)
                .take(ITEMS_MAX)
                .collect();
            if !due.is_empty() {
                return Some(due);
            }
            let next = state.jobs.values().map(HeldJob::wakes_at).filter(|at| *at > now).min();
            state = match next {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let wait = at.saturating_duration_since(now);
                    self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn answered(&self, sent_at: Instant, statuses: &[LeaseStatus], named: &[HeldLease]) {
        let mut state = self.locked();
        for (status, held) in statuses.iter().zip(named) {
            let Some(job) = state.jobs.get_mut(&held.job).filter(|job| job.held == *held) else { continue };
            if status.stop {
                log::warn!("job {}: the lease {} is lost", held.job, held.lease);
                job.cancel.cancel(StopReason::LeaseLost);
                job.next_beat = Instant::now() + job.length;
            } else {
                job.ends_at = sent_at + Duration::from_millis(u64::from(status.remaining_ms));
                job.next_beat = sent_at + job.length / 3;
            }
        }
    }

    fn try_again(&self, named: &[HeldLease]) {
        let mut state = self.locked();
        for held in named {
            if let Some(job) = state.jobs.get_mut(&held.job) {
                job.next_beat = Instant::now() + RETRY.min(job.length / 3);
            }
        }
    }
}

impl HeldJob {
    fn wakes_at(&self) -> Instant {
        if self.cancel.reason().is_some() { self.next_beat } else { self.next_beat.min(self.ends_at) }
    }
}

/// Extends leases until `held` is closed.
pub fn keep_leases(held: &Held, source: &mut dyn JobSource) {
    let mut was_reached = true;
    while let Some(due) = held.wait_for_due() {
        let sent_at = Instant::now();
        match source.heartbeat(&due) {
            Ok(statuses) => {
                was_reached = true;
                held.answered(sent_at, &statuses, &due);
            }
            Err(error) => {
                if was_reached {
                    warn_of(&error, due.len());
                }
                was_reached = false;
                held.try_again(&due);
            }
        }
    }
}

fn warn_of(error: &ClientError, jobs: usize) {
    log::warn!("the leases of {jobs} running jobs could not be extended: {error}; trying until they end");
}
