//! The arguments of `falcon-cli wal`.

use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;

use crate::queue::Event;
use crate::time::Millis;

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
    /// Only records of the last so long.
    #[arg(long, value_name = "DURATION")]
    pub since: Option<Millis>,
    /// Not more than this many.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Go on as records are appended, until Ctrl-C.
    #[arg(long)]
    pub follow: bool,
}
