//! Views: what can be asked of the queues. Nothing changes here.

use super::counters::Counters;
use super::deadlines::NIL;
use super::entry::{Entry, Text};
use super::leases::HowFar;
use super::{Queues, SegmentUse};
use crate::ids::{JobId, LeaseId, Location, QueueId, SessionId};
use crate::job::{Ending, Settings, Standing};
use crate::time::Timestamp;

/// What a worker is told of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobView<'a> {
    pub id: JobId,
    pub queue: &'a str,
    /// Empty for none.
    pub key: &'a str,
    pub settings: Settings,
    /// Attempts so far.
    pub attempts: u16,
    pub payload_at: Location,
    pub payload_bytes: u32,
}

/// Everything that the state knows of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobFacts<'a> {
    pub view: JobView<'a>,
    pub standing: Standing,
    pub submitted_at: Timestamp,
    /// When it is due, while it is delayed.
    pub due_at: Option<Timestamp>,
    pub lease: Option<LeaseView<'a>>,
    pub past: Option<PastView>,
    /// How far it is, as was told under its live lease.
    pub progress: Option<&'a HowFar>,
}

/// How a job's last attempt ended that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastView {
    pub ended_at: Timestamp,
    pub ending: Ending,
    pub story_at: Location,
    /// 0 where there was no room for a story.
    pub story_bytes: u32,
}

/// A live lease, and its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseView<'a> {
    pub id: LeaseId,
    pub holder: SessionId,
    /// What the worker called itself.
    pub worker: &'a str,
    /// When it was handed out.
    pub given_at: Timestamp,
    /// Since when it may have been started, if that is so.
    pub begun_at: Option<Timestamp>,
    pub deadline: Timestamp,
    pub has_key: bool,
    /// Attempts of its job so far, this one counted.
    pub attempts: u16,
    pub max_attempts: u16,
}

/// A key that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyView<'a> {
    pub job: JobId,
    pub queue: &'a str,
    /// Nothing for a job that is completed.
    pub standing: Option<Standing>,
    /// Of its payload.
    pub digest: u64,
}

impl Queues {
    pub fn next_job(&self) -> JobId {
        self.next_job
    }

    /// The queue of this name, if it is there.
    pub fn queue(&self, name: &str) -> Option<QueueId> {
        self.registry.find(name)
    }

    /// Whether the queue of this name has its place: it has or had jobs. A name that polls alone use has none.
    pub fn is_durable(&self, name: &str) -> bool {
        self.registry.is_durable(name)
    }

    /// How many queues there are that have or had jobs.
    pub fn durable_queues(&self) -> usize {
        self.registry.durable()
    }

    /// Queues without jobs that were last used before `before`.
    pub fn idle_queues(&self, before: Timestamp) -> impl Iterator<Item = QueueId> {
        self.registry.idle(before)
    }

    pub fn queue_name(&self, queue: QueueId) -> &str {
        &self.registry.queue(queue).name
    }

    /// The job that would leave this queue next.
    pub fn front(&self, queue: QueueId) -> Option<JobView<'_>> {
        let slot = self.registry.queue(queue).lines.front()?;
        Some(self.view(&self.table[slot]))
    }

    /// Whether any job waits in this queue.
    pub fn has_pending(&self, queue: QueueId) -> bool {
        self.registry.queue(queue).lines.front().is_some()
    }

    pub fn facts(&self, job: JobId) -> Option<JobFacts<'_>> {
        let entry = &self.table[self.table.slot(job)?];
        Some(JobFacts {
            view: self.view(entry),
            standing: entry.standing,
            submitted_at: entry.submitted_at.into(),
            due_at: (entry.standing == Standing::Delayed).then(|| entry.due_at()),
            lease: self.live_lease(job),
            past: self.past(job),
            progress: entry.lease().and_then(|lease| self.leases.progress(lease)),
        })
    }

    /// How the last attempt of this job ended that counts.
    pub fn past(&self, job: JobId) -> Option<PastView> {
        let entry = &self.table[self.table.slot(job)?];
        if entry.past == NIL {
            return None;
        }
        let past = self.pasts[entry.past];
        let Text { at: story_at, bytes: story_bytes } = past.story;
        Some(PastView { ended_at: past.ended_at, ending: past.ending, story_at, story_bytes })
    }

    /// Whether this is the live lease of this job.
    pub fn is_live(&self, job: JobId, lease: LeaseId) -> bool {
        self.lease_index(job, lease).is_some()
    }

    pub fn live_lease(&self, job: JobId) -> Option<LeaseView<'_>> {
        let entry = &self.table[self.table.slot(job)?];
        let lease = self.leases.lease(entry.lease()?);
        Some(LeaseView {
            id: lease.granted.id,
            holder: lease.holder,
            worker: self.names.text(lease.granted.worker),
            given_at: lease.granted.given_at,
            begun_at: lease.begun_at,
            deadline: lease.deadline,
            has_key: self.keys.of(job).is_some(),
            attempts: entry.attempts,
            max_attempts: entry.settings.max_attempts,
        })
    }

    /// The job that holds this key.
    pub fn job_of_key(&self, key: &str) -> Option<JobId> {
        self.keys.held(key).map(|held| held.job)
    }

    /// What is known of the job that holds this key.
    pub fn key(&self, key: &str) -> Option<KeyView<'_>> {
        let held = self.keys.held(key)?;
        let entry = self.table.slot(held.job).map(|slot| &self.table[slot]);
        Some(KeyView {
            job: held.job,
            queue: entry.map_or(held.queue.as_deref().unwrap_or_default(), |entry| self.queue_name(entry.queue)),
            standing: entry.map(|entry| entry.standing),
            digest: held.digest,
        })
    }

    /// The jobs of every queue, in the order of names.
    pub fn counters(&self) -> Vec<(&str, Counters)> {
        self.registry.counters()
    }

    /// All jobs by where they stand.
    pub fn totals(&self) -> Counters {
        self.registry.totals()
    }

    /// What lives in the segment of this epoch.
    pub fn live_in(&self, epoch: u32) -> SegmentUse {
        self.usage.of(epoch)
    }

    /// Bytes that live in all segments.
    pub fn live_bytes(&self) -> u64 {
        self.usage.total()
    }

    /// The epochs of the segments in which something lives, ascending.
    pub fn live_epochs(&self) -> impl Iterator<Item = u32> {
        self.usage.epochs()
    }

    /// How many jobs wait, delayed or not, and how many are in flight.
    pub fn unfinished(&self) -> (usize, usize) {
        let in_flight = self.leases.len();
        (self.table.len() - in_flight - self.dead, in_flight)
    }

    fn view(&self, entry: &Entry) -> JobView<'_> {
        JobView {
            id: entry.id,
            queue: self.queue_name(entry.queue),
            key: self.keys.of(entry.id).map(|(key, _)| key).unwrap_or_default(),
            settings: entry.settings,
            attempts: entry.attempts,
            payload_at: entry.payload.at,
            payload_bytes: entry.payload.bytes,
        }
    }
}
