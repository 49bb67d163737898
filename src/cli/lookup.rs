//! From the names of jobs to their ids: keys and `last` are looked up once, and stdin is read.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use super::args::One;
use super::input::InputFile;
use super::names::{NAMED_JOBS_MAX, Name, names_in};
use super::{Stop, found};
use crate::client::{Client, Filter};
use crate::exit::{self, Failure};
use crate::ids::JobId;

/// Bytes of names that are read from stdin.
const NAMES_BYTES_MAX: u64 = 16 << 20;

/// The jobs that are named, in that order, each once; `last` is the newest one, of this queue if one is given. Exit
/// status 3 if nobody holds a key, or there is no newest job.
pub fn jobs(client: &Client, names: &[Name], queue: Option<&str>) -> Result<Vec<JobId>, Stop> {
    let from_stdin = if names.contains(&Name::Stdin) { read_names()? } else { Vec::new() };
    let names = || names.iter().filter(|name| **name != Name::Stdin).chain(&from_stdin);
    if names().map(Name::count).sum::<u64>() > NAMED_JOBS_MAX {
        return Err(usage(format!("more than {NAMED_JOBS_MAX} jobs are named; name them by filters instead")));
    }
    if queue.is_some() && !names().any(|name| *name == Name::Last) {
        return Err(usage("--queue says whose newest job `last` is, and `last` is not there".to_owned()));
    }
    let mut ids = Vec::new();
    for name in names() {
        match name {
            Name::Id(id) => ids.push(JobId(*id)),
            Name::Range(first, last) => ids.extend((*first..=*last).map(JobId)),
            Name::Last => ids.push(last(client, queue)?),
            Name::Key(key) => ids.push(found(client.find(key))?),
            Name::Stdin => {}
        }
    }
    let mut known = HashSet::new();
    ids.retain(|id| known.insert(*id));
    Ok(ids)
}

/// The one job that is named.
pub fn job(client: &Client, one: &One) -> Result<JobId, Stop> {
    let jobs = jobs(client, std::slice::from_ref(&one.job), one.queue.as_deref())?;
    match jobs[..] {
        [job] => Ok(job),
        _ => Err(usage(format!("{} jobs are named; it takes one", jobs.len()))),
    }
}

fn usage(text: String) -> Stop {
    Failure::new(exit::USAGE, text).into()
}

fn read_names() -> Result<Vec<Name>, Stop> {
    let mut input = InputFile::open(Path::new("-"))?;
    let mut text = String::new();
    let read = input.reader.by_ref().take(NAMES_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| input.failure(&error))?;
    if text.len() as u64 > NAMES_BYTES_MAX {
        return Err(usage(format!("stdin has more than {NAMES_BYTES_MAX} bytes of names")));
    }
    names_in(&text).map_err(|why| usage(format!("stdin: {why}")))
}

/// The newest job.
fn last(client: &Client, queue: Option<&str>) -> Result<JobId, Stop> {
    let filter = Filter { queue, ..Filter::default() };
    let mut from = None;
    loop {
        let page = client.list(filter, from, true, 1)?;
        match (page.jobs.first(), page.next) {
            (Some(newest), _) => return Ok(newest.job),
            (None, None) => break,
            (None, next) => from = next,
        }
    }
    let of_queue = queue.map(|queue| format!(" of queue {queue:?}")).unwrap_or_default();
    let text = format!("there is no newest job{of_queue}: none is there that has not ended, or is kept");
    Err(Failure::new(exit::NOT_FOUND, text).into())
}
