//! Batches: when their members may be handed out, and when they are called off.

use std::collections::BTreeMap;

use falconqueue::ids::{BatchId, JobId};
use falconqueue::job::Before;
use falconqueue::queue::Event;
use falconqueue::queue::events::{Admit, Begin, CallOff, Enqueue};
use falconqueue::time::{Millis, Timestamp};

use super::waits::{Became, Failed};
use super::{COMPLETED, EXPIRED, Truth};

/// How long nobody has filled a batch that is called off for that.
pub const ALONE: Millis = Millis(60_000);

/// Most members that one record lets go.
const SLICE: usize = 1000;

#[derive(Debug, Default)]
struct Batch {
    name: String,
    members: Vec<u64>,
    /// When it was begun, or a member came last.
    filled_at: Timestamp,
    is_sealed: bool,
    is_called_off: bool,
    /// The newest member that was let go.
    admitted: u64,
    /// Members that have not ended.
    left: u64,
    /// Since when it is over.
    over_at: Option<Timestamp>,
    /// A member ran again when it may have been forgotten: nothing is known of it.
    is_vague: bool,
}

#[derive(Debug, Default)]
pub struct Batches {
    all: BTreeMap<BatchId, Batch>,
    /// Those that were called off by nobody, and when, since somebody asked.
    abandoned: Vec<(BatchId, Timestamp)>,
}

/// What a client may be told of a batch.
#[derive(Clone, Debug)]
pub struct Seen {
    pub id: BatchId,
    pub members: u64,
    pub left: u64,
    pub completed: u64,
    pub expired: u64,
    pub dead: u64,
    pub is_sealed: bool,
    pub is_called_off: bool,
    pub is_over: bool,
    pub may_be_gone: bool,
}

impl Batch {
    fn settle(&mut self, at: Timestamp) {
        if self.is_sealed && self.left == 0 {
            self.over_at.get_or_insert(at);
        }
    }
}

impl Truth {
    pub(super) fn take_batch(&mut self, event: &Event<'_>, at: Timestamp) {
        match event {
            Event::Begin(begin) => self.begin(begin, at),
            Event::End(end) => {
                let batch = self.batch(end.batch);
                assert!(!batch.is_sealed, "an END of {batch:?}");
                batch.is_sealed = true;
                batch.settle(at);
            }
            Event::Admit(admit) => self.admit(admit, at),
            Event::CallOff(called_off) => self.call_off(called_off, at),
            _ => {}
        }
    }

    fn batch(&mut self, id: BatchId) -> &mut Batch {
        self.batches.all.get_mut(&id).unwrap_or_else(|| panic!("batch {id} was never begun"))
    }

    fn begin(&mut self, begin: &Begin<'_>, at: Timestamp) {
        let newest = self.batches.all.last_key_value().map_or(BatchId(0), |(id, _)| *id);
        assert_eq!(begin.batch.0, newest.0 + 1, "the number of a batch");
        assert_eq!(begin.known_ms, self.key_window.0, "how long batch {} is known", begin.name);
        let before = self.see_batch(begin.name, at);
        assert!(before.as_ref().is_none_or(|seen| seen.may_be_gone), "{} is begun twice: {before:?}", begin.name);
        let batch = Batch { name: begin.name.to_owned(), filled_at: at, ..Batch::default() };
        self.batches.all.insert(begin.batch, batch);
    }

    /// A job comes that may be a member.
    pub(super) fn join(&mut self, job: &Enqueue<'_>, at: Timestamp) {
        let Some(id) = job.batch else { return };
        assert_eq!(job.due_at, Timestamp(0), "the delay of job {} counts from the end of its batch", job.job);
        let batch = self.batch(id);
        assert!(!batch.is_sealed, "job {} comes into {batch:?}", job.job);
        batch.members.push(job.job.0);
        (batch.filled_at, batch.left) = (at, batch.left + 1);
        let fate = self.fate(job.job);
        fate.batch = Some(id);
        fate.held_ms = Some(job.delay_ms.unwrap_or_default()).filter(|_| job.before.is_none());
    }

    /// Members are let go: those that wait for nothing else are pending, or their delays begin.
    fn admit(&mut self, admit: &Admit, at: Timestamp) {
        let batch = self.batch(admit.batch);
        assert!(batch.is_sealed && !batch.is_called_off, "an ADMIT of {batch:?}");
        let upto = admit.upto.0;
        let is_due = upto > batch.admitted && batch.members.contains(&upto);
        assert!(is_due, "members up to {upto} are let go: {batch:?}");
        let slice = batch.members.iter().filter(|job| **job > batch.admitted && **job <= upto);
        let slice: Vec<u64> = slice.copied().collect();
        assert!(slice.len() <= SLICE, "{} members are let go at once", slice.len());
        batch.admitted = upto;
        for job in slice {
            let fate = self.fate(JobId(job));
            if let Some(delay_ms) = fate.held_ms.take().filter(|delay_ms| *delay_ms > 0) {
                fate.due_at = at.plus(Millis(delay_ms));
            }
        }
    }

