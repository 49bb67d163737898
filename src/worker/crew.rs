//! What the threads of a pool share, and which of them does what next. It does nothing itself: no thread, no clock, no
//! link.
//!
//! All threads are alike. One at a time polls, one at a time reports, and up to `concurrency` run jobs; there are two
//! more threads than that, so that none of these waits for another. A thread that has polled runs the first of the jobs
//! that came itself, so that a lone job changes hands once.

pub mod turns;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use turns::Turns;

use super::cancel::Cancel;
use super::error::PoolError;
use super::handler::Outcome;
use super::pace::Pace;
use crate::client::Job;
use crate::ids::{JobId, LeaseId};
use crate::limits::{ITEMS_MAX, PREFETCH_BYTES_MAX, UNREPORTED_BYTES_MAX, UNREPORTED_MAX};

/// Pause after a first call that did not get through; doubled with each further one.
const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The longest pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Jobs that could not be begun count together if no more than this lies between them.
const BARREN_APART_MAX: Duration = Duration::from_secs(10);

/// How long a job that was said to be begun may wait for a thread: it was to be run within a millisecond.
const READY_MAX: Duration = Duration::from_millis(250);

/// How long to pause after so many calls before that failed.
pub fn retry_pause(failed_before: u32) -> Duration {
    (RETRY_PAUSE_FIRST * 2u32.saturating_pow(failed_before.min(8))).min(RETRY_PAUSE_MAX)
}

/// A job that was handed out.
pub struct HeldJob {
    pub job: Job,
    pub cancel: Arc<Cancel>,
    /// From then on it is given back if it was not begun.
    pub give_back_at: Instant,
}

/// What is to be told of a job.
#[derive(Debug)]
pub struct Ended {
    pub job: JobId,
    pub lease: LeaseId,
    pub outcome: Outcome,
}

impl Ended {
    /// Bytes of its words.
    pub fn bytes(&self) -> usize {
        match &self.outcome {
            Outcome::Done(result) => result.len(),
            Outcome::DoneThen { result, then } => result.len() + then.bytes(),
            Outcome::Failed { error, .. } => error.len(),
            Outcome::Stopped | Outcome::NotBegun { .. } => 0,
        }
    }
}

/// How many jobs a poll asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub free: u16,
    pub extra: u16,
}

/// What a thread is to do.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made, and kept nowhere")]
pub enum Task {
    /// Tell the master what came of these.
    Report(Vec<Ended>),
    Run(HeldJob),
    /// Tell the master that these are begun, and put them where they are taken from to be run.
    Begin(Vec<HeldJob>),
    Poll(Wanted),
    /// Nothing, until then at most.
    Wait(Option<Instant>),
    Leave,
}

#[derive(Default)]
pub struct Crew {
    concurrency: usize,
    pub turns: Turns,
    pub pace: Pace,
    /// Handed out and not begun.
    held: VecDeque<HeldJob>,
    held_bytes: usize,
    /// Said to be begun, and about to be run.
    ready: VecDeque<HeldJob>,
    /// Of which a thread is saying so.
    beginning: usize,
    running: usize,
    ended: Vec<Ended>,
    /// Of these, and of what could not be reported.
    ended_bytes: usize,
    is_reporting: bool,
    /// What could not be reported, and when to try it again; whether all else waits for that, too.
    refused: Vec<Ended>,
    retry_reports_at: Option<Instant>,
    holds_all: bool,
    failed_reports: u32,
    pub is_polling: bool,
    /// A poll for jobs that are only to be held came back without any, and no job has come since.
    is_dry: bool,
    /// A job was held for too long, and none has ended since.
    is_stuck: bool,
    pub stopping: bool,
    /// No jobs are taken for now.
    pub quiet: bool,
    /// How often polls failed one after another.
    pub failed_polls: u32,
    /// Until when reports are tried again, once running jobs were told to stop.
    pub report_until: Option<Instant>,
    /// Nothing is begun before this.
    rest_until: Option<Instant>,
    /// Since when no job that came could be begun, and when that was last so.
    barren: Option<(Instant, Instant)>,
    pub error: Option<PoolError>,
    /// Threads that live, wait for something to do, and of these were woken.
    pub living: usize,
    pub idle: usize,
    pub woken: usize,
}

