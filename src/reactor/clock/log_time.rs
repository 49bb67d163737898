//! Log time, as a value: what rules order, delays, backoffs and key windows.
//!
//! Promises:
//! - It never goes back, over restarts neither.
//! - Every moment in which the daemon ran counts for ever, whatever the system's clock says. So does the time between
//!   two runs on a machine that was not restarted meanwhile.
//! - It is not behind the system's clock. So a clock that was behind, as at a start before the network was there, costs
//!   nothing once it is mended; and downtime counts as far as the system's clock knows of it.
//! - A clock that was ahead once takes log time ahead, for good. Delays are lengths: what is left of them goes on, and
//!   at most what the machine was off is added to it.

use crate::time::{Millis, Timestamp};

/// The system's clock may differ by so much: it is read in whole milliseconds, and at another moment.
const STEP_MIN: Millis = Millis(500);

/// What the system's clocks say.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub wall: Timestamp,
    /// Since the machine was started, suspends among it.
    pub boot: Millis,
}

/// Two clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub log: Timestamp,
    pub boot: Millis,
}

/// What an earlier run left, and which start of a machine its `boot` counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    pub pair: Pair,
    pub boot_id: [u8; 16],
}

#[derive(Clone, Copy, Debug)]
pub struct LogTime(Pair);

impl LogTime {
    /// Goes on from what was saved, and not behind the newest record of the log.
    pub fn start(floor: Timestamp, saved: Option<Saved>, reading: &Reading, boot_id: [u8; 16]) -> LogTime {
        let kept = saved.map_or(floor, |Saved { pair, boot_id: saved_in }| {
            let goes_on = saved_in == boot_id && pair.boot <= reading.boot;
            if goes_on { LogTime(pair).at(reading.boot) } else { pair.log }
        });
        LogTime(Pair { log: kept.max(floor).max(reading.wall), boot: reading.boot })
    }

    /// What it is at this moment since the machine was started.
    pub fn at(&self, boot: Millis) -> Timestamp {
        self.0.log.plus(Millis(boot.0.saturating_sub(self.0.boot.0)))
    }

    pub fn pair(&self, boot: Millis) -> Pair {
        Pair { log: self.at(boot), boot }
    }

