//! Batches: named sets of jobs that come by many requests and are handed out once all of them are there.
//!
//! A batch is begun, filled and sealed; its members wait until then, and are let go in slices. It is over when it is
//! sealed and all its members have ended. Then it is known for a while, and longer as long as a job waits for it.
//!
//! Which jobs are its members is told by runs of ids, since nearly all of a request follow one another: a member costs
//! nothing of its own. A batch takes some 250 bytes, and some 60 for each run.

mod apply;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub use snapshot::{BatchesLeft, KIND_BATCHES, KIND_RUNS, take_batches, take_runs};

use super::Queues;
use super::counters::Counters;
use crate::ids::{BatchId, JobId};
use crate::job::{Before, Standing};
use crate::time::Timestamp;

/// Runs of batches that are forgotten of which so many are taken out each time that time passes.
const STALE_AT_ONCE: usize = 1000;

/// A named set of jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub name: Box<str>,
    /// The first id that no job had yet when it was begun.
    pub since: JobId,
    /// How long it is known once it is over.
    pub known_ms: u64,
    /// All of its members are there.
    pub is_sealed: bool,
    /// Somebody cancelled it, or whoever filled it has gone.
    pub is_called_off: bool,
    pub members: u64,
    /// Its members by where they stand, and what they came to. Purged are those that had not completed, and dead ones
    /// that are gone.
    pub counters: Counters,
    /// Members up to this one may be handed out.
    pub admitted: JobId,
    /// Once it is over, until when it is known, if no job waits for it then.
    pub until: Option<Timestamp>,
    /// Its members: the first and the last of each run, ascending.
    runs: Vec<(JobId, JobId)>,
}

impl Batch {
    /// Members that have not ended.
    pub fn open(&self) -> u64 {
        let Counters { completed, cancelled, expired, purged, dead, .. } = self.counters;
        self.members - (completed + cancelled + expired + purged + dead)
    }

    /// Members of which nothing will come any more, dead ones not among them.
    pub fn failed_for_good(&self) -> u64 {
        self.counters.cancelled + self.counters.expired + self.counters.purged
    }

    pub fn is_over(&self) -> bool {
        self.is_sealed && self.open() == 0
    }

    /// The newest member.
    pub fn last(&self) -> JobId {
        self.runs.last().map_or(JobId(0), |(_, last)| *last)
    }

    /// Its members behind this one.
    fn members_behind(&self, behind: JobId) -> impl Iterator<Item = JobId> {
        let at = self.runs.partition_point(|(_, last)| *last <= behind);
        let runs = self.runs[at..].iter();
        runs.flat_map(move |(first, last)| (first.0.max(behind.0 + 1)..=last.0).map(JobId))
    }
}

/// All batches that are known.
#[derive(Debug, Default)]
pub struct Batches {
    by_id: BTreeMap<BatchId, Arc<Batch>>,
    by_name: HashMap<Box<str>, BatchId>,
    /// Runs of members by their first ones: the last, and the batch.
    runs: BTreeMap<JobId, (JobId, BatchId)>,
    /// Those that are over, by when they are forgotten.
    ending: BTreeSet<(Timestamp, BatchId)>,
    /// Runs of batches that are forgotten; they are taken out in slices.
    stale: Vec<(JobId, JobId)>,
    /// Those whose members are let go or cancelled in slices, up to which one that is done. Volatile.
    work: BTreeMap<BatchId, JobId>,
    /// How many are not over.
    unfinished: usize,
    /// The number of the newest one.
    pub(super) newest: BatchId,
}

/// What is to be done about a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchStep {
    /// Its members up to this one may be handed out.
    Admit(BatchId, JobId),
    /// This member is to be cancelled.
    Cancel(BatchId, JobId),
}

impl Batches {
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether one will be forgotten.
    pub fn waits_for_time(&self) -> bool {
        !self.ending.is_empty()
    }

    pub fn find(&self, name: &str) -> Option<BatchId> {
        self.by_name.get(name).copied()
    }

    pub fn get(&self, id: BatchId) -> Option<&Batch> {
        self.by_id.get(&id).map(|batch| &**batch)
    }

    fn get_mut(&mut self, id: BatchId) -> Option<&mut Batch> {
        self.by_id.get_mut(&id).map(Arc::make_mut)
    }

    /// The batch that a job is a member of.
    pub fn of(&self, job: JobId) -> Option<BatchId> {
        let (_, (last, batch)) = self.runs.range(..=job).next_back()?;
        (*last >= job).then_some(*batch)
    }

    fn add_member(&mut self, id: BatchId, job: JobId) {
        let Some(batch) = self.by_id.get_mut(&id).map(Arc::make_mut) else { return };
        batch.members += 1;
        let follows = |(_, last): &&mut (JobId, JobId)| last.0 + 1 == job.0;
        if let Some((first, last)) = batch.runs.last_mut().filter(follows) {
            *last = job;
            self.runs.insert(*first, (job, id));
        } else {
            batch.runs.push((job, job));
            self.runs.insert(job, (job, id));
        }
    }

    fn forget(&mut self, id: BatchId) {
        let Some(batch) = self.by_id.remove(&id) else { return };
        self.by_name.remove(&batch.name);
        self.work.remove(&id);
        if let Some(until) = batch.until {
            self.ending.remove(&(until, id));
        }
        self.stale.extend(&batch.runs);
    }

    /// Takes out some runs of batches that are forgotten.
    fn sweep(&mut self) {
        let kept = self.stale.len().saturating_sub(STALE_AT_ONCE);
        for (first, _) in self.stale.drain(kept..) {
            self.runs.remove(&first);
        }
    }
}

impl Queues {
    /// The batch of this name, if it is known.
    pub fn batch_named(&self, name: &str) -> Option<BatchId> {
        self.batches.find(name)
    }

