//! Schedules: what each is told to do, when its next tick is, and what became of the last ones. A part of `apply`.
//!
//! A tick and the job that it makes stand in one group of the log, so that both are there or neither. What was decided
//! (the next tick, its jitter) is in the event: nothing here knows of cron, of time zones, or what time it is.
//!
//! Volatile: that a tick is put off since its queue takes no job now. After a restart it is looked at again at once.

mod taken;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::Queues;
use super::apply::Applied;
use super::events::{Continue, Schedule, Suspend, Tick, Unschedule};
use crate::codec::{Field, Reader};
use crate::ids::JobId;
use crate::limits::SCHEDULE_RUNS_REMEMBERED;
use crate::planted::{Bug, is_planted};
use crate::schedule::{Plan, TickOutcome};
use crate::time::Timestamp;

pub(super) use taken::KIND_SCHEDULES;
pub use taken::{SchedulesLeft, take_schedules};

/// Which clock a schedule goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByClock {
    /// The clock on the wall.
    Wall,
    /// Log time: what passes counts, whatever the clock on the wall is set to.
    Log,
}

impl ByClock {
    pub const ALL: [ByClock; 2] = [ByClock::Wall, ByClock::Log];
}

/// One schedule, as it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurring {
    /// A [`Plan`], as it is written: most of it is looked at only when a tick is due.
    plan: Arc<[u8]>,
    pub by: ByClock,
    /// Where its spans are counted from.
    pub anchor: Timestamp,
    /// Its next tick, and the same with its jitter; 0 for none.
    pub next_at: Timestamp,
    pub due_at: Timestamp,
    pub is_suspended: bool,
    /// The newest tick that is over; 0 for none. None at or before it comes again by itself.
    pub last_tick: Timestamp,
    /// The job that it made last; 0 for none.
    pub last_job: JobId,
    /// What became of the last ticks, the newest last.
    pub runs: Vec<Run>,
}

/// What became of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub tick_at: Timestamp,
    /// Log time of its record.
    pub at: Timestamp,
    pub outcome: TickOutcome,
    /// The job; 0 for none.
    pub job: JobId,
    /// Whether somebody asked for it.
    pub asked: bool,
}

impl Recurring {
    pub fn plan(&self) -> Plan<'_> {
        Plan::read(&mut Reader::new(&self.plan), "plan").expect("it was written by the same code")
    }

    /// The same as bytes, which may be held while the state changes.
    pub fn plan_bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.plan)
    }
}

/// A schedule, and when it is to be looked at.
#[derive(Debug)]
struct Held {
    what: Arc<Recurring>,
    look_at: Timestamp,
    is_put_off: bool,
}

/// All schedules.
#[derive(Debug, Default)]
pub struct Schedules {
    by_name: BTreeMap<Arc<str>, Held>,
    /// Those with a tick to come, by clock.
    due: [BTreeSet<(Timestamp, Arc<str>)>; 2],
    /// What all plans and names take.
    bytes: usize,
}

impl Schedules {
    fn take_out(&mut self, name: &str) -> Option<(Arc<str>, Arc<Recurring>)> {
        let (name, held) = self.by_name.remove_entry(name)?;
        self.due[held.what.by as usize].remove(&(held.look_at, Arc::clone(&name)));
        self.bytes -= name.len() + held.what.plan.len();
        Some((name, held.what))
    }

    fn put_in(&mut self, name: Arc<str>, what: Arc<Recurring>) {
        self.bytes += name.len() + what.plan.len();
        let look_at = what.due_at;
        if look_at != Timestamp(0) && !what.is_suspended {
            self.due[what.by as usize].insert((look_at, Arc::clone(&name)));
        }
        self.by_name.insert(name, Held { what, look_at, is_put_off: false });
    }

    /// Changes one; says whether it is there.
    fn change(&mut self, name: &str, change: impl FnOnce(&mut Recurring)) -> Applied<()> {
        let (name, mut what) = self.take_out(name).ok_or(NONE)?;
        change(Arc::make_mut(&mut what));
        self.put_in(name, what);
        Ok(())
    }
}

const NONE: &str = "there is no such schedule";

impl Queues {
    pub(super) fn apply_schedule(&mut self, event: &Schedule<'_>) -> Applied<()> {
        if event.name.is_empty() || event.plan.queue.is_empty() {
            return Err("it has no name, or names no queue");
        }
        is_sane(event.next_at, event.due_at)?;
        let mut plan = Vec::new();
        event.plan.write(&mut plan);
        let by = if event.plan.is_by_span() { ByClock::Log } else { ByClock::Wall };
        let fresh = Recurring {
            plan: plan.into(),
            by,
            anchor: event.anchor,
            next_at: event.next_at,
            due_at: event.due_at,
            is_suspended: false,
            last_tick: Timestamp(0),
            last_job: JobId(0),
            runs: Vec::new(),
        };
        let (name, what) = match self.schedules.take_out(event.name) {
            None => (event.name.into(), fresh),
            Some((name, before)) => {
                let Recurring { is_suspended, last_job, ref runs, .. } = *before;
                // Moments of one clock say nothing to the other.
                let last_tick = if before.by == by { before.last_tick } else { Timestamp(0) };
                (name, Recurring { is_suspended, last_tick, last_job, runs: runs.clone(), ..fresh })
            }
        };
        self.schedules.put_in(name, what.into());
        Ok(())
    }

