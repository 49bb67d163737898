//! Who waits for the end of which job, and who waits until nothing is to run.
//!
//! Promise: a wait is answered once, with how each of its jobs ended, also of those that are not kept. A job that runs
//! again after its end has not ended. One that asks how far its jobs are is answered, too, when that has changed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::ids::{JobId, Lsn};
use crate::job::Standing;
use crate::limits::PROGRESS_TOLD_MS;
use crate::planted::{Bug, is_planted};
use crate::time::{Millis, Timestamp};

/// How a job that is waited for ended, if it did, as a number of [`JobEnd`](crate::protocol::JobEnd); nothing also once
/// it is requeued.
pub type End = (JobId, Option<u8>);

/// Where nothing is to run any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quiet {
    /// In a queue, or in all with an empty name.
    Queue(Box<str>),
    /// In a batch.
    Batch(Box<str>),
}

/// Waits, each by its number among all that are parked.
#[derive(Debug, Default)]
pub struct Waits {
    of_jobs: HashMap<u32, JobsWait>,
    by_job: HashMap<JobId, Vec<u32>>,
    /// Those that wait until nothing is to run somewhere, and where that is.
    by_quiet: BTreeMap<Quiet, Vec<u32>>,
    of_quiet: HashMap<u32, Quiet>,
    /// How many jobs are waited for, each as often as it is.
    waited: usize,
    /// The newest record when it was looked whether queues are idle: without another one none has become so.
    looked: Lsn,
    /// Those that are to be told how far their jobs are, by the moment.
    tells: BTreeSet<(Timestamp, u32)>,
}

#[derive(Debug)]
struct JobsWait {
    ends: Vec<End>,
    any: bool,
    /// From when on it is to be told how far its jobs are, if at all; and when that will be.
    progress_since: Option<Timestamp>,
    tell_at: Option<Timestamp>,
}

impl JobsWait {
    fn is_over(&self) -> bool {
        let has_ended = |(_, end): &End| end.is_some();
        if self.any { self.ends.iter().any(has_ended) } else { self.ends.iter().all(has_ended) }
    }
}

impl Waits {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.of_jobs.len() + self.of_quiet.len()
    }

    /// Whether any job's end is waited for.
    pub fn has_jobs(&self) -> bool {
        !self.of_jobs.is_empty()
    }

    /// How many jobs are waited for, each as often as it is.
    pub fn waited(&self) -> usize {
        self.waited
    }

    /// A request waits for a queue, or for all with an empty name, to have nothing to run.
    pub fn add_idle(&mut self, number: u32, queue: &str) {
        self.add_quiet(number, Quiet::Queue(queue.into()));
    }

    /// A request waits for a batch to be over.
    pub fn add_batch(&mut self, number: u32, batch: &str) {
        self.add_quiet(number, Quiet::Batch(batch.into()));
    }

    fn add_quiet(&mut self, number: u32, quiet: Quiet) {
        self.by_quiet.entry(quiet.clone()).or_default().push(number);
        self.of_quiet.insert(number, quiet);
    }

    /// The queue or batch that it waits for, if it waits for one.
    pub fn quiet_of(&self, number: u32) -> Option<&Quiet> {
        self.of_quiet.get(&number)
    }

    /// Those whose queue or batch has nothing to run come into `over`. Each is looked at once, whoever waits for it,
    /// and none where no record came since this was asked last.
    pub fn note_idle(&mut self, newest: Lsn, is_idle: impl Fn(&Quiet) -> bool, over: &mut Vec<u32>) {
        if std::mem::replace(&mut self.looked, newest) != newest {
            let idle = self.by_quiet.iter().filter(|(quiet, _)| is_idle(quiet));
            over.extend(idle.flat_map(|(_, numbers)| numbers));
        }
    }

    /// A request waits for the ends of these jobs; some may have ended.
    pub fn add(&mut self, number: u32, ends: Vec<End>, any: bool) {
        self.waited += ends.len();
        for (job, _) in &ends {
            self.by_job.entry(*job).or_default().push(number);
        }
        self.of_jobs.insert(number, JobsWait { ends, any, progress_since: None, tell_at: None });
    }

    /// A request that waits for jobs wants to be told how far they are, from this moment on.
    pub fn wants_progress(&mut self, number: u32, since: Timestamp) {
        if let Some(wait) = self.of_jobs.get_mut(&number) {
            wait.progress_since = Some(since);
        }
    }

    /// From when on it wants to be told that, if it does.
    pub fn progress_since(&self, number: u32) -> Option<Timestamp> {
        self.of_jobs.get(&number)?.progress_since
    }

    /// It was told how far a job is: who waits for it and wants to know hears of it, soon.
    pub fn progressed(&mut self, job: JobId, now: Timestamp) {
        for number in self.by_job.get(&job).into_iter().flatten() {
            let Some(wait) = self.of_jobs.get_mut(number).filter(|wait| wait.tell_at.is_none()) else { continue };
            let Some(since) = wait.progress_since else { continue };
            let at = since.plus(Millis(PROGRESS_TOLD_MS)).max(now);
            wait.tell_at = Some(at);
            self.tells.insert((at, *number));
        }
    }

    /// When the next of them is to hear of it.
    pub fn next_tell(&self) -> Option<Timestamp> {
        self.tells.first().map(|(at, _)| *at)
    }

    /// Those that are to hear of it by now.
    pub fn tells_due(&self, now: Timestamp) -> impl Iterator<Item = u32> {
        self.tells.iter().take_while(move |(at, _)| *at <= now).map(|(_, number)| *number)
    }

    /// It waits no more; its jobs, and how those ended that did.
    pub fn remove(&mut self, number: u32) -> Vec<End> {
        if let Some(quiet) = self.of_quiet.remove(&number)
            && let Entry::Occupied(mut waiting) = self.by_quiet.entry(quiet)
        {
            waiting.get_mut().retain(|waits| *waits != number);
            if waiting.get().is_empty() {
                waiting.remove();
            }
        }
        let Some(JobsWait { ends, tell_at, .. }) = self.of_jobs.remove(&number) else { return Vec::new() };
        if let Some(at) = tell_at {
            self.tells.remove(&(at, number));
        }
        self.waited -= ends.len();
        for (job, _) in &ends {
            if let Some(waiting) = self.by_job.get_mut(job) {
                waiting.retain(|waits| *waits != number);
                if waiting.is_empty() {
                    self.by_job.remove(job);
                }
            }
        }
        ends
    }

    /// Notes what became of jobs, in that order; the waits that are over by it come into `over`, each once.
    pub fn note(&mut self, ended: impl Iterator<Item = End>, over: &mut Vec<u32>) {
        for (job, end) in ended {
            for number in self.by_job.get(&job).into_iter().flatten() {
                let Some(wait) = self.of_jobs.get_mut(number) else { continue };
                wait.ends.iter_mut().filter(|(of, _)| *of == job).for_each(|place| place.1 = told(end));
                over.push(*number);
            }
        }
        over.sort_unstable();
        over.dedup();
        over.retain(|number| self.of_jobs.get(number).is_some_and(JobsWait::is_over));
    }
}

