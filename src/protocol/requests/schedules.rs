//! What a person asks of schedules.

use super::super::bounds::{sane_plan, schedule_name, within};
use crate::codec::message;
use crate::limits::SCHEDULES_TOLD_MAX;
use crate::schedule::Plan;

message! {
    /// Makes a schedule, or changes one. One that is the same already is left alone.
    PutSchedule<'a> {
        name: &'a str => schedule_name;
        plan: Plan<'a> => sane_plan;
    } extras {
        /// Only says what would become of it.
        1 dry_run: bool;
    }
}

message! {
    /// Takes a schedule away. The jobs that it made are left alone.
    DropSchedule<'a> {
        name: &'a str => schedule_name;
    }
}

message! {
    /// Lists schedules, by their names.
    ListSchedules<'a> {
        /// Where to go on: those behind this name.
        behind: &'a str;
        limit: u16 => within(1, SCHEDULES_TOLD_MAX);
    }
}

message! {
    /// Asks for everything that is known of a schedule.
    ShowSchedule<'a> {
        name: &'a str => schedule_name;
    }
}

message! {
    /// Lets a schedule make no jobs until it is resumed.
    PauseSchedule<'a> {
        name: &'a str => schedule_name;
    }
}

message! {
    /// Lets a schedule make jobs again.
    ResumeSchedule<'a> {
        name: &'a str => schedule_name;
    }
}

message! {
    /// Lets a schedule make a job now; its ticks are left alone.
    RunSchedule<'a> {
        name: &'a str => schedule_name;
    }
}
