//! How far a command is: a bar on stderr where that is a terminal, and a line now and then elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::exit;

/// How often a line is written where no bar can be shown.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How often a bar moves.
const BAR_INTERVAL: Duration = Duration::from_secs(1);

pub struct Progress {
    bar: ProgressBar,
    told_at: Option<Instant>,
}

impl Progress {
    /// Nothing is shown yet; a first line will be at once.
    pub fn new() -> Progress {
        let style = ProgressStyle::with_template("{bar:30} {msg}, {per_sec}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Progress { bar: ProgressBar::new(0).with_style(style), told_at: None }
    }

    /// The same, for what is over soon as a rule: a line is written only where it is not.
    pub fn of_short() -> Progress {
        Progress { told_at: Some(Instant::now()), ..Progress::new() }
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
}
