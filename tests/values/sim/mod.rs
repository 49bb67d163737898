//! Runs of a whole master on a simulated disk: a mixed load drawn from a seed, a history that knows the state at every
//! LSN, and what the clients were told, to hold against what a crash leaves.
//!
//! A seed reproduces a run; a test that fails prints it and the command that runs it again.

pub mod batches;
pub mod bytes;
pub mod client;
pub mod follow_ups;
pub mod full;
pub mod history;
pub mod image;
pub mod load;
pub mod mending;
pub mod net;
pub mod orders;
pub mod rules;
pub mod told;
pub mod ways;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use falconqueue::ids::{JobId, LeaseId, SessionId};
use falconqueue::master::{Config, Input, Master, Progress, Urgency, WalError};
use falconqueue::protocol::Hello;
use falconqueue::time::{Millis, Timestamp};
use falconqueue::wal::{MemoryDevice, Operation, SyncOutcome, SyncRequest};

use crate::dice::Dice;
use client::Sent;
use history::History;
use told::Told;

/// Segments are small, so that a short run switches, cleans and recycles them.
pub const SEGMENT_BYTES: u32 = 64 << 10;

/// When the runs begin.
pub const START: Timestamp = Timestamp(1_000_000);

/// How long a key is remembered after its job ended.
pub const KEY_WINDOW: Millis = Millis(60_000);

/// A size that the environment may change.
pub fn size(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Prints how to run a failing test again.
pub struct Seeded {
    pub seed: u64,
    command: String,
}

impl Seeded {
    /// For the test of this file and name.
    pub fn new(seed: u64, file: &str, name: &str) -> Seeded {
        let sizes: String = std::env::vars()
            .filter(|(name, _)| name.starts_with("FQ_SIM_") && !name.starts_with("FQ_SIM_SEED"))
            .map(|(name, value)| format!("{name}={value} "))
            .collect();
        let release = if cfg!(debug_assertions) { "" } else { "--release " };
        let command = format!(
            "{sizes}FQ_SIM_SEED={seed} FQ_SIM_SEEDS=1 cargo test {release}--test values {file}::{name} -- --nocapture"
        );
        Seeded { seed, command }
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}; again: {}", self.seed, self.command);
        }
    }
}

/// Says at a failure where in the run it was.
pub struct Place(pub String);

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Runs a test with each of its seeds, some at once.
pub fn each_seed(file: &str, name: &str, count: u64, run: impl Fn(u64) + Sync) {
    let first = size("FQ_SIM_SEED", 1);
    let seeds: Vec<u64> = (first..first + size("FQ_SIM_SEEDS", count)).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..seeds.len().min(2) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let _seeded = Seeded::new(*seed, file, name);
                    run(*seed);
                }
            });
        }
    });
}

/// An operation by its verb and the kind of its file.
pub fn kind_of(operation: &Operation) -> String {
    let ending = operation.name.split_once('.').map_or("", |(_, ending)| ending);
    format!("{} {ending}", operation.verb)
}

/// A device at the moment before an operation.
pub struct Image {
    pub number: u64,
    pub operation: Operation,
    pub device: MemoryDevice,
}

/// A lease that a worker was given.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub job: JobId,
    pub lease: LeaseId,
}

/// A master with its clients.
pub struct Sim {
    pub master: Master,
    pub device: MemoryDevice,
    pub config: Config,
    pub now: Timestamp,
    pub random: Dice,
    pub told: Told,
    pub history: History,
    /// What the load aims at.
    pub load: load::Load,
    producer: SessionId,
    /// Who waits and reads.
    watcher: SessionId,
    workers: [SessionId; 2],
    sent: BTreeMap<u64, Sent>,
    held: Vec<Held>,
    syncing: Option<SyncRequest>,
    synced: Option<SyncOutcome>,
    correlation: u64,
    /// Submits and reports that were refused for want of space.
    pub full: u64,
    /// Submits that were refused since their queue was paused.
    pub paused: u64,
    /// Submits that were refused since their queue was full.
    pub over_full: u64,
    pub waits_answered: u64,
    /// Syncs that failed, each the end of a process.
    pub failed_syncs: u64,
    pub net: net::Net,
    pub filling: batches::Filling,
    pub settled: rules::Settled,
    crew: orders::Crew,
    /// Whether a turn has ended since something was sent.
    is_turned: bool,
    /// Moments before operations that wait to be looked at: before anything more is told.
    images: Arc<Mutex<Vec<Image>>>,
    /// Whether they are looked at, or left to the test.
    pub looks: bool,
    /// How many were looked at.
    pub looked_at: u64,
    /// How often each operation was done on each kind of file, while the device is watched.
    pub operations: Arc<Mutex<BTreeMap<String, u64>>>,
    /// Whether the disk is full when the next spare is to be made, while the device is watched.
    pub full_at_spare: Arc<AtomicBool>,
}

