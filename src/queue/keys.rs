//! Keys: which job holds a key, with what content, and until when the key of an ended job is held.
//!
//! A key is held from the submit to the end of its job, and for the key window after that: after it was completed or
//! died. Or, if the submit says so, until its job is handed out, or until a moment, whatever becomes of the job. One
//! that was freed never comes back to its job. Memory is used only for keys that are held.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::ids::JobId;
use crate::job::Unique;
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

/// A key that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldKey {
    pub key: Arc<str>,
    /// Of the job's payload.
    pub digest: u64,
    pub unique: Unique,
    /// When it is free, once that is known.
    pub until: Option<Timestamp>,
    /// The queue of a job that is no longer there.
    pub queue: Option<Box<str>>,
}

#[derive(Debug, Default)]
pub struct Keys {
    /// By the job that holds it. A snapshot asks for the key of every job: all that it needs is in one place.
    by_job: HashMap<JobId, HeldKey>,
    by_key: HashMap<Arc<str>, JobId>,
    /// Those of which is known when they are free.
    ends: BTreeSet<(Timestamp, JobId)>,
}

impl Keys {
    /// The job that holds a key, be it there or not, and what is known of it.
    pub fn held(&self, key: &str) -> Option<(JobId, &HeldKey)> {
        self.by_key.get(key).map(|job| (*job, &self.by_job[job]))
    }

    /// What is known of the key that a job which is there holds.
    pub fn of(&self, job: JobId) -> Option<&HeldKey> {
        // Where no job has a key nothing is looked up.
        let held = if self.by_job.is_empty() { None } else { self.by_job.get(&job) };
        held.filter(|held| held.queue.is_none())
    }

    fn of_mut(&mut self, job: JobId) -> Option<&mut HeldKey> {
        self.by_job.get_mut(&job).filter(|held| held.queue.is_none())
    }

    /// A job that was just accepted holds a key, and until then if that is settled already.
    pub fn hold(&mut self, key: &str, job: JobId, digest: u64, (unique, until): (Unique, Option<Timestamp>)) {
        let key: Arc<str> = key.into();
        self.by_key.insert(Arc::clone(&key), job);
        self.by_job.insert(job, HeldKey { key, digest, unique, until, queue: None });
        self.ends.extend(until.map(|until| (until, job)));
    }

    /// The job has another payload.
    pub fn set_digest(&mut self, job: JobId, digest: u64) {
        if let Some(held) = self.of_mut(job) {
            held.digest = digest;
        }
    }

    /// The job was handed out: one that was to hold its key until then holds it no more.
    pub fn started(&mut self, job: JobId) {
        let is_over = self.of(job).is_some_and(|held| held.unique == Unique::UntilStart);
        if is_over && !is_planted(Bug::KeyOutlivesStart) {
            self.free(job);
        }
    }

    /// The key of a job that is there is free at once, however long it was to be held.
    pub fn free(&mut self, job: JobId) {
        if self.of(job).is_some() {
            self.forget(job);
        }
    }

    /// Whether the moment at which a key is free was settled at its submit.
    pub fn is_settled(&self, job: JobId) -> bool {
        self.of(job).is_some_and(|held| held.unique == Unique::Until)
    }

    /// The job has ended, and is still there: it holds its key until then.
    pub fn stays(&mut self, job: JobId, until: Timestamp) {
        if !self.is_settled(job) {
            self.end(job, until);
        }
    }

    /// A job that has ended is to run again: it holds its key, if it still does, until it ends once more.
    pub fn goes_on(&mut self, job: JobId) {
        if self.is_settled(job) {
            return;
        }
        if let Some(until) = self.of_mut(job).and_then(|held| held.until.take()) {
            self.ends.remove(&(until, job));
        }
    }

    /// A job that has ended is no longer there; its key is held as long as it was to be.
    pub fn leaves(&mut self, job: JobId, queue: &str) {
        if let Some(until) = self.of(job).map(|held| held.until.unwrap_or_default()) {
            self.gone(job, until, queue);
        }
    }

    /// The job is no longer there; its key is held until then.
    pub fn gone(&mut self, job: JobId, until: Timestamp, queue: &str) {
        self.end(job, until);
        if let Some(held) = self.of_mut(job) {
            held.queue = Some(queue.into());
        }
    }

    /// The key of a job that is there is held until then, or until the moment that was settled.
    fn end(&mut self, job: JobId, until: Timestamp) {
        let Some(held) = self.of_mut(job) else { return };
        let until = held.until.filter(|_| held.unique == Unique::Until).unwrap_or(until);
        if let Some(before) = held.until.replace(until) {
            self.ends.remove(&(before, job));
        }
        self.ends.insert((until, job));
    }

    fn forget(&mut self, job: JobId) {
        let Some(held) = self.by_job.remove(&job) else { return };
        self.by_key.remove(&held.key);
        if let Some(until) = held.until {
            self.ends.remove(&(until, job));
        }
    }

    /// Whether the key of this job is free at that moment.
    pub fn ends_at(&self, until: Timestamp, job: JobId) -> bool {
        self.ends.contains(&(until, job))
    }

