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
use super::crew::turns::{QueueShare, WEIGHT_MAX};
use super::error::PoolError;
use super::handler::Handler;
use super::keeper::{HEARTBEAT_TIMEOUT, Held, keep_leases};
use super::pulse::Pulse;
use crate::client::{Client, ClientError, Demand, Poll, WorkerFacts};
use crate::ids::random_number;
use crate::limits::CONCURRENCY_MAX;
use crate::protocol::Request;

/// How long any call may take beyond what a poll waits: a master that hangs must not keep a worker from leaving.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the master has to answer the polls of a pool that was told to stop.
const LAST_POLLS: Duration = Duration::from_secs(2);

/// How long reports may go on once running jobs were told to stop: these need up to 1.4 s to end,
/// and all of it may take 2 s.
const LAST_REPORTS: Duration = Duration::from_millis(1600);

/// Settings of a pool.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Queues, the preferred one first.
    pub queues: Vec<String>,
    /// A weight of each queue, 1 to 1,000: over many jobs each gets its share while it has some. With none, the order
    /// of the queues is strict.
    pub weights: Vec<u32>,
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
    /// Name and version of the program, as the master tells them of this worker.
    pub software: String,
}

impl PoolConfig {
    /// A pool for these queues, the preferred one first, that runs one job at a time under leases of 10 s, and lets it
    /// go on for 25 s once it was told to stop.
    pub fn new<Q: Into<String>>(queues: impl IntoIterator<Item = Q>) -> PoolConfig {
        PoolConfig {
            queues: queues.into_iter().map(Into::into).collect(),
            weights: Vec::new(),
            concurrency: 1,
            lease: Duration::from_secs(10),
            shutdown_limit: Duration::from_secs(25),
            outage_limit: Duration::ZERO,
            prefetch: None,
            software: concat!("falconqueue ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// The same for queues as they are named on a command line: by weights if any has one; the others have 1 then.
    pub fn sharing(shares: Vec<QueueShare>) -> PoolConfig {
        let has_weights = shares.iter().any(|share| share.weight.is_some());
        let weights = shares.iter().map(|share| share.weight.unwrap_or(1)).filter(|_| has_weights).collect();
        PoolConfig { weights, ..PoolConfig::new(shares.into_iter().map(|share| share.queue)) }
    }

    /// Holds every setting against its bounds; what is wrong otherwise.
    fn check(&self) -> Result<(), String> {
        if !(1..=CONCURRENCY_MAX).contains(&(self.concurrency as u64)) {
            return Err(format!("a concurrency of {}; it takes 1 to {CONCURRENCY_MAX}", self.concurrency));
        }
        let is_weight = |weight: &u32| (1..=WEIGHT_MAX).contains(weight);
        let of_each = self.weights.is_empty() || self.weights.len() == self.queues.len();
        if !of_each || !self.weights.iter().all(is_weight) {
            return Err(format!("weights {:?}; it takes one of 1 to {WEIGHT_MAX} for each queue", self.weights));
        }
        let queues: Vec<&str> = self.queues.iter().map(String::as_str).collect();
        let lease = self.lease;
        let poll = Poll::of(&queues).with_lease(lease);
        let poll = Poll { extra: self.prefetch.filter(|number| *number > 0), ..poll };
        Request::from(poll).check().map_err(|refusal| refusal.text)
    }
}

/// A running pool.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    keeper: JoinHandle<()>,
    pulses: Vec<JoinHandle<()>>,
}

/// Tells a pool to stop, to be quiet or to resume, from any thread. It keeps nothing of a pool that has ended.
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
    pulse: Arc<Pulse>,
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
    /// Starts the threads. A pool works until it is told to stop; `join` waits for that. `make` makes a client that
    /// promises to say when it begins a job; it is called twice.
    pub fn start(
        config: PoolConfig,
        make: impl Fn() -> Client,
        handler: impl Handler + 'static,
    ) -> std::io::Result<Pool> {
        config.check().map_err(|text| std::io::Error::new(std::io::ErrorKind::InvalidInput, text))?;
        let pulse = Arc::new(Pulse::default());
        let [polls, reports] = clients(&config, &pulse, make);
        let mut beats = reports.clone();
        beats.set_timeout(HEARTBEAT_TIMEOUT.min(config.lease / 3));
        // One polls, one reports, and the others run jobs.
        let count = config.concurrency + 2;
        let shared = Arc::new(Shared {
            crew: Mutex::new(Crew::new(config.concurrency, config.prefetch, &config.weights)),
            config,
            handler: Box::new(handler),
            held: Held::default(),
            polls,
            reports,
            pulse,
            work: Condvar::new(),
            changed: Condvar::new(),
        });
        let kept = Arc::clone(&shared);
        let keep = move || keep_leases(&kept.held, &beats, || kept.give_back_overdue());
        let keeper = std::thread::Builder::new().name("falcon-keeper".to_owned()).spawn(keep)?;
        let mut pool = Pool { shared, threads: Vec::new(), keeper, pulses: Vec::new() };
        for number in 0..count {
            if let Err(error) = pool.start_pulses().and_then(|()| pool.start_one(number)) {
                // Those that were started must not work on with nobody to stop them.
                pool.shared.begin_stop();
                pool.shared.hurry(StopReason::Leaving);
                drop(pool.join());
                return Err(error);
            }
        }
        Ok(pool)
    }

    /// Starts a thread for each link, once.
    fn start_pulses(&mut self) -> std::io::Result<()> {
        while self.pulses.len() < 2 {
            let shared = Arc::clone(&self.shared);
            let client = if self.pulses.is_empty() { shared.polls.clone() } else { shared.reports.clone() };
            let thread = std::thread::Builder::new().name("falcon-pulse".to_owned());
            let beat =
                move || shared.pulse.beat(&client, |order| shared.obey_master(order), |error| shared.unheard(error));
            self.pulses.push(thread.spawn(beat)?);
        }
        Ok(())
    }

    fn start_one(&mut self, number: usize) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        shared.locked().living += 1;
        let thread = std::thread::Builder::new().name(format!("falcon-slot-{number}"));
        let outcome = thread.spawn(move || shared.live());
        match outcome {
            Ok(thread) => self.threads.push(thread),
            Err(error) => {
                self.shared.locked().living -= 1;
                return Err(error);
            }
        }
        Ok(())
    }

