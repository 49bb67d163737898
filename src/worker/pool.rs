//! The pool: a number of threads that each poll for a job, run it, and report what came of it.
//!
//! Promises:
//! - At most `concurrency` jobs run at once.
//! - What came of a job is reported until the master has answered, or until the pool has to end.
//! - A pool that is told to stop begins no further job. The running ones get their time; what is left is given back.
//! - It reconnects for ever, unless the master refuses it for good.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cancel::StopReason;
use super::handler::Handler;
use super::keeper::{HEARTBEAT_TIMEOUT, Held, keep_leases};
use super::source::MakeClient;
use crate::client::{Client, ClientError, Stopper};

/// How long any call may take beyond what a poll waits: a master that hangs must not keep a worker from leaving.
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
    /// How long a running job may go on past the end of its lease while the master cannot be asked. Another worker may
    /// have it by then.
    pub outage_limit: Duration,
}

/// Why a pool ended by itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// The master refused it for good.
    Refused(ClientError),
    /// None of the jobs that it got could be begun.
    CannotBegin {
        /// For how long.
        seconds: u64,
        /// What went wrong with the last.
        error: String,
    },
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::Refused(error) => error.fmt(f),
            PoolError::CannotBegin { seconds, error } => write!(
                f,
                "no job could be begun here for {seconds} s, and all were given back uncounted; the last: {error}"
            ),
        }
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PoolError::Refused(error) => Some(error),
            PoolError::CannotBegin { .. } => None,
        }
    }
}

/// A running pool.
pub struct Pool {
    shared: Arc<Shared>,
    slots: Vec<JoinHandle<()>>,
    keeper: JoinHandle<()>,
}

/// Tells a pool to stop, from any thread.
#[derive(Clone)]
pub struct PoolStopper {
    shared: Arc<Shared>,
}

/// What the threads of a pool share.
pub struct Shared {
    pub config: PoolConfig,
    pub handler: Box<dyn Handler>,
    pub held: Held,
    state: Mutex<PoolState>,
    changed: Condvar,
    /// Whether the master could not be reached when a thread last tried; so that this is told once.
    pub unreachable: AtomicBool,
    stoppers: Vec<Stopper>,
}

#[derive(Default)]
pub struct PoolState {
    pub stopping: bool,
    /// Threads that wait for the answer to a poll.
    pub polling: usize,
    /// Threads that live.
    pub working: usize,
    /// Until when reports are tried again, once running jobs were told to stop.
    pub report_until: Option<Instant>,
    /// Since when no job that came could be begun.
    pub barren_since: Option<Instant>,
    pub error: Option<PoolError>,
}

