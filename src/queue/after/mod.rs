//! Jobs that wait for jobs: who waits for whom, and who of them is to be looked at since one that it waits for has
//! ended.
//!
//! What a job waits for is told when it is submitted and never changes, and is older than the job. A batch gets members
//! later; those wait for each other, for what was there before it was begun, and for jobs that wait for none. So there
//! are no circles: the master refuses what could make one.
//!
//! That one has ended is not noted with those that wait for it, since they may be very many: it is seen where it
//! stands, when they are looked at one by one ([`Queues::next_settled`]). Whoever looks ends the wait of each by an
//! event, which may end other waits. So a chain or a crowd of any size goes in slices, and nothing here recurses.
//!
//! Who is to be looked at is volatile: after a restart that is each job that waits. Memory: a job that waits takes some
//! 100 bytes, and some 35 for each that it waits for.

mod apply;
mod tombstones;

use std::collections::{BTreeSet, HashMap, VecDeque};

use tombstones::Tombstones;

pub use tombstones::{HELD, Tombstone};

use super::Queues;
use crate::ids::{BatchId, JobId};
use crate::job::{Awaited, Before, IfFailed, Standing};
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

/// What a job waits for, or has waited for and wants the results of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    pub before: Box<[Before]>,
    pub if_failed: IfFailed,
    /// Whether it is to be given the results of those before it.
    pub with_results: bool,
}

impl Waits {
    fn edges(&self, job: JobId) -> impl Iterator<Item = Edge> {
        let is_plain = !self.with_results;
        self.before.iter().map(move |before| Edge { before: *before, is_plain, job })
    }

    /// Whether it waits no more for one of which this became.
    fn is_met(&self, fate: Fate) -> bool {
        fate.is_over && (self.if_failed == IfFailed::Run || fate.failed.is_none())
    }
}

/// That a job waits for one: in the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    before: Before,
    /// Those that want the result come first.
    is_plain: bool,
    job: JobId,
}

impl Edge {
    fn first_of(before: Before) -> Edge {
        Edge { before, is_plain: false, job: JobId(0) }
    }
}

#[derive(Clone, Copy, Debug)]
enum Look {
    /// At this job.
    Job(JobId),
    /// At those that wait for one, from this one on.
    From(Edge),
}

/// Who waits for whom.
#[derive(Debug, Default)]
pub struct After {
    waits: HashMap<JobId, Waits>,
    edges: BTreeSet<Edge>,
    pub(super) tombstones: Tombstones,
    looks: VecDeque<Look>,
}

/// Whether something that is waited for has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate {
    /// It has ended, but for a requeue.
    is_over: bool,
    failed: Option<Failed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    /// It is dead, and may be requeued.
    Dead,
    ForGood,
}

/// What becomes of a job that has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Ready,
    /// It is not to run, for what became of this one.
    Failed(Before),
}

impl After {
    /// Whether nothing waits or wants results.
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    pub fn of(&self, job: JobId) -> Option<&Waits> {
        // Where no job waits nothing is looked up.
        if self.waits.is_empty() { None } else { self.waits.get(&job) }
    }

    /// Whether somebody waits for it.
    pub fn is_waited_for(&self, before: Before) -> bool {
        self.first_from(Edge::first_of(before)).is_some()
    }

    /// Whether somebody waits for it who wants its result.
    pub fn is_result_wanted(&self, before: Before) -> bool {
        self.first_from(Edge::first_of(before)).is_some_and(|edge| !edge.is_plain)
    }

    /// Whether somebody is to be looked at.
    pub fn has_looks(&self) -> bool {
        !self.looks.is_empty()
    }

    /// It has ended, or is one that cannot be requeued any more: whoever waits for it is to be looked at.
    pub(super) fn note_over(&mut self, before: Before) {
        if !self.edges.is_empty() && self.is_waited_for(before) {
            self.look(Look::From(Edge::first_of(before)));
        }
    }

    /// A dead job was kept until then, and cannot be requeued any more: who waits for it is to be told that.
    pub(super) fn note_faded(&mut self, job: JobId, until: Timestamp) {
        if self.is_waited_for(Before::job(job)) {
            self.tombstones.put(job, until.plus(HELD));
            self.note_over(Before::job(job));
        }
    }

    pub(super) fn look_at(&mut self, job: JobId) {
        self.look(Look::Job(job));
    }

    fn look(&mut self, look: Look) {
        // In a replay nobody looks: what is settled by then goes as it came.
        for _ in 0..2 {
            if self.looks.front().is_some_and(|look| self.is_stale(*look)) {
                self.looks.pop_front();
            }
        }
        self.looks.push_back(look);
    }

    fn is_stale(&self, look: Look) -> bool {
        match look {
            Look::Job(job) => !self.waits.contains_key(&job),
            Look::From(edge) => self.first_from(edge).is_none(),
        }
    }

    fn first_from(&self, edge: Edge) -> Option<Edge> {
        self.edges.range(edge..).next().copied().filter(|found| found.before == edge.before)
    }

    /// The next job to look at; nothing if one look came to nothing.
    fn next_look(&mut self) -> Option<JobId> {
        match self.looks.front().copied()? {
            Look::Job(job) => {
                self.looks.pop_front();
                Some(job)
            }
            Look::From(edge) => {
                let Some(found) = self.first_from(edge) else {
                    self.looks.pop_front();
                    return None;
                };
                let next = Edge { job: JobId(found.job.0 + 1), ..found };
                self.looks[0] = Look::From(next);
                Some(found.job)
            }
        }
    }
}

