//! A mixed load, drawn from the seed.

use std::sync::LazyLock;

use falconqueue::ids::SessionId;
use falconqueue::job::{Settings, Unique};
use falconqueue::master::WalError;
use falconqueue::protocol::{Ack, AckItem, Fail, FailItem, List, Release, ReleaseItem, Request, SubmitJob};

use crate::dice::Dice;
use crate::session::{ahead, poll};

use super::client::{Sentence, What};
use super::told::{Submission, payload};
use super::{Held, Sim};

pub const QUEUES: [&str; 3] = ["a", "b", "c"];

/// What the load aims at.
#[derive(Clone, Debug)]
pub struct Load {
    /// No more is submitted while this many jobs are unfinished.
    pub jobs_max: usize,
    /// The longest payload.
    pub payload_max: u64,
    /// The longest result and error.
    pub text_max: u64,
    /// Whether jobs are kept and expire, and people meddle.
    pub meddles: bool,
    /// Whether connections break, queues have settings, workers get orders, and the clock jumps.
    pub is_rough: bool,
}

impl Default for Load {
    fn default() -> Self {
        Load { jobs_max: 100, payload_max: 3072, text_max: 300, meddles: false, is_rough: false }
    }
}

impl Submission {
    pub fn lent(&self) -> SubmitJob<'_> {
        SubmitJob {
            queue: self.queue,
            key: self.key,
            settings: Settings { priority: self.priority, max_attempts: self.max_attempts, timeout_ms: 0 },
            delay_ms: self.delay_ms,
            keep_ms: self.keep_ms,
            ttl_ms: self.ttl_ms,
            group: Some(self.group).filter(|group| !group.is_empty()),
            unique_for_ms: Some(self.unique_for_ms).filter(|_| self.unique == Unique::Until),
            unique_until_start: Some(true).filter(|_| self.unique == Unique::UntilStart),
            on_duplicate: Some(self.on_duplicate),
            after: (!self.after.is_empty()).then(|| List::lent(&self.after)),
            if_failed: Some(self.if_failed).filter(|_| !self.after.is_empty()),
            payload: &self.payload,
            ..SubmitJob::default()
        }
    }
}

static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| (0..150).map(|number| format!("key-{number}")).collect());

fn drawn_key(random: &mut Dice) -> &'static str {
    &KEYS[random.index(KEYS.len())]
}

impl Sim {
    /// A job as the load draws it.
    pub fn drawn_job(&mut self) -> Submission {
        let random = &mut self.random;
        let bytes = match random.below(10) {
            0 => 0,
            1..=3 => random.below(64),
            4..=7 => random.below(1024),
            _ => random.below(self.load.payload_max + 1),
        };
        let delay_ms = match random.below(20) {
            0..=2 => 1 + random.below(3000),
            3 => 20_000 + random.below(120_000),
            _ => 0,
        };
        let key = if random.below(100) < 15 { drawn_key(random) } else { "" };
        let keep_ms = (self.load.meddles && random.one_in(2)).then(|| random.below(40_000));
        // A key is free at once when its job expires, which nobody hears.
        let has_ttl = self.load.meddles && key.is_empty() && random.one_in(5);
        let ttl_ms = has_ttl.then(|| 1 + random.below(20_000));
        Submission {
            keep_ms,
            ttl_ms,
            queue: QUEUES[random.index(3)],
            group: if self.load.meddles { ["", "", "x", "y", "z"][random.index(5)] } else { "" },
            key,
            priority: [0, 128, 128, 200][random.index(4)],
            max_attempts: [1, 2, 3, if self.load.is_rough { 0 } else { 5 }][random.index(4)],
            delay_ms,
            payload: payload(random.draw(), bytes as usize),
            ..Submission::default()
        }
    }

    /// A turn of the load: time passes, clients send, the disk goes on.
    pub fn step(&mut self) -> Result<(), WalError> {
        let span = match self.random.below(1000) {
            0..=699 => self.random.below(20),
            700..=929 => 100 + self.random.below(900),
            930..=989 => 1000 + self.random.below(4000),
            990..=997 => 10_000 + self.random.below(10_000),
            998 if self.load.is_rough && self.random.one_in(3) => 7_200_000,
            _ => 70_000,
        };
        self.now = self.now.plus(falconqueue::time::Millis(span));
        self.begin_turn()?;
        if self.load.is_rough {
            self.go_on_connecting()?;
        }
        for _ in 0..self.random.below(5) {
            self.act()?;
        }
        self.finish_turn()?;
        for _ in 0..self.random.below(4) {
            self.go_on_syncing()?;
        }
        self.hear();
        Ok(())
    }

