//! Load for a master that comes and goes: producers and workers that reconnect, misbehave as clients do, and
//! record all that they asked and heard.

mod judge;
mod link;
mod produce;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::dice::Dice;
use crate::history::{History, Ns, Op};
pub use judge::{any_seed, keep, left, number_of};
use link::Client;

pub const QUEUES: [&str; 4] = ["bulk", "images", "mail", "reports"];
const PRODUCERS: usize = 4;
const WORKERS: usize = 8;
pub const CLIENTS: usize = PRODUCERS + WORKERS;

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
    producers: Vec<JoinHandle<Vec<Op>>>,
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
        });
        let client = |number| Client::new(number, shared.clone());
        let producers = (0..PRODUCERS).map(client).map(|c| thread::spawn(|| produce::run(c)));
        let workers = (PRODUCERS..CLIENTS).map(client).map(|c| thread::spawn(|| work::run(c)));
        let (producers, workers) = (producers.collect(), workers.collect());
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

    /// No more submits, and workers that just work.
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
