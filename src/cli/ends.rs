//! How jobs ended that were waited for: a row each, and the exit status of them all.

use std::time::Instant;

use serde_json::{Map, Value};

use super::args::Output;
use super::connect::again_if_away;
use super::render::{Renderer, Row, shown};
use super::table::{Column, text};
use super::{Stop, unless_gone};
use crate::client::{Client, ClientError, JobEnd};
use crate::exit::{self, Failure};
use crate::ids::JobId;
use crate::job::{Standing, StoryText};
use crate::protocol::Get;
use crate::shapes::{end_word, put_bytes, standing};
use crate::words::{counted, has};

/// A job, where it stands, and what came of it.
pub const COLUMNS: [Column; 3] = [text(""), text(""), text("")];

/// Waits for the ends of jobs, and says how far they are when that changes; quietly it says nothing.
pub fn wait(
    output: Output,
    client: &Client,
    jobs: &[JobId],
    any: bool,
    deadline: Option<Instant>,
) -> Result<Vec<JobEnd>, ClientError> {
    if output == Output::Quiet {
        return client.wait(jobs, any, deadline);
    }
    client.wait_telling(jobs, any, deadline, |job, percent, text| {
        let words = if text.is_empty() { String::new() } else { format!(": {}", shown(text.as_bytes())) };
        exit::say(&format!("job {job} is {percent}% done{words}"));
    })
}

/// Shows how each of these jobs ended, or where it stands. One job alone is quietly its result, if that is kept.
pub fn show(renderer: &mut Renderer, client: &Client, ends: &[JobEnd]) -> Result<(), Stop> {
    if let ([end], Output::Quiet) = (ends, renderer.output()) {
        renderer.raw(&result(client, *end)?.unwrap_or_default())?;
        return Ok(renderer.flush()?);
    }
    for end in ends {
        row(renderer, client, *end)?;
    }
    Ok(renderer.flush()?)
}

fn row(renderer: &mut Renderer, client: &Client, end: JobEnd) -> Result<(), Stop> {
    let (id, word) = (end.job.to_string(), end_word(end.standing));
    let quiet = format!("{id} {word}");
    let mut json = Map::new();
    json.insert("job".to_owned(), end.job.0.into());
    json.insert("standing".to_owned(), word.clone().into());
    let mut told = Vec::new();
    // Quietly only where they stand is told, and no more is asked for.
    if renderer.output() != Output::Quiet {
        for (name, bytes) in [("result", result(client, end)?), ("error", error(client, end)?)] {
            let Some(bytes) = bytes else { continue };
            put_bytes(&mut json, name, &bytes);
            told = bytes;
        }
    }
    let cells = vec![format!("job {id}"), word, shown(&told)];
    Ok(renderer.row(Row { cells, json: Value::Object(json), quiet })?)
}

/// The result of a job that is completed, and kept.
fn result(client: &Client, end: JobEnd) -> Result<Option<Vec<u8>>, ClientError> {
    if end.standing != Standing::Completed.code() {
        return Ok(None);
    }
    // A wait goes on over restarts of the master, and so does what it was for.
    unless_gone(again_if_away(|| client.result(end.job)))
}

/// Why a job died, as long as it is there.
fn error(client: &Client, end: JobEnd) -> Result<Option<Vec<u8>>, ClientError> {
    if end.standing != Standing::Dead.code() {
        return Ok(None);
    }
    let answer = again_if_away(|| client.ask(Get { job: end.job }))?;
    let Some(known) = unless_gone(answer.read::<Get>())? else { return Ok(None) };
    Ok(StoryText(known.story).read().ok().map(|story| story.error.as_bytes().to_owned()))
}

/// What the wait came to: well if all have completed, and otherwise the worst of them.
pub fn judge(ends: &[JobEnd], any: bool, waited: &str) -> Result<(), Failure> {
    let ended: Vec<JobEnd> = ends.iter().copied().filter(JobEnd::has_ended).collect();
    let is_met = if any { !ended.is_empty() } else { ended.len() == ends.len() };
    if !is_met {
        let left = (ends.len() - ended.len()) as u64;
        let text = format!("after {waited} {} {} not ended", counted(left, "job"), has(left));
        return Err(Failure::new(exit::TIMED_OUT, text));
    }
    let count = |status| ended.iter().filter(|end| status_of(**end) == status).count();
    let worst = [exit::NOT_FOUND, exit::FAILED, exit::NOT_KEPT].into_iter().find(|status| count(*status) > 0);
    let Some(status) = worst else { return Ok(()) };
    if let [end] = ended[..] {
        return Err(Failure::new(status, sentence(end.job, end.standing)));
    }
    let sum = [
        (exit::NOT_FOUND, "never there"),
        (exit::FAILED, "dead, cancelled or expired"),
        (exit::NOT_KEPT, "ended and not kept"),
    ];
    let parts = sum.into_iter().map(|(status, what)| (count(status), what)).filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
    Err(Failure::new(status, format!("of {} jobs: {}", ended.len(), parts.join(", "))))
}

fn status_of(end: JobEnd) -> u8 {
    match end.standing {
        JobEnd::NEVER_WAS => exit::NOT_FOUND,
        JobEnd::GONE => exit::NOT_KEPT,
        code if code == Standing::Completed.code() => 0,
        _ => exit::FAILED,
    }
}

fn sentence(job: JobId, code: u8) -> String {
    match code {
        JobEnd::GONE => format!("job {job} has ended and was not kept: how is not known any more"),
        JobEnd::NEVER_WAS => format!("there never was a job {job}"),
        code => format!("job {job} is {}", standing(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: u8 = Standing::Completed.code();
    const DEAD: u8 = Standing::Dead.code();
    const RUNS: u8 = Standing::InFlight.code();

    fn status(standings: &[u8], any: bool) -> u8 {
        let ends: Vec<JobEnd> =
            (1..).zip(standings).map(|(id, code)| JobEnd { job: JobId(id), standing: *code }).collect();
        judge(&ends, any, "1s").err().map_or(0, |failure| failure.status)
    }

    #[test]
    fn the_worst_of_several_counts() {
        assert_eq!(status(&[GOOD, GOOD], false), 0);
        assert_eq!(status(&[GOOD, JobEnd::GONE], false), 5);
        assert_eq!(status(&[JobEnd::GONE, DEAD, GOOD], false), 1);
        assert_eq!(status(&[DEAD, JobEnd::NEVER_WAS, JobEnd::GONE], false), 3);
        for ended in [Standing::Dead, Standing::Cancelled, Standing::Expired] {
            assert_eq!(status(&[ended.code()], false), 1);
        }
    }

    #[test]
    fn one_that_has_not_ended_is_a_time_out_unless_the_first_is_enough() {
        assert_eq!(status(&[GOOD, RUNS], false), 4);
        assert_eq!(status(&[DEAD, RUNS], false), 4);
        assert_eq!(status(&[RUNS, RUNS], true), 4);
        assert_eq!([status(&[RUNS, GOOD], true), status(&[RUNS, DEAD], true)], [0, 1]);
    }
}