/// What is told of an end.
fn told(end: Option<u8>) -> Option<u8> {
    if is_planted(Bug::WaitFlattered) { end.map(|_| Standing::Completed.code()) } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::JobEnd;

    const DONE: Option<u8> = Some(Standing::Completed.code());
    const DEAD: Option<u8> = Some(Standing::Dead.code());

    fn over(waits: &mut Waits, ended: &[End]) -> Vec<u32> {
        let mut over = Vec::new();
        waits.note(ended.iter().copied(), &mut over);
        over
    }

    #[test]
    fn all_or_any_have_to_end() {
        let mut waits = Waits::default();
        let jobs = |ids: [u64; 2]| ids.map(|id| (JobId(id), None)).to_vec();
        waits.add(1, jobs([7, 8]), false);
        waits.add(2, jobs([7, 9]), true);
        assert_eq!(over(&mut waits, &[(JobId(7), DONE), (JobId(5), DONE)]), [2]);
        assert_eq!(waits.remove(2), [(JobId(7), DONE), (JobId(9), None)]);
        assert_eq!(over(&mut waits, &[(JobId(8), DEAD)]), [1]);
        assert_eq!(waits.remove(1), [(JobId(7), DONE), (JobId(8), DEAD)]);
        assert!(waits.by_job.is_empty() && (waits.len(), waits.waited()) == (0, 0));
    }

    #[test]
    fn a_job_that_was_gone_when_it_was_asked_for_has_ended() {
        let mut waits = Waits::default();
        waits.add(1, vec![(JobId(6), Some(JobEnd::GONE)), (JobId(7), None)], false);
        assert_eq!(over(&mut waits, &[(JobId(7), DONE)]), [1]);
        assert_eq!(waits.remove(1), [(JobId(6), Some(JobEnd::GONE)), (JobId(7), DONE)]);
    }

    #[test]
    fn who_wants_to_know_how_far_a_job_is_hears_of_it_once_a_second() {
        let mut waits = Waits::default();
        for number in [1, 2] {
            waits.add(number, vec![(JobId(7), None)], false);
        }
        waits.wants_progress(2, Timestamp(5000));
        waits.progressed(JobId(8), Timestamp(5100));
        assert_eq!(waits.next_tell(), None);
        waits.progressed(JobId(7), Timestamp(5200));
        waits.progressed(JobId(7), Timestamp(5300));
        assert_eq!(waits.next_tell(), Some(Timestamp(6000)));
        assert_eq!(waits.tells_due(Timestamp(5999)).count(), 0);
        assert_eq!(waits.tells_due(Timestamp(6000)).collect::<Vec<_>>(), [2]);
        waits.remove(2);
        assert!(waits.tells.is_empty());
    }

    #[test]
    fn who_waits_for_a_queue_is_told_once_it_is_idle_and_looked_at_only_where_a_record_came() {
        let mut waits = Waits::default();
        for (number, queue) in [(1, "a"), (2, "b"), (3, "a"), (4, "")] {
            waits.add_idle(number, queue);
        }
        let told = |waits: &mut Waits, newest, idle: &[&str]| {
            let mut over = Vec::new();
            let is_idle = |quiet: &Quiet| matches!(quiet, Quiet::Queue(queue) if idle.contains(&&**queue));
            waits.note_idle(Lsn(newest), is_idle, &mut over);
            over
        };
        assert_eq!(told(&mut waits, 1, &["b"]), [2]);
        assert_eq!(told(&mut waits, 1, &["a"]), [0; 0], "nothing was written since");
        assert_eq!(told(&mut waits, 2, &["a", ""]), [4, 1, 3]);
        assert_eq!((waits.quiet_of(3), waits.quiet_of(9)), (Some(&Quiet::Queue("a".into())), None));
        for number in [1, 3, 4, 2] {
            waits.remove(number);
        }
        assert!(waits.by_quiet.is_empty() && waits.len() == 0);
    }

    #[test]
    fn a_job_that_runs_again_has_not_ended() {
        let mut waits = Waits::default();
        waits.add(1, vec![(JobId(7), None)], false);
        assert_eq!(over(&mut waits, &[(JobId(7), DEAD), (JobId(7), None)]), [0; 0]);
        assert_eq!(over(&mut waits, &[(JobId(7), DONE)]), [1]);
    }
}
