//! `falcond`: its settings, and the order in which it starts.
//!
//! 1. Check the settings and read the token file.
//! 2. Lock the data directory.
//! 3. Listen, so that a port in use is told before the log is touched.
//! 4. Read the log, and tell clients that connect meanwhile how far that is.
//! 5. Say where it listens, and serve.

mod args;
mod file;
mod listen;
mod reload;
mod service;
mod settings;
mod web;
mod workers;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::block::give_large_allocations_back;
use crate::client::{Client, is_readable_by_others, read_tokens};
use crate::embedded::Local;
use crate::exit::{self, Failure, say};
use crate::ids::random_number;
use crate::master::{Config, Master, Opened, Progress, SOFTWARE, WalError};
use crate::reactor::{Listener, Reactor, ReactorError, raise_descriptor_limit};
use crate::stderr::Lines;
use crate::wal::{DirDevice, DirLock, LogDevice, SegmentIo, names};
use crate::worker::{CommandHandler, MasterFacts, Pool, PoolError, PoolStopper, Reaper, Through};

pub use args::Args;
use listen::listen;
use reload::Program;
use settings::{Settings, Unread, is_answer};
use web::Web;

/// Runs the program with this command line.
pub fn main(line: Vec<OsString>) -> ExitCode {
    let settings = match Settings::read(&line) {
        Ok(settings) => settings,
        Err(Unread::Usage(error)) if is_answer(&error) => {
            // A reader that has seen enough is no error.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(Unread::Usage(error)) => {
            say(error.render().to_string().trim_end());
            return ExitCode::from(exit::USAGE);
        }
        Err(Unread::Failed(failure)) => return ended(Err(failure)),
    };
    if settings.args.print_config {
        return ended(print(&settings));
    }
    if settings.args.check_config {
        return ended(check(&settings.args).map(|()| say("falcond: these settings can be used")));
    }
    let lines = Lines::start(&settings.args.log, settings.args.log_format.into());
    let outcome = run(&settings, line, &lines);
    lines.end("falcond", outcome)
}

/// Ends before there are log lines.
fn ended(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, text }) => {
            say(&format!("falcond: {text}"));
            ExitCode::from(status)
        }
    }
}

fn print(settings: &Settings) -> Result<(), Failure> {
    match settings.print(&mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(cannot_write(&error)),
        _ => Ok(()),
    }
}

/// Looks at all that can be looked at without starting.
fn check(args: &Args) -> Result<(), Failure> {
    config(args)?;
    workers::handler(args).map(drop)
}

/// Runs the daemon until it is told to stop.
fn run(settings: &Settings, line: Vec<OsString>, lines: &Lines) -> Result<(), Failure> {
    let args = &settings.args;
    give_large_allocations_back();
    let config = config(args)?;
    if let Some(path) = args.token_file.as_deref().filter(|path| is_readable_by_others(path)) {
        log::warn!("the token file {0} can be read by others; `chmod o-r {0}` keeps it secret", path.display());
    }
    let handler = workers::handler(args)?;
    raise_descriptor_limit();
    let lock = DirLock::take(&args.data_dir).map_err(|error| match error {
        WalError::Locked { .. } => Failure::new(exit::IN_USE, error),
        error => Failure::new(exit::CANNOT_CREATE, error),
    })?;
    log::info!("{SOFTWARE} on {}, sync {}", args.data_dir.display(), settings.value("sync"));
    let mut listener = listen(settings)?;
    let addresses: Vec<String> = listener.addresses().map(ToString::to_string).collect();
    let device = open_directory(&args.data_dir, args.segment_io, &lock)?;
    let progress = Arc::new(Progress::default());
    let web = Web::start(args, config.tokens.clone(), &progress)?;
    let opened = open_while_greeting(config, device, &mut listener, &progress)?;
    let (reactor, door) = Reactor::new(listener, opened, &args.data_dir).map_err(reactor_failure)?;
    web.serves(&door);
    // Without workers here the door is dropped, so that the loop waits for none.
    let local = Local::new(door, "standalone").saying_begun();
    let make = move || Client::new(local.clone());
    let reaper = handler.as_ref().map(|_| Reaper::start()).transpose().map_err(workers::cannot_start)?;
    let first = addresses.first().map_or("", String::as_str);
    let facts = MasterFacts::new(first, args.token_file.as_deref());
    let facts = facts.map_err(|error| Failure::new(exit::USAGE, error))?;
    let stderr = Through::new(lines.entrance());
    let start = |handler: CommandHandler| workers::start(args, handler.with_master(facts).with_stderr(stderr), make);
    let pool = handler.map(start).transpose()?;
    announce(&addresses.join(", "))?;
    service::serves(&addresses.join(", "));
    let outcome = serve(reactor, pool, |stopper| Program::new(lines, line, (stopper, web.teller())));
    web.end();
    // Last, since it ends what the commands leave behind.
    drop(reaper);
    outcome
}

