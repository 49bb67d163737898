//! Ticks: the moments at which schedules make jobs, as they come.
//!
//! Promises: a tick is over by one event, which says when the next one is and stands in one group with the job that it
//! made. So it makes one job whatever happens, or none where that is what was asked for. The next tick is always later
//! than the one before, whatever the clock on the wall is set to: a clock that goes back makes none twice.
//!
//! A tick is *missed* when no job could be made for it: the master was down when it was due; or it stood still, or the
//! clock was set forward over it, by more than [`TICK_LATE_MS_MAX`]; or its queue took no job. The plan says what
//! becomes of those. A tick whose queue takes no job now is looked at again every [`LOOK_AGAIN`].
//!
//! Schedules that go by a cron expression go by the clock on the wall; those that go by a span, by log time, which goes
//! on whatever that clock is set to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answers::Unanswered;
use super::backoff::Random;
use super::decisions::enqueue;
use super::{Master, Timestamp};
use crate::codec::{Field, Reader};
use crate::ids::JobId;
use crate::job::{Header, HeadersText, Standing};
use crate::limits::{HEADERS_BYTES_MAX, RECORD_OVERHEAD_BYTES_MAX, TICK_LATE_MS_MAX, TICKS_PER_TURN};
use crate::planted::{Bug, is_planted};
use crate::protocol::{List, Refusal, Submit, SubmitJob};
use crate::queue::events::Tick;
use crate::queue::{ByClock, Queues};
use crate::schedule::{Missed, Plan, SCHEDULE_HEADER, TICK_HEADER, TickOutcome};
use crate::time::Millis;
use crate::timing::Timing;
use crate::wal::WalError;

/// When a tick is looked at again that could not be carried out.
const LOOK_AGAIN: Millis = Millis(500);

/// The same where its time zone is not known any more.
const LOOK_AGAIN_LATER: Millis = Millis(60_000);

const NO_ROOM: &str = "no room for more jobs: no log segment can be made; polls and acks go on";

/// What ticks need beside the state.
#[derive(Debug, Default)]
pub struct Ticks {
    /// By how much the clock on the wall is ahead of log time, in ms.
    lead: i64,
    /// The same, to tell moments by. Both clocks are read in whole milliseconds, whose borders differ, so that the lead
    /// goes to and fro by one; this one stays, so that a moment that is told twice is the same.
    told_lead: i64,
    /// When this run began to carry them out, by each clock.
    since: Option<[Timestamp; 2]>,
    /// Expressions that were read, with the plans that they are in.
    timings: BTreeMap<Arc<str>, Known>,
    /// Why a tick could not be carried out that is put off.
    reasons: BTreeMap<Arc<str>, String>,
}

/// When a plan is due, and which plan that is.
#[derive(Debug)]
struct Known {
    plan: Arc<[u8]>,
    timing: Arc<Timing>,
}

impl Ticks {
    /// What this clock shows.
    pub fn clock(&self, by: ByClock, now: Timestamp) -> Timestamp {
        match by {
            ByClock::Wall => Timestamp(now.0.saturating_add_signed(self.lead)),
            ByClock::Log => now,
        }
    }

    /// A moment of this clock as the one on the wall shows it.
    pub fn on_the_wall(&self, by: ByClock, at: Timestamp) -> Timestamp {
        match by {
            ByClock::Log if at != Timestamp(0) => Timestamp(at.0.saturating_add_signed(self.told_lead)),
            _ => at,
        }
    }

    fn note_wall(&mut self, wall: Timestamp, now: Timestamp) {
        self.lead = i64::try_from(i128::from(wall.0) - i128::from(now.0)).unwrap_or_default();
        if self.lead.abs_diff(self.told_lead) > 1 {
            self.told_lead = self.lead;
        }
    }

    fn note_turn(&mut self, now: Timestamp) {
        let [wall, log] = ByClock::ALL.map(|by| self.clock(by, now));
        let since = self.since.get_or_insert([wall, log]);
        // Set back, it comes to moments again which are not before that.
        since[ByClock::Wall as usize] = since[ByClock::Wall as usize].min(wall);
    }

