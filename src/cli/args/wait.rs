//! The arguments of `falcon-cli wait` and `drain`.

use super::super::names::Name;
use crate::ids::parse_queue_name;
use crate::time::Millis;

const EXAMPLES: &str = "\
Examples:
  falcon-cli wait -q mail
  falcon-cli wait 17 20-29 key:order-1001 --timeout 10m
  falcon-cli submit mail --lines addresses.txt -o quiet | falcon-cli wait -";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Wait {
    /// Jobs whose ends are waited for: ids, ranges, `last`, key:KEY, or - for such names from stdin. Without one it is
    /// waited until nothing is left to run now.
    #[arg(value_name = "JOB")]
    pub jobs: Vec<Name>,
    /// Wait for the first of them only.
    #[arg(long, requires = "jobs")]
    pub any: bool,
    /// Wait until nothing is left in this queue; with `last`, its newest job.
    #[arg(short = 'q', long, value_name = "QUEUE", value_parser = parse_queue_name)]
    pub queue: Option<String>,
    /// Wait no longer than this; exit status 4 then.
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Millis>,
}

#[derive(Debug, clap::Args)]
pub struct Drain {
    /// Take jobs again.
    #[arg(long)]
    pub off: bool,
    /// Wait no longer than this; exit status 4 then, and no more jobs are taken all the same.
    #[arg(long, value_name = "DURATION", conflicts_with = "off")]
    pub timeout: Option<Millis>,
}
