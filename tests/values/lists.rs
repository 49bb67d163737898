//! The naive model: jobs as lists that a reader can check by eye.

mod after;
mod batches;
mod ends;
mod groups;
mod rules;
mod waits;

pub use after::{Look, Waits};
pub use batches::Batch;
pub use groups::{GROUPS, Turns};
pub use rules::Rules;
pub use waits::{JobsWait, standing};

use std::collections::BTreeMap;

use falconqueue::job::Unique;
use falconqueue::time::{Millis, Timestamp};

use crate::frames::Updated;

pub const KEY_WINDOW_MS: u64 = 3_600_000;

/// What holds where nothing is said.
pub const USUAL_BACKOFF: (u32, u32) = (1000, 3_600_000);

pub const NEVER: Timestamp = Timestamp(u64::MAX);

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Pending,
    Delayed(Timestamp),
    /// For other jobs to end.
    Waiting,
    InFlight {
        lease: u64,
        until: Timestamp,
        holder: usize,
        given_at: Timestamp,
        begun_at: Option<Timestamp>,
    },
    Dead,
    Completed,
    Cancelled,
    Expired,
}

impl State {
    pub fn is_waiting(&self) -> bool {
        matches!(self, State::Pending | State::Delayed(_) | State::Waiting)
    }

    pub fn is_in_flight(&self) -> bool {
        matches!(self, State::InFlight { .. })
    }

    pub fn has_ended(&self) -> bool {
        !self.is_waiting() && !self.is_in_flight()
    }
}

#[derive(Clone, Debug)]
pub struct Job {
    pub queue: usize,
    /// 0 is none.
    pub group: usize,
    pub key: usize,
    pub priority: u8,
    pub attempts: u16,
    pub max_attempts: u16,
    pub timeout_ms: u32,
    pub submitted_at: Timestamp,
    pub bytes: u64,
    /// Its place in line, which it keeps while an attempt does not count.
    pub order: i64,
    pub state: State,
    pub unique: Unique,
    /// When its key is free, once that is known.
    pub key_until: Option<Timestamp>,
    /// Attempts that have ended and count: begun, ended, how.
    pub past: Vec<(u64, u64, u8)>,
    pub keep_s: Option<u32>,
    pub backoff: Option<(u32, u32)>,
    pub expires_at: Option<Timestamp>,
    pub headers: Vec<(String, String)>,
    /// It was cancelled in flight.
    pub is_marked: bool,
    pub result: Vec<u8>,
    /// When it ended, or its last attempt that counts.
    pub ended_at: Option<Timestamp>,
    /// Of one that has ended; `NEVER` for a dead one that stays.
    pub kept_until: Timestamp,
    /// It has ended and is not there any more.
    pub is_gone: bool,
    pub waits: Waits,
    /// Until when it is known that it did not complete, if it is gone by then.
    pub failed_until: Option<Timestamp>,
}

impl Job {
    pub fn new(queue: usize, key: usize, submitted_at: Timestamp) -> Job {
        Job {
            queue,
            group: 0,
            key,
            priority: 0,
            attempts: 0,
            max_attempts: 0,
            timeout_ms: 0,
            submitted_at,
            bytes: 0,
            order: 0,
            state: State::Pending,
            unique: Unique::ToEnd,
            key_until: None,
            past: Vec::new(),
            keep_s: None,
            backoff: None,
            expires_at: None,
            headers: Vec::new(),
            is_marked: false,
            result: Vec::new(),
            ended_at: None,
            kept_until: NEVER,
            is_gone: false,
            waits: Waits::default(),
            failed_until: None,
        }
    }
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

/// What only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub completed: u64,
    pub cancelled: u64,
    pub expired: u64,
    pub purged: u64,
    pub died: [u64; 2],
}

