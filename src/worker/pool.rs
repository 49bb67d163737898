//! The pool: threads that take turns in polling, running jobs and reporting what came of them, over two links.
//!
//! Promises:
//! - At most `concurrency` jobs run at once. A few more are held, so that none of the slots waits for the network. They
//!   are given back if they are not begun within half a lease, or within 250 ms (or four round trips) where no number
//!   was asked for, and at once when the pool is told to stop.
//! - What came of a job is reported until the master has answered, or until the pool has to end. Reports wait for each
//!   other only as long as one is under way.
//! - A pool that is told to stop begins no further job. The running ones get their time; what is left is given back.
//! - It reconnects for ever, unless the master refuses it for good.
//!
//! The polls have a link of their own, since a stop ends its sending side; all else goes over the other.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cancel::StopReason;
use super::crew::Crew;
use super::error::PoolError;
use super::handler::Handler;
use super::keeper::{HEARTBEAT_TIMEOUT, Held, keep_leases};
use crate::client::Client;

/// How long any call may take beyond what a poll waits: a master that hangs must not keep a worker from leaving.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the master has to answer the polls of a pool that was told to stop.
const LAST_POLLS: Duration = Duration::from_secs(2);

/// How long reports may go on once running jobs were told to stop: these need 2 s to end.
const LAST_REPORTS: Duration = Duration::from_secs(4);

/// Settings of a pool.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    /// How many jobs it asks for that it cannot begin yet, up to 1,024; as many as it finishes in two round trips
    /// unless a number is given.
    pub prefetch: Option<u16>,
}

impl PoolConfig {
    /// A pool for these queues, the preferred one first, that runs one job at a time under leases of 10 s, and lets it
    /// go on for 25 s once it was told to stop.
    pub fn new<Q: Into<String>>(queues: impl IntoIterator<Item = Q>) -> PoolConfig {
        PoolConfig {
            queues: queues.into_iter().map(Into::into).collect(),
            concurrency: 1,
            lease: Duration::from_secs(10),
            shutdown_limit: Duration::from_secs(25),
            outage_limit: Duration::ZERO,
            prefetch: None,
        }
    }
}

/// A running pool.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    keeper: JoinHandle<()>,
}

/// Tells a pool to stop, from any thread. It keeps nothing of a pool that has ended.
#[derive(Clone)]
pub struct PoolStopper {
    shared: Weak<Shared>,
}

/// What the threads of a pool share.
pub struct Shared {
    pub config: PoolConfig,
    pub handler: Box<dyn Handler>,
    pub held: Held,
    pub polls: Client,
    pub reports: Client,
    crew: Mutex<Crew>,
    /// There is something to do for one more thread.
    work: Condvar,
    /// Something happened that others may wait for.
    pub changed: Condvar,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts the threads. `make` makes a client that promises to say when it begins a job; it is called twice.
    pub fn start(
        config: PoolConfig,
        make: impl Fn() -> Client,
        handler: impl Handler + 'static,
    ) -> std::io::Result<Pool> {
        let (mut polls, mut reports) = (make(), make());
        polls.set_timeout(CALL_TIMEOUT);
        reports.set_timeout(CALL_TIMEOUT);
        let mut beats = reports.clone();
        beats.set_timeout(HEARTBEAT_TIMEOUT.min(config.lease / 3));
        let mut crew = Crew::new(config.concurrency, config.prefetch);
        // One polls, one reports, and the others run jobs.
        crew.living = config.concurrency + 2;
        let numbers = 0..crew.living;
        let shared = Arc::new(Shared {
            config,
            handler: Box::new(handler),
            held: Held::default(),
            polls,
            reports,
            crew: Mutex::new(crew),
            work: Condvar::new(),
            changed: Condvar::new(),
        });
        let spawn = |name: String, run: fn(&Shared, &Client), client: &Client| {
            let (shared, client) = (Arc::clone(&shared), client.clone());
            std::thread::Builder::new().name(name).spawn(move || run(&shared, &client))
        };
        let slots = numbers.map(|number| spawn(format!("falcon-slot-{number}"), |shared, _| shared.live(), &beats));
        let threads = slots.collect::<std::io::Result<Vec<_>>>()?;
        let keep = |shared: &Shared, beats: &Client| keep_leases(&shared.held, beats, || shared.give_back_overdue());
        let keeper = spawn("falcon-keeper".to_owned(), keep, &beats)?;
        Ok(Pool { shared, threads, keeper })
    }

