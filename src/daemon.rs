//! The command line of `falcond`, and the order in which it starts.
//!
//! 1. Check the settings and read the token file.
//! 2. Lock the data directory.
//! 3. Listen, so that a port in use is told before the log is touched.
//! 4. Read the log, and tell clients that connect meanwhile how far that is.
//! 5. Say where it listens, and serve.

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use clap::{Parser, value_parser};

use crate::block::give_large_allocations_back;
use crate::client::{Client, read_token};
use crate::embedded::Local;
use crate::exit::{self, Failure};
use crate::ids::random_number;
use crate::limits::{CONCURRENCY_MAX, POLL_QUEUES_MAX, SEGMENT_BYTES_DEFAULT};
use crate::master::{Config, Master, Opened, Progress, SOFTWARE, SyncMode, WalError};
use crate::reactor::{Listener, Reactor, ReactorError, raise_descriptor_limit};
use crate::time::Millis;
use crate::wal::{DirDevice, DirLock, SegmentIo};
use crate::worker::args::lease;
use crate::worker::{CommandHandler, MasterFacts, Pool, PoolConfig, PoolError, PoolStopper, QueueShare, Reaper};

const EXAMPLES: &str = "\
Examples:
  falcond --data-dir /var/lib/falcon --listen 127.0.0.1:3252
  falcond --workers 4 --queue mail -- ./send-mail

Exit status: 0 stopped by a signal, 2 bad usage, 65 the log is damaged, 69 cannot listen, 71 the system failed,
73 no usable data directory, 74 the disk failed, 75 another falcond has the directory, 78 bad token file";

/// The FalconQueue master: keeps every job in a log on disk, and hands jobs to workers that poll for them.
#[derive(Debug, Parser)]
#[command(
    name = "falcond",
    version,
    override_usage = "falcond [OPTIONS] [--workers N --queue QUEUE -- CMD [ARGS]...]",
    after_help = EXAMPLES
)]
pub struct Args {
    /// Where the log is; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "./falcon-data")]
    data_dir: PathBuf,
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3252")]
    listen: String,
    /// When the log is made durable: always (before each answer), never, or at most this long after.
    #[arg(long, value_name = "always|never|DURATION", default_value = "always")]
    sync: SyncMode,
    /// File with a token that every client has to know.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How long a key is held after its job was completed or died.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    key_window: Millis,
    /// What is left of the leases of a worker whose connection broke. Workers name their leases once a second: with
    /// less than that one whose connection breaks may lose what it runs.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    grace: Millis,
    /// How long the connection of a worker may be silent before it is taken for dead. Workers send a sign of life three
    /// times in this time.
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    silence: Millis,
    /// How long an attempt may run of a job that was submitted without a time of its own; 0s for no bound.
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    default_timeout: Millis,
    /// Memory of its own, in MiB, past which it takes no more jobs; polls and reports go on. Mapped segments do not
    /// count.
    #[arg(long, value_name = "MIB", value_parser = value_parser!(u64).range(16..=1 << 24))]
    memory_max: Option<u64>,
    /// Size of a log segment.
    #[arg(long, value_name = "BYTES", default_value_t = SEGMENT_BYTES_DEFAULT)]
    segment_bytes: u32,
    /// How log segments are written: through a map, by pwrite, or as is safe on this file system when the disk is full.
    #[arg(long, value_name = "auto|map|pwrite", default_value = "auto")]
    segment_io: SegmentIo,
    /// Standalone mode: run this many jobs at once in this process; needs --queue and a command.
    #[arg(
        long,
        value_name = "N",
        requires_all = ["queues", "command"],
        value_parser = value_parser!(u64).range(1..=CONCURRENCY_MAX)
    )]
    workers: Option<u64>,
    /// A queue for --workers; may be given several times, the preferred one first, or with weights, as in mail=3.
    #[arg(long = "queue", value_name = "QUEUE[=WEIGHT]", requires = "workers")]
    queues: Vec<QueueShare>,
    /// Length of the leases of --workers.
    #[arg(long, value_name = "DURATION", default_value = "10s", requires = "workers", value_parser = lease)]
    lease: Millis,
    /// How long jobs of --workers may go on after SIGTERM, SIGINT, SIGHUP or SIGQUIT; then they are stopped and given
    /// back.
    #[arg(long, value_name = "DURATION", default_value = "25s", requires = "workers")]
    shutdown_limit: Millis,
    /// The command that --workers run for each job.
    #[arg(last = true, requires = "workers", value_name = "CMD")]
    command: Vec<String>,
}

