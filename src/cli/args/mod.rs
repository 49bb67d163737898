//! The command line of `falcon-cli`, and its exit statuses.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, ValueEnum};

use crate::client::check_address;
use crate::ids::{check_client_name, check_key, parse_queue_name};
use crate::limits::{ATTEMPTS_MAX, DELAY_MS_MAX, PERCENT_MAX, PRIORITY_DEFAULT, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN};
use crate::queue::Event;
use crate::time::{Millis, SpanError};

const EXAMPLES: &str = "\
Examples:
  falcon-cli submit mail 'a payload' --key order-1001 --delay 5s
  seq 1000 | falcon-cli submit mail --lines - --output quiet
  falcon-cli --output json stats
  falcon-cli job show 7
  falcon-cli job log 7
  falcon-cli worker quiet all
  falcon-cli backup /backup/monday
  falcon-cli wal dump ./falcon-data --event ack --follow

Exit status: 0 done, 1 refused or damaged, 2 bad usage, 3 not found, 4 timed out, 69 master unreachable or starting,
73 no usable directory, 74 the disk failed, 75 a master has the directory";

/// Submits jobs to a FalconQueue master and looks at what became of them.
#[derive(Debug, Parser)]
#[command(name = "falcon-cli", version, after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, clap::Args)]
pub struct Common {
    /// Where the master listens.
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        env = "FALCON_MASTER",
        default_value = "127.0.0.1:3252",
        value_parser = check_address
    )]
    pub master: String,
    /// File with the master's token.
    #[arg(long, global = true, value_name = "FILE", env = "FALCON_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// How to write the outcome.
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// The bare minimum, such as ids.
    Quiet,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Hand jobs in.
    Submit(Submit),
    /// Show how many jobs stand where, and the log's figures.
    Stats,
    /// Let the master write a snapshot of its state, so that its next start reads less.
    Snapshot,
    /// Copy the log of a running master; a master that is started on the copy is the restore.
    Backup {
        /// A directory that is empty or not there yet.
        dir: PathBuf,
    },
    /// Wait until no job is pending, delayed or in flight, with a progress bar.
    Wait(Wait),
    /// Look at one job, and tell of it from within its command.
    #[command(subcommand)]
    Job(JobCommand),
    /// Look at the workers, and tell them what to do.
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Look into a log; works on a live or a stopped master's directory.
    #[command(subcommand)]
    Wal(WalCommand),
}

#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Show all that the master keeps of a job that is not completed.
    Show {
        /// The job's id, as submit tells it.
        #[arg(value_name = "ID")]
        id: u64,
    },
    /// Show what happened to a job, oldest first, also of one that is gone: as far as the master's log still tells it.
    Log {
        /// The job's id, as submit tells it.
        #[arg(value_name = "ID")]
        id: u64,
    },
    /// Tell how far a job is, from within its command; exit status 1 if its lease is lost.
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

#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// Show all workers that are connected.
    List,
    /// Show a worker and its jobs.
    Show {
        /// Its name, as `worker list` tells it.
        #[arg(value_name = "NAME", value_parser = client_name)]
        name: String,
    },
    /// Let workers take no new jobs; what they run goes on.
    Quiet {
        /// The name of a worker, or `all`.
        #[arg(value_name = "NAME", value_parser = client_name)]
        name: String,
    },
    /// Let workers take jobs again.
    Resume {
        /// The name of a worker, or `all`.
        #[arg(value_name = "NAME", value_parser = client_name)]
        name: String,
    },
    /// Let workers finish what they run, and leave, as after SIGTERM.
    Stop {
        /// The name of a worker, or `all`.
        #[arg(value_name = "NAME", value_parser = client_name)]
        name: String,
    },
}

