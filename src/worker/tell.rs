//! What is said of each job that has run, as log lines: of one that failed why, and what becomes of it.

use std::time::Duration;

use super::handler::Outcome;
use crate::client::Job;

/// Letters of a reason that are said; the master keeps all of it.
const REASON_CHARS_MAX: usize = 300;

/// Says what came of a job.
pub fn tell(job: &Job, outcome: &Outcome, took: Duration) {
    let took_ms = took.as_millis();
    match outcome {
        Outcome::Done(_) => log::debug!("job {} of {} is done, in {took_ms} ms", job.id, job.queue),
        Outcome::DoneThen { .. } => {
            log::debug!("job {} of {} is done, in {took_ms} ms, and others follow from it", job.id, job.queue);
        }
        Outcome::Failed { for_good, error, .. } => log::warn!("{}", failed(job, *for_good, error)),
        Outcome::Stopped => log::debug!("job {} of {} was stopped after {took_ms} ms", job.id, job.queue),
        // Said where it is given back.
        Outcome::NotBegun { .. } => {}
    }
}

fn failed(job: &Job, for_good: bool, error: &str) -> String {
    let Job { id, queue, attempt, max_attempts, .. } = job;
    let becomes = if for_good || attempt >= max_attempts { "and is dead" } else { "and is tried again" };
    format!("job {id} of {queue} failed, {becomes} (attempt {attempt} of {max_attempts}): {}", head(error))
}

/// The first letters, on one line.
fn head(error: &str) -> String {
    let mut line = String::new();
    for c in error.chars().take(REASON_CHARS_MAX) {
        if c.is_control() { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    if error.chars().count() > REASON_CHARS_MAX {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stays_on_one_line_and_short() {
        assert_eq!(head("exit status 1: a\nb\x1b[2J"), r"exit status 1: a\nb\u{1b}[2J");
        assert_eq!(head(&"é".repeat(400)).chars().count(), REASON_CHARS_MAX + 1);
    }
}
