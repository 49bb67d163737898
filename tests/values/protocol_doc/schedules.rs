//! The frames of schedules that the page shows.

use falconqueue::job::Settings;
use falconqueue::protocol::*;
use falconqueue::schedule::{Missed, Plan, TickOutcome};
use falconqueue::time::Timestamp;

use super::JOB;

const PLAN: Plan<'_> = Plan {
    queue: "mail",
    cron: "0 7 * * *",
    every_ms: 0,
    zone: "Europe/Berlin",
    jitter_ms: 30_000,
    missed: Missed::All,
    missed_max: 3,
    skip_overlap: true,
    settings: Settings { timeout_ms: 0, max_attempts: 0, priority: 128 },
    keep_ms: None,
    backoff: None,
    ttl_ms: Some(3_600_000),
    headers: None,
    group: Some("acme"),
    payload: b"daily",
};

const NAME: &str = "report";

const RUN: ScheduleRun = ScheduleRun {
    tick_at: Timestamp(1_000_000),
    at: Timestamp(1_000_003),
    outcome: TickOutcome::Made.code(),
    job: JOB,
    asked: false,
};

const ROW: ScheduleRow<'_> = ScheduleRow {
    name: NAME,
    queue: "mail",
    cron: "",
    every_ms: 90_000,
    zone: "",
    paused: false,
    next_at: Timestamp(1_090_000),
    last: Some(RUN),
    group: None,
};

const TICK: TickTold<'_> = TickTold { at: Timestamp(1_090_000), shown: "1970-01-01T01:18:10+01:00" };

pub fn requests() -> [Request<'static>; 7] {
    [
        PutSchedule { name: NAME, plan: PLAN, dry_run: Some(true) }.into(),
        DropSchedule { name: NAME }.into(),
        ListSchedules { behind: "", limit: 100 }.into(),
        ShowSchedule { name: NAME }.into(),
        PauseSchedule { name: NAME }.into(),
        ResumeSchedule { name: NAME }.into(),
        RunSchedule { name: NAME }.into(),
    ]
}

/// Calls `take` with the name and the reply of each.
pub fn for_each_reply(mut take: impl FnMut(&str, Reply<'_>)) {
    let next_at = Timestamp(1_090_000);
    take("PutScheduleOk", Reply::PutScheduleOk(PutScheduleOk { change: PutChange::Added.code(), next_at }));
    let schedules = List::lent(&[ROW]);
    take("ListSchedulesOk", Reply::ListSchedulesOk(ListSchedulesOk { schedules, more: false }));
    let (ticks, runs) = (List::lent(&[TICK]), List::lent(&[RUN]));
    let facts = ScheduleFacts { plan: PLAN, paused: false, ticks, runs, put_off: Some("full") };
    take("ShowScheduleOk", Reply::ShowScheduleOk(facts));
    take("RunScheduleOk", Reply::RunScheduleOk(RunScheduleOk { job: JOB }));
}
