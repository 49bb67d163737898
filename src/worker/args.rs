//! The command line of `falcon-worker`, and what it comes to.

use std::path::PathBuf;

use clap::{Parser, value_parser};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::{
    CommandHandler, Handler, MasterFacts, Pool, PoolConfig, PoolError, PoolStopper, QueueShare, Reaper, ReuseHandler,
    Through, remote,
};
use crate::address::Address;
use crate::client::read_token;
use crate::exit::{self, Failure};
use crate::ids::check_client_name;
use crate::limits::{CONCURRENCY_MAX, ITEMS_MAX, LEASE_MS_MAX, LEASE_MS_MIN, POLL_QUEUES_MAX};
use crate::time::Millis;

/// Options that have little to do with the jobs.
const CONNECTION: &str = "Connection";

const EXAMPLES: &str = "\
Examples:
  falcon-worker -q mail -c 4 -- ./send-mail --quietly
  falcon-worker -q mail -c 2 --reuse --open 16 -- python3 handler.py

SIGTSTP lets it take no new jobs, SIGCONT take them again; falcon-cli worker does the same from elsewhere.

Exit status: 0 stopped by a signal or an order, 2 bad usage, 6 refused by the master, 72 no job could be begun for 30 s,
77 wrong token, 78 bad token file";

/// Runs a command for each job of a queue.
///
/// The payload comes on the command's stdin, facts about the job in FALCON_* variables. What it writes to stdout is the
/// job's result. Exit status 0 acks the job; 65, 78 and 100 fail it for good; everything else fails it, and it is tried
/// again while it has attempts left.
#[derive(Debug, Parser)]
#[command(
    name = "falcon-worker",
    version,
    override_usage = "falcon-worker --queue QUEUE [OPTIONS] -- CMD [ARGS]...",
    after_help = EXAMPLES,
    max_term_width = 100
)]
pub struct Args {
    /// Where the master listens: HOST:PORT, HOST, an IPv6 address, or unix:PATH.
    #[arg(
        short = 'm',
        long,
        help_heading = CONNECTION,
        value_name = "ADDRESS",
        env = "FALCON_MASTER",
        default_value = "127.0.0.1:3252"
    )]
    master: Address,
    /// A queue to take jobs from; may be given several times, the preferred one first. With weights, as in mail=3 and
    /// bulk=1, each gets its share of the jobs while it has some.
    #[arg(short = 'q', long = "queue", value_name = "QUEUE[=WEIGHT]", required = true)]
    queues: Vec<QueueShare>,
    /// How many jobs run at once; with --reuse how many processes there are.
    #[arg(short = 'c', long, value_name = "N", default_value_t = 1,
        value_parser = value_parser!(u64).range(1..=CONCURRENCY_MAX))]
    concurrency: u64,
    /// Let the command stay: it gets each job as a line of JSON on its stdin, and answers it by a line on its stdout.
    #[arg(long)]
    reuse: bool,
    /// How many jobs each process of --reuse may have open at once.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        requires = "reuse",
        value_parser = value_parser!(u64).range(1..=CONCURRENCY_MAX)
    )]
    open: u64,
    /// How many jobs to hold ready beyond those that run, up to 1024; by default as many as are finished in two round
    /// trips to the master.
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(0..=ITEMS_MAX as i64))]
    prefetch: Option<u16>,
    /// How long a job stays with this worker after it has gone silent.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = lease)]
    lease: Millis,
    /// How long running jobs may go on after SIGTERM, SIGINT, SIGHUP or SIGQUIT; then they are stopped and given back.
    /// Supervisors kill after 30 s or more.
    #[arg(long, value_name = "DURATION", default_value = "25s")]
    shutdown_limit: Millis,
    /// How long a job may go on past the end of its lease while the master is away. Another worker may have it by then:
    /// with more than 0, attempts may overlap. With 0 it is stopped, and given back uncounted.
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    outage_limit: Millis,
    /// Keep what jobs write to stderr to yourself; of one that fails the last of it is its reason in any case.
    #[arg(long)]
    quiet_jobs: bool,
    /// Say of each job what came of it.
    #[arg(long, short)]
    pub verbose: bool,
    /// What this worker is called in the master's log; by default its host and process id.
    #[arg(long, help_heading = CONNECTION, value_name = "NAME", value_parser = client_name)]
    name: Option<String>,
    /// File with the master's token.
    #[arg(long, help_heading = CONNECTION, value_name = "FILE", env = "FALCON_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// The command and its arguments; no shell is involved.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

