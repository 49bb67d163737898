//! What the loop tells of the machine, for those who look: nothing is decided by it but for the memory.

use crate::time::{Millis, Timestamp};

/// How long the longest sync is told of.
const SPAN: Millis = Millis(60_000);

/// Memory that the process has from the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Of its own: the index, and all buffers.
    pub own_bytes: u64,
    /// Pages of files that are mapped: of log segments, which the system takes back when it needs them.
    pub mapped_bytes: u64,
}

/// Room on the disk of the log, and for open files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    pub disk_bytes: u64,
    pub disk_free_bytes: u64,
    pub descriptors_max: u64,
}

/// The longest sync of late: of this span and the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct SyncTimes {
    span: u64,
    longest: Millis,
    before: Millis,
}

impl SyncTimes {
    pub fn note(&mut self, took: Millis, now: Timestamp) {
        self.pass(now);
        self.longest = self.longest.max(took);
    }

    /// The longest one that ended within the last minute or two.
    pub fn longest(mut self, now: Timestamp) -> Millis {
        self.pass(now);
        self.longest.max(self.before)
    }

    fn pass(&mut self, now: Timestamp) {
        let span = now.0 / SPAN.0;
        if span > self.span {
            self.before = if span == self.span + 1 { self.longest } else { Millis(0) };
            (self.span, self.longest) = (span, Millis(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_sync_is_told_for_a_minute_at_least() {
        let mut times = SyncTimes::default();
        let at = |seconds: u64| Timestamp(seconds * 1000);
        times.note(Millis(30), at(100));
        times.note(Millis(5), at(110));
        assert_eq!([110, 160, 179, 181, 400].map(|now| times.longest(at(now)).0), [30, 30, 30, 0, 0]);
    }
}
