//! Who waits for which jobs, or until nothing is to run.

use super::{Job, Model, State};
use falconqueue::time::{Millis, Timestamp};

/// The job has ended and is not there; no job had the id.
const GONE: u8 = 254;
const NEVER_WAS: u8 = 255;

/// A wait that is not answered yet.
#[derive(Clone)]
pub struct JobsWait {
    pub number: u64,
    /// Each with how it ended, once it did.
    pub jobs: Vec<(u64, Option<u8>)>,
    pub any: bool,
    pub until: Timestamp,
}

/// Where each job of a wait stands.
pub type Ends = Vec<(u64, u8)>;

/// The number on the wire.
pub fn standing(state: &State) -> u8 {
    match state {
        State::Pending => 0,
        State::Delayed(_) => 1,
        State::InFlight { .. } => 2,
        State::Dead => 3,
        State::Completed => 4,
        State::Cancelled => 5,
        State::Expired => 6,
        State::Waiting => 7,
    }
}

impl Model {
    fn stands(&self, id: u64) -> u8 {
        self.jobs.get(&id).map_or(NEVER_WAS, |job| if job.is_gone { GONE } else { standing(&job.state) })
    }

    /// A wait is asked; it goes on unless it is answered by what is so now.
    pub fn wait_for(&mut self, number: u64, jobs: &[u64], any: bool, wait_ms: u32) {
        let ended = |id: &u64| (*id, Some(self.stands(*id)).filter(|standing| *standing > 2 && *standing != 7));
        let until = self.now.plus(Millis(wait_ms.into()));
        self.waits.push(JobsWait { number, jobs: jobs.iter().map(ended).collect(), any, until });
    }

    /// A job ended so, or runs again.
    pub fn became(&mut self, id: u64, end: Option<u8>) {
        for wait in &mut self.waits {
            wait.jobs.iter_mut().filter(|(job, _)| *job == id).for_each(|(_, known)| *known = end);
        }
    }

    /// The waits that are over now, each with its answer; they are answered once.
    pub fn ends(&mut self) -> Vec<(u64, Ends)> {
        let has_ended = |(_, end): &(u64, Option<u8>)| end.is_some();
        let is_over = |wait: &JobsWait| {
            let ended = if wait.any { wait.jobs.iter().any(has_ended) } else { wait.jobs.iter().all(has_ended) };
            ended || wait.until <= self.now
        };
        let (over, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waits).into_iter().partition(is_over);
        self.waits = left;
        let told = |(id, end): &(u64, Option<u8>)| (*id, end.unwrap_or_else(|| self.stands(*id)));
        over.iter().map(|wait| (wait.number, wait.jobs.iter().map(told).collect())).collect()
    }

    /// How many jobs are to run now or after an attempt, and how many are delayed otherwise.
    pub fn busy(&self, queue: Option<usize>) -> (u64, u64) {
        let is_later = |job: &Job| matches!(job.state, State::Delayed(_)) && job.attempts == 0;
        let is_open = |job: &Job| queue.is_none_or(|queue| job.queue == queue) && !job.state.has_ended();
        (self.count(|job| is_open(job) && !is_later(job)), self.count(|job| is_open(job) && is_later(job)))
    }

    pub fn dead(&self, queue: Option<usize>) -> u64 {
        self.count(|job| queue.is_none_or(|queue| job.queue == queue) && job.state == State::Dead)
    }

    /// The same for the waits until nothing is to run: number, queue, and what is told.
    pub fn idle_ends(&mut self) -> Vec<(u64, Option<usize>, (u64, u64))> {
        let all = std::mem::take(&mut self.idle);
        let (over, left): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, queue, until)| self.busy(*queue).0 == 0 || *until <= self.now);
        self.idle = left;
        over.into_iter().map(|(number, queue, _)| (number, queue, self.busy(queue))).collect()
    }
}