    /// When the next tick is to be carried out, by log time.
    pub fn next_deadline(&self, queues: &Queues) -> Option<Timestamp> {
        let next = |by: ByClock| {
            let lead = if by == ByClock::Wall { self.lead } else { 0 };
            queues.next_schedule(by).map(|(at, _)| Timestamp(at.0.saturating_add_signed(lead.saturating_neg())))
        };
        ByClock::ALL.into_iter().filter_map(next).min()
    }

    /// When this plan is due.
    ///
    /// # Errors
    /// A sentence where its expression or its zone is not known.
    pub fn timing(&mut self, name: &str, plan: &Arc<[u8]>, anchor: Timestamp) -> Result<Arc<Timing>, String> {
        if let Some(known) = self.timings.get(name).filter(|known| Arc::ptr_eq(&known.plan, plan)) {
            return Ok(Arc::clone(&known.timing));
        }
        let timing = Arc::new(timing(&read(plan), anchor)?);
        self.timings.insert(name.into(), Known { plan: Arc::clone(plan), timing: Arc::clone(&timing) });
        Ok(timing)
    }

    /// Forgets what is known of a schedule.
    pub fn forget(&mut self, name: &str) {
        self.timings.remove(name);
        self.reasons.remove(name);
    }

    pub fn reason(&self, name: &str) -> Option<&str> {
        self.reasons.get(name).map(String::as_str)
    }
}

/// When a plan is due.
pub fn timing(plan: &Plan<'_>, anchor: Timestamp) -> Result<Timing, String> {
    if plan.is_by_span() {
        return Ok(Timing::Every { anchor, every: Millis(plan.every_ms) });
    }
    Timing::cron(plan.cron, plan.zone)
}

fn read(plan: &[u8]) -> Plan<'_> {
    Plan::read(&mut Reader::new(plan), "plan").expect("it was written by the same code")
}

/// The tick after this moment, and when it is due with what is drawn for it: well before the one after it.
pub fn drawn(timing: &Timing, jitter_ms: u32, after: Timestamp, random: &mut Random) -> (Timestamp, Timestamp) {
    let Some(next) = timing.after(after) else { return Default::default() };
    if jitter_ms == 0 {
        return (next, next);
    }
    let room = timing.after(next).map_or(u64::MAX, |one_more| one_more.since(next).0.saturating_sub(1));
    (next, next.plus(Millis(random.up_to(room.min(jitter_ms.into())))))
}

/// A schedule of which a tick is due.
struct Due<'d> {
    name: &'d Arc<str>,
    plan: Plan<'d>,
    timing: &'d Timing,
    /// What its clock shows.
    at: Timestamp,
    now: Timestamp,
}

/// A job that is to be made.
pub struct ToMake<'m> {
    pub name: &'m str,
    pub plan: Plan<'m>,
    pub tick_at: Timestamp,
    /// The tick after it, and when that is due.
    pub next: (Timestamp, Timestamp),
    /// Who asked for it, if somebody did.
    pub by: Option<&'m str>,
}

impl Master {
    /// Tells what the clock on the wall shows. Without it, that is taken to show log time.
    pub fn note_wall(&mut self, wall: Timestamp, now: Timestamp) {
        self.ticks.note_wall(wall, now);
    }

    /// Carries out the ticks that are due, as many as one turn takes.
    pub(super) fn carry_out_ticks(&mut self, now: Timestamp) -> Result<(), WalError> {
        self.ticks.note_turn(now);
        let mut left = TICKS_PER_TURN;
        for by in ByClock::ALL {
            let at = self.ticks.clock(by, now);
            while left > 0
                && !self.stopping
                && let Some((_, name)) = self.journal.queues.next_schedule(by).filter(|(due_at, _)| *due_at <= at)
            {
                let name = Arc::clone(name);
                left -= self.carry_out(&name, (by, at), now, left)?;
            }
        }
        Ok(())
    }

