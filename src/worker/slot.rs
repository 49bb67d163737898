//! What one thread of a pool does: it polls for a job, runs it, and reports what came of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::cancel::{Cancel, StopReason};
use super::handler::Outcome;
use super::pool::{PoolError, Shared};
use crate::client::{BootTime, Client, ClientError, Job};
use crate::codec::text_head;
use crate::limits::ERROR_TEXT_BYTES_MAX;
use crate::protocol::{AckItem, ErrorCode, FailItem, HeldLease, ItemStatus, ReleaseItem, Stage};

/// How long one poll waits. Long, since an answer comes at once when there is a job.
const POLL_WAIT: Duration = Duration::from_mins(1);

/// Pause after a first call that did not get through; doubled with each further one.
const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The longest pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a worker may begin none of the jobs that it gets.
const BARREN_MAX: Duration = Duration::from_secs(30);

/// A job that could not be begun here is not handed out again before this has passed.
const NOT_BEGUN_DELAY_MS: u64 = 1000;

impl Shared {
    pub(super) fn live(&self, client: &mut Client) {
        self.work(client);
        self.change(|state| state.working -= 1);
    }

    fn work(&self, client: &mut Client) {
        let mut pause = RETRY_PAUSE_FIRST;
        while !self.is_stopping() {
            match self.poll(client) {
                Ok(job) => {
                    pause = RETRY_PAUSE_FIRST;
                    if self.unreachable.swap(false, Ordering::Relaxed) {
                        log::info!("the master is reached again");
                    }
                    if let Some(job) = job {
                        self.take(client, &job);
                    }
                }
                Err(ClientError::Stopped) => return,
                Err(error) if error.is_for_good() => {
                    self.end(PoolError::Refused(error));
                }
                Err(error) => {
                    if !self.unreachable.swap(true, Ordering::Relaxed) {
                        log::warn!("{error}; trying again until it works");
                    }
                    self.wait_while(Some(Instant::now() + pause), |state| !state.stopping);
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
            }
        }
    }

    fn poll(&self, client: &mut Client) -> Result<Option<Job>, ClientError> {
        let queues: Vec<&str> = self.config.queues.iter().map(String::as_str).collect();
        self.change(|state| state.polling += 1);
        let outcome = client.poll(&queues, 1, POLL_WAIT, self.config.lease);
        self.change(|state| state.polling -= 1);
        outcome.map(|mut jobs| jobs.pop())
    }

    /// Runs a job that was handed out and reports what came of it; one that came while the pool is stopping is given
    /// back.
    fn take(&self, client: &mut Client, job: &Job) {
        let cancel = match Cancel::new(job.lease_ends_at, self.config.outage_limit) {
            Ok(cancel) => Arc::new(cancel),
            Err(error) => return self.report(client, job, &Outcome::NotBegun { error: error.to_string() }),
        };
        self.held.keep(job, Arc::clone(&cancel));
        let outcome = if self.begin(client, job, &cancel) { self.handle(job, &cancel) } else { Outcome::Stopped };
        self.held.reporting(job.lease);
        if outcome == Outcome::Stopped && cancel.reason() == Some(StopReason::LeaseLost) {
            log::warn!("job {}: stopped, its lease was lost", job.id);
        } else {
            self.report(client, job, &outcome);
        }
        self.held.drop_lease(job.lease);
        self.note_begun(job, &outcome);
    }

    /// Says that the job is begun, under a lease that certainly lives: where that is over by the clock, as after a
    /// pause, the master is asked first. Says whether the job may be begun.
    fn begin(&self, client: &mut Client, job: &Job, cancel: &Cancel) -> bool {
        let held = [HeldLease { job: job.id, lease: job.lease, stage: Stage::Begun }];
        let mut pause = RETRY_PAUSE_FIRST;
        while !self.is_stopping() && cancel.reason() != Some(StopReason::LeaseLost) {
            if cancel.is_sure() && client.say(&held).is_ok() {
                self.held.begun(job.lease);
                return true;
            }
            let asked_at = BootTime::now();
            match client.heartbeat(&held).as_deref() {
                Ok([status]) if status.is_stop() => cancel.cancel(StopReason::LeaseLost),
                Ok([status]) => {
                    cancel.extend_to(asked_at.plus(Duration::from_millis(u64::from(status.remaining_ms))));
                    self.held.begun(job.lease);
                    return true;
                }
                // The next poll is refused as well, and ends the pool.
                Err(error) if error.is_for_good() => return false,
                Ok(_) | Err(_) => {
                    self.wait_while(Some(Instant::now() + pause), |state| !state.stopping);
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
            }
        }
        false
    }

    /// A worker that can begin nothing pauses after each job, and gives up in the end: jobs would go round and round.
    fn note_begun(&self, job: &Job, outcome: &Outcome) {
        let Outcome::NotBegun { error } = outcome else {
            self.locked().barren_since = None;
            return;
        };
        log::error!("job {} could not be begun and was given back: {error}", job.id);
        let since = *self.locked().barren_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= BARREN_MAX {
            self.end(PoolError::CannotBegin { seconds: BARREN_MAX.as_secs(), error: error.clone() });
        }
        self.wait_while(Some(Instant::now() + RETRY_PAUSE_MAX), |state| !state.stopping);
    }

    /// Runs the handler. One that panics has failed its job and harms no other.
    fn handle(&self, job: &Job, cancel: &Cancel) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| self.handler.run(job, cancel))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            let error = text_head(&format!("the handler panicked: {text}"), ERROR_TEXT_BYTES_MAX).to_owned();
            Outcome::Failed { for_good: false, error }
        })
    }

    /// Reports an outcome until the master has answered, or until the pool has to end.
    fn report(&self, client: &mut Client, job: &Job, outcome: &Outcome) {
        let mut pause = RETRY_PAUSE_FIRST;
        let mut told = false;
        loop {
            let until = self.locked().report_until;
            if let Some(until) = until {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    log::error!("job {}: its outcome could not be reported; it will be repeated", job.id);
                    return;
                }
                client.set_timeout(left);
            }
            match send(client, job, outcome) {
                Ok(Some(ErrorCode::LeaseLost)) => {
                    log::warn!(
                        "job {}: its lease was lost before the report came, or an earlier report had come",
                        job.id
                    );
                    return;
                }
                Ok(_) => return,
                Err(ClientError::Refused(refusal)) if !refusal.code.retry_may_help() => {
                    log::error!("job {}: its outcome was refused: {refusal}; it will be repeated", job.id);
                    return;
                }
                Err(error) if !told => {
                    told = true;
                    log::warn!("job {}: reporting its outcome: {error}; trying again until it works", job.id);
                }
                Err(_) => {}
            }
            let pause_until = Instant::now() + pause;
            self.wait_while(Some(until.unwrap_or(pause_until).min(pause_until)), |state| state.report_until == until);
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }
}

/// Reports an outcome; returns why it was refused, if it was.
fn send(client: &mut Client, job: &Job, outcome: &Outcome) -> Result<Option<ErrorCode>, ClientError> {
    let (id, lease) = (job.id, job.lease);
    let statuses = match outcome {
        Outcome::Done(result) => client.ack(&[AckItem { job: id, lease, result, ..AckItem::default() }]),
        Outcome::Failed { for_good, error } => client.fail(&[FailItem { job: id, lease, for_good: *for_good, error }]),
        Outcome::Stopped => client.release(&[ReleaseItem { job: id, lease, delay_ms: 0 }]),
        Outcome::NotBegun { .. } => client.release(&[ReleaseItem { job: id, lease, delay_ms: NOT_BEGUN_DELAY_MS }]),
    }?;
    Ok(statuses.first().and_then(ItemStatus::refused))
}
