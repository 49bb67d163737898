//! What one thread of a pool does, task by task.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cancel::{Cancel, StopReason};
use super::crew::{Crew, Ended, HeldJob, Task, Wanted, retry_pause};
use super::error::PoolError;
use super::handler::Outcome;
use super::pool::Shared;
use super::report::{Rest, note_reported};
use super::tell::tell;
use crate::client::{BootTime, ClientError, Job};
use crate::codec::text_head;
use crate::limits::{ERROR_TEXT_BYTES_MAX, PREFETCH_BYTES_MAX, RESULT_BYTES_MAX};
use crate::protocol::{HeldLease, List, Poll, Stage};

/// How long one poll waits. Long, since an answer comes at once when there is a job.
const POLL_WAIT: Duration = Duration::from_mins(1);

/// The same of the first ones after a failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// A poll that is answered so long before its time was not answered because that was over.
const EARLY: Duration = Duration::from_secs(1);

/// How long a worker may begin none of the jobs that it gets.
const BARREN_MAX: Duration = Duration::from_secs(30);

impl Shared {
    /// Does what there is to do until the pool has stopped.
    pub(super) fn live(&self) {
        let mut task = self.next_task(|_| ());
        loop {
            task = match task {
                Task::Run(held) => {
                    let ended = self.run(held);
                    let rests = matches!(&ended, Some(Ended { outcome: Outcome::NotBegun { .. }, .. }));
                    self.next_task(|crew| {
                        crew.ran(ended);
                        if !rests {
                            crew.was_fruitful();
                        }
                    })
                }
                Task::Begin(jobs) => {
                    let count = jobs.len();
                    let begun = self.begin(jobs);
                    self.next_task(|crew| crew.begun(begun, count, Instant::now()))
                }
                Task::Poll(wanted) => {
                    let jobs = self.poll(wanted);
                    self.next_task(|crew| {
                        crew.is_polling = false;
                        crew.take_in(jobs, wanted);
                    })
                }
                Task::Report(ended) => {
                    let Rest { ended, error } = self.report(ended);
                    self.next_task(|crew| note_reported(crew, ended, error))
                }
                Task::Wait(_) => self.next_task(|_| ()),
                Task::Leave => break,
            };
        }
        self.change(|crew| crew.living -= 1);
    }

    /// Changes what the threads share, and says what this one does next; waits until there is something.
    fn next_task(&self, change: impl FnOnce(&mut Crew)) -> Task {
        let mut crew = self.locked();
        change(&mut crew);
        loop {
            let now = Instant::now();
            let task = crew.next(now);
            self.wake_one(&mut crew, now);
            let Task::Wait(until) = task else {
                if crew.stopping {
                    self.changed.notify_all();
                }
                return task;
            };
            crew = self.wait_for_work(crew, until);
        }
    }

    /// Asks for jobs once; after an error it pauses, so that the next try is not too soon.
    fn poll(&self, wanted: Wanted) -> Vec<HeldJob> {
        let names = &self.config.queues;
        let order = self.locked().turns.order(names.len());
        let queues: Vec<&str> = order.iter().map(|queue| names[*queue].as_str()).collect();
        // One after a failure is answered soon, so that it is known that the master is there again.
        let wait = if self.locked().failed_polls > 0 { FIRST_WAIT } else { POLL_WAIT };
        let millis = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
        let request = Poll {
            queues: List::lent(&queues),
            free: wanted.free,
            // What is only to be held is not waited for: slots may be free by then.
            wait_ms: if wanted.free > 0 { millis(wait) } else { 0 },
            lease_ms: millis(self.config.lease),
            extra: (wanted.extra > 0).then_some(wanted.extra),
            payload_bytes_max: Some(PREFETCH_BYTES_MAX as u32),
        };
        let polled_at = Instant::now();
        match self.polls.poll(&request) {
            Ok(jobs) => {
                self.reached();
                if jobs.is_empty() && polled_at.elapsed() + EARLY < Duration::from_millis(request.wait_ms.into()) {
                    self.ask_for_orders();
                }
                let of = |queue: usize| jobs.iter().filter(|job| job.queue == names[queue]).count();
                self.locked().turns.got(&order, of);
                self.keep(jobs, polled_at)
            }
            Err(error) => {
                self.not_reached(error);
                Vec::new()
            }
        }
    }