impl Crew {
    pub fn new(concurrency: usize, prefetch: Option<u16>, weights: &[u32]) -> Crew {
        Crew { concurrency, pace: Pace::new(prefetch), turns: Turns::new(weights), ..Crew::default() }
    }

    /// What a thread that has nothing to do is to do next.
    pub fn next(&mut self, now: Instant) -> Task {
        if self.has_to_report(now) {
            self.is_reporting = true;
            return Task::Report(self.take_ended(now));
        }
        if self.may_begin(now) {
            if let Some(job) = self.ready.pop_front() {
                self.running += 1;
                return Task::Run(job);
            }
            let count = self.held.len().min(self.begun_together());
            if count > 0 {
                self.beginning += count;
                let jobs: Vec<HeldJob> = self.held.drain(..count).collect();
                self.held_bytes -= jobs.iter().map(|held| held.job.payload.len()).sum::<usize>();
                return Task::Begin(jobs);
            }
        }
        if let Some(wanted) = self.wanted(now) {
            self.is_polling = true;
            return Task::Poll(wanted);
        }
        if self.stopping && (self.refused.is_empty() || self.is_reporting) {
            return Task::Leave;
        }
        Task::Wait([self.rest_until, self.retry_reports_at].into_iter().flatten().filter(|until| *until > now).min())
    }

    /// Whether there is something to do for one more thread.
    pub fn has_work(&self, now: Instant) -> bool {
        let to_begin = !self.held.is_empty() && self.begun_together() > 0;
        let to_run = self.may_begin(now) && (to_begin || !self.ready.is_empty());
        to_run || self.has_to_report(now) || self.wanted(now).is_some()
    }

    /// Jobs that run now.
    pub fn running(&self) -> usize {
        self.running
    }

    fn has_to_report(&self, now: Instant) -> bool {
        let may_retry = self.retry_reports_at.is_none_or(|at| at <= now);
        let fresh = !self.ended.is_empty() && (may_retry || !self.holds_all);
        !self.is_reporting && (fresh || may_retry && !self.refused.is_empty())
    }

    /// Whether so much waits to be reported that nothing further is begun before some of it was.
    fn is_clogged(&self) -> bool {
        self.ended_bytes > UNREPORTED_BYTES_MAX || self.ended.len() + self.refused.len() > UNREPORTED_MAX
    }

    fn is_active(&self, now: Instant) -> bool {
        !self.stopping && self.rest_until.is_none_or(|until| until <= now)
    }

    fn may_begin(&self, now: Instant) -> bool {
        self.is_active(now) && self.running < self.concurrency && !self.is_clogged()
    }

    /// How many jobs are said to be begun in one frame: as many as the free slots take at once, or as are begun within
    /// a millisecond, together with those of which this was said already. Should this process be killed right then, an
    /// attempt of these counts.
    fn begun_together(&self) -> usize {
        let free = self.concurrency - self.running;
        free.max(self.pace.per_ms()).saturating_sub(self.ready.len() + self.beginning).min(ITEMS_MAX)
    }

    /// How many jobs to poll for.
    fn wanted(&self, now: Instant) -> Option<Wanted> {
        let takes_jobs = self.is_active(now) && !self.quiet && !self.is_polling;
        if !takes_jobs || self.held_bytes >= PREFETCH_BYTES_MAX || self.is_clogged() {
            return None;
        }
        let in_hand = self.held.len() + self.ready.len() + self.beginning;
        let slots = self.concurrency - self.running;
        let free = slots.saturating_sub(in_hand).min(ITEMS_MAX);
        let surplus = in_hand.saturating_sub(slots);
        let target = if self.is_stuck { 0 } else { self.pace.extra() };
        let extra = target.saturating_sub(surplus).min(ITEMS_MAX - free);
        // One that would ask for little soon asks for more.
        let asks = free > 0 || (extra > 0 && 2 * surplus <= target && !self.is_dry);
        let count = |number: usize| u16::try_from(number).expect("at most 1,024");
        asks.then(|| Wanted { free: count(free), extra: count(extra) })
    }

    /// Jobs came in answer to a poll; or none, and it was for these.
    pub fn take_in(&mut self, jobs: Vec<HeldJob>, wanted: Wanted) {
        self.is_dry = jobs.is_empty() && wanted.free == 0;
        for held in jobs {
            if self.stopping || self.quiet {
                self.give_back(&held);
            } else {
                self.held_bytes += held.job.payload.len();
                self.held.push_back(held);
            }
        }
    }

