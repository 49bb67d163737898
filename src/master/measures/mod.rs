//! Measures: what is counted since the start, for those who draw charts and set alarms. Nothing is decided by it.
//!
//! Promises: no count ever falls while the master lives, also where a queue is deleted; to note an event takes some
//! 50 ns (3 % of what a job costs the loop, by `perf` on a machine that had other work); what it costs to tell all does
//! not grow with jobs or queues. It is fed by the journal with each event, before that is applied, so that what was
//! restored from the log at the start is not counted.
//! It does not: know who asks. All of it is gone with the process.
//!
//! The first 200 queues that were there or active have counts and histograms of their own, all others those of one
//! row. How long a job was ready before its delivery is known by its place in line, see [`Places`].

mod histogram;
mod labels;
mod moments;

use crate::ids::{JobId, QueueId};
use crate::queue::events::{DeathReason, ReleaseReason};
use crate::queue::{Event, MeasuredJob, Queues};
use crate::time::Timestamp;

use histogram::{RUN, SYNC, SYNC_RECORDS, TURN, WAIT};
use labels::{Label, Labels, OTHER};
use moments::{Places, Running};

pub use histogram::{Histogram, Kind};

/// What is counted of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Count {
    Submitted,
    Delivered,
    Acked,
    Failed,
    Retried,
    DeadAttempts,
    DeadForGood,
    DeadLease,
    Cancelled,
    Expired,
    Released,
    LeasesLost,
    Requeued,
    Purged,
}

impl Count {
    /// The names of all, in their order.
    pub const NAMES: [&str; 14] = [
        "submitted",
        "delivered",
        "acked",
        "failed",
        "retried",
        "dead_attempts",
        "dead_for_good",
        "dead_lease",
        "cancelled",
        "expired",
        "released",
        "leases_lost",
        "requeued",
        "purged",
    ];
}

const _: () = assert!(Count::Purged as usize + 1 == Count::NAMES.len());

/// What is measured of one queue, or of all others.
#[derive(Debug)]
pub struct OfQueue {
    counts: [u64; Count::NAMES.len()],
    pub wait: Histogram,
    pub run: Histogram,
    running: Running,
}

impl Default for OfQueue {
    fn default() -> Self {
        let counts = [0; Count::NAMES.len()];
        OfQueue { counts, wait: Histogram::of(&WAIT), run: Histogram::of(&RUN), running: Running::default() }
    }
}

impl OfQueue {
    #[inline]
    fn count(&mut self, what: Count) {
        self.counts[what as usize] += 1;
    }

    /// The counts, in the order of [`Count::NAMES`].
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// When the one of its jobs that runs for longest was delivered.
    pub fn oldest_running(&self) -> Option<Timestamp> {
        self.running.oldest()
    }
}

#[derive(Debug)]
pub struct Measures {
    labels: Labels,
    /// By label.
    of: Vec<OfQueue>,
    places: Places,
    /// How long syncs took, and how many records each made durable.
    pub sync: Histogram,
    pub sync_records: Histogram,
    pub turn: Histogram,
    /// Reports that were refused, since their lease was not the job's live one.
    pub stale_reports: u64,
}

impl Default for Measures {
    fn default() -> Self {
        Measures {
            labels: Labels::default(),
            of: vec![OfQueue::default()],
            places: Places::default(),
            sync: Histogram::of(&SYNC),
            sync_records: Histogram::of(&SYNC_RECORDS),
            turn: Histogram::of(&TURN),
            stale_reports: 0,
        }
    }
}

impl Measures {
    /// Begins with what is there: the queues that have jobs are the first, and jobs may run.
    pub fn start(&mut self, queues: &Queues) {
        for (queue, name) in queues.queues_with_jobs() {
            self.label(queue, || name);
        }
        for (queue, since) in queues.all_running() {
            self.queue(queues, queue).running.add(since);
        }
    }

    /// A turn begins: what becomes ready from now on does so at this moment.
    #[inline]
    pub fn turn_begins(&mut self, queues: &Queues, now: Timestamp) {
        self.places.note(queues.newest_place() + 1, now);
    }

