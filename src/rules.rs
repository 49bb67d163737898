//! What holds in a queue, beside its jobs: the same value in a frame, in an event and in the state.

use std::fmt;

use crate::codec::{coded, message};
use crate::job::Backoff;
use crate::limits::{RATE_SPAN_MS_MAX, RATE_TOKENS_MAX};
use crate::time::Millis;

coded! {
    /// Which way of a queue is closed.
    Way {
        /// It takes no jobs.
        In = 1 "in";
        /// It hands none out.
        Out = 2 "out";
        Both = 3 "both";
    }
}

impl Way {
    /// Whether this closes the way in.
    pub const fn is_in(self) -> bool {
        matches!(self, Way::In | Way::Both)
    }

    /// Whether this closes the way out.
    pub const fn is_out(self) -> bool {
        matches!(self, Way::Out | Way::Both)
    }
}

message! {
    /// The settings of a queue; what is not set is as everywhere.
    QueueSettings {} extras {
        /// How long a job is kept after its end that says nothing else. Read when a job ends.
        1 keep_s: u32;
        /// How long a dead job is kept; without it until somebody requeues or purges it. Read when a job dies.
        2 dead_keep_s: u32;
        /// Of a job that has none of its own. Read when an attempt fails.
        3 backoff: Backoff;
        /// Of a job that says nothing else. Read at the submit.
        4 max_attempts: u16;
        /// How many jobs may wait, delayed or not. Read at the submit.
        5 depth_max: u64;
        /// How many bytes their payloads may have together. Read at the submit.
        6 bytes_max: u64;
        /// How long an attempt of a job may run that says nothing else. Read at the submit.
        7 timeout_ms: u32;
        /// How long a job may wait to be begun that says nothing else. Read at the submit.
        8 ttl_ms: u64;
        /// How many jobs may be in flight, over all workers. Read whenever a job may be handed out.
        9 running_max: u32;
        /// How many jobs of one group may be in flight, over all workers. Read whenever a job may be handed out.
        10 group_running_max: u32;
        /// While a job of a group is in flight, or waits for another attempt, no other of the group is handed out.
        11 strict: bool;
        /// How often jobs may be handed out. Read whenever one may.
        12 rate: Rate;
        /// How often jobs of one group may.
        13 group_rate: Rate;
    }
}

message! {
    /// How often something may happen: `tokens` times in `per_ms`, and `burst` times at once after a pause.
    Rate {
        tokens: u32;
        per_ms: u32;
        burst: u32;
    }
}

/// As it is written on the command line: `100/s`, `30/m burst 5`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = Millis(self.per_ms.into()).to_string();
        let unit = span.strip_prefix('1').filter(|unit| unit.chars().all(char::is_alphabetic)).unwrap_or(&span);
        write!(f, "{}/{unit}", self.tokens)?;
        if self.burst == Rate::usual_burst(self.tokens, self.per_ms) {
            Ok(())
        } else {
            write!(f, " burst {}", self.burst)
        }
    }
}

impl Rate {
    /// The burst of a rate that says nothing of it: what comes in a second, and at least one.
    pub const fn usual_burst(tokens: u32, per_ms: u32) -> u32 {
        let burst = tokens as u64 * 1000 / per_ms as u64;
        if burst < 1 {
            1
        } else if burst > RATE_TOKENS_MAX as u64 {
            RATE_TOKENS_MAX
        } else {
            burst as u32
        }
    }

    /// Whether anything may happen by it, and it can be counted by.
    pub const fn is_sane(self) -> bool {
        let has_tokens = self.tokens >= 1 && self.tokens <= RATE_TOKENS_MAX;
        let has_burst = self.burst >= 1 && self.burst <= RATE_TOKENS_MAX;
        has_tokens && has_burst && self.per_ms >= 1 && self.per_ms <= RATE_SPAN_MS_MAX
    }
}

message! {
    /// The settings of one group of a queue; what is not set is as the queue says for each of its groups.
    GroupSettings {} extras {
        /// How many jobs it hands out in each of its turns; 1 without it.
        1 weight: u16;
        /// How many of its jobs may be in flight.
        2 running_max: u32;
        /// How often its jobs may be handed out.
        3 rate: Rate;
    }
}

impl QueueSettings {
    /// Whether it says anything of the queue's groups.
    pub const fn has_turns(&self) -> bool {
        self.group_running_max.is_some() || matches!(self.strict, Some(true)) || self.group_rate.is_some()
    }

    /// What decides which job is handed out, and when.
    pub const fn turning(&self) -> (Option<u32>, Option<bool>, Option<Rate>, Option<Rate>) {
        (self.group_running_max, self.strict, self.rate, self.group_rate)
    }

    /// Whether each of its jobs has to be begun at once when it is handed out: one that is only held would take the
    /// place or the token of another.
    pub const fn is_bounded(&self) -> bool {
        self.running_max.is_some() || self.has_turns() || self.rate.is_some()
    }
}
