//! What the threads of a pool share, and which of them does what next. It does nothing itself: no thread, no clock, no
//! link.
//!
//! All threads are alike. One at a time polls, one at a time reports, and up to `concurrency` run jobs; there are two
//! more threads than that, so that none of these waits for another. A thread that has polled runs the first of the jobs
//! that came itself, so that a lone job changes hands once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cancel::Cancel;
use super::error::PoolError;
use super::handler::Outcome;
use super::pace::Pace;
use crate::client::Job;
use crate::ids::{JobId, LeaseId};
use crate::limits::{ITEMS_MAX, PREFETCH_BYTES_MAX, UNREPORTED_BYTES_MAX};

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
    ended_bytes: usize,
    is_reporting: bool,
    pub is_polling: bool,
    /// A poll for jobs that are only to be held came back without any, and no job has come since.
    is_dry: bool,
    /// A job was held for too long, and none has ended since.
    is_stuck: bool,
    pub stopping: bool,
    /// How often polls failed one after another.
    pub failed_polls: u32,
    /// Until when reports are tried again, once running jobs were told to stop.
    pub report_until: Option<Instant>,
    /// Nothing is begun before this.
    rest_until: Option<Instant>,
    /// Since when no job that came could be begun.
    barren_since: Option<Instant>,
    pub error: Option<PoolError>,
    /// Threads that live, wait for something to do, and of these were woken.
    pub living: usize,
    pub idle: usize,
    pub woken: usize,
}

impl Crew {
    pub fn new(concurrency: usize, prefetch: Option<u16>) -> Crew {
        Crew { concurrency, pace: Pace::new(prefetch), ..Crew::default() }
    }