/// Serves until it is told to stop, and with it the workers in this process.
fn serve<'l>(
    reactor: Reactor,
    pool: Option<Pool>,
    program: impl FnOnce(Option<PoolStopper>) -> Program<'l>,
) -> Result<(), Failure> {
    let stopper = pool.as_ref().map(Pool::stopper);
    // The daemon goes on without them.
    let told = |error: &PoolError| log::error!("the workers in this process: {error}");
    let waiting = pool.map(|pool| std::thread::spawn(move || pool.join().inspect_err(told)));
    let outcome = reactor.run(program(stopper.clone()));
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

fn config(args: &Args) -> Result<Config, Failure> {
    let tokens = args.token_file.as_deref().map(read_tokens).transpose();
    let tokens = tokens.map_err(|text| Failure::new(exit::CONFIG, text))?;
    let config = Config {
        sync: args.sync,
        tokens,
        key_window: args.key_window,
        grace: args.grace,
        silence: args.silence,
        default_timeout: args.default_timeout,
        memory_max: args.memory_max.map(|mib| mib << 20),
        segment_bytes: args.segment_bytes,
        seed: random_number(),
        beside: true,
    };
    config.validate().map_err(|error| Failure::new(exit::USAGE, error))?;
    Ok(config)
}

fn open_directory(dir: &Path, segment_io: SegmentIo, lock: &DirLock) -> Result<DirDevice, Failure> {
    let unusable = |error: io::Error| {
        Failure::new(exit::CANNOT_CREATE, format!("the data directory {} cannot be used: {error}", dir.display()))
    };
    let device = DirDevice::open(dir, segment_io).map_err(unusable)?.locked(lock);
    if !device.is_mapped() {
        log::info!("the log is written with pwrite: a map would not be safe on a full disk here");
    }
    let listed = device.names().map_err(unusable)?;
    if names::segments(&listed).is_empty() {
        let dir = dir.display();
        log::info!("{dir} holds no log: a master without jobs begins there; if jobs are missing, look at --data-dir");
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
fn open_while_greeting(
    config: Config,
    device: DirDevice,
    listener: &mut Listener,
    progress: &Arc<Progress>,
) -> Result<Opened, Failure> {
    let begun_at = Instant::now();
    let reading = {
        let progress = Arc::clone(progress);
        std::thread::Builder::new()
            .name("falcon-open".to_owned())
            .spawn(move || open_log(config, device, &progress))
            .map_err(|error| Failure::new(exit::SYSTEM, format!("starting to read the log: {error}")))?
    };
    let say = |how_far: &str| {
        log::info!("reading the log: {how_far}");
        service::starts(how_far);
    };
    listener
        .greet_while(progress, || !reading.is_finished(), say)
        .map_err(|error| Failure::new(exit::SYSTEM, format!("answering while the log is read: {error}")))?;
    let opened = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    tell_what_was_read(&opened.master, progress, begun_at.elapsed());
    Ok(opened)
}

fn tell_what_was_read(master: &Master, progress: &Progress, took: Duration) {
    let jobs = master.queues().totals();
    let (read_bytes, _) = progress.bytes();
    log::info!(
        "{} KiB of the log were read in {} ms; jobs: {} pending, {} delayed, {} waiting, {} in flight, {} dead, \
         {} kept",
        read_bytes.div_ceil(1024),
        took.as_millis(),
        jobs.pending,
        jobs.delayed,
        jobs.waiting,
        jobs.in_flight,
        jobs.dead,
        jobs.kept,
    );
}

/// The one line on stdout, for scripts.
fn announce(addresses: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let told = writeln!(stdout, "listening on {addresses}").and_then(|()| stdout.flush());
    told.map_err(|error| cannot_write(&error))?;
    log::info!("listening on {addresses}");
    Ok(())
}

fn cannot_write(error: &io::Error) -> Failure {
    Failure::new(exit::IO, format!("writing to stdout: {error}"))
}

fn reactor_failure(error: ReactorError) -> Failure {
    let status = match error {
        ReactorError::Log(_) => exit::IO,
        ReactorError::System { .. } => exit::SYSTEM,
    };
    Failure::new(status, error)
}
