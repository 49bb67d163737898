//! Keys: which job holds a key, with what content, and until when the key of an ended job is held.
//!
//! A key is held from the submit to the end of its job, and for the key window after that: after it was completed or
//! died. Or, if the submit says so, until its job is handed out, or until a moment, whatever becomes of the job. One
//! that was freed never comes back to its job. Memory is used only for keys that are held.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::ids::JobId;
use crate::job::Unique;
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

/// A key that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldKey {
    pub job: JobId,
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
    by_key: HashMap<Arc<str>, HeldKey>,
    /// Of jobs that are there, dead ones among them.
    by_job: HashMap<JobId, Arc<str>>,
    /// Of jobs that have ended, by the end of their window.
    ended: BTreeMap<(Timestamp, JobId), Arc<str>>,
}

impl Keys {
    pub fn held(&self, key: &str) -> Option<&HeldKey> {
        self.by_key.get(key)
    }

    /// The key that a job which is there holds, and what is known of it.
    pub fn of(&self, job: JobId) -> Option<(&str, &HeldKey)> {
        // Where no job has a key nothing is looked up.
        let key = if self.by_job.is_empty() { None } else { self.by_job.get(&job) };
        key.map(|key| (&**key, &self.by_key[key]))
    }

    /// A job that was just accepted holds a key, and until then if that is settled already.
    pub fn hold(&mut self, key: &str, job: JobId, digest: u64, (unique, until): (Unique, Option<Timestamp>)) {
        let key: Arc<str> = key.into();
        self.by_key.insert(Arc::clone(&key), HeldKey { job, digest, unique, until, queue: None });
        if let Some(until) = until {
            self.ended.insert((until, job), Arc::clone(&key));
        }
        self.by_job.insert(job, key);
    }

    /// The job has another payload.
    pub fn set_digest(&mut self, job: JobId, digest: u64) {
        if let Some(held) = self.by_job.get(&job).and_then(|key| self.by_key.get_mut(key)) {
            held.digest = digest;
        }
    }

    /// The job was handed out: one that was to hold its key until then holds it no more.
    pub fn started(&mut self, job: JobId) {
        let is_over = self.of(job).is_some_and(|(_, held)| held.unique == Unique::UntilStart);
        if is_over && !is_planted(Bug::KeyOutlivesStart) {
            self.free(job);
        }
    }

    /// The key of a job is free at once, however long it was to be held.
    pub fn free(&mut self, job: JobId) {
        let Some(key) = self.by_job.remove(&job) else { return };
        if let Some(held) = self.by_key.remove(&key)
            && let Some(until) = held.until
        {
            self.ended.remove(&(until, job));
        }
    }

    /// Whether the moment at which a key is free was settled at its submit.
    pub fn is_settled(&self, job: JobId) -> bool {
        self.of(job).is_some_and(|(_, held)| held.unique == Unique::Until)
    }

    /// The job has ended, and is still there: it holds its key until then.
    pub fn stays(&mut self, job: JobId, until: Timestamp) {
        if self.of(job).is_some() && !self.is_settled(job) {
            let key = Arc::clone(&self.by_job[&job]);
            self.end(key, job, until);
        }
    }

    /// A job that has ended is to run again: it holds its key, if it still does, until it ends once more.
    pub fn goes_on(&mut self, job: JobId) {
        let Some((_, held)) = self.of(job).filter(|_| !self.is_settled(job)) else { return };
        if let Some(until) = held.until {
            self.ended.remove(&(until, job));
            let key = Arc::clone(&self.by_job[&job]);
            if let Some(held) = self.by_key.get_mut(&key) {
                held.until = None;
            }
        }
    }

    /// A job that has ended is no longer there; its key is held as long as it was to be.
    pub fn leaves(&mut self, job: JobId, queue: &str) {
        if let Some(until) = self.of(job).map(|(_, held)| held.until.unwrap_or_default()) {
            self.gone(job, until, queue);
        }
    }

    /// The job is no longer there; its key is held until then.
    pub fn gone(&mut self, job: JobId, until: Timestamp, queue: &str) {
        if self.of(job).is_none() {
            return;
        }
        let Some(key) = self.by_job.remove(&job) else { return };
        if let Some(held) = self.by_key.get_mut(&key) {
            held.queue = Some(queue.into());
        }
        self.end(key, job, until);
    }

    fn end(&mut self, key: Arc<str>, job: JobId, until: Timestamp) {
        let Some(held) = self.by_key.get_mut(&key) else { return };
        let until = held.until.filter(|_| held.unique == Unique::Until).unwrap_or(until);
        if let Some(before) = held.until.replace(until) {
            self.ended.remove(&(before, job));
        }
        self.ended.insert((until, job), key);
    }

    /// Whether the key of this job is free at that moment.
    pub fn ends_at(&self, until: Timestamp, job: JobId) -> bool {
        self.ended.contains_key(&(until, job))
    }

    /// Whether a key will be free once time has passed.
    pub fn waits_for_time(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Frees the keys whose window is over.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(entry) = self.ended.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let job = entry.key().1;
            let key = entry.remove();
            self.by_key.remove(&key);
            self.by_job.remove(&job);
        }
    }

    /// The keys of jobs that are gone, by the ends of their windows, from there on; those of dead ones come as nothing.
    pub fn ended_from(
        &self,
        from: (Timestamp, JobId),
    ) -> impl Iterator<Item = ((Timestamp, JobId), Option<(&str, &HeldKey)>)> {
        self.ended.range(from..).map(|(at, key)| {
            let held = &self.by_key[key];
            (*at, held.queue.is_some().then_some((&**key, held)))
        })
    }

    /// Every key that is held; sorted.
    pub fn sorted(&self) -> Vec<(&str, &HeldKey)> {
        let mut all: Vec<_> = self.by_key.iter().map(|(key, held)| (&**key, held)).collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all
    }

    /// Whether the maps agree.
    pub fn check(&self) {
        for (key, held) in self.sorted() {
            let is_there = self.by_job.get(&held.job).is_some_and(|of| &**of == key);
            assert_eq!(is_there, held.queue.is_none(), "key {key:?}: its job is there, or its queue is known");
            assert!(is_there || held.until.is_some(), "key {key:?}: what is gone has ended");
            let ends = held.until.map(|until| &*self.ended[&(until, held.job)]);
            assert!(ends.is_none_or(|of| of == key), "key {key:?} ends as another");
        }
        let ended = self.by_key.values().filter(|held| held.until.is_some()).count();
        assert_eq!(ended, self.ended.len(), "every end is one of a key");
        assert!(self.by_job.values().all(|key| self.by_key.contains_key(key)), "every job's key is held");
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
        assert_eq!(keys.of(JobId(1)).map(|(key, held)| (key, held.digest)), Some(("a", 7)));
        keys.gone(JobId(1), Timestamp(100), "q");
        keys.advance(Timestamp(99));
        assert_eq!((keys.held("a").map(|held| held.job), keys.of(JobId(1))), (Some(JobId(1)), None));
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
        assert_eq!(keys.held("a").map(|held| held.job), Some(JobId(2)));
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
