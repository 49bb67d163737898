//! How a queue is shown: its counts, whether it is paused, and what is set in it.

use std::time::Duration;

use super::render::{self, shown};
use super::table::{Column, number, text, thousands};
use crate::client::{QueueSettings, QueueState, QueueStop};
use crate::shapes::queue_settings;
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
    facts.extend(queue_settings(&state.settings).into_iter().map(|(name, text, _)| (name, text)));
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
    let set = queue_settings(settings);
    if set.is_empty() {
        return nothing.to_owned();
    }
    set.into_iter().map(|(name, text, _)| format!("{}={text}", name.replace('_', "-"))).collect::<Vec<_>>().join(" ")
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
