//! The only clock: milliseconds since 1970 that never go back within a run, nor behind the log.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// The wall's time when it was made, moved on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that is not behind `floor`, the moment of the log's newest record.
    pub fn start(floor: Timestamp) -> Clock {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
        if wall < floor {
            log::warn!(
                "the system's clock is {} ms behind the newest record of the log; \
                 time goes on from that record, so delays keep their length",
                floor.since(wall).0
            );
        }
        Clock { base: wall.max(floor), started: Instant::now() }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.base.0 + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_behind_its_floor() {
        let future = Timestamp(u64::MAX / 4);
        assert!(Clock::start(future).now() >= future);
        assert!(Clock::start(Timestamp(0)).now() > Timestamp(1_700_000_000_000));
    }
}
