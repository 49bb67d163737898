//! The pool: a number of threads that each poll for a job, run it, and report what came of it.
//!
//! Promises: at most `concurrency` jobs run at once; what came of a job is reported until the master has answered, or
//! until the pool has to end; when told to stop, no further job is begun, the running ones get their time, and what is
//! left is given back. It reconnects for ever, unless the master refuses it for good.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cancel::{Cancel, StopReason};
use super::handler::{Handler, Outcome};
use super::keeper::{HEARTBEAT_TIMEOUT, Held, keep_leases};
use super::report::{RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX, send};
use super::source::{JobSource, MakeSource};
use crate::client::{ClientError, Job, Stopper};
use crate::codec::text_head;
use crate::limits::ERROR_TEXT_BYTES_MAX;
use crate::protocol::ErrorCode;

/// How long one poll waits. Long, since an answer comes at once when there is a job.
const POLL_WAIT: Duration = Duration::from_mins(1);

/// How long any call may take beyond that: a master that hangs must not keep a worker from leaving.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the master has to answer the polls of a pool that was told to stop.
const LAST_POLLS: Duration = Duration::from_secs(2);

/// How long reports may go on once running jobs were told to stop: these need 2 s to end.
const LAST_REPORTS: Duration = Duration::from_secs(4);

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
    state: Mutex<State>,
    changed: Condvar,
    /// Whether the master could not be reached when a thread last tried; so that this is told once.
    unreachable: AtomicBool,
    stoppers: Vec<Stopper>,
}

#[derive(Default)]
struct State {
    stopping: bool,
    /// Threads that wait for the answer to a poll.
    polling: usize,
    /// Threads that live.
    working: usize,
    /// Until when reports are tried again, once running jobs were told to stop.
    report_until: Option<Instant>,
    refused: Option<ClientError>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(config: PoolConfig, make: &MakeSource, handler: Box<dyn Handler>) -> std::io::Result<Pool> {
        let sources: Vec<_> = (0..config.concurrency).map(|_| make()).collect();
        let mut beats = make();
        beats.set_timeout(HEARTBEAT_TIMEOUT.min(config.lease / 3));
        let shared = Arc::new(Shared {
            handler,
            held: Held::default(),
            state: Mutex::new(State { working: config.concurrency, ..State::default() }),
            changed: Condvar::new(),
            unreachable: AtomicBool::new(false),
            stoppers: sources.iter().map(|source| source.stopper()).collect(),
            config,
        });
        let mut slots = Vec::new();
        for (number, mut source) in sources.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            source.set_timeout(CALL_TIMEOUT);
            let thread = std::thread::Builder::new().name(format!("falcon-slot-{number}"));
            slots.push(thread.spawn(move || shared.live(&mut *source))?);
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
        let shared = &self.shared;
        shared.wait_while(None, |state| !state.stopping);
        let limit_at = Instant::now() + shared.config.shutdown_limit;
        shared.wait_while(Some(limit_at.min(Instant::now() + LAST_POLLS)), |state| state.polling > 0);
        shared.stoppers.iter().for_each(Stopper::abort);
        shared.wait_while(Some(limit_at), |state| state.working > 0 && state.report_until.is_none());
        let (running, reporting) = shared.held.counts();
        if running + reporting > 0 {
            log::warn!(
                "leaving with {running} jobs running, which are stopped, and {reporting} outcomes to report"
            );
        }
        shared.hurry(StopReason::Leaving);
        for slot in self.slots.drain(..) {
            if slot.join().is_err() {
                log::error!("a thread of the pool panicked");
            }
        }
        shared.held.close();
        if let Some(keeper) = self.keeper.take()
            && keeper.join().is_err()
        {
            log::error!("the keeper of leases panicked");
        }
        let refused = shared.locked().refused.take();
        refused.map_or(Ok(()), Err)
    }
}

