//! Views: what can be asked of the queues. Nothing changes here.

use super::after::Waits;
use super::batches::Batch;
use super::counters::Counters;
use super::entry::{Entry, Text};
use super::leases::HowFar;
use super::ruling::Rules;
use super::sides::NEVER;
use super::{Queues, SegmentUse};
use crate::ids::{JobId, LeaseId, Location, QueueId, SessionId};
use crate::job::{Backoff, Before, Ending, Settings, Standing};
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

/// What a worker is told of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobView<'a> {
    pub id: JobId,
    pub queue: &'a str,
    /// Empty for none.
    pub group: &'a str,
    /// Empty for none.
    pub key: &'a str,
    pub settings: Settings,
    /// Attempts so far.
    pub attempts: u16,
    pub payload_at: Location,
    pub payload_bytes: u32,
    /// Where its headers lie, if it has any.
    pub headers: Option<(Location, u32)>,
    /// What it wants the results of, if it does.
    pub results_of: Option<&'a [Before]>,
}

/// Everything that the state knows of a job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JobFacts<'a> {
    pub view: JobView<'a>,
    pub standing: Standing,
    pub submitted_at: Timestamp,
    /// When it is due, while it is delayed.
    pub due_at: Option<Timestamp>,
    pub lease: Option<LeaseView<'a>>,
    pub past: Option<PastView>,
    pub more: MoreFacts,
    /// How far it is, as was told under its live lease.
    pub progress: Option<&'a HowFar>,
    /// What it waits for, or has waited for and wants the results of.
    pub waits: Option<&'a Waits>,
    /// The batch that it is a member of.
    pub batch: Option<&'a Batch>,
}

/// What few jobs have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MoreFacts {
    /// For how many seconds it wants to be kept after its end.
    pub keep_s: Option<u32>,
    /// Until when it is kept that has ended.
    pub kept_until: Option<Timestamp>,
    pub backoff: Option<Backoff>,
    /// If it was not begun by then, it ends.
    pub expires_at: Option<Timestamp>,
    /// Of a completed one.
    pub result: Option<(Location, u32)>,
    /// Whether it was cancelled while it was in flight.
    pub is_cancelled: bool,
    /// Of one that waits for others: its delay once they have ended.
    pub delay_ms: u64,
}

/// When a job ended, or its last attempt that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastView {
    pub ended_at: Timestamp,
    /// How that attempt ended; nothing if none was made, or the job is completed.
    pub ending: Option<Ending>,
    pub story_at: Location,
    /// 0 where there was no room for a story.
    pub story_bytes: u32,
}

/// A live lease, and its job.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// Whether the job was cancelled while it was in flight.
    pub is_cancelled: bool,
    /// Whether another job waits for its result.
    pub is_result_wanted: bool,
    /// Of its queue, if there are any.
    rules: Option<&'a Rules>,
    keep_s: Option<u32>,
    backoff: Option<Backoff>,
}