    /// Counts what an event does, which is not applied yet.
    #[inline]
    pub fn note(&mut self, queues: &Queues, event: &Event<'_>, now: Timestamp) {
        match event {
            Event::Dispatch(dispatch) => self.delivered(queues, dispatch.job, now),
            Event::Ack(ack) => self.reported(queues, ack.job, now, &[Count::Acked]),
            Event::Retry(retry) => self.reported(queues, retry.job, now, &[Count::Failed, Count::Retried]),
            Event::Timeout(timeout) => self.ended(queues, timeout.job, &[Count::Retried, Count::LeasesLost]),
            Event::Dead(dead) => match dead.reason {
                DeathReason::Attempts => self.reported(queues, dead.job, now, &[Count::Failed, Count::DeadAttempts]),
                DeathReason::ForGood => self.reported(queues, dead.job, now, &[Count::Failed, Count::DeadForGood]),
                DeathReason::Lease => self.ended(queues, dead.job, &[Count::DeadLease, Count::LeasesLost]),
            },
            Event::Release(release) => {
                let is_lost = release.reason == ReleaseReason::NeverBegun;
                self.ended(queues, release.job, &[if is_lost { Count::LeasesLost } else { Count::Released }]);
            }
            Event::Cancel(cancel) if cancel.ends => self.ended(queues, cancel.job, &[Count::Cancelled]),
            Event::Expire(expire) => self.ended(queues, expire.job, &[Count::Expired]),
            Event::Purge(purge) => self.ended(queues, purge.job, &[Count::Purged]),
            Event::Requeue(requeue) => self.ended(queues, requeue.job, &[Count::Requeued]),
            Event::Forget(forget) => {
                queues.queue(forget.queue).into_iter().for_each(|queue| self.labels.forget(queue));
            }
            _ => {}
        }
    }

    /// Counts a job that came into this queue.
    #[inline]
    pub fn submitted(&mut self, queues: &Queues, queue: QueueId) {
        self.queue(queues, queue).count(Count::Submitted);
    }

    #[inline]
    fn delivered(&mut self, queues: &Queues, job: JobId, now: Timestamp) {
        let Some(job) = queues.measured(job) else { return };
        let ready_at = self.ready_at(job.place, job.submitted_at);
        let of = self.queue(queues, job.queue);
        of.count(Count::Delivered);
        of.running.add(now);
        if let Some(at) = ready_at {
            of.wait.note(now.since(at).0);
        }
    }

    /// Since when the job of a place is ready. One that stood in line before the start counts from its submit; of one
    /// that strict order has put to the front it is not known.
    fn ready_at(&self, place: Option<u64>, submitted_at: Timestamp) -> Option<Timestamp> {
        place.map(|place| self.places.given_at(place).unwrap_or(submitted_at))
    }

    #[inline]
    fn reported(&mut self, queues: &Queues, job: JobId, now: Timestamp, what: &[Count]) {
        if let Some(job) = self.end(queues, job, what)
            && let Some((_, begun_at)) = job.running
        {
            self.queue(queues, job.queue).run.note(now.since(begun_at).0);
        }
    }

    #[inline]
    fn ended(&mut self, queues: &Queues, job: JobId, what: &[Count]) {
        self.end(queues, job, what);
    }

    /// Counts what became of a job; if it runs, it does so no more.
    #[inline]
    fn end(&mut self, queues: &Queues, job: JobId, what: &[Count]) -> Option<MeasuredJob> {
        let job = queues.measured(job)?;
        let of = self.queue(queues, job.queue);
        for what in what {
            of.count(*what);
        }
        if let Some((given_at, _)) = job.running {
            of.running.remove(given_at);
        }
        Some(job)
    }

    #[inline]
    fn queue(&mut self, queues: &Queues, queue: QueueId) -> &mut OfQueue {
        let label = self.label(queue, || queues.queue_name(queue));
        &mut self.of[usize::from(label)]
    }

    #[inline]
    fn label<'q>(&mut self, queue: QueueId, name: impl FnOnce() -> &'q str) -> Label {
        let label = self.labels.of(queue, name);
        if usize::from(label) >= self.of.len() {
            self.of.resize_with(self.labels.count(), OfQueue::default);
        }
        label
    }

    /// The queues that have measures of their own, with these.
    pub fn queues(&self) -> impl Iterator<Item = (&str, &OfQueue)> {
        self.labels.names().zip(&self.of[1..])
    }

    /// The measures of all other queues.
    pub fn other(&self) -> &OfQueue {
        &self.of[usize::from(OTHER)]
    }

    /// Since when the first job of a queue is ready, if one is.
    pub fn oldest_ready(&self, queues: &Queues, queue: QueueId) -> Option<Timestamp> {
        let (place, submitted_at) = queues.first_ready(queue)?;
        Some(self.ready_at(place, submitted_at).unwrap_or(submitted_at))
    }
}

#[cfg(test)]
mod tests;
