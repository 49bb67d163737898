//! The arguments of `falcon-cli wal`.

use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;

use super::headings::{OUTPUT, RECORDS};
use crate::address::Address;
use crate::queue::Event;
use crate::time::Millis;

const EXAMPLES: &str = "\
Examples:
  falcon-cli wal dump ./falcon-data --event ack --follow
  falcon-cli wal dump ./falcon-data --job 17 --since 2h -o json";

/// The commands, which need no connection.
#[derive(Debug, clap::Args)]
pub struct Wal {
    #[command(subcommand)]
    pub command: WalCommand,
    #[command(flatten)]
    _no_connection: NoConnection,
}

/// What says where the master is may stand here, too, as in an alias, and is not heeded. It takes the place of the same
/// options of all other commands, so that it is not in the help.
#[derive(Debug, clap::Args)]
struct NoConnection {
    #[arg(id = "master", short = 'm', long = "master", global = true, hide = true)]
    _master: Option<Address>,
    #[arg(id = "token_file", long = "token-file", global = true, hide = true)]
    _token_file: Option<PathBuf>,
    #[arg(id = "retry_for", long = "retry-for", global = true, hide = true)]
    _retry_for: Option<Millis>,
}

#[derive(Debug, Subcommand)]
pub enum WalCommand {
    /// Write one line per record, oldest first.
    Dump(Dump),
    /// Read every record and every snapshot, and tell what is damaged; exit status 65 then.
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
#[command(after_help = EXAMPLES)]
pub struct Dump {
    /// The data directory.
    pub dir: PathBuf,
    /// Only records of this job; may be given several times.
    #[arg(long = "job", value_name = "ID", help_heading = RECORDS)]
    pub jobs: Vec<u64>,
    /// Only records of this event; may be given several times.
    #[arg(long = "event", value_name = "NAME", ignore_case = true, hide_possible_values = true,
        value_parser = PossibleValuesParser::new(Event::KINDS.iter().map(|(_, name)| *name)),
        help_heading = RECORDS)]
    pub events: Vec<String>,
    /// Only records from this one on.
    #[arg(long, value_name = "LSN", default_value_t = 1, help_heading = RECORDS)]
    pub from: u64,
    /// Only records of the last so long.
    #[arg(long, value_name = "DURATION", help_heading = RECORDS)]
    pub since: Option<Millis>,
    /// Not more than this many.
    #[arg(long, value_name = "N", help_heading = OUTPUT)]
    pub limit: Option<u64>,
    /// Go on as records are appended, until Ctrl-C.
    #[arg(long, help_heading = OUTPUT)]
    pub follow: bool,
}