#[derive(Clone)]
pub struct Model {
    pub now: Timestamp,
    pub jobs: BTreeMap<u64, Job>,
    /// Pending jobs of each queue in line, whatever their priority.
    pub lines: [Vec<u64>; 2],
    pub last_order: i64,
    /// A job is being changed, and groups keep their turns meanwhile.
    pub keeps_turns: bool,
    /// The newest place given at the front.
    pub first_order: i64,
    pub rules: [Rules; 2],
    pub turns: [Turns; 2],
    pub tally: Tally,
    pub waits: Vec<JobsWait>,
    /// Jobs that wait for others and are to be looked at.
    pub looks: Vec<Look>,
    pub batches: Vec<Batch>,
    /// Batches whose members are to be let go or cancelled.
    pub batch_work: Vec<usize>,
    /// Number, queue or all, and until when it waits.
    pub idle: Vec<(u64, Option<usize>, Timestamp)>,
}

impl Model {
    pub fn new(now: Timestamp) -> Model {
        Model {
            now,
            jobs: BTreeMap::new(),
            lines: [Vec::new(), Vec::new()],
            last_order: 0,
            first_order: 0,
            keeps_turns: false,
            rules: [Rules::default(), Rules::default()],
            turns: [Turns::default(), Turns::default()],
            tally: Tally::default(),
            waits: Vec::new(),
            looks: Vec::new(),
            batches: Vec::new(),
            batch_work: Vec::new(),
            idle: Vec::new(),
        }
    }

    fn ids_of(&self, wanted: impl Fn(&Job) -> bool) -> Vec<u64> {
        self.jobs.iter().filter(|(_, job)| wanted(job)).map(|(id, _)| *id).collect()
    }

    /// Lets time pass: first delays, then leases, then what was not begun in time, as the master does when a turn
    /// begins.
    pub fn advance(&mut self, now: Timestamp, retry_at: &mut impl FnMut(u64) -> Option<Timestamp>) {
        self.rules.iter_mut().for_each(|rules| rules.end_pauses(now));
        self.fade(now);
        self.come_due(now);
        for id in self.run_out() {
            match self.jobs[&id].state {
                _ if self.jobs[&id].is_marked => self.end(id, State::Cancelled),
                State::InFlight { begun_at: None, .. } => self.give_back(id, None),
                _ => self.end_badly(id, LEASE_RAN_OUT, None, retry_at),
            }
        }
        self.expire();
        self.call_off_abandoned();
    }

    /// Delayed jobs wait in line from their moments on, and tokens come in between, by theirs.
    fn come_due(&mut self, now: Timestamp) {
        let mut due: Vec<(Timestamp, u64)> = Vec::new();
        for (id, job) in &self.jobs {
            if let State::Delayed(at) = job.state
                && at <= now
            {
                due.push((at, *id));
            }
        }
        due.sort();
        let mut tokens = self.tokens_up_to(now);
        for (at, id) in due {
            while let Some(first) = tokens.first_entry().filter(|first| *first.key() <= at) {
                self.now = *first.key();
                first.remove();
                self.settle();
            }
            self.now = self.now.max(at);
            self.wait(id, None, Place::Last);
        }
        for at in tokens.into_keys() {
            self.now = at;
            self.settle();
        }
        self.now = now;
        self.settle();
    }

    /// The jobs whose leases have run out, in the order in which they did, and were given.
    fn run_out(&self) -> Vec<u64> {
        let mut over: Vec<(Timestamp, u64, u64)> = Vec::new();
        for (id, job) in &self.jobs {
            if let State::InFlight { until, lease, .. } = job.state
                && until <= self.now
            {
                over.push((until, lease, *id));
            }
        }
        over.sort();
        over.into_iter().map(|(_, _, id)| id).collect()
    }

    /// What waits, was never begun and is past its time ends; at every turn.
    pub fn expire(&mut self) {
        let is_late = |job: &Job| job.expires_at.is_some_and(|at| at <= self.now);
        for id in self.ids_of(|job| job.state.is_waiting() && job.attempts == 0 && is_late(job)) {
            self.end(id, State::Expired);
        }
    }

    /// An attempt ends that does not count.
    pub fn give_back(&mut self, id: u64, due_at: Option<Timestamp>) {
        self.job(id).attempts -= 1;
        self.wait(id, due_at, Place::Kept);
    }

    /// The same for one that waits already: its group keeps its turn.
    pub fn wait_in_turn(&mut self, id: u64, due_at: Option<Timestamp>, place: Place) {
        self.keeps_turns = true;
        self.wait(id, due_at, place);
        self.keeps_turns = false;
        self.settle();
    }

