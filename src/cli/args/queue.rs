//! The arguments of `falcon-cli queue`.

use clap::Subcommand;

use super::groups::GroupArgs;
use super::headings::{ATTEMPTS, LIMITS, WHEN};
use super::values::{Setting, at_least_one, backoff, dead_keep, keep, number, or_default, timeout, ttl};
use crate::ids::parse_queue_name;
use crate::job::{Backoff, Standing};
use crate::rules::Way;
use crate::time::Millis;

#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Show all queues: how many jobs stand where, whether they are paused, and what is set.
    List,
    /// Show all that is known of a queue.
    Show {
        #[arg(value_name = "NAME", value_parser = parse_queue_name)]
        name: String,
    },
    /// Say what holds in a queue now: why it hands nothing out or takes nothing, and how much is there.
    Explain {
        #[arg(value_name = "NAME", value_parser = parse_queue_name)]
        name: String,
    },
    /// Let a queue hand out no jobs, or take none.
    Pause(Pause),
    /// Let a queue take jobs and hand them out again.
    Resume(Resume),
    /// Settle what holds in a queue; what is not named stays as it is, and `default` takes a setting back.
    Set(Box<Set>),
    /// List the groups of a queue: those that have settings of their own, then others that have jobs.
    Groups {
        #[arg(value_name = "NAME", value_parser = parse_queue_name)]
        name: String,
    },
    /// Forget the jobs of a queue that no worker has.
    Purge(Purge),
    /// Forget a queue that has no jobs.
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
pub struct Pause {
    #[arg(value_name = "NAME", value_parser = parse_queue_name)]
    pub name: String,
    #[command(flatten)]
    pub ways: Ways,
    /// It ends by itself after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = ttl)]
    pub lasts: Option<Millis>,
    /// Why, for whoever looks at the queue or submits to it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

#[derive(Debug, clap::Args)]
pub struct Resume {
    #[arg(value_name = "NAME", value_parser = parse_queue_name)]
    pub name: String,
    #[command(flatten)]
    pub ways: Ways,
}

/// Which ways of a queue are meant.
#[derive(Debug, clap::Args)]
#[group(id = "way", multiple = false)]
pub struct Ways {
    /// The way in: submits.
    #[arg(long = "in")]
    pub way_in: bool,
    /// The way out, to workers; a pause means this one if it is not said.
    #[arg(long = "out")]
    pub way_out: bool,
    /// Both; a resume means this if it is not said.
    #[arg(long)]
    pub both: bool,
}

impl Ways {
    pub fn or(&self, default: Way) -> Way {
        match self {
            Ways { way_in: true, .. } => Way::In,
            Ways { way_out: true, .. } => Way::Out,
            Ways { both: true, .. } => Way::Both,
            _ => default,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  falcon-cli queue set mail --keep 10m --max-attempts 3 --timeout 30s
  falcon-cli queue set mail --running-max 20 --rate 100/s
  falcon-cli queue set mail --group-rate 30/m burst 5 --group-weight acme=3
  falcon-cli queue set mail --keep default";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("setting").required(true).multiple(true).args(SETTINGS))]
pub struct Set {
    #[arg(value_name = "NAME", value_parser = parse_queue_name)]
    pub name: String,
    /// How long jobs are kept after their end that say nothing else.
    #[arg(long, value_name = "DURATION", value_parser = or_default(keep), help_heading = WHEN)]
    pub keep: Option<Setting<Millis>>,
    /// How long dead jobs are kept; by default until somebody requeues or purges them.
    #[arg(long, value_name = "DURATION", value_parser = or_default(dead_keep), help_heading = WHEN)]
    pub dead_keep: Option<Setting<Millis>>,
    /// How long jobs wait after a failed attempt that say nothing else: fixed:10s, or exponential:1s..1h.
    #[arg(long, value_name = "HOW", value_parser = or_default(backoff), help_heading = ATTEMPTS)]
    pub backoff: Option<Setting<Backoff>>,
    /// How many attempts jobs get that say nothing else.
    #[arg(long, value_name = "N", value_parser = or_default(number::<u16>), help_heading = ATTEMPTS)]
    pub max_attempts: Option<Setting<u16>>,
    /// How long an attempt may run of jobs that say nothing else.
    #[arg(long, value_name = "DURATION", value_parser = or_default(timeout), help_heading = ATTEMPTS)]
    pub timeout: Option<Setting<Millis>>,
    /// How long jobs may wait to be begun that say nothing else.
    #[arg(long, value_name = "DURATION", value_parser = or_default(ttl), help_heading = WHEN)]
    pub ttl: Option<Setting<Millis>>,
    /// How many jobs may wait.
    #[arg(long, value_name = "N", value_parser = or_default(number::<u64>), help_heading = LIMITS)]
    pub depth_max: Option<Setting<u64>>,
    /// How many bytes the payloads of those that wait may have together.
    #[arg(long, value_name = "N", value_parser = or_default(number::<u64>), help_heading = LIMITS)]
    pub bytes_max: Option<Setting<u64>>,
    /// How many jobs may be in flight at once, over all workers.
    #[arg(long, value_name = "N", value_parser = or_default(at_least_one), help_heading = LIMITS)]
    pub running_max: Option<Setting<u32>>,
    #[command(flatten)]
    pub groups: GroupArgs,
}

const SETTINGS: [&str; 14] = [
    "keep",
    "dead_keep",
    "backoff",
    "max_attempts",
    "timeout",
    "ttl",
    "depth_max",
    "bytes_max",
    "running_max",
    "rate",
    "group_rate",
    "group_running_max",
    "group_weight",
    "strict",
];

#[derive(Debug, clap::Args)]
pub struct Purge {
    #[arg(value_name = "NAME", value_parser = parse_queue_name)]
    pub name: String,
    /// Jobs that stand there; may be given several times. All but those in flight if it is not said.
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = super::values::standing())]
    pub states: Vec<Standing>,
    /// Do it without asking.
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, clap::Args)]
pub struct Delete {
    #[arg(value_name = "NAME", value_parser = parse_queue_name)]
    pub name: String,
    /// Purge it first, without asking.
    #[arg(long)]
    pub purge: bool,
}
