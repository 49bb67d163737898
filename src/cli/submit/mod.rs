//! `falcon-cli submit`: one payload, the lines of a file, or the jobs of a jobs file.

mod file;
mod lines;
mod sending;

use std::io::Read;
use std::path::Path;

use super::args::{Common, Earlier, Submit, UniqueUntil, check_headers};
use super::input::InputFile;
use super::render::Renderer;
use super::when::{self, Wall};
use super::{Stop, connect, ends, new_queue};
use crate::client::headers;
use crate::exit::{self, Failure};
use crate::job::{HeadersText, OnDuplicate, Settings};
use crate::limits::{DELAY_MS_MAX, FRAME_BODY_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::protocol::{After, List, SubmitJob};
use crate::time::{Millis, Timestamp};
use crate::words::{counted, was};

use sending::Sending;

/// The queue of a file's entries that name none, if the command line names none either.
const QUEUE_DEFAULT: &str = "default";

/// Bytes that a job takes in a request beside its texts and payload, at most.
const JOB_OVERHEAD_BYTES: usize = 128;

/// The same of a job that another one waits for.
const AFTER_BYTES: usize = 16;

/// How long a job is kept that is waited for, if nothing else is said.
const KEEP_MS_WAITED: u64 = 10 * 60 * 1000;

/// Bytes of jobs that go into one request.
const REQUEST_BYTES_MAX: usize = FRAME_BODY_BYTES_MAX - JOB_OVERHEAD_BYTES;

pub fn run(common: &Common, submit: &Submit) -> Result<(), Stop> {
    let names = submit.headers.iter().map(|(name, _)| name.as_str());
    check_headers(names).map_err(|text| Failure::new(exit::USAGE, text))?;
    if submit.dry_run {
        return file::dry_run(common, submit);
    }
    let mut sending = Sending {
        at: submit.at.as_deref().map(|text| moment(common, text)).transpose()?,
        client: connect::client(common)?,
        renderer: Renderer::of_table(common.output, &ends::COLUMNS),
        accepted: 0,
        output_closed: false,
        waited: submit.wait.then(Vec::new),
        batch: submit.batch.clone(),
        keep_open: submit.keep_open,
        many: None,
    };
    let pairs: Vec<(&str, &str)> = submit.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let headers = if pairs.is_empty() { Vec::new() } else { headers(&pairs) };
    let after: Vec<After<'_>> = submit.after.iter().map(Earlier::told).collect();
    let more = (&headers[..], &after[..]);
    let queue = submit.queue.as_deref().unwrap_or(QUEUE_DEFAULT);
    let outcome = hand_in(&mut sending, submit, queue, more);
    sending.end_progress(outcome.is_ok());
    match outcome {
        Err(Stop::Failed(failure)) if sending.accepted > 0 => Err(after_some(&failure, &sending, submit).into()),
        outcome => outcome.and_then(|()| sending.end()),
    }
}

/// A failure after some jobs were submitted: says how many were.
fn after_some(failure: &Failure, sending: &Sending, submit: &Submit) -> Failure {
    let (jobs, were) = (counted(sending.accepted, "job"), was(sending.accepted));
    let open = match &submit.batch {
        Some(batch) => format!("; batch {batch} is open, and cancelled in 60 s if nobody fills it or ends it"),
        None => String::new(),
    };
    Failure::new(failure.status, format!("{}; {jobs} {were} submitted before that{open}", failure.text))
}

/// Submits what the command line names.
fn hand_in(sending: &mut Sending, submit: &Submit, queue: &str, more: (&[u8], &[After<'_>])) -> Result<(), Stop> {
    if let Some(path) = &submit.file {
        return file::submit(sending, (queue, submit), path);
    }
    new_queue::look(&sending.client, std::iter::once(queue), submit.existing)?;
    if let Some(path) = &submit.lines {
        return lines::submit(sending, &job(submit, queue, more, &[]), submit, path);
    }
    let payload = payload(submit)?;
    sending.submit(&[job(submit, queue, more, &payload)])
}

fn job<'a>(
    submit: &'a Submit,
    queue: &'a str,
    (headers, after): (&'a [u8], &'a [After<'a>]),
    payload: &'a [u8],
) -> SubmitJob<'a> {
    SubmitJob {
        queue,
        key: submit.key.as_deref().unwrap_or_default(),
        settings: Settings {
            priority: submit.priority,
            max_attempts: submit.max_attempts.unwrap_or(0),
            timeout_ms: submit.timeout.map_or(0, |timeout| u32::try_from(timeout.0).unwrap_or(u32::MAX)),
        },
        delay_ms: submit.delay.0,
        keep_ms: submit.keep.map(|keep| keep.0).or(submit.wait.then_some(KEEP_MS_WAITED)),
        ttl_ms: submit.ttl.map(|ttl| ttl.0),
        backoff: submit.backoff,
        group: submit.group.as_deref(),
        unique_for_ms: submit.unique_for.map(|span| span.0),
        unique_until_start: (submit.unique == Some(UniqueUntil::UntilStart)).then_some(true),
        on_duplicate: on_duplicate(submit),
        headers: some_headers(headers),
        after: (!after.is_empty()).then(|| List::lent(after)),
        if_failed: Some(submit.if_failed).filter(|_| !after.is_empty()),
        with_results: submit.with_results.then_some(true),
        payload,
    }
}

/// The moment that --at names. One that is past is said, and means at once.
fn moment(common: &Common, text: &str) -> Result<Timestamp, Failure> {
    let wall = Wall::of(common);
    let refused = |why: String| Failure::new(exit::USAGE, format!("--at: {why}"));
    let at = wall.read(text).map_err(refused)?;
    if at.since(when::now()).0 > DELAY_MS_MAX {
        let most = Millis(DELAY_MS_MAX);
        return Err(refused(format!("{} is more than {most} ahead, and no job waits longer", wall.shown(at))));
    }
    if at < when::now() {
        exit::say(&format!("falcon-cli: {} is past; what is submitted is ready at once", wall.both(at)));
    }
    Ok(at)
}

/// What is said of duplicates, unless it is what is done anyway.
fn on_duplicate(submit: &Submit) -> Option<OnDuplicate> {
    Some(submit.on_duplicate.into()).filter(|what| *what != OnDuplicate::Return)
}

/// Headers as they go with a job; nothing for none.
fn some_headers(headers: &[u8]) -> Option<HeadersText<'_>> {
    (!headers.is_empty()).then_some(HeadersText(headers))
}

/// One payload; no more of it is read than tells that it is too long.
fn payload(submit: &Submit) -> Result<Vec<u8>, Failure> {
    let path = match (&submit.payload, &submit.payload_file) {
        (Some(text), _) if text != "-" => return Ok(text.clone().into_bytes()),
        (_, Some(path)) => path.as_path(),
        _ => Path::new("-"),
    };
    let mut input = InputFile::open(path)?;
    let mut bytes = Vec::new();
    let bound = PAYLOAD_BYTES_MAX as u64 + 1;
    input.reader.by_ref().take(bound).read_to_end(&mut bytes).map_err(|error| input.failure(&error))?;
    if bytes.len() > PAYLOAD_BYTES_MAX {
        let text = format!("{} is longer than a payload may be, {PAYLOAD_BYTES_MAX} bytes", input.name);
        return Err(Failure::new(exit::REFUSED, text));
    }
    Ok(bytes)
}

fn job_bytes(job: &SubmitJob<'_>) -> usize {
    let headers = job.headers.map_or(0, |headers| headers.0.len());
    let names = job.queue.len() + job.key.len() + job.group.map_or(0, str::len);
    JOB_OVERHEAD_BYTES + names + headers + job.after.map_or(0, after_bytes) + job.payload.len()
}

fn after_bytes(after: List<'_, After<'_>>) -> usize {
    after.iter().map(|after| AFTER_BYTES + after.name.len()).sum()
}
