//! How a schedule is shown: when it is due, what it makes, and what became of its last ticks.

use serde_json::Value;

use super::render::{self, beginning};
use super::table::{Column, text};
use super::when::Wall;
use crate::client::{ListedSchedule, ScheduleRun, ScheduleState};
use crate::shapes::{outcome, told};
use crate::time::{Millis, Timestamp};

/// The columns of a list.
pub const COLUMNS: [Column; 6] =
    [text("SCHEDULE"), text("QUEUE"), text("GROUP"), text("WHEN"), text("NEXT"), text("LAST")];

pub fn cells(row: &ListedSchedule, wall: &Wall) -> Vec<String> {
    let next = match row.next_at {
        _ if row.paused => "paused".to_owned(),
        None => "never".to_owned(),
        Some(at) => wall.relative(at),
    };
    let last = row.last.map(|run| run_text(&run, wall.relative(run.tick_at))).unwrap_or_default();
    vec![row.name.clone(), row.queue.clone(), row.group.clone(), when(&row.cron, row.every_ms, &row.zone), next, last]
}

fn when(cron: &str, every_ms: u64, zone: &str) -> String {
    match (every_ms, zone) {
        (0, "") => format!("{cron} UTC"),
        (0, zone) => format!("{cron} {zone}"),
        (every_ms, _) => format!("every {}", Millis(every_ms)),
    }
}

fn run_text(run: &ScheduleRun, at: String) -> String {
    let made = if run.job.0 > 0 { format!("job {}", run.job) } else { outcome(run.outcome) };
    let asked = if run.asked { ", asked for" } else { "" };
    format!("{at}: {made}{asked}")
}

/// A tick as it comes here; and what the clock of the schedule's zone shows then, where that is another one.
pub fn tick_text((at, in_zone): &(Timestamp, String), wall: &Wall) -> String {
    let (here, both) = (wall.shown(*at), wall.both(*at));
    let is_same =
        here.split(' ').zip(in_zone.split('T')).all(|(here, there)| there.starts_with(here.trim_end_matches('Z')));
    if is_same { both } else { format!("{both}, there {in_zone}") }
}

/// All that is known of it, a line each.
pub fn facts(name: &str, state: &ScheduleState, wall: &Wall) -> String {
    let mut facts = vec![("schedule", name.to_owned())];
    let shown = |(name, text, _): (&'static str, String, Value)| {
        let is_payload = name.starts_with("payload");
        (name, if is_payload { beginning(text.as_bytes()) } else { text })
    };
    facts.extend(told(&state.spec).into_iter().map(shown));
    facts.push(("paused", if state.paused { "yes" } else { "no" }.to_owned()));
    facts.extend(state.put_off.iter().map(|why| ("put off", why.clone())));
    let heading = if state.paused { "next if resumed" } else { "next" };
    if state.ticks.is_empty() {
        facts.push((heading, "never".to_owned()));
    }
    let first_of = |index: usize, heading: &'static str| if index == 0 { heading } else { "" };
    let ticks = state.ticks.iter().enumerate();
    facts.extend(ticks.map(|(index, tick)| (first_of(index, heading), tick_text(tick, wall))));
    let runs = state.runs.iter().rev().enumerate();
    facts.extend(runs.map(|(index, run)| (first_of(index, "last"), run_text(run, wall.shown(run.tick_at)))));
    render::facts(&facts)
}
