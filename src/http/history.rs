//! The last hour of totals, for charts: a sample each 10 s, in a ring of a fixed size.
//!
//! It is filled by a task beside the server, from the same measures that `/metrics` tells. It lives as long as the
//! process: a panic of the server's thread loses nothing of it, and without `--http` there is none.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::App;
use super::gate::Read;
use super::problem::Problem;
use crate::client::{Measures, QueueMeasures};
use crate::limits::{HTTP_HISTORY_EVERY_MS, HTTP_HISTORY_SAMPLES_MAX};
use crate::shapes::moment;
use crate::time::Timestamp;

/// The columns, and the figures of all queues that each is the sum of.
const COLUMNS: [(&str, &[&str]); 7] = [
    ("pending", &["ready"]),
    ("delayed", &["delayed"]),
    ("waiting", &["waiting"]),
    ("in_flight", &["in_flight"]),
    ("dead", &["dead"]),
    ("submitted", &["submitted"]),
    ("ended", &["acked", "dead_attempts", "dead_for_good", "dead_lease", "cancelled", "expired"]),
];

/// Totals at one moment, in the order of [`COLUMNS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    at: Timestamp,
    totals: [u64; COLUMNS.len()],
}

/// The ring; its oldest sample goes when a new one has no place.
#[derive(Debug, Default)]
pub struct History {
    samples: Mutex<VecDeque<Sample>>,
    serves: Notify,
}

impl Sample {
    fn of(measures: &Measures) -> Sample {
        let figure = |name: &str| measures.figure(name).unwrap_or(0);
        // Both are of the master's clock on the wall.
        let at = Timestamp(figure("started_ms").saturating_add(figure("uptime_ms")));
        let queues = || measures.queues.iter().chain([&measures.others]);
        let totals = COLUMNS.map(|(_, figures)| {
            let of_queue = |queue| figures.iter().filter_map(move |name| QueueMeasures::figure(queue, name));
            queues().flat_map(of_queue).sum()
        });
        Sample { at, totals }
    }
}

impl History {
    /// The master serves from now on: the first sample is taken at once.
    pub fn begin(&self) {
        self.serves.notify_one();
    }

    fn add(&self, sample: Sample) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        while samples.len() >= HTTP_HISTORY_SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// All samples in columns, oldest first.
    fn told(&self) -> Value {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let mut columns = Map::new();
        columns.insert("every_ms".to_owned(), json!(HTTP_HISTORY_EVERY_MS));
        columns.insert("at".to_owned(), samples.iter().map(|sample| moment(sample.at)).collect());
        for (place, (name, _)) in COLUMNS.iter().enumerate() {
            let column: Value = samples.iter().map(|sample| Value::from(sample.totals[place])).collect();
            columns.insert((*name).to_owned(), column);
        }
        Value::Object(columns)
    }
}

/// Takes samples for as long as the server runs. One that cannot be had, since the master does not serve yet or is
/// busy, is left out: each says when it was taken.
pub async fn keep(app: Arc<App>) -> Infallible {
    loop {
        match app.way.ask(|client| Ok(Sample::of(&client.measures()?))).await {
            Ok(sample) => app.history.add(sample),
            Err(problem) => log::trace!("no sample of the history: {}", problem.detail),
        }
        let begun = timeout(Duration::from_millis(HTTP_HISTORY_EVERY_MS), app.history.serves.notified()).await;
        if begun.is_ok() {
            log::trace!("the history begins");
        }
    }
}

pub async fn history(_: Read, State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    app.way.is_ready()?;
    Ok(Json(app.history.told()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str, figures: &[(&str, u64)]) -> QueueMeasures {
        let figures = figures.iter().map(|(name, value)| (Arc::from(*name), *value)).collect();
        QueueMeasures { name: name.to_owned(), figures, histograms: Vec::new() }
    }

    #[test]
    fn a_sample_is_of_all_queues_together() {
        let mail = queue("mail", &[("ready", 7), ("submitted", 20), ("acked", 4), ("dead_lease", 1), ("failed", 9)]);
        let others = queue("", &[("ready", 1), ("in_flight", 2), ("submitted", 5), ("expired", 2), ("cancelled", 1)]);
        let figures = [("started_ms", 1_000_000), ("uptime_ms", 500)].map(|(name, value)| (name.to_owned(), value));
        let measures = Measures { figures: figures.to_vec(), queues: vec![mail], others, ..Measures::default() };
        assert_eq!(Sample::of(&measures), Sample { at: Timestamp(1_000_500), totals: [8, 0, 0, 2, 0, 25, 8] });
    }

    #[test]
    fn the_oldest_sample_makes_place_and_a_panic_loses_none() {
        let history = Arc::new(History::default());
        let last = HTTP_HISTORY_SAMPLES_MAX as u64 + 5;
        (1..last).for_each(|number| history.add(Sample { at: Timestamp(number), totals: [number; COLUMNS.len()] }));
        let held = Arc::clone(&history);
        let panicked = std::thread::spawn(move || {
            let _samples = held.samples.lock();
            panic!("as the server's thread may");
        });
        assert!(panicked.join().is_err());
        history.add(Sample { at: Timestamp(last), totals: [last; COLUMNS.len()] });
        let told = history.told();
        let numbers: Vec<u64> = (6..=last).collect();
        assert_eq!(
            (&told["submitted"], &told["dead"], &told["every_ms"]),
            (&json!(numbers), &json!(numbers), &json!(10_000))
        );
        assert_eq!(told["at"].as_array().map(Vec::len), Some(HTTP_HISTORY_SAMPLES_MAX));
        assert_eq!(told["at"][0], "1970-01-01T00:00:00.006Z");
    }
}