fn client_name(text: &str) -> Result<String, String> {
    check_client_name(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

pub(crate) fn lease(text: &str) -> Result<Millis, String> {
    let lease: Millis = text.parse().map_err(|error: crate::time::SpanError| error.to_string())?;
    if (u64::from(LEASE_MS_MIN)..=u64::from(LEASE_MS_MAX)).contains(&lease.0) {
        return Ok(lease);
    }
    let (min, max) = (Millis(LEASE_MS_MIN.into()), Millis(LEASE_MS_MAX.into()));
    Err(format!("a lease of {lease}; it takes {min} to {max}"))
}

/// What runs the jobs, and how many at once.
fn handler(args: &Args, stderr: Through) -> Result<(Box<dyn Handler>, usize), Failure> {
    let usage = |text: String| Failure::new(exit::USAGE, text);
    let number = |number: u64| usize::try_from(number).map_err(|error| usage(error.to_string()));
    let (concurrency, open) = (number(args.concurrency)?, number(args.open)?);
    let master = args.master.absolute();
    let master = master.and_then(|at| MasterFacts::new(&at.to_string(), args.token_file.as_deref()));
    let master = master.map_err(|error| usage(error.to_string()))?;
    if !args.reuse {
        let mut handler = CommandHandler::new(&args.command).map_err(usage)?.with_master(master);
        if !args.quiet_jobs {
            handler = handler.with_stderr(stderr);
        }
        return Ok((Box::new(handler), concurrency));
    }
    let all = concurrency.saturating_mul(open);
    if all as u64 > CONCURRENCY_MAX {
        return Err(usage(format!("--concurrency times --open is {all}; a worker runs up to {CONCURRENCY_MAX} jobs")));
    }
    let mut handler = ReuseHandler::new(&args.command, concurrency, open).map_err(usage)?.with_master(master);
    if args.quiet_jobs {
        handler = handler.without_stderr();
    }
    Ok((Box::new(handler), all))
}

/// Runs a worker until it is told to stop. What jobs write to stderr goes to `stderr`.
pub fn run(args: Args, stderr: Through) -> Result<(), Failure> {
    if args.queues.len() > POLL_QUEUES_MAX {
        let text = format!("{} queues were named; a worker takes up to {POLL_QUEUES_MAX}", args.queues.len());
        return Err(Failure::new(exit::USAGE, text));
    }
    let token = args.token_file.as_deref().map(read_token).transpose();
    let token = token.map_err(|text| Failure::new(exit::CONFIG, text))?.unwrap_or_default();
    let (handler, concurrency) = handler(&args, stderr)?;
    let name = args.name.unwrap_or_else(default_name);
    let queues: Vec<&str> = args.queues.iter().map(|share| share.queue.as_str()).collect();
    let (queues, master) = (queues.join(", "), args.master.to_string());
    let config = PoolConfig {
        concurrency,
        lease: args.lease.into(),
        shutdown_limit: args.shutdown_limit.into(),
        outage_limit: args.outage_limit.into(),
        prefetch: args.prefetch,
        software: concat!("falcon-worker ", env!("CARGO_PKG_VERSION")).to_owned(),
        ..PoolConfig::sharing(args.queues)
    };
    let system = |error: std::io::Error| Failure::new(exit::SYSTEM, format!("starting the worker: {error}"));
    let mut signals = Signals::new([SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP]).map_err(system)?;
    let reaper = Reaper::start().map_err(system)?;
    let make = remote(&master, &name, &token);
    log::info!("worker {name}: jobs of {queues} from {master}, up to {concurrency} at once");
    let pool = Pool::start(config, make, handler).map_err(system)?;
    let stopper = pool.stopper();
    let signals_end = signals.handle();
    let waiting = std::thread::spawn(move || signals.forever().for_each(|signal| heed(signal, &stopper)));
    let outcome = pool.join();
    signals_end.close();
    if waiting.join().is_err() {
        log::error!("the thread that waits for signals panicked");
    }
    // Only now has all that the pool had come to its end: that thread may have had it last.
    drop(reaper);
    outcome.map_err(|error| Failure::new(status_of(&error), error))
}

fn status_of(error: &PoolError) -> u8 {
    match error {
        PoolError::CannotBegin { .. } => exit::CANNOT_BEGIN,
        PoolError::Refused(refused) if refused.is_denied() => exit::DENIED,
        PoolError::Refused(_) => exit::REFUSED,
    }
}

/// Does what a signal asks for.
fn heed(signal: i32, stopper: &PoolStopper) {
    match signal {
        SIGTSTP => stopper.be_quiet(),
        SIGCONT => stopper.resume(),
        _ => stopper.stop(),
    }
}

fn default_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let pid = std::process::id();
    let name = format!("{}:{pid}", crate::codec::text_head(&host, 40));
    if check_client_name(&name).is_ok() { name } else { format!("worker:{pid}") }
}
