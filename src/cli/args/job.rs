//! The arguments of `falcon-cli job`.

use clap::Subcommand;

use super::super::names::Name;
use super::headings::{OUTPUT, WHICH};
use super::values::{delay, error_kind, group, keep, standing};
use crate::ids::parse_queue_name;
use crate::job::Standing;
use crate::limits::{ATTEMPTS_MAX, PERCENT_MAX};
use crate::time::Millis;

const EXAMPLES: &str = "\
Examples:
  falcon-cli job list -q mail --state dead --since 1h
  falcon-cli job list --state dead --by error
  falcon-cli job list -q mail --error 'connection refused' -o quiet | falcon-cli job requeue -";

#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Show all that the master keeps of a job.
    Show(One),
    /// Say why a job does not run now, and what would change that.
    Explain(One),
    /// List jobs, the newest first, or count them by their errors.
    List(List),
    /// Write a job's payload to stdout, as it is, whatever the output.
    Payload(One),
    /// Write a completed job's result to stdout, as it is, whatever the output, while the job is kept.
    Result(One),
    /// Show what happened to a job, oldest first, also of one that is gone: as far as the master's log still tells it.
    Log {
        #[command(flatten)]
        one: One,
        /// Only what happened in the last so long.
        #[arg(long, value_name = "DURATION")]
        since: Option<Millis>,
    },
    /// Give dead jobs all their attempts again.
    Requeue(Mending),
    /// Let jobs not run; one that runs is stopped by its worker, and ends when that says so.
    Cancel {
        /// End one that runs at once, without waiting for its worker.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        mending: Mending,
    },
    /// Forget jobs; not those that a worker has.
    Purge(Mending),
    /// Change what was settled when jobs were submitted.
    Update {
        #[command(flatten)]
        update: Update,
        #[command(flatten)]
        mending: Mending,
    },
    /// Tell how far a job is, from within its command; exit status 6 if its lease is lost.
    Progress {
        /// How much of it is done, in percent.
        #[arg(value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=i64::from(PERCENT_MAX)))]
        percent: u8,
        /// A few words for people; of longer ones the first 200 bytes.
        #[arg(value_name = "TEXT", default_value = "")]
        text: String,
        #[command(flatten)]
        lease: LeaseArgs,
    },
    /// Ask from within a job's command whether its lease still lives: exit status 0, or 1 if another worker may have
    /// the job.
    Alive {
        #[command(flatten)]
        lease: LeaseArgs,
    },
}

/// A job and the lease under which it is run, as its command finds them in its environment.
#[derive(Debug, clap::Args)]
pub struct LeaseArgs {
    /// The job.
    #[arg(long, value_name = "ID", env = "FALCON_JOB_ID")]
    pub job: u64,
    /// Its lease.
    #[arg(long, value_name = "ID", env = "FALCON_LEASE_ID")]
    pub lease: u64,
}

/// A job.
#[derive(Debug, clap::Args)]
pub struct One {
    /// Its id, as submit tells it; or `last`, or key:KEY.
    #[arg(value_name = "JOB")]
    pub job: Name,
    /// With `last`: the newest job of this queue.
    #[arg(short = 'q', long, value_name = "QUEUE", value_parser = parse_queue_name)]
    pub queue: Option<String>,
}

/// Which jobs are meant: those of which all holds that is said.
#[derive(Debug, Default, clap::Args)]
pub struct Filters {
    /// Jobs of this queue.
    #[arg(short = 'q', long, value_name = "QUEUE", value_parser = parse_queue_name, help_heading = WHICH)]
    pub queue: Option<String>,
    /// Jobs that stand there; may be given several times.
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = standing(), help_heading = WHICH)]
    pub states: Vec<Standing>,
    /// Jobs whose key begins so.
    #[arg(long, value_name = "TEXT", help_heading = WHICH)]
    pub key_prefix: Option<String>,
    /// Jobs of this group.
    #[arg(long, value_name = "GROUP", value_parser = group, help_heading = WHICH)]
    pub group: Option<String>,
    /// Jobs that were submitted at least so long ago.
    #[arg(long, value_name = "DURATION", help_heading = WHICH)]
    pub older_than: Option<Millis>,
    /// Jobs that were submitted at most so long ago.
    #[arg(long, visible_alias = "since", value_name = "DURATION", help_heading = WHICH)]
    pub newer_than: Option<Millis>,
    /// Jobs whose last error has this text in it.
    #[arg(long, value_name = "TEXT", help_heading = WHICH)]
    pub error: Option<String>,
    /// Jobs whose last error is of this kind, as `job list --by error` tells it.
    #[arg(long, value_name = "KIND", value_parser = error_kind, help_heading = WHICH)]
    pub error_kind: Option<u64>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct List {
    #[command(flatten)]
    pub filters: Filters,
    /// Count the jobs that have one by their last errors, instead of listing them.
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["oldest", "limit", "from"],
        help_heading = OUTPUT)]
    pub by: Option<By>,
    /// The oldest first.
    #[arg(long, help_heading = OUTPUT)]
    pub oldest: bool,
    /// Not more than this many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..),
        help_heading = OUTPUT)]
    pub limit: u64,
    /// Go on where a list ended, as that one said.
    #[arg(long, value_name = "ID", help_heading = OUTPUT)]
    pub from: Option<u64>,
}

/// What jobs are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// The errors of their last attempts; those that differ in numbers and ids only are one kind.
    Error,
}

/// Which jobs are changed: by their names, or by filters.
#[derive(Debug, clap::Args)]
pub struct Mending {
    /// Jobs: ids, ranges, `last`, key:KEY, or - for such names from stdin.
    #[arg(value_name = "JOB")]
    pub jobs: Vec<Name>,
    #[command(flatten)]
    pub filters: Filters,
    /// Change nothing; say which jobs, or how many, are meant.
    #[arg(long)]
    pub dry_run: bool,
    /// Do it without asking.
    #[arg(long)]
    pub yes: bool,
}

/// What is changed; what is not said stays.
#[derive(Debug, clap::Args)]
#[group(id = "changes", required = true, multiple = true)]
pub struct Update {
    /// 0 is the most urgent, 255 the least; they wait at the end of its line.
    #[arg(long, value_name = "N")]
    pub priority: Option<u8>,
    /// Not delivered before this has passed.
    #[arg(long, visible_alias = "run-in", value_name = "DURATION", value_parser = delay)]
    pub delay: Option<Millis>,
    /// If no attempt was begun within this time, they end as expired; 0s for never.
    #[arg(long, value_name = "DURATION", value_parser = keep)]
    pub ttl: Option<Millis>,
    /// How many attempts they get.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(ATTEMPTS_MAX)))]
    pub max_attempts: Option<u16>,
}
