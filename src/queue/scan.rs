//! Walks over all jobs in the order of their ids, a piece at a time: a place in it stays good while jobs come and go,
//! since ids only grow. Nothing changes here.

use super::Queues;
use super::deadlines::NIL;
use super::entry::Entry;
use super::table::PAGE_IDS;
use crate::ids::{JobId, QueueId};
use crate::job::Standing;
use crate::time::Timestamp;

/// Ids without a job cost a walk so much less than jobs do.
const EMPTY_IDS_PER_ENTRY: u64 = 64;

/// Which jobs are wanted, as far as the state can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// Of this queue alone.
    pub queue: Option<String>,
    /// A bit for each number of a standing; none for any.
    pub standings: u8,
    pub key_prefix: Option<String>,
    /// Of this group alone.
    pub group: Option<String>,
    /// Submitted from then on.
    pub from: Option<Timestamp>,
    /// Submitted before then.
    pub before: Option<Timestamp>,
    /// Whose newest attempt, or which itself, ended before then.
    pub ended_before: Option<Timestamp>,
    /// That have an error of an attempt.
    pub with_story: bool,
}

/// Where a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The next id to look at.
    pub next: JobId,
    /// Towards older ones.
    pub newest_first: bool,
}

impl Queues {
    /// Where a walk from this job on begins, or over all with id 0.
    pub fn walk(&self, from: JobId, newest_first: bool) -> Walk {
        let newest = JobId(self.next_job.0.saturating_sub(1));
        let next = match (from.0, newest_first) {
            (0, true) => newest,
            (0, false) => JobId(1),
            (_, true) => from.min(newest),
            _ => from,
        };
        Walk { next, newest_first }
    }

    /// Goes on with a walk and looks at up to `entries_max` jobs. `found` is told each that is sought, and says whether
    /// to go on behind it. Gives how many were looked at; the walk's `next` is 0 at its end.
    pub fn look(
        &self,
        walk: &mut Walk,
        entries_max: u64,
        sought: &Sought,
        found: &mut dyn FnMut(JobId) -> bool,
    ) -> u64 {
        let queue = sought.queue.as_deref().map(|name| self.registry.find(name));
        if queue == Some(None) {
            walk.next = JobId(0);
            return 0;
        }
        let queue = queue.flatten();
        let (mut looked, mut empty) = (0, 0);
        while walk.next != JobId(0) && looked + empty / EMPTY_IDS_PER_ENTRY < entries_max {
            let Some((id, slots)) = self.table.page_of(walk.next, walk.newest_first) else {
                walk.next = JobId(0);
                break;
            };
            // The page that was found may be a later one.
            walk.next = id;
            let slot = slots[(id.0 % PAGE_IDS) as usize];
            walk.step();
            if slot == NIL {
                empty += 1;
                continue;
            }
            looked += 1;
            let entry = &self.table[slot];
            if self.is_sought(entry, queue, sought) && !found(entry.id) {
                break;
            }
        }
        looked
    }

    /// Whether this job is one of those.
    pub fn is_one_of(&self, job: JobId, sought: &Sought) -> bool {
        let queue = sought.queue.as_deref().map(|name| self.registry.find(name));
        let slot = self.table.slot(job).filter(|_| queue != Some(None));
        slot.is_some_and(|slot| self.is_sought(&self.table[slot], queue.flatten(), sought))
    }

    fn is_sought(&self, entry: &Entry, queue: Option<QueueId>, sought: &Sought) -> bool {
        let Sought { standings, key_prefix, group, from, before, ended_before, with_story, .. } = sought;
        let submitted_at = Timestamp::from(entry.submitted_at);
        let side = self.sides.side(entry);
        let has_story = || side.is_some_and(|side| side.text.bytes > 0) && entry.standing != Standing::Completed;
        queue.is_none_or(|queue| self.groups.queue_of(entry.home) == queue)
            && (*standings == 0 || standings >> entry.standing.code() & 1 == 1)
            && from.is_none_or(|from| submitted_at >= from)
            && before.is_none_or(|before| submitted_at < before)
            && ended_before.is_none_or(|before| side.is_none_or(|side| side.ended_at() < before))
            && (!with_story || has_story())
            && group.as_deref().is_none_or(|group| self.group_name(entry) == group)
            && key_prefix.as_deref().is_none_or(|prefix| self.has_key_with(entry.id, prefix))
    }