    fn act(&mut self) -> Result<(), WalError> {
        if self.load.meddles && self.random.one_in(6) {
            return self.meddle();
        }
        if self.load.is_rough && self.random.one_in(9) {
            return self.act_on_batches();
        }
        let (waiting, in_flight) = self.master.queues().unfinished();
        let place = self.random.index(2);
        let worker = self.workers[place];
        if self.net.is_silent(worker) {
            return Ok(());
        }
        match self.random.below(100) {
            0..=34 if waiting + in_flight < self.load.jobs_max => self.send_some()?,
            0..=54 if self.crew.is_quiet[place] && !self.random.one_in(4) => {
                self.crew.is_quiet[place] = !self.random.one_in(10);
                self.send_heartbeat(worker)?;
            }
            0..=54 => {
                let wait_ms = if self.random.one_in(3) { 1500 } else { 0 };
                let (free, extra) = (self.random.below(7) as u16, 1 + self.random.below(3) as u16);
                let extra = (free == 0 || self.random.one_in(2)).then_some(extra);
                self.send(worker, &ahead(&poll(&QUEUES, free, wait_ms), extra), What::Poll)?;
            }
            55..=84 if self.load.is_rough && self.random.one_in(3) => self.ack_with_others(worker)?,
            55..=84 => self.send_ack(worker)?,
            85..=91 => self.send_fail(worker)?,
            92..=96 => self.send_release(worker)?,
            97..=98 if self.load.is_rough || !self.held.is_empty() => self.send_heartbeat(worker)?,
            99 if self.load.is_rough && self.random.one_in(2) => self.break_one(),
            99 if self.load.is_rough && self.random.one_in(4) => self.silence_one(),
            _ if self.random.one_in(4) => self.disconnect(),
            _ => {}
        }
        Ok(())
    }

    /// Submits some jobs.
    fn send_some(&mut self) -> Result<(), WalError> {
        let count = 1 + self.random.below(5);
        let mut jobs: Vec<Submission> = (0..count).map(|_| self.drawn_job()).collect();
        if self.load.meddles {
            self.draw_ways(&mut jobs);
        }
        self.send_submit(jobs).map(drop)
    }

    pub fn draw_held(&mut self, most: u64) -> Vec<Held> {
        let count = (1 + self.random.below(most)).min(self.held.len() as u64);
        (0..count)
            .map(|_| {
                let index = self.random.index(self.held.len());
                self.held.swap_remove(index)
            })
            .collect()
    }

    pub fn send_ack(&mut self, worker: SessionId) -> Result<(), WalError> {
        let held = self.draw_held(4);
        if held.is_empty() {
            return Ok(());
        }
        let bytes = if self.random.one_in(2) { 0 } else { self.random.below(self.load.text_max + 1) };
        let result = payload(1, bytes as usize);
        let text_optional = self.random.one_in(2).then_some(true);
        let items: Vec<AckItem<'_>> = held
            .iter()
            .map(|held| AckItem { job: held.job, lease: held.lease, text_optional, result: &result })
            .collect();
        for held in &held {
            self.told.ending(held.job, self.now);
        }
        let said = Sentence { result: result.clone(), is_optional: text_optional.is_some(), at: self.now };
        self.send(worker, &Request::Ack(Ack { items: List::lent(&items) }), What::Ack(held.clone(), said))?;
        Ok(())
    }

    fn send_fail(&mut self, worker: SessionId) -> Result<(), WalError> {
        let held = self.draw_held(2);
        if held.is_empty() {
            return Ok(());
        }
        let for_good = self.random.one_in(5);
        let error = "x".repeat(self.random.below(self.load.text_max + 1) as usize);
        let text_optional = self.random.one_in(2).then_some(true);
        let items: Vec<FailItem<'_>> = held
            .iter()
            .map(|held| FailItem {
                job: held.job,
                lease: held.lease,
                for_good,
                error: &error,
                text_optional,
                retry_in_ms: None,
            })
            .collect();
        self.send(worker, &Request::Fail(Fail { items: List::lent(&items) }), What::Fail(held.clone()))?;
        Ok(())
    }

    fn send_release(&mut self, worker: SessionId) -> Result<(), WalError> {
        let held = self.draw_held(3);
        if held.is_empty() {
            return Ok(());
        }
        let delay_ms = if self.random.one_in(2) { 0 } else { 1 + self.random.below(60_000) };
        let items: Vec<ReleaseItem> =
            held.iter().map(|held| ReleaseItem { job: held.job, lease: held.lease, delay_ms }).collect();
        self.send(worker, &Request::Release(Release { items: List::lent(&items) }), What::Release(held.clone()))?;
        Ok(())
    }
}
