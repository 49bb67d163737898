//! The programs that a test runs beside the master, and the log as one of them tells it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::process::{Process, Run};

pub const FALCOND: &str = env!("CARGO_BIN_EXE_falcond");
pub const FALCON_WORKER: &str = env!("CARGO_BIN_EXE_falcon-worker");
pub const FALCON_CLI: &str = env!("CARGO_BIN_EXE_falcon-cli");

pub fn worker(address: &str, options: &[&str], command: &[&str]) -> Process {
    let mut worker = Command::new(FALCON_WORKER);
    worker.env_remove("FALCON_MASTER").args(["--master", address]);
    Process::spawn(worker.args(options).arg("--").args(command), b"")
}

pub fn cli(args: &[&str]) -> Run {
    cli_with(args, &[], b"")
}

pub fn cli_with(args: &[&str], env: &[(&str, &str)], input: &[u8]) -> Run {
    let mut cli = Command::new(FALCON_CLI);
    // Enough for a master that is being started.
    cli.env_remove("FALCON_MASTER").env("FALCON_RETRY_FOR", "1s").envs(env.iter().copied()).args(args);
    Process::spawn(&mut cli, input).finish()
}

/// The log as `falcon-cli wal dump` tells it.
pub struct Dump(pub Vec<Value>);

#[track_caller]
pub fn dump(dir: &Path) -> Dump {
    let run = cli(&["--output", "json", "wal", "dump", dir.to_str().expect("a plain path")]);
    Dump(run.expect(0).json())
}

impl Dump {
    /// The records of this event, oldest first.
    pub fn of(&self, event: &str) -> Vec<&Value> {
        self.0.iter().filter(|record| record["event"] == event).collect()
    }

    pub fn count(&self, event: &str) -> usize {
        self.of(event).len()
    }

    /// How many ENQUEUE, DISPATCH and ACK.
    pub fn counts(&self) -> [usize; 3] {
        ["ENQUEUE", "DISPATCH", "ACK"].map(|event| self.count(event))
    }

    /// The records of one job, oldest first.
    pub fn of_job(&self, job: u64) -> Vec<&Value> {
        self.0.iter().filter(|record| record["job"] == job).collect()
    }

    /// What happened to one job, in the order in which it did.
    pub fn story(&self, job: u64) -> Vec<&str> {
        self.of_job(job).into_iter().map(|record| text(record, "event")).collect()
    }

    /// The newest record of this event and job.
    #[track_caller]
    pub fn last(&self, job: u64, event: &str) -> &Value {
        let found = self.of_job(job).into_iter().rfind(|record| record["event"] == event);
        found.unwrap_or_else(|| panic!("no {event} of job {job} in {:#?}", self.of_job(job)))
    }
}

/// Whether a list of facts tells this one, on a line of its own.
pub fn tells(facts: &str, name: &str, value: &str) -> bool {
    facts.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.trim_start() == value && rest != value))
}

#[track_caller]
pub fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {value}"))
}

/// A moment, in milliseconds since 1970: RFC 3339 in UTC, with milliseconds.
#[track_caller]
pub fn moment(value: &Value, field: &str) -> u64 {
    let text = text(value, field);
    let wrong = || panic!("no moment {field} in {value}");
    let digits = |at: usize, count: usize| text[at..at + count].parse::<u64>().unwrap_or_else(|_| wrong());
    assert!(text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T', "no moment {field} in {value}");
    let (year, month, day) = (digits(0, 4), digits(5, 2), digits(8, 2));
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    let days = 365 * (year - 1970) + leaps(year - 1) - leaps(1969) + before + day - 1 + u64::from(is_leap && month > 2);
    ((days * 24 + digits(11, 2)) * 60 + digits(14, 2)) * 60_000 + digits(17, 2) * 1000 + digits(20, 3)
}

#[track_caller]
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}
