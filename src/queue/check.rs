//! Invariants between the indexes, and a description of the durable state to compare two states by.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::counters::Counters;
use super::deadlines::NIL;
use super::job::{Entry, State};
use super::{Queues, SegmentUse, live_bytes};

impl Queues {
    /// Holds every invariant between the indexes; tests call it after each step.
    ///
    /// # Panics
    /// At the first invariant that does not hold, named.
    pub fn check(&self) {
        let mut counted = vec![Counters::default(); self.queues.len()];
        let mut in_flight = 0;
        let mut delayed = 0;
        let mut usage = BTreeMap::<u32, SegmentUse>::new();
        for slot in self.table.slots() {
            let entry = &self.table[slot];
            assert_eq!(self.table.slot(entry.id), Some(slot), "id {} leads to its entry", entry.id);
            assert!(entry.id < self.next_job, "job {} is below the next id", entry.id);
            assert!(entry.attempts <= entry.max_attempts, "attempts of job {}", entry.id);
            *counted[entry.queue.0 as usize].of(entry.state) += 1;
            if entry.payload_bytes > 0 {
                let used = usage.entry(entry.payload_at.epoch).or_default();
                used.jobs += 1;
                used.bytes += live_bytes(entry.payload_bytes);
            }
            match entry.state {
                State::Pending => assert!(entry.attempts < entry.max_attempts, "job {}", entry.id),
                State::Delayed => {
                    delayed += 1;
                    assert!(entry.due_at > self.now, "job {} is delayed past its time", entry.id);
                }
                State::InFlight => {
                    in_flight += 1;
                    let lease = self.leases.lease(entry.lease);
                    assert_eq!(lease.job, entry.id, "lease of job {}", entry.id);
                }
                State::Dead => assert!(self.errors.contains_key(&entry.id), "error of job {}", entry.id),
            }
            assert_eq!(entry.lease == NIL, entry.state != State::InFlight, "lease of job {}", entry.id);
        }
        assert_eq!(in_flight, self.leases.len(), "every lease has a job in flight");
        assert_eq!(delayed, self.delayed.len(), "every delayed job is in the wheel");
        for (queue, counted) in self.queues.iter().zip(&mut counted) {
            queue.ready.check(&self.table);
            let lined_up = queue.ready.iter(&self.table).count() as u64;
            assert_eq!(lined_up, counted.pending, "pending jobs of queue {} are in its lines", queue.name);
            counted.completed = queue.counters.completed;
            counted.cancelled = queue.counters.cancelled;
            assert_eq!(queue.counters, *counted, "counters of queue {}", queue.name);
        }
        assert!(self.usage.epochs().eq(usage.keys().copied()), "segments with live payloads");
        for (epoch, used) in &usage {
            assert_eq!(self.usage.of(*epoch), *used, "what lives in epoch {epoch}");
        }
        for job in self.errors.keys() {
            assert!(self.table.slot(*job).is_some(), "an error without job {job}");
        }
        self.leases.check();
        self.keys.check();
    }

    /// Everything that is durable, one fact a line, in an order of its own: two states are equal when these are.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let mut lines = vec![format!("next job {}", self.next_job)];
        let mut queues: Vec<_> = self.queues.iter().collect();
        queues.sort_unstable_by_key(|queue| &queue.name);
        for queue in queues {
            // A queue that was only polled is volatile.
            if queue.counters != Counters::default() {
                lines.push(format!("queue {} {:?}", queue.name, queue.counters));
                let order: Vec<u64> =
                    queue.ready.iter(&self.table).map(|slot| self.table[slot].id.0).collect();
                lines.push(format!("queue {} order {order:?}", queue.name));
            }
        }
        let mut slots: Vec<u32> = self.table.slots().collect();
        slots.sort_unstable_by_key(|slot| self.table[*slot].id);
        lines.extend(slots.into_iter().map(|slot| self.describe_job(&self.table[slot])));
        lines.extend(self.keys.sorted().iter().map(|key| format!("key {key:?}")));
        lines
    }

    fn describe_job(&self, entry: &Entry) -> String {
        let mut line = format!(
            "job {} {:?} queue {} priority {} attempts {}/{} timeout {} due {} payload {:?}+{}",
            entry.id,
            entry.state,
            self.queues[entry.queue.0 as usize].name,
            entry.priority,
            entry.attempts,
            entry.max_attempts,
            entry.timeout_ms,
            entry.due_at,
            entry.payload_at,
            entry.payload_bytes,
        );
        if entry.lease != NIL {
            let lease = self.leases.lease(entry.lease);
            let _ = write!(line, " lease {} of {}", lease.id, lease.lease_ms);
        }
        if let Some(error) = self.errors.get(&entry.id) {
            let _ = write!(line, " error {error:?}");
        }
        line
    }
}
