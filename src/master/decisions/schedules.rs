//! Schedules: made, changed and taken away, looked at, paused, and run by hand. Their ticks are carried out in `ticks`.

use std::sync::Arc;

use super::super::Master;
use super::super::answers::{Answer, Decided, Unanswered};
use super::super::ticks::{ToMake, drawn, timing};
use super::rules::done;
use super::stopping;
use crate::codec::Field;
use crate::ids::SessionId;
use crate::limits::{
    CLOCK_SET_BACK_MS_MAX, RECORD_OVERHEAD_BYTES_MAX, SCHEDULES_BYTES_MAX, SCHEDULES_MAX, TICKS_TOLD_MAX,
};
use crate::protocol::{
    DropSchedule, ErrorCode, List, ListSchedules, ListSchedulesOk, PauseSchedule, PutChange, PutSchedule,
    PutScheduleOk, Refusal, Request, ResumeSchedule, RunSchedule, RunScheduleOk, ScheduleFacts, ScheduleRow,
    ScheduleRun, ShowSchedule, TickTold,
};
use crate::queue::events::{Continue, Schedule, Suspend, Unschedule};
use crate::queue::{ByClock, Event, Recurring, Run};
use crate::schedule::Plan;
use crate::time::Timestamp;
use crate::timing::{Timing, shown};

