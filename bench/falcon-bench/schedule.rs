//! When jobs are to be sent in an open loop.

use std::time::Duration;

/// One job in each interval, at a random moment of it: nothing that happens at a steady beat can hide between them.
pub struct Schedule {
    begun_ns: u64,
    interval_ns: f64,
    next: u64,
    next_ns: u64,
    random: u64,
}

impl Schedule {
    pub fn new(begun_ns: u64, per_s: f64) -> Schedule {
        let mut schedule =
            Schedule { begun_ns, interval_ns: 1e9 / per_s, next: 0, next_ns: 0, random: 0x9e37_79b9_7f4a_7c15 };
        schedule.plan();
        schedule
    }

    fn plan(&mut self) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let part = (self.random >> 11) as f64 / (1u64 << 53) as f64;
        #[allow(clippy::cast_sign_loss)] // All of them are positive.
        let offset_ns = ((self.next as f64 + part) * self.interval_ns) as u64;
        self.next += 1;
        self.next_ns = self.begun_ns + offset_ns;
    }

    /// The moment at which the oldest job that is due was to be sent.
    pub fn take_due(&mut self, now_ns: u64) -> Option<u64> {
        let due_ns = self.next_ns;
        (due_ns <= now_ns).then(|| {
            self.plan();
            due_ns
        })
    }

    /// How long the loop may sleep. A sleep can be a millisecond too long, so the last one is spent awake.
    pub fn sleep(&self, now_ns: u64) -> Duration {
        Duration::from_millis((self.next_ns.saturating_sub(now_ns) / 1_000_000).saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_jobs_are_due_as_the_rate_says_however_late_they_are_asked_for() {
        let mut schedule = Schedule::new(1_000, 1000.0);
        let due: Vec<u64> = std::iter::from_fn(|| schedule.take_due(1_000 + 100_000_000)).collect();
        assert_eq!(due.len(), 100);
        for (number, at_ns) in (0..).zip(&due) {
            let interval = 1_000 + number * 1_000_000..1_000 + (number + 1) * 1_000_000;
            assert!(interval.contains(at_ns), "{at_ns} is not in {interval:?}");
        }
    }

    #[test]
    fn the_loop_never_sleeps_past_the_next_job() {
        let schedule = Schedule::new(0, 10.0);
        let (due_ns, sleep) = (schedule.next_ns, schedule.sleep(0));
        assert!(sleep.as_nanos() + 1_000_000 <= u128::from(due_ns));
        assert_eq!(schedule.sleep(due_ns), Duration::ZERO);
    }
}
