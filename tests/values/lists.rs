//! The naive model: jobs as lists that a reader can check by eye.

use std::collections::BTreeMap;

use falconqueue::time::{Millis, Timestamp};

pub const KEY_WINDOW_MS: u64 = 3_600_000;

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Pending,
    Delayed(Timestamp),
    InFlight { lease: u64, until: Timestamp, holder: usize, given_at: Timestamp, begun_at: Option<Timestamp> },
    Dead,
    Completed,
}

#[derive(Clone, Debug)]
pub struct Job {
    pub queue: usize,
    pub key: usize,
    pub priority: u8,
    pub attempts: u16,
    pub max_attempts: u16,
    pub submitted_at: Timestamp,
    /// Its place in line, which it keeps while an attempt does not count.
    pub order: u64,
    pub state: State,
    /// When its key is free, once it is completed or dead.
    pub key_until: Option<Timestamp>,
    /// Attempts that have ended and count: begun, ended, how.
    pub past: Vec<(u64, u64, u8)>,
}

/// How an attempt ended, as the wire has it.
pub const FAILED: u8 = 1;
pub const FOR_GOOD: u8 = 2;
pub const LEASE_RAN_OUT: u8 = 3;

/// Nobody holds a lease after a restart.
pub const NOBODY: usize = 99;

/// Where a job stands in line that waits again.
#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    Kept,
    Last,
}

pub struct Model {
    pub now: Timestamp,
    pub jobs: BTreeMap<u64, Job>,
    /// Pending jobs of each queue in line, whatever their priority.
    pub lines: [Vec<u64>; 2],
    pub last_order: u64,
}

impl Model {
    /// Lets time pass: first delays, then leases, as the master does at a turn's begin.
    pub fn advance(&mut self, now: Timestamp, retry_at: &mut impl FnMut(u64) -> Option<Timestamp>) {
        self.now = now;
        let mut due: Vec<(Timestamp, u64)> = Vec::new();
        for (id, job) in &self.jobs {
            if let State::Delayed(at) = job.state
                && at <= now
            {
                due.push((at, *id));
            }
        }
        due.sort();
        for (_, id) in due {
            self.wait(id, None, Place::Last);
        }
        let run_out: Vec<u64> = self
            .jobs
            .iter()
            .filter(|(_, job)| matches!(job.state, State::InFlight { until, .. } if until <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in run_out {
            match self.jobs[&id].state {
                State::InFlight { begun_at: None, .. } => self.give_back(id, None),
                _ => self.end_badly(id, LEASE_RAN_OUT, retry_at),
            }
        }
    }

    /// An attempt ends that does not count.
    pub fn give_back(&mut self, id: u64, due_at: Option<Timestamp>) {
        self.jobs.get_mut(&id).unwrap().attempts -= 1;
        self.wait(id, due_at, Place::Kept);
    }

    pub fn wait(&mut self, id: u64, due_at: Option<Timestamp>, place: Place) {
        let now = self.now;
        let job = self.jobs.get_mut(&id).unwrap();
        if let Some(at) = due_at.filter(|at| *at > now) {
            job.state = State::Delayed(at);
            return;
        }
        if place == Place::Last {
            self.last_order += 1;
            job.order = self.last_order;
        }
        job.state = State::Pending;
        let line = &mut self.lines[job.queue];
        line.push(id);
        line.sort_by_key(|id| self.jobs[id].order);
    }

    pub fn end_badly(&mut self, id: u64, ending: u8, retry_at: &mut impl FnMut(u64) -> Option<Timestamp>) {
        let now = self.now;
        let job = self.jobs.get_mut(&id).unwrap();
        if let State::InFlight { given_at, begun_at, .. } = job.state {
            job.past.push((begun_at.unwrap_or(given_at).0, now.0, ending));
        }
        if ending == FOR_GOOD || job.attempts == job.max_attempts {
            (job.state, job.key_until) = (State::Dead, Some(self.now.plus(Millis(KEY_WINDOW_MS))));
            return;
        }
        let whole = 1000u64 << (job.attempts - 1);
        let at = retry_at(id).expect("the log says when the job is tried again");
        let backoff = at.since(now).0;
        assert!((whole / 2..=whole).contains(&backoff), "backoff {backoff} of attempt {}", job.attempts);
        self.wait(id, Some(at), Place::Last);
    }

    /// What a poll of these queues must be given.
    pub fn next(&self, queues: &[usize], jobs_max: u16) -> Vec<u64> {
        let mut all = Vec::new();
        for queue in queues {
            let mut line = self.lines[*queue].clone();
            line.sort_by_key(|id| self.jobs[id].priority);
            all.extend(line);
        }
        all.truncate(usize::from(jobs_max));
        all
    }

    pub fn remembered(&self, key: usize) -> Option<u64> {
        self.jobs.iter().find(|(_, job)| key != 0 && job.key == key && self.holds_key(job)).map(|(id, _)| *id)
    }

    pub fn holds_key(&self, job: &Job) -> bool {
        job.key_until.is_none_or(|until| until > self.now)
    }

    pub fn in_flight(&self) -> Vec<(u64, u64)> {
        let lease = |job: &Job| match job.state {
            State::InFlight { lease, .. } => Some(lease),
            _ => None,
        };
        self.jobs.iter().filter_map(|(id, job)| lease(job).map(|lease| (*id, lease))).collect()
    }
}
