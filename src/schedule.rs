//! What a schedule is told to do: the same value in a frame, in an event and in the state.

use crate::codec::{coded, message};
use crate::job::{Backoff, HeadersText, Settings};

coded! {
    /// What becomes of ticks that no job could be made for when they were due.
    Missed {
        /// One job for all of them.
        Once = 1 "once";
        /// None.
        Skip = 2 "skip";
        /// A job for each of the latest.
        All = 3 "all";
    }
}

coded! {
    /// What became of a tick.
    TickOutcome {
        Made = 1 "made";
        /// It was over before a job could be made, and none was to be made for it later.
        Missed = 2 "missed";
        /// The job of an earlier tick had not ended.
        Overlap = 3 "overlap";
        /// The queue took no job.
        Refused = 4 "refused";
    }
}

message! {
    /// When a schedule makes jobs, and which.
    Plan<'a> {
        queue: &'a str;
        /// Empty for one that goes by `every_ms`.
        cron: &'a str;
        /// 0 for one that goes by `cron`.
        every_ms: u64;
        /// Whose clock on the wall `cron` means; empty for UTC.
        zone: &'a str;
        /// Each tick comes up to so much later, as is drawn for it.
        jitter_ms: u32;
        missed: Missed;
        /// Of `All`: how many of the latest; 0 otherwise.
        missed_max: u16;
        /// Whether no job is made while one of an earlier tick has not ended.
        skip_overlap: bool;
        settings: Settings;
    } extras {
        1 keep_ms: u64;
        2 backoff: Backoff;
        3 ttl_ms: u64;
        4 headers: HeadersText<'a>;
        /// Of each job, inside its queue; without it they are in none.
        5 group: &'a str;
    } tail payload: &'a [u8]
}

impl Plan<'_> {
    /// Whether it goes by spans, and not by the clock on the wall.
    pub fn is_by_span(&self) -> bool {
        self.every_ms > 0
    }

    /// Whether both are due at the same moments, but for what is drawn.
    pub fn is_timed_as(&self, other: &Plan<'_>) -> bool {
        (self.cron, self.every_ms, self.zone) == (other.cron, other.every_ms, other.zone)
    }
}

/// The names of the headers that say which tick of which schedule a job was made for.
pub const SCHEDULE_HEADER: &str = "schedule";
pub const TICK_HEADER: &str = "tick";