/// Runs the daemon until it is told to stop.
pub fn run(args: &Args) -> Result<(), Failure> {
    give_large_allocations_back();
    let config = config(args)?;
    let handler = handler(args)?;
    raise_descriptor_limit();
    let address = resolve(&args.listen)?;
    let lock = DirLock::take(&args.data_dir).map_err(|error| match error {
        WalError::Locked { .. } => Failure::new(exit::IN_USE, error),
        error => Failure::new(exit::CANNOT_CREATE, error),
    })?;
    let mut listener = Listener::bind(address).map_err(|error| cannot_listen(&args.listen, &error))?;
    let listens_at = listener.local_addr().map_err(|error| cannot_listen(&args.listen, &error))?;
    let device = open_directory(&args.data_dir, args.segment_io, &lock)?;
    let opened = open_while_greeting(config, device, &mut listener)?;
    let (reactor, door) = Reactor::new(listener, opened, &args.data_dir).map_err(reactor_failure)?;
    // Without workers here the door is dropped, so that the loop waits for none.
    let local = Local::new(door, "standalone").saying_begun();
    let make = move || Client::new(local.clone());
    let reaper = handler.as_ref().map(|_| Reaper::start()).transpose().map_err(cannot_start_workers)?;
    let facts = MasterFacts::new(&listens_at.to_string(), args.token_file.as_deref()).map_err(usage)?;
    let start = |handler: CommandHandler| start_pool(args, handler.with_master(facts), make);
    let pool = handler.map(start).transpose()?;
    announce(listens_at)?;
    let outcome = serve(reactor, pool);
    // Last, since it ends what the commands leave behind.
    drop(reaper);
    outcome
}

/// Serves until it is told to stop, and with it the workers in this process.
fn serve(reactor: Reactor, pool: Option<Pool>) -> Result<(), Failure> {
    let stopper = pool.as_ref().map(Pool::stopper);
    // The daemon goes on without them.
    let told = |error: &PoolError| log::error!("the workers in this process: {error}");
    let waiting = pool.map(|pool| std::thread::spawn(move || pool.join().inspect_err(told)));
    let outcome = reactor.run(|| stopper.iter().for_each(PoolStopper::stop));
    if let Err(error) = &outcome {
        log::error!("{error}");
    }
    stopper.iter().for_each(PoolStopper::end);
    match waiting.map(JoinHandle::join) {
        None | Some(Ok(_)) => {}
        Some(Err(_)) => log::error!("the workers in this process panicked"),
    }
    outcome.map_err(reactor_failure)
}

/// What the workers in this process run, if there are to be any.
fn handler(args: &Args) -> Result<Option<CommandHandler>, Failure> {
    let handler = args.workers.map(|_| CommandHandler::new(&args.command)).transpose().map_err(usage)?;
    let queues = args.queues.len();
    if queues > POLL_QUEUES_MAX {
        return Err(usage(format!("{queues} queues were named; --workers take up to {POLL_QUEUES_MAX}")));
    }
    Ok(handler)
}

fn usage(text: impl std::fmt::Display) -> Failure {
    Failure::new(exit::USAGE, text)
}

