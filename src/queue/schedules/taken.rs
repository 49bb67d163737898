//! Schedules in a snapshot: what is written of them, and the way back.
//!
//! When a snapshot is begun it takes hold of all schedules as they are, which copies none of them; they are written in
//! slices, as jobs are. One that changes meanwhile becomes another value, and the old one is written.

use std::sync::Arc;

use super::super::events::Schedule;
use super::super::{Queues, Slice};
use super::{Recurring, Run};
use crate::codec::{DecodeError, Fault, Field, List, Reader, message};
use crate::ids::JobId;
use crate::limits::SCHEDULE_RUNS_REMEMBERED;
use crate::schedule::{Plan, TickOutcome};
use crate::time::Timestamp;

/// The kind of their blocks.
pub(in super::super) const KIND_SCHEDULES: u32 = 10;

/// Bytes after which a block is handed out; one schedule may have some more than a half of it.
const BLOCK_BYTES: usize = 64 << 10;

message! {
    /// One schedule.
    ScheduleState<'a> {
        name: &'a str;
        anchor: Timestamp;
        next_at: Timestamp;
        due_at: Timestamp;
        suspended: bool;
        last_tick: Timestamp;
        last_job: JobId;
        runs: List<'a, RunState>;
        plan: Plan<'a>;
    }
}

message! {
    /// What became of a tick.
    RunState {
        tick_at: Timestamp;
        at: Timestamp;
        outcome: TickOutcome;
        job: JobId;
        asked: bool;
    }
}

/// Schedules that a snapshot has still to write, the first one last.
#[derive(Debug)]
pub struct SchedulesLeft(Vec<(Arc<str>, Arc<Recurring>)>);

impl SchedulesLeft {
    /// The next block of them, if any are left.
    pub fn next_block(&mut self) -> Option<Slice> {
        let mut body = Vec::new();
        while body.len() < BLOCK_BYTES
            && let Some((name, schedule)) = self.0.pop()
        {
            write(&name, &schedule, &mut body);
        }
        (!body.is_empty()).then_some(Slice::Block(KIND_SCHEDULES, body))
    }
}

fn write(name: &str, schedule: &Recurring, out: &mut Vec<u8>) {
    let Recurring { anchor, next_at, due_at, is_suspended: suspended, last_tick, last_job, ref runs, .. } = *schedule;
    let run = |run: &Run| {
        let Run { tick_at, at, outcome, job, asked } = *run;
        RunState { tick_at, at, outcome, job, asked }
    };
    let runs: Vec<RunState> = runs.iter().map(run).collect();
    let (runs, plan) = (List::lent(&runs), schedule.plan());
    ScheduleState { name, anchor, next_at, due_at, suspended, last_tick, last_job, runs, plan }.write(out);
}

impl Queues {
    /// Takes hold of all schedules as they are.
    pub(in super::super) fn hold_schedules(&self) -> SchedulesLeft {
        let all = self.schedules.by_name.iter().rev();
        SchedulesLeft(all.map(|(name, held)| (Arc::clone(name), Arc::clone(&held.what))).collect())
    }
}

/// Takes a block of schedules in.
pub fn take_schedules(queues: &mut Queues, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let undefined = |field| DecodeError::new(field, Fault::Undefined);
    while !reader.rest().is_empty() {
        let state = ScheduleState::read(reader, "schedule")?;
        let ScheduleState { name, anchor, next_at, due_at, suspended, last_tick, last_job, runs, plan } = state;
        if queues.schedule(name).is_some() || runs.len() > SCHEDULE_RUNS_REMEMBERED {
            return Err(undefined("schedule"));
        }
        let event = Schedule { name, next_at, due_at, anchor, plan, by: None };
        queues.apply_schedule(&event).map_err(|_| undefined("schedule"))?;
        let run = |run: RunState| {
            let RunState { tick_at, at, outcome, job, asked } = run;
            Run { tick_at, at, outcome, job, asked }
        };
        let changed = queues.schedules.change(name, |schedule| {
            (schedule.is_suspended, schedule.last_tick, schedule.last_job) = (suspended, last_tick, last_job);
            schedule.runs = runs.iter().map(run).collect();
        });
        changed.map_err(|_| undefined("schedule"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::ByClock;
    use super::*;
    use crate::ids::{Location, Lsn};
    use crate::queue::events::Tick;
    use crate::queue::{Event, Restoring};

    fn state() -> Queues {
        let mut queues = Queues::default();
        let payload = vec![7; 10_000];
        for number in 0..40 {
            let name = format!("s{number:02}");
            let plan = Plan {
                queue: "q",
                every_ms: 1000 * (number % 2),
                cron: "* * * * *",
                group: Some("acme"),
                payload: &payload,
                ..Plan::default()
            };
            let (next_at, due_at) = (Timestamp(1000 + number), Timestamp(2000 + number));
            let event = Schedule { name: &name, next_at, due_at, plan, ..Schedule::default() };
            apply(&mut queues, event.into());
        }
        queues
    }

    fn apply(queues: &mut Queues, event: Event<'_>) {
        queues.apply(Lsn(1), Timestamp(5), &event, Location::default()).unwrap();
        queues.check();
    }

    #[test]
    fn schedules_are_in_a_snapshot_as_they_were_when_it_was_begun() {
        let mut queues = state();
        let tick = Tick {
            name: "s03",
            tick_at: Timestamp(1003),
            next_at: Timestamp(3000),
            due_at: Timestamp(3000),
            ..Tick::default()
        };
        let tick = Tick { outcome: TickOutcome::Overlap, ..tick };
        apply(&mut queues, tick.into());
        let before = queues.describe();
        let mut blocks = vec![queues.begin_snapshot()];
        let again = Tick { tick_at: Timestamp(3000), next_at: Timestamp(4000), due_at: Timestamp(4000), ..tick };
        apply(&mut queues, again.into());
        assert_ne!(queues.describe(), before);
        loop {
            match queues.snapshot_slice(10) {
                Slice::Done => break,
                slice => blocks.push(slice),
            }
        }
        let of_schedules = blocks.iter().filter(|block| matches!(block, Slice::Block(KIND_SCHEDULES, _)));
        assert!(of_schedules.count() > 4, "they are written in pieces");
        let (mut restored, mut restoring) = (Queues::default(), Restoring::default());
        for block in blocks {
            if let Slice::Block(kind, body) = block {
                restoring.block(&mut restored, kind, &body).unwrap();
            }
        }
        restoring.finish(&mut restored).unwrap();
        restored.check();
        assert_eq!(restored.describe(), before);
        assert_eq!(restored.schedule("s03").map(|schedule| schedule.by), Some(ByClock::Log));
    }
}
