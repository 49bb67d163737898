//! What becomes of batches when jobs come, move and go: a part of `apply`.

use super::{Batch, awaited};
use crate::ids::{BatchId, JobId};
use crate::job::Standing;
use crate::limits::{BATCHES_MAX, LOOKS_PER_TURN};
use crate::queue::Queues;
use crate::queue::after::HELD;
use crate::queue::apply::Applied;
use crate::queue::counters::Counters;
use crate::queue::events::{Begin, Enqueue};
use crate::time::{Millis, Timestamp};

const NONE: &str = "there is no such batch";

impl Queues {
    pub(in crate::queue) fn apply_begin(&mut self, begin: &Begin<'_>) -> Applied<()> {
        let Begin { batch: id, name, known_ms, .. } = *begin;
        if id <= self.batches.newest || name.is_empty() || self.batches.find(name).is_some() {
            return Err("its number is not above all before it, or its name is taken");
        }
        if self.batches.len() >= BATCHES_MAX {
            return Err("there are too many batches");
        }
        let batch = Batch {
            name: name.into(),
            since: self.next_job(),
            known_ms,
            is_sealed: false,
            is_called_off: false,
            members: 0,
            counters: Counters::default(),
            admitted: JobId(0),
            until: None,
            runs: Vec::new(),
        };
        self.batches.newest = id;
        self.batches.unfinished += 1;
        self.batches.by_name.insert(name.into(), id);
        self.batches.by_id.insert(id, batch.into());
        Ok(())
    }

    /// All members are there.
    pub(in crate::queue) fn apply_end(&mut self, at: Timestamp, id: BatchId) -> Applied<()> {
        let batch = self.batches.get_mut(id).filter(|batch| !batch.is_sealed).ok_or("there is no such open batch")?;
        batch.is_sealed = true;
        self.batches.work.insert(id, JobId(0));
        self.settle_batch(id, at);
        Ok(())
    }

    /// Members up to this one may be handed out.
    pub(in crate::queue) fn apply_admit(&mut self, at: Timestamp, id: BatchId, upto: JobId) -> Applied<()> {
        let batch = self.batches.get(id).ok_or(NONE)?;
        if !batch.is_sealed || batch.is_called_off || upto <= batch.admitted || upto > batch.last() {
            return Err("the batch is open, or these members were let go");
        }
        let members = batch.members_behind(batch.admitted).take_while(|job| *job <= upto);
        let members: Vec<JobId> = members.take(LOOKS_PER_TURN + 1).collect();
        if members.len() > LOOKS_PER_TURN {
            return Err("it lets go more members than one may");
        }
        if let Some(batch) = self.batches.get_mut(id) {
            batch.admitted = upto;
        }
        for job in members {
            self.admit(job, at);
        }
        Ok(())
    }

    fn admit(&mut self, job: JobId, at: Timestamp) {
        let Some(slot) = self.table.slot(job) else { return };
        if self.table[slot].standing != Standing::Waiting {
            return;
        }
        if self.after.of(job).is_some() {
            return self.after.look_at(job);
        }
        self.leave_state(slot);
        self.enter_after_delay(slot, at);
    }

    /// Its members are to be cancelled, and none comes any more.
    pub(in crate::queue) fn apply_call_off(&mut self, at: Timestamp, id: BatchId) -> Applied<()> {
        let batch = self.batches.get_mut(id).ok_or(NONE)?;
        if batch.is_called_off || batch.is_over() {
            return Err("the batch is over, or was called off");
        }
        (batch.is_sealed, batch.is_called_off) = (true, true);
        self.batches.work.insert(id, JobId(0));
        self.after.note_over(awaited(id));
        self.settle_batch(id, at);
        Ok(())
    }

    /// Whether a job can be a member of what it names.
    pub(in crate::queue) fn may_join(&self, job: &Enqueue<'_>) -> Applied<()> {
        let Some(id) = job.batch else { return Ok(()) };
        let is_open = self.batches.get(id).is_some_and(|batch| !batch.is_sealed);
        if is_open && job.due_at == Timestamp(0) { Ok(()) } else { Err("its batch is not open, or it has a time") }
    }

