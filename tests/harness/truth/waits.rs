//! Jobs that wait for jobs: when each is to be let go or cancelled, by what became of those before it.

use falconqueue::ids::JobId;
use falconqueue::job::{Awaited, Before, IfFailed};
use falconqueue::queue::events::Enqueue;
use falconqueue::time::{Millis, Timestamp};

use super::{COMPLETED, DEAD, Fate, Truth};

/// What a job waits for.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    pub before: Vec<u64>,
    pub if_failed: IfFailed,
    pub delay_ms: u64,
    pub since: Timestamp,
}

/// What became of one that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Became {
    Open,
    Done,
    /// It may be requeued.
    Dead,
    Failed,
}

impl Waits {
    pub fn of(job: &Enqueue<'_>, at: Timestamp) -> Option<Waits> {
        let before: Vec<u64> = job.before?.0.iter().map(number).collect();
        assert!(before.iter().all(|before| *before < job.job.0), "job {} waits for later ones: {before:?}", job.job);
        assert_eq!(job.due_at, Timestamp(0), "the delay of job {} counts from the end of its wait", job.job);
        let (if_failed, delay_ms) = (job.if_failed.unwrap_or_default(), job.delay_ms.unwrap_or_default());
        Some(Waits { before, if_failed, delay_ms, since: at })
    }

    fn is_met(&self, became: Became) -> bool {
        became == Became::Done || self.if_failed == IfFailed::Run && became != Became::Open
    }

    fn fails(&self, became: Became) -> bool {
        match self.if_failed {
            IfFailed::Cancel => matches!(became, Became::Dead | Became::Failed),
            IfFailed::Run => false,
            IfFailed::Wait => became == Became::Failed,
        }
    }
}

fn number(before: Before) -> u64 {
    match before.what() {
        Awaited::Job(job) => job.0,
        other @ Awaited::Batch(_) => panic!("no client has asked for {other:?}"),
    }
}

impl Fate {
    fn became(&self, at: Timestamp) -> Became {
        let is_gone = self.is_purged || self.kept_until.is_some_and(|until| until <= at);
        match self.end {
            None => Became::Open,
            Some(COMPLETED) => Became::Done,
            Some(DEAD) if !is_gone => Became::Dead,
            Some(_) => Became::Failed,
        }
    }

    /// Whether it may have been forgotten by then how it ended.
    fn is_forgotten(&self, at: Timestamp) -> bool {
        self.end.is_some() && self.forgotten_at.is_some_and(|forgotten| forgotten <= at)
    }
}

impl Truth {
    /// What became of each that this job waits for. One of which it may have been forgotten when the job came that it
    /// failed may be taken for done.
    fn became<'t>(&'t self, waits: &'t Waits, at: Timestamp) -> impl Iterator<Item = (Became, bool)> + 't {
        waits.before.iter().map(move |before| {
            let fate = &self.fates[before];
            (fate.became(at), fate.is_forgotten(waits.since))
        })
    }

    /// All that it waited for have ended, as they should.
    pub(super) fn ready(&mut self, job: JobId, at: Timestamp) {
        let waits = self.running(job, "READY").waits.take().unwrap_or_else(|| panic!("job {job} does not wait"));
        let is_met = self.became(&waits, at).all(|(became, is_forgotten)| is_forgotten || waits.is_met(became));
        assert!(is_met, "job {job} is let go: {waits:?}, {:?}", self.became(&waits, at).collect::<Vec<_>>());
        self.waiting.remove(&job.0);
        if waits.delay_ms > 0 {
            self.fate(job).due_at = at.plus(Millis(waits.delay_ms));
        }
    }

    /// It is cancelled for what became of this one.
    pub(super) fn cancelled_for(&mut self, job: JobId, before: Before, at: Timestamp) {
        let before = number(before);
        self.cascades += 1;
        let became = self.fates[&before].became(at);
        let waits = self.fate(job).waits.as_ref().unwrap_or_else(|| panic!("job {job} does not wait"));
        let fails = waits.before.contains(&before) && waits.fails(became);
        assert!(fails, "job {job} is cancelled for job {before}, which became {became:?}: {waits:?}");
    }

    /// At the end of a turn none waits without a reason: one before it has not ended, or may be requeued.
    pub fn holds_waits(&self, now: Timestamp) {
        for job in &self.waiting {
            let waits = self.fates[job].waits.as_ref().expect("it waits");
            let all: Vec<(Became, bool)> = self.became(waits, now).collect();
            let fails = all.iter().any(|(became, is_forgotten)| !is_forgotten && waits.fails(*became));
            let is_open = all.iter().any(|(became, is_forgotten)| !is_forgotten && !waits.is_met(*became));
            assert!(is_open && !fails, "job {job} waits without a reason: {waits:?}, {all:?}");
        }
    }
}
