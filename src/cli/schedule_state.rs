//! How a schedule is shown: when it is due, what it makes, and what became of its last ticks.

use serde_json::{Map, Value, json};

use super::args::written;
use super::job::later;
use super::render::{self, beginning, put_bytes};
use super::table::{Column, text};
use super::when::{self, Wall};
use crate::client::{ListedSchedule, ScheduleRun, ScheduleSpec, ScheduleState};
use crate::job::HeadersText;
use crate::schedule::{Missed, TickOutcome};
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

pub fn row_json(row: &ListedSchedule) -> Value {
    let mut object = Map::new();
    object.insert("schedule".to_owned(), row.name.clone().into());
    object.insert("queue".to_owned(), row.queue.clone().into());
    if !row.group.is_empty() {
        object.insert("group".to_owned(), row.group.clone().into());
    }
    put_when(&mut object, &row.cron, row.every_ms, &row.zone);
    object.insert("paused".to_owned(), row.paused.into());
    object.insert("next_at".to_owned(), row.next_at.map(when::json).into());
    object.insert("last".to_owned(), row.last.map(|run| run_json(&run)).into());
    Value::Object(object)
}

fn put_when(object: &mut Map<String, Value>, cron: &str, every_ms: u64, zone: &str) {
    if every_ms > 0 {
        object.insert("every_ms".to_owned(), every_ms.into());
    } else {
        object.insert("cron".to_owned(), cron.into());
        object.insert("tz".to_owned(), if zone.is_empty() { "UTC" } else { zone }.into());
    }
}

fn outcome(code: u8) -> String {
    TickOutcome::from_code(code).map_or_else(|| later(code), |outcome| outcome.word().to_owned())
}

fn run_text(run: &ScheduleRun, at: String) -> String {
    let made = if run.job.0 > 0 { format!("job {}", run.job) } else { outcome(run.outcome) };
    let asked = if run.asked { ", asked for" } else { "" };
    format!("{at}: {made}{asked}")
}

fn run_json(run: &ScheduleRun) -> Value {
    let job = (run.job.0 > 0).then_some(run.job.0);
    let (tick_at, at) = (when::json(run.tick_at), when::json(run.at));
    json!({"tick_at": tick_at, "at": at, "outcome": outcome(run.outcome), "job": job, "asked": run.asked})
}

/// A tick as it comes here; and what the clock of the schedule's zone shows then, where that is another one.
pub fn tick_text((at, in_zone): &(Timestamp, String), wall: &Wall) -> String {
    let (here, both) = (wall.shown(*at), wall.both(*at));
    let is_same =
        here.split(' ').zip(in_zone.split('T')).all(|(here, there)| there.starts_with(here.trim_end_matches('Z')));
    if is_same { both } else { format!("{both}, there {in_zone}") }
}

/// What becomes of missed ticks, as on the command line.
fn missed(spec: &ScheduleSpec) -> String {
    match spec.missed {
        Missed::All => format!("all:{}", spec.missed_max),
        missed => missed.word().to_owned(),
    }
}

/// What a schedule was told: name, text as on the command line, value. What is as by default is left out, but for what
/// everyone asks about.
pub fn told(spec: &ScheduleSpec) -> Vec<(&'static str, String, Value)> {
    let of_text = |name, text: String| (name, text.clone(), Value::from(text));
    let mut all = vec![of_text("queue", spec.queue.clone())];
    all.extend((!spec.group.is_empty()).then(|| ("group", spec.group.clone(), spec.group.clone().into())));
    if spec.every_ms > 0 {
        all.push(("every", Millis(spec.every_ms).to_string(), Millis(spec.every_ms).to_string().into()));
    } else {
        all.push(("cron", spec.cron.clone(), spec.cron.clone().into()));
        let zone = if spec.zone.is_empty() { "UTC" } else { &spec.zone };
        all.push(("tz", zone.to_owned(), zone.into()));
    }
    let span = |name, ms: u64| of_text(name, Millis(ms).to_string());
    all.extend((spec.jitter_ms > 0).then(|| span("jitter", spec.jitter_ms.into())));
    all.push(of_text("missed", missed(spec)));
    all.push(of_text("overlap", if spec.skip_overlap { "skip" } else { "allow" }.to_owned()));
    all.push(("priority", spec.settings.priority.to_string(), spec.settings.priority.into()));
    let attempts = spec.settings.max_attempts;
    all.extend((attempts > 0).then(|| ("max_attempts", attempts.to_string(), attempts.into())));
    all.extend((spec.settings.timeout_ms > 0).then(|| span("timeout", spec.settings.timeout_ms.into())));
    all.extend(spec.keep_ms.map(|keep_ms| span("keep", keep_ms)));
    all.extend(spec.ttl_ms.map(|ttl_ms| span("ttl", ttl_ms)));
    all.extend(spec.backoff.map(|backoff| of_text("backoff", written(backoff))));
    all.extend(headers(spec));
    let mut payload = Map::new();
    put_bytes(&mut payload, "payload", &spec.payload);
    let value = payload.into_iter().next().map(|(_, value)| value).unwrap_or_default();
    let name = if std::str::from_utf8(&spec.payload).is_ok() { "payload" } else { "payload_hex" };
    all.push((name, beginning(&spec.payload), value));
    all
}

fn headers(spec: &ScheduleSpec) -> Option<(&'static str, String, Value)> {
    let headers = HeadersText(&spec.headers).read().ok().filter(|headers| !headers.is_empty())?;
    let texts: Vec<String> = headers.iter().map(|header| format!("{}={}", header.name, header.value)).collect();
    let all = headers.iter().map(|header| (header.name.to_owned(), Value::from(header.value)));
    Some(("headers", texts.join(" "), Value::Object(all.collect())))
}

/// All that is known of it, a line each.
pub fn facts(name: &str, state: &ScheduleState, wall: &Wall) -> String {
    let mut facts = vec![("schedule", name.to_owned())];
    facts.extend(told(&state.spec).into_iter().map(|(name, text, _)| (name, text)));
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

pub fn json(name: &str, state: &ScheduleState) -> Value {
    let mut object = Map::new();
    object.insert("schedule".to_owned(), name.into());
    object.extend(told(&state.spec).into_iter().map(|(name, _, value)| (name.to_owned(), value)));
    object.insert("paused".to_owned(), state.paused.into());
    object.insert("put_off".to_owned(), state.put_off.clone().into());
    let ticks = state.ticks.iter().map(|(at, shown)| json!({"at": when::json(*at), "shown": shown}));
    object.insert("next".to_owned(), ticks.collect());
    object.insert("last".to_owned(), state.runs.iter().rev().map(run_json).collect());
    Value::Object(object)
}
