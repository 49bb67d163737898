//! Jobs that wait for jobs: each that waits is looked at when one of those before it has ended, in the order in which
//! they ended.

use super::{KEY_WINDOW_MS, Model, Place, State};
use falconqueue::job::IfFailed;
use falconqueue::time::{Millis, Timestamp};

/// What a job waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Waits {
    pub before: Vec<u64>,
    pub if_failed: IfFailed,
    pub with_results: bool,
    pub delay_ms: u64,
}

/// Who is to be looked at.
#[derive(Clone, Copy, Debug)]
pub enum Look {
    Job(u64),
    Behind(u64),
}

/// How much longer it is known that a job failed while one waits for it.
const HELD: Millis = Millis(3_600_000);

enum Fate {
    Open,
    Done,
    Dead,
    Failed,
}

impl Model {
    fn waits_for(&self, waiting: u64, before: u64) -> bool {
        let job = &self.jobs[&waiting];
        job.state == State::Waiting && !job.is_gone && job.waits.before.contains(&before)
    }

    /// Those that wait for a job; the ones that want its result come first.
    fn behind(&self, before: u64) -> Vec<u64> {
        let mut behind: Vec<u64> = self.jobs.keys().copied().filter(|id| self.waits_for(*id, before)).collect();
        behind.sort_by_key(|id| (!self.jobs[id].waits.with_results, *id));
        behind
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
            self.looks.push(Look::Behind(id));
        }
        self.forget_failures(now);
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
            _ if job.is_gone && job.failed_until.is_some() => Fate::Failed,
            _ if job.is_gone => Fate::Done,
            State::Completed => Fate::Done,
            State::Dead => Fate::Dead,
            State::Cancelled | State::Expired => Fate::Failed,
            _ => Fate::Open,
        }
    }

    /// Ends the waits that are over.
    pub fn settle_waits(&mut self) {
        while !self.looks.is_empty() {
            let waiting = match self.looks.remove(0) {
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
        if job.state != State::Waiting || job.is_gone {
            return;
        }
        let waits = job.waits.clone();
        let fates: Vec<Fate> = waits.before.iter().map(|before| self.fate(*before)).collect();
        let fails = |fate: &Fate| match waits.if_failed {
            IfFailed::Cancel => matches!(fate, Fate::Dead | Fate::Failed),
            IfFailed::Run => false,
            IfFailed::Wait => matches!(fate, Fate::Failed),
        };
        let is_met = |fate: &Fate| match fate {
            Fate::Done => true,
            Fate::Open => false,
            Fate::Dead | Fate::Failed => waits.if_failed == IfFailed::Run,
        };
        if fates.iter().any(fails) {
            self.end(id, State::Cancelled);
        } else if fates.iter().all(is_met) {
            let due_at = self.now.plus(Millis(waits.delay_ms));
            self.wait(id, Some(due_at), Place::Last);
        }
    }
}