    fn has_key_with(&self, job: JobId, prefix: &str) -> bool {
        self.keys.of(job).is_some_and(|held| held.key.starts_with(prefix))
    }
}

impl Walk {
    fn step(&mut self) {
        self.next = JobId(if self.newest_first { self.next.0.saturating_sub(1) } else { self.next.0 + 1 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Location, Lsn};
    use crate::queue::Event;
    use crate::queue::events::{Enqueue, Purge};

    fn take<'e>(queues: &mut Queues, event: impl Into<Event<'e>>) {
        queues.apply(Lsn(100_000), Timestamp(10), &event.into(), Location::default()).unwrap();
    }

    /// Jobs of every 100th id, by turns of two queues, with keys.
    fn queues() -> Queues {
        let mut queues = Queues::default();
        for number in 1..=100u64 {
            let (queue, key) = (["a", "b"][(number % 2) as usize], format!("k{}-{number}", number % 10));
            take(&mut queues, Enqueue { job: JobId(100 * number), queue, key: &key, ..Enqueue::default() });
        }
        queues
    }

    /// All that is found by pieces of so many entries, and how many were looked at.
    fn found(queues: &Queues, newest_first: bool, sought: &Sought, entries: u64) -> (Vec<u64>, u64) {
        let (mut walk, mut all, mut looked) = (queues.walk(JobId(0), newest_first), Vec::new(), 0);
        for _ in 0..10_000 {
            looked += queues.look(&mut walk, entries, sought, &mut |id| {
                all.push(id.0);
                true
            });
            if walk.next == JobId(0) {
                return (all, looked);
            }
        }
        panic!("it does not end");
    }

    #[test]
    fn every_job_is_met_once_in_either_direction_whatever_the_pieces_are() {
        let queues = queues();
        let up: Vec<u64> = (1..=100).map(|number| 100 * number).collect();
        let down: Vec<u64> = up.iter().rev().copied().collect();
        for entries in [1, 3, 7, 1000] {
            assert_eq!(found(&queues, false, &Sought::default(), entries), (up.clone(), 100));
            assert_eq!(found(&queues, true, &Sought::default(), entries), (down.clone(), 100));
        }
    }

    #[test]
    fn what_is_not_sought_is_passed_over() {
        let queues = queues();
        let of = |sought| found(&queues, false, &sought, 10).0;
        assert_eq!(of(Sought { queue: Some("a".into()), ..Sought::default() }).len(), 50);
        assert_eq!(of(Sought { queue: Some("c".into()), ..Sought::default() }), [0; 0]);
        assert_eq!(of(Sought { key_prefix: Some("k7-".into()), ..Sought::default() }).len(), 10);
        assert_eq!(of(Sought { standings: 1 << Standing::Pending.code(), ..Sought::default() }).len(), 100);
        assert_eq!(of(Sought { standings: 1 << Standing::Dead.code(), ..Sought::default() }), [0; 0]);
        assert_eq!(of(Sought { before: Some(Timestamp(10)), ..Sought::default() }), [0; 0]);
        assert_eq!(of(Sought { with_story: true, ..Sought::default() }), [0; 0]);
    }

    #[test]
    fn a_place_stays_good_while_jobs_come_and_go() {
        let mut queues = queues();
        let mut walk = queues.walk(JobId(0), true);
        let mut first = Vec::new();
        let mut some = |id: JobId| {
            first.push(id.0);
            first.len() < 3
        };
        queues.look(&mut walk, 1000, &Sought::default(), &mut some);
        assert_eq!(first, [10_000, 9_900, 9_800]);
        for job in [9_900, 9_700].map(JobId) {
            take(&mut queues, Purge { job, by: None, failed_until: None });
        }
        take(&mut queues, Enqueue { job: JobId(10_001), queue: "a", ..Enqueue::default() });
        let mut next = Vec::new();
        queues.look(&mut walk, 1, &Sought::default(), &mut |id| {
            next.push(id.0);
            false
        });
        assert!(next.is_empty() || next == [9_600]);
        let again = queues.walk(walk.next, true);
        assert_eq!(again, walk, "it can be told by its next id");
    }
}
