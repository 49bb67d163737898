//! Jobs that wait for jobs, as they are submitted.

use super::steps::NewJobs;
use super::{KEYS, Run};
use crate::frames;
use crate::lists::{Look, State, Waits};

impl Run {
    /// What a job of a request waits for. The first one has none before it there.
    pub fn after(&self, new: &NewJobs, is_first: bool) -> Vec<(u8, u64, String)> {
        let named = |(by, pick): &(u8, usize)| match by {
            0 => Some((0, self.any_job(*pick), String::new())),
            1 => (!is_first).then(|| (1, 0, String::new())),
            _ => Some((2, 0, KEYS[*pick].to_owned())),
        };
        new.after.iter().filter_map(named).collect()
    }

    /// Whether one of these waits for what never was, or for a key that nobody holds.
    pub fn waits_for_none(&self, jobs: &[frames::Job]) -> bool {
        let first_key = |at: usize| if at > 0 { &jobs[0].key } else { "" };
        let is_none = |at: usize, (by, id, key): &(u8, u64, String)| match by {
            0 => !self.model.jobs.contains_key(id),
            1 => false,
            _ => self.of_key(key).is_none() && first_key(at) != key,
        };
        jobs.iter().enumerate().any(|(at, job)| job.after.iter().any(|after| is_none(at, after)))
    }

    fn of_key(&self, key: &str) -> Option<u64> {
        self.model.remembered(KEYS.iter().position(|known| *known == key)?)
    }

    /// The same as ids, each once; `first` is the first one of the request.
    pub fn before(&self, job: &frames::Job, first: u64) -> Vec<u64> {
        let id = |(by, id, key): &(u8, u64, String)| match by {
            0 => *id,
            1 => first,
            _ => self.of_key(key).unwrap_or(first),
        };
        let mut before: Vec<u64> = job.after.iter().map(id).collect();
        before.sort_unstable();
        before.dedup();
        before
    }

    /// A job that was just accepted waits for these.
    pub fn holds_back(&mut self, id: u64, new: &NewJobs, before: Vec<u64>) {
        let NewJobs { if_failed, with_results, delay_ms, .. } = *new;
        let job = self.model.job(id);
        (job.state, job.waits) = (State::Waiting, Waits { before, if_failed, with_results, delay_ms });
        self.model.looks.push(Look::Job(id));
    }
}
