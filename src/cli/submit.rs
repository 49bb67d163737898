//! `falcon-cli submit`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Value, json};

use super::args::{Common, Submit};
use super::jobs_file;
use super::render::{Renderer, Row};
use super::{Stop, connect};
use crate::client::{Client, TcpLink};
use crate::exit::{self, Failure};
use crate::limits::{FRAME_BODY_BYTES_MAX, ITEMS_MAX, PAYLOAD_BYTES_MAX};
use crate::protocol::SubmitJob;

/// The queue of a file's entries that name none, if the command line names none either.
const QUEUE_DEFAULT: &str = "default";

/// Bytes that a job takes in a request beside its texts and payload, at most.
const JOB_OVERHEAD_BYTES: usize = 64;

/// Hands jobs in.
pub fn run(common: &Common, submit: &Submit) -> Result<(), Stop> {
    let mut batches = Batches { client: connect::client(common)?, renderer: Renderer::new(common.output) };
    let queue = submit.queue.as_deref().unwrap_or(QUEUE_DEFAULT);
    if let Some(path) = &submit.file {
        from_file(&mut batches, queue, path)?;
    } else if let Some(path) = &submit.lines {
        from_lines(&mut batches, &job(submit, queue, &[]), path)?;
    } else {
        let payload = payload(submit)?;
        batches.submit(&[job(submit, queue, &payload)])?;
    }
    batches.renderer.finish()?;
    Ok(())
}

fn job<'a>(submit: &'a Submit, queue: &'a str, payload: &'a [u8]) -> SubmitJob<'a> {
    SubmitJob {
        queue,
        key: submit.key.as_deref().unwrap_or_default(),
        priority: submit.priority,
        max_attempts: submit.max_attempts.unwrap_or(0),
        delay_ms: submit.delay.0,
        timeout_ms: submit.timeout.map_or(0, |timeout| timeout.0),
        payload,
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    let status = if error.kind() == io::ErrorKind::NotFound { exit::NOT_FOUND } else { exit::USAGE };
    Failure::new(status, format!("{} cannot be read: {error}", path.display()))
}

/// Opens a file, or stdin for `-`.
fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
    Ok(Box::new(file))
}

/// One payload; no more of it is read than tells that it is too long.
fn payload(submit: &Submit) -> Result<Vec<u8>, Failure> {
    let path = match (&submit.payload, &submit.payload_file) {
        (Some(text), _) if text != "-" => return Ok(text.clone().into_bytes()),
        (_, Some(path)) => path.as_path(),
        _ => Path::new("-"),
    };
    let mut bytes = Vec::new();
    let bound = PAYLOAD_BYTES_MAX as u64 + 1;
    open(path)?.take(bound).read_to_end(&mut bytes).map_err(|error| cannot_read(path, &error))?;
    if bytes.len() > PAYLOAD_BYTES_MAX {
        let text = format!("{} is longer than a payload may be, {PAYLOAD_BYTES_MAX} bytes", path.display());
        return Err(Failure::new(exit::REFUSED, text));
    }
    Ok(bytes)
}

fn from_file(batches: &mut Batches, queue: &str, path: &Path) -> Result<(), Stop> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text).map_err(|error| cannot_read(path, &error))?;
    let jobs = jobs_file::parse(&text).map_err(|error| {
        Failure::new(exit::USAGE, format!("{}: {error}; nothing was submitted", path.display()))
    })?;
    let jobs: Vec<SubmitJob<'_>> = jobs
        .iter()
        .map(|job| SubmitJob {
            queue: job.queue.as_deref().unwrap_or(queue),
            key: &job.id,
            priority: job.priority,
            max_attempts: job.max_attempts,
            delay_ms: job.delay_ms,
            timeout_ms: job.timeout_ms,
            payload: job.payload.get().as_bytes(),
        })
        .collect();
    let mut rest = &jobs[..];
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(batch_length(rest));
        batches.submit(batch)?;
        rest = after;
    }
    Ok(())
}

/// How many of the jobs go into one request.
fn batch_length(jobs: &[SubmitJob<'_>]) -> usize {
    let mut bytes = 0;
    let fitting = jobs.iter().take(ITEMS_MAX).take_while(|job| {
        bytes += job_bytes(job);
        bytes <= FRAME_BODY_BYTES_MAX - JOB_OVERHEAD_BYTES
    });
    fitting.count().max(1)
}

fn job_bytes(job: &SubmitJob<'_>) -> usize {
    JOB_OVERHEAD_BYTES + job.queue.len() + job.key.len() + job.payload.len()
}

/// Submits line by line as they come, a batch at a time.
fn from_lines(batches: &mut Batches, template: &SubmitJob<'_>, path: &Path) -> Result<(), Stop> {
    let mut input = BufReader::new(open(path)?);
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    let mut number: u64 = 0;
    loop {
        let mut line = Vec::new();
        let bound = PAYLOAD_BYTES_MAX as u64 + 2;
        let came = input
            .by_ref()
            .take(bound)
            .read_until(b'\n', &mut line)
            .map_err(|error| cannot_read(path, &error))?;
        number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.len() > PAYLOAD_BYTES_MAX {
            let submitted = number - 1 - lines.len() as u64;
            let text = format!(
                "line {number} of {} is longer than a payload may be, {PAYLOAD_BYTES_MAX} bytes; {submitted} lines were submitted",
                path.display()
            );
            return Err(Failure::new(exit::REFUSED, text).into());
        }
        let line_bytes = job_bytes(template) + line.len();
        if came == 0
            || lines.len() == ITEMS_MAX
            || bytes + line_bytes > FRAME_BODY_BYTES_MAX - JOB_OVERHEAD_BYTES
        {
            batches.submit_lines(template, &mut lines)?;
            bytes = 0;
        }
        if came == 0 {
            return Ok(());
        }
        bytes += line_bytes;
        lines.push(line);
    }
}

/// Where jobs go, and where their ids are written.
struct Batches {
    client: Client<TcpLink>,
    renderer: Renderer,
}

impl Batches {
    fn submit_lines(&mut self, template: &SubmitJob<'_>, lines: &mut Vec<Vec<u8>>) -> Result<(), Stop> {
        let jobs: Vec<SubmitJob<'_>> =
            lines.iter().map(|payload| SubmitJob { payload, ..*template }).collect();
        if !jobs.is_empty() {
            self.submit(&jobs)?;
        }
        lines.clear();
        Ok(())
    }

    fn submit(&mut self, jobs: &[SubmitJob<'_>]) -> Result<(), Stop> {
        let submitted = self.client.submit(jobs)?;
        for (job, outcome) in jobs.iter().zip(submitted) {
            let key = if job.key.is_empty() { Value::Null } else { job.key.into() };
            let id = outcome.job.to_string();
            let what = if outcome.duplicate { "has this key already" } else { "submitted" };
            let cells = [(format!("job {id}"), 10), (job.queue.to_owned(), 10), (what.to_owned(), 0)];
            let json =
                json!({"job": outcome.job.0, "queue": job.queue, "key": key, "duplicate": outcome.duplicate});
            self.renderer.row(&Row { cells: &cells, json, quiet: id })?;
        }
        Ok(())
    }
}