    pub(super) fn apply_unschedule(&mut self, event: &Unschedule<'_>) -> Applied<()> {
        self.schedules.take_out(event.name).map(drop).ok_or(NONE)
    }

    pub(super) fn apply_suspend(&mut self, event: &Suspend<'_>) -> Applied<()> {
        self.schedules.change(event.name, |schedule| schedule.is_suspended = true)
    }

    pub(super) fn apply_continue(&mut self, event: &Continue<'_>) -> Applied<()> {
        is_sane(event.next_at, event.due_at)?;
        self.schedules.change(event.name, |schedule| {
            schedule.is_suspended = false;
            (schedule.next_at, schedule.due_at) = (event.next_at, event.due_at);
        })
    }

    /// A tick is over. One that somebody asked for changes nothing about those to come.
    pub(super) fn apply_tick(&mut self, at: Timestamp, event: &Tick<'_>) -> Applied<()> {
        let Tick { name, tick_at, next_at, due_at, outcome, made, by } = *event;
        let asked = by.is_some();
        is_sane(next_at, due_at)?;
        if (outcome == TickOutcome::Made) != made.is_some() {
            return Err("what became of it and its job do not agree");
        }
        let schedule = self.schedule(name).ok_or(NONE)?;
        let is_next = !schedule.is_suspended && schedule.next_at != Timestamp(0) && schedule.next_at <= tick_at;
        let goes_on = next_at == Timestamp(0) || next_at > tick_at || is_planted(Bug::TickTwice);
        let fits = asked || (is_next && goes_on);
        if !fits {
            return Err("it is not the schedule's next tick, or the one after it is not later");
        }
        self.schedules.change(name, |schedule| {
            let job = made.unwrap_or_default();
            if let Some(job) = made {
                schedule.last_job = job;
            }
            if !asked {
                (schedule.next_at, schedule.due_at) = (next_at, due_at);
                schedule.last_tick = tick_at;
            }
            if schedule.runs.len() == SCHEDULE_RUNS_REMEMBERED {
                schedule.runs.remove(0);
            }
            schedule.runs.push(Run { tick_at, at, outcome, job, asked });
        })
    }

    /// The schedule of this name.
    pub fn schedule(&self, name: &str) -> Option<&Recurring> {
        self.schedules.by_name.get(name).map(|held| &*held.what)
    }

    /// Those behind this name, in the order of their names.
    pub fn schedules_behind(&self, name: &str) -> impl Iterator<Item = (&str, &Recurring)> {
        let behind = (Bound::Excluded(name), Bound::Unbounded);
        self.schedules.by_name.range::<str, _>(behind).map(|(name, held)| (&**name, &*held.what))
    }

    /// How many there are, and how many bytes their names and plans have.
    pub fn schedules_held(&self) -> (usize, usize) {
        (self.schedules.by_name.len(), self.schedules.bytes)
    }

    /// When the first of those that go by this clock is to be looked at, and which that is.
    pub fn next_schedule(&self, by: ByClock) -> Option<(Timestamp, &Arc<str>)> {
        self.schedules.due[by as usize].first().map(|(at, name)| (*at, name))
    }

    /// Whether its tick is put off.
    pub fn is_put_off(&self, name: &str) -> bool {
        self.schedules.by_name.get(name).is_some_and(|held| held.is_put_off)
    }

    /// Looks at a schedule again at this moment, since its tick could not be carried out.
    pub fn put_off(&mut self, name: &str, until: Timestamp) {
        let Some((name, held)) = self.schedules.by_name.get_key_value(name) else { return };
        let (name, due) = (Arc::clone(name), &mut self.schedules.due[held.what.by as usize]);
        if due.remove(&(held.look_at, Arc::clone(&name))) {
            due.insert((until, Arc::clone(&name)));
        }
        if let Some(held) = self.schedules.by_name.get_mut(&name) {
            (held.look_at, held.is_put_off) = (until, true);
        }
    }

    pub(super) fn check_schedules(&self) {
        let Schedules { by_name, due, bytes } = &self.schedules;
        let all = by_name.iter().map(|(name, held)| name.len() + held.what.plan.len());
        assert_eq!(all.sum::<usize>(), *bytes, "bytes of schedules");
        let mut looked: [BTreeSet<(Timestamp, Arc<str>)>; 2] = Default::default();
        for (name, held) in by_name {
            let Recurring { by, next_at, due_at, is_suspended, ref runs, .. } = *held.what;
            assert_eq!(held.what.plan().is_by_span(), by == ByClock::Log, "the clock of schedule {name}");
            assert!(due_at >= next_at && held.look_at >= due_at, "the next tick of schedule {name}");
            assert!(runs.len() <= SCHEDULE_RUNS_REMEMBERED, "runs of schedule {name}");
            if next_at != Timestamp(0) && !is_suspended {
                looked[by as usize].insert((held.look_at, Arc::clone(name)));
            }
        }
        assert_eq!(&looked, due, "when schedules are looked at");
    }

    /// What is durable of schedules, a line each.
    pub(super) fn describe_schedules(&self) -> impl Iterator<Item = String> {
        self.schedules.by_name.iter().map(|(name, held)| format!("schedule {name} {:?}", held.what))
    }
}

/// Whether this can be a tick to come.
fn is_sane(next_at: Timestamp, due_at: Timestamp) -> Applied<()> {
    let none = Timestamp(0);
    if due_at < next_at || (next_at == none) != (due_at == none) {
        return Err("its next tick is due before it comes");
    }
    Ok(())
}
