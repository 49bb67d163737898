//! The only clock of the daemon: log time, in milliseconds since 1970. See [`log_time`] for what it promises.
//!
//! Leases, heartbeats and time-outs are not to feel that log time was mended: [`Clock::look`] says by how much, and the
//! loop adds that to them. Between looks log time goes on with the system's `CLOCK_BOOTTIME`, also over a suspend.

mod file;
mod log_time;
mod stopwatch;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::time::{Millis, Timestamp};

use file::ClockFile;
use log_time::{LogTime, Reading};

pub use stopwatch::Stopwatch;

/// How often the system's clock is looked at.
const LOOK_EVERY: Millis = Millis(1000);

/// How often the log's time is written to its file, while anything waits for it.
const SAVE_EVERY: Millis = Millis(10_000);

#[derive(Debug)]
pub struct Clock {
    time: LogTime,
    file: ClockFile,
    look_at: Timestamp,
    save_at: Timestamp,
}

impl Clock {
    /// A clock that is not behind `floor`, the moment of the log's newest record, nor behind what was saved in this
    /// directory, and that has counted the time since, as far as the system knows it.
    pub fn start(floor: Timestamp, dir: &Path) -> Clock {
        let file = ClockFile::open(dir);
        let wall = wall_now();
        if wall < floor {
            log::warn!(
                "the system's clock is {} behind the newest record of the log; time goes on from that record, and \
                 when the clock is mended, so is the log's time",
                floor.since(wall)
            );
        }
        let time = LogTime::start(floor, file.saved(), &Reading { wall, boot: boot_now() }, file.boot_id());
        let mut clock = Clock { time, file, look_at: Timestamp(0), save_at: Timestamp(0) };
        clock.save(false);
        clock
    }

    pub fn now(&self) -> Timestamp {
        self.time.at(boot_now())
    }

    /// What the clock on the wall shows: for what people name by it alone, since it may go either way.
    pub fn wall() -> Timestamp {
        wall_now()
    }

    /// Looks at the system's clock every now and then: log time goes forward where that was mended forward. Returns by
    /// how much; nobody has waited for so long.
    pub fn look(&mut self, waits_for_time: bool) -> Millis {
        let now = self.now();
        if now < self.look_at {
            return Millis(0);
        }
        let jump = self.time.look(&Reading { wall: wall_now(), boot: boot_now() });
        let now = self.now();
        self.look_at = now.plus(LOOK_EVERY);
        if jump > Millis(0) {
            log::warn!("the system's clock was mended: time goes forward by {jump}");
        }
        if jump > Millis(0) || (waits_for_time && now >= self.save_at) {
            self.save(false);
        }
        jump
    }

    /// Saves how far log time is; `for_good` makes it durable, for the daemon's end.
    pub fn save(&mut self, for_good: bool) {
        self.save_at = self.now().plus(SAVE_EVERY);
        self.file.save(self.time.pair(boot_now()), for_good);
    }
}

/// The system's clock: milliseconds since 1970.
fn wall_now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Milliseconds since the machine was started.
fn boot_now() -> Millis {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    Millis(seconds * 1000 + nanos / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_behind_its_floor_and_goes_on_from_what_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let future = Timestamp(u64::MAX / 4);
        let mut clock = Clock::start(future, dir.path());
        assert!(clock.now() >= future);
        assert_eq!(clock.look(true), Millis(0));
        clock.save(true);
        let before = clock.now();
        let again = Clock::start(Timestamp(0), dir.path());
        assert!(again.now() >= before && again.now().since(before) < Millis(60_000));
        assert!(Clock::start(Timestamp(0), tempfile::tempdir().unwrap().path()).now() > Timestamp(1_700_000_000_000));
    }
}
