//! Load for a master that comes and goes: producers, workers, those who change jobs and queues and those who wait for
//! ends reconnect, misbehave as clients do, and record all that they asked and heard.

mod followed;
mod judge;
mod known;
mod link;
mod meddle;
mod produce;
mod watch;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::dice::Dice;
use crate::history::{History, Ns, Op};
pub use followed::Followed;
pub use judge::{any_seed, keep, left, number_of};
use known::Known;
use link::Client;

pub const QUEUES: [&str; 4] = ["bulk", "images", "mail", "reports"];
const PRODUCERS: usize = 4;
const WORKERS: usize = 8;
const MEDDLERS: usize = 2;
const WATCHERS: usize = 2;
const OTHERS: usize = PRODUCERS + WORKERS;
pub const CLIENTS: usize = OTHERS + MEDDLERS + WATCHERS;

/// More jobs than this are not kept waiting, so that workers keep up.
const WAITING_MAX: i64 = 500;

/// What all clients share.
pub struct Shared {
    address: String,
    dice: Dice,
    origin: Instant,
    producing: AtomicBool,
    working: AtomicBool,
    /// Workers also fail, release, fall silent and come late.
    moody: AtomicBool,
    /// About as many jobs wait for a worker.
    waiting: AtomicI64,
    /// So many jobs may still be submitted.
    allowed: AtomicI64,
    known: Known,
}

impl Shared {
    pub fn now(&self) -> Ns {
        // The first moment is not zero: a moment before it must be there too.
        1 + u64::try_from(self.origin.elapsed().as_nanos()).expect("a test of less than 500 years")
    }

    fn may_submit(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < WAITING_MAX && self.allowed.load(Ordering::Relaxed) > 0
    }
}

pub struct Load {
    shared: Arc<Shared>,
    /// Those who end when it settles: they submit, or change jobs and queues.
    producers: Vec<JoinHandle<Vec<Op>>>,
    /// Those who go on until nothing is left: they work, or wait for ends.
    workers: Vec<JoinHandle<Vec<Op>>>,
    ops: Vec<Op>,
}

impl Load {
    pub fn start(address: &str, dice: Dice) -> Load {
        let on = || AtomicBool::new(true);
        let shared = Arc::new(Shared {
            address: address.to_string(),
            dice,
            origin: Instant::now(),
            producing: on(),
            working: on(),
            moody: on(),
            waiting: AtomicI64::new(0),
            allowed: AtomicI64::new(0),
            known: Known::default(),
        });
        let client = |number| Client::new(number, shared.clone());
        let producers = (0..PRODUCERS).map(client).map(|c| thread::spawn(|| produce::run(c)));
        let meddlers = (OTHERS..OTHERS + MEDDLERS).map(client).map(|c| thread::spawn(|| meddle::run(c)));
        let producers = producers.chain(meddlers).collect();
        let workers = (PRODUCERS..OTHERS).map(client).map(|c| thread::spawn(|| work::run(c)));
        let watchers = (OTHERS + MEDDLERS..CLIENTS).map(client).map(|c| thread::spawn(|| watch::run(c)));
        let workers = workers.chain(watchers).collect();
        Load { shared, producers, workers, ops: Vec::new() }
    }

    /// Lets producers submit so many jobs more; what was left is not kept. So many jobs wait.
    pub fn allow(&self, jobs: i64, waiting: u64) {
        self.shared.waiting.store(waiting.cast_signed(), Ordering::Relaxed);
        self.shared.allowed.store(jobs, Ordering::Relaxed);
    }

    /// What its clients share: their clock, above all.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// No more submits and changes, every queue is open, and workers just work.
    pub fn settle(&mut self) {
        self.shared.producing.store(false, Ordering::Relaxed);
        self.shared.moody.store(false, Ordering::Relaxed);
        let ended = self.producers.drain(..).map(|t| t.join().expect("a producer"));
        self.ops.extend(ended.flatten());
    }

    /// The end of all clients: what they asked and heard.
    pub fn finish(mut self) -> History {
        self.settle();
        self.shared.working.store(false, Ordering::Relaxed);
        self.ops.extend(self.workers.drain(..).flat_map(|t| t.join().expect("a worker")));
        self.ops.sort_by_key(|op| (op.start, op.end));
        History { ops: self.ops }
    }
}