    /// Carries out what is due of a schedule; says how many ticks that were.
    fn carry_out(
        &mut self,
        name: &Arc<str>,
        (by, at): (ByClock, Timestamp),
        now: Timestamp,
        most: usize,
    ) -> Result<usize, WalError> {
        let schedule = self.journal.queues.schedule(name).expect("it is due");
        let (bytes, next_at, due_at) = (schedule.plan_bytes(), schedule.next_at, schedule.due_at);
        let timing = match self.ticks.timing(name, &bytes, schedule.anchor) {
            Ok(timing) => timing,
            Err(why) => {
                self.put_off(name, at.plus(LOOK_AGAIN_LATER), why);
                return Ok(1);
            }
        };
        let due = Due { name, plan: read(&bytes), timing: &timing, at, now };
        // Those before this are missed. Of one that was put off it is known already.
        let missed_until = if self.journal.queues.is_put_off(name) {
            at.plus(Millis(1))
        } else {
            let since = self.ticks.since.map_or(at, |since| since[by as usize]);
            since.max(Timestamp(at.0.saturating_sub(TICK_LATE_MS_MAX)))
        };
        if due_at >= missed_until {
            self.tick(&due, next_at)?;
            return Ok(1);
        }
        self.ticks_missed(&due, next_at, missed_until.max(next_at.plus(Millis(1))), most)
    }

    /// Carries out ticks that no job could be made for when they were due.
    fn ticks_missed(
        &mut self,
        due: &Due<'_>,
        first: Timestamp,
        until: Timestamp,
        most: usize,
    ) -> Result<usize, WalError> {
        let wanted = if due.plan.missed == Missed::All { usize::from(due.plan.missed_max) } else { 1 };
        let mut ticks = due.timing.latest(first, until, wanted);
        if ticks.is_empty() {
            // It was decided by rules of a zone that are others now.
            ticks.push(first);
        }
        if due.plan.missed == Missed::Skip || is_planted(Bug::MissedForgotten) {
            let last = ticks[ticks.len() - 1];
            self.tick_without_job(due, last, TickOutcome::Missed)?;
            return Ok(1);
        }
        let ticks = &ticks[..ticks.len().min(most)];
        for (count, tick_at) in ticks.iter().enumerate() {
            if !self.tick(due, *tick_at)? {
                return Ok(count + 1);
            }
        }
        Ok(ticks.len())
    }

    /// Carries out one tick; says whether it is over.
    fn tick(&mut self, due: &Due<'_>, tick_at: Timestamp) -> Result<bool, WalError> {
        if self.is_overlap(due.name, &due.plan) {
            return self.tick_without_job(due, tick_at, TickOutcome::Overlap);
        }
        let next = self.next_of(due, tick_at);
        let to_make = ToMake { name: due.name, plan: due.plan, tick_at, next, by: None };
        match self.make_job(&to_make, due.now) {
            Ok(_) => {
                self.ticks.reasons.remove(due.name);
                Ok(true)
            }
            Err(Unanswered::Fatal(error)) => Err(error),
            Err(Unanswered::Refused(_)) if due.plan.missed == Missed::Skip => {
                self.tick_without_job(due, tick_at, TickOutcome::Refused)
            }
            Err(Unanswered::Refused(refusal)) => {
                self.put_off(due.name, due.at.plus(LOOK_AGAIN), refusal.text);
                Ok(false)
            }
        }
    }

    fn next_of(&mut self, due: &Due<'_>, tick_at: Timestamp) -> (Timestamp, Timestamp) {
        if is_planted(Bug::TickTwice) && tick_at.0.is_multiple_of(7) {
            return (tick_at, tick_at.plus(Millis(1)));
        }
        drawn(due.timing, due.plan.jitter_ms, tick_at, &mut self.random)
    }

    /// Whether the job of an earlier tick has not ended, and none is to be made beside it.
    pub(super) fn is_overlap(&self, name: &str, plan: &Plan<'_>) -> bool {
        let queues = &self.journal.queues;
        let last = queues.schedule(name).map_or(JobId(0), |schedule| schedule.last_job);
        plan.skip_overlap && queues.standing(last).is_some_and(|standing| !Standing::is_ended(standing))
    }