    /// What stops this pool.
    pub fn stopper(&self) -> PoolStopper {
        PoolStopper { shared: Arc::downgrade(&self.shared) }
    }

    /// Waits until the pool was told to stop and has stopped, or was refused for good.
    pub fn join(self) -> Result<(), PoolError> {
        let Pool { shared, threads, keeper } = self;
        shared.wait_while(None, |crew| !crew.stopping);
        let limit_at = Instant::now() + shared.config.shutdown_limit;
        shared.wait_while(Some(limit_at.min(Instant::now() + LAST_POLLS)), |crew| crew.is_polling);
        shared.polls.abort();
        shared.wait_while(Some(limit_at), |crew| crew.living > 0 && crew.report_until.is_none());
        let (running, reporting) = shared.held.counts();
        if running + reporting > 0 {
            log::warn!("leaving with {running} jobs running, which are stopped, and {reporting} outcomes to report");
        }
        shared.hurry(StopReason::Leaving);
        for thread in threads {
            if thread.join().is_err() {
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
        let Some(shared) = self.shared.upgrade() else { return };
        if shared.begin_stop() {
            log::info!("stopping; jobs that still run: {}", shared.locked().running());
        } else {
            shared.hurry(StopReason::Leaving);
        }
    }

    /// Stops at once, and reports nothing: there is no master any more.
    pub fn end(&self) {
        let Some(shared) = self.shared.upgrade() else { return };
        shared.begin_stop();
        shared.locked().report_until = Some(Instant::now());
        shared.hurry(StopReason::Ending);
    }
}

impl Shared {
    pub fn locked(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn change(&self, change: impl FnOnce(&mut Crew)) {
        change(&mut self.locked());
        self.changed.notify_all();
    }

    /// Waits while the condition holds, at most until the deadline.
    pub fn wait_while(&self, deadline: Option<Instant>, holds: impl Fn(&Crew) -> bool) {
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        drop(self.changed.wait_timeout_while(self.locked(), left, |crew| holds(crew)));
    }

    /// Wakes a thread that waits, if there is something to do for it. It does the same before it goes to work, so that
    /// as many are awake as there is work for.
    pub fn wake_one(&self, crew: &mut Crew, now: Instant) {
        if crew.woken == 0 && crew.idle > 0 && crew.has_work(now) {
            crew.woken = 1;
            self.work.notify_one();
        }
    }

    /// Waits until there may be something to do.
    pub fn wait_for_work<'c>(&self, mut crew: MutexGuard<'c, Crew>, until: Option<Instant>) -> MutexGuard<'c, Crew> {
        crew.idle += 1;
        let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        let mut crew = self.work.wait_timeout(crew, left).unwrap_or_else(PoisonError::into_inner).0;
        crew.idle -= 1;
        crew.woken = 0;
        crew
    }

    /// Ends the pool for a reason of its own.
    pub fn end(&self, error: PoolError) {
        self.change(|crew| {
            crew.error.get_or_insert(error);
        });
        self.begin_stop();
    }

    /// Returns whether this is the first call.
    pub fn begin_stop(&self) -> bool {
        let mut crew = self.locked();
        if crew.stopping {
            return false;
        }
        crew.begin_stop();
        drop(crew);
        self.work.notify_all();
        self.changed.notify_all();
        self.polls.stop();
        true
    }

    pub fn is_stopping(&self) -> bool {
        self.locked().stopping
    }

    fn give_back_overdue(&self) {
        let now = Instant::now();
        let mut crew = self.locked();
        crew.give_back_overdue(now);
        self.wake_one(&mut crew, now);
    }

    /// Tells the running jobs to stop, and bounds how long their outcomes are reported.
    fn hurry(&self, reason: StopReason) {
        self.change(|crew| {
            crew.report_until.get_or_insert(Instant::now() + LAST_REPORTS);
        });
        self.held.cancel_all(reason);
        self.polls.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cancel, Outcome};
    use super::*;
    use crate::client::{ClientError, Connector, Job, Link};
    use crate::ids::JobId;
    use crate::protocol::frame::next_in;
    use crate::protocol::{Delivery, FrameBuffer, HeartbeatOk, LeaseStatus, List, PollOk, Reply, Reported, Request};
    use crate::worker::remote;
    use std::io;
    use std::net::Shutdown;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Sender, channel};

