//! `submit --lines`: each line of a file is a job.

use std::io::{BufRead, Read};
use std::path::Path;

use super::sending::Sending;
use super::{REQUEST_BYTES_MAX, job_bytes};
use crate::cli::Stop;
use crate::cli::args::Submit;
use crate::cli::input::InputFile;
use crate::exit::{self, Failure};
use crate::limits::{ITEMS_MAX, KEY_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::protocol::SubmitJob;

/// Digits that a line's number adds to its key, at most.
const NUMBER_BYTES_MAX: usize = 20;

/// Lines of a file, by their numbers.
struct Lines {
    input: InputFile,
    /// The number of the line that was read last, from 1 on.
    number: u64,
}

impl Lines {
    /// Those from line `from` on.
    fn open(path: &Path, from: u64) -> Result<Lines, Failure> {
        let mut lines = Lines { input: InputFile::open(path)?, number: 0 };
        while lines.number + 1 < from {
            if lines.next()?.is_none() {
                let text = format!("{} has {} lines, and none from {from} on", lines.input.name, lines.number);
                return Err(Failure::new(exit::USAGE, text));
            }
        }
        Ok(lines)
    }

    /// The next line, without its end.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut line = Vec::new();
        let bound = PAYLOAD_BYTES_MAX as u64 + 3;
        let came = self.input.reader.by_ref().take(bound).read_until(b'\n', &mut line);
        if came.map_err(|error| self.input.failure(&error))? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        if line.len() > PAYLOAD_BYTES_MAX {
            let (number, name) = (self.number, &self.input.name);
            let text = format!("line {number} of {name} is longer than a payload may be, {PAYLOAD_BYTES_MAX} bytes");
            return Err(Failure::new(exit::REFUSED, text));
        }
        Ok(Some(line))
    }
}

/// How many lines there are to submit.
pub fn count(submit: &Submit, path: &Path) -> Result<u64, Failure> {
    let mut lines = Lines::open(path, submit.from_line)?;
    let mut count = 0;
    while lines.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Submits line by line as they come: many at once where many are there, and none is held back while the next is
/// waited for.
pub fn submit(sending: &mut Sending, template: &SubmitJob<'_>, submit: &Submit, path: &Path) -> Result<(), Stop> {
    let prefix = submit.key_prefix.as_deref().unwrap_or_default();
    if prefix.len() + NUMBER_BYTES_MAX > KEY_BYTES_MAX {
        let most = KEY_BYTES_MAX - NUMBER_BYTES_MAX;
        return Err(Failure::new(exit::USAGE, format!("--key-prefix takes up to {most} bytes")).into());
    }
    let lines = Lines::open(path, submit.from_line)?;
    sending.begin_many(0)?;
    let group = Group { first: lines.number + 1, lines: Vec::new(), bytes: 0 };
    let mut pieces = Pieces { sending, template, prefix, group };
    pieces.submit_all(lines)
}

/// Lines that go to the master together.
struct Group {
    /// The number of the first of them.
    first: u64,
    lines: Vec<Vec<u8>>,
    bytes: usize,
}

struct Pieces<'p, 'j> {
    sending: &'p mut Sending,
    template: &'p SubmitJob<'j>,
    prefix: &'p str,
    group: Group,
}

impl Pieces<'_, '_> {
    fn submit_all(&mut self, mut lines: Lines) -> Result<(), Stop> {
        loop {
            let has_line = lines.input.has_line().map_err(|error| lines.input.failure(&error))?;
            if !has_line {
                self.submit()?;
                // Ctrl-C ends the wait for a line that somebody has yet to write.
                while lines.input.wait().map_err(|error| lines.input.failure(&error))? {
                    self.sending.look_at_ctrl_c(&self.goes_on())?;
                }
            }
            let line = lines.next().map_err(|failure| self.told(&failure))?;
            let Some(line) = line else { return self.submit() };
            let line_bytes = job_bytes(self.template) + self.prefix.len() + NUMBER_BYTES_MAX + line.len();
            if self.group.lines.len() == ITEMS_MAX || self.group.bytes + line_bytes > REQUEST_BYTES_MAX {
                self.submit()?;
                self.sending.look_at_ctrl_c(&self.goes_on())?;
            }
            self.group.bytes += line_bytes;
            self.group.lines.push(line);
        }
    }

    /// Submits what was read.
    fn submit(&mut self) -> Result<(), Stop> {
        let Group { first, lines, .. } = &self.group;
        if lines.is_empty() {
            return Ok(());
        }
        let key = |number: u64| if self.prefix.is_empty() { String::new() } else { format!("{}{number}", self.prefix) };
        let keys: Vec<String> = (*first..).take(lines.len()).map(key).collect();
        let job = |(payload, key)| SubmitJob { key, payload, ..*self.template };
        let payloads = lines.iter().map(Vec::as_slice);
        let jobs: Vec<SubmitJob<'_>> = payloads.zip(keys.iter().map(String::as_str)).map(job).collect();
        self.sending.submit(&jobs).map_err(|stop| match stop {
            Stop::Failed(failure) => self.told(&failure).into(),
            stop => stop,
        })?;
        self.group = Group { first: first + lines.len() as u64, lines: Vec::new(), bytes: 0 };
        Ok(())
    }

    /// From which line it can be gone on with.
    fn goes_on(&self) -> String {
        let from = self.group.first;
        if self.prefix.is_empty() {
            return format!("go on with --from-line {from}");
        }
        format!("go on with --from-line {from}, or from the beginning: lines that were submitted are not again")
    }

    /// A failure, and how to go on. Where the connection broke the lines that were on their way may be jobs.
    fn told(&self, failure: &Failure) -> Failure {
        let first = self.group.first;
        let last = first + (self.group.lines.len() as u64).saturating_sub(1);
        let may_be = failure.text.contains("may have been carried out") && self.prefix.is_empty();
        let goes_on = if may_be {
            format!(
                "lines {first} to {last} may be jobs or not: look, and go on with --from-line {first} or {}",
                last + 1
            )
        } else {
            self.goes_on()
        };
        Failure::new(failure.status, format!("{}; {goes_on}", failure.text))
    }
}
