//! How long something takes, to the microsecond: for measures, and never for what is decided.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub fn passed(self) -> Duration {
        self.0.elapsed()
    }
}
