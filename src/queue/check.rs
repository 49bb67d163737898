//! Invariants between the indexes, and a description of the durable state to compare two states by.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::counters::Counters;
use super::deadlines::NIL;
use super::entry::Entry;
use super::keys::HeldKey;
use super::sides::NEVER;
use super::{MoreFacts, Part, Queues, SegmentUse, live_bytes};
use crate::job::{Standing, Unique};

impl Queues {
    /// Holds every invariant between the indexes; tests call it after each step.
    ///
    /// # Panics
    /// At the first invariant that does not hold, named.
    pub fn check(&self) {
        let queues = self.registry.by_id().count();
        let mut counted = vec![Counters::default(); queues];
        let mut usage = BTreeMap::<u32, SegmentUse>::new();
        for slot in self.table.slots() {
            let entry = &self.table[slot];
            assert_eq!(self.table.slot(entry.id), Some(slot), "id {} leads to its entry", entry.id);
            self.check_entry(entry);
            let counted = &mut counted[self.groups.queue_of(entry.home).0 as usize];
            *counted.of(entry.standing) += 1;
            if entry.standing.is_queued() {
                counted.waiting_bytes += u64::from(entry.payload.bytes);
                counted.retrying += u64::from(entry.standing == Standing::Delayed && entry.attempts > 0);
            }
            for text in Part::ALL.iter().filter_map(|part| self.part(slot, *part)) {
                let used = usage.entry(text.at.epoch).or_default();
                used.texts += 1;
                used.bytes += live_bytes(text.bytes);
            }
        }
        let sum = |count: fn(&Counters) -> u64| counted.iter().map(count).sum::<u64>();
        assert_eq!(sum(|counts| counts.in_flight), self.leases.len() as u64, "every lease has a job in flight");
        assert_eq!(sum(|counts| counts.delayed), self.delayed.len() as u64, "every delayed job is in the wheel");
        assert_eq!(sum(|counts| counts.dead + counts.kept), self.ended as u64, "jobs that have ended and are there");
        assert_eq!(sum(|counts| counts.dead), self.dead as u64, "dead jobs");
        assert_eq!(sum(|counts| counts.waiting), self.held_back as u64, "jobs that wait for others");
        assert_eq!(sum(|counts| counts.retrying), self.retrying as u64, "jobs that are tried again later");
        let kept = self.table.slots().filter(|slot| self.is_kept_until(*slot).is_some()).count();
        assert_eq!(kept, self.kept.len(), "every job that is kept until a moment is in the wheel");
        self.check_queues(&mut counted);
        self.check_usage(&usage);
        self.check_parts();
    }

    fn check_parts(&self) {
        self.check_sides();
        self.check_after();
        self.check_batches();
        self.check_pauses();
        self.check_groups();
        self.check_schedules();
        self.names.check(self.leases.len());
        self.leases.check();
        self.keys.check();
        self.registry.check();
    }

    fn check_usage(&self, usage: &BTreeMap<u32, SegmentUse>) {
        assert!(self.usage.epochs().eq(usage.keys().copied()), "segments with live texts");
        for (epoch, used) in usage {
            assert_eq!(self.usage.of(*epoch), *used, "what lives in epoch {epoch}");
        }
    }

    fn check_entry(&self, entry: &Entry) {
        let id = entry.id;
        assert!(id < self.next_job, "job {id} is below the next id");
        assert!(entry.attempts <= entry.settings.max_attempts, "attempts of job {id}");
        match entry.standing {
            Standing::Pending => assert!(entry.attempts < entry.settings.max_attempts, "job {id}"),
            Standing::Delayed => assert!(entry.due_at() > self.now, "job {id} is delayed past its time"),
            Standing::InFlight => {
                let lease = entry.lease().map(|index| self.leases.lease(index).granted.job);
                assert_eq!(lease, Some(id), "lease of job {id}");
            }
            Standing::Waiting => {
                let waits = self.after.of(id).is_some() || !self.is_admitted(id);
                assert!(waits, "job {id} waits for nothing");
            }
            Standing::Dead => assert_ne!(entry.side, NIL, "past of job {id}"),
            Standing::Completed | Standing::Cancelled | Standing::Expired => {
                assert!(entry.kept_until() > self.now && entry.kept_until() != NEVER, "job {id} is kept past its time");
            }
        }
    }

    fn is_kept_until(&self, slot: u32) -> Option<u64> {
        let entry = &self.table[slot];
        let until = entry.standing.is_ended().then(|| entry.kept_until());
        until.filter(|until| *until != NEVER).map(|until| until.0)
    }