impl PoolStopper {
    /// The first time: no further job is begun, the running ones may finish. After that: the running jobs are
    /// stopped and given back.
    pub fn stop(&self) {
        if self.shared.begin_stop() {
            log::info!("stopping; jobs that still run: {}", self.shared.held.counts().0);
        } else {
            self.shared.hurry(StopReason::Leaving);
        }
    }

    /// Stops at once, and reports nothing: there is no master any more.
    pub fn end(&self) {
        self.shared.begin_stop();
        self.shared.locked().report_until = Some(Instant::now());
        self.shared.hurry(StopReason::Ending);
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.locked());
        self.changed.notify_all();
    }

    /// Waits while the condition holds, at most until the deadline.
    fn wait_while(&self, deadline: Option<Instant>, holds: impl Fn(&State) -> bool) {
        let mut state = self.locked();
        while holds(&state) {
            state = match deadline {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Returns whether this is the first call.
    fn begin_stop(&self) -> bool {
        let first = !std::mem::replace(&mut self.locked().stopping, true);
        if first {
            self.changed.notify_all();
            self.stoppers.iter().for_each(Stopper::stop);
        }
        first
    }

    fn is_stopping(&self) -> bool {
        self.locked().stopping
    }

    /// Tells the running jobs to stop, and bounds how long their outcomes are reported.
    fn hurry(&self, reason: StopReason) {
        self.change(|state| {
            state.report_until.get_or_insert(Instant::now() + LAST_REPORTS);
        });
        self.held.cancel_all(reason);
        self.stoppers.iter().for_each(Stopper::abort);
    }

    /// One thread's life.
    fn live(&self, source: &mut dyn JobSource) {
        self.work(source);
        self.change(|state| state.working -= 1);
    }

    fn work(&self, source: &mut dyn JobSource) {
        let mut pause = RETRY_PAUSE_FIRST;
        while !self.is_stopping() {
            match self.poll(source) {
                Ok(job) => {
                    pause = RETRY_PAUSE_FIRST;
                    if self.unreachable.swap(false, Ordering::Relaxed) {
                        log::info!("the master is reached again");
                    }
                    if let Some(job) = job {
                        self.take(source, &job);
                    }
                }
                Err(ClientError::Stopped) => return,
                Err(error) if error.is_for_good() => {
                    self.change(|state| state.refused = Some(error));
                    self.begin_stop();
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

    fn poll(&self, source: &mut dyn JobSource) -> Result<Option<Job>, ClientError> {
        let queues: Vec<&str> = self.config.queues.iter().map(String::as_str).collect();
        self.change(|state| state.polling += 1);
        let outcome = source.poll(&queues, POLL_WAIT, self.config.lease);
        self.change(|state| state.polling -= 1);
        outcome
    }

    /// Runs a job that was handed out and reports what came of it; one that came while the pool is stopping is given
    /// back.
    fn take(&self, source: &mut dyn JobSource, job: &Job) {
        let received_at = Instant::now();
        let cancel = match Cancel::new(received_at + job.lease_length) {
            Ok(cancel) => Arc::new(cancel),
            Err(error) => return self.report(source, job, &Outcome::NotBegun { error: error.to_string() }),
        };
        self.held.keep(job, Arc::clone(&cancel));
        let outcome = if self.is_stopping() { Outcome::Stopped } else { self.handle(job, &cancel) };
        self.held.reporting(job.lease);
        if outcome == Outcome::Stopped && cancel.reason() == Some(StopReason::LeaseLost) {
            log::warn!("job {}: stopped, its lease was lost", job.id);
        } else {
            self.report(source, job, &outcome);
        }
        self.held.drop_lease(job.lease);
        if let Outcome::NotBegun { error } = &outcome {
            log::error!("job {} could not be begun and was given back: {error}", job.id);
            self.wait_while(Some(Instant::now() + RETRY_PAUSE_MAX), |state| !state.stopping);
        }
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
    fn report(&self, source: &mut dyn JobSource, job: &Job, outcome: &Outcome) {
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
                source.set_timeout(left);
            }
            match send(source, job, outcome) {
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
            self.wait_while(Some(until.unwrap_or(pause_until).min(pause_until)), |state| {
                state.report_until == until
            });
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, LeaseId};
    use crate::protocol::{AckItem, FailItem, HeldLease, ItemStatus, LeaseStatus, ReleaseItem};
    use crate::worker::remote;
    use std::sync::mpsc::{Sender, channel};

    /// Hands out one job, and then none; tells what was reported.
    struct OneJob {
        left: Arc<AtomicBool>,
        reports: Sender<String>,
        stopper: Stopper,
    }

    impl JobSource for OneJob {
        fn poll(&mut self, _: &[&str], _: Duration, lease: Duration) -> Result<Option<Job>, ClientError> {
            let job = Job {
                id: JobId(1),
                lease: LeaseId(2),
                queue: "q".to_owned(),
                key: String::new(),
                priority: 0,
                attempt: 1,
                max_attempts: 1,
                timeout: None,
                lease_length: lease,
                payload: Vec::new(),
            };
            if self.left.swap(false, Ordering::Relaxed) { Ok(Some(job)) } else { Err(ClientError::Stopped) }
        }

        fn ack(&mut self, _: AckItem<'_>) -> Result<Vec<ItemStatus>, ClientError> {
            Ok(self.tell("ack".to_owned()))
        }

        fn fail(&mut self, item: FailItem<'_>) -> Result<Vec<ItemStatus>, ClientError> {
            Ok(self.tell(format!("fail {}", item.error)))
        }

        fn release(&mut self, _: ReleaseItem) -> Result<Vec<ItemStatus>, ClientError> {
            Ok(self.tell("release".to_owned()))
        }

        fn heartbeat(&mut self, _: &[HeldLease]) -> Result<Vec<LeaseStatus>, ClientError> {
            Ok(Vec::new())
        }

        fn stopper(&self) -> Stopper {
            self.stopper.clone()
        }

        fn set_timeout(&mut self, _: Duration) {}
    }

    impl OneJob {
        fn tell(&self, what: String) -> Vec<ItemStatus> {
            self.reports.send(what).unwrap();
            Vec::new()
        }
    }

    type Act = fn() -> Outcome;

    struct Run(Act);

    impl Handler for Run {
        fn run(&self, _: &Job, _: &Cancel) -> Outcome {
            (self.0)()
        }
    }

    fn config() -> PoolConfig {
        PoolConfig {
            queues: vec!["q".to_owned()],
            concurrency: 1,
            lease: Duration::from_mins(1),
            shutdown_limit: Duration::ZERO,
        }
    }

    #[test]
    fn every_outcome_is_reported_in_its_way() {
        let outcomes: [(Act, &str); 4] = [
            (|| Outcome::Done(Vec::new()), "ack"),
            (|| Outcome::Failed { for_good: false, error: "no".to_owned() }, "fail no"),
            (|| Outcome::Stopped, "release"),
            (|| panic!("at the disco"), "fail the handler panicked: at the disco"),
        ];
        for (run, expected) in outcomes {
            let (reports, reported) = channel();
            let left = Arc::new(AtomicBool::new(true));
            let make: MakeSource = Box::new(move || {
                let (left, reports) = (Arc::clone(&left), reports.clone());
                Box::new(OneJob { left, reports, stopper: Stopper::default() })
            });
            let pool = Pool::start(config(), &make, Box::new(Run(run))).unwrap();
            assert_eq!(reported.recv_timeout(Duration::from_secs(20)).unwrap(), expected);
            pool.stopper().stop();
            pool.join().unwrap();
        }
    }

    #[test]
    fn a_pool_without_a_master_stops_when_it_is_told() {
        let make = remote("127.0.0.1:1".to_owned(), "test".to_owned(), Vec::new());
        let pool = Pool::start(config(), &make, Box::new(Run(|| Outcome::Stopped))).unwrap();
        pool.stopper().stop();
        pool.join().unwrap();
    }
}
