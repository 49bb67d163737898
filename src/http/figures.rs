//! What the server counts and measures of itself, for `/metrics`. Each figure is an atomic number: a request costs a
//! few additions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::App;
use crate::client::Histogram;

/// Bounds of how long requests take, in microseconds: a look to a long wait.
const BOUNDS_US: [u32; 15] = [
    500,
    1000,
    2500,
    5000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    30_000_000,
    300_000_000,
];

/// Classes of answers, by the first digit of their codes.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

#[derive(Debug, Default)]
pub struct Figures {
    answers: [AtomicU64; CLASSES.len()],
    took: [AtomicU64; BOUNDS_US.len() + 1],
    took_us: AtomicU64,
    connections: AtomicU64,
}

/// A connection that is open.
#[derive(Debug)]
pub struct OpenConnection(Arc<App>);

impl OpenConnection {
    pub fn of(app: Arc<App>) -> OpenConnection {
        app.figures.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(app)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.figures.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Figures {
    fn note(&self, code: u16, took_us: u64) {
        let class = usize::from(code / 100).clamp(1, CLASSES.len()) - 1;
        self.answers[class].fetch_add(1, Ordering::Relaxed);
        let part = BOUNDS_US.partition_point(|bound| u64::from(*bound) < took_us);
        self.took[part].fetch_add(1, Ordering::Relaxed);
        self.took_us.fetch_add(took_us, Ordering::Relaxed);
    }

    /// Answers by class, in the order of [`CLASSES`].
    pub fn answers(&self) -> [u64; CLASSES.len()] {
        self.answers.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// From the head of a request to that of its answer, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
    pub fn took(&self) -> Histogram {
        let seconds = |us: f64| us / 1_000_000.0;
        Histogram {
            name: "http_request_seconds".into(),
            bounds: BOUNDS_US.iter().map(|bound| seconds(f64::from(*bound))).collect(),
            counts: self.took.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: seconds(self.took_us.load(Ordering::Relaxed) as f64),
        }
    }
}

/// Counts each request with its answer, and how long that took.
pub async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let response = next.run(request).await;
    let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    app.figures.note(response.status().as_u16(), took_us);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_class_and_times_by_bound() {
        let figures = Figures::default();
        for (code, took_us) in [(200, 500), (201, 501), (404, 2_000_000), (503, 900_000_000), (999, 0)] {
            figures.note(code, took_us);
        }
        assert_eq!(figures.answers(), [0, 2, 0, 1, 2]);
        let took = figures.took();
        assert_eq!((took.counts[0], took.counts[1], took.counts[11], took.counts[15]), (2, 1, 1, 1));
        assert!((took.sum - 902.001_001).abs() < 1e-6 && (took.bounds[0] - 0.0005).abs() < 1e-12, "{took:?}");
    }
}