fn config(args: &Args) -> Result<Config, Failure> {
    let token = args.token_file.as_deref().map(read_token).transpose();
    let token = token.map_err(|text| Failure::new(exit::CONFIG, text))?;
    let config = Config {
        sync: args.sync,
        token,
        key_window: args.key_window,
        grace: args.grace,
        silence: args.silence,
        default_timeout: args.default_timeout,
        memory_max: args.memory_max.map(|mib| mib << 20),
        segment_bytes: args.segment_bytes,
        seed: random_number(),
        beside: true,
    };
    config.validate().map_err(usage)?;
    Ok(config)
}

fn resolve(listen: &str) -> Result<SocketAddr, Failure> {
    let refused = |why: String| Failure::new(exit::USAGE, format!("--listen {listen:?}: {why}; write HOST:PORT"));
    let mut addresses = listen.to_socket_addrs().map_err(|error| refused(error.to_string()))?;
    addresses.next().ok_or_else(|| refused("the name has no address".to_owned()))
}

fn cannot_listen(listen: &str, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has this port, name another one with --listen",
        _ => "",
    };
    Failure::new(exit::UNAVAILABLE, format!("listening on {listen} failed: {error}{advice}"))
}

fn open_directory(dir: &Path, segment_io: SegmentIo, lock: &DirLock) -> Result<DirDevice, Failure> {
    let unusable = |error: io::Error| {
        Failure::new(exit::CANNOT_CREATE, format!("the data directory {} cannot be used: {error}", dir.display()))
    };
    let device = DirDevice::open(dir, segment_io).map_err(unusable)?.locked(lock);
    if !device.is_mapped() {
        log::info!("the log is written with pwrite: a map would not be safe on a full disk here");
    }
    Ok(device)
}

fn open_log(config: Config, device: DirDevice, progress: &Progress) -> Result<Opened, Failure> {
    Master::open(config, Arc::new(device), progress).map_err(|error| {
        let status = match error {
            WalError::Io { .. } | WalError::Locked { .. } | WalError::Full => exit::IO,
            _ => exit::DATA_DAMAGED,
        };
        Failure::new(status, error)
    })
}

/// Reads the log, and tells those who connect meanwhile how far that is.
fn open_while_greeting(config: Config, device: DirDevice, listener: &mut Listener) -> Result<Opened, Failure> {
    let progress = Arc::new(Progress::default());
    let reading = {
        let progress = Arc::clone(&progress);
        std::thread::Builder::new()
            .name("falcon-open".to_owned())
            .spawn(move || open_log(config, device, &progress))
            .map_err(|error| Failure::new(exit::SYSTEM, format!("starting to read the log: {error}")))?
    };
    listener
        .greet_while(&progress, || !reading.is_finished())
        .map_err(|error| Failure::new(exit::SYSTEM, format!("answering while the log is read: {error}")))?;
    reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn start_pool(args: &Args, handler: CommandHandler, make: impl Fn() -> Client) -> Result<Pool, Failure> {
    let mut config = PoolConfig::sharing(args.queues.clone());
    config.concurrency = usize::try_from(args.workers.unwrap_or(1)).map_err(usage)?;
    config.lease = args.lease.into();
    config.shutdown_limit = args.shutdown_limit.into();
    SOFTWARE.clone_into(&mut config.software);
    Pool::start(config, make, handler).map_err(cannot_start_workers)
}

fn cannot_start_workers(error: io::Error) -> Failure {
    Failure::new(exit::SYSTEM, format!("starting the workers in this process: {error}"))
}

/// The one line on stdout, for scripts.
fn announce(address: SocketAddr) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let told = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    told.map_err(|error| Failure::new(exit::IO, format!("writing to stdout: {error}")))?;
    log::info!("listening on {address}");
    Ok(())
}

fn reactor_failure(error: ReactorError) -> Failure {
    let status = match error {
        ReactorError::Log(_) => exit::IO,
        ReactorError::System { .. } => exit::SYSTEM,
    };
    Failure::new(status, error)
}
