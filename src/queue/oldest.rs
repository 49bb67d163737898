//! Which queue a job is in, and how long its ready jobs have waited: for those who look.

use super::Queues;
use crate::ids::{JobId, QueueId};
use crate::time::Timestamp;

/// Groups of a queue whose lines are looked at.
const GROUPS_MAX: usize = 100;

impl Queues {
    /// The queue of a job that is there.
    #[inline]
    pub fn queue_of_job(&self, job: JobId) -> Option<QueueId> {
        let slot = self.table.slot(job)?;
        Some(self.groups.queue_of(self.table[slot].home))
    }

    /// When the oldest of those was submitted that are first in a line of this queue. There is a line for each
    /// priority, and of each group; of groups, those are looked at that have their turn next.
    pub fn oldest_ready(&self, queue: QueueId) -> Option<Timestamp> {
        let queue = self.registry.queue(queue);
        let turns = queue.turns.as_deref().into_iter();
        let groups = turns.flat_map(|turns| self.groups.ring(turns).take(GROUPS_MAX));
        let in_groups = groups.flat_map(|group| self.groups.fronts(group));
        let fronts = queue.lines.fronts().chain(in_groups);
        fronts.map(|slot| Timestamp::from(self.table[slot].submitted_at)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Location, Lsn};
    use crate::job::Settings;
    use crate::queue::events::Enqueue;

    fn with_jobs(jobs: &[(u8, Option<&'static str>)]) -> Queues {
        let mut queues = Queues::default();
        for (id, (priority, group)) in (1..).zip(jobs) {
            let settings = Settings { priority: *priority, ..Settings::default() };
            let event = Enqueue { job: JobId(id), queue: "q", settings, group: *group, ..Enqueue::default() }.into();
            queues.apply(Lsn(id), Timestamp(100 * id), &event, Location::default()).unwrap();
        }
        queues
    }

    #[test]
    fn the_oldest_of_all_lines_is_told() {
        let queues = with_jobs(&[(200, None), (0, None), (128, Some("a")), (5, Some("b"))]);
        let id = queues.queue("q").unwrap();
        assert_eq!(queues.oldest_ready(id), Some(Timestamp(100)));
        let queues = with_jobs(&[(128, Some("a")), (0, Some("a")), (5, None)]);
        assert_eq!(queues.oldest_ready(id), Some(Timestamp(100)));
        assert_eq!((queues.queue_of_job(JobId(2)), queues.queue_of_job(JobId(9))), (Some(id), None));
    }
}
