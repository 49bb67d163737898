//! Batches, as lists of their members.

use super::after::HELD;
use super::{Job, KEY_WINDOW_MS, Look, Model, Place, State};
use falconqueue::time::{Millis, Timestamp};

/// How long an open batch waits for somebody to fill it.
const ALONE: Millis = Millis(60_000);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Its place among the names.
    pub name: usize,
    /// Jobs up to this one were there when it was begun.
    pub there: u64,
    pub members: Vec<u64>,
    pub is_sealed: bool,
    pub is_called_off: bool,
    /// Its members may be handed out.
    pub is_admitted: bool,
    /// When it is called off, if nobody fills it.
    pub alone_until: Option<Timestamp>,
    /// Once it is over, until when it is known.
    pub until: Option<Timestamp>,
    pub is_gone: bool,
}

/// What a member has come to.
fn is_failed(job: &Job) -> bool {
    match job.state {
        State::Cancelled | State::Expired => true,
        State::Dead => job.is_gone,
        _ => false,
    }
}

impl Model {
    pub fn batch_named(&self, name: usize) -> Option<usize> {
        self.batches.iter().position(|batch| batch.name == name && !batch.is_gone)
    }

    pub fn batch_of(&self, job: u64) -> Option<usize> {
        self.batches.iter().position(|batch| !batch.is_gone && batch.members.contains(&job))
    }

    /// How many members have not ended, are dead, or have failed for good.
    pub fn counts_of(&self, batch: usize) -> (usize, usize, usize) {
        let members = || self.batches[batch].members.iter().map(|id| &self.jobs[id]);
        let left = members().filter(|job| !job.state.has_ended()).count();
        let dead = members().filter(|job| job.state == State::Dead && !job.is_gone).count();
        (left, dead, members().filter(|job| is_failed(job)).count())
    }

    pub fn is_batch_over(&self, batch: usize) -> bool {
        self.batches[batch].is_sealed && self.counts_of(batch).0 == 0
    }

    /// A member has ended: its batch may be over, and who waits for it is to be told of the first that failed.
    pub fn member_ended(&mut self, id: u64) {
        let Some(batch) = self.batch_of(id) else { return };
        let (_, dead, failed) = self.counts_of(batch);
        let job = &self.jobs[&id];
        let is_first = if is_failed(job) { failed == 1 } else { job.state == State::Dead && failed == 0 && dead == 1 };
        if is_first {
            self.looks.push(Look::BehindBatch(batch));
        }
        self.note_batch(batch);
    }

    /// It may be over from now on, or run again.
    pub fn note_batch(&mut self, batch: usize) {
        match (self.is_batch_over(batch), self.batches[batch].until) {
            (true, None) => {
                self.batches[batch].until = Some(self.now.plus(Millis(KEY_WINDOW_MS)));
                self.looks.push(Look::BehindBatch(batch));
            }
            (false, Some(_)) => self.batches[batch].until = None,
            _ => {}
        }
    }

    pub fn forget_batches(&mut self, now: Timestamp) {
        for batch in 0..self.batches.len() {
            while !self.batches[batch].is_gone && self.batches[batch].until.is_some_and(|until| until <= now) {
                if self.behind_batch(batch).is_empty() {
                    self.batches[batch].is_gone = true;
                } else {
                    self.batches[batch].until = self.batches[batch].until.map(|until| until.plus(HELD));
                }
            }
        }
    }

    /// Whoever filled batches is gone.
    pub fn leave_batches(&mut self) {
        let until = self.now.plus(ALONE);
        let open = self.batches.iter_mut().filter(|batch| !batch.is_gone && !batch.is_sealed);
        for batch in open {
            batch.alone_until.get_or_insert(until);
        }
    }

    /// The master has restarted: each open batch waits as long again.
    pub fn leave_batches_anew(&mut self) {
        self.batches.iter_mut().for_each(|batch| batch.alone_until = None);
        self.leave_batches();
    }

    pub fn call_off_abandoned(&mut self) {
        let mut due: Vec<(Timestamp, usize)> = Vec::new();
        for (number, batch) in self.batches.iter().enumerate() {
            due.extend(batch.alone_until.filter(|at| *at <= self.now && !batch.is_sealed).map(|at| (at, number)));
        }
        due.sort_unstable();
        for (_, batch) in due {
            self.call_off(batch);
        }
    }

    pub fn call_off(&mut self, batch: usize) {
        (self.batches[batch].is_sealed, self.batches[batch].is_called_off) = (true, true);
        self.looks.push(Look::BehindBatch(batch));
        self.note_batch(batch);
        self.batch_work.push(batch);
    }

    pub fn seal(&mut self, batch: usize) {
        self.batches[batch].is_sealed = true;
        self.note_batch(batch);
        self.batch_work.push(batch);
    }

    /// Lets members go, or cancels them.
    pub fn work_on_batches(&mut self) {
        let mut work = std::mem::take(&mut self.batch_work);
        work.sort_unstable();
        work.dedup();
        for number in work {
            let batch = &mut self.batches[number];
            batch.is_admitted = !batch.is_called_off;
            let (members, is_called_off) = (batch.members.clone(), batch.is_called_off);
            for id in members {
                if is_called_off {
                    self.cancel_member(id);
                } else {
                    self.admit(id);
                }
            }
        }
    }

    fn cancel_member(&mut self, id: u64) {
        match self.jobs[&id].state {
            _ if self.jobs[&id].is_gone => {}
            State::InFlight { .. } => self.job(id).is_marked = true,
            State::Completed | State::Cancelled | State::Expired | State::Dead => {}
            _ => self.end(id, State::Cancelled),
        }
    }

    fn admit(&mut self, id: u64) {
        let job = &self.jobs[&id];
        if job.is_gone || job.state != State::Waiting {
            return;
        }
        if job.waits.is_empty() {
            let due_at = self.now.plus(Millis(job.waits.delay_ms));
            self.wait(id, Some(due_at), Place::Last);
        } else {
            self.looks.push(Look::Job(id));
        }
    }

    pub fn is_admitted(&self, id: u64) -> bool {
        self.batch_of(id).is_none_or(|batch| self.batches[batch].is_admitted)
    }
}
