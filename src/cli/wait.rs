//! `falcon-cli wait`: until no job is pending, delayed or in flight. A progress bar on stderr, if that is a terminal.

use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::args::{Common, Wait};
use super::{Stop, connect, stats};
use crate::exit::{self, Failure};
use crate::protocol::Counts;

/// How often the master is asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// How often a line is written where no bar can be shown.
const PLAIN_INTERVAL: Duration = Duration::from_secs(1);

/// Waits.
pub fn run(common: &Common, wait: &Wait) -> Result<(), Stop> {
    let started = Instant::now();
    let mut client = connect::client(common)?;
    let bar = ProgressBar::new(0).with_style(style());
    let mut told_at = None;
    loop {
        let frame = client.stats()?;
        let totals = stats::decode(&frame)?.totals;
        let left = show(&bar, &totals);
        let told_lately = told_at.is_some_and(|at: Instant| at.elapsed() < PLAIN_INTERVAL);
        if bar.is_hidden() && !told_lately {
            told_at = Some(Instant::now());
            eprintln!("{} of {} jobs have ended", bar.position(), bar.length().unwrap_or(0));
        }
        if left == 0 {
            bar.finish();
            let Counts { completed, dead, .. } = totals;
            eprintln!("no job is left to run: {completed} completed, {dead} dead");
            return Ok(());
        }
        if let Some(timeout) = wait.timeout
            && started.elapsed() >= timeout.into()
        {
            bar.abandon();
            return Err(Failure::new(
                exit::TIMED_OUT,
                format!("after {timeout} {left} jobs are left to run"),
            )
            .into());
        }
        thread::sleep(INTERVAL);
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {pos}/{len} ended  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Shows how far it is; returns how many jobs are left.
fn show(bar: &ProgressBar, totals: &Counts) -> u64 {
    let Counts { pending, delayed, in_flight, completed, dead, cancelled } = *totals;
    let left = pending + delayed + in_flight;
    let ended = completed + dead + cancelled;
    bar.set_length(left + ended);
    bar.set_position(ended);
    bar.set_message(format!("{in_flight} in flight, {dead} dead"));
    left
}