    /// Goes forward to the system's clock where that is ahead; returns by how much.
    pub fn look(&mut self, reading: &Reading) -> Millis {
        let now = self.at(reading.boot);
        let behind = reading.wall.since(now);
        if behind < STEP_MIN {
            return Millis(0);
        }
        self.0 = Pair { log: reading.wall, boot: reading.boot };
        behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: [u8; 16] = [1; 16];
    const YEAR: u64 = 365 * 24 * 3600 * 1000;

    fn reading(wall: u64, boot: u64) -> Reading {
        Reading { wall: Timestamp(wall), boot: Millis(boot) }
    }

    fn saved(log: u64, boot: u64, boot_id: [u8; 16]) -> Saved {
        Saved { pair: Pair { log: Timestamp(log), boot: Millis(boot) }, boot_id }
    }

    #[test]
    fn a_clock_that_was_behind_at_the_start_costs_nothing_once_it_is_mended() {
        let mut time = LogTime::start(Timestamp(10_000), Some(saved(10_000, 900, [9; 16])), &reading(2_000, 0), BOOT);
        assert_eq!(time.at(Millis(4_000)), Timestamp(14_000));
        assert_eq!(time.look(&reading(21_000, 4_000)), Millis(7_000));
        assert_eq!(time.at(Millis(5_000)), Timestamp(22_000));
    }

    #[test]
    fn a_clock_that_was_ahead_once_takes_time_ahead_and_nothing_back() {
        let mut time = LogTime::start(Timestamp(0), None, &reading(1_000, 0), BOOT);
        assert_eq!(time.look(&reading(YEAR, 10)), Millis(YEAR - 1_010));
        assert_eq!(time.look(&reading(1_030, 30)), Millis(0));
        assert_eq!(time.at(Millis(60)), Timestamp(YEAR + 50));
        // Nor is anything lost by a restart of the daemon, or of the machine.
        let Pair { log, boot } = time.pair(Millis(60));
        let again = LogTime::start(Timestamp(0), Some(saved(log.0, boot.0, BOOT)), &reading(1_090, 90), BOOT);
        assert_eq!(again.at(Millis(100)), Timestamp(YEAR + 90));
        let later = LogTime::start(Timestamp(0), Some(saved(log.0, boot.0, [9; 16])), &reading(5_000, 20), BOOT);
        assert_eq!(later.at(Millis(30)), Timestamp(YEAR + 60));
    }

    #[test]
    fn a_file_of_another_start_that_has_the_same_name_is_not_counted_backwards() {
        let time = LogTime::start(Timestamp(0), Some(saved(1_000, 500, BOOT)), &reading(0, 400), BOOT);
        assert_eq!(time.at(Millis(400)), Timestamp(1_000));
    }

    /// A machine whose clock is set at random, and a daemon on it that is restarted at random, with what it saved.
    struct History {
        random: u64,
        real: u64,
        /// By how much the system's clock is wrong.
        wrong: i64,
        wrong_max: i64,
        booted_at: u64,
        starts: u8,
        /// How long the daemon ran in all, without what a power cut took of what was not saved.
        ran: u64,
        saved: Option<Saved>,
        time: LogTime,
    }

    impl History {
        fn new(seed: u64) -> History {
            let time = LogTime::start(Timestamp(0), None, &reading(YEAR, 0), [0; 16]);
            let random = seed * 2 + 1;
            let (wrong, wrong_max, starts, ran, saved) = (0, 0, 0, 0, None);
            let mut history =
                History { random, real: YEAR, wrong, wrong_max, booted_at: YEAR, starts, ran, saved, time };
            history.save();
            history
        }

        fn below(&mut self, end: u64) -> u64 {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.random >> 33) % end
        }

        fn reading(&self) -> Reading {
            reading(self.real.saturating_add_signed(self.wrong), self.real - self.booted_at)
        }

        fn now(&self) -> Timestamp {
            self.time.at(self.reading().boot)
        }

        /// Seconds to years, forward or back, or right again.
        fn set_clock(&mut self) {
            let scale = [1_000, 60_000, 3_600_000, 24 * 3_600_000, YEAR][self.below(5) as usize];
            let step = (1 + self.below(20)).cast_signed() * i64::try_from(scale).unwrap();
            self.wrong = [step, -step, 0][self.below(3) as usize].max(-self.real.cast_signed() / 2);
        }

        /// A restart of the daemon, or of the machine, after which it saves where it is.
        fn restart(&mut self) {
            let off = self.below(100_000);
            self.real += off;
            if self.below(2) == 0 {
                (self.booted_at, self.starts) = (self.real, self.starts.wrapping_add(1));
            }
            self.wrong_max = self.wrong_max.max(self.wrong);
            self.time = LogTime::start(Timestamp(0), self.saved, &self.reading(), [self.starts; 16]);
            self.save();
        }

        fn save(&mut self) {
            self.saved = Some(Saved { pair: self.time.pair(self.reading().boot), boot_id: [self.starts; 16] });
        }

        fn run(&mut self) {
            let span = 1 + self.below(50_000);
            (self.real, self.ran) = (self.real + span, self.ran + span);
            self.wrong_max = self.wrong_max.max(self.wrong);
            self.time.look(&self.reading());
            self.save();
        }
    }

    #[test]
    fn whatever_becomes_of_the_clock_no_moment_is_lost_and_none_is_counted_twice() {
        for seed in 0..300 {
            let mut history = History::new(seed);
            for step in 0..300 {
                let (before, ran_before) = (history.now(), history.ran);
                match history.below(4) {
                    0 => history.set_clock(),
                    1 => history.restart(),
                    _ => history.run(),
                }
                let now = history.now();
                let ran = history.ran - ran_before;
                assert!(now >= before.plus(Millis(ran)), "seed {seed}, step {step}: a delay took longer than it ran");
                if history.wrong == 0 && ran > 0 {
                    let real = Timestamp(history.real);
                    assert!(now.plus(STEP_MIN) > real, "seed {seed}, step {step}: late although the clock is right");
                }
                if history.wrong_max.max(history.wrong) <= 0 {
                    assert!(now <= Timestamp(history.real), "seed {seed}, step {step}: early");
                }
            }
        }
    }
}
