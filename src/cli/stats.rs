//! `falcon-cli stats`: how many jobs stand where in each queue, and how many come and end; once, or again and again.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use super::args::{Common, Stats as Args};
use super::connect::again_if_away;
use super::render::{self, Renderer, table};
use super::table::{Column, number, text as column, thousands};
use super::when::short;
use super::{Stop, connect};
use crate::client::{Answer, Client};
use crate::exit::{self, Failure};
use crate::nearest::did_you_mean;
use crate::protocol::{Figure, List, Stats, StatsOk};
use crate::shapes::{self, LOG_FIGURES, STATS_COUNTS};
use crate::time::Millis;

/// Begins the screen anew, ends a line of it, and clears what is below.
const SCREEN: (&str, &str, &str) = ("\x1b[H", "\x1b[K", "\x1b[J");

/// How often Ctrl-C is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub fn run(common: &Common, args: &Args) -> Result<(), Stop> {
    let client = connect::client(common)?;
    let answer = client.stats()?;
    match args.watch {
        None => show(common, args, &answer, ("", "", "")).map(drop),
        Some(interval) => watch(common, args, (&client, answer), interval),
    }
}

/// Shows it again and again, in its place where that is a terminal. Ctrl-C is how it ends.
fn watch(common: &Common, args: &Args, (client, first): (&Client, Answer), interval: Millis) -> Result<(), Stop> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let system = |error| Failure::new(exit::SYSTEM, format!("waiting for Ctrl-C: {error}"));
    flag::register(SIGINT, Arc::clone(&interrupted)).map_err(system)?;
    let screen = if io::stdout().is_terminal() { SCREEN } else { ("", "", "") };
    let mut answer = first;
    loop {
        let until = Instant::now() + Duration::from(interval);
        let renderer = show(common, args, &answer, screen)?;
        while let left = until.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            if interrupted.load(Ordering::Relaxed) {
                return Ok(());
            }
            if renderer.is_closed_within(left.min(LOOK_EVERY))? {
                return Err(Stop::OutputClosed);
            }
        }
        drop(renderer);
        answer = again_if_away(|| client.stats())?;
    }
}

fn show(common: &Common, args: &Args, answer: &Answer, screen: (&str, &str, &str)) -> Result<Renderer, Stop> {
    let stats = answer.read::<Stats>()?;
    let queue = args.queue.as_deref();
    if let Some(name) = queue.filter(|name| stats.queues.iter().all(|known| known.name != *name)) {
        let near = did_you_mean(name, stats.queues.iter().map(|queue| queue.name));
        let text = format!("there is no queue {name:?}; `falcon-cli queue list` shows those that are{near}");
        return Err(Failure::new(exit::NOT_FOUND, text).into());
    }
    let lines = if args.log { log_facts(&stats) } else { lines(&stats, queue).join("\n") };
    let (begin, end, below) = screen;
    let text = format!("{begin}{}{end}", lines.replace('\n', &format!("{end}\n")));
    let quiet = STATS_COUNTS.map(|name| stats.figure(name).to_string()).join(" ");
    let mut renderer = Renderer::new(common.output);
    renderer.line(text, shapes::stats(&stats, queue), quiet)?;
    renderer.raw(below.as_bytes())?;
    renderer.flush()?;
    Ok(renderer)
}

/// A row of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    name: String,
    /// Ready, delayed, waiting, running, dead.
    counts: [u64; 5],
    oldest: Option<Millis>,
    came: u64,
    left: u64,
    workers: u64,
}

impl Line {
    pub fn of(name: &str, figures: &List<'_, Figure<'_>>) -> Line {
        let figure = |name: &str| figures.iter().find(|figure| figure.name == name).map(|figure| figure.value);
        let count = |name: &str| figure(name).unwrap_or(0);
        Line {
            name: name.to_owned(),
            counts: ["pending", "delayed", "waiting", "in_flight", "dead"].map(count),
            oldest: figure("oldest_ready_ms").map(Millis),
            came: count("submitted_last_minute"),
            left: count("ended_last_minute"),
            workers: count("workers"),
        }
    }

