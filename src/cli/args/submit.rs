//! The arguments of `falcon-cli submit`.

use std::path::PathBuf;

use super::headings::{ATTEMPTS, BATCH, KEY, OUTPUT, WHAT, WHEN};
use super::values::{
    Earlier, backoff, delay, earlier, group, header, if_failed, keep, key, number, timeout, ttl, unique_for,
};
use crate::ids::{parse_batch_name, parse_queue_name};
use crate::job::{Backoff, IfFailed, OnDuplicate};
use crate::limits::{ATTEMPTS_MAX, PRIORITY_DEFAULT};
use crate::time::Millis;

const EXAMPLES: &str = "\
Examples:
  falcon-cli submit mail 'a payload' --key order-1001 --delay 5s
  falcon-cli submit mail 'a payload' --at '2026-12-24 18:00'
  falcon-cli submit mail 'a payload' --wait -o quiet
  seq 1000 | falcon-cli submit mail --lines - -o quiet
  falcon-cli submit mail --lines addresses.txt --batch newsletter
  falcon-cli submit --file examples/jobs.json";

/// What a file says of each of its jobs.
const OF_ONE: [&str; 16] = [
    "key",
    "unique",
    "unique_for",
    "group",
    "priority",
    "delay",
    "at",
    "timeout",
    "max_attempts",
    "keep",
    "ttl",
    "backoff",
    "headers",
    "after",
    "if_failed",
    "with_results",
];

#[derive(Debug, clap::Args)]
#[command(override_usage = "falcon-cli submit QUEUE PAYLOAD [OPTIONS]
       falcon-cli submit QUEUE --payload-file FILE | --lines FILE [OPTIONS]
       falcon-cli submit [QUEUE] --file JOBS.json")]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("input").required(true).args(["payload", "payload_file", "lines", "file"]))]