    pub fn wait(&mut self, id: u64, due_at: Option<Timestamp>, place: Place) {
        self.leave_line(id);
        let now = self.now;
        let job = self.jobs.get_mut(&id).unwrap();
        if let Some(at) = due_at.filter(|at| *at > now) {
            job.state = State::Delayed(at);
            return self.settle();
        }
        if place == Place::Last && job.attempts > 0 && self.rules[job.queue].settings.strict == Some(true) {
            self.first_order -= 1;
            job.order = self.first_order;
        } else if place == Place::Last {
            self.last_order += 1;
            job.order = self.last_order;
        }
        job.state = State::Pending;
        let line = &mut self.lines[job.queue];
        line.push(id);
        line.sort_by_key(|id| self.jobs[id].order);
        self.settle();
    }

    pub fn leave_line(&mut self, id: u64) {
        self.lines.iter_mut().for_each(|line| line.retain(|other| *other != id));
        self.settle();
    }

    /// An attempt ends that counts; the next one may be given a time by whoever failed.
    pub fn end_badly(
        &mut self,
        id: u64,
        ending: u8,
        retry_in: Option<u64>,
        retry_at: &mut impl FnMut(u64) -> Option<Timestamp>,
    ) {
        let now = self.now;
        let job = self.jobs.get_mut(&id).unwrap();
        if let State::InFlight { given_at, begun_at, .. } = job.state {
            job.past.push((begun_at.unwrap_or(given_at).0, now.0, ending));
        }
        job.ended_at = Some(now);
        if ending == FOR_GOOD || job.attempts >= job.max_attempts {
            return self.end(id, State::Dead);
        }
        let at = retry_at(id).expect("the log says when the job is tried again");
        let waits = at.since(now).0;
        let (first, most) = job.backoff.or(self.rules[job.queue].settings.backoff).unwrap_or(USUAL_BACKOFF);
        let whole = (u64::from(first) << (job.attempts - 1)).min(most.into());
        let drawn = if first == most { whole..=whole } else { whole / 2..=whole };
        let fits = retry_in.map_or_else(|| drawn.contains(&waits), |exact| waits == exact);
        assert!(fits, "it waits {waits} ms after attempt {}, not {retry_in:?} or {drawn:?}", job.attempts);
        self.wait(id, Some(at), Place::Last);
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

    pub fn job(&mut self, id: u64) -> &mut Job {
        self.jobs.get_mut(&id).unwrap()
    }

    /// One that is there.
    pub fn there(&self, id: u64) -> Option<&Job> {
        self.jobs.get(&id).filter(|job| !job.is_gone)
    }

    /// Whether a job may be changed so; then it is.
    pub fn update(&mut self, id: u64, to: &Updated) -> bool {
        let now = self.now;
        let job = self.job(id);
        let is_waiting = job.state.is_waiting();
        let has_enough = |max| if is_waiting { max > job.attempts } else { max >= job.attempts };
        let is_begun = job.attempts > 0;
        if job.state.has_ended()
            || !to.max_attempts.is_none_or(has_enough)
            || !is_waiting && (to.delay_ms.is_some() || to.ttl_ms.is_some())
            || job.state == State::Waiting && to.delay_ms.is_some()
            || is_begun && to.ttl_ms.is_some_and(|ttl_ms| ttl_ms > 0)
        {
            return false;
        }
        if *to == Updated::default() {
            return true;
        }
        job.max_attempts = to.max_attempts.unwrap_or(job.max_attempts);
        job.priority = to.priority.unwrap_or(job.priority);
        if let Some(ttl_ms) = to.ttl_ms {
            job.expires_at = (ttl_ms > 0).then(|| now.plus(Millis(ttl_ms)));
        }
        let was_at = if let State::Delayed(at) = job.state { Some(at) } else { None };
        let due_at = to.delay_ms.map_or(was_at, |delay_ms| Some(now.plus(Millis(delay_ms))));
        let place = if was_at.is_some() || to.priority.is_some() { Place::Last } else { Place::Kept };
        if is_waiting && self.jobs[&id].state != State::Waiting {
            self.wait_in_turn(id, due_at, place);
        }
        true
    }
}