    /// Whether a key will be free once time has passed.
    pub fn waits_for_time(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Frees the keys whose window is over.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((_, job)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.forget(job);
        }
    }

    /// The keys of jobs that are gone, by the ends of their windows, from there on; those of dead ones come as nothing.
    pub fn ended_from(&self, from: (Timestamp, JobId)) -> impl Iterator<Item = ((Timestamp, JobId), Option<&HeldKey>)> {
        self.ends.range(from..).map(|(until, job)| {
            let held = &self.by_job[job];
            ((*until, *job), held.queue.is_some().then_some(held))
        })
    }

    /// Every key that is held; sorted.
    pub fn sorted(&self) -> Vec<(JobId, &HeldKey)> {
        let mut all: Vec<_> = self.by_job.iter().map(|(job, held)| (*job, held)).collect();
        all.sort_unstable_by_key(|(_, held)| &held.key);
        all
    }

    /// Whether the maps agree.
    pub fn check(&self) {
        for (job, HeldKey { key, until, queue, .. }) in self.sorted() {
            assert_eq!(self.by_key.get(key), Some(&job), "key {key:?} is held by its job");
            assert!(queue.is_none() || until.is_some(), "key {key:?}: what is gone has ended");
            assert!(until.is_none_or(|until| self.ends_at(until, job)), "key {key:?}: its end is known");
        }
        let ended = self.by_job.values().filter(|held| held.until.is_some()).count();
        assert_eq!(ended, self.ends.len(), "every end is one of a key");
        assert_eq!(self.by_key.len(), self.by_job.len(), "every key is that of a job");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_job_that_is_gone_is_held_until_its_window_is_over() {
        let mut keys = Keys::default();
        keys.hold("a", JobId(1), 7, (Unique::ToEnd, None));
        keys.advance(Timestamp(u64::MAX));
        assert_eq!(keys.of(JobId(1)).map(|held| (&*held.key, held.digest)), Some(("a", 7)));
        keys.gone(JobId(1), Timestamp(100), "q");
        keys.advance(Timestamp(99));
        assert_eq!((keys.held("a").map(|(job, _)| job), keys.of(JobId(1))), (Some(JobId(1)), None));
        keys.check();
        keys.advance(Timestamp(100));
        assert_eq!(keys.held("a"), None);
        keys.check();
    }

    #[test]
    fn a_dead_job_holds_its_key_for_the_window_and_never_gets_it_back() {
        let mut keys = Keys::default();
        keys.hold("a", JobId(1), 7, (Unique::ToEnd, None));
        keys.stays(JobId(1), Timestamp(100));
        keys.check();
        assert!(keys.of(JobId(1)).is_some());
        assert_eq!(keys.ended_from((Timestamp(0), JobId(0))).filter_map(|(_, key)| key).count(), 0);
        keys.advance(Timestamp(100));
        assert_eq!((keys.held("a"), keys.of(JobId(1))), (None, None));
        keys.hold("a", JobId(2), 8, (Unique::ToEnd, None));
        // What becomes of the first one is nothing to the second.
        keys.gone(JobId(1), Timestamp(200), "q");
        keys.advance(Timestamp(200));
        assert_eq!(keys.held("a").map(|(job, _)| job), Some(JobId(2)));
        keys.check();
    }

    #[test]
    fn a_dead_job_that_goes_ends_its_key_anew() {
        let mut keys = Keys::default();
        keys.hold("a", JobId(1), 7, (Unique::ToEnd, None));
        keys.stays(JobId(1), Timestamp(100));
        keys.gone(JobId(1), Timestamp(0), "q");
        keys.check();
        keys.advance(Timestamp(1));
        assert_eq!(keys.held("a"), None);
    }

    #[test]
    fn a_key_that_is_held_until_a_moment_is_free_then_whatever_becomes_of_its_job() {
        let mut keys = Keys::default();
        keys.hold("a", JobId(1), 7, (Unique::Until, Some(Timestamp(50))));
        keys.stays(JobId(1), Timestamp(100));
        keys.goes_on(JobId(1));
        keys.check();
        keys.gone(JobId(1), Timestamp(0), "q");
        keys.check();
        keys.advance(Timestamp(49));
        assert!(keys.held("a").is_some());
        keys.advance(Timestamp(50));
        assert_eq!(keys.held("a"), None);
        keys.hold("b", JobId(2), 7, (Unique::Until, Some(Timestamp(60))));
        keys.advance(Timestamp(60));
        assert_eq!((keys.held("b"), keys.of(JobId(2))), (None, None), "its job is there still");
        keys.check();
    }

    #[test]
    fn a_key_that_is_held_until_the_start_is_free_then() {
        let mut keys = Keys::default();
        keys.hold("a", JobId(1), 7, (Unique::UntilStart, None));
        keys.hold("b", JobId(2), 7, (Unique::ToEnd, None));
        keys.started(JobId(1));
        keys.started(JobId(2));
        assert_eq!((keys.held("a"), keys.held("b").is_some()), (None, true));
        keys.check();
    }
}
