//! The pool: a number of threads that each poll for a job, run it, and report what came of it.
//!
//! Promises: at most `concurrency` jobs run at once, and no job is taken that cannot run at once; what came of a job is
//! reported until the master has answered; when told to stop, no further job is taken, the running ones get their time,
//! and what is left is given back. It reconnects for ever, unless the master refuses it for good.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cancel::{Cancel, StopReason};
use super::keeper::{Held, keep_leases};
use super::source::{JobSource, MakeSource};
use crate::client::{ClientError, Job, Stopper};
use crate::protocol::{AckItem, ErrorCode, FailItem, ItemStatus, ReleaseItem};

/// How long one poll waits. Long, since an answer comes at once when there is a job.
const POLL_WAIT: Duration = Duration::from_mins(1);

/// Pauses between attempts to reach the master: the first, and the longest.
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// How long reports may go on after the time to finish is over.
const LAST_REPORTS: Duration = Duration::from_secs(5);

/// What came of running a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did its work; this is the result.
    Done(Vec<u8>),
    /// It did not.
    Failed {
        /// Whether further attempts are pointless.
        for_good: bool,
        /// What went wrong.
        error: String,
    },
    /// It was told to stop and has stopped, without having done its work.
    Stopped,
}

/// Runs jobs.
pub trait Handler: Send + Sync {
    /// Runs one job. It has to return soon after `cancel` has a reason.
    fn run(&self, job: &Job, cancel: &Cancel) -> Outcome;
}

/// Settings of a pool.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Queues, the preferred one first.
    pub queues: Vec<String>,
    /// How many jobs run at once.
    pub concurrency: usize,
    /// Length of each lease.
    pub lease: Duration,
    /// How long running jobs may go on once the pool was told to stop.
    pub shutdown_limit: Duration,
}

/// A running pool.
pub struct Pool {
    shared: Arc<Shared>,
    slots: Vec<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
}

/// Tells a pool to stop, from any thread.
#[derive(Clone)]
pub struct PoolStopper {
    shared: Arc<Shared>,
}

struct Shared {
    config: PoolConfig,
    handler: Box<dyn Handler>,
    held: Held,
    stopping: Mutex<bool>,
    stop_changed: Condvar,
    /// Set when the running jobs were told to stop.
    hurried: AtomicBool,
    /// Until when reports are tried again, once that is known.
    report_until: Mutex<Option<Instant>>,
    refused: Mutex<Option<ClientError>>,
    stoppers: Vec<Stopper>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(config: PoolConfig, make: &MakeSource, handler: Box<dyn Handler>) -> std::io::Result<Pool> {
        let sources: Vec<_> = (0..config.concurrency).map(|_| make()).collect();
        let mut beats = make();
        let shared = Arc::new(Shared {
            config,
            handler,
            held: Held::default(),
            stopping: Mutex::new(false),
            stop_changed: Condvar::new(),
            hurried: AtomicBool::new(false),
            report_until: Mutex::new(None),
            refused: Mutex::new(None),
            stoppers: sources.iter().map(|source| source.stopper()).collect(),
        });
        let mut slots = Vec::new();
        for (number, mut source) in sources.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("falcon-slot-{number}"));
            slots.push(thread.spawn(move || shared.work(&mut *source))?);
        }
        let keeper = {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name("falcon-keeper".to_owned());
            thread.spawn(move || keep_leases(&shared.held, &mut *beats))?
        };
        Ok(Pool { shared, slots, keeper: Some(keeper) })
    }

    /// What stops this pool.
    #[must_use]
    pub fn stopper(&self) -> PoolStopper {
        PoolStopper { shared: Arc::clone(&self.shared) }
    }

    /// Waits until the pool was told to stop and has stopped, or was refused for good.
    ///
    /// # Errors
    /// The master's refusal.
    pub fn join(mut self) -> Result<(), ClientError> {
        self.shared.wait_for_stop();
        let limit = self.shared.config.shutdown_limit;
        if !self.shared.held.wait_until_none(Instant::now() + limit) {
            log::warn!(
                "{} jobs did not finish within {} s; they are stopped and given back",
                self.shared.held.count(),
                limit.as_secs_f32()
            );
            PoolStopper { shared: Arc::clone(&self.shared) }.hurry();
        }
        self.shared.bound_reports();
        for slot in self.slots.drain(..) {
            if slot.join().is_err() {
                log::error!("a thread of the pool panicked");
            }
        }
        self.shared.held.close();
        if let Some(keeper) = self.keeper.take()
            && keeper.join().is_err()
        {
            log::error!("the keeper of leases panicked");
        }
        let refused = self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        refused.map_or(Ok(()), Err)
    }
}

