//! `falcon-cli submit`.

use std::io::{self, BufRead, Read};
use std::path::Path;

use serde_json::{Value, json};

use super::args::{Common, Earlier, Submit, UniqueUntil, check_headers};
use super::input::InputFile;
use super::job::standing;
use super::jobs_file::{self, FileJob};
use super::render::{Renderer, Row};
use super::when::{self, Wall};
use super::{Stop, connect, ends, new_queue};
use crate::client::{Client, Submitted, headers};
use crate::exit::{self, Failure};
use crate::ids::JobId;
use crate::job::{HeadersText, OnDuplicate, Settings, Unique};
use crate::limits::{DELAY_MS_MAX, FRAME_BODY_BYTES_MAX, ITEMS_MAX, PAYLOAD_BYTES_MAX};
use crate::protocol::{After, List, SubmitJob};
use crate::time::{Millis, Timestamp};
use crate::words::{counted, was};

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
    let mut sending = Sending {
        at: submit.at.as_deref().map(|text| moment(common, text)).transpose()?,
        client: connect::client(common)?,
        renderer: Renderer::of_table(common.output, &ends::COLUMNS),
        accepted: 0,
        output_closed: false,
        waited: submit.wait.then(Vec::new),
        batch: submit.batch.clone(),
        keep_open: submit.keep_open,
    };
    let pairs: Vec<(&str, &str)> = submit.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let headers = if pairs.is_empty() { Vec::new() } else { headers(&pairs) };
    let after: Vec<After<'_>> = submit.after.iter().map(Earlier::told).collect();
    let more = (&headers[..], &after[..]);
    let queue = submit.queue.as_deref().unwrap_or(QUEUE_DEFAULT);
    match hand_in(&mut sending, submit, queue, more) {
        Err(Stop::Failed(failure)) if sending.accepted > 0 => {
            let (jobs, were) = (counted(sending.accepted, "job"), was(sending.accepted));
            let open = match &submit.batch {
                Some(batch) => format!("; batch {batch} is open, and cancelled in 60 s if nobody fills it or ends it"),
                None => String::new(),
            };
            let text = format!("{}; {jobs} {were} submitted before that{open}", failure.text);
            Err(Failure::new(failure.status, text).into())
        }
        outcome => outcome.and_then(|()| sending.end()),
    }
}