    /// What stops this pool.
    pub fn stopper(&self) -> PoolStopper {
        PoolStopper { shared: Arc::downgrade(&self.shared) }
    }

    /// Waits until the pool was told to stop and has stopped, or was refused for good.
    pub fn join(self) -> Result<(), PoolError> {
        let Pool { shared, threads, keeper, pulses } = self;
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
        let until = shared.locked().report_until;
        shared.wait_while(until, |crew| crew.living > 0);
        // Whoever still waits for an answer is told that none will come.
        shared.reports.disconnect();
        shared.polls.disconnect();
        for thread in threads {
            if thread.join().is_err() {
                log::error!("a thread of the pool panicked");
            }
        }
        shared.held.close();
        shared.pulse.end();
        for thread in pulses.into_iter().chain([keeper]) {
            if thread.join().is_err() {
                log::error!("a thread that keeps leases or links panicked");
            }
        }
        shared.locked().error.take().map_or(Ok(()), Err)
    }
}

impl PoolStopper {
    /// The first time: no further job is begun, the running ones may finish. After that: the running jobs are
    /// stopped and given back.
    pub fn stop(&self) {
        self.obeyed(Demand::Stop);
    }

    /// No further job is taken until it resumes: those that run go on, and those that are only held are given back. The
    /// master is told, also after a reconnect.
    pub fn be_quiet(&self) {
        self.obeyed(Demand::Quiet);
    }

    /// Takes jobs again.
    pub fn resume(&self) {
        self.obeyed(Demand::Resume);
    }

    fn obeyed(&self, demand: Demand) {
        if let Some(shared) = self.shared.upgrade() {
            shared.obey(demand);
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

    /// Does what it is told, by its own program or by the master.
    fn obey(&self, demand: Demand) {
        match demand {
            Demand::Quiet => self.set_quiet(true),
            Demand::Resume => self.set_quiet(false),
            Demand::Stop if self.begin_stop() => {
                log::info!("stopping; jobs that still run: {}", self.locked().running());
            }
            Demand::Stop => self.hurry(StopReason::Leaving),
        }
    }

    /// The same by the master's word, which may come again: that hurries nobody.
    fn obey_master(&self, demand: Demand) {
        if demand != Demand::Stop || !self.is_stopping() {
            self.obey(demand);
        }
    }

    fn set_quiet(&self, quiet: bool) {
        let mut crew = self.locked();
        if crew.stopping || crew.quiet == quiet {
            return;
        }
        crew.set_quiet(quiet);
        // Under the same lock, so that both links and the crew agree whoever is told what at once.
        self.polls.set_quiet(quiet);
        self.reports.set_quiet(quiet);
        self.wake_one(&mut crew, Instant::now());
        let running = crew.running();
        drop(crew);
        self.pulse.hasten();
        let now = if quiet { "quiet: no job is taken until it resumes" } else { "resuming" };
        log::info!("{now}; jobs that run: {running}");
    }

    /// A quiet pool could not open a link to the master.
    fn unheard(&self, error: ClientError) {
        if error.is_for_good() {
            return self.end(PoolError::Refused(error));
        }
        log::warn!("{error}; trying again until it works");
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
        self.handler.leave();
        self.work.notify_all();
        self.polls.abort();
    }
}

/// The two clients of a pool: one worker, which is told by the master what to do.
fn clients(config: &PoolConfig, pulse: &Arc<Pulse>, make: impl Fn() -> Client) -> [Client; 2] {
    let facts = WorkerFacts {
        instance: random_number().max(1),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        software: config.software.clone(),
        concurrency: u16::try_from(config.concurrency).unwrap_or(u16::MAX),
    };
    std::array::from_fn(|_| {
        let (mut client, pulse) = (make(), Arc::clone(pulse));
        client.set_timeout(CALL_TIMEOUT);
        client.be_worker(facts.clone(), Arc::new(move |order| pulse.take(order)));
        client
    })
}

#[cfg(test)]
mod tests;