impl PoolStopper {
    /// The first time: no further job is taken, the running ones may finish. After that: the running jobs are
    /// stopped and given back.
    pub fn stop(&self) {
        if self.shared.begin_stop() {
            log::info!("stopping: {} jobs run", self.shared.held.count());
        } else {
            self.hurry();
        }
    }

    fn hurry(&self) {
        self.shared.hurried.store(true, Ordering::Release);
        self.shared.held.cancel_all(StopReason::Leaving);
    }
}

impl Shared {
    /// Returns whether this is the first call.
    fn begin_stop(&self) -> bool {
        let mut stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !std::mem::replace(&mut *stopping, true);
        drop(stopping);
        if first {
            self.stop_changed.notify_all();
            self.stoppers.iter().for_each(Stopper::stop);
        }
        first
    }

    fn wait_for_stop(&self) {
        let stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.stop_changed.wait_while(stopping, |stopping| !*stopping));
    }

    /// Waits; says whether the pool was told to stop meanwhile.
    fn pause(&self, pause: Duration) -> bool {
        let stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stop_changed.wait_timeout_while(stopping, pause, |stopping| !*stopping);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn bound_reports(&self) {
        *self.report_until.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Instant::now() + LAST_REPORTS);
    }

    fn reports_are_over(&self) -> bool {
        let until = *self.report_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() >= until)
    }

    /// One thread's life.
    fn work(&self, source: &mut dyn JobSource) {
        let queues: Vec<&str> = self.config.queues.iter().map(String::as_str).collect();
        let mut pause = RECONNECT_FIRST;
        loop {
            let polled_at = Instant::now();
            match source.poll(&queues, POLL_WAIT, self.config.lease) {
                Ok(Some(job)) => {
                    pause = RECONNECT_FIRST;
                    self.run(source, &job, polled_at);
                }
                Ok(None) => pause = RECONNECT_FIRST,
                Err(ClientError::Stopped) => return,
                Err(error) if error.is_for_good() => {
                    *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    self.begin_stop();
                    return;
                }
                Err(error) => {
                    log::warn!("{error}; trying again in {} ms", pause.as_millis());
                    if self.pause(pause) {
                        return;
                    }
                    pause = (pause * 2).min(RECONNECT_MAX);
                }
            }
        }
    }

    fn run(&self, source: &mut dyn JobSource, job: &Job, polled_at: Instant) {
        let outcome = match Cancel::new() {
            Ok(cancel) => {
                let cancel = Arc::new(cancel);
                self.held.keep(job, polled_at, Arc::clone(&cancel));
                if self.hurried.load(Ordering::Acquire) {
                    cancel.cancel(StopReason::Leaving);
                }
                let outcome = self.handler.run(job, &cancel);
                let lost = cancel.reason() == Some(StopReason::LeaseLost);
                if lost && outcome == Outcome::Stopped {
                    log::warn!("job {}: stopped, its lease was lost", job.id);
                    self.held.drop_job(job.id);
                    return;
                }
                outcome
            }
            Err(error) => {
                log::error!("job {} cannot be run: {error}", job.id);
                Outcome::Stopped
            }
        };
        self.report(source, job, &outcome);
        self.held.drop_job(job.id);
    }

    /// Reports an outcome until the master has answered.
    fn report(&self, source: &mut dyn JobSource, job: &Job, outcome: &Outcome) {
        let mut pause = RECONNECT_FIRST;
        loop {
            let error = match send_report(source, job, outcome) {
                Ok(statuses) => {
                    let refused = statuses.first().and_then(|status| status.refused);
                    if refused == Some(ErrorCode::LeaseLost) {
                        log::warn!(
                            "job {}: its lease was lost before the report arrived, or an earlier report did",
                            job.id
                        );
                    }
                    return;
                }
                Err(error) => error,
            };
            let hopeless = matches!(&error, ClientError::Refused(refusal) if !refusal.code.retry_may_help());
            if hopeless || self.reports_are_over() {
                log::error!(
                    "job {}: its outcome could not be reported: {error}; it will be repeated",
                    job.id
                );
                return;
            }
            log::warn!("job {}: reporting: {error}; trying again in {} ms", job.id, pause.as_millis());
            std::thread::sleep(pause);
            pause = (pause * 2).min(RECONNECT_MAX);
        }
    }
}

fn send_report(
    source: &mut dyn JobSource,
    job: &Job,
    outcome: &Outcome,
) -> Result<Vec<ItemStatus>, ClientError> {
    let (id, lease) = (job.id, job.lease);
    match outcome {
        Outcome::Done(result) => source.ack(AckItem { job: id, lease, result }),
        Outcome::Failed { for_good, error } => {
            source.fail(FailItem { job: id, lease, for_good: *for_good, error })
        }
        Outcome::Stopped => source.release(ReleaseItem { job: id, lease, delay_ms: 0 }),
    }
}