/// Submits what the command line names.
fn hand_in(sending: &mut Sending, submit: &Submit, queue: &str, more: (&[u8], &[After<'_>])) -> Result<(), Stop> {
    if let Some(path) = &submit.file {
        return from_file(sending, (queue, submit), path);
    }
    new_queue::look(&sending.client, std::iter::once(queue), submit.existing)?;
    if let Some(path) = &submit.lines {
        return from_lines(sending, &job(submit, queue, more, &[]), path);
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

fn from_file(sending: &mut Sending, (queue, submit): (&str, &Submit), path: &Path) -> Result<(), Stop> {
    let mut input = InputFile::open(path)?;
    let mut bytes = Vec::new();
    input.reader.read_to_end(&mut bytes).map_err(|error| input.failure(&error))?;
    let refused = |why: String| Failure::new(exit::USAGE, format!("{}: {why}; nothing was submitted", input.name));
    let text = jobs_file::text(&bytes).map_err(refused)?;
    let jobs = jobs_file::parse(text).map_err(refused)?;
    let all_headers: Vec<Vec<u8>> = jobs.iter().map(FileJob::headers).collect();
    let all_after: Vec<Vec<After<'_>>> = jobs.iter().map(FileJob::after).collect();
    let keep_ms = sending.waited.is_some().then_some(KEEP_MS_WAITED);
    let jobs: Vec<SubmitJob<'_>> = jobs
        .iter()
        .zip(all_headers.iter().zip(&all_after))
        .map(|(job, (headers, after))| {
            let queue = job.queue.as_deref().unwrap_or(queue);
            SubmitJob {
                queue,
                on_duplicate: on_duplicate(submit),
                keep_ms: job.keep_ms.or(keep_ms),
                ..of_file(job, headers, after)
            }
        })
        .collect();
    new_queue::look(&sending.client, jobs.iter().map(|job| job.queue), submit.existing)?;
    let mut rest = &jobs[..];
    while !rest.is_empty() {
        let (next, after) = rest.split_at(request_length(rest));
        sending.submit(next)?;
        rest = after;
    }
    Ok(())
}

/// A job as its entry in a file says.
fn of_file<'a>(job: &'a FileJob<'_>, headers: &'a [u8], after: &'a [After<'a>]) -> SubmitJob<'a> {
    SubmitJob {
        key: &job.id,
        settings: job.settings(),
        delay_ms: job.delay_ms,
        keep_ms: job.keep_ms,
        ttl_ms: job.ttl_ms,
        backoff: job.backoff,
        group: job.group.as_deref(),
        unique_for_ms: job.unique_for_ms,
        unique_until_start: (job.unique == Some(Unique::UntilStart)).then_some(true),
        headers: some_headers(headers),
        after: (!after.is_empty()).then(|| List::lent(after)),
        if_failed: Some(job.if_failed).filter(|_| !after.is_empty()),
        with_results: (job.with_results && !after.is_empty()).then_some(true),
        payload: job.payload.get().as_bytes(),
        ..SubmitJob::default()
    }
}

fn request_length(jobs: &[SubmitJob<'_>]) -> usize {
    let mut bytes = 0;
    let fitting = jobs.iter().take(ITEMS_MAX).take_while(|job| {
        bytes += job_bytes(job);
        bytes <= REQUEST_BYTES_MAX
    });
    fitting.count().max(1)
}

fn job_bytes(job: &SubmitJob<'_>) -> usize {
    let headers = job.headers.map_or(0, |headers| headers.0.len());
    let names = job.queue.len() + job.key.len() + job.group.map_or(0, str::len);
    JOB_OVERHEAD_BYTES + names + headers + job.after.map_or(0, after_bytes) + job.payload.len()
}

fn after_bytes(after: List<'_, After<'_>>) -> usize {
    after.iter().map(|after| AFTER_BYTES + after.name.len()).sum()
}

/// Submits line by line as they come: many at once where many are there, and none is held back while the next is
/// waited for.
fn from_lines(sending: &mut Sending, template: &SubmitJob<'_>, path: &Path) -> Result<(), Stop> {
    let mut input = InputFile::open(path)?;
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    let mut number: u64 = 0;
    loop {
        let has_line = input.has_line().map_err(|error| input.failure(&error))?;
        if !lines.is_empty() && !has_line {
            sending.submit_lines(template, &mut lines)?;
            bytes = 0;
        }
        let mut line = Vec::new();
        let bound = PAYLOAD_BYTES_MAX as u64 + 2;
        let came = input.reader.by_ref().take(bound).read_until(b'\n', &mut line);
        let came = came.map_err(|error| input.failure(&error))?;
        number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.len() > PAYLOAD_BYTES_MAX {
            let name = &input.name;
            let text = format!(
                "line {number} of {name} is longer than a payload may be, {PAYLOAD_BYTES_MAX} bytes; \
                 lines from {} on were not submitted",
                sending.accepted + 1
            );
            return Err(Failure::new(exit::REFUSED, text).into());
        }
        let line_bytes = job_bytes(template) + line.len();
        if came == 0 || lines.len() == ITEMS_MAX || bytes + line_bytes > REQUEST_BYTES_MAX {
            sending.submit_lines(template, &mut lines)?;
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
struct Sending {
    /// Before this moment none is delivered.
    at: Option<Timestamp>,
    client: Client,
    renderer: Renderer,
    accepted: u64,
    /// Nobody reads the ids any more; the jobs are submitted all the same.
    output_closed: bool,
    /// The jobs that are to be waited for, where they are; then how they end is written, and not their ids.
    waited: Option<Vec<JobId>>,
    /// What they are members of. It is begun with the first of them.
    batch: Option<String>,
    keep_open: bool,
}

impl Sending {
    fn submit_lines(&mut self, template: &SubmitJob<'_>, lines: &mut Vec<Vec<u8>>) -> Result<(), Stop> {
        let jobs: Vec<SubmitJob<'_>> = lines.iter().map(|payload| SubmitJob { payload, ..*template }).collect();
        if !jobs.is_empty() {
            self.submit(&jobs)?;
        }
        lines.clear();
        Ok(())
    }

    /// Hands jobs to the master, each for its time.
    fn send(&self, jobs: &[SubmitJob<'_>]) -> Result<Vec<Submitted>, Stop> {
        let timed: Vec<SubmitJob<'_>>;
        let jobs = match self.at {
            Some(at) => {
                // Lines may come slowly: each waits for what is left.
                let delay_ms = at.since(when::now()).0;
                timed = jobs.iter().map(|job| SubmitJob { delay_ms, ..*job }).collect();
                &timed
            }
            None => jobs,
        };
        let Some(batch) = &self.batch else { return Ok(self.client.submit(jobs)?) };
        if self.accepted == 0 {
            self.client.begin_batch(batch)?;
        }
        Ok(self.client.submit_to_batch(batch, jobs)?)
    }

    fn submit(&mut self, jobs: &[SubmitJob<'_>]) -> Result<(), Stop> {
        let submitted = self.send(jobs)?;
        self.accepted += jobs.len() as u64;
        for (job, outcome) in jobs.iter().zip(&submitted).filter(|(_, outcome)| outcome.duplicate) {
            Sending::note_duplicate(job, outcome);
        }
        if let Some(waited) = &mut self.waited {
            waited.extend(submitted.iter().map(|outcome| outcome.job));
            return Ok(());
        }
        if self.output_closed {
            return Ok(());
        }
        let outcome = jobs.iter().zip(&submitted).try_for_each(|(job, outcome)| {
            let id = outcome.job.to_string();
            let cells = vec![format!("job {id}"), job.queue.to_owned(), became(outcome).to_owned()];
            self.renderer.row(Row { cells, json: json_of(job, outcome), quiet: id })
        });
        match outcome.and_then(|()| self.renderer.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.output_closed = true,
            outcome => outcome?,
        }
        Ok(())
    }

    /// Says how a job differs from the one that holds its key; that it is a repeat is in the output.
    fn note_duplicate(job: &SubmitJob<'_>, outcome: &Submitted) {
        let Some(holder) = &outcome.holder else { return };
        let differs = match (holder.queue_differs, holder.payload_differs) {
            (true, true) => ", with another queue and payload",
            (true, false) => ", with another queue",
            (false, true) => ", with another payload",
            (false, false) => "",
        };
        if !differs.is_empty() {
            exit::say(&format!(
                "falcon-cli: key {:?} is held by job {} of queue {}, which is {}{differs}; no job was made",
                job.key,
                outcome.job,
                holder.queue,
                standing(holder.standing),
            ));
        }
    }

    /// The end of all sending.
    fn end(mut self) -> Result<(), Stop> {
        if let Some(batch) = self.batch.as_ref().filter(|_| !self.keep_open && self.accepted > 0) {
            self.client.end_batch(batch)?;
        }
        let Some(jobs) = self.waited.take().filter(|jobs| !jobs.is_empty()) else { return Ok(()) };
        self.wait(&jobs).map_err(|stop| match stop {
            // Whoever goes on by hand has to know them.
            Stop::Failed(failure) => Failure::new(failure.status, format!("{}; {}", failure.text, told(&jobs))).into(),
            stop => stop,
        })?;
        Ok(())
    }

    fn wait(&mut self, jobs: &[JobId]) -> Result<(), Stop> {
        let ends = ends::wait(self.renderer.output(), &self.client, jobs, false, None)?;
        ends::show(&mut self.renderer, &self.client, &ends)?;
        Ok(ends::judge(&ends, false, "")?)
    }
}

fn became(outcome: &Submitted) -> &'static str {
    match outcome {
        Submitted { replaced: true, .. } => "replaced",
        Submitted { duplicate: true, .. } => "has this key already",
        _ => "submitted",
    }
}

fn json_of(job: &SubmitJob<'_>, outcome: &Submitted) -> Value {
    let key = if job.key.is_empty() { Value::Null } else { job.key.into() };
    let mut json = json!({"job": outcome.job.0, "queue": job.queue, "key": key, "duplicate": outcome.duplicate});
    if outcome.replaced {
        json["replaced"] = true.into();
    }
    if let Some(holder) = &outcome.holder {
        json["holder"] = json!({
            "queue": holder.queue,
            "standing": standing(holder.standing),
            "payload_differs": holder.payload_differs,
            "queue_differs": holder.queue_differs,
        });
    }
    json
}

/// Which jobs were submitted.
fn told(jobs: &[JobId]) -> String {
    match (jobs.first(), jobs.last()) {
        (Some(first), Some(last)) if first != last => format!("jobs {first} to {last} were submitted"),
        (first, _) => format!("job {} was submitted", first.copied().unwrap_or_default()),
    }
}
