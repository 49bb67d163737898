//! What those who measure look at: each look costs the same, however many jobs and queues there are.

use super::deadlines::NIL;
use super::entry::Entry;
use super::leases::Lease;
use super::{FIRST_PLACE, Queues};
use crate::ids::{JobId, QueueId};
use crate::job::Standing;
use crate::time::Timestamp;

/// Lines of a queue and its groups whose first jobs are looked at.
const FRONTS_MAX: usize = 256;

/// A job, as it is before something becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasuredJob {
    pub queue: QueueId,
    pub submitted_at: Timestamp,
    /// Where it stands in line, if it stands at the back of one: those that came later have a higher place.
    pub place: Option<u64>,
    /// Since when a worker has it, and may have begun it, if one has it.
    pub running: Option<(Timestamp, Timestamp)>,
}

/// Jobs by where they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    pub ready: u64,
    pub delayed: u64,
    pub waiting: u64,
    pub in_flight: u64,
    pub dead: u64,
    pub kept: u64,
}

/// What limits a queue, and how much of it is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub running_max: Option<u64>,
    /// Tokens that it has, and the most that it may have.
    pub tokens: Option<(u64, u64)>,
}

impl Queues {
    /// A job that is there.
    #[inline]
    pub fn measured(&self, job: JobId) -> Option<MeasuredJob> {
        let entry = &self.table[self.table.slot(job)?];
        let running = entry.lease().map(|index| times(self.leases.lease(index)));
        let queue = self.groups.queue_of(entry.home);
        Some(MeasuredJob { queue, submitted_at: entry.submitted_at.into(), place: place(entry), running })
    }

    /// The newest place that was given at the back of a line; each further one is above it.
    pub fn newest_place(&self) -> u64 {
        self.back
    }

    /// The place, and the moment of its submit, of the job of a queue that was ready first. The first jobs of up to
    /// 256 lines are looked at; there is one for each priority of the queue, and of each of its groups.
    pub fn first_ready(&self, queue: QueueId) -> Option<(Option<u64>, Timestamp)> {
        let queue = self.registry.queue(queue);
        let turns = queue.turns.as_deref().into_iter();
        let in_groups = turns.flat_map(|turns| self.groups.ring(turns)).flat_map(|group| self.groups.fronts(group));
        let fronts = queue.lines.fronts().chain(in_groups).take(FRONTS_MAX);
        let of = |slot: u32| (place(&self.table[slot]), Timestamp::from(self.table[slot].submitted_at));
        fronts.map(of).min_by_key(|(place, submitted_at)| (place.unwrap_or(0), *submitted_at))
    }

    /// The queue of every job in flight, and since when a worker has it, the oldest first. It looks at all of them: for
    /// the start.
    pub fn all_running(&self) -> Vec<(QueueId, Timestamp)> {
        let jobs = self.leases.granted();
        let of = |job: JobId| self.measured(job).and_then(|job| Some((job.queue, job.running?.0)));
        let mut all: Vec<_> = jobs.filter_map(of).collect();
        all.sort_unstable_by_key(|(_, since)| *since);
        all
    }

    /// The names of durable queues that have jobs, and their numbers, in the order of those.
    pub fn queues_with_jobs(&self) -> impl Iterator<Item = (QueueId, &str)> {
        let all = (0..).map(QueueId).zip(self.registry.by_id());
        all.filter_map(|(id, queue)| queue.filter(|queue| queue.counters.jobs() > 0).map(|queue| (id, &*queue.name)))
    }

    /// Where the jobs of a queue stand.
    pub fn standings(&self, queue: QueueId) -> Standings {
        let counters = &self.registry.queue(queue).counters;
        Standings {
            ready: counters.pending,
            delayed: counters.delayed,
            waiting: counters.waiting,
            in_flight: counters.in_flight,
            dead: counters.dead,
            kept: counters.kept,
        }
    }

    /// Where all jobs stand, without a look at each queue.
    pub fn all_standings(&self) -> Standings {
        let (queued, in_flight) = self.unfinished();
        let (delayed, waiting) = (self.delayed.len(), self.held_back);
        Standings {
            ready: queued.saturating_sub(delayed + waiting) as u64,
            delayed: delayed as u64,
            waiting: waiting as u64,
            in_flight: in_flight as u64,
            dead: self.dead as u64,
            kept: (self.ended - self.dead) as u64,
        }
    }

    /// The limits of a queue, as far as it has any.
    pub fn limits(&self, queue: QueueId) -> Limits {
        let queue = self.registry.queue(queue);
        let Some(rules) = &queue.rules else { return Limits::default() };
        let tokens = rules.settings.rate.map(|rate| {
            let bucket = (queue.bucket != NIL).then(|| self.groups.buckets.bucket(queue.bucket));
            let has = bucket.map_or(rate.burst, |bucket| bucket.level.tokens(bucket.rate, self.now));
            (u64::from(has), u64::from(rate.burst))
        });
        Limits { running_max: rules.settings.running_max.map(u64::from), tokens }
    }

    /// Bytes of memory by what is kept in them, as far as that is a matter of numbers. Chunks that are partly empty
    /// count by what is in them.
    pub fn memory(&self) -> [(&'static str, u64); 4] {
        let bytes = |count: usize, each: usize| (count * each) as u64;
        [
            ("jobs_memory_bytes", bytes(self.table.len(), size_of::<Entry>())),
            ("leases_memory_bytes", bytes(self.leases.len(), size_of::<Lease>())),
            ("sides_memory_bytes", self.sides.memory_bytes()),
            ("queues_memory_bytes", self.registry.memory_bytes()),
        ]
    }
}

fn place(entry: &Entry) -> Option<u64> {
    (entry.standing == Standing::Pending && entry.order() >= FIRST_PLACE).then(|| entry.order())
}

fn times(lease: &Lease) -> (Timestamp, Timestamp) {
    let given_at = lease.granted.given_at;
    (given_at, lease.begun_at.unwrap_or(given_at))
}
