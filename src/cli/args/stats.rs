//! The arguments of `falcon-cli stats`.

use super::values::interval;
use crate::ids::parse_queue_name;
use crate::time::Millis;

const EXAMPLES: &str = "\
Examples:
  falcon-cli stats --watch
  falcon-cli stats mail -o json
  falcon-cli stats --log";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Stats {
    /// Show this queue alone.
    #[arg(value_name = "QUEUE", value_parser = parse_queue_name)]
    pub queue: Option<String>,
    /// Show it again and again, until Ctrl-C; every 2s if nothing is said.
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, default_missing_value = "2s", value_parser = interval)]
    pub watch: Option<Millis>,
    /// Show the figures of the log, and of the master as a whole.
    #[arg(long, conflicts_with = "queue")]
    pub log: bool,
}
