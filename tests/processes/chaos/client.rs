//! A client that does something wrong at each turn, drawn from its own source of random numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::rough::Rough;
use super::{mending, ways};
use crate::dice::Dice;
use crate::history::{Ns, Op, Outcome, Poll, What};
use crate::load::Shared;

/// Connections that one client leaves open while it goes on with others.
const HELD_MAX: usize = 16;

/// How long a poll of a connection that is gone may still be answered by a job: its wait, and a master that is slow.
const GRANT_LIMIT: Ns = 10_000_000_000;

/// What all of them share.
pub struct Scene {
    pub address: String,
    pub load: Arc<Shared>,
    pub going: AtomicBool,
    /// The newest job that one of them submitted.
    pub newest_job: AtomicU64,
}

/// What one of them has done.
#[derive(Default)]
pub struct Done {
    /// Polls for jobs of the honest ones, of which nothing is told.
    pub ops: Vec<Op>,
    pub turns: BTreeMap<&'static str, u64>,
    /// Reports and heartbeats of leases that it did not have: all were refused.
    pub refused: u64,
}

pub struct Wrong {
    pub number: usize,
    pub scene: Arc<Scene>,
    pub dice: Dice,
    pub done: Done,
    held: Vec<Rough>,
}

impl Wrong {
    pub fn run(number: usize, scene: Arc<Scene>, dice: Dice) -> Done {
        let mut wrong = Wrong { number, scene, dice, done: Done::default(), held: Vec::new() };
        while wrong.scene.going.load(Ordering::Relaxed) {
            let all = if wrong.dice.percent(35) { mending::WAYS } else { ways::WAYS };
            let (name, way) = *wrong.dice.pick(all).expect("there are ways");
            *wrong.done.turns.entry(name).or_default() += 1;
            way(&mut wrong);
            // Honest clients share two cores with this.
            thread::sleep(Duration::from_millis(wrong.dice.within(2..20)));
        }
        wrong.done
    }

    /// A queue of its own kind: never one of the load's.
    pub fn queue(&self) -> String {
        format!("wrong-{}", self.number)
    }

    /// Another one, which may be closed, and whose jobs may be changed at any time.
    pub fn meddled(&self) -> String {
        format!("meddled-{}", self.number)
    }

    /// The newest job that is known, or one that may be there.
    pub fn newest(&self) -> u64 {
        self.scene.newest_job.load(Ordering::Relaxed).max(2)
    }

    pub fn connect(&self) -> Option<Rough> {
        Rough::connect(&self.scene.address)
    }

    pub fn greeted(&self) -> Option<Rough> {
        Rough::greeted(&self.scene.address)
    }

    /// Ends a connection, or leaves it open for a while and says nothing more.
    pub fn leave(&mut self, rough: Rough) {
        if self.dice.percent(60) {
            return rough.end(&mut self.dice);
        }
        self.hold(rough);
    }

    pub fn hold(&mut self, rough: Rough) {
        if self.held.len() == HELD_MAX {
            let index = self.dice.index(HELD_MAX);
            self.held.swap_remove(index).end(&mut self.dice);
        }
        self.held.push(rough);
    }

    /// Notes a poll whose jobs, if it gets any, nobody hears of.
    pub fn note_poll(&mut self, start: Ns, poll: Poll) {
        let end = start + u64::from(poll.wait_ms) * 1_000_000 + GRANT_LIMIT;
        self.done.ops.push(Op { client: self.number, start, end, what: What::Poll(poll, Outcome::Unknown) });
    }
}