#[command(group = clap::ArgGroup::new("keyed").args(["key", "file"]))]
pub struct Submit {
    /// The queue; with --file, that of entries which name none.
    #[arg(value_name = "QUEUE", value_parser = parse_queue_name, required_unless_present = "file")]
    pub queue: Option<String>,
    /// The payload; - reads it from stdin.
    #[arg(value_name = "PAYLOAD")]
    pub payload: Option<String>,
    /// Read the payload from a file; - for stdin.
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    pub payload_file: Option<PathBuf>,
    /// Make each line of a file a job, without its line end (LF); an empty line is a job without payload; - for stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "key", help_heading = WHAT)]
    pub lines: Option<PathBuf>,
    /// Submit the jobs of a JSON file, see examples/jobs.json.
    #[arg(long, value_name = "FILE", conflicts_with_all = OF_ONE, help_heading = WHAT)]
    pub file: Option<PathBuf>,
    /// Refuse jobs of a queue that is not there yet, with exit status 6; without it the queue is made.
    #[arg(long, help_heading = WHAT)]
    pub existing: bool,
    /// A name and a value that go with it to its worker; may be given several times.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header, help_heading = WHAT)]
    pub headers: Vec<(String, String)>,
    /// A name inside the queue, as of a tenant: groups have their turns one after the other, and limits of their own.
    #[arg(long, value_name = "GROUP", value_parser = group, help_heading = WHAT)]
    pub group: Option<String>,
    /// Not delivered before this has passed.
    #[arg(long, value_name = "DURATION", default_value = "0ms", value_parser = delay, help_heading = WHEN)]
    pub delay: Millis,
    /// Not delivered before this moment, as in '2026-12-24 18:00', by the clock of this machine (or --utc), or with an
    /// offset, as in 2026-12-24T18:00:00+01:00. Of a time that comes twice in a night the first is meant, and of one
    /// that does not exist the moment after the gap.
    #[arg(long, value_name = "MOMENT", conflicts_with = "delay", help_heading = WHEN)]
    pub at: Option<String>,
    /// Let it wait for other jobs: their ids, or key:KEY for the job that holds a key, or
    /// batch:NAME for all jobs of a batch; several with commas between. Its delay counts from then.
    #[arg(long, value_name = "JOB,…", value_delimiter = ',', value_parser = earlier, help_heading = WHEN)]
    pub after: Vec<Earlier>,
    /// What becomes of it if one of those does not complete: cancel it, run it all the same when all have ended, or let
    /// it wait for a dead one to be requeued (for any other it is cancelled, too).
    #[arg(long, value_name = "WHAT", requires = "after", value_parser = if_failed, default_value = "cancel",
        help_heading = WHEN)]
    pub if_failed: IfFailed,
    /// Give it the results of those, as a JSON file that `FALCON_RESULTS` names.
    #[arg(long, requires = "after", help_heading = WHEN)]
    pub with_results: bool,
    /// 0 is the most urgent, 255 the least.
    #[arg(long, value_name = "N", default_value_t = PRIORITY_DEFAULT, value_parser = number::<u8>,
        help_heading = ATTEMPTS)]
    pub priority: u8,
    /// How long an attempt may run.
    #[arg(long, value_name = "DURATION", value_parser = timeout, help_heading = ATTEMPTS)]
    pub timeout: Option<Millis>,
    /// How many attempts the job gets; 5 if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(ATTEMPTS_MAX)),
        help_heading = ATTEMPTS)]
    pub max_attempts: Option<u16>,
    /// How long it waits after a failed attempt: always as long (fixed:10s), or doubled each time, half of it at random
    /// (exponential:1s..1h).
    #[arg(long, value_name = "HOW", value_parser = backoff, help_heading = ATTEMPTS)]
    pub backoff: Option<Backoff>,
    /// If no attempt of it was begun within this time, it ends as expired.
    #[arg(long, value_name = "DURATION", value_parser = ttl, help_heading = ATTEMPTS)]
    pub ttl: Option<Millis>,
    /// A name: while a job holds it, submitting it again gives that job. It does so until it has ended, and for
    /// falcond's --key-window after it was completed or died.
    #[arg(long, value_name = "KEY", value_parser = key, help_heading = KEY)]
    pub key: Option<String>,
    /// What to do about a job whose key is held by another one: take that for it, submit nothing and end with exit
    /// status 6, or let payload, delay and time to live take the place of those of that one, if it was not begun yet.
    #[arg(long, value_enum, value_name = "WHAT", requires = "keyed", default_value_t = Duplicates::Return,
        help_heading = KEY)]
    pub on_duplicate: Duplicates,
    /// How long the key is held: `until-start` frees it when the job is handed out for the first time.
    #[arg(long, value_enum, value_name = "WHAT", requires = "key", conflicts_with = "unique_for", help_heading = KEY)]
    pub unique: Option<UniqueUntil>,
    /// Hold the key so long from now on, whatever becomes of the job.
    #[arg(long, value_name = "DURATION", requires = "key", value_parser = unique_for, help_heading = KEY)]
    pub unique_for: Option<Millis>,
    /// Make the jobs members of this batch, which is begun if it is not there, and ended when all are submitted: they
    /// are handed out from then on.
    #[arg(long, value_name = "NAME", value_parser = parse_batch_name, help_heading = BATCH)]
    pub batch: Option<String>,
    /// Leave the batch open for more jobs; `falcon-cli batch end NAME` ends it.
    #[arg(long, requires = "batch", conflicts_with = "wait", help_heading = BATCH)]
    pub keep_open: bool,
    /// Wait for the ends of all jobs that are submitted, and show their results; with one job and --output quiet, just
    /// that. They are kept for 10m if nothing else is said.
    #[arg(long, help_heading = OUTPUT)]
    pub wait: bool,
    /// How long it is kept after its end, with its result, to be looked at and waited for; otherwise as its queue says.
    #[arg(long, value_name = "DURATION", value_parser = keep, help_heading = OUTPUT)]
    pub keep: Option<Millis>,
}

/// Until when a key is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum UniqueUntil {
    /// Until the job is handed out for the first time.
    UntilStart,
    /// To its end, and for falcond's --key-window after it was completed or died.
    UntilEnd,
}

/// What a key does that another job holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Duplicates {
    /// That job is the answer; where it differs that is said.
    Return,
    /// It is an error, and nothing is submitted.
    Refuse,
    /// What is submitted takes its place, if it was not begun yet.
    Replace,
}

impl From<Duplicates> for OnDuplicate {
    fn from(duplicates: Duplicates) -> OnDuplicate {
        match duplicates {
            Duplicates::Return => OnDuplicate::Return,
            Duplicates::Refuse => OnDuplicate::Refuse,
            Duplicates::Replace => OnDuplicate::Replace,
        }
    }
}
