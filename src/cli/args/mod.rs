//! The command line of `falcon-cli`, and its exit statuses. The arguments of each group of commands are beside it.

mod batch;
mod events;
mod groups;
mod headings;
mod job;
mod queue;
mod schedule;
mod stats;
mod submit;
#[cfg(feature = "top")]
mod top;
mod values;
mod wait;
mod wal;
mod worker;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub use batch::{BatchCommand, Wait as BatchWait};
pub use events::Events;
pub use groups::{GroupArgs, rates};
pub use job::{By, Filters, JobCommand, LeaseArgs, List, Mending, One, Update};
pub use queue::{Delete, Pause, Purge, QueueCommand, Resume, Set};
pub use schedule::{Add, Apply, Overlap, ScheduleCommand, Scheduled};
pub use stats::Stats;
pub use submit::{Submit, UniqueUntil};
#[cfg(feature = "top")]
pub use top::Top;
pub use values::{
    Earlier, Setting, backoff, check_header, check_headers, earlier, every, group, if_failed, jitter, keep, missed,
    timeout, ttl, written,
};
pub use wait::{Drain, Wait};
pub use wal::{Dump, Repair, Wal, WalCommand};
pub use worker::WorkerCommand;

use crate::address::Address;
use crate::time::Millis;
use headings::{CONNECTION, OUTPUT};

const EXAMPLES: &str = "\
Examples:
  falcon-cli submit mail 'a payload' --wait
  falcon-cli stats --watch
  falcon-cli job list -q mail --state dead --by error
  falcon-cli wait 17 20-29 key:order-1001 --timeout 10m

Jobs are named by ids (17), ranges (20-29), `last`, keys (key:order-1001), and - for names from stdin.
`falcon-cli COMMAND --help` shows the options of a command, with examples.

Exit status: 0 done, 1 what was waited for went wrong, or was not confirmed, 2 bad usage, 3 not found, 4 timed out, \
5 ended and not kept, 6 refused, 65 a log is damaged, 69 master unreachable or starting, 71 the system failed, \
73 no usable directory, 74 the disk failed, 75 a master has the directory, 77 wrong token";

/// Submits jobs to a FalconQueue master and looks at what became of them.
#[derive(Debug, Parser)]
#[command(name = "falcon-cli", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, clap::Args)]
pub struct Common {
    /// Where the master listens: HOST:PORT, HOST, an IPv6 address, or unix:PATH.
    #[arg(
        short = 'm',
        long,
        global = true,
        help_heading = CONNECTION,
        value_name = "ADDRESS",
        env = "FALCON_MASTER",
        default_value = "127.0.0.1:3252"
    )]
    pub master: Address,
    /// File with the master's token.
    #[arg(long, global = true, help_heading = CONNECTION, value_name = "FILE", env = "FALCON_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// How long a master is waited for that is not there, or still reads its log; 0s not at all.
    #[arg(
        long,
        global = true,
        help_heading = CONNECTION,
        value_name = "DURATION",
        env = "FALCON_RETRY_FOR",
        default_value = "10s"
    )]
    pub retry_for: Millis,
    /// How to write the outcome.
    #[arg(short = 'o', long, global = true, help_heading = OUTPUT, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Show moments in UTC, and read them so; without it by the clock of this machine.
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub utc: bool,
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

/// What is told.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Say only what is not well.
    #[arg(long, help_heading = OUTPUT)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Hand jobs in.
    Submit(Submit),
    /// Show how many jobs stand where in each queue, and how many come and end.
    Stats(Stats),
    /// Show what happens to jobs and queues, as it happens.
    Events(Events),
    /// Show the files of the log: its segments, what of them is used and needed, and its snapshots.
    Storage,
    /// Watch queues, running jobs, workers, dead jobs and the log on a terminal, and look after them by key.
    #[cfg(feature = "top")]
    Top(Top),
    /// Let the master write a snapshot of its state, so that its next start reads less.
    Snapshot,
    /// Copy the log of a running master; a master that is started on the copy is the restore.
    Backup {
        /// A directory that is empty or not there yet.
        dir: PathBuf,
    },
    /// Wait for the ends of jobs; or, where none is named, until no job is pending, in flight, or awaits a retry, with
    /// a progress bar.
    Wait(Wait),
    /// Look at jobs, change them, and tell of one from within its command.
    #[command(subcommand)]
    Job(JobCommand),
    /// Look at queues, pause them, and settle what holds in them.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Fill named sets of jobs that are handed out once all of them are there, and wait for them.
    #[command(subcommand)]
    Batch(BatchCommand),
    /// Make recurring jobs, and look at when they are due.
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Take no more jobs, and wait until none is pending or in flight, as before the master is stopped for good.
    Drain(Drain),
    /// Look at the workers, and tell them what to do.
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Look whether the master can be reached and is well, and what would be a problem in production; exit status 1 if
    /// something does not work.
    Doctor(Doctor),
    /// Write what a shell has to know to complete commands and options, as in
    /// `falcon-cli completions bash > /etc/bash_completion.d/falcon-cli`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Look into a log; works on a live or a stopped master's directory.
    Wal(Wal),
}