    /// A poll was answered before its time, without jobs: the master has something to say, and does so when it answers
    /// a Heartbeat. Whoever polls next reads that; where it cannot be sent, the next sign of life is as good.
    fn ask_for_orders(&self) {
        if let Err(error) = self.polls.say(&[]) {
            log::debug!("what the master wants is asked later: {error}");
        }
    }

    /// Keeps the leases of jobs that came.
    fn keep(&self, jobs: Vec<Job>, polled_at: Instant) -> Vec<HeldJob> {
        let now = Instant::now();
        let mut crew = self.locked();
        if jobs.first().is_some_and(|job| job.waited.is_zero()) {
            crew.pace.answered(now - polled_at);
        }
        crew.pace.look(now);
        let held_max = crew.pace.held_max();
        drop(crew);
        let held = |job: Job| {
            let give_back_at = now + (job.lease_length / 2).min(held_max);
            let cancel = Arc::new(Cancel::new(job.lease_ends_at, self.config.outage_limit));
            // The link of the polls may end before the job does.
            HeldJob { job: job.told_by(&self.reports), cancel, give_back_at }
        };
        let jobs: Vec<HeldJob> = jobs.into_iter().map(held).collect();
        self.held.keep(&jobs);
        jobs
    }

    fn reached(&self) {
        if std::mem::take(&mut self.locked().failed_polls) > 0 {
            log::info!("the master is reached again");
        }
    }

    /// Notes a poll that failed, and pauses.
    fn not_reached(&self, error: ClientError) {
        match error {
            ClientError::Stopped => return,
            error if error.is_for_good() => return self.end(PoolError::Refused(error)),
            _ => {}
        }
        let mut crew = self.locked();
        let before = crew.failed_polls;
        crew.failed_polls = before.saturating_add(1);
        drop(crew);
        if before == 0 {
            log::warn!("{error}; trying again until it works");
        }
        self.pause(before);
    }

    /// Pauses after so many tries that failed, or until the pool is told to stop.
    fn pause(&self, failed: u32) {
        self.wait_while(Some(Instant::now() + retry_pause(failed)), |crew| !crew.stopping);
    }

    /// Says that these jobs are begun, each under a lease that certainly lives: where that is over by the clock, as
    /// after a pause, the master is asked first. Gives those back that may be run.
    fn begin(&self, mut jobs: Vec<HeldJob>) -> Vec<HeldJob> {
        let begun = |held: &HeldJob| HeldLease { job: held.job.id, lease: held.job.lease, stage: Stage::Begun };
        for failed in 0.. {
            self.drop_lost(&mut jobs);
            if self.is_stopping() {
                break;
            }
            let leases: Vec<HeldLease> = jobs.iter().map(begun).collect();
            let is_sure = jobs.iter().all(|held| held.cancel.is_sure());
            if jobs.is_empty() || is_sure && self.reports.say(&leases).is_ok() || self.ask(&jobs, &leases, failed) {
                break;
            }
        }
        self.drop_lost(&mut jobs);
        self.held.begun(&jobs);
        jobs
    }

    /// Keeps those no longer that another worker may have by now.
    fn drop_lost(&self, jobs: &mut Vec<HeldJob>) {
        jobs.retain(|held| {
            let is_lost = held.cancel.reason() == Some(StopReason::LeaseLost);
            if is_lost {
                log::warn!("job {}: its lease was lost before it was begun", held.job.id);
                self.held.drop_leases(&[held.job.lease]);
            }
            !is_lost
        });
    }

