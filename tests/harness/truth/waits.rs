//! Jobs that wait for jobs: when each is to be let go or cancelled, by what became of those before it.

use falconqueue::ids::JobId;
use falconqueue::job::{Awaited, Before, IfFailed};
use falconqueue::queue::events::Enqueue;
use falconqueue::time::{Millis, Timestamp};

use super::{COMPLETED, DEAD, Fate, Truth};

/// What a job waits for.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    pub before: Vec<Before>,
    pub if_failed: IfFailed,
    pub delay_ms: u64,
    pub since: Timestamp,
}

/// How something that is waited for has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It may be requeued.
    Dead,
    ForGood,
}

/// What became of one that is waited for. A batch may have failed before it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Became {
    pub is_over: bool,
    pub failed: Option<Failed>,
}

impl Waits {
    pub fn of(job: &Enqueue<'_>, at: Timestamp) -> Option<Waits> {
        let before: Vec<Before> = job.before?.0.iter().collect();
        let is_earlier = |before: &Before| match before.what() {
            Awaited::Job(before) => before < job.job,
            Awaited::Batch(batch) => job.batch != Some(batch),
        };
        assert!(before.iter().all(is_earlier), "job {} waits for later ones: {before:?}", job.job);
        assert_eq!(job.due_at, Timestamp(0), "the delay of job {} counts from the end of its wait", job.job);
        let (if_failed, delay_ms) = (job.if_failed.unwrap_or_default(), job.delay_ms.unwrap_or_default());
        Some(Waits { before, if_failed, delay_ms, since: at })
    }

    fn is_met(&self, became: Became) -> bool {
        became.is_over && (self.if_failed == IfFailed::Run || became.failed.is_none())
    }

    fn fails(&self, became: Became) -> bool {
        match self.if_failed {
            IfFailed::Cancel => became.failed.is_some(),
            IfFailed::Run => false,
            IfFailed::Wait => became.failed == Some(Failed::ForGood),
        }
    }
}

impl Fate {
    pub(super) fn became(&self, at: Timestamp) -> Became {
        let is_gone = self.is_purged || self.kept_until.is_some_and(|until| until <= at);
        let failed = match self.end {
            None | Some(COMPLETED) => None,
            Some(DEAD) if !is_gone => Some(Failed::Dead),
            Some(_) => Some(Failed::ForGood),
        };
        Became { is_over: self.end.is_some(), failed }
    }

    /// Whether it may have been forgotten by then how it ended.
    fn is_forgotten(&self, at: Timestamp) -> bool {
        self.end.is_some() && self.forgotten_at.is_some_and(|forgotten| forgotten <= at)
    }
}

impl Truth {
    /// What became of each that this job waits for. One of which it may have been forgotten when the job came that it
    /// failed may be taken for done; a batch is known as long as somebody waits for it.
    fn became<'t>(&'t self, waits: &'t Waits, at: Timestamp) -> impl Iterator<Item = (Became, bool)> + 't {
        waits.before.iter().map(move |before| match before.what() {
            Awaited::Job(job) => {
                let fate = &self.fates[&job.0];
                (fate.became(at), fate.is_forgotten(waits.since))
            }
            Awaited::Batch(batch) => (self.batch_became(batch, at), false),
        })
    }

    /// Whether a job waits for this one.
    pub(super) fn is_waited_for(&self, before: Before) -> bool {
        let waits = |job: &u64| self.fates[job].waits.as_ref().is_some_and(|waits| waits.before.contains(&before));
        self.waiting.iter().any(waits)
    }

    /// All that it waited for have ended, as they should.
    pub(super) fn ready(&mut self, job: JobId, at: Timestamp) {
        assert!(self.is_let_go(job), "job {job} is let go before its batch");
        let waits = self.running(job, "READY").waits.take().unwrap_or_else(|| panic!("job {job} does not wait"));
        let is_met = self.became(&waits, at).all(|(became, is_forgotten)| is_forgotten || waits.is_met(became));
        assert!(is_met, "job {job} is let go: {waits:?}, {:?}", self.became(&waits, at).collect::<Vec<_>>());
        self.waiting.remove(&job.0);
        if waits.delay_ms > 0 {
            self.fate(job).due_at = at.plus(Millis(waits.delay_ms));
        }
    }

    /// It is cancelled for what became of this one, which may be its own batch.
    pub(super) fn cancelled_for(&mut self, job: JobId, before: Before, at: Timestamp) {
        let became = match before.what() {
            Awaited::Job(before) => self.fates[&before.0].became(at),
            Awaited::Batch(batch) if self.fate(job).batch == Some(batch) => return self.holds_called_off(job, batch),
            Awaited::Batch(batch) => self.batch_became(batch, at),
        };
        self.cascades += 1;
        let waits = self.fate(job).waits.as_ref().unwrap_or_else(|| panic!("job {job} does not wait"));
        let fails = waits.before.contains(&before) && waits.fails(became);
        assert!(fails, "job {job} is cancelled for {before}, which became {became:?}: {waits:?}");
    }

    /// At the end of a turn none waits without a reason: one before it has not ended, or may be requeued, or its batch
    /// has not ended.
    pub fn holds_waits(&self, now: Timestamp) {
        self.holds_batches();
        for job in self.waiting.iter().filter(|job| self.is_let_go(JobId(**job))) {
            let waits = self.fates[job].waits.as_ref().expect("it waits");
            let all: Vec<(Became, bool)> = self.became(waits, now).collect();
            let fails = all.iter().any(|(became, is_forgotten)| !is_forgotten && waits.fails(*became));
            let is_open = all.iter().any(|(became, is_forgotten)| !is_forgotten && !waits.is_met(*became));
            assert!(is_open && !fails, "job {job} waits without a reason: {waits:?}, {all:?}");
        }
    }
}
