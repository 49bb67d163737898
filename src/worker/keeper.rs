//! The keeper: one thread that extends the leases of all running jobs.
//!
//! Every lease is named once a second, or more often when it is short. So it soon belongs to the keeper's connection
//! and outlives that of the poll, and a connection that broke is noticed well within the master's grace. When the
//! master cannot be reached, the keeper tries again and again. A lease counts from when the last answered heartbeat
//! was sent. The job itself watches its end (see [`Cancel`]), so that a call that hangs here delays nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cancel::{Cancel, StopReason};
use super::crew::HeldJob;
use crate::client::{BootTime, Client};
use crate::ids::LeaseId;
use crate::limits::{HEARTBEAT_MS, ITEMS_MAX};
use crate::protocol::{HeldLease, LeaseStatus, Stage};

/// Pause after a heartbeat that was not answered.
const RETRY: Duration = Duration::from_millis(200);

/// How often it is looked whether jobs have been held for too long, while there are any.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long one heartbeat may take, connecting included.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);

/// The leases of all jobs that were handed out.
#[derive(Default)]
pub struct Held {
    state: Mutex<HeldState>,
    changed: Condvar,
}

#[derive(Default)]
struct HeldState {
    /// By lease: a job that was lost may be here a second time, under its next lease.
    leases: BTreeMap<LeaseId, Kept>,
    closed: bool,
}

struct Kept {
    held: HeldLease,
    interval: Duration,
    next_beat: Instant,
    cancel: Arc<Cancel>,
    /// Its outcome is being reported: that its lease ends is then no news.
    reporting: bool,
}

impl Held {
    /// Begins to keep the leases of jobs that were just handed out; they are only held.
    pub fn keep(&self, jobs: &[HeldJob]) {
        let now = Instant::now();
        let mut state = self.locked();
        // Otherwise it wakes by itself before one of these is due.
        let sleeps = state.leases.is_empty();
        for HeldJob { job, cancel, .. } in jobs {
            let interval = Duration::from_millis(HEARTBEAT_MS).min(job.lease_length / 3);
            let held = HeldLease { job: job.id, lease: job.lease, stage: Stage::Held };
            let (next_beat, cancel) = (now + interval, Arc::clone(cancel));
            state.leases.insert(job.lease, Kept { held, interval, next_beat, cancel, reporting: false });
        }
        drop(state);
        if sleeps {
            self.changed.notify_all();
        }
    }

    /// Notes that the jobs may be started now.
    pub fn begun(&self, jobs: &[HeldJob]) {
        let mut state = self.locked();
        for held in jobs {
            if let Some(kept) = state.leases.get_mut(&held.job.lease) {
                kept.held.stage = Stage::Begun;
            }
        }
    }

    /// Notes that the outcomes are being reported; the leases are kept until that is done.
    pub fn reporting(&self, leases: &[LeaseId]) {
        let mut state = self.locked();
        for lease in leases {
            if let Some(kept) = state.leases.get_mut(lease) {
                kept.reporting = true;
            }
        }
    }

    pub fn drop_leases(&self, leases: &[LeaseId]) {
        let mut state = self.locked();
        for lease in leases {
            state.leases.remove(lease);
        }
    }

    /// How many jobs are held or run, and of how many the outcome is being reported.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.locked();
        let reporting = state.leases.values().filter(|held| held.reporting).count();
        (state.leases.len() - reporting, reporting)
    }

    /// Tells every running job to stop.
    pub fn cancel_all(&self, reason: StopReason) {
        self.locked().leases.values().for_each(|held| held.cancel.cancel(reason));
    }

    /// Ends the keeper.
    pub fn close(&self) {
        self.locked().closed = true;
        self.changed.notify_all();
    }

    fn locked(&self) -> MutexGuard<'_, HeldState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until leases are due to be named and returns them, or none of them so that what is held can be looked at;
    /// nothing once the keeper is to end.
    fn wait_for_due(&self) -> Option<Vec<HeldLease>> {
        let mut state = self.locked();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            let due = state.leases.values().filter(|held| held.next_beat <= now);
            let due: Vec<HeldLease> = due.map(|held| held.held).take(ITEMS_MAX).collect();
            if !due.is_empty() {
                return Some(due);
            }
            let next = state.leases.values().map(|held| held.next_beat).min();
            let wait = next.map_or(Duration::MAX, |at| at.saturating_duration_since(now).min(LOOK_INTERVAL));
            let waited = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
            if waited.1.timed_out() {
                return Some(Vec::new());
            }
            state = waited.0;
        }
    }

    fn answered(&self, sent_at: (Instant, BootTime), statuses: &[LeaseStatus], named: &[HeldLease]) {
        let mut state = self.locked();
        for (status, named) in statuses.iter().zip(named) {
            let Some(held) = state.leases.get_mut(&named.lease) else { continue };
            held.next_beat = sent_at.0 + held.interval;
            if !status.is_stop() {
                let left = Duration::from_millis(u64::from(status.remaining_ms));
                held.cancel.extend_to(sent_at.1.plus_certainly(left));
            } else if status.is_cancelled() {
                if held.cancel.reason().is_none() {
                    log::info!("job {}: it is cancelled, and is stopped", named.job);
                    held.cancel.cancel(StopReason::Cancelled);
                }
            } else if !held.reporting && held.cancel.reason().is_none() {
                log::warn!("job {}: its lease {} is lost", named.job, named.lease);
                held.cancel.cancel(StopReason::LeaseLost);
            }
        }
    }

    fn try_again(&self, named: &[HeldLease]) {
        let mut state = self.locked();
        for named in named {
            if let Some(held) = state.leases.get_mut(&named.lease) {
                held.next_beat = Instant::now() + RETRY.min(held.interval);
            }
        }
    }
}

/// Extends leases until `held` is closed; calls `look` every now and then while there are any.
pub fn keep_leases(held: &Held, client: &Client, look: impl Fn()) {
    let mut was_reached = true;
    while let Some(due) = held.wait_for_due() {
        look();
        if due.is_empty() {
            continue;
        }
        let sent_at = (Instant::now(), BootTime::now());
        match client.heartbeat(&due) {
            Ok(statuses) => {
                if !was_reached {
                    log::info!("the leases of running jobs are extended again");
                }
                was_reached = true;
                held.answered(sent_at, &statuses, &due);
            }
            Err(error) => {
                if was_reached {
                    let jobs = due.len();
                    log::warn!(
                        "the leases of {jobs} running jobs could not be extended: {error}; trying until they end"
                    );
                }
                was_reached = false;
                held.try_again(&due);
            }
        }
    }
}