    /// Of the jobs that a thread was to begin these were, and the others are no longer this worker's.
    pub fn begun(&mut self, jobs: Vec<HeldJob>, count: usize, now: Instant) {
        self.beginning -= count;
        for mut held in jobs {
            if self.stopping {
                self.give_back(&held);
            } else {
                held.give_back_at = held.give_back_at.min(now + READY_MAX);
                self.ready.push_back(held);
            }
        }
    }

    /// A job that ran has ended. Nothing is told of one whose lease was lost.
    pub fn ran(&mut self, ended: Option<Ended>) {
        self.running -= 1;
        self.is_stuck = false;
        self.pace.finished();
        self.ended_bytes += ended.as_ref().map_or(0, Ended::bytes);
        self.ended.extend(ended);
    }

    fn give_back(&mut self, held: &HeldJob) {
        self.ended.push(Ended { job: held.job.id, lease: held.job.lease, outcome: Outcome::Stopped });
    }

    /// What is reported together.
    fn take_ended(&mut self, now: Instant) -> Vec<Ended> {
        if self.retry_reports_at.is_none_or(|at| at <= now) {
            self.retry_reports_at = None;
            self.ended.append(&mut self.refused);
        }
        let mut bytes = 0;
        let fits = |ended: &&Ended| {
            bytes += ended.bytes();
            bytes <= UNREPORTED_BYTES_MAX
        };
        let count = self.ended.iter().take(ITEMS_MAX).take_while(fits).count().max(1);
        let taken: Vec<Ended> = self.ended.drain(..count).collect();
        self.ended_bytes -= taken.iter().map(Ended::bytes).sum::<usize>();
        taken
    }

    /// What was taken to be reported has been, but for these: they are tried again after a pause that grows, and all
    /// else with them where the master could not be reached. Says whether this is the first time.
    pub fn reported(&mut self, rest: Vec<Ended>, holds_all: bool, now: Instant) -> bool {
        self.is_reporting = false;
        if rest.is_empty() {
            self.failed_reports = 0;
            return false;
        }
        self.ended_bytes += rest.iter().map(Ended::bytes).sum::<usize>();
        self.refused.extend(rest);
        self.holds_all = holds_all;
        self.retry_reports_at = Some(now + retry_pause(self.failed_reports));
        self.failed_reports += 1;
        self.failed_reports == 1
    }

    /// A job could not be begun here: nothing is tried for a while. Says since when this goes on; a failure long ago
    /// does not count.
    pub fn was_barren(&mut self, now: Instant) -> Instant {
        self.rest_until = Some(now + RETRY_PAUSE_MAX);
        let recent = self.barren.filter(|(_, last)| now - *last < BARREN_APART_MAX);
        let since = recent.map_or(now, |(since, _)| since);
        self.barren = Some((since, now));
        since
    }

    /// A job ran.
    pub fn was_fruitful(&mut self) {
        self.barren = None;
    }

    /// From now on nothing is begun; what was not is given back.
    pub fn begin_stop(&mut self) {
        self.stopping = true;
        self.held_bytes = 0;
        let unbegun: Vec<HeldJob> = self.held.drain(..).chain(self.ready.drain(..)).collect();
        for held in &unbegun {
            self.give_back(held);
        }
    }

    /// Takes no jobs for now, or takes them again. What is only held is given back then; what was said to be begun is
    /// run.
    pub fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
        if quiet {
            self.held_bytes = 0;
            for held in std::mem::take(&mut self.held) {
                self.give_back(&held);
            }
        }
    }

    /// Gives back what has been held for too long.
    pub fn give_back_overdue(&mut self, now: Instant) {
        let mut overdue = Vec::new();
        for line in [&mut self.held, &mut self.ready] {
            let (late, rest) = line.drain(..).partition(|held| held.give_back_at <= now);
            *line = rest;
            overdue.push(late);
        }
        self.held_bytes -= overdue[0].iter().map(|held: &HeldJob| held.job.payload.len()).sum::<usize>();
        let overdue: Vec<HeldJob> = overdue.into_iter().flatten().collect();
        for held in &overdue {
            self.give_back(held);
        }
        if !overdue.is_empty() {
            log::debug!("{} jobs were held for too long, and are given back", overdue.len());
            self.is_stuck = true;
        }
    }
}

#[cfg(test)]
mod tests;