    /// A tick is over that makes no job.
    fn tick_without_job(&mut self, due: &Due<'_>, tick_at: Timestamp, outcome: TickOutcome) -> Result<bool, WalError> {
        if !self.journal.has_room(RECORD_OVERHEAD_BYTES_MAX, 0, due.now)? {
            self.put_off(due.name, due.at.plus(LOOK_AGAIN), NO_ROOM.to_owned());
            return Ok(false);
        }
        let (next_at, due_at) = self.next_of(due, tick_at);
        let event = Tick { name: due.name, tick_at, next_at, due_at, outcome, made: None, by: None };
        self.journal.record_alone(due.now, &event.into())?;
        self.ticks.reasons.remove(due.name);
        Ok(true)
    }

    fn put_off(&mut self, name: &Arc<str>, until: Timestamp, why: String) {
        if self.ticks.reasons.get(name).is_none_or(|before| *before != why) {
            log::warn!("a tick of schedule {name} is put off: {why}");
            self.ticks.reasons.insert(Arc::clone(name), why);
        }
        self.journal.queues.put_off(name, until);
    }

    /// Makes the job of a tick; both are in the log, or neither.
    pub(super) fn make_job(&mut self, to_make: &ToMake<'_>, now: Timestamp) -> Result<JobId, Unanswered> {
        let ToMake { name, plan, tick_at, next: (next_at, due_at), by } = *to_make;
        let headers = headers(&plan, name, tick_at);
        let job = SubmitJob {
            queue: plan.queue,
            settings: plan.settings,
            keep_ms: plan.keep_ms,
            backoff: plan.backoff,
            ttl_ms: plan.ttl_ms,
            headers: Some(HeadersText(&headers)),
            group: plan.group,
            payload: plan.payload,
            ..SubmitJob::default()
        };
        self.admit(&Submit::of(&[job]), now)?;
        let bytes = 3 * RECORD_OVERHEAD_BYTES_MAX + HEADERS_BYTES_MAX + plan.payload.len();
        if !self.journal.has_room(bytes, 1, now)? {
            return Err(Refusal::new(crate::protocol::ErrorCode::StorageFull, NO_ROOM).into());
        }
        let of_queue = self.journal.queues.settings(plan.queue);
        let id = self.journal.queues.next_job();
        let (outcome, made) = (TickOutcome::Made, Some(id));
        let tick = Tick { name, tick_at, next_at, due_at, outcome, made, by };
        self.journal.begin_group(bytes)?;
        self.journal.record(now, &tick.into(), !is_planted(Bug::TickApart))?;
        if is_planted(Bug::TickApart) {
            self.journal.begin_group(bytes)?;
        }
        self.journal.record(now, &enqueue(&job, (&self.config, &of_queue), (id, &[], None), now), false)?;
        Ok(id)
    }
}

/// The headers of a job: its plan's, and which tick it is made for.
fn headers(plan: &Plan<'_>, name: &str, tick_at: Timestamp) -> Vec<u8> {
    let own = plan.headers.and_then(|headers| headers.read().ok()).unwrap_or_default();
    let tick = tick_at.rfc3339();
    let of_tick = [Header { name: SCHEDULE_HEADER, value: name }, Header { name: TICK_HEADER, value: &tick }];
    let all: Vec<Header<'_>> = own.iter().chain(of_tick).collect();
    let mut out = Vec::new();
    List::lent(&all).write(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_is_told_twice_is_the_same_until_the_clock_is_set() {
        let mut ticks = Ticks::default();
        let mut told = |wall, now| {
            ticks.note_wall(Timestamp(wall), Timestamp(now));
            (ticks.on_the_wall(ByClock::Log, Timestamp(5)).0, ticks.clock(ByClock::Wall, Timestamp(now)).0)
        };
        assert_eq!(told(1_010, 10), (1_005, 1_010));
        // One of the clocks has come to its next millisecond, and the other has not.
        assert_eq!(told(1_011, 10), (1_005, 1_011), "what is due by the clock goes by what it shows");
        assert_eq!(told(1_011, 12), (1_005, 1_011));
        assert_eq!(told(1_014, 12), (1_007, 1_014));
    }
}
