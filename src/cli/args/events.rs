//! The arguments of `falcon-cli events`.

use super::headings::{OUTPUT, WHAT};
use crate::ids::parse_queue_name;

const EXAMPLES: &str = "\
Examples:
  falcon-cli events
  falcon-cli events --queue mail --event dead
  falcon-cli events --job 17 -o json
  falcon-cli events --event dead --count 1 && echo 'a job is dead'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Events {
    /// Only those of this queue and its jobs.
    #[arg(short, long, value_name = "QUEUE", value_parser = parse_queue_name, help_heading = WHAT)]
    pub queue: Option<String>,
    /// Only those of this job.
    #[arg(long, value_name = "JOB", help_heading = WHAT)]
    pub job: Option<u64>,
    /// Only events of this name, as `job log` shows them; several with commas between.
    #[arg(long, value_name = "EVENT", value_delimiter = ',', help_heading = WHAT)]
    pub event: Vec<String>,
    /// Begin behind this LSN, as far as what came there is still kept, and not at what happens next.
    #[arg(long, value_name = "LSN", help_heading = WHAT)]
    pub after: Option<u64>,
    /// End after so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = OUTPUT)]
    pub count: Option<u64>,
}