impl Master {
    pub(super) fn schedules<'s>(
        &mut self,
        id: SessionId,
        request: &Request<'_>,
        now: Timestamp,
        written: &'s mut Vec<u8>,
    ) -> Decided<'s> {
        let by = self.sessions.session(id).map(|session| session.name.to_string()).unwrap_or_default();
        let whom = self.whom(id);
        match request {
            Request::ListSchedules(list) => Ok(self.list_schedules(list, written)),
            Request::ShowSchedule(show) => self.show_schedule(show, now, written),
            Request::PutSchedule(put) => self.put_schedule(put, (&by, &whom), now, written),
            Request::DropSchedule(DropSchedule { name }) => {
                self.known_schedule(name)?;
                self.write_of_schedule(now, &Unschedule { name, by: Some(&by) }.into(), 0)?;
                self.ticks.forget(name);
                log::info!("schedule {name} was removed by {whom}");
                Ok(done::<DropSchedule<'_>>(written))
            }
            Request::PauseSchedule(PauseSchedule { name }) => {
                if !self.known_schedule(name)?.is_suspended {
                    self.write_of_schedule(now, &Suspend { name, by: Some(&by) }.into(), 0)?;
                    log::info!("schedule {name} was paused by {whom}");
                }
                Ok(done::<PauseSchedule<'_>>(written))
            }
            Request::ResumeSchedule(ResumeSchedule { name }) => {
                if self.known_schedule(name)?.is_suspended {
                    self.resume_schedule(name, &by, now)?;
                    log::info!("schedule {name} goes on, by {whom}");
                }
                Ok(done::<ResumeSchedule<'_>>(written))
            }
            Request::RunSchedule(_) if self.stopping => Err(stopping().into()),
            Request::RunSchedule(run) => self.run_schedule(run, &by, now, written),
            other => unreachable!("{} is decided before", other.kind()),
        }
    }

    fn known_schedule(&self, name: &str) -> Result<&Recurring, Refusal> {
        self.journal.queues.schedule(name).ok_or_else(|| {
            let text = format!("there is no schedule {name:?}; `falcon-cli schedule list` shows those that are there");
            Refusal::new(ErrorCode::NotFound, text)
        })
    }

    fn write_of_schedule(&mut self, now: Timestamp, event: &Event<'_>, plan_bytes: usize) -> Result<(), Unanswered> {
        let group_bytes = plan_bytes + RECORD_OVERHEAD_BYTES_MAX;
        if !self.journal.has_room(group_bytes, 0, now)? {
            let text = "no room in the log: no log segment can be made; jobs go on, and schedules make none until \
                        there is room";
            return Err(Refusal::new(ErrorCode::StorageFull, text).into());
        }
        self.journal.begin_group(group_bytes)?;
        self.journal.record(now, event, false)?;
        Ok(())
    }

    fn put_schedule<'s>(
        &mut self,
        put: &PutSchedule<'_>,
        (by, whom): (&str, &str),
        now: Timestamp,
        written: &'s mut Vec<u8>,
    ) -> Decided<'s> {
        let PutSchedule { name, plan, dry_run } = *put;
        let mut bytes = Vec::new();
        plan.write(&mut bytes);
        let before = self.journal.queues.schedule(name);
        let (is_same, change) = match before {
            None => (false, PutChange::Added),
            Some(before) if *before.plan_bytes() == *bytes => (true, PutChange::Same),
            Some(_) => (false, PutChange::Changed),
        };
        self.has_place_for(name, bytes.len())?;
        let (anchor, next_at, due_at) = self.first_tick(name, &plan, now)?;
        if !is_same && dry_run != Some(true) {
            let event = Schedule { name, next_at, due_at, anchor, plan, by: Some(by) };
            self.write_of_schedule(now, &event.into(), bytes.len())?;
            self.ticks.forget(name);
            log::info!(
                "schedule {name} was {} by {whom}",
                if change == PutChange::Added { "added" } else { "changed" }
            );
        }
        let by = if plan.is_by_span() { ByClock::Log } else { ByClock::Wall };
        let next_at = self.ticks.on_the_wall(by, next_at);
        Ok(Answer::told::<PutSchedule<'_>>(&PutScheduleOk { change: change.code(), next_at }, written))
    }

    /// Anchor and next tick that a schedule will have: those that it has, if it is due as ever.
    fn first_tick(
        &mut self,
        name: &str,
        plan: &Plan<'_>,
        now: Timestamp,
    ) -> Result<(Timestamp, Timestamp, Timestamp), Refusal> {
        let by = if plan.is_by_span() { ByClock::Log } else { ByClock::Wall };
        let at = self.ticks.clock(by, now);
        let refused = |text: String| Refusal::new(ErrorCode::BadValue, text);
        let before = self.journal.queues.schedule(name);
        let as_before = before.filter(|before| before.plan().is_timed_as(plan));
        if let Some(Recurring { anchor, next_at, due_at, .. }) = as_before
            && as_before.is_some_and(|before| before.plan().jitter_ms == plan.jitter_ms)
        {
            return Ok((*anchor, *next_at, *due_at));
        }
        let anchor = as_before.map_or(at, |before| before.anchor);
        let from = before.filter(|before| before.by == by).map_or(at, |before| after_last(before, at));
        let timing = timing(plan, anchor).map_err(refused)?;
        let (next_at, due_at) = drawn(&timing, plan.jitter_ms, from, &mut self.random);
        if next_at == Timestamp(0) {
            return Err(refused(format!("cron {:?} is never due from now on; give it a time that comes", plan.cron)));
        }
        Ok((anchor, next_at, due_at))
    }

    /// Refuses a schedule that would be one too many.
    fn has_place_for(&self, name: &str, plan_bytes: usize) -> Result<(), Refusal> {
        let (count, bytes) = self.journal.queues.schedules_held();
        let before = self.journal.queues.schedule(name).map(|before| name.len() + before.plan_bytes().len());
        let text = if before.is_none() && count >= SCHEDULES_MAX {
            format!("there are {SCHEDULES_MAX} schedules already; {name:?} would be one more: remove one")
        } else if bytes - before.unwrap_or(0) + name.len() + plan_bytes > SCHEDULES_BYTES_MAX {
            format!("all schedules together may have {SCHEDULES_BYTES_MAX} bytes, and have {bytes}: remove some")
        } else {
            return Ok(());
        };
        Err(Refusal::new(ErrorCode::BadValue, text))
    }

    fn resume_schedule(&mut self, name: &str, by: &str, now: Timestamp) -> Result<(), Unanswered> {
        let timing = self.timing_of(name)?;
        let schedule = self.known_schedule(name)?;
        let from = after_last(schedule, self.ticks.clock(schedule.by, now));
        let jitter_ms = schedule.plan().jitter_ms;
        let (next_at, due_at) = drawn(&timing, jitter_ms, from, &mut self.random);
        self.write_of_schedule(now, &Continue { name, next_at, due_at, by: Some(by) }.into(), 0)
    }

    fn timing_of(&mut self, name: &str) -> Result<Arc<Timing>, Refusal> {
        let schedule = self.known_schedule(name)?;
        let (plan, anchor) = (schedule.plan_bytes(), schedule.anchor);
        self.ticks.timing(name, &plan, anchor).map_err(|text| Refusal::new(ErrorCode::WrongState, text))
    }

    fn run_schedule<'s>(
        &mut self,
        run: &RunSchedule<'_>,
        by: &str,
        now: Timestamp,
        written: &'s mut Vec<u8>,
    ) -> Decided<'s> {
        let name = run.name;
        let schedule = self.known_schedule(name)?;
        let (bytes, clock, last_job) = (schedule.plan_bytes(), schedule.by, schedule.last_job);
        let plan = Plan::read(&mut crate::codec::Reader::new(&bytes), "plan").map_err(Refusal::from)?;
        if self.is_overlap(name, &plan) {
            let text = format!(
                "schedule {name:?} makes no job while one that it made has not ended, and job {last_job} has not; \
                 `falcon-cli wait {last_job}` waits for it"
            );
            return Err(Refusal::new(ErrorCode::WrongState, text).into());
        }
        let tick_at = self.ticks.clock(clock, now);
        let next = (Timestamp(0), Timestamp(0));
        let job = self.make_job(&ToMake { name, plan, tick_at, next, by: Some(by) }, now)?;
        Ok(Answer::told::<RunSchedule<'_>>(&RunScheduleOk { job }, written))
    }

    fn list_schedules<'s>(&self, list: &ListSchedules<'_>, written: &'s mut Vec<u8>) -> Answer<'s> {
        let limit = usize::from(list.limit);
        let mut behind = self.journal.queues.schedules_behind(list.behind);
        let page = behind.by_ref().take(limit);
        let rows: Vec<ScheduleRow<'_>> = page.map(|(name, schedule)| self.schedule_row(name, schedule)).collect();
        let more = behind.next().is_some();
        Answer::told::<ListSchedules<'_>>(&ListSchedulesOk { schedules: List::lent(&rows), more }, written)
    }

    fn schedule_row<'q>(&self, name: &'q str, schedule: &'q Recurring) -> ScheduleRow<'q> {
        let Plan { queue, cron, every_ms, zone, group, .. } = schedule.plan();
        let next_at = if schedule.is_suspended { Timestamp(0) } else { schedule.next_at };
        let next_at = self.ticks.on_the_wall(schedule.by, next_at);
        let (paused, last) = (schedule.is_suspended, schedule.runs.last().map(told));
        ScheduleRow { name, queue, cron, every_ms, zone, paused, next_at, last, group }
    }

    fn show_schedule<'s>(&mut self, show: &ShowSchedule<'_>, now: Timestamp, written: &'s mut Vec<u8>) -> Decided<'s> {
        let timing = self.timing_of(show.name)?;
        let schedule = self.known_schedule(show.name)?;
        let plan = schedule.plan();
        let clock = self.ticks.clock(schedule.by, now);
        let first =
            if schedule.is_suspended { timing.after(after_last(schedule, clock)) } else { Some(schedule.next_at) };
        let first = first.filter(|at| *at != Timestamp(0));
        let next = std::iter::successors(first, |at| timing.after(*at)).take(TICKS_TOLD_MAX);
        let next: Vec<Timestamp> = next.map(|at| self.ticks.on_the_wall(schedule.by, at)).collect();
        let texts: Vec<String> = next.iter().map(|at| shown(*at, plan.zone)).collect();
        let ticks: Vec<TickTold<'_>> = next.iter().zip(&texts).map(|(at, shown)| TickTold { at: *at, shown }).collect();
        let runs: Vec<ScheduleRun> = schedule.runs.iter().map(told).collect();
        let put_off = self.ticks.reason(show.name).filter(|_| self.journal.queues.is_put_off(show.name));
        let (ticks, runs) = (List::lent(&ticks), List::lent(&runs));
        let reply = ScheduleFacts { plan, paused: schedule.is_suspended, ticks, runs, put_off };
        Ok(Answer::told::<ShowSchedule<'_>>(&reply, written))
    }
}

/// The moment that the next tick has to be later than: now, and the tick that was last, so that none comes twice while
/// a clock is set back a little. One that is set back by far was wrong before.
fn after_last(schedule: &Recurring, at: Timestamp) -> Timestamp {
    let ahead = schedule.last_tick.since(at).0;
    if ahead > CLOCK_SET_BACK_MS_MAX { at } else { schedule.last_tick.max(at) }
}

fn told(run: &Run) -> ScheduleRun {
    let Run { tick_at, at, outcome, job, asked } = *run;
    ScheduleRun { tick_at, at, outcome: outcome.code(), job, asked }
}
