//! How fast a pool runs its jobs, and how many it asks for ahead of that.
//!
//! The default is as many as it finishes in two round trips: with one it would run dry whenever an answer comes a
//! little late, and long jobs are not hoarded.

use std::time::{Duration, Instant};

/// How long a job is held that was to be begun within two round trips, at least. It is given back then: others may be
/// idle.
const HELD_MAX: Duration = Duration::from_millis(250);

/// A rate is measured over at least this.
const WINDOW: Duration = Duration::from_millis(2);

/// A rate that was measured over more than this says nothing of how fast jobs run: the pool waited for them.
const WINDOW_MAX: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub struct Pace {
    fixed: Option<u16>,
    finished: u32,
    since: Option<Instant>,
    per_second: u64,
    round_trip_us: u64,
}

impl Pace {
    /// With a fixed number of jobs to hold, or as measured.
    pub fn new(fixed: Option<u16>) -> Pace {
        Pace { fixed, ..Pace::default() }
    }

    /// A job has ended.
    pub fn finished(&mut self) {
        self.finished += 1;
    }

    /// A poll that did not wait for jobs was answered with some after so long.
    pub fn answered(&mut self, round_trip: Duration) {
        mix(&mut self.round_trip_us, round_trip.as_micros() as u64);
    }

    /// Looks how many jobs ended since the last look.
    pub fn look(&mut self, now: Instant) {
        let window = now.saturating_duration_since(*self.since.get_or_insert(now));
        if window < WINDOW {
            return;
        }
        let per_second = u64::from(self.finished) * 1_000_000 / window.as_micros() as u64;
        if window <= WINDOW_MAX {
            mix(&mut self.per_second, per_second);
        } else {
            self.per_second = per_second;
        }
        (self.since, self.finished) = (Some(now), 0);
    }

    /// How many jobs to hold that cannot be begun yet.
    pub fn extra(&self) -> usize {
        let measured = 2 * self.per_second * self.round_trip_us / 1_000_000;
        self.fixed.map_or(measured as usize, usize::from)
    }

    /// How long a job may be held at most, whatever its lease is.
    pub fn held_max(&self) -> Duration {
        if self.fixed.is_some() {
            return Duration::MAX;
        }
        HELD_MAX.max(Duration::from_micros(4 * self.round_trip_us))
    }

    /// How many jobs are run in a millisecond.
    pub fn per_ms(&self) -> usize {
        (self.per_second / 1000) as usize
    }
}

/// The newest measurement counts a quarter.
fn mix(mean: &mut u64, newest: u64) {
    *mean = if *mean == 0 { newest } else { (3 * *mean + newest) / 4 };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(jobs: u32, window: Duration) -> Pace {
        let (mut pace, now) = (Pace::new(None), Instant::now());
        pace.answered(Duration::from_millis(5));
        pace.look(now);
        (0..jobs).for_each(|_| pace.finished());
        pace.look(now + window);
        pace
    }

    #[test]
    fn short_jobs_are_asked_for_ahead_and_long_ones_are_not() {
        let short = pace(1000, Duration::from_millis(100));
        assert_eq!((short.extra(), short.per_ms()), (100, 10));
        let long = pace(2, Duration::from_millis(100));
        assert_eq!((long.extra(), long.per_ms()), (0, 0));
        assert_eq!(pace(1000, Duration::from_secs(10)).extra(), 1, "it had to wait for them");
        assert_eq!(short.held_max(), HELD_MAX);
        let mut far = Pace::new(None);
        far.answered(Duration::from_secs(1));
        assert_eq!(far.held_max(), Duration::from_secs(4), "it comes from far away");
    }

    #[test]
    fn a_fixed_number_is_kept() {
        let (mut pace, now) = (Pace::new(Some(7)), Instant::now());
        assert_eq!((pace.extra(), pace.held_max()), (7, Duration::MAX));
        pace.look(now);
        assert_eq!(pace.extra(), 7);
    }
}