pub fn config(seed: u64) -> Config {
    Config { segment_bytes: SEGMENT_BYTES, seed, beside: false, key_window: KEY_WINDOW, ..Config::default() }
}

impl Sim {
    pub fn new(seed: u64) -> Sim {
        Sim::on(seed, MemoryDevice::default())
    }

    /// A run on a fresh device that may be watched already.
    pub fn on(seed: u64, device: MemoryDevice) -> Sim {
        Sim::begin(seed, device).expect("the log opens")
    }

    /// A run on a fresh device that may fail.
    pub fn begin(seed: u64, device: MemoryDevice) -> Result<Sim, WalError> {
        Sim::with(config(seed), device)
    }

    /// The same with other settings.
    pub fn with(config: Config, device: MemoryDevice) -> Result<Sim, WalError> {
        let seed = config.seed;
        let mut master = Master::open(config.clone(), Arc::new(device.clone()), &Progress::default())?.master;
        master.start(START);
        let mut sim = Sim {
            producer: SessionId(0),
            watcher: SessionId(0),
            workers: [SessionId(0); 2],
            master,
            device,
            config,
            now: START,
            random: Dice::new(seed),
            told: Told::default(),
            history: History::default(),
            load: load::Load::default(),
            sent: BTreeMap::new(),
            held: Vec::new(),
            syncing: None,
            synced: None,
            correlation: 0,
            full: 0,
            paused: 0,
            over_full: 0,
            waits_answered: 0,
            failed_syncs: 0,
            net: net::Net::default(),
            filling: batches::Filling::default(),
            settled: rules::Settled::default(),
            crew: orders::Crew::default(),
            is_turned: false,
            images: Arc::default(),
            looks: true,
            looked_at: 0,
            operations: Arc::default(),
            full_at_spare: Arc::default(),
        };
        sim.connect();
        Ok(sim)
    }

    fn connect(&mut self) {
        self.producer = self.master.connected_within(&Hello::new("producer", b""));
        self.watcher = self.master.connected_within(&Hello::new("watcher", b""));
        self.crew = orders::Crew::default();
        self.filling.restarted(self.history.truth.open_batches().map(|(id, _)| id), self.now);
        for (place, name) in ["worker-1", "worker-2"].into_iter().enumerate() {
            let hello = Hello { says_begun: Some(place == 1), ..Hello::new(name, b"") };
            self.workers[place] = self.master.connected_within(&hello);
            self.is_worker(self.workers[place], name);
        }
    }

    /// A run in which, before each operation, moments are kept to be looked at: crash images that the seed draws,
    /// so many for 1000 operations.
    pub fn watched(seed: u64, images_per_1000: u64) -> Sim {
        let device = MemoryDevice::default();
        let random = Mutex::new(Dice::new(seed ^ 0x00C0_FFEE));
        let images: Arc<Mutex<Vec<Image>>> = Arc::default();
        let operations: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
        let full_at_spare: Arc<AtomicBool> = Arc::default();
        let (taken, counted, full) = (Arc::clone(&images), Arc::clone(&operations), Arc::clone(&full_at_spare));
        device.watch(move |device| {
            let what = kind_of(&device.operation());
            if what == "create spare.tmp" && full.swap(false, Ordering::Relaxed) {
                device.limit_space(Some(40_000));
            }
            *counted.lock().expect("one thread").entry(what).or_default() += 1;
            let mut random = random.lock().expect("one thread");
            let count = images_per_1000 / 1000 + u64::from(random.below(1000) < images_per_1000 % 1000);
            for _ in 0..count {
                let image = Image {
                    number: device.operations(),
                    operation: device.operation(),
                    device: device.crash_with(&mut |end| random.below(end)),
                };
                taken.lock().expect("one thread").push(image);
            }
        });
        Sim { images, operations, full_at_spare, ..Sim::on(seed, device) }
    }

    /// The process is killed, and another one opens what it has left to the system, which has not synced it.
    pub fn restart_killed(&mut self) -> Result<(), WalError> {
        self.forget_process();
        let opened = Master::open(self.config.clone(), Arc::new(self.device.clone()), &Progress::default())?;
        self.master = opened.master;
        self.master.start(self.now);
        self.follow();
        // Nothing is lost, and nothing that was not there has come.
        self.history.holds(self.now, self.master.queues());
        self.connect();
        Ok(())
    }

