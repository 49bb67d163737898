//! Workers in the master's own process: `--workers`. They poll through the same door as all others.

use std::io;

use super::args::Args;
use crate::client::Client;
use crate::exit::{self, Failure};
use crate::limits::POLL_QUEUES_MAX;
use crate::master::SOFTWARE;
use crate::worker::{CommandHandler, Pool, PoolConfig};

/// What they run, if there are to be any.
pub fn handler(args: &Args) -> Result<Option<CommandHandler>, Failure> {
    let usage = |text: &str| Err(Failure::new(exit::USAGE, text));
    if args.workers.is_none() {
        if !args.queues.is_empty() || !args.command.is_empty() {
            return usage("a queue and a command are for workers in this process; say how many by --workers");
        }
        return Ok(None);
    }
    if args.queues.is_empty() || args.command.is_empty() {
        return usage("--workers needs at least one --queue, and a command behind --");
    }
    if args.queues.len() > POLL_QUEUES_MAX {
        return usage(&format!("{} queues were named; --workers take up to {POLL_QUEUES_MAX}", args.queues.len()));
    }
    let handler = CommandHandler::new(&args.command).map_err(|error| Failure::new(exit::USAGE, error))?;
    Ok(Some(handler))
}

pub fn start(args: &Args, handler: CommandHandler, make: impl Fn() -> Client) -> Result<Pool, Failure> {
    let mut config = PoolConfig::sharing(args.queues.clone());
    config.concurrency =
        usize::try_from(args.workers.unwrap_or(1)).map_err(|error| Failure::new(exit::USAGE, error))?;
    config.lease = args.lease.into();
    config.shutdown_limit = args.shutdown_limit.into();
    SOFTWARE.clone_into(&mut config.software);
    Pool::start(config, make, handler).map_err(cannot_start)
}

pub fn cannot_start(error: io::Error) -> Failure {
    Failure::new(exit::SYSTEM, format!("starting the workers in this process: {error}"))
}
