//! Looking at all jobs at once, and taking jobs out of a state that was rebuilt across damage: for commands, not
//! for the running master, which changes what is durable by `apply` alone.

use super::entry::Text;
use super::events::Part;
use super::{Queues, Standing};
use crate::ids::{JobId, Location, QueueId};
use crate::time::Timestamp;

/// Bytes of a job in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextAt {
    pub job: JobId,
    pub part: Part,
    pub at: Location,
    pub bytes: u32,
    /// Of the payload of a job that holds a key.
    pub digest: Option<u64>,
}

impl Queues {
    /// Everything that lies in the log, of all jobs.
    pub fn texts(&self) -> impl Iterator<Item = TextAt> {
        self.table.slots().flat_map(move |slot| {
            let job = self.table[slot].id;
            Part::ALL.iter().filter_map(move |part| {
                let text = self.part(slot, *part)?;
                let digest = self.keys.of(job).map(|held| held.digest).filter(|_| *part == Part::Payload);
                Some(TextAt { job, part: *part, at: text.at, bytes: text.bytes, digest })
            })
        })
    }

    /// How many jobs there are, dead ones among them.
    pub fn count(&self) -> usize {
        self.table.len()
    }

    /// The jobs in flight, in no order that means anything.
    pub fn in_flight(&self) -> impl Iterator<Item = JobId> {
        let entries = self.table.slots().map(|slot| &self.table[slot]);
        entries.filter(|entry| entry.standing == Standing::InFlight).map(|entry| entry.id)
    }

    /// The dead jobs, in no order that means anything.
    pub fn dead(&self) -> impl Iterator<Item = JobId> {
        let entries = self.table.slots().map(|slot| &self.table[slot]);
        entries.filter(|entry| entry.standing == Standing::Dead).map(|entry| entry.id)
    }

    /// Takes out a job that is lost, and its key: a submit with that makes a job again.
    pub fn forget(&mut self, job: JobId) {
        if self.take_out(job).is_some() {
            self.keys.free(job);
        }
    }

    /// Takes out a job that is known to be completed, whatever state it seems to be in.
    pub fn complete(&mut self, job: JobId, key_until: Timestamp) {
        if let Some(queue) = self.take_out(job) {
            self.registry.queue_mut(queue).counters.completed += 1;
            self.keys.gone(job, key_until, &self.registry.queue(queue).name);
            self.keys.advance(self.now);
        }
    }

    /// Leaves out the ids below this one: they may have been given to jobs that nothing is known of.
    pub fn leave_out_ids(&mut self, below: JobId) {
        self.next_job = self.next_job.max(below);
    }

    /// Takes away what is remembered of a job's attempts, or its result: it is lost.
    pub fn lose_story(&mut self, job: JobId) {
        let Some(slot) = self.table.slot(job) else { return };
        let text = self.part(slot, Part::Story).or_else(|| self.part(slot, Part::Result));
        if let Some(text) = text {
            self.usage.remove(text);
            self.sides.made(&mut self.table[slot]).text = Text::default();
        }
    }

    fn take_out(&mut self, job: JobId) -> Option<QueueId> {
        let slot = self.table.slot(job)?;
        self.leave_state_and_lease(slot);
        Some(self.remove_job(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Lsn;
    use crate::queue::Event;
    use crate::queue::events::{Dispatch, Enqueue};

    fn with_jobs() -> Queues {
        let mut queues = Queues::default();
        for id in 1..=4 {
            let key = format!("key {id}");
            let event = Event::from(Enqueue {
                job: JobId(id),
                queue: "q",
                key: &key,
                due_at: Timestamp(if id == 4 { 1000 } else { 0 }),
                payload: b"payload",
                ..Enqueue::default()
            });
            let at = Location { epoch: 1, offset: 100 * u32::try_from(id).unwrap() };
            queues.apply(Lsn(id), Timestamp(10), &event, at).unwrap();
        }
        let event = Dispatch { job: JobId(1), lease_ms: 1000, attempt: 1, worker: "w" }.into();
        queues.apply(Lsn(5), Timestamp(10), &event, Location::default()).unwrap();
        queues
    }

    #[test]
    fn jobs_in_every_state_can_be_taken_out() {
        let mut queues = with_jobs();
        for job in [1, 2, 4].map(JobId) {
            queues.forget(job);
            queues.check();
            assert!(queues.table.slot(job).is_none() && queues.job_of_key(&format!("key {job}")).is_none());
        }
        queues.forget(JobId(1));
        assert_eq!(queues.texts().map(|text| text.job).collect::<Vec<_>>(), [JobId(3)]);
        assert_eq!((queues.count(), queues.totals().pending, queues.live_in(1).texts), (1, 1, 1));
    }

    #[test]
    fn a_job_that_is_known_to_be_completed_is_counted_and_its_key_remembered() {
        let mut queues = with_jobs();
        for job in [1, 3].map(JobId) {
            queues.complete(job, Timestamp(5000));
            queues.check();
            assert_eq!(queues.job_of_key(&format!("key {job}")), Some(job));
        }
        assert_eq!((queues.totals().completed, queues.in_flight().count()), (2, 0));
        queues.leave_out_ids(JobId(100));
        queues.leave_out_ids(JobId(50));
        assert_eq!(queues.next_job(), JobId(100));
    }
}
