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
use crate::client::{BootTime, Client, Job};
use crate::ids::LeaseId;
use crate::limits::{HEARTBEAT_MS, ITEMS_MAX};
use crate::protocol::{HeldLease, LeaseStatus, Stage};

/// Pause after a heartbeat that was not answered.
const RETRY: Duration = Duration::from_millis(200);

/// How long one heartbeat may take, connecting included.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);

/// The leases of all running jobs.
#[derive(Default)]
pub struct Held {
    state: Mutex<HeldState>,
    changed: Condvar,
}

#[derive(Default)]
struct HeldState {
    /// By lease: a job that was lost may be here a second time, under its next lease.
    leases: BTreeMap<LeaseId, HeldJob>,
    closed: bool,
}

struct HeldJob {
    held: HeldLease,
    interval: Duration,
    next_beat: Instant,
    cancel: Arc<Cancel>,
    /// Its outcome is being reported: that its lease ends is then no news.
    reporting: bool,
}

impl Held {
    /// Begins to keep the lease of a job that was just handed out; it is only held.
    pub fn keep(&self, job: &Job, cancel: Arc<Cancel>) {
        let interval = Duration::from_millis(HEARTBEAT_MS).min(job.lease_length / 3);
        let held = HeldJob {
            held: HeldLease { job: job.id, lease: job.lease, stage: Stage::Held },
            interval,
            next_beat: Instant::now() + interval,
            cancel,
            reporting: false,
        };
        self.locked().leases.insert(job.lease, held);
        self.changed.notify_all();
    }

    /// Notes that the job may be started now.
    pub fn begun(&self, lease: LeaseId) {
        if let Some(held) = self.locked().leases.get_mut(&lease) {
            held.held.stage = Stage::Begun;
        }
    }

    /// Notes that the outcome is being reported; the lease is kept until that is done.
    pub fn reporting(&self, lease: LeaseId) {
        if let Some(held) = self.locked().leases.get_mut(&lease) {
            held.reporting = true;
        }
    }

    pub fn drop_lease(&self, lease: LeaseId) {
        self.locked().leases.remove(&lease);
        self.changed.notify_all();
    }

    /// How many jobs run, and of how many the outcome is being reported.
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

    /// Waits until leases are due to be named and returns them; nothing once the keeper is to end.
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
            let wait = next.map_or(Duration::MAX, |at| at.saturating_duration_since(now));
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn answered(&self, sent_at: (Instant, BootTime), statuses: &[LeaseStatus], named: &[HeldLease]) {
        let mut state = self.locked();
        for (status, named) in statuses.iter().zip(named) {
            let Some(held) = state.leases.get_mut(&named.lease) else { continue };
            held.next_beat = sent_at.0 + held.interval;
            if !status.is_stop() {
                held.cancel.extend_to(sent_at.1.plus(Duration::from_millis(u64::from(status.remaining_ms))));
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

/// Extends leases until `held` is closed.
pub fn keep_leases(held: &Held, client: &mut Client) {
    let mut was_reached = true;
    while let Some(due) = held.wait_for_due() {
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
