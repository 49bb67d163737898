//! The arguments of `falcon-cli schedule`.

use std::path::PathBuf;

use clap::Subcommand;

use super::headings::{ATTEMPTS, OUTPUT, WHAT, WHEN};
use super::values::{backoff, every, group, header, jitter, keep, missed, number, timeout, ttl};
use crate::ids::{parse_queue_name, parse_schedule_name};
use crate::job::Backoff;
use crate::limits::{ATTEMPTS_MAX, PRIORITY_DEFAULT};
use crate::schedule::Missed;
use crate::time::Millis;

#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Make a schedule, or change one: all of it, what is not named is as by default.
    Add(Box<Add>),
    /// Show all schedules: when each is due next, and what became of its last tick.
    List,
    /// Show all that is known of a schedule, with its next five times.
    Show(Scheduled),
    /// Let a schedule make no jobs until it is resumed.
    Pause(Scheduled),
    /// Let a schedule make jobs again; what was due meanwhile is over.
    Resume(Scheduled),
    /// Let a schedule make a job now, beside its ticks.
    Run(Scheduled),
    /// Take a schedule away; the jobs that it made are left alone.
    Remove(Scheduled),
    /// Make schedules what a TOML or JSON file says, see examples/schedules.toml.
    Apply(Apply),
}

#[derive(Debug, clap::Args)]
pub struct Scheduled {
    #[arg(value_name = "NAME", value_parser = parse_schedule_name)]
    pub name: String,
}

const EXAMPLES: &str = "\
Examples:
  falcon-cli schedule add report --cron '0 7 * * 1-5' --tz Europe/Berlin reports daily
  falcon-cli schedule add sweep --every 90s sweeps ''";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("when").required(true).args(["cron", "every"]))]
#[command(group = clap::ArgGroup::new("what").required(true).args(["payload", "payload_file"]))]
pub struct Add {
    #[arg(value_name = "NAME", value_parser = parse_schedule_name)]
    pub name: String,
    /// The queue of its jobs.
    #[arg(value_name = "QUEUE", value_parser = parse_queue_name)]
    pub queue: String,
    /// The payload of its jobs; - reads it from stdin.
    #[arg(value_name = "PAYLOAD")]
    pub payload: Option<String>,
    /// Read the payload from a file.
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    pub payload_file: Option<PathBuf>,
    /// When it is due: minute, hour, day, month and day of the week, with seconds before them if need be.
    #[arg(long, value_name = "EXPRESSION", help_heading = WHEN)]
    pub cron: Option<String>,
    /// Due each time that this has passed, counted from now on.
    #[arg(long, value_name = "DURATION", value_parser = every, help_heading = WHEN)]
    pub every: Option<Millis>,
    /// The time zone of --cron; UTC if not given.
    #[arg(long = "tz", value_name = "ZONE", conflicts_with = "every", default_value = "", help_heading = WHEN)]
    pub zone: String,
    /// Each job comes up to so much later, at random, and before the next one.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = jitter, help_heading = WHEN)]
    pub jitter: Millis,
    /// What becomes of ticks that no job could be made for, since the master was down or the queue took none: once
    /// makes one job for all of them, skip none, all:10 one for each of the latest ten.
    #[arg(long, value_name = "HOW", default_value = "once", value_parser = missed, help_heading = WHEN)]
    pub missed: (Missed, u16),
    /// Whether a job is made while one of an earlier tick has not ended.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Overlap::Allow, help_heading = WHEN)]
    pub overlap: Overlap,
    /// The group of its jobs inside their queue; groups have their turns one after the other.
    #[arg(long, value_name = "GROUP", value_parser = group, help_heading = WHAT)]
    pub group: Option<String>,
    /// 0 is the most urgent, 255 the least.
    #[arg(long, value_name = "N", default_value_t = PRIORITY_DEFAULT, value_parser = number::<u8>,
        help_heading = ATTEMPTS)]
    pub priority: u8,
    /// How many attempts each job gets; otherwise as its queue says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(ATTEMPTS_MAX)),
        help_heading = ATTEMPTS)]
    pub max_attempts: Option<u16>,
    /// How long an attempt may run.
    #[arg(long, value_name = "DURATION", value_parser = timeout, help_heading = ATTEMPTS)]
    pub timeout: Option<Millis>,
    /// How long each job is kept after its end, with its result.
    #[arg(long, value_name = "DURATION", value_parser = keep, help_heading = OUTPUT)]
    pub keep: Option<Millis>,
    /// If no attempt of a job was begun within this time, it ends as expired.
    #[arg(long, value_name = "DURATION", value_parser = ttl, help_heading = ATTEMPTS)]
    pub ttl: Option<Millis>,
    /// How long a job waits after a failed attempt: fixed:10s, or exponential:1s..1h.
    #[arg(long, value_name = "HOW", value_parser = backoff, help_heading = ATTEMPTS)]
    pub backoff: Option<Backoff>,
    /// A name and a value that go with each job to its worker, beside `schedule` and `tick`; may be given several
    /// times.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header, help_heading = WHAT)]
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Overlap {
    /// A job is made whatever became of those before it.
    Allow,
    /// None is made.
    Skip,
}

#[derive(Debug, clap::Args)]
pub struct Apply {
    /// A file that ends in .toml or .json.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only show what would be added, changed and removed.
    #[arg(long)]
    pub dry_run: bool,
    /// Remove all schedules that the file does not name.
    #[arg(long)]
    pub prune: bool,
}
