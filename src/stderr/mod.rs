//! Log lines on stderr, for which nothing ever waits.
//!
//! Promises:
//! - A thread that says something goes on at once, also while nobody reads stderr: a full pipe, a terminal that was
//!   stopped by Ctrl-S. What then finds no room is dropped, counted, and told of once stderr flows again.
//! - Of one kind of line (the place in the code that says it) at most 10 leave in a second; the others are counted.
//! - A program that ends waits at most 0.3 s for its last words to leave.
//!
//! It does not: decide what is said; `FALCON_LOG` does, as `env_logger` reads it.

mod buffer;
mod kinds;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use env_logger::{Builder, Env, Logger, Target, WriteStyle};
use log::{LevelFilter, Log, Metadata, Record};

use buffer::{Buffer, Entrance};
use kinds::{Kinds, LeftOut};

use crate::exit::Failure;

/// How long a program that ends waits for its last words to leave.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(300);

/// How often it is looked whether lines were left out whose kind says nothing more.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a program says on stderr; the value ends it.
pub struct Lines {
    buffer: Arc<Buffer>,
    logger: Arc<Limited>,
}

impl Lines {
    /// Begins to take log lines, those of `level` and graver ones unless `FALCON_LOG` says otherwise, and panics.
    pub fn start(level: &str) -> Lines {
        let buffer = Arc::new(Buffer::default());
        let has_colors = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let logger = Builder::from_env(Env::default().filter_or("FALCON_LOG", level))
            .target(Target::Pipe(Box::new(Entrance(Arc::clone(&buffer)))))
            .write_style(if has_colors { WriteStyle::Always } else { WriteStyle::Never })
            .build();
        let max_level = logger.filter();
        let logger = Arc::new(Limited { logger, kinds: Mutex::default() });
        let lines = Lines { buffer: Arc::clone(&buffer), logger: Arc::clone(&logger) };
        // Without these threads nothing could be told; that is better told in the old way.
        let out = thread::Builder::new().name("falcon-stderr".to_owned());
        let look = thread::Builder::new().name("falcon-stderr-look".to_owned());
        let started = out.spawn(move || buffer.write_all_to(&mut io::stderr())).and(look.spawn(move || logger.look()));
        if let Err(error) = started {
            crate::exit::say(&format!("starting the threads that write to stderr: {error}"));
        }
        lines.install(max_level);
        lines
    }

    fn install(&self, max_level: LevelFilter) {
        if log::set_boxed_logger(Box::new(Arc::clone(&self.logger))).is_ok() {
            log::set_max_level(max_level);
        }
        let buffer = Arc::clone(&self.buffer);
        std::panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            let trace = std::backtrace::Backtrace::capture();
            let name = thread.name().unwrap_or("without a name");
            buffer.put(format!("thread {name}: {panic}\n{trace}\n").as_bytes());
        }));
    }

    /// Ends a program: a failure is told, and the last words leave if stderr takes them soon.
    pub fn end(self, program: &str, outcome: Result<(), Failure>) -> ExitCode {
        for left_out in self.logger.kinds().take_all() {
            self.logger.tell(&left_out);
        }
        let status = match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure { status, text }) => {
                self.buffer.put(format!("{program}: {text}\n").as_bytes());
                ExitCode::from(status)
            }
        };
        self.buffer.wait_until_empty(Instant::now() + LAST_WORDS_WAIT);
        status
    }
}

/// A logger that lets so many lines of each kind pass.
struct Limited {
    logger: Logger,
    kinds: Mutex<Kinds>,
}

impl Limited {
    fn kinds(&self) -> MutexGuard<'_, Kinds> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, left_out: &LeftOut) {
        let LeftOut { count, level, target, last } = left_out;
        let text = format_args!("{count} more lines of this kind were left out, the last was: {last}").to_string();
        self.logger.log(&Record::builder().level(*level).target(target).args(format_args!("{text}")).build());
    }

    fn look(&self) {
        loop {
            thread::sleep(LOOK_EVERY);
            let over = self.kinds().take_over(Instant::now());
            for left_out in &over {
                self.tell(left_out);
            }
        }
    }
}

impl Log for Limited {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.logger.matches(record) {
            return;
        }
        let (before, passes) = self.kinds().take(record, Instant::now());
        if let Some(left_out) = &before {
            self.tell(left_out);
        }
        if passes {
            self.logger.log(record);
        }
    }

    fn flush(&self) {}
}