    /// The answer to a poll comes when such a lease is over by the worker's clock.
    const SHORT_LEASE_MS: u32 = 40;
    const SHORT_LEASE: Duration = Duration::from_millis(SHORT_LEASE_MS as u64);

    /// A master that hands out one job, and answers no poll after that; tells what was reported.
    #[derive(Clone)]
    struct OneJob {
        left: Arc<AtomicBool>,
        reports: Sender<String>,
        lease_ms: u32,
        want: u8,
        answers: Arc<(Mutex<Vec<u8>>, Condvar)>,
    }

    impl OneJob {
        fn tell<'r>(&self, what: String) -> Reported<'r> {
            self.reports.send(what).unwrap();
            Reported::default()
        }

        fn answer(&self, request: &Request<'_>, correlation: u64) {
            let job = [Delivery { job: JobId(1), queue: "q", lease_ms: self.lease_ms, ..Delivery::default() }];
            let status = [LeaseStatus { job: JobId(1), want: self.want, remaining_ms: 60_000 }];
            let reply = match request {
                Request::Poll(_) if self.left.swap(false, Ordering::Relaxed) => {
                    std::thread::sleep(if self.lease_ms == SHORT_LEASE_MS { SHORT_LEASE * 2 } else { Duration::ZERO });
                    Reply::PollOk(PollOk { jobs: List::lent(&job) })
                }
                Request::Ack(_) => Reply::AckOk(self.tell("ack".to_owned())),
                Request::Fail(fail) => {
                    let error = fail.items.iter().next().unwrap().error;
                    Reply::FailOk(self.tell(format!("fail {error}")))
                }
                Request::Release(_) => Reply::ReleaseOk(self.tell("release".to_owned())),
                Request::Heartbeat(_) => Reply::HeartbeatOk(HeartbeatOk { leases: List::lent(&status) }),
                _ => return,
            };
            reply.encode(correlation, &mut self.answers.0.lock().unwrap());
            self.answers.1.notify_all();
        }
    }

    impl Connector for OneJob {
        fn connect(&self, _: Instant) -> Result<Box<dyn Link>, ClientError> {
            Ok(Box::new(OneJob { answers: Arc::default(), ..self.clone() }))
        }
    }

    impl Link for OneJob {
        fn send(&self, bytes: &[u8]) -> io::Result<usize> {
            let mut rest = bytes;
            while let Some((header, frame_bytes)) = next_in(rest, usize::MAX).unwrap() {
                let body = &rest[frame_bytes - header.body_bytes..frame_bytes];
                self.answer(&Request::decode(header.kind, body).unwrap(), header.correlation);
                rest = &rest[frame_bytes..];
            }
            Ok(bytes.len())
        }

        fn receive(&self, into: &mut FrameBuffer, deadline: Instant) -> io::Result<()> {
            let (answers, came) = &*self.answers;
            let left = deadline.saturating_duration_since(Instant::now());
            let mut bytes = came.wait_timeout_while(answers.lock().unwrap(), left, |bytes| bytes.is_empty()).unwrap().0;
            into.push(&std::mem::take(&mut *bytes));
            if into.is_empty() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
        }

        fn end(&self, _: Shutdown) {
            // Polls are answered when it ends, by a frame that ends the link.
            self.answers.0.lock().unwrap().extend_from_slice(&[0; 16]);
            self.answers.1.notify_all();
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
        PoolConfig { lease: Duration::from_mins(1), shutdown_limit: Duration::ZERO, ..PoolConfig::new(["q"]) }
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
        let master = OneJob { left, reports, lease_ms, want, answers: Arc::default() };
        let pool = Pool::start(config(), || Client::new(master.clone()), Run(run)).unwrap();
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
            first_report(done, SHORT_LEASE_MS, LeaseStatus::GO_ON).as_deref(),
            Some("ack"),
            "it asked, and was told to go on"
        );
        let never: Act = || panic!("it is begun");
        assert_eq!(first_report(never, SHORT_LEASE_MS, LeaseStatus::STOP), None, "it asked, and another one has it");
    }

    #[test]
    fn a_pool_without_a_master_stops_when_it_is_told() {
        let make = remote("127.0.0.1:1", "test", b"");
        let pool = Pool::start(config(), make, Run(|| Outcome::Stopped)).unwrap();
        pool.stopper().stop();
        pool.join().unwrap();
    }
}
