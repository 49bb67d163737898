//! The clock that leases are held against: it goes on while the machine sleeps, as the master's does elsewhere.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment of `CLOCK_BOOTTIME`, which counts from the machine's start and does not stand still in suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    /// This moment.
    pub fn now() -> BootTime {
        let now = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
        BootTime(Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0)))
    }

    /// The moment this much later.
    #[must_use]
    pub fn plus(self, span: Duration) -> BootTime {
        BootTime(self.0.saturating_add(span))
    }

    /// The moment up to which a lease certainly lives that had so much left, by the master's word, in the answer to a
    /// request that was sent now. The master counts from the beginning of its turn, which may be a little before that;
    /// a turn that takes longer than half a second it adds to every lease itself.
    #[must_use]
    pub fn plus_certainly(self, left: Duration) -> BootTime {
        const TURN_MAX: Duration = Duration::from_millis(500);
        self.plus(left.saturating_sub((left / 4).min(TURN_MAX)))
    }

    /// How long it is until then; zero once it is over.
    pub fn left(self) -> Duration {
        self.0.saturating_sub(BootTime::now().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_certain_for_a_little_less_than_the_master_says() {
        let certain_ms = |ms| BootTime(Duration::ZERO).plus_certainly(Duration::from_millis(ms)).0.as_millis();
        assert_eq!([0, 100, 10_000].map(certain_ms), [0, 75, 9_500]);
    }

    #[test]
    fn a_moment_comes_and_is_over() {
        let (begun, later) = (BootTime::now(), BootTime::now().plus(Duration::from_hours(1)));
        assert!(begun < later && later.left() > Duration::from_mins(59));
        assert_eq!(begun.left(), Duration::ZERO);
    }
}