    /// The process is gone with all that was not answered. Where clients are rough they ask again.
    fn forget_process(&mut self) {
        let unanswered = std::mem::take(&mut self.sent);
        self.net.restarted(unanswered.into_values().map(|sent| sent.what).filter(|_| self.load.is_rough));
        if !self.load.is_rough {
            self.held.clear();
        }
        self.settled.is_draining = false;
        (self.syncing, self.synced) = (None, None);
        self.is_turned = false;
    }

    /// A worker's connection breaks.
    pub fn disconnect(&mut self) {
        let place = self.random.index(2);
        if self.net.is_there(self.workers[place]) {
            self.replace_worker(place);
        }
    }

    /// A worker leaves, and another one comes.
    fn replace_worker(&mut self, place: usize) {
        let hello = Hello { says_begun: Some(true), ..Hello::new("worker-9", b"") };
        let gone = std::mem::replace(&mut self.workers[place], self.master.connected_within(&hello));
        self.is_worker(self.workers[place], "worker-9");
        self.crew.is_quiet[place] = false;
        self.master.take(gone, Input::Gone, self.now).unwrap();
        self.crew.workers.remove(&gone);
        self.net.closed(gone);
        self.sent.retain(|_, sent| sent.session != gone);
    }

    /// Brings the history up to the log.
    pub fn follow(&mut self) {
        self.history.follow(&self.device, self.now);
        for job in self.history.truth.take_vanishing() {
            self.told.vanishes(job);
        }
        self.follow_batches();
    }

    /// The same, where every state on the way is kept.
    pub fn follow_closely(&mut self) {
        if self.history.has_states {
            self.follow();
        }
    }

    /// A turn without input, at a moment this much later.
    pub fn turn(&mut self, span: u64) -> Result<(), WalError> {
        self.now = self.now.plus(Millis(span));
        self.begin_turn()?;
        self.finish_turn()
    }

    pub fn begin_turn(&mut self) -> Result<(), WalError> {
        let outcome = self.master.begin_turn(self.now);
        self.follow_closely();
        outcome
    }

    pub fn finish_turn(&mut self) -> Result<(), WalError> {
        let outcome = self.master.finish_turn(self.now);
        self.follow();
        outcome?;
        while let Some(request) = self.master.read_request() {
            self.master.read_done(request.run());
        }
        self.is_turned = true;
        self.hold_batches();
        self.history.turned(self.now, self.master.queues());
        Ok(())
    }

    /// The master stands still for a time, in which nobody can be heard: no lease runs out for it.
    pub fn stand_still(&mut self) -> Result<(), WalError> {
        self.turn(0)?;
        let in_flight = self.master.queues().unfinished().1;
        let gap = Millis(1000 + self.random.below(100_000));
        self.now = self.now.plus(gap);
        self.master.stood_still(gap);
        self.net.forgive(gap);
        self.filling.forgive(gap);
        self.begin_turn()?;
        assert_eq!(self.master.queues().unfinished().1, in_flight, "leases ran out while nobody could be heard");
        self.finish_turn()
    }

    /// Goes on with a sync: asks for one, runs it, or tells of its outcome, so that turns pass between these.
    pub fn go_on_syncing(&mut self) -> Result<(), WalError> {
        if let Some(outcome) = self.synced.take() {
            self.master.synced(&outcome)?;
        } else if let Some(request) = self.syncing.take() {
            let outcome = request.run();
            match outcome.result {
                Ok(()) => self.synced = Some(outcome),
                // A failure is told at once; a thread beside the loop would do so at the next turn.
                Err(_) => self.master.synced(&outcome)?,
            }
        } else {
            self.syncing = self.master.sync_request(self.now, Urgency::Quiet);
        }
        Ok(())
    }

    /// Makes everything durable.
    pub fn sync(&mut self) -> Result<(), WalError> {
        while self.syncing.is_some() || self.synced.is_some() || self.master.wants_sync() {
            self.go_on_syncing()?;
        }
        self.follow();
        self.hear();
        if self.is_turned {
            self.hold_waits();
            self.hold_batch_waits();
            self.history.truth.holds_waits(self.now);
        }
        Ok(())
    }

    /// Lets the log fall silent: all is durable, and a mark says so.
    pub fn rest(&mut self) -> Result<(), WalError> {
        for _ in 0..3 {
            self.sync()?;
            self.turn(200)?;
        }
        self.sync()
    }
}