    /// Whether there are jobs of it that wait for others.
    pub fn has_waiting(&self) -> bool {
        self.counts[2] > 0
    }

    /// Whether it has dead jobs.
    #[cfg(feature = "top")]
    pub fn has_dead(&self) -> bool {
        self.counts[4] > 0
    }

    pub fn cells(self, has_waiting: bool) -> Vec<String> {
        let [ready, delayed, waiting, running, dead] = self.counts.map(thousands);
        let waiting = has_waiting.then_some(waiting);
        let oldest = self.oldest.map_or_else(|| "-".to_owned(), short);
        let rates = [rate(self.came), rate(self.left), thousands(self.workers)];
        let counts = [self.name, ready, delayed].into_iter().chain(waiting).chain([running, dead, oldest]);
        counts.chain(rates).collect()
    }
}

/// What comes each second, by what came in a minute.
fn rate(a_minute: u64) -> String {
    let parts = |of_one: u64| (a_minute * of_one + 30) / 60;
    match a_minute {
        0 => "0".to_owned(),
        1..60 => format!("0.{:02}", parts(100)),
        60..5997 => format!("{}.{}", parts(10) / 10, parts(10) % 10),
        _ => thousands((a_minute + 30) / 60),
    }
}

/// The table of queues: of this one, or of all with their sum.
fn lines(stats: &StatsOk<'_>, queue: Option<&str>) -> Vec<String> {
    let known = stats.queues.iter().filter(|known| queue.is_none_or(|name| known.name == name));
    let mut lines: Vec<Line> = known.map(|known| Line::of(known.name, &known.figures)).collect();
    if queue.is_none() {
        let sum = |of: fn(&Line) -> u64| lines.iter().map(of).sum();
        let (oldest, came, left) =
            (lines.iter().filter_map(|line| line.oldest).max(), sum(|line| line.came), sum(|line| line.left));
        lines.push(Line { oldest, came, left, ..Line::of("TOTAL", &stats.figures) });
    }
    let has_waiting = lines.iter().any(Line::has_waiting);
    table(&columns(has_waiting), lines.into_iter().map(|line| line.cells(has_waiting)))
}

/// The headings of its columns.
pub fn columns(has_waiting: bool) -> Vec<Column> {
    let waiting = has_waiting.then(|| number("WAITING"));
    let counts = [column("QUEUE"), number("READY"), number("DELAYED")].into_iter().chain(waiting);
    counts.chain(["RUNNING", "DEAD", "OLDEST", "IN/S", "OUT/S", "WORKERS"].map(number)).collect()
}

/// The figures of the log, and all others of the master as a whole.
fn log_facts(stats: &StatsOk<'_>) -> String {
    let log = LOG_FIGURES.iter().map(|(name, _)| (*name, thousands(stats.figure(name))));
    let is_other = |figure: &Figure<'_>| {
        !STATS_COUNTS.contains(&figure.name) && LOG_FIGURES.iter().all(|(name, _)| *name != figure.name)
    };
    let others = stats.figures.iter().filter(is_other).map(|figure| (figure.name, thousands(figure.value)));
    render::facts(&log.chain(others).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_told_as_finely_as_they_are_low() {
        assert_eq!([0, 1, 30, 59, 60, 90].map(rate), ["0", "0.02", "0.50", "0.98", "1.0", "1.5"]);
        assert_eq!([5996, 5997, 6029, 1_234_567].map(rate), ["99.9", "100", "100", "20,576"]);
    }

    #[test]
    fn what_waits_for_other_jobs_has_a_column_where_there_is_some() {
        let line = Line { name: "q".to_owned(), counts: [1234, 2, 3, 4, 5], workers: 6, ..Line::default() };
        assert_eq!(line.clone().cells(false), ["q", "1,234", "2", "4", "5", "-", "0", "0", "6"]);
        let oldest = Some(Millis(90_000));
        assert_eq!(Line { oldest, ..line }.cells(true)[3..7], ["3", "4", "5", "1 min"]);
    }
}
