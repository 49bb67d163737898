//! Log lines on stderr, for which nothing ever waits.
//!
//! Promises:
//! - A thread that says something goes on at once, also while nobody reads stderr: a full pipe, a terminal that was
//!   stopped by Ctrl-S. What then finds no room is dropped, counted, and told of once stderr flows again.
//! - Of one kind of line (the place in the code that says it) at most 10 leave in a second; the others are counted.
//! - A program that ends waits at most 0.3 s for its last words to leave.
//!
//! It does not: decide what is said; levels do, as `env_logger` reads them.

mod buffer;
mod json;
mod kinds;
mod levels;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use env_logger::{Builder, Logger, Target, WriteStyle};
use log::{LevelFilter, Log, Metadata, Record};

use buffer::{Buffer, Entrance};
use kinds::{Kinds, LeftOut};
pub use levels::Levels;

use crate::exit::Failure;

/// How long a program that ends waits for its last words to leave.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(300);

/// How often it is looked whether lines were left out whose kind says nothing more.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a program says on stderr; the value ends it.
pub struct Lines {
    buffer: Arc<Buffer>,
    logger: Arc<Limited>,
    format: LineFormat,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    Text,
    /// An object a line.
    Json,
}

impl Lines {
    /// Begins to take log lines, those of `level` and graver ones unless `FALCON_LOG` says otherwise, and panics.
    pub fn of_environment(level: &str) -> Lines {
        let (levels, wrong) = Levels::of_environment(level);
        let lines = Lines::start(&levels, LineFormat::Text);
        if let Some(wrong) = wrong {
            log::warn!("{wrong}; it is passed over");
        }
        lines
    }

    /// Begins to take log lines, and panics.
    pub fn start(levels: &Levels, format: LineFormat) -> Lines {
        let buffer = Arc::new(Buffer::default());
        let logger = logger(&buffer, levels, format);
        let max_level = logger.filter();
        let logger = Arc::new(Limited { logger: RwLock::new(logger), kinds: Mutex::default() });
        let lines = Lines { buffer: Arc::clone(&buffer), logger: Arc::clone(&logger), format };
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

    /// What puts whole lines of others among these, without waiting.
    pub fn entrance(&self) -> impl Fn(&[u8]) + Send + Sync + 'static {
        let buffer = Arc::clone(&self.buffer);
        move |line| buffer.put(line)
    }

    /// From now on other levels hold.
    pub fn filter(&self, levels: &Levels) {
        let logger = logger(&self.buffer, levels, self.format);
        log::set_max_level(logger.filter());
        *self.logger.logger.write().unwrap_or_else(PoisonError::into_inner) = logger;
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

/// What writes lines into the buffer.
fn logger(buffer: &Arc<Buffer>, levels: &Levels, format: LineFormat) -> Logger {
    let has_colors = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut builder = Builder::new();
    builder
        .parse_filters(levels.text())
        .target(Target::Pipe(Box::new(Entrance(Arc::clone(buffer)))))
        .write_style(if has_colors { WriteStyle::Always } else { WriteStyle::Never });
    if format == LineFormat::Json {
        builder.format(|out, record| json::write(out, record, SystemTime::now()));
    }
    builder.build()
}

/// A logger that lets so many lines of each kind pass.
struct Limited {
    logger: RwLock<Logger>,
    kinds: Mutex<Kinds>,
}

impl Limited {
    fn logger(&self) -> RwLockReadGuard<'_, Logger> {
        self.logger.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn kinds(&self) -> MutexGuard<'_, Kinds> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, left_out: &LeftOut) {
        let LeftOut { count, level, target, last } = left_out;
        let text = format_args!("{count} more lines of this kind were left out, the last was: {last}").to_string();
        self.logger().log(&Record::builder().level(*level).target(target).args(format_args!("{text}")).build());
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
        self.logger().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.logger().matches(record) {
            return;
        }
        let (before, passes) = self.kinds().take(record, Instant::now());
        if let Some(left_out) = &before {
            self.tell(left_out);
        }
        if passes {
            self.logger().log(record);
        }
    }

    fn flush(&self) {}
}