    /// What a thread that has nothing to do is to do next.
    pub fn next(&mut self, now: Instant) -> Task {
        if self.has_to_report() {
            self.is_reporting = true;
            return Task::Report(self.take_ended());
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
        if self.stopping {
            return Task::Leave;
        }
        Task::Wait(self.rest_until.filter(|until| *until > now))
    }

    /// Whether there is something to do for one more thread.
    pub fn has_work(&self, now: Instant) -> bool {
        let to_begin = !self.held.is_empty() && self.begun_together() > 0;
        let to_run = self.may_begin(now) && (to_begin || !self.ready.is_empty());
        to_run || self.has_to_report() || self.wanted(now).is_some()
    }

    /// Jobs that run now.
    pub fn running(&self) -> usize {
        self.running
    }

    fn has_to_report(&self) -> bool {
        !self.is_reporting && !self.ended.is_empty()
    }

    fn is_active(&self, now: Instant) -> bool {
        !self.stopping && self.rest_until.is_none_or(|until| until <= now)
    }

    fn may_begin(&self, now: Instant) -> bool {
        self.is_active(now) && self.running < self.concurrency && self.ended_bytes <= UNREPORTED_BYTES_MAX
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
        if self.is_polling || !self.is_active(now) || self.held_bytes >= PREFETCH_BYTES_MAX {
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
            if self.stopping {
                self.give_back(&held);
            } else {
                self.held_bytes += held.job.payload.len();
                self.held.push_back(held);
            }
        }
    }

    /// Of the jobs that a thread was to begin these were, and the others are no longer this worker's.
    pub fn begun(&mut self, jobs: Vec<HeldJob>, count: usize) {
        self.beginning -= count;
        for held in jobs {
            if self.stopping {
                self.give_back(&held);
            } else {
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
    fn take_ended(&mut self) -> Vec<Ended> {
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

    /// What was taken to be reported has been.
    pub fn reported(&mut self) {
        self.is_reporting = false;
    }

    /// A job could not be begun here: nothing is tried for a while. Says since when this goes on.
    pub fn was_barren(&mut self, now: Instant, rest: Duration) -> Instant {
        self.rest_until = Some(now + rest);
        *self.barren_since.get_or_insert(now)
    }

    /// A job ran.
    pub fn was_fruitful(&mut self) {
        self.barren_since = None;
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

    /// Gives back what has been held for too long.
    pub fn give_back_overdue(&mut self, now: Instant) {
        let count = self.held.iter().take_while(|held| held.give_back_at <= now).count();
        for held in self.held.drain(..count).collect::<Vec<_>>() {
            self.held_bytes -= held.job.payload.len();
            self.give_back(&held);
        }
        if count > 0 {
            log::debug!("{count} jobs were held for too long, and are given back");
            self.is_stuck = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::BootTime;

    fn held(number: u64, now: Instant) -> HeldJob {
        let (id, lease, payload) = (JobId(number), LeaseId(number), vec![0; 10]);
        let job = Job { id, lease, payload, ..Job::sample() };
        let cancel = Arc::new(Cancel::new(BootTime::now(), Duration::ZERO));
        HeldJob { job, cancel, give_back_at: now + Duration::from_secs(5) }
    }

    fn crew(concurrency: usize, prefetch: u16, jobs: u64) -> (Crew, Instant) {
        let now = Instant::now();
        let mut crew = Crew::new(concurrency, Some(prefetch));
        crew.take_in((0..jobs).map(|number| held(number, now)).collect(), Wanted { free: 1, extra: 0 });
        (crew, now)
    }

    fn polls(task: Task) -> Option<Wanted> {
        if let Task::Poll(wanted) = task { Some(wanted) } else { None }
    }

    #[test]
    fn an_idle_crew_polls_for_all_its_slots_once() {
        let (mut crew, now) = crew(4, 6, 0);
        assert_eq!(polls(crew.next(now)), Some(Wanted { free: 4, extra: 6 }));
        assert!(matches!(crew.next(now), Task::Wait(None)));
    }

    #[test]
    fn jobs_are_begun_together_as_far_as_slots_are_free_and_run_one_by_one() {
        let (mut crew, now) = crew(2, 0, 3);
        let Task::Begin(begun) = crew.next(now) else { panic!("it begins") };
        assert_eq!(begun.len(), 2, "a third would wait for a slot");
        assert!(!matches!(crew.next(now), Task::Begin(_)), "also while it is said that these are begun");
        crew.begun(begun, 2);
        assert!(matches!(crew.next(now), Task::Run(_)) && matches!(crew.next(now), Task::Run(_)));
        assert!(matches!(crew.next(now), Task::Wait(_)), "both slots are taken, and no job is to be held");
        crew.ran(None);
        assert!(matches!(crew.next(now), Task::Begin(begun) if begun.len() == 1));
    }

    #[test]
    fn jobs_to_be_held_are_asked_for_when_half_of_them_are_gone_and_not_again_where_there_were_none() {
        let (mut crew, now) = crew(1, 4, 1);
        let Task::Begin(begun) = crew.next(now) else { panic!("it begins") };
        crew.begun(begun, 1);
        assert!(matches!(crew.next(now), Task::Run(_)));
        let wanted = Wanted { free: 0, extra: 4 };
        assert_eq!(polls(crew.next(now)), Some(wanted));
        crew.is_polling = false;
        crew.take_in(Vec::new(), wanted);
        assert!(matches!(crew.next(now), Task::Wait(None)));
        crew.take_in((2..5).map(|number| held(number, now)).collect(), wanted);
        assert!(matches!(crew.next(now), Task::Wait(_)), "three of four are there");
    }

    #[test]
    fn one_thread_reports_and_takes_all_that_ended_meanwhile() {
        let (mut crew, now) = crew(2, 0, 2);
        let Task::Begin(begun) = crew.next(now) else { panic!("it begins") };
        crew.begun(begun, 2);
        let done = |number| Ended { job: JobId(number), lease: LeaseId(number), outcome: Outcome::Done(vec![0; 9]) };
        assert!(matches!(crew.next(now), Task::Run(_)) && matches!(crew.next(now), Task::Run(_)));
        crew.ran(Some(done(0)));
        assert!(matches!(crew.next(now), Task::Report(first) if first.len() == 1));
        crew.ran(Some(done(1)));
        assert!(!crew.has_to_report());
        crew.reported();
        assert!(matches!(crew.next(now), Task::Report(second) if second[0].job == JobId(1)));
        assert_eq!(crew.ended_bytes, 0);
    }

    #[test]
    fn a_crew_that_stops_gives_back_what_it_has_not_run() {
        let (mut crew, now) = crew(1, 0, 3);
        let Task::Begin(begun) = crew.next(now) else { panic!("it begins") };
        crew.begin_stop();
        crew.begun(begun, 1);
        crew.take_in(vec![held(9, now)], Wanted { free: 1, extra: 0 });
        let Task::Report(ended) = crew.next(now) else { panic!("it reports") };
        assert_eq!((ended.len(), ended.iter().all(|ended| ended.outcome == Outcome::Stopped)), (4, true));
        assert!(matches!(crew.next(now), Task::Leave));
    }

    #[test]
    fn what_is_held_for_too_long_is_given_back_and_no_more_is_held_until_a_job_ends() {
        let (mut crew, now) = crew(1, 9, 5);
        let Task::Begin(begun) = crew.next(now) else { panic!("it begins") };
        crew.begun(begun, 1);
        assert!(matches!(crew.next(now), Task::Run(_)));
        crew.is_polling = true;
        let later = now + Duration::from_secs(5);
        crew.give_back_overdue(now);
        assert!(matches!(crew.next(now), Task::Wait(None)));
        crew.is_polling = false;
        crew.give_back_overdue(later);
        assert!(matches!(crew.next(later), Task::Report(ended) if ended.len() == 4));
        assert_eq!(crew.held_bytes, 0);
        assert!(matches!(crew.next(later), Task::Wait(None)), "it would hold them for as long again");
        crew.ran(None);
        assert_eq!(polls(crew.next(later)), Some(Wanted { free: 1, extra: 9 }));
    }

    #[test]
    fn nothing_is_begun_or_polled_for_while_it_rests() {
        let (mut crew, now) = crew(1, 0, 1);
        let since = crew.was_barren(now, Duration::from_secs(1));
        assert!(matches!(crew.next(now), Task::Wait(Some(_))) && !crew.has_work(now));
        let later = now + Duration::from_secs(1);
        assert!(crew.has_work(later));
        assert_eq!(crew.was_barren(later, Duration::from_secs(1)), since);
        crew.was_fruitful();
        assert_eq!(crew.was_barren(later, Duration::from_secs(1)), later);
    }
}
