//! Jobs that wait for jobs: each that waits is looked at when one of those before it has ended, in the order in which
//! they ended.

use super::{KEY_WINDOW_MS, Model, Place, State};
use falconqueue::job::IfFailed;
use falconqueue::time::{Millis, Timestamp};

/// What a job waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Waits {
    pub before: Vec<u64>,
    /// Numbers of batches.
    pub batches: Vec<usize>,
    pub if_failed: IfFailed,
    pub with_results: bool,
    pub delay_ms: u64,
}

impl Waits {
    /// As it is told: batches by their numbers from 1 on, behind all jobs.
    pub fn named(&self) -> Vec<u64> {
        let batches = self.batches.iter().map(|batch| 1 << 63 | (*batch as u64 + 1));
        self.before.iter().copied().chain(batches).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.batches.is_empty()
    }
}

/// Who is to be looked at.
#[derive(Clone, Copy, Debug)]
pub enum Look {
    Job(u64),
    Behind(u64),
    /// The same for a batch, by its number.
    BehindBatch(usize),
}

/// How much longer it is known that a job failed while one waits for it.
pub const HELD: Millis = Millis(3_600_000);

enum Fate {
    Open,
    Done,
    /// And whether it is over; a batch may go on.
    Dead(bool),
    Failed(bool),
}

impl Model {
    fn waits_for(&self, waiting: u64, before: u64) -> bool {
        let job = &self.jobs[&waiting];
        job.state == State::Waiting && !job.is_gone && job.waits.before.contains(&before)
    }

    /// Those that wait for a job; the ones that want its result come first.
    pub fn behind(&self, before: u64) -> Vec<u64> {
        let mut behind: Vec<u64> = self.jobs.keys().copied().filter(|id| self.waits_for(*id, before)).collect();
        behind.sort_by_key(|id| (!self.jobs[id].waits.with_results, *id));
        behind
    }

    pub fn behind_batch(&self, batch: usize) -> Vec<u64> {
        let waits = |id: &u64| {
            let job = &self.jobs[id];
            job.state == State::Waiting && !job.is_gone && job.waits.batches.contains(&batch)
        };
        let mut behind: Vec<u64> = self.jobs.keys().copied().filter(waits).collect();
        behind.sort_by_key(|id| (!self.jobs[id].waits.with_results, *id));
        behind
    }

    fn fate_of_batch(&self, batch: usize) -> Fate {
        let (_, dead, failed) = self.counts_of(batch);
        if self.batches[batch].is_called_off || failed > 0 {
            return Fate::Failed(self.is_batch_over(batch));
        }
        match (dead > 0, self.is_batch_over(batch)) {
            (true, is_over) => Fate::Dead(is_over),
            (false, true) => Fate::Done,
            (false, false) => Fate::Open,
        }
    }

    /// What was kept long enough is gone; who waits for one that was dead is told so.
    pub fn fade(&mut self, now: Timestamp) {
        for id in self.ids_of(|job| job.state.has_ended() && job.kept_until <= now && !job.is_gone) {
            let is_waited_for = !self.behind(id).is_empty();
            let job = self.job(id);
            job.is_gone = true;
            if job.state == State::Dead && is_waited_for {
                job.failed_until = Some(job.kept_until.plus(HELD));
            }
            if self.jobs[&id].state == State::Dead {
                self.member_ended(id);
            }
            self.looks.push(Look::Behind(id));
        }
        self.forget_failures(now);
        self.forget_batches(now);
    }

    /// It is known for a while of a job that is gone that it did not complete, and longer while one waits for it.
    fn forget_failures(&mut self, now: Timestamp) {
        let ids: Vec<u64> = self.jobs.keys().copied().collect();
        for id in ids {
            while self.jobs[&id].failed_until.is_some_and(|until| until <= now) {
                let is_held = !self.behind(id).is_empty();
                let job = self.job(id);
                job.failed_until = job.failed_until.filter(|_| is_held).map(|until| until.plus(HELD));
            }
        }
    }

    pub fn failed(&mut self, id: u64, from: Timestamp) {
        self.job(id).failed_until = Some(from.plus(Millis(KEY_WINDOW_MS)));
    }

    fn fate(&self, id: u64) -> Fate {
        let job = &self.jobs[&id];
        match job.state {
            _ if job.is_gone && job.failed_until.is_some() => Fate::Failed(true),
            _ if job.is_gone => Fate::Done,
            State::Completed => Fate::Done,
            State::Dead => Fate::Dead(true),
            State::Cancelled | State::Expired => Fate::Failed(true),
            _ => Fate::Open,
        }
    }

    /// Ends the waits that are over.
    pub fn settle_waits(&mut self) {
        self.work_on_batches();
        while !self.looks.is_empty() {
            let waiting = match self.looks.remove(0) {
                Look::BehindBatch(batch) => self.behind_batch(batch),
                Look::Job(id) => vec![id],
                Look::Behind(before) => self.behind(before),
            };
            for id in waiting {
                self.look_at(id);
            }
        }
    }

    fn look_at(&mut self, id: u64) {
        let job = &self.jobs[&id];
        if job.state != State::Waiting || job.is_gone || job.waits.is_empty() || !self.is_admitted(id) {
            return;
        }
        let waits = job.waits.clone();
        let of_jobs = waits.before.iter().map(|before| self.fate(*before));
        let fates: Vec<Fate> = of_jobs.chain(waits.batches.iter().map(|batch| self.fate_of_batch(*batch))).collect();
        let fails = |fate: &Fate| match waits.if_failed {
            IfFailed::Cancel => matches!(fate, Fate::Dead(_) | Fate::Failed(_)),
            IfFailed::Run => false,
            IfFailed::Wait => matches!(fate, Fate::Failed(_)),
        };
        let is_met = |fate: &Fate| match fate {
            Fate::Done => true,
            Fate::Open => false,
            Fate::Dead(is_over) | Fate::Failed(is_over) => *is_over && waits.if_failed == IfFailed::Run,
        };
        if fates.iter().any(fails) {
            self.end(id, State::Cancelled);
        } else if fates.iter().all(is_met) {
            let due_at = self.now.plus(Millis(waits.delay_ms));
            self.wait(id, Some(due_at), Place::Last);
        }
    }
}