/// No worker is asked for by an empty name: that would be all of them.
fn client_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an empty name; `all` stands for all workers".to_owned());
    }
    check_client_name(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

#[derive(Debug, Subcommand)]
pub enum WalCommand {
    /// Write one line per record, oldest first.
    Dump(Dump),
    /// Read every record and every snapshot, and tell what is damaged; exit status 1 then.
    Verify {
        /// The data directory.
        dir: PathBuf,
    },
    /// Make a log that falcond refuses one that it serves, without the jobs that cannot be read. It tells which these
    /// are, and asks. No master may run.
    Repair(Repair),
    /// Show what lives in which segment, and the snapshots.
    Stats {
        /// The data directory.
        dir: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub struct Repair {
    /// The data directory.
    pub dir: PathBuf,
    /// Do it without asking.
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, clap::Args)]
pub struct Dump {
    /// The data directory.
    pub dir: PathBuf,
    /// Only records of this job; may be given several times.
    #[arg(long = "job", value_name = "ID")]
    pub jobs: Vec<u64>,
    /// Only records of this event; may be given several times.
    #[arg(long = "event", value_name = "NAME", ignore_case = true, hide_possible_values = true,
        value_parser = PossibleValuesParser::new(Event::KINDS.iter().map(|(_, name)| *name)))]
    pub events: Vec<String>,
    /// Only records from this one on.
    #[arg(long, value_name = "LSN", default_value_t = 1)]
    pub from: u64,
    /// Not more than this many.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Go on as records are appended, until Ctrl-C.
    #[arg(long)]
    pub follow: bool,
}

#[derive(Debug, clap::Args)]
pub struct Wait {
    /// Wait no longer than this; exit status 4 then.
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Millis>,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "falcon-cli submit QUEUE PAYLOAD [OPTIONS]
       falcon-cli submit QUEUE --payload-file FILE | --lines FILE [OPTIONS]
       falcon-cli submit [QUEUE] --file JOBS.json")]
#[command(group = clap::ArgGroup::new("input").required(true).args(["payload", "payload_file", "lines", "file"]))]
pub struct Submit {
    /// The queue; with --file, that of entries which name none.
    #[arg(value_name = "QUEUE", value_parser = parse_queue_name, required_unless_present = "file")]
    pub queue: Option<String>,
    /// The payload; - reads it from stdin.
    #[arg(value_name = "PAYLOAD")]
    pub payload: Option<String>,
    /// Read the payload from a file; - for stdin.
    #[arg(long, value_name = "FILE")]
    pub payload_file: Option<PathBuf>,
    /// Make each line of a file a job, without its line end (LF); an empty line is a job without payload; - for stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub lines: Option<PathBuf>,
    /// Submit the jobs of a JSON file, see examples/jobs.json.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "priority", "delay", "timeout", "max_attempts"])]
    pub file: Option<PathBuf>,
    /// A name: while a job holds it, submitting it again gives that job. It does so until it has ended, and for
    /// falcond's --key-window after it was completed or died.
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub key: Option<String>,
    /// What to do about a job whose key is held by another one: take that for it, or end with exit status 1.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnDuplicate::First)]
    pub on_duplicate: OnDuplicate,
    /// 0 is the most urgent, 255 the least.
    #[arg(long, value_name = "N", default_value_t = PRIORITY_DEFAULT)]
    pub priority: u8,
    /// Not delivered before this has passed.
    #[arg(long, value_name = "DURATION", default_value = "0ms", value_parser = delay)]
    pub delay: Millis,
    /// How long an attempt may run.
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub timeout: Option<Millis>,
    /// How many attempts the job gets; 5 if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(ATTEMPTS_MAX)))]
    pub max_attempts: Option<u16>,
}

/// What a key does that another job holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnDuplicate {
    /// That job is the answer; where it differs that is said.
    First,
    /// It is an error.
    Refuse,
}

fn key(text: &str) -> Result<String, String> {
    check_key(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

fn delay(text: &str) -> Result<Millis, String> {
    span_within(text, 0, DELAY_MS_MAX)
}

fn timeout(text: &str) -> Result<Millis, String> {
    span_within(text, TIMEOUT_MS_MIN, TIMEOUT_MS_MAX)
}

fn span_within(text: &str, min: u64, max: u64) -> Result<Millis, String> {
    let span: Millis = text.parse().map_err(|error: SpanError| error.to_string())?;
    if (min..=max).contains(&span.0) {
        return Ok(span);
    }
    Err(format!("it takes {} to {}", Millis(min), Millis(max)))
}