    /// A job that was just accepted is a member.
    pub(in crate::queue) fn join(&mut self, job: &Enqueue<'_>) {
        if let Some(id) = job.batch {
            self.batches.add_member(id, job.job);
        }
    }

    /// A job enters a state, or leaves one.
    pub(in crate::queue) fn note_member(&mut self, job: JobId, standing: Standing, enters: bool) {
        let Some(id) = self.batches.of(job) else { return };
        let Some(batch) = self.batches.get_mut(id) else { return };
        let count = batch.counters.of(standing);
        *count = if enters { *count + 1 } else { *count - 1 };
    }

    /// A member is dead, or runs again.
    pub(in crate::queue) fn note_death(&mut self, job: JobId, at: Timestamp, is_dead: bool) {
        if self.batches.is_empty() {
            return;
        }
        let Some(id) = self.batches.of(job) else { return };
        if is_dead { self.settle_failing(id, at) } else { self.settle_batch(id, at) }
    }

    /// A member has ended for good, as one of these counts says.
    pub(in crate::queue) fn count_member(&mut self, job: JobId, at: Timestamp, of: fn(&mut Counters) -> &mut u64) {
        if self.batches.is_empty() {
            return;
        }
        let Some(id) = self.batches.of(job) else { return };
        let Some(batch) = self.batches.get_mut(id) else { return };
        let before = batch.failed_for_good();
        *of(&mut batch.counters) += 1;
        if batch.failed_for_good() > before {
            self.settle_failing(id, at);
        } else {
            self.settle_batch(id, at);
        }
    }

    /// The same for a batch of which one more member has failed: of the first of its kind whoever waits is told.
    fn settle_failing(&mut self, id: BatchId, at: Timestamp) {
        let Some(batch) = self.batches.get(id) else { return };
        if batch.failed_for_good() == 1 || (batch.failed_for_good() == 0 && batch.counters.dead == 1) {
            self.after.note_over(awaited(id));
        }
        self.settle_batch(id, at);
    }

    /// Notes that a batch is over, if it is that from this moment on, or that it is not any more.
    fn settle_batch(&mut self, id: BatchId, at: Timestamp) {
        let Some(batch) = self.batches.get_mut(id) else { return };
        match (batch.is_over(), batch.until) {
            (true, None) => {
                let until = at.plus(Millis(batch.known_ms));
                batch.until = Some(until);
                self.batches.unfinished -= 1;
                self.batches.ending.insert((until, id));
                self.after.note_over(awaited(id));
            }
            (false, Some(until)) => {
                batch.until = None;
                self.batches.unfinished += 1;
                self.batches.ending.remove(&(until, id));
            }
            _ => {}
        }
    }

    /// Time passes: a batch that is over is forgotten when its time is, and nobody waits for it.
    pub(in crate::queue) fn advance_batches(&mut self, now: Timestamp) {
        self.batches.sweep();
        while let Some((until, id)) = self.batches.ending.first().copied().filter(|(until, _)| *until <= now) {
            if !self.after.is_waited_for(awaited(id)) {
                self.batches.forget(id);
                continue;
            }
            let later = until.plus(HELD);
            self.batches.ending.remove(&(until, id));
            self.batches.ending.insert((later, id));
            if let Some(batch) = self.batches.get_mut(id) {
                batch.until = Some(later);
            }
        }
    }

    /// All batches are to be looked at: after a restart.
    pub(in crate::queue) fn look_at_batches(&mut self) {
        let is_busy = |batch: &Batch| {
            let is_let_go = batch.admitted >= batch.last();
            batch.is_sealed && if batch.is_called_off { batch.open() > 0 } else { !is_let_go }
        };
        let busy = self.batches.by_id.iter().filter(|(_, batch)| is_busy(batch));
        self.batches.work = busy.map(|(id, _)| (*id, JobId(0))).collect();
    }
}
