//! Jobs that follow from another one: they come by one group of records with its ack.

use std::collections::BTreeMap;

use falconqueue::ids::JobId;
use falconqueue::queue::Event;

#[derive(Debug, Default)]
pub struct FollowUps {
    /// Jobs of the group of records that goes on.
    group: Vec<u64>,
    by_job: BTreeMap<u64, Vec<u64>>,
}

impl FollowUps {
    /// Takes the next record in; `more` if its group goes on.
    pub fn take(&mut self, event: &Event<'_>, more: bool) {
        match event {
            Event::Enqueue(job) => self.group.push(job.job.0),
            Event::Ack(ack) if !self.group.is_empty() => {
                self.by_job.insert(ack.job.0, std::mem::take(&mut self.group));
            }
            _ => {}
        }
        if !more {
            self.group.clear();
        }
    }

    /// The jobs that came with the ack of this one.
    pub fn of(&self, job: JobId) -> &[u64] {
        self.by_job.get(&job.0).map_or(&[], |jobs| jobs)
    }
}
