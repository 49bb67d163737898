//! `submit --file`: the jobs of a jobs file.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde_json::json;

use super::sending::Sending;
use super::{KEEP_MS_WAITED, QUEUE_DEFAULT, REQUEST_BYTES_MAX, job_bytes, on_duplicate};
use crate::cli::args::{Common, Submit};
use crate::cli::input::InputFile;
use crate::cli::jobs_file;
use crate::cli::render::tell;
use crate::cli::{Stop, new_queue};
use crate::exit::{self, Failure};
use crate::limits::ITEMS_MAX;
use crate::protocol::{After, SubmitJob};
use crate::shapes::Entry;
use crate::words::counted;

/// The bytes of a jobs file.
struct JobsFile {
    name: String,
    bytes: Vec<u8>,
}

impl JobsFile {
    fn read(path: &Path) -> Result<JobsFile, Failure> {
        let mut input = InputFile::open(path)?;
        let mut bytes = Vec::new();
        input.reader.read_to_end(&mut bytes).map_err(|error| input.failure(&error))?;
        Ok(JobsFile { name: input.name, bytes })
    }

    fn jobs(&self) -> Result<Vec<Entry<'_>>, Failure> {
        let refused = |why: String| Failure::new(exit::USAGE, format!("{}: {why}; nothing was submitted", self.name));
        let text = jobs_file::text(&self.bytes).map_err(refused)?;
        jobs_file::parse(text).map_err(refused)
    }
}

/// Says what would be submitted, after all of it was looked at that needs no master.
pub fn dry_run(common: &Common, submit: &Submit) -> Result<(), Stop> {
    let queue = submit.queue.as_deref().unwrap_or(QUEUE_DEFAULT);
    let mut queues: BTreeMap<String, u64> = BTreeMap::new();
    if let Some(path) = &submit.file {
        let file = JobsFile::read(path)?;
        for job in file.jobs()? {
            *queues.entry(job.queue.unwrap_or_else(|| queue.to_owned())).or_default() += 1;
        }
    } else {
        let lines = submit.lines.as_ref().map(|path| super::lines::count(submit, path)).transpose()?;
        queues.insert(queue.to_owned(), lines.unwrap_or(1));
    }
    let parts: Vec<String> =
        queues.iter().map(|(queue, jobs)| format!("{} of queue {queue}", counted(*jobs, "job"))).collect();
    let all: u64 = queues.values().sum();
    let text = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
    let text = format!("{text} would be submitted; nothing was");
    Ok(tell(common.output, text, json!({"jobs": all, "queues": queues, "dry_run": true}), all.to_string())?)
}

pub fn submit(sending: &mut Sending, (queue, submit): (&str, &Submit), path: &Path) -> Result<(), Stop> {
    let file = JobsFile::read(path)?;
    let jobs = file.jobs()?;
    let all_headers: Vec<Vec<u8>> = jobs.iter().map(Entry::headers).collect();
    let all_after: Vec<Vec<After<'_>>> = jobs.iter().map(Entry::after).collect();
    let keep_ms = sending.waited.is_some().then_some(KEEP_MS_WAITED);
    let jobs: Vec<SubmitJob<'_>> = jobs
        .iter()
        .zip(all_headers.iter().zip(&all_after))
        .map(|(job, (headers, after))| SubmitJob {
            on_duplicate: on_duplicate(submit),
            keep_ms: job.keep_ms.or(keep_ms),
            ..job.job(queue, headers, after)
        })
        .collect();
    new_queue::look(&sending.client, jobs.iter().map(|job| job.queue), submit.existing)?;
    sending.begin_many(jobs.len() as u64)?;
    let mut rest = &jobs[..];
    while !rest.is_empty() {
        let (next, after) = rest.split_at(request_length(rest));
        sending.submit(next)?;
        rest = after;
        if !rest.is_empty() {
            sending.look_at_ctrl_c("the ids of their entries are their keys: the same command goes on")?;
        }
    }
    Ok(())
}

fn request_length(jobs: &[SubmitJob<'_>]) -> usize {
    let mut bytes = 0;
    let fitting = jobs.iter().take(ITEMS_MAX).take_while(|job| {
        bytes += job_bytes(job);
        bytes <= REQUEST_BYTES_MAX
    });
    fitting.count().max(1)
}
