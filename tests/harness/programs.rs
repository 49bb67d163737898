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
    cli.env_remove("FALCON_MASTER").envs(env.iter().copied()).args(args);
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

#[track_caller]
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}
