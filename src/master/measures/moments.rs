//! Since when: moments in order, of which those of long ago are merged, so that they stay few. What is told of them is
//! then late by a share of its age at most.

use std::collections::VecDeque;

use crate::limits::{READY_MOMENTS_MAX, RUNNING_MOMENTS_MAX};
use crate::time::Timestamp;

/// When the places in line were given, so that of each ready job it is known since when it is that, without a byte in
/// its entry.
#[derive(Debug)]
pub struct Places {
    /// The first place that was given at each of these moments.
    moments: VecDeque<(u64, Timestamp)>,
}

/// How many of the jobs that run were delivered when.
#[derive(Debug, Default)]
pub struct Running {
    /// The first of these has a job.
    moments: VecDeque<(Timestamp, u64)>,
}

/// All of its memory is taken at once: a job that comes and goes allocates nothing.
impl Default for Places {
    fn default() -> Places {
        Places { moments: VecDeque::with_capacity(READY_MOMENTS_MAX + 1) }
    }
}

impl Places {
    /// Places from this one on are given at this moment, until another one is noted.
    #[inline]
    pub fn note(&mut self, first: u64, now: Timestamp) {
        match self.moments.back_mut() {
            // Nothing became ready at that moment.
            Some((place, at)) if *place == first => *at = now,
            Some((_, at)) if *at == now => {}
            _ => {
                self.moments.push_back((first, now));
                self.bound(now);
            }
        }
    }

    /// When this place was given; nothing if that was before the first that was noted.
    #[inline]
    pub fn given_at(&self, place: u64) -> Option<Timestamp> {
        let index = match self.moments.back() {
            Some((first, _)) if *first <= place => self.moments.len(),
            _ => self.moments.partition_point(|(first, _)| *first <= place),
        };
        index.checked_sub(1).map(|index| self.moments[index].1)
    }

    #[inline]
    fn bound(&mut self, now: Timestamp) {
        if self.moments.len() <= READY_MOMENTS_MAX {
            return;
        }
        for share in [64, 32, 16, 8, 4, 2, 1] {
            thin(&mut self.moments, |(_, at)| *at, share, now, |_, _| {});
            if self.moments.len() <= READY_MOMENTS_MAX / 4 * 3 {
                return;
            }
        }
    }
}

impl Running {
    /// A job was delivered. Moments come in order.
    #[inline]
    pub fn add(&mut self, at: Timestamp) {
        match self.moments.back_mut() {
            Some((newest, count)) if *newest >= at => *count += 1,
            _ => {
                self.moments.push_back((at, 1));
                self.bound(at);
            }
        }
    }

    /// One that was delivered then runs no more.
    #[inline]
    pub fn remove(&mut self, at: Timestamp) {
        let after = self.moments.partition_point(|(moment, _)| *moment <= at);
        if let Some((_, count)) = after.checked_sub(1).and_then(|index| self.moments.get_mut(index)) {
            *count = count.saturating_sub(1);
        }
        while self.moments.front().is_some_and(|(_, count)| *count == 0) {
            self.moments.pop_front();
        }
    }

    /// When the one was delivered that runs for longest.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.moments.front().map(|(at, _)| *at)
    }

    #[inline]
    fn bound(&mut self, now: Timestamp) {
        if self.moments.len() <= RUNNING_MOMENTS_MAX {
            return;
        }
        for share in [16, 8, 4, 2, 1] {
            thin(&mut self.moments, |(at, _)| *at, share, now, |(_, of_both), (_, count)| *of_both += count);
            if self.moments.len() <= RUNNING_MOMENTS_MAX / 4 * 3 {
                return;
            }
        }
    }
}

/// Merges a moment into the one before, where all that came from that on to the next one came within this share of
/// their age: so what is told of any of them is late by that at most, however often it is merged again.
fn thin<T: Copy>(
    moments: &mut VecDeque<T>,
    at: impl Fn(&T) -> Timestamp,
    share: u64,
    now: Timestamp,
    merge: impl Fn(&mut T, T),
) {
    let mut kept = 0_usize;
    for index in 0..moments.len() {
        let (moment, next) = (moments[index], moments.get(index + 1).map(&at));
        let before = kept.checked_sub(1).map(|before| at(&moments[before]));
        match (before, next) {
            (Some(before), Some(next)) if next.since(before).0 <= now.since(next).0 / share => {
                merge(&mut moments[kept - 1], moment);
            }
            _ => {
                moments[kept] = moment;
                kept += 1;
            }
        }
    }
    moments.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_a_place_is_that_of_its_turn() {
        let mut places = Places::default();
        assert_eq!(places.given_at(10), None);
        for (first, at) in [(10, 100), (10, 105), (12, 110), (13, 110), (20, 120)] {
            places.note(first, Timestamp(at));
        }
        let given_at = |place| places.given_at(place).map(|at| at.0);
        assert_eq!(
            [9, 10, 11, 12, 19, 20, 99].map(given_at),
            [None, Some(105), Some(105), Some(110), Some(110), Some(120), Some(120)]
        );
    }

    #[test]
    fn places_are_few_and_known_to_a_share_of_their_age() {
        let mut places = Places::default();
        // A place each millisecond for some hours, then one each second for weeks.
        let moments = (0..10_000_000).chain((10_000..2_000_000).map(|second| second * 1000));
        for (place, at) in (0..).zip(moments.clone()) {
            places.note(place, Timestamp(at));
        }
        assert!(places.moments.len() <= READY_MOMENTS_MAX);
        let now = 1_999_999_000;
        for (place, at) in (0..).zip(moments).step_by(9973) {
            let known = places.given_at(place).unwrap().0;
            assert!(known <= at && at - known <= (now - at) / 64 + 1, "{place}: {known}, not {at}");
        }
    }

    #[test]
    fn the_oldest_that_runs_is_known_to_a_share_of_its_age() {
        let mut running = Running::default();
        assert_eq!(running.oldest(), None);
        (0..100_000).for_each(|at| running.add(Timestamp(at)));
        assert!(running.moments.len() <= RUNNING_MOMENTS_MAX);
        for at in 0..100_000_u64 {
            let oldest = running.oldest().unwrap().0;
            assert!(oldest <= at && at - oldest <= (100_000 - at) / 16 + 1, "{oldest}, not {at}");
            running.remove(Timestamp(at));
        }
        assert_eq!(running.oldest(), None);
    }

    #[test]
    fn one_that_runs_for_long_costs_no_more_than_all() {
        let mut running = Running::default();
        running.add(Timestamp(5));
        for at in 10..1_000_000 {
            running.add(Timestamp(at));
            running.remove(Timestamp(at));
        }
        assert!(running.moments.len() <= RUNNING_MOMENTS_MAX);
        assert_eq!(running.oldest(), Some(Timestamp(5)));
        running.remove(Timestamp(5));
        assert_eq!(running.oldest(), None);
    }
}
