//! What one run asks of a server, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::place::Place;
use crate::wire::{QUEUE, WireKind};

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// The next when the last was answered.
    Closed,
    /// So many jobs a second, whatever the answers do. Latencies begin when a job was to be sent.
    Open { per_s: f64 },
}

/// What is measured after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Time(Duration),
    /// Until so many jobs were submitted in all.
    Submits(u64),
    /// Until so many jobs were acked in all.
    Acks(u64),
}

/// What is waited for after the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    Nothing,
    /// The acks of all that was handed out: workers ask for no more, and leave nothing in flight for the next load.
    HandedOut,
    /// The acks of all jobs, and a count of them.
    All,
}

#[derive(Clone, Debug)]
pub struct Load {
    pub wire: WireKind,
    pub place: Place,
    pub queue: &'static str,
    pub producers: usize,
    pub workers: usize,
    /// Connections that greet and are silent then.
    pub idle: usize,
    /// Open requests of a connection.
    pub open: usize,
    /// Jobs of a request.
    pub batch: u32,
    pub payload_bytes: usize,
    /// Jobs are spread over so many; 0 for none.
    pub groups: u64,
    pub pace: Pace,
    pub warmup: Duration,
    pub window: Window,
    /// Submits pause while so many jobs are not delivered.
    pub backlog_max: Option<u64>,
    /// Jobs 0 to this that wait in the server already.
    pub waiting: u64,
    pub settle: Settle,
    /// How long the pieces are in which cycles are counted beside the whole.
    pub piece: Option<Duration>,
    /// The server, for its processor time.
    pub server_pid: Option<u32>,
}

impl Load {
    /// P+W with one open request each, 256 bytes.
    pub fn closed(wire: WireKind, place: impl Into<Place>, producers: usize, workers: usize) -> Load {
        Load {
            wire,
            place: place.into(),
            queue: QUEUE,
            producers,
            workers,
            idle: 0,
            open: 1,
            batch: 1,
            payload_bytes: 256,
            groups: 0,
            pace: Pace::Closed,
            warmup: Duration::ZERO,
            window: Window::Time(Duration::from_secs(1)),
            backlog_max: None,
            waiting: 0,
            settle: Settle::All,
            piece: None,
            server_pid: None,
        }
    }
}

/// Figures by name; the unit is in the name.
pub type Figures = BTreeMap<String, f64>;

/// Latencies in nanoseconds, up to a minute.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are sane")
}

/// The percentiles that are kept of each latency.
pub const PERCENTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];

/// Adds percentiles in microseconds.
pub fn add_percentiles(figures: &mut Figures, what: &str, latencies: &Histogram<u64>) {
    if latencies.is_empty() {
        return;
    }
    for (name, quantile) in PERCENTILES {
        let us = latencies.value_at_quantile(quantile) as f64 / 1000.0;
        figures.insert(format!("{what}_{name}_us"), us);
    }
}