impl Queues {
    /// What this job waits for, or has waited for and wants the results of.
    pub fn waits(&self, job: JobId) -> Option<&Waits> {
        self.after.of(job)
    }

    /// Whether some that wait are to be looked at.
    pub fn has_looks(&self) -> bool {
        self.after.has_looks()
    }

    /// Whether somebody waits for this job who wants its result.
    pub fn is_result_wanted(&self, job: JobId) -> bool {
        !self.after.is_empty() && self.after.is_result_wanted(Before::job(job))
    }

    /// All that wait are to be looked at: after a restart.
    pub fn look_at_all(&mut self) {
        self.after.looks.clear();
        let mut waiting: Vec<JobId> = self.after.waits.keys().copied().collect();
        waiting.retain(|job| self.standing(*job) == Some(Standing::Waiting));
        waiting.sort_unstable();
        self.after.looks.extend(waiting.into_iter().map(Look::Job));
        self.look_at_batches();
    }

    /// Looks at jobs that wait, at most at so many as are `left`, up to the first that does not wait any more. The
    /// caller ends its wait by an event.
    pub fn next_settled(&mut self, left: &mut usize) -> Option<(JobId, Settled)> {
        while *left > 0 && self.after.has_looks() {
            *left -= 1;
            let job = self.after.next_look();
            // Those that wait for very many take as much longer.
            let before = job.and_then(|job| self.after.of(job)).map_or(0, |waits| waits.before.len());
            *left = left.saturating_sub(before / 16);
            let settled = job.and_then(|job| Some((job, self.settled(job)?)));
            if settled.is_some() {
                return settled;
            }
        }
        None
    }

    /// What is to become of a job that waits, if that is known.
    fn settled(&self, job: JobId) -> Option<Settled> {
        if self.standing(job) != Some(Standing::Waiting) || !self.is_admitted(job) {
            return None;
        }
        let waits = self.after.of(job)?;
        let fates = || waits.before.iter().map(|before| (*before, self.fate(*before)));
        let is_failure = |failed: Option<Failed>| match waits.if_failed {
            IfFailed::Cancel => failed.is_some(),
            IfFailed::Run => false,
            IfFailed::Wait => failed == Some(Failed::ForGood),
        };
        if !is_planted(Bug::FailurePassed)
            && let Some((before, _)) = fates().find(|(_, fate)| is_failure(fate.failed))
        {
            return Some(Settled::Failed(before));
        }
        let is_ready = if is_planted(Bug::ReadyEarly) {
            fates().any(|(_, fate)| waits.is_met(fate))
        } else {
            fates().all(|(_, fate)| waits.is_met(fate))
        };
        is_ready.then_some(Settled::Ready)
    }

    /// What became of something that is waited for. A job that is gone has completed, unless it left a tombstone.
    fn fate(&self, before: Before) -> Fate {
        let job = match before.what() {
            Awaited::Job(job) => job,
            Awaited::Batch(id) => return self.fate_of_batch(id),
        };
        let failed = match self.standing(job) {
            None => self.after.tombstones.has(job).then_some(Failed::ForGood),
            Some(Standing::Completed) => None,
            Some(Standing::Dead) => Some(Failed::Dead),
            Some(Standing::Cancelled | Standing::Expired) => Some(Failed::ForGood),
            Some(_) => return Fate { is_over: false, failed: None },
        };
        Fate { is_over: true, failed }
    }

    /// The same of a batch: it is as good as the worst of its members.
    fn fate_of_batch(&self, id: BatchId) -> Fate {
        let Some(batch) = self.batches.get(id) else { return Fate { is_over: true, failed: None } };
        let is_failed = batch.is_called_off || batch.failed_for_good() > 0;
        let failed = is_failed.then_some(Failed::ForGood);
        Fate { is_over: batch.is_over(), failed: failed.or((batch.counters.dead > 0).then_some(Failed::Dead)) }
    }

    /// The first of those that this job waits for, and how many there are: one that has ended otherwise than it should
    /// is one of them, too.
    pub fn first_awaited(&self, job: JobId) -> Option<(Before, usize)> {
        let waits = self.waits(job)?;
        let mut open = waits.before.iter().filter(|before| !waits.is_met(self.fate(**before)));
        let first = *open.next()?;
        Some((first, 1 + open.count()))
    }

    /// Whether links and jobs agree.
    pub(super) fn check_after(&self) {
        let After { waits, edges, tombstones, .. } = &self.after;
        let mut linked = BTreeSet::new();
        for (job, waits) in waits {
            let standing = self.standing(*job);
            assert!(!waits.before.is_empty(), "what job {job} waits for");
            let is_first = |index: usize| !waits.before[..index].contains(&waits.before[index]);
            assert!((0..waits.before.len()).all(is_first), "job {job} waits for one twice");
            let is_done = standing.is_none_or(|standing| standing.is_ended() && standing != Standing::Dead);
            assert!(!is_done, "job {job} waits no more");
            assert!(standing == Some(Standing::Waiting) || waits.with_results, "job {job} wants nothing more");
            if standing == Some(Standing::Waiting) {
                linked.extend(waits.edges(*job));
            }
        }
        assert_eq!(&linked, edges, "who waits for whom");
        tombstones.check();
    }

    /// Time passes: a tombstone is dropped when its time is over and nobody waits for its job.
    pub(super) fn advance_tombstones(&mut self, now: Timestamp) {
        let After { tombstones, edges, .. } = &mut self.after;
        tombstones.advance(now, |job| {
            let first = Edge::first_of(Before::job(job));
            edges.range(first..).next().is_some_and(|edge| edge.before == first.before)
        });
    }
}
