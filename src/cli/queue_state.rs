//! How a queue is shown: its counts, whether it is paused, and what is set in it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::args::written;
use super::render::{self, shown};
use super::table::{Column, number, text, thousands};
use crate::client::{QueueSettings, QueueState, QueueStop};
use crate::time::Millis;

/// The counts of a list, as the master names them.
const COUNTS: [&str; 6] = ["pending", "delayed", "waiting", "in_flight", "dead", "kept"];

/// The columns of a list.
pub const COLUMNS: [Column; 9] = [
    text("QUEUE"),
    number("PENDING"),
    number("DELAYED"),
    number("WAITING"),
    number("IN-FLIGHT"),
    number("DEAD"),
    number("KEPT"),
    text("PAUSED"),
    text("SETTINGS"),
];

pub fn cells(name: &str, state: &QueueState) -> Vec<String> {
    let counts = COUNTS.map(|name| thousands(state.figure(name)));
    let paused = paused(state.pause_in.is_some(), state.pause_out.is_some());
    let rules = [paused.to_owned(), settings_text(&state.settings, "")];
    std::iter::once(name.to_owned()).chain(counts).chain(rules).collect()
}

/// Which ways are closed, in a word; nothing where none is.
pub fn paused(is_in: bool, is_out: bool) -> &'static str {
    match (is_in, is_out) {
        (false, false) => "",
        (true, false) => "in",
        (false, true) => "out",
        (true, true) => "both",
    }
}

/// All that is known of it, a line each.
pub fn facts(name: &str, state: &QueueState) -> String {
    let mut facts = vec![("queue", name.to_owned())];
    facts.extend(state.figures.iter().map(|(name, count)| (name.as_str(), thousands(*count))));
    facts.push(("polled", if state.polled { "yes" } else { "no" }.to_owned()));
    for (name, stop) in [("paused in", &state.pause_in), ("paused out", &state.pause_out)] {
        facts.extend(stop.iter().map(|stop| (name, stop_text(stop))));
    }
    facts.extend(settings(&state.settings).into_iter().map(|(name, text, _)| (name, text)));
    render::facts(&facts)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn stop_text(stop: &QueueStop) -> String {
    let lasts = stop.left.map_or_else(
        || "until it is resumed".to_owned(),
        |left| format!("for {} more", Millis(millis(left).next_multiple_of(1000))),
    );
    let reason = shown(stop.reason.as_bytes());
    if reason.is_empty() { lasts } else { format!("{lasts}: {reason}") }
}

/// What is set, or the words for nothing.
pub fn settings_text(settings: &QueueSettings, nothing: &str) -> String {
    let set = self::settings(settings);
    if set.is_empty() {
        return nothing.to_owned();
    }
    set.into_iter().map(|(name, text, _)| format!("{}={text}", name.replace('_', "-"))).collect::<Vec<_>>().join(" ")
}

/// The settings that are set: name, text as on the command line, and value.
fn settings(settings: &QueueSettings) -> Vec<(&'static str, String, Value)> {
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

pub fn json(name: &str, state: &QueueState) -> Value {
    let mut json = Map::new();
    json.insert("queue".to_owned(), name.into());
    json.extend(state.figures.iter().map(|(name, count)| (name.clone(), (*count).into())));
    json.insert("polled".to_owned(), state.polled.into());
    for (name, stop) in [("paused_in", &state.pause_in), ("paused_out", &state.pause_out)] {
        let stop = stop.as_ref().map(|stop| json!({"left_ms": stop.left.map(millis), "reason": stop.reason}));
        json.insert(name.to_owned(), stop.unwrap_or_default());
    }
    let settings = settings(&state.settings).into_iter().map(|(name, _, value)| {
        // A number of milliseconds says so.
        let is_span = ["keep", "dead_keep", "timeout", "ttl"].contains(&name);
        (if is_span { format!("{name}_ms") } else { name.to_owned() }, value)
    });
    json.insert("settings".to_owned(), settings.collect::<Map<_, _>>().into());
    Value::Object(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Backoff;

    #[test]
    fn settings_are_shown_as_they_are_set() {
        let set = QueueSettings {
            keep_s: Some(600),
            backoff: Some(Backoff { first_ms: 1000, most_ms: 60_000 }),
            depth_max: Some(5),
            ..QueueSettings::default()
        };
        assert_eq!(settings_text(&set, ""), "keep=10m backoff=exponential:1s..1m depth-max=5");
        assert_eq!(settings_text(&QueueSettings::default(), "none"), "none");
        let state = QueueState { settings: set, ..QueueState::default() };
        let expected = json!({"keep_ms": 600_000, "backoff": "exponential:1s..1m", "depth_max": 5});
        assert_eq!(json("q", &state)["settings"], expected);
    }

    #[test]
    fn a_pause_says_how_long_and_why() {
        let stop = |left_ms: Option<u64>, reason: &str| {
            stop_text(&QueueStop { left: left_ms.map(Duration::from_millis), reason: reason.to_owned() })
        };
        assert_eq!(stop(None, ""), "until it is resumed");
        assert_eq!(stop(Some(59_001), "the relay is down"), "for 1m more: the relay is down");
    }
}
