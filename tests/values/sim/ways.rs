//! Jobs that hold keys in ways of their own, jobs that wait for others, and schedules.

use falconqueue::ids::JobId;
use falconqueue::job::{Before, IfFailed, OnDuplicate, Unique};
use falconqueue::master::WalError;
use falconqueue::protocol::{After, PutSchedule, Request};
use falconqueue::schedule::{Missed, Plan};

use crate::dice::Dice;
use crate::frames::{KEY_HELD, NOT_FOUND, QUEUE_FULL, QUEUE_PAUSED, WRONG_STATE};
use crate::truth::Fate;

use super::Sim;
use super::batches::BATCHES;
use super::client::{Joining, What};
use super::load::QUEUES;
use super::told::{Submission, payload};

/// Schedules that a run may have.
pub const SCHEDULES: [&str; 2] = ["beat", "pulse"];

/// How far back most jobs are that others wait for.
const RECENT: u64 = 12;

impl Sim {
    /// Lets some jobs of a request hold their keys in other ways than usual, and some wait for others.
    pub fn draw_ways(&mut self, jobs: &mut [Submission]) {
        for (place, job) in jobs.iter_mut().enumerate() {
            if !job.key.is_empty() {
                draw_way(job, &mut self.random);
            }
            if self.random.percent(30) {
                let count = 1 + self.random.index(3);
                job.after = (0..count).filter_map(|_| self.drawn_after(place)).collect();
                job.if_failed = IfFailed::ALL[self.random.index(3)];
            }
        }
    }

    /// One that a job at this place in its request may wait for: mostly one that came a short while before.
    fn drawn_after(&mut self, place: usize) -> Option<After<'static>> {
        let last = self.told.last_job;
        match self.random.below(if self.load.is_rough { 9 } else { 8 }) {
            0..=1 if place > 0 => Some(After::item(self.random.index(place))),
            2 => {
                let known: Vec<&'static str> = self.told.keys.keys().copied().collect();
                self.random.pick(&known).map(|key| After::key(key))
            }
            3 => (last > 0).then(|| After::job(JobId(1 + self.random.below(last)))),
            8 => self.drawn_batch().map(After::batch),
            _ => (last > 0).then(|| After::job(JobId(last - self.random.below(RECENT.min(last))))),
        }
    }

    /// A batch that is known, or seldom any.
    fn drawn_batch(&mut self) -> Option<&'static str> {
        let truth = &self.history.truth;
        let is_known = |name: &&&str| truth.see_batch(name, self.now).is_some_and(|seen| !seen.may_be_gone);
        let known: Vec<&'static str> = BATCHES.iter().filter(is_known).copied().collect();
        if self.random.one_in(12) { self.random.pick(&BATCHES).copied() } else { self.random.pick(&known).copied() }
    }

    /// A submit was refused, for a reason that there was.
    pub fn submit_refused(&mut self, jobs: &[Submission], (into, code): (Option<&Joining>, u16)) {
        match code {
            NOT_FOUND if into.is_some_and(|into| into.seen.as_ref().is_none_or(|seen| seen.may_be_gone)) => {}
            // A member may be refused that might be waited for by what it waits for.
            WRONG_STATE if into.is_some() && jobs.iter().any(|job| !job.after.is_empty()) => {}
            WRONG_STATE => assert!(into.is_some_and(|into| into.seen.is_some() && !into.is_open()), "{into:?}"),
            QUEUE_PAUSED => self.paused += 1,
            QUEUE_FULL if self.load.is_rough => self.over_full += 1,
            KEY_HELD => assert!(jobs.iter().any(|job| job.on_duplicate == OnDuplicate::Refuse), "{jobs:?}"),
            // Other jobs than those of keys are known to be there, or to have been.
            NOT_FOUND => {
                let mut after = jobs.iter().flat_map(|job| &job.after);
                assert!(after.any(|after| !after.name.is_empty()), "{jobs:?}");
            }
            code => self.refused(code),
        }
    }

    /// Begins with schedules, each of which makes a job whenever a span has passed.
    pub fn put_schedules(&mut self, count: usize) -> Result<(), WalError> {
        self.begin_turn()?;
        for name in &SCHEDULES[..count] {
            self.put_schedule(name)?;
        }
        self.finish_turn()?;
        self.sync()
    }

    fn put_schedule(&mut self, name: &'static str) -> Result<(), WalError> {
        let missed = [Missed::Once, Missed::Skip, Missed::All][self.random.index(3)];
        let body = payload(self.random.draw(), 100);
        let plan = Plan {
            queue: QUEUES[self.random.index(3)],
            every_ms: 5000 + self.random.below(20_000),
            missed,
            missed_max: if missed == Missed::All { 3 } else { 0 },
            skip_overlap: self.random.one_in(2),
            payload: &body,
            ..Plan::default()
        };
        let put = PutSchedule { name, plan, ..PutSchedule::default() };
        self.send(self.producer, &Request::PutSchedule(put), What::Order)?;
        Ok(())
    }
}

fn draw_way(job: &mut Submission, random: &mut Dice) {
    job.unique = [Unique::ToEnd, Unique::ToEnd, Unique::UntilStart, Unique::Until][random.index(4)];
    job.unique_for_ms = 1 + random.below(90_000);
    job.on_duplicate =
        [OnDuplicate::Return, OnDuplicate::Return, OnDuplicate::Refuse, OnDuplicate::Replace][random.index(4)];
}

/// A job was accepted so that it waits for what it named, and holds its key as it said.
pub fn holds_ways(job: &Submission, fate: &Fate) {
    if !job.key.is_empty() {
        assert_eq!(fate.accepted.unique, job.unique, "{fate:?}");
    }
    let Some(waits) = &fate.accepted.waits else { return assert!(job.after.is_empty(), "{job:?}: {fate:?}") };
    let is_one = |after: &After<'_>| !after.name.is_empty() || waits.before.contains(&Before::job(JobId(after.number)));
    let by_id = job.after.iter().filter(|after| **after == After::job(JobId(after.number)));
    assert!(by_id.copied().all(|after| is_one(&after)), "{job:?}: {fate:?}");
    assert!(waits.before.len() <= job.after.len() && waits.if_failed == job.if_failed, "{job:?}: {fate:?}");
}
