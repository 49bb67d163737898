//! Which job holds a key, and how long.

use std::collections::BTreeMap;

use falconqueue::ids::JobId;
use falconqueue::job::Unique;
use falconqueue::queue::Queues;
use falconqueue::queue::events::Enqueue;
use falconqueue::time::Timestamp;

use super::FOR_EVER;

#[derive(Clone, Copy, Debug)]
struct Held {
    job: JobId,
    until: Timestamp,
    way: Unique,
}

#[derive(Debug, Default)]
pub struct Keys(BTreeMap<String, Held>);

/// How long a job says that it holds its key.
pub fn way(job: &Enqueue<'_>) -> Unique {
    match (job.key_until, job.key_until_start) {
        (Some(_), _) => Unique::Until,
        (None, Some(true)) => Unique::UntilStart,
        _ => Unique::ToEnd,
    }
}

impl Keys {
    /// A job with a key was accepted: no other one holds it.
    pub fn accept(&mut self, job: &Enqueue<'_>, at: Timestamp) {
        let held = Held { job: job.job, until: job.key_until.unwrap_or(FOR_EVER), way: way(job) };
        let before = self.0.insert(job.key.to_owned(), held);
        let is_free = before.is_none_or(|before| before.until <= at);
        assert!(is_free, "key {} makes job {}: {before:?}", job.key, job.job);
    }

    /// The key that a job holds at that moment, unless it was settled from the first until when.
    fn open(&mut self, key: &str, job: JobId, at: Timestamp) -> Option<&mut Held> {
        self.0.get_mut(key).filter(|held| held.job == job && held.until > at && held.way != Unique::Until)
    }

    /// Its job is handed out.
    pub fn start(&mut self, key: &str, job: JobId, at: Timestamp) {
        if let Some(held) = self.open(key, job, at).filter(|held| held.way == Unique::UntilStart) {
            held.until = at;
        }
    }

    /// Its job has ended, and holds it until then if it holds it any longer.
    pub fn ends(&mut self, key: &str, job: JobId, at: Timestamp, until: Option<Timestamp>) {
        if let Some(held) = self.open(key, job, at) {
            held.until = until.unwrap_or(at);
        }
    }

    /// Its job is to run again.
    pub fn goes_on(&mut self, key: &str, job: JobId, at: Timestamp) {
        if let Some(held) = self.open(key, job, at) {
            held.until = FOR_EVER;
        }
    }

    /// Every key leads to its job exactly as long as it is held.
    pub fn holds(&self, now: Timestamp, queues: &Queues) {
        for (key, held) in &self.0 {
            let holder = Some(held.job).filter(|_| held.until > now);
            assert_eq!(queues.job_of_key(key), holder, "who holds key {key}: {held:?} at {now}");
        }
    }
}