    fn check_sides(&self) {
        let with_sides = self.table.slots().filter(|slot| self.table[*slot].side != NIL);
        assert_eq!(with_sides.count(), self.sides.len(), "each side has a job");
        let rares: Vec<u32> = self.table.slots().filter(|slot| self.sides.rare(&self.table[*slot]).is_some()).collect();
        let expires = |slot: &&u32| {
            let entry = &self.table[**slot];
            let at = self.sides.rare(entry).map_or(NEVER, |rare| rare.expires_at);
            at != NEVER && entry.standing.is_queued() && entry.attempts == 0
        };
        assert_eq!(self.sides.rares(), (rares.iter().filter(expires).count(), rares.len()), "who expires");
    }

    fn check_queues(&self, counted: &mut [Counters]) {
        let mut in_groups = BTreeMap::<&str, u64>::new();
        for entry in self.table.slots().map(|slot| &self.table[slot]) {
            if entry.standing == Standing::Pending && entry.home.group().is_some() {
                *in_groups.entry(self.queue_name(self.groups.queue_of(entry.home))).or_default() += 1;
            }
        }
        for (queue, counted) in self.registry.by_id().zip(counted) {
            let Some(queue) = queue else {
                assert_eq!(counted.jobs(), 0, "jobs of a queue that is not there");
                continue;
            };
            queue.lines.check(&self.table);
            let in_groups = in_groups.get(&queue.name[..]).copied().unwrap_or(0);
            let lined_up = queue.lines.iter(&self.table).count() as u64 + in_groups;
            assert_eq!(lined_up, counted.pending, "pending jobs of queue {} are in its lines", queue.name);
            let counted = counted.with_tally(queue.counters.tally());
            assert_eq!(queue.counters, counted, "counters of queue {}", queue.name);
        }
    }

    /// Everything that is durable, one fact a line, in an order of its own: two states are equal when these are.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = vec![format!("next job {}", self.next_job)];
        lines.push(format!("forgotten {:?}", self.registry.forgotten()));
        // A queue that was only polled is volatile.
        let mut queues: Vec<_> = self.registry.by_id().flatten().collect();
        queues.sort_unstable_by_key(|queue| &queue.name);
        for queue in queues {
            lines.push(format!("queue {} {:?}", queue.name, queue.counters));
            let order: Vec<u64> = queue.lines.iter(&self.table).map(|slot| self.table[slot].id.0).collect();
            lines.push(format!("queue {} order {order:?}", queue.name));
            if let Some(id) = self.registry.find(&queue.name) {
                self.describe_groups(id, &mut lines);
            }
            lines.extend(queue.rules.as_ref().map(|rules| format!("queue {} rules {rules:?}", queue.name)));
        }
        lines.extend(self.describe_schedules());
        lines.extend(self.describe_batches());
        lines.extend(self.after.tombstones.all().map(|(job, until)| format!("tombstone {job} {until}")));
        let mut slots: Vec<u32> = self.table.slots().collect();
        slots.sort_unstable_by_key(|slot| self.table[*slot].id);
        lines.extend(slots.into_iter().map(|slot| self.describe_job(&self.table[slot])));
        lines.extend(self.keys.sorted().into_iter().map(|(job, held)| {
            let HeldKey { key, digest, unique, queue, until } = held;
            let unique = if *unique == Unique::ToEnd || queue.is_some() { "" } else { unique.word() };
            format!("key {key:?} job {job} digest {digest} queue {queue:?} until {until:?}{unique}")
        }));
        lines
    }

    fn describe_job(&self, entry: &Entry) -> String {
        let facts = self.facts(entry.id).expect("the job is there");
        let view = facts.view;
        let mut line = format!(
            "job {} {:?} queue {}{} {:?} attempts {} submitted {} due {:?} payload {:?}+{}",
            view.id,
            facts.standing,
            view.queue,
            if view.group.is_empty() { String::new() } else { format!(" group {:?}", view.group) },
            view.settings,
            view.attempts,
            facts.submitted_at,
            facts.due_at.map(|at| at.0),
            view.payload_at,
            view.payload_bytes,
        );
        if let Some(lease) = facts.lease {
            let length = entry.lease().map_or(0, |index| self.leases.lease(index).granted.lease_ms);
            let _ = write!(line, " lease {} of {length} by {:?} from {}", lease.id, lease.worker, lease.given_at);
        }
        if let Some(past) = facts.past {
            let _ = write!(line, " past {past:?}");
        }
        if let Some(waits) = facts.waits {
            let _ = write!(line, " {waits:?}");
        }
        if facts.more != MoreFacts::default() {
            let _ = write!(line, " more {:?}", facts.more);
        }
        line
    }
}
