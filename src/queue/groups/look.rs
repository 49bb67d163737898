//! What can be asked of groups, and whether their parts agree. Nothing changes here.

use super::{Group, Owner};
use crate::ids::{JobId, QueueId};
use crate::job::Standing;
use crate::queue::Queues;
use crate::queue::deadlines::NIL;
use crate::queue::entry::Entry;
use crate::rules::GroupSettings;
use crate::time::Timestamp;

/// From this place on those groups follow that have no settings of their own.
const GROUPS_THERE: u64 = 1 << 32;

/// What is known of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupView<'a> {
    pub name: &'a str,
    /// Its jobs that are there; of the group without a name those that wait or are in flight.
    pub jobs: u64,
    pub in_flight: u32,
    /// How many of its jobs wait for another attempt.
    pub retrying: u32,
    /// When its next token comes, if it waits for one.
    pub token_at: Option<Timestamp>,
    /// How many groups have their turn before it, if it may hand out a job; counted up to a bound.
    pub before: Option<u64>,
}

impl Queues {
    /// The group of a job, empty if it is in none.
    pub fn group_name(&self, entry: &Entry) -> &str {
        entry.home.group().map_or("", |group| self.groups.name_of(group))
    }

    /// The group of this name, if it has any state; at most so many are counted before it.
    pub fn group(&self, queue: QueueId, name: &str, most: usize) -> Option<GroupView<'_>> {
        let turns = self.registry.queue(queue).turns.as_deref()?;
        let number = if name.is_empty() { turns.nameless } else { self.groups.find(queue, name)? };
        let group = self.groups.group(number);
        let token_at = (group.bucket != NIL).then(|| self.groups.buckets.next_token_at(group.bucket)).flatten();
        let place = || self.groups.ring(turns).take(most).take_while(|other| *other != number).count() as u64;
        let Group { in_flight, retrying, .. } = *group;
        let name = self.groups.name_of(number);
        let waiting = || self.registry.queue(queue).lines.iter(&self.table).take(most.max(1000)).count() as u64;
        let jobs = if name.is_empty() { waiting() + u64::from(in_flight) } else { group.jobs.into() };
        Some(GroupView { name, jobs, in_flight, retrying, token_at, before: group.in_turn.then(place) })
    }

    /// The names of a queue's groups from a place on, up to so many, after a look at up to so many places: first those
    /// that have settings of their own, in the order of names, then others that are there. And where to go on, or 0.
    pub fn groups_from(&self, queue: QueueId, from: u64, most: usize, looked_max: u32) -> (Vec<&str>, u64) {
        let rules = self.registry.queue(queue).rules.as_deref();
        let named = rules.map_or(0, |rules| rules.groups.len() as u64);
        if from < named {
            let all = rules.into_iter().flat_map(|rules| rules.groups.keys()).map(|name| &**name);
            let found: Vec<&str> = all.skip(from as usize).take(most).collect();
            let next = from + found.len() as u64;
            return (found, if next < named { next } else { GROUPS_THERE });
        }
        let end = self.groups.groups.slots_end();
        let mut slot = (from.saturating_sub(GROUPS_THERE) as u32).min(end);
        let stop = end.min(slot.saturating_add(looked_max));
        let mut found = Vec::new();
        while slot < stop && found.len() < most {
            let group = self.groups.groups.look(slot).filter(|group| group.queue == queue);
            let is_told = |name: &str| rules.is_some_and(|rules| rules.groups.contains_key(name));
            found.extend(group.map(|_| self.groups.name_of(slot)).filter(|name| !is_told(name)));
            slot += 1;
        }
        (found, if slot < end { GROUPS_THERE + u64::from(slot) } else { 0 })
    }

    /// What holds for a group by its own name alone.
    pub fn own_rules_of_group(&self, queue: QueueId, name: &str) -> GroupSettings {
        let rules = self.registry.queue(queue).rules.as_deref();
        rules.and_then(|rules| rules.groups.get(name)).copied().unwrap_or_default()
    }

    /// When a queue's next token comes, if it waits for one.
    pub fn token_at(&self, queue: QueueId) -> Option<Timestamp> {
        let bucket = self.registry.queue(queue).bucket;
        (bucket != NIL).then(|| self.groups.buckets.next_token_at(bucket)).flatten()
    }

    /// Whether the jobs of this queue go by groups.
    pub fn has_turns(&self, queue: QueueId) -> bool {
        self.registry.queue(queue).turns.is_some()
    }

    /// How many groups there are in all, and whether this is one.
    pub fn groups(&self) -> usize {
        self.groups.named()
    }

    pub fn is_group(&self, queue: &str, name: &str) -> bool {
        self.registry.find(queue).is_some_and(|queue| self.groups.find(queue, name).is_some())
    }

    /// How many groups of a queue may hand out a job.
    pub fn groups_in_turn(&self, queue: QueueId) -> u64 {
        self.registry.queue(queue).turns.as_ref().map_or(0, |turns| turns.count.into())
    }

    /// The pending jobs in the lines of this one's group, the next first.
    pub(in crate::queue) fn line_of(&self, entry: &Entry) -> Box<dyn Iterator<Item = u32> + '_> {
        match entry.home.group() {
            Some(group) => Box::new(self.groups.entries(group, &self.table)),
            None => Box::new(self.registry.queue(self.groups.queue_of(entry.home)).lines.iter(&self.table)),
        }
    }

    /// Whether each queue with turns has use for them.
    pub(in crate::queue) fn needs_all_turns(&self) -> bool {
        let with_turns = self.registry.by_id().flatten().filter_map(|queue| Some((queue, queue.turns.as_ref()?)));
        with_turns.into_iter().all(|(queue, turns)| {
            let has_bucket = self.groups.group(turns.nameless).bucket != NIL;
            turns.named > 0 || has_bucket || queue.rules.as_ref().is_some_and(|rules| rules.has_turns())
        })
    }

    /// Holds the invariants between groups, their jobs and their buckets.
    pub(in crate::queue) fn check_groups(&self) {
        let (mut named, mut lines, mut buckets) = (0, 0, 0);
        for (id, queue) in (0..).map(QueueId).zip(self.registry.by_id()) {
            let Some(queue) = queue else { continue };
            buckets += self.check_bucket(Owner::Queue(id), queue.bucket);
            let needs_turns = queue.rules.as_ref().is_some_and(|rules| rules.has_turns());
            let Some(turns) = &queue.turns else {
                assert!(!needs_turns && self.groups.of_queue(id).next().is_none(), "turns of queue {}", queue.name);
                continue;
            };
            let ring: Vec<u32> = self.groups.ring(turns).collect();
            assert_eq!(ring.len(), turns.count as usize, "length of the ring of queue {}", queue.name);
            let orders: Vec<u64> = ring.iter().map(|number| self.groups.group(*number).turn).collect();
            assert!(orders.is_sorted(), "turns of queue {}", queue.name);
            let numbers: Vec<u32> = self.groups.of_queue(id).collect();
            let has_bucket = self.groups.group(turns.nameless).bucket != NIL;
            let is_needed = needs_turns || turns.named > 0 || has_bucket;
            assert!(is_needed && self.groups.name_of(turns.nameless).is_empty(), "turns of queue {}", queue.name);
            assert_eq!(numbers.len() - 1, turns.named as usize, "groups of queue {}", queue.name);
            for number in numbers {
                self.check_group(number, ring.contains(&number));
                lines += self.groups.lines_of(number).count();
                buckets += self.check_bucket(Owner::Group(number), self.groups.group(number).bucket);
            }
            named += turns.named as usize;
        }
        assert_eq!((named, lines), (self.groups.named(), self.groups.lines()), "groups, and their lines");
        assert_eq!(buckets, self.groups.buckets.len(), "buckets");
    }

    fn check_bucket(&self, owner: Owner, number: u32) -> usize {
        if number == NIL {
            return 0;
        }
        let bucket = self.groups.buckets.bucket(number);
        assert!(bucket.level.full_from() > self.now, "a full bucket is none: {owner:?}");
        let waits = bucket.level.next_token_at(bucket.rate) > self.now;
        assert_eq!(self.groups.buckets.next_token_at(number).is_some(), waits, "what {owner:?} waits for");
        1
    }

    fn check_group(&self, number: u32, in_ring: bool) {
        let group = self.groups.group(number);
        let queue = self.registry.queue(group.queue);
        let name = self.groups.name_of(number);
        let is_nameless = name.is_empty();
        let is_its = |slot: &u32| match self.table[*slot].home.group() {
            Some(home) => home == number,
            None => is_nameless && self.groups.queue_of(self.table[*slot].home) == group.queue,
        };
        let jobs: Vec<&Entry> = self.table.slots().filter(is_its).map(|slot| &self.table[slot]).collect();
        let count = |is: &dyn Fn(&&&Entry) -> bool| jobs.iter().filter(is).count() as u32;
        if !is_nameless {
            assert_eq!(count(&|_| true), group.jobs, "jobs of group {name}");
            assert!(group.jobs > 0 || group.bucket != NIL, "group {name} is there for nothing");
            self.groups.check_lines(number, &self.table);
        }
        assert_eq!(count(&|job| job.standing == Standing::InFlight), group.in_flight, "running of {name}");
        let retries = |job: &&&Entry| job.standing == Standing::Delayed && job.attempts > 0;
        assert_eq!(count(&retries), group.retrying, "retrying of group {name}");
        let has_jobs = jobs.iter().any(|job| job.standing == Standing::Pending);
        let is_strict = queue.rules.as_ref().is_some_and(|rules| rules.settings.strict == Some(true));
        let is_ready = has_jobs && self.groups.may_run(number, is_strict);
        assert_eq!((group.in_turn, in_ring), (is_ready, is_ready), "whether group {name} is in turn");
        assert!(!in_ring || group.credit > 0, "credit of group {name}");
        let own = queue.rules.as_ref().map(|rules| rules.group(name)).unwrap_or_default();
        assert_eq!(own.running_max.unwrap_or(u32::MAX), group.running_max, "limit of group {name}");
    }

    /// The groups of a queue, one fact a line, see [`Queues::describe`].
    pub(in crate::queue) fn describe_groups(&self, id: QueueId, lines: &mut Vec<String>) {
        let queue = self.registry.queue(id);
        let level = |number: u32| (number != NIL).then(|| self.groups.buckets.bucket(number).level);
        lines.extend(level(queue.bucket).map(|level| format!("queue {} tokens {level:?}", queue.name)));
        let Some(turns) = &queue.turns else { return };
        let group = |number| self.groups.group(number);
        let name = |number| self.groups.name_of(number);
        let ring: Vec<_> = self.groups.ring(turns).map(|number| (name(number), group(number).credit)).collect();
        lines.push(format!("queue {} turns {ring:?}", queue.name));
        let mut numbers: Vec<u32> = self.groups.of_queue(id).collect();
        numbers.sort_unstable_by_key(|number| name(*number));
        for number in numbers {
            let Group { jobs, in_flight, retrying, weight, bucket, .. } = group(number);
            let order: Vec<u64> = self.groups.entries(number, &self.table).map(|slot| self.table[slot].id.0).collect();
            let counts = format!("{jobs} jobs, {in_flight} run, {retrying} retry, weight {weight}");
            let (name, level) = (name(number), level(*bucket));
            lines.push(format!("group {name:?} of {}: {counts}, {level:?}, order {order:?}", queue.name));
        }
    }

    /// The queue and the group of a job, empty if it is in none.
    pub fn group_of(&self, job: JobId) -> Option<(QueueId, &str)> {
        let entry = &self.table[self.table.slot(job)?];
        Some((self.groups.queue_of(entry.home), self.group_name(entry)))
    }
}
