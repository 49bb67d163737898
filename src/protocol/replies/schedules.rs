//! What is told of schedules.

use crate::codec::{List, coded, message};
use crate::ids::JobId;
use crate::schedule::Plan;
use crate::time::Timestamp;

coded! {
    /// What became of a schedule that was put.
    PutChange {
        Added = 1 "added";
        Changed = 2 "changed";
        /// It is what was asked for already.
        Same = 3 "same";
    }
}

message! {
    /// The schedule is there, or would be.
    PutScheduleOk {
        /// [`PutChange`]'s number.
        change: u8;
        /// When its next tick is.
        next_at: Timestamp;
    }
}

message! {
    /// A page of schedules.
    ListSchedulesOk<'a> {
        schedules: List<'a, ScheduleRow<'a>>;
        /// Whether there are more behind the last.
        more: bool;
    }
}

message! {
    /// What a list tells of a schedule.
    ScheduleRow<'a> {
        name: &'a str;
        queue: &'a str;
        /// Empty for one that goes by `every_ms`.
        cron: &'a str;
        every_ms: u64;
        /// Empty for UTC.
        zone: &'a str;
        paused: bool;
        /// When its next tick is; 0 for none.
        next_at: Timestamp;
    } extras {
        /// The last of its ticks that is remembered.
        1 last: ScheduleRun;
        /// Of its jobs, if they are in one.
        2 group: &'a str;
    }
}

message! {
    /// What became of a tick.
    ScheduleRun {
        /// The moment that it stands for, by the clock that the schedule goes by.
        tick_at: Timestamp;
        /// When that became of it, by the log's time.
        at: Timestamp;
        /// [`TickOutcome`](crate::schedule::TickOutcome)'s number, or one of a later version.
        outcome: u8;
        /// The job that was made; 0 for none.
        job: JobId;
        /// Whether somebody asked for it.
        asked: bool;
    }
}

message! {
    /// Everything that is known of a schedule.
    ScheduleFacts<'a> {
        plan: Plan<'a>;
        paused: bool;
        /// Its next ticks, without their jitter.
        ticks: List<'a, TickTold<'a>>;
        /// What became of the last ones, the newest last.
        runs: List<'a, ScheduleRun>;
    } extras {
        /// A tick is due, and no job can be made for it now: why.
        1 put_off: &'a str;
    }
}

message! {
    /// A tick to come.
    TickTold<'a> {
        at: Timestamp;
        /// What the clock of its zone shows then.
        shown: &'a str;
    }
}

message! {
    /// The job that was made.
    RunScheduleOk {
        job: JobId;
    }
}
