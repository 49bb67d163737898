//! What clients know of each other's jobs, so that they change and wait for those of others.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

use crate::dice::Dice;

/// So many of each kind are remembered.
const REMEMBERED: usize = 120;

/// Acked jobs of some seconds: that they are kept shows only late in their time.
const ACKED: usize = 2_000;

#[derive(Default)]
pub struct Known(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    /// All jobs without a key: what changes those with one would free their keys.
    keyless: BTreeSet<u64>,
    /// Those of them that were submitted, given and failed lately.
    submitted: VecDeque<u64>,
    given: VecDeque<u64>,
    failed: VecDeque<u64>,
    /// Those that failed for good, and were not requeued.
    dead: VecDeque<u64>,
    /// Jobs that were acked lately, whether they have a key or not.
    acked: VecDeque<u64>,
}

fn remember(list: &mut VecDeque<u64>, job: u64) {
    remember_of(list, job, REMEMBERED);
}

fn remember_of(list: &mut VecDeque<u64>, job: u64, most: usize) {
    if list.len() == most {
        list.pop_front();
    }
    list.push_back(job);
}

impl Known {
    pub fn submitted(&self, job: u64) {
        let mut lists = self.0.lock().expect("no client panics here");
        lists.keyless.insert(job);
        remember(&mut lists.submitted, job);
    }

    pub fn given(&self, jobs: impl Iterator<Item = u64>) {
        let mut lists = self.0.lock().expect("no client panics here");
        for job in jobs {
            if lists.keyless.contains(&job) {
                remember(&mut lists.given, job);
            }
        }
    }

    pub fn failed(&self, job: u64, for_good: bool) {
        let mut lists = self.0.lock().expect("no client panics here");
        if lists.keyless.contains(&job) {
            let list = if for_good { &mut lists.dead } else { &mut lists.failed };
            remember(list, job);
        }
    }

    pub fn acked(&self, job: u64) {
        self.forget(job);
        remember_of(&mut self.0.lock().expect("no client panics here").acked, job, ACKED);
    }

    /// It has ended: what is there to be changed is another one.
    pub fn forget(&self, job: u64) {
        let mut lists = self.0.lock().expect("no client panics here");
        let Lists { submitted, given, failed, .. } = &mut *lists;
        for list in [submitted, given, failed] {
            list.retain(|known| *known != job);
        }
    }

    /// Some jobs without a key that a person may change: waiting, in flight or failed, by what was heard last.
    pub fn some(&self, count: u64, dice: &mut Dice) -> Vec<u64> {
        let lists = self.0.lock().expect("no client panics here");
        let all = [&lists.submitted, &lists.submitted, &lists.given, &lists.failed, &lists.dead];
        let jobs = (0..count).filter_map(|_| some_of(all[dice.index(all.len())], dice));
        jobs.collect::<BTreeSet<u64>>().into_iter().collect()
    }

    /// One that is dead, unless somebody changed it; the next one is another, mostly.
    pub fn some_dead(&self, dice: &mut Dice) -> Option<u64> {
        let dead = &mut self.0.lock().expect("no client panics here").dead;
        if dice.percent(80) { dead.pop_back() } else { dead.back().copied() }
    }

    pub fn some_acked(&self, dice: &mut Dice) -> Option<u64> {
        let acked = &self.0.lock().expect("no client panics here").acked;
        acked.get(dice.index(acked.len().max(1))).copied()
    }
}

/// A late one, mostly.
fn some_of(list: &VecDeque<u64>, dice: &mut Dice) -> Option<u64> {
    let most = if dice.percent(60) { 10 } else { REMEMBERED };
    let back = dice.index(list.len().clamp(1, most));
    list.iter().rev().nth(back).copied()
}