    pub fn batch(&self, id: BatchId) -> Option<&Batch> {
        self.batches.get(id)
    }

    /// The batch that a job is a member of, if it is one that is known.
    pub fn batch_of(&self, job: JobId) -> Option<BatchId> {
        self.batches.of(job)
    }

    /// Batches behind this name, in the order of names, at most so many.
    pub fn batches_behind(&self, name: &str, most: usize) -> Vec<&Batch> {
        let mut behind: Vec<&Batch> = self.batches.by_id.values().map(|batch| &**batch).collect();
        behind.retain(|batch| &*batch.name > name);
        behind.sort_unstable_by_key(|batch| &batch.name);
        behind.truncate(most);
        behind
    }

    /// How many batches are known.
    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// The number of the newest batch.
    pub fn newest_batch(&self) -> BatchId {
        self.batches.newest
    }

    /// How many are not over.
    pub fn unfinished_batches(&self) -> usize {
        self.batches.unfinished
    }

    /// Those that are not sealed: somebody has to be there who fills them.
    pub fn open_batches(&self) -> impl Iterator<Item = BatchId> {
        self.batches.by_id.iter().filter(|(_, batch)| !batch.is_sealed).map(|(id, _)| *id)
    }

    /// Whether something is to be done about a batch.
    pub fn has_batch_work(&self) -> bool {
        !self.batches.work.is_empty()
    }

    /// What is to be done next about a batch, looking at no more members than are `left`. The caller does it by an
    /// event.
    pub fn next_batch_step(&mut self, left: &mut usize) -> Option<BatchStep> {
        while *left > 0 {
            let (id, from) = self.batches.work.first_key_value().map(|(id, from)| (*id, *from))?;
            let batch = self.batches.get(id)?;
            let (upto, step) = if batch.is_called_off {
                let (upto, job) = self.next_cancel(batch, from, left);
                (upto, job.map(|job| BatchStep::Cancel(id, job)))
            } else {
                let upto = next_admission(batch, left);
                (upto, upto.map(|upto| BatchStep::Admit(id, upto)))
            };
            match upto {
                Some(upto) => self.batches.work.insert(id, upto),
                None => self.batches.work.remove(&id),
            };
            if step.is_some() {
                return step;
            }
        }
        None
    }

    /// Looks for a member behind this one that has not ended and was not told to. Up to which one it was looked;
    /// nothing if there are no more.
    fn next_cancel(&self, batch: &Batch, from: JobId, left: &mut usize) -> (Option<JobId>, Option<JobId>) {
        let mut upto = None;
        for job in batch.members_behind(from).take(*left) {
            *left -= 1;
            upto = Some(job);
            if self.standing(job).is_some_and(|standing| !standing.is_ended()) && !self.is_cancelled(job) {
                return (upto, upto);
            }
        }
        (upto, None)
    }

    /// Whether a job may be handed out as far as its batch goes.
    pub(super) fn is_admitted(&self, job: JobId) -> bool {
        if self.batches.is_empty() {
            return true;
        }
        let batch = self.batches.of(job).and_then(|id| self.batches.get(id));
        batch.is_none_or(|batch| job <= batch.admitted)
    }

    pub(super) fn check_batches(&self) {
        let Batches { by_id, by_name, runs, ending, newest, .. } = &self.batches;
        let mut all_runs = BTreeMap::new();
        let mut all_ending = BTreeSet::new();
        for (id, batch) in by_id {
            assert!(id <= newest && by_name.get(&batch.name) == Some(id), "batch {id}");
            let mut counted = Counters::default();
            let members = batch.members_behind(JobId(0));
            let mut members_there = 0;
            for job in members {
                members_there += 1;
                let Some(standing) = self.standing(job) else { continue };
                *counted.of(standing) += 1;
                let is_held = standing == Standing::Waiting || standing.is_ended();
                assert!(is_held || job <= batch.admitted, "job {job} of batch {id}");
            }
            assert_eq!(members_there, batch.members, "members of batch {id}");
            assert_eq!(counted.with_tally(batch.counters.tally()), batch.counters, "counters of batch {id}");
            assert_eq!(batch.until.is_some(), batch.is_over(), "whether batch {id} is over");
            all_runs.extend(batch.runs.iter().map(|(first, last)| (*first, (*last, *id))));
            all_ending.extend(batch.until.map(|until| (until, *id)));
        }
        assert_eq!(by_name.len(), by_id.len(), "names of batches");
        let unfinished = by_id.values().filter(|batch| batch.until.is_none());
        assert_eq!(unfinished.count(), self.batches.unfinished, "batches that are not over");
        let is_stale = |first: &JobId| self.batches.stale.iter().any(|(stale, _)| stale == first);
        let runs: BTreeMap<_, _> =
            runs.iter().filter(|(first, _)| !is_stale(first)).map(|(f, run)| (*f, *run)).collect();
        assert_eq!(all_runs, runs, "runs of members");
        assert_eq!(&all_ending, ending, "when batches are forgotten");
    }

    /// What is durable of batches, a line each.
    pub(super) fn describe_batches(&self) -> impl Iterator<Item = String> {
        let newest = format!("newest batch {}", self.batches.newest);
        std::iter::once(newest).chain(self.batches.by_id.iter().map(|(id, batch)| format!("batch {id} {batch:?}")))
    }
}

/// Up to which member those of a sealed batch may be let go next, if some may.
fn next_admission(batch: &Batch, left: &mut usize) -> Option<JobId> {
    let mut upto = None;
    for job in batch.members_behind(batch.admitted).take(*left) {
        *left -= 1;
        upto = Some(job);
    }
    upto
}

/// Whoever waits for a batch names it so.
fn awaited(id: BatchId) -> Before {
    Before::batch(id)
}
