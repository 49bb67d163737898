//! How far a command is: a bar on stderr where that is a terminal, and a line now and then elsewhere.

use std::time::{Duration, Instant};
use std::{fmt, io};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use rustix::termios::tcgetwinsize;

use crate::exit;

/// How often a line is written where no bar can be shown.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How often a bar moves.
const BAR_INTERVAL: Duration = Duration::from_secs(1);

/// From so many columns on a bar has its full width beside the words; below, what they leave of the line.
const COLUMNS_OF_WIDE: u16 = 100;

#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    begun_at: Instant,
    told_at: Option<Instant>,
}

impl Progress {
    /// Nothing is shown yet; a first line will be at once.
    pub fn new() -> Progress {
        Progress::with_rate("{rate}")
    }

    /// The same, for what is over soon as a rule: a line is written only where it is not.
    pub fn of_short() -> Progress {
        Progress { told_at: Some(Instant::now()), ..Progress::new() }
    }

    /// The same as for what is short, where bytes are counted.
    pub fn of_bytes() -> Progress {
        Progress { told_at: Some(Instant::now()), ..Progress::with_rate("{binary_bytes_per_sec}") }
    }

    fn with_rate(rate: &str) -> Progress {
        let columns = tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
        let bar = if columns >= COLUMNS_OF_WIDE { "{bar:30}" } else { "{wide_bar}" };
        let style = ProgressStyle::with_template(&format!("{bar} {{msg}}, {rate}, {{eta}} left"))
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", |state: &ProgressState, to: &mut dyn fmt::Write| {
                // Where nobody can be told, nothing is.
                let _ = write!(to, "{:.0}/s", state.per_sec());
            });
        Progress { bar: ProgressBar::new(0).with_style(style), begun_at: Instant::now(), told_at: None }
    }

    /// How often there should be something to show.
    pub fn interval(&self) -> Duration {
        if self.bar.is_hidden() { LINE_INTERVAL } else { BAR_INTERVAL }
    }

    /// Shows that so much is done, in words.
    pub fn show(&mut self, done: u64, of: u64, words: &str) {
        self.bar.set_length(of);
        self.bar.set_position(done);
        self.bar.set_message(words.to_owned());
        if self.bar.is_hidden() && self.told_at.is_none_or(|at| at.elapsed() >= LINE_INTERVAL) {
            self.told_at = Some(Instant::now());
            exit::say(words);
        }
    }

    /// Says something beside the bar.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| exit::say(text));
    }

    /// Takes the bar away: what is said next stands for itself.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// The same, and where it took long these words stay.
    pub fn end_with(&self, words: &str) {
        self.end();
        if self.begun_at.elapsed() >= LINE_INTERVAL {
            exit::say(words);
        }
    }
}