    /// Asks the master whether these leases still live; says whether it answered, and pauses if not.
    fn ask(&self, jobs: &[HeldJob], leases: &[HeldLease], failed: u32) -> bool {
        let asked_at = BootTime::now();
        match self.reports.heartbeat(leases) {
            Ok(statuses) if statuses.len() == jobs.len() => {
                for (held, status) in jobs.iter().zip(&statuses) {
                    if status.is_cancelled() {
                        held.cancel.cancel(StopReason::Cancelled);
                    } else if status.is_stop() {
                        held.cancel.cancel(StopReason::LeaseLost);
                    } else {
                        let left = Duration::from_millis(u64::from(status.remaining_ms));
                        held.cancel.extend_to(asked_at.plus_certainly(left));
                    }
                }
                true
            }
            Err(error) if error.is_for_good() => {
                self.end(PoolError::Refused(error));
                false
            }
            Ok(_) | Err(_) => {
                self.pause(failed);
                false
            }
        }
    }

    /// Runs a job that was said to be begun; says what is to be told of it.
    fn run(&self, mut held: HeldJob) -> Option<Ended> {
        if !held.cancel.is_sure() || held.cancel.reason().is_some() {
            // It waited for too long since, as where the machine slept; or the master said that it is another's.
            held = self.begin(vec![held]).pop()?;
        }
        let HeldJob { job, cancel, .. } = &held;
        // One that is not to run is not started, however it came to be known.
        let is_unwanted = self.is_stopping() || cancel.reason() == Some(StopReason::Cancelled);
        let begun_at = Instant::now();
        let outcome = if is_unwanted { Outcome::Stopped } else { self.handle(job, cancel) };
        tell(job, &outcome, begun_at.elapsed());
        if outcome == Outcome::Stopped && cancel.reason() == Some(StopReason::LeaseLost) {
            log::warn!("job {}: stopped, its lease was lost", job.id);
            self.held.drop_leases(&[job.lease]);
            return None;
        }
        if let Outcome::NotBegun { error } = &outcome {
            self.note_barren(job, error);
        }
        Some(Ended { job: job.id, lease: job.lease, outcome })
    }

    /// A worker that can begin nothing pauses after each job, and gives up in the end: jobs would go round and round.
    fn note_barren(&self, job: &Job, error: &str) {
        log::error!("job {} could not be begun and is given back: {error}", job.id);
        let now = Instant::now();
        let since = self.locked().was_barren(now);
        if now - since >= BARREN_MAX {
            self.end(PoolError::CannotBegin { seconds: BARREN_MAX.as_secs(), error: error.to_owned() });
        }
    }

    /// Runs the handler. One that panics has failed its job and harms no other; one that says too much is cut short.
    fn handle(&self, job: &Job, cancel: &Cancel) -> Outcome {
        match self.handle_as_it_is(job, cancel) {
            Outcome::Done(result) if result.len() > RESULT_BYTES_MAX => {
                let bytes = result.len();
                log::warn!("job {}: its result of {bytes} bytes is dropped, it takes {RESULT_BYTES_MAX}", job.id);
                Outcome::Done(Vec::new())
            }
            Outcome::DoneThen { result, then } if result.len() > RESULT_BYTES_MAX => {
                let bytes = result.len();
                log::warn!("job {}: its result has {bytes} bytes, and is dropped", job.id);
                Outcome::DoneThen { result: Vec::new(), then }
            }
            Outcome::Failed { for_good, retry_in, error } if error.len() > ERROR_TEXT_BYTES_MAX => {
                Outcome::Failed { for_good, retry_in, error: text_head(&error, ERROR_TEXT_BYTES_MAX).to_owned() }
            }
            outcome => outcome,
        }
    }

    fn handle_as_it_is(&self, job: &Job, cancel: &Cancel) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| self.handler.run(job, cancel))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Outcome::failed(format!("the handler panicked: {text}"))
        })
    }
}
