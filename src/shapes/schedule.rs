//! Schedules: what they were told, and what became of their ticks.

use serde_json::{Map, Value, json};

use super::values::written;
use super::{later, moment, put_bytes};
use crate::client::{ListedSchedule, ScheduleRun, ScheduleSpec, ScheduleState};
use crate::job::HeadersText;
use crate::schedule::{Missed, TickOutcome};
use crate::time::Millis;

/// A row of a list of schedules.
pub fn listed_schedule(row: &ListedSchedule) -> Value {
    let mut object = Map::new();
    object.insert("schedule".to_owned(), row.name.clone().into());
    object.insert("queue".to_owned(), row.queue.clone().into());
    if !row.group.is_empty() {
        object.insert("group".to_owned(), row.group.clone().into());
    }
    put_when(&mut object, &row.cron, row.every_ms, &row.zone);
    object.insert("paused".to_owned(), row.paused.into());
    object.insert("next_at".to_owned(), row.next_at.map(moment).into());
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

/// What became of a tick, in a word.
pub fn outcome(code: u8) -> String {
    TickOutcome::from_code(code).map_or_else(|| later(code), |outcome| outcome.word().to_owned())
}

fn run_json(run: &ScheduleRun) -> Value {
    let job = (run.job.0 > 0).then_some(run.job.0);
    let (tick_at, at) = (moment(run.tick_at), moment(run.at));
    json!({"tick_at": tick_at, "at": at, "outcome": outcome(run.outcome), "job": job, "asked": run.asked})
}

/// What becomes of missed ticks, as on the command line.
pub fn missed(spec: &ScheduleSpec) -> String {
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
    all.push((name, String::from_utf8_lossy(&spec.payload).into_owned(), value));
    all
}

fn headers(spec: &ScheduleSpec) -> Option<(&'static str, String, Value)> {
    let headers = HeadersText(&spec.headers).read().ok().filter(|headers| !headers.is_empty())?;
    let texts: Vec<String> = headers.iter().map(|header| format!("{}={}", header.name, header.value)).collect();
    let all = headers.iter().map(|header| (header.name.to_owned(), Value::from(header.value)));
    Some(("headers", texts.join(" "), Value::Object(all.collect())))
}

/// A schedule.
pub fn schedule(name: &str, state: &ScheduleState) -> Value {
    let mut object = Map::new();
    object.insert("schedule".to_owned(), name.into());
    object.extend(told(&state.spec).into_iter().map(|(name, _, value)| (name.to_owned(), value)));
    object.insert("paused".to_owned(), state.paused.into());
    object.insert("put_off".to_owned(), state.put_off.clone().into());
    let ticks = state.ticks.iter().map(|(at, shown)| json!({"at": moment(*at), "shown": shown}));
    object.insert("next".to_owned(), ticks.collect());
    object.insert("last".to_owned(), state.runs.iter().rev().map(run_json).collect());
    Value::Object(object)
}
