//! Tombstones: of jobs that are gone and did not complete, so that whoever is submitted to run after one is told so.
//! Each is there until a moment, and longer while somebody waits for its job. One takes some 50 bytes.
//!
//! A snapshot holds them as they were when it was begun: what came later is left out, and what went is remembered until
//! it was written.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::message;
use crate::ids::JobId;
use crate::planted::{Bug, is_planted};
use crate::time::{Millis, Timestamp};

/// How much longer a tombstone stays whose job is waited for, each time that its time is over.
pub const HELD: Millis = Millis(3_600_000);

message! {
    /// That a job is gone and did not complete is known until then.
    Tombstone {
        until: Timestamp;
        job: JobId;
    }
}

#[derive(Debug, Default)]
pub struct Tombstones {
    until: BTreeMap<JobId, Timestamp>,
    by_time: BTreeSet<(Timestamp, JobId)>,
    copy: Option<Copying>,
}

/// What a snapshot that is being taken has still to write.
#[derive(Debug, Default)]
struct Copying {
    from: (Timestamp, JobId),
    /// Came since it was begun.
    fresh: BTreeSet<(Timestamp, JobId)>,
    /// Went since, before they were written.
    gone: Vec<(Timestamp, JobId)>,
}

impl Tombstones {
    pub fn has(&self, job: JobId) -> bool {
        !self.until.is_empty() && self.until.contains_key(&job)
    }

    pub fn put(&mut self, job: JobId, until: Timestamp) {
        if is_planted(Bug::NoTombstone) {
            return;
        }
        self.remove(job);
        self.until.insert(job, until);
        self.by_time.insert((until, job));
        if let Some(copy) = &mut self.copy {
            copy.fresh.insert((until, job));
        }
    }

    /// The job is to run again.
    pub fn remove(&mut self, job: JobId) {
        if self.until.is_empty() {
            return;
        }
        let Some(until) = self.until.remove(&job) else { return };
        self.by_time.remove(&(until, job));
        if let Some(copy) = &mut self.copy
            && !copy.fresh.remove(&(until, job))
            && (until, job) >= copy.from
        {
            copy.gone.push((until, job));
        }
    }

    /// Drops those whose time is over. One whose job is waited for stays, for so long that it does not matter how often
    /// this is called.
    pub fn advance(&mut self, now: Timestamp, is_waited_for: impl Fn(JobId) -> bool) {
        while let Some((until, job)) = self.by_time.first().copied().filter(|(until, _)| *until <= now) {
            if is_waited_for(job) {
                self.put(job, until.plus(HELD));
            } else {
                self.remove(job);
            }
        }
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(until, _)| *until)
    }

    pub fn begin_copy(&mut self) {
        self.copy = Some(Copying::default());
    }

    pub fn give_up_copy(&mut self) {
        self.copy = None;
    }

    /// Up to so many that were there when the copy was begun; nothing once that were all.
    pub fn copy_slice(&mut self, most: usize) -> Option<Vec<Tombstone>> {
        let copy = self.copy.as_mut()?;
        if !copy.gone.is_empty() {
            let at = copy.gone.len().saturating_sub(most);
            return Some(copy.gone.split_off(at).into_iter().map(told).collect());
        }
        let mut slice = Vec::new();
        let mut looked = 0;
        for stone in self.by_time.range(copy.from..).take(most) {
            looked += 1;
            copy.from = (stone.0, JobId(stone.1.0 + 1));
            slice.extend((!copy.fresh.contains(stone)).then(|| told(*stone)));
        }
        if looked == 0 {
            self.copy = None;
            return None;
        }
        Some(slice)
    }

    /// Every one, by job.
    pub fn all(&self) -> impl Iterator<Item = (JobId, Timestamp)> {
        self.until.iter().map(|(job, until)| (*job, *until))
    }

    pub fn check(&self) {
        let by_time: BTreeSet<(Timestamp, JobId)> = self.until.iter().map(|(job, until)| (*until, *job)).collect();
        assert_eq!(by_time, self.by_time, "tombstones by time");
    }
}

fn told((until, job): (Timestamp, JobId)) -> Tombstone {
    Tombstone { until, job }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stones(all: &[(u64, u64)]) -> Tombstones {
        let mut stones = Tombstones::default();
        for (job, until) in all {
            stones.put(JobId(*job), Timestamp(*until));
        }
        stones
    }

    #[test]
    fn one_stays_until_its_time_is_over_and_nobody_waits_for_its_job() {
        let mut stones = stones(&[(1, 10), (2, 10), (3, 20)]);
        stones.advance(Timestamp(10), |job| job == JobId(2));
        assert!(!stones.has(JobId(1)) && stones.has(JobId(2)) && stones.has(JobId(3)));
        stones.advance(Timestamp(20 + HELD.0), |_| false);
        assert_eq!(stones.all().count(), 0);
    }

    #[test]
    fn it_is_all_one_how_often_it_is_looked_whether_one_is_held() {
        let (mut often, mut once) = (stones(&[(1, 10)]), stones(&[(1, 10)]));
        let end = Timestamp(10 + 5 * HELD.0);
        (1..=end.0 / 1_000_000).for_each(|step| often.advance(Timestamp(step * 1_000_000), |_| true));
        often.advance(end, |_| true);
        once.advance(end, |_| true);
        assert!(often.all().eq(once.all()));
    }

    #[test]
    fn a_copy_holds_what_was_there_when_it_was_begun() {
        let before = [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)];
        for most in 1..6 {
            let mut stones = stones(&before);
            stones.begin_copy();
            let mut copied = stones.copy_slice(most).unwrap();
            stones.put(JobId(6), Timestamp(5));
            stones.put(JobId(7), Timestamp(60));
            stones.put(JobId(2), Timestamp(70));
            stones.remove(JobId(7));
            stones.remove(JobId(4));
            stones.advance(Timestamp(30), |_| false);
            while let Some(slice) = stones.copy_slice(most) {
                copied.extend(slice);
            }
            copied.sort_unstable_by_key(|stone| stone.job);
            let copied: Vec<(u64, u64)> = copied.iter().map(|stone| (stone.job.0, stone.until.0)).collect();
            assert_eq!(copied, before, "in slices of {most}");
            stones.check();
        }
    }
}
