//! What becomes of waits when jobs come, move and go: a part of `apply`.

use super::{After, Look, Waits};
use crate::ids::{BatchId, JobId};
use crate::job::{Awaited, Before, Standing};
use crate::queue::Queues;
use crate::queue::apply::Applied;
use crate::queue::events::Enqueue;
use crate::time::{Millis, Timestamp};

impl Queues {
    /// Whether a job can wait for what it names.
    pub(in crate::queue) fn may_wait(&self, job: &Enqueue<'_>) -> Applied<()> {
        let Some(list) = job.before else { return Ok(()) };
        if job.due_at != Timestamp(0) {
            return Err("it waits for a moment at the same time");
        }
        let is_known = |batch| Some(batch) != job.batch && self.batches.get(batch).is_some();
        may_be_before(job.job, list.0.iter().collect(), is_known)
    }

    /// The same for a job of a snapshot, which then wants these. One that has waited may name batches that are
    /// forgotten by now.
    pub(in crate::queue) fn put_waits(&mut self, job: JobId, waits: Waits, is_waiting: bool) -> Applied<()> {
        let is_known = |batch| match self.batches.get(batch) {
            None => !is_waiting && batch <= self.batches.newest,
            Some(_) => self.batches.of(job) != Some(batch),
        };
        may_be_before(job, waits.before.to_vec(), is_known)?;
        self.after.waits.insert(job, waits);
        Ok(())
    }

    /// A job that was just accepted waits for others; its delay counts from their end.
    pub(in crate::queue) fn enter_waits(&mut self, slot: u32, job: &Enqueue<'_>) {
        let before: Box<[Before]> = job.before.unwrap_or_default().0.iter().collect();
        let waits = Waits {
            before,
            if_failed: job.if_failed.unwrap_or_default(),
            with_results: job.with_results.unwrap_or_default(),
        };
        let is_over = waits.before.iter().any(|before| {
            let fate = self.fate(*before);
            fate.is_over || fate.failed.is_some()
        });
        self.after.waits.insert(job.job, waits);
        if is_over {
            self.after.look(Look::Job(job.job));
        }
        self.hold_back(slot, job.delay_ms.unwrap_or_default());
    }

    /// Puts a job that is in no state to those that wait for others.
    pub(in crate::queue) fn hold_back(&mut self, slot: u32, delay_ms: u64) {
        let entry = &mut self.table[slot];
        entry.set_delay_ms(delay_ms);
        if let Some(waits) = self.after.waits.get(&entry.id) {
            self.after.edges.extend(waits.edges(entry.id));
        }
        self.enter_state(slot, Standing::Waiting);
    }

    /// A job waits for others no more.
    pub(in crate::queue) fn leave_waits(&mut self, job: JobId) {
        let After { waits, edges, .. } = &mut self.after;
        for edge in waits.get(&job).into_iter().flat_map(|waits| waits.edges(job)) {
            edges.remove(&edge);
        }
    }

    /// A job has ended, or is gone: it wants nothing of others any more.
    pub(in crate::queue) fn forget_waits(&mut self, job: JobId) {
        if !self.after.waits.is_empty() {
            self.after.waits.remove(&job);
        }
    }

    /// All that it waited for have ended: it is pending, or its delay begins.
    pub(in crate::queue) fn apply_ready(&mut self, at: Timestamp, job: JobId) -> Applied<()> {
        let slot = self.table.slot(job).ok_or("there is no such job")?;
        if self.table[slot].standing != Standing::Waiting || self.after.of(job).is_none() || !self.is_admitted(job) {
            return Err("the job does not wait for others");
        }
        self.leave_state(slot);
        if self.after.of(job).is_some_and(|waits| !waits.with_results) {
            self.forget_waits(job);
        }
        self.enter_after_delay(slot, at);
        Ok(())
    }

    /// Puts a job that has waited, and is in no state, where it belongs when its delay begins now.
    pub(in crate::queue) fn enter_after_delay(&mut self, slot: u32, at: Timestamp) {
        let due_at = match self.table[slot].delay_ms() {
            0 => Timestamp(0),
            delay_ms => at.plus(Millis(delay_ms)),
        };
        self.enter_waiting(slot, due_at, None);
    }
}

/// Whether a job can wait for these: each is there or was, is older than the job, and does not wait for it.
fn may_be_before(job: JobId, mut before: Vec<Before>, is_known: impl Fn(BatchId) -> bool) -> Applied<()> {
    before.sort_unstable();
    if before.is_empty() || before.windows(2).any(|two| two[0] == two[1]) {
        return Err("it waits for nothing, or for one twice");
    }
    let may_be = |before: Before| match before.what() {
        Awaited::Job(before) => before.0 > 0 && before < job,
        Awaited::Batch(batch) => is_known(batch),
    };
    if before.into_iter().all(may_be) { Ok(()) } else { Err("it waits for what never was, or for itself") }
}