impl Pool {
    /// Starts the threads.
    pub fn start(config: PoolConfig, make: &MakeClient, handler: Box<dyn Handler>) -> std::io::Result<Pool> {
        let clients: Vec<_> = (0..config.concurrency).map(|_| make()).collect();
        let mut beats = make();
        beats.set_timeout(HEARTBEAT_TIMEOUT.min(config.lease / 3));
        let shared = Arc::new(Shared {
            handler,
            held: Held::default(),
            state: Mutex::new(PoolState { working: config.concurrency, ..PoolState::default() }),
            changed: Condvar::new(),
            unreachable: AtomicBool::new(false),
            stoppers: clients.iter().map(Client::stopper).collect(),
            config,
        });
        let mut slots = Vec::new();
        for (number, mut client) in clients.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            client.set_timeout(CALL_TIMEOUT);
            let thread = std::thread::Builder::new().name(format!("falcon-slot-{number}"));
            slots.push(thread.spawn(move || shared.live(&mut client))?);
        }
        let keeper = {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name("falcon-keeper".to_owned());
            thread.spawn(move || keep_leases(&shared.held, &mut beats))?
        };
        Ok(Pool { shared, slots, keeper })
    }

    /// What stops this pool.
    pub fn stopper(&self) -> PoolStopper {
        PoolStopper { shared: Arc::clone(&self.shared) }
    }

    /// Waits until the pool was told to stop and has stopped, or was refused for good.
    pub fn join(self) -> Result<(), PoolError> {
        let Pool { shared, slots, keeper } = self;
        shared.wait_while(None, |state| !state.stopping);
        let limit_at = Instant::now() + shared.config.shutdown_limit;
        shared.wait_while(Some(limit_at.min(Instant::now() + LAST_POLLS)), |state| state.polling > 0);
        shared.stoppers.iter().for_each(Stopper::abort);
        shared.wait_while(Some(limit_at), |state| state.working > 0 && state.report_until.is_none());
        let (running, reporting) = shared.held.counts();
        if running + reporting > 0 {
            log::warn!("leaving with {running} jobs running, which are stopped, and {reporting} outcomes to report");
        }
        shared.hurry(StopReason::Leaving);
        for slot in slots {
            if slot.join().is_err() {
                log::error!("a thread of the pool panicked");
            }
        }
        shared.held.close();
        if keeper.join().is_err() {
            log::error!("the keeper of leases panicked");
        }
        shared.locked().error.take().map_or(Ok(()), Err)
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
    pub fn locked(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn change(&self, change: impl FnOnce(&mut PoolState)) {
        change(&mut self.locked());
        self.changed.notify_all();
    }

    /// Waits while the condition holds, at most until the deadline.
    pub fn wait_while(&self, deadline: Option<Instant>, holds: impl Fn(&PoolState) -> bool) {
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        drop(self.changed.wait_timeout_while(self.locked(), left, |state| holds(state)));
    }

    /// Ends the pool for a reason of its own.
    pub fn end(&self, error: PoolError) {
        self.change(|state| {
            state.error.get_or_insert(error);
        });
        self.begin_stop();
    }

    /// Returns whether this is the first call.
    pub fn begin_stop(&self) -> bool {
        let first = !std::mem::replace(&mut self.locked().stopping, true);
        if first {
            self.changed.notify_all();
            self.stoppers.iter().for_each(Stopper::stop);
        }
        first
    }

    pub fn is_stopping(&self) -> bool {
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
}

#[cfg(test)]
mod tests {
    use super::super::{Cancel, Outcome};
    use super::*;
    use crate::client::{Ender, Frame, Job, Link};
    use crate::ids::JobId;
    use crate::protocol::frame::split_frame;
    use crate::protocol::{Delivery, HeartbeatOk, LeaseStatus, List, PollOk, Reply, Reported, Request};
    use crate::worker::remote;
    use std::io;
    use std::sync::atomic::Ordering;
    use std::sync::mpsc::{Sender, channel};

    /// A master that hands out one job, and is silent after that; tells what was reported.
    struct OneJob {
        left: Arc<AtomicBool>,
        reports: Sender<String>,
        lease_ms: u32,
        want: u8,
        answer: Option<Frame>,
    }

    impl OneJob {
        fn tell<'r>(&self, what: String) -> Reported<'r> {
            self.reports.send(what).unwrap();
            Reported::default()
        }
    }

    impl Link for OneJob {
        fn open(&mut self, _: Instant) -> Result<(), ClientError> {
            Ok(())
        }

        fn is_open(&self) -> bool {
            true
        }

        fn close(&mut self) {}

        fn send(&mut self, frames: Vec<u8>, _: Instant) -> io::Result<()> {
            let (header, body) = split_frame(&frames).unwrap();
            let job = [Delivery { job: JobId(1), queue: "q", lease_ms: self.lease_ms, ..Delivery::default() }];
            let status = [LeaseStatus { job: JobId(1), want: self.want, remaining_ms: 60_000 }];
            let reply = match Request::decode(header.kind, body).unwrap() {
                Request::Poll(_) if self.left.swap(false, Ordering::Relaxed) => {
                    Reply::PollOk(PollOk { jobs: List::lent(&job) })
                }
                Request::Ack(_) => Reply::AckOk(self.tell("ack".to_owned())),
                Request::Fail(fail) => {
                    let error = fail.items.iter().next().unwrap().error;
                    Reply::FailOk(self.tell(format!("fail {error}")))
                }
                Request::Release(_) => Reply::ReleaseOk(self.tell("release".to_owned())),
                Request::Heartbeat(_) => Reply::HeartbeatOk(HeartbeatOk { leases: List::lent(&status) }),
                _ => return Ok(()),
            };
            let mut frame = Vec::new();
            reply.encode(header.correlation, &mut frame);
            let (header, body) = split_frame(&frame).unwrap();
            self.answer = Some(Frame { header, body: body.to_owned() });
            Ok(())
        }

        fn receive(&mut self, _: Instant) -> io::Result<Frame> {
            self.answer.take().ok_or(io::ErrorKind::TimedOut.into())
        }

        fn ender(&self) -> io::Result<Ender> {
            Ok(Box::new(|_| {}))
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
            outage_limit: Duration::ZERO,
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
            assert_eq!(first_report(run, 60_000, LeaseStatus::GO_ON).as_deref(), Some(expected));
        }
    }

    /// What a pool reports of a job with such a lease, where a Heartbeat is answered so; nothing for a while is none.
    fn first_report(run: Act, lease_ms: u32, want: u8) -> Option<String> {
        let (reports, reported) = channel();
        let left = Arc::new(AtomicBool::new(true));
        let make: MakeClient = Box::new(move || {
            let (left, reports) = (Arc::clone(&left), reports.clone());
            Client::new(OneJob { left, reports, lease_ms, want, answer: None })
        });
        let pool = Pool::start(config(), &make, Box::new(Run(run))).unwrap();
        let limit = if want == LeaseStatus::GO_ON { Duration::from_secs(20) } else { Duration::from_millis(300) };
        let report = reported.recv_timeout(limit).ok();
        pool.stopper().stop();
        pool.join().unwrap();
        report
    }

    #[test]
    fn a_job_is_begun_only_under_a_lease_that_lives() {
        let done: Act = || Outcome::Done(Vec::new());
        assert_eq!(
            first_report(done, 0, LeaseStatus::GO_ON).as_deref(),
            Some("ack"),
            "it asked, and was told to go on"
        );
        let never: Act = || panic!("it is begun");
        assert_eq!(first_report(never, 0, LeaseStatus::STOP), None, "it asked, and another one has it");
    }

    #[test]
    fn a_pool_without_a_master_stops_when_it_is_told() {
        let make = remote("127.0.0.1:1".to_owned(), "test".to_owned(), Vec::new());
        let pool = Pool::start(config(), &make, Box::new(Run(|| Outcome::Stopped))).unwrap();
        pool.stopper().stop();
        pool.join().unwrap();
    }
}