impl LeaseView<'_> {
    /// How long the job is kept after its end, in seconds: as it says, or else its queue; nothing for not at all.
    pub fn keep_s(&self) -> Option<u32> {
        self.keep_s.or(self.rules.and_then(|rules| rules.settings.keep_s)).filter(|keep_s| *keep_s > 0)
    }

    /// How long it is kept once it is dead, in seconds; nothing for until somebody requeues or purges it.
    pub fn dead_keep_s(&self) -> Option<u32> {
        self.rules.and_then(|rules| rules.settings.dead_keep_s)
    }

    /// How long it waits after a failed attempt, if it or its queue says so.
    pub fn backoff(&self) -> Option<Backoff> {
        self.backoff.or(self.rules.and_then(|rules| rules.settings.backoff))
    }
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
        let slot = self.front_of(queue)?;
        Some(self.view(&self.table[slot]))
    }

    /// Whether any job may leave this queue.
    pub fn has_pending(&self, queue: QueueId) -> bool {
        self.front_of(queue).is_some()
    }

    /// Where a job stands that is there.
    pub fn standing(&self, job: JobId) -> Option<Standing> {
        self.table.slot(job).map(|slot| self.table[slot].standing)
    }

    /// How far a job is, if it is in flight and its worker has told.
    pub fn progress(&self, job: JobId) -> Option<&HowFar> {
        let lease = self.table[self.table.slot(job)?].lease()?;
        self.leases.progress(lease)
    }

    /// Of a queue, or of all with an empty name: how many jobs are to run now or after their backoff, and how many are
    /// delayed to a later time. Takes as long for a thousand queues as for one: it is asked in each turn of a wait.
    pub fn busy(&self, queue: &str) -> (u64, u64) {
        if queue.is_empty() {
            let delayed = (self.delayed.len() - self.retrying) as u64;
            return ((self.table.len() - self.ended) as u64 - delayed, delayed);
        }
        let counters = self.counters_of(queue).unwrap_or_default();
        let delayed = counters.delayed - counters.retrying;
        let in_flight = if is_planted(Bug::IdleEarly) { 0 } else { counters.in_flight };
        (counters.queued() + in_flight - delayed, delayed)
    }

    /// How many jobs of a queue, or of all with an empty name, have died, and how many are dead.
    pub fn deaths(&self, queue: &str) -> (u64, u64) {
        let all = || self.registry.totals();
        let counters = if queue.is_empty() { all() } else { self.counters_of(queue).unwrap_or_default() };
        (counters.died, counters.dead)
    }

    /// When this queue was last polled, if it was since the state was rebuilt.
    pub fn polled_at(&self, queue: QueueId) -> Option<Timestamp> {
        self.registry.queue(queue).polled_at
    }

    /// How many jobs are before this pending one in its line, counted up to `most`; whether these are all.
    pub fn jobs_before(&self, job: JobId, most: usize) -> (u64, bool) {
        let Some(slot) = self.table.slot(job) else { return (0, true) };
        let counted = self.line_of(&self.table[slot]).take(most + 1).take_while(|before| *before != slot).count();
        (counted.min(most) as u64, counted <= most)
    }

    /// What is counted in a queue that is there.
    pub fn counters_of(&self, queue: &str) -> Option<Counters> {
        let id = self.registry.find(queue).filter(|_| self.is_durable(queue))?;
        Some(self.registry.queue(id).counters)
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
            more: self.more(entry),
            progress: entry.lease().and_then(|lease| self.leases.progress(lease)),
            waits: self.after.of(job),
            batch: self.batches.of(job).and_then(|id| self.batches.get(id)),
        })
    }

    /// When this job ended, or its last attempt that counts.
    pub fn past(&self, job: JobId) -> Option<PastView> {
        let entry = &self.table[self.table.slot(job)?];
        let side = self.sides.side(entry).filter(|side| side.ended_at() != Timestamp(0))?;
        let story = if entry.standing == Standing::Completed { Text::default() } else { side.text };
        let ending = side.ending.filter(|_| entry.standing != Standing::Completed);
        Some(PastView { ended_at: side.ended_at(), ending, story_at: story.at, story_bytes: story.bytes })
    }

    fn more(&self, entry: &Entry) -> MoreFacts {
        let delay_ms = if entry.standing == Standing::Waiting { entry.delay_ms() } else { 0 };
        let Some(side) = self.sides.side(entry) else { return MoreFacts { delay_ms, ..MoreFacts::default() } };
        let rare = self.sides.rare(entry);
        let place = |text: Text| (text.bytes > 0).then_some((text.at, text.bytes));
        let moment = |at: Timestamp| Some(at).filter(|at| *at != NEVER);
        MoreFacts {
            keep_s: self.sides.keep_s(entry),
            kept_until: entry.standing.is_ended().then(|| entry.kept_until()).and_then(moment),
            backoff: rare.and_then(|rare| rare.backoff),
            expires_at: rare.and_then(|rare| moment(rare.expires_at)),
            result: Some(side.text).filter(|_| entry.standing == Standing::Completed).and_then(place),
            is_cancelled: side.is_cancelled,
            delay_ms,
        }
    }

    /// How long this job is kept after its end, in seconds: as it says, or else its queue; 0 for not at all.
    pub fn keep_s(&self, job: JobId) -> u32 {
        let Some(slot) = self.table.slot(job) else { return 0 };
        let entry = &self.table[slot];
        let of_queue = || self.rules_of(entry).and_then(|rules| rules.settings.keep_s);
        self.sides.keep_s(entry).or_else(of_queue).unwrap_or(0)
    }

    /// Whether this is the live lease of this job.
    pub fn is_live(&self, job: JobId, lease: LeaseId) -> bool {
        self.lease_index(job, lease).is_some()
    }

    /// Whether a job in flight was cancelled.
    pub fn is_cancelled(&self, job: JobId) -> bool {
        let entry = self.table.slot(job).map(|slot| &self.table[slot]);
        entry.and_then(|entry| self.sides.side(entry)).is_some_and(|side| side.is_cancelled)
    }

    pub fn live_lease(&self, job: JobId) -> Option<LeaseView<'_>> {
        let entry = &self.table[self.table.slot(job)?];
        let lease = self.leases.lease(entry.lease()?);
        // Most jobs have nothing beside their entry, and most queues no rules.
        let side = self.sides.side(entry);
        let rules = if self.ruled.is_empty() { None } else { self.rules_of(entry) };
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
            is_cancelled: side.is_some_and(|side| side.is_cancelled),
            is_result_wanted: self.is_result_wanted(job),
            rules,
            keep_s: side.and_then(|_| self.sides.keep_s(entry)),
            backoff: side.and_then(|_| self.sides.rare(entry)?.backoff),
        })
    }

    /// The job that holds this key.
    pub fn job_of_key(&self, key: &str) -> Option<JobId> {
        self.keys.held(key).map(|(job, _)| job)
    }

    /// What is known of the job that holds this key.
    pub fn key(&self, key: &str) -> Option<KeyView<'_>> {
        let (job, held) = self.keys.held(key)?;
        let entry = self.table.slot(job).map(|slot| &self.table[slot]);
        Some(KeyView {
            job,
            queue: entry.map_or(held.queue.as_deref().unwrap_or_default(), |entry| self.queue_of(entry)),
            standing: entry.map(|entry| entry.standing),
            digest: held.digest,
        })
    }

    /// The jobs of every queue, in the order of names.
    pub fn counters(&self) -> Vec<(QueueId, &str, &Counters)> {
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

    /// Whether nothing lives in the segment of this epoch, now and after a replay of all records.
    pub fn is_dead(&self, epoch: u32) -> bool {
        let has_faded = self.faded.contains(&epoch) && !is_planted(Bug::FadedGivenUp);
        self.live_in(epoch).texts == 0 && !has_faded
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
        (self.table.len() - in_flight - self.ended, in_flight)
    }

    /// How many jobs wait for others.
    pub fn held_back(&self) -> usize {
        self.held_back
    }

    /// How many jobs are dead.
    pub fn dead_jobs(&self) -> usize {
        self.dead
    }

    /// The name of a job's queue.
    fn queue_of(&self, entry: &Entry) -> &str {
        self.queue_name(self.groups.queue_of(entry.home))
    }

    /// What holds in a job's queue, if anything does.
    pub(super) fn rules_of(&self, entry: &Entry) -> Option<&Rules> {
        self.registry.queue(self.groups.queue_of(entry.home)).rules.as_deref()
    }

    fn headers(&self, entry: &Entry) -> Option<(Location, u32)> {
        let headers = self.sides.rare(entry)?.headers;
        (headers.bytes > 0).then_some((headers.at, headers.bytes))
    }

    fn view(&self, entry: &Entry) -> JobView<'_> {
        JobView {
            id: entry.id,
            queue: self.queue_of(entry),
            group: self.group_name(entry),
            key: self.keys.of(entry.id).map(|held| &*held.key).unwrap_or_default(),
            settings: entry.settings,
            attempts: entry.attempts,
            payload_at: entry.payload.at,
            payload_bytes: entry.payload.bytes,
            headers: self.headers(entry),
            results_of: self.after.of(entry.id).filter(|waits| waits.with_results).map(|waits| &*waits.before),
        }
    }
}
