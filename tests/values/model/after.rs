//! Jobs that wait for jobs, as they are submitted.

use std::collections::BTreeSet;

use super::batches::BATCHES;
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
            3 => Some((3, 0, BATCHES[*pick].to_owned())),
            _ => Some((2, 0, KEYS[*pick].to_owned())),
        };
        new.after.iter().filter_map(named).collect()
    }

    /// Whether one of these waits for what never was, or for a key that nobody holds.
    pub fn waits_for_none(&self, new: &NewJobs, jobs: &[frames::Job]) -> bool {
        let own = new.batch.map(|name| BATCHES[name]);
        let first_key = |at: usize| if at > 0 { &jobs[0].key } else { "" };
        let is_none = |at: usize, (by, id, key): &(u8, u64, String)| match by {
            0 => !self.model.jobs.contains_key(id),
            1 => false,
            3 => own == Some(key.as_str()) || self.batch_called(key).is_none(),
            _ => self.of_key(key).is_none() && first_key(at) != key,
        };
        jobs.iter().enumerate().any(|(at, job)| job.after.iter().any(|after| is_none(at, after)))
    }

    /// Whether a member waits for what waits itself, and was not there when its batch was begun.
    pub fn may_circle(&self, new: &NewJobs, jobs: &[frames::Job]) -> bool {
        let Some(own) = new.batch.and_then(|name| self.model.batch_named(name)) else { return false };
        let batch = &self.model.batches[own];
        let is_late = |id: u64| {
            let waits = self.model.there(id).is_some_and(|job| job.state == State::Waiting);
            waits && id > batch.there && !batch.members.contains(&id)
        };
        let circles = |(by, id, key): &(u8, u64, String)| match by {
            0 => is_late(*id),
            1 => self.model.remembered(new.key).is_some_and(is_late),
            3 => self.batch_called(key).is_some_and(|other| other > own && !self.model.is_batch_over(other)),
            _ => self.of_key(key).is_some_and(is_late),
        };
        jobs.iter().any(|job| job.after.iter().any(circles))
    }

    fn of_key(&self, key: &str) -> Option<u64> {
        self.model.remembered(KEYS.iter().position(|known| *known == key)?)
    }

    fn batch_called(&self, name: &str) -> Option<usize> {
        self.model.batch_named(BATCHES.iter().position(|known| *known == name)?)
    }

    /// The same as ids, each once; `first` is the first one of the request.
    pub fn before(&self, new: &NewJobs, job: &frames::Job, first: u64) -> Waits {
        let id = |(by, id, key): &(u8, u64, String)| match by {
            0 => *id,
            1 => first,
            _ => self.of_key(key).unwrap_or(first),
        };
        let (named, jobs): (Vec<_>, Vec<_>) = job.after.iter().partition(|(by, ..)| *by == 3);
        let batches: BTreeSet<usize> = named.iter().filter_map(|(_, _, name)| self.batch_called(name)).collect();
        let before: BTreeSet<u64> = jobs.into_iter().map(id).collect();
        let (before, batches) = (before.into_iter().collect(), batches.into_iter().collect());
        let NewJobs { if_failed, with_results, delay_ms, .. } = *new;
        Waits { before, batches, if_failed, with_results, delay_ms }
    }

    /// A job that was just accepted waits for these.
    pub fn holds_back(&mut self, id: u64, waits: Waits) {
        let job = self.model.job(id);
        (job.state, job.waits) = (State::Waiting, waits);
        self.model.looks.push(Look::Job(id));
    }
}
