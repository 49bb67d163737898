//! Queues, groups, workers and batches, and reasons why jobs wait.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::values::written;
use crate::client::{BatchState, GroupSettings, GroupState, ListedBatch, QueueSettings, QueueState, Why};
use crate::protocol::{Cause, KnownWorker, WorkerJob};
use crate::time::Millis;

/// A worker.
pub fn worker(worker: &KnownWorker<'_>) -> Value {
    let jobs = worker.jobs.iter().map(|WorkerJob { job, lease, stage, had_ms }| {
        json!({"job": job.0, "lease": lease.0, "stage": stage.word(), "had_ms": had_ms})
    });
    json!({
        "name": worker.name,
        "state": worker_state(worker),
        "quiet": worker.quiet,
        "polls": worker.polls,
        "host": worker.host,
        "pid": worker.pid,
        "software": worker.software,
        "concurrency": worker.concurrency,
        "instance": format!("{:016x}", worker.instance),
        "silent_ms": worker.silent_ms,
        "held": worker.held,
        "begun": worker.begun,
        "queues": worker.queues.iter().collect::<Vec<_>>(),
        "jobs": jobs.collect::<Vec<_>>(),
    })
}

/// What it does, in a word.
pub fn worker_state(worker: &KnownWorker<'_>) -> &'static str {
    match (worker.quiet, worker.polls) {
        (true, _) => "quiet",
        (false, true) => "polling",
        (false, false) => "busy",
    }
}

/// A group in JSON.
pub fn group(queue: &str, group: &GroupState) -> Value {
    let GroupSettings { weight, running_max, rate } = group.settings;
    json!({
        "queue": queue,
        "group": group.name,
        "jobs": group.jobs,
        "in_flight": group.in_flight,
        "token_in_ms": group.token_in.map(|left| left.as_millis() as u64),
        "weight": weight,
        "running_max": running_max,
        "rate": rate.map(|rate| rate.to_string()),
    })
}

/// The settings that are set: name, text as on the command line, and value.
pub fn queue_settings(settings: &QueueSettings) -> Vec<(&'static str, String, Value)> {
    let QueueSettings { keep_s, dead_keep_s, backoff, max_attempts, timeout_ms, ttl_ms, .. } = *settings;
    let QueueSettings { depth_max, bytes_max, running_max, group_running_max, strict, rate, group_rate, .. } =
        *settings;
    let span = |ms: u64| (Millis(ms).to_string(), ms.into());
    let number = |number: u64| (number.to_string(), number.into());
    let backoff = backoff.map(|backoff| (written(backoff), written(backoff).into()));
    let all = [
        ("keep", keep_s.map(|s| span(u64::from(s) * 1000))),
        ("dead_keep", dead_keep_s.map(|s| span(u64::from(s) * 1000))),
        ("backoff", backoff),
        ("max_attempts", max_attempts.map(|attempts| number(attempts.into()))),
        ("timeout", timeout_ms.map(|ms| span(ms.into()))),
        ("ttl", ttl_ms.map(span)),
        ("depth_max", depth_max.map(number)),
        ("bytes_max", bytes_max.map(number)),
        ("running_max", running_max.map(|max| number(max.into()))),
        ("group_running_max", group_running_max.map(|max| number(max.into()))),
        ("strict", strict.map(|strict| (if strict { "on" } else { "off" }.to_owned(), strict.into()))),
        ("rate", rate.map(|rate| (rate.to_string(), rate.to_string().into()))),
        ("group_rate", group_rate.map(|rate| (rate.to_string(), rate.to_string().into()))),
    ];
    all.into_iter().filter_map(|(name, set)| set.map(|(text, value)| (name, text, value))).collect()
}

/// A queue.
pub fn queue(name: &str, state: &QueueState) -> Value {
    let mut json = Map::new();
    json.insert("queue".to_owned(), name.into());
    json.extend(state.figures.iter().map(|(name, count)| (name.clone(), (*count).into())));
    json.insert("polled".to_owned(), state.polled.into());
    for (name, stop) in [("paused_in", &state.pause_in), ("paused_out", &state.pause_out)] {
        let stop = stop.as_ref().map(|stop| json!({"left_ms": stop.left.map(millis), "reason": stop.reason}));
        json.insert(name.to_owned(), stop.unwrap_or_default());
    }
    let settings = queue_settings(&state.settings).into_iter().map(|(name, _, value)| {
        // A number of milliseconds says so.
        let is_span = ["keep", "dead_keep", "timeout", "ttl"].contains(&name);
        (if is_span { format!("{name}_ms") } else { name.to_owned() }, value)
    });
    json.insert("settings".to_owned(), settings.collect::<Map<_, _>>().into());
    Value::Object(json)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// How a batch is, in a word.
pub fn batch_state(sealed: bool, called_off: bool, left: u64) -> &'static str {
    match (sealed, called_off, left) {
        (_, true, _) => "cancelled",
        (false, ..) => "open",
        (true, _, 0) => "over",
        (true, ..) => "running",
    }
}

/// A row of a list of batches.
pub fn listed_batch(batch: &ListedBatch) -> Value {
    let ListedBatch { name, sealed, called_off, members, left, failed } = batch;
    let state = batch_state(*sealed, *called_off, *left);
    json!({"batch": name, "state": state, "members": members, "left": left, "failed": failed})
}

/// A batch.
pub fn batch(batch: &BatchState) -> Value {
    let BatchState { name, sealed, called_off, members, left, figures } = batch;
    let state = batch_state(*sealed, *called_off, *left);
    let counts: Map<String, Value> = figures.iter().map(|(name, count)| (name.clone(), (*count).into())).collect();
    json!({"batch": name, "state": state, "members": members, "left": left, "figures": counts})
}

/// A reason, and the word for it.
pub fn why(why: &Why) -> (String, Value) {
    let Why { cause, text, count, left } = why;
    let word = Cause::from_code(*cause).map_or_else(|| cause.to_string(), |cause| cause.word().to_owned());
    let mut json = Map::new();
    json.insert("cause".to_owned(), word.clone().into());
    json.insert("text".to_owned(), text.clone().into());
    for (name, figure) in [("count", *count), ("left_ms", left.map(millis))] {
        if let Some(figure) = figure {
            json.insert(name.to_owned(), figure.into());
        }
    }
    (word, Value::Object(json))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Backoff;

    #[test]
    fn settings_say_their_units() {
        let settings = QueueSettings {
            keep_s: Some(600),
            backoff: Some(Backoff { first_ms: 1000, most_ms: 60_000 }),
            depth_max: Some(5),
            ..QueueSettings::default()
        };
        let state = QueueState { settings, ..QueueState::default() };
        let expected = json!({"keep_ms": 600_000, "backoff": "exponential:1s..1m", "depth_max": 5});
        assert_eq!(queue("q", &state)["settings"], expected);
    }
}