    fn call_off(&mut self, called_off: &CallOff<'_>, at: Timestamp) {
        let id = called_off.batch;
        let batch = self.batch(id);
        assert!(!batch.is_called_off && batch.over_at.is_none(), "a CALL_OFF of {batch:?}");
        let is_abandoned = called_off.by.is_none();
        let is_alone = !batch.is_sealed && batch.filled_at.plus(ALONE) <= at;
        assert!(!is_abandoned || is_alone, "nobody has called it off at {at}: {batch:?}");
        (batch.is_sealed, batch.is_called_off) = (true, true);
        batch.settle(at);
        let members = batch.members.clone();
        // Whoever submitted them need not hear of it.
        for job in members {
            self.fate(JobId(job)).may_vanish = true;
            self.vanishing.push(JobId(job));
        }
        if is_abandoned {
            self.batches.abandoned.push((id, at));
        }
    }

    /// Whether a job may run as far as its batch goes.
    pub(super) fn is_let_go(&self, job: JobId) -> bool {
        let Some(batch) = self.fates[&job.0].batch else { return true };
        self.batches.all[&batch].admitted >= job.0
    }

    /// A member is to be cancelled with its batch.
    pub(super) fn holds_called_off(&self, job: JobId, id: BatchId) {
        let batch = &self.batches.all[&id];
        assert!(batch.is_called_off, "job {job} is cancelled with {batch:?}");
    }

    pub(super) fn member_ended(&mut self, job: JobId, at: Timestamp) {
        let Some(id) = self.fate(job).batch else { return };
        let batch = self.batch(id);
        batch.left -= 1;
        batch.settle(at);
    }

    /// A member that was dead runs again.
    pub(super) fn runs_again(&mut self, job: JobId, at: Timestamp) {
        let Some(id) = self.fate(job).batch else { return };
        let is_vague = self.may_be_gone(id, at);
        let batch = self.batch(id);
        assert!(is_vague || !batch.is_called_off, "job {job} runs again: {batch:?}");
        (batch.left, batch.over_at) = (batch.left + 1, None);
        batch.is_vague |= is_vague;
    }

    /// Whether a batch may be forgotten: it was over for long enough, and nobody waits for it.
    fn may_be_gone(&self, id: BatchId, at: Timestamp) -> bool {
        let batch = &self.batches.all[&id];
        let is_past = batch.over_at.is_some_and(|over_at| over_at.plus(self.key_window) <= at);
        batch.is_vague || is_past && !self.is_waited_for(Before::batch(id))
    }

    /// What became of a batch: it is as good as the worst of its members.
    pub(super) fn batch_became(&self, id: BatchId, at: Timestamp) -> Became {
        let batch = &self.batches.all[&id];
        let failures = || batch.members.iter().filter_map(|job| self.fates[job].became(at).failed);
        let failed = if batch.is_called_off || failures().any(|failed| failed == Failed::ForGood) {
            Some(Failed::ForGood)
        } else {
            failures().next()
        };
        Became { is_over: batch.over_at.is_some(), failed }
    }

    /// The newest batch of this name, as it stands.
    pub fn see_batch(&self, name: &str, at: Timestamp) -> Option<Seen> {
        let (id, batch) = self.batches.all.iter().rev().find(|(_, batch)| batch.name == name)?;
        let ended = |end: u8| batch.members.iter().filter(|job| self.fates[*job].end == Some(end)).count() as u64;
        let dead = |job: &&u64| self.fates[*job].became(at).failed == Some(Failed::Dead);
        Some(Seen {
            id: *id,
            members: batch.members.len() as u64,
            left: batch.left,
            completed: ended(COMPLETED),
            expired: ended(EXPIRED),
            dead: batch.members.iter().filter(dead).count() as u64,
            is_sealed: batch.is_sealed,
            is_called_off: batch.is_called_off,
            is_over: batch.over_at.is_some(),
            may_be_gone: self.may_be_gone(*id, at),
        })
    }

    /// Those that take members, with their names.
    pub fn open_batches(&self) -> impl Iterator<Item = (BatchId, &str)> {
        self.batches.all.iter().filter(|(_, batch)| !batch.is_sealed).map(|(id, batch)| (*id, &*batch.name))
    }

    /// The batches that were called off since nobody filled them, and when.
    pub fn take_abandoned(&mut self) -> Vec<(BatchId, Timestamp)> {
        std::mem::take(&mut self.batches.abandoned)
    }

    /// At the end of a turn the members of a batch that has ended were let go, and those of one that was called off
    /// are cancelled.
    pub(super) fn holds_batches(&self) {
        for batch in self.batches.all.values().filter(|batch| batch.is_sealed && !batch.is_vague) {
            if !batch.is_called_off {
                assert!(batch.members.last().is_none_or(|last| batch.admitted == *last), "held back: {batch:?}");
                continue;
            }
            for job in &batch.members {
                let fate = &self.fates[job];
                let is_told = fate.end.is_some() || fate.lease.is_some() && fate.is_cancelled;
                assert!(is_told, "job {job} of {batch:?}: {fate:?}");
            }
        }
    }
}
