//! `falcon-cli wait`: until no job is pending, delayed or in flight. A progress bar on stderr, if that is a terminal.

use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::args::{Common, Wait};
use super::{Stop, connect};
use crate::client::CALL_TIMEOUT;
use crate::exit::{self, Failure};
use crate::protocol::{Stats, StatsOk};

/// How often the master is asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// How often a line is written where no bar can be shown.
const PLAIN_INTERVAL: Duration = Duration::from_secs(1);

pub fn run(common: &Common, wait: &Wait) -> Result<(), Stop> {
    let deadline = wait.timeout.map(|timeout| Instant::now() + timeout.into());
    let bar = ProgressBar::new(0).with_style(style());
    match wait_for_none(common, deadline, &bar).inspect_err(|_| bar.abandon()) {
        // Whatever stood in the way, what was asked for is an answer until then.
        Err(stop) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
            let timeout = wait.timeout.unwrap_or_default();
            let text = match (bar.length(), stop) {
                (Some(0) | None, Stop::Failed(failure)) => {
                    format!("no answer within {timeout}: {}", failure.text)
                }
                (length, _) => {
                    let left = length.unwrap_or(0) - bar.position();
                    format!("after {timeout} {left} jobs are left to run")
                }
            };
            Err(Failure::new(exit::TIMED_OUT, text).into())
        }
        outcome => outcome,
    }
}

fn wait_for_none(common: &Common, deadline: Option<Instant>, bar: &ProgressBar) -> Result<(), Stop> {
    let mut client = connect::client(common)?;
    let mut told_at: Option<Instant> = None;
    loop {
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            client.set_timeout(left.min(CALL_TIMEOUT));
        }
        let answer = client.stats()?;
        let stats = answer.read::<Stats>()?;
        let left = show(bar, &stats);
        if bar.is_hidden() && told_at.is_none_or(|at| at.elapsed() >= PLAIN_INTERVAL) {
            told_at = Some(Instant::now());
            exit::say(&format!("{} of {} jobs have ended", bar.position(), bar.length().unwrap_or(0)));
        }
        if left == 0 {
            bar.finish();
            let (completed, dead) = (stats.figure("completed"), stats.figure("dead"));
            exit::say(&format!("no job is left to run: {completed} completed, {dead} dead"));
            return Ok(());
        }
        thread::sleep(INTERVAL);
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {pos}/{len} ended  {msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Shows how far it is; returns how many jobs are left.
fn show(bar: &ProgressBar, stats: &StatsOk<'_>) -> u64 {
    let sum = |names: [&str; 3]| names.map(|name| stats.figure(name)).iter().sum::<u64>();
    let left = sum(["pending", "delayed", "in_flight"]);
    let ended = sum(["completed", "dead", "cancelled"]);
    let (in_flight, dead) = (stats.figure("in_flight"), stats.figure("dead"));
    bar.set_length(left + ended);
    bar.set_position(ended);
    bar.set_message(format!("{in_flight} in flight, {dead} dead"));
    left
}
