//! Keys: which job has a key, and until when the key of an ended job is remembered.
//! Memory is used only for jobs that have a key, and is given back when its window is over.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::ids::JobId;
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub struct Keys {
    by_key: HashMap<Arc<str>, JobId>,
    /// Keys of jobs that have not ended.
    by_job: HashMap<JobId, Arc<str>>,
    /// Keys of jobs that have ended, by the end of their window.
    ended: BTreeMap<(Timestamp, JobId), Arc<str>>,
}

impl Keys {
    /// The first job of this key, if it is remembered.
    pub fn job(&self, key: &str) -> Option<JobId> {
        self.by_key.get(key).copied()
    }

    /// The key of a job that has not ended.
    pub fn key(&self, job: JobId) -> Option<&str> {
        self.by_job.get(&job).map(AsRef::as_ref)
    }

    /// Remembers the key of a job that was just accepted.
    pub fn remember(&mut self, key: &str, job: JobId) {
        let key: Arc<str> = key.into();
        self.by_key.insert(Arc::clone(&key), job);
        self.by_job.insert(job, key);
    }

    /// Notes that the job has ended; its key is remembered until `until`.
    pub fn ended(&mut self, job: JobId, until: Timestamp) {
        // Most jobs have no key, and where none has one nothing is looked up.
        if !self.by_job.is_empty()
            && let Some(key) = self.by_job.remove(&job)
        {
            self.ended.insert((until, job), key);
        }
    }

    /// Whether a key will be forgotten once time has passed.
    pub fn waits_for_time(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Forgets the keys whose window is over.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(entry) = self.ended.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let key = entry.remove();
            self.by_key.remove(&key);
        }
    }

    /// The keys of ended jobs, by the ends of their windows, from there on.
    pub fn ended_from(&self, from: (Timestamp, JobId)) -> impl Iterator<Item = ((Timestamp, JobId), &str)> {
        self.ended.range(from..).map(|(at, key)| (*at, &**key))
    }

    /// Every remembered key with its job and, if that has ended, the end of its window; sorted.
    pub fn sorted(&self) -> Vec<(Arc<str>, JobId, Option<Timestamp>)> {
        let live = self.by_job.iter().map(|(job, key)| (Arc::clone(key), *job, None));
        let ended = self.ended.iter().map(|((until, job), key)| (Arc::clone(key), *job, Some(*until)));
        let mut all: Vec<_> = live.chain(ended).collect();
        all.sort();
        all
    }

    /// Whether the maps agree.
    pub fn check(&self) {
        assert_eq!(self.by_key.len(), self.by_job.len() + self.ended.len(), "keys in both directions");
        for (key, job, _) in self.sorted() {
            assert_eq!(self.by_key.get(&key), Some(&job), "key {key:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_remembered_until_its_window_is_over() {
        let mut keys = Keys::default();
        keys.remember("a", JobId(1));
        keys.advance(Timestamp(u64::MAX));
        assert_eq!((keys.job("a"), keys.key(JobId(1))), (Some(JobId(1)), Some("a")));
        keys.ended(JobId(1), Timestamp(100));
        keys.advance(Timestamp(99));
        assert_eq!((keys.job("a"), keys.key(JobId(1))), (Some(JobId(1)), None));
        keys.check();
        keys.advance(Timestamp(100));
        assert_eq!(keys.job("a"), None);
        keys.check();
    }
}
