//! From what the master told to tables. Nothing is asked here.

use std::collections::HashMap;

use super::super::list::Kinds;
use super::super::stats::{self, Line};
use super::super::table::{Column, number, text, thousands};
use super::super::when::short;
use super::super::worker;
use super::rows::{Row, Rows, Target, Tone};
use crate::ids::JobId;
use crate::protocol::{StatsOk, WorkerJob, WorkersOk};
use crate::shapes::{LOG_FIGURES, kind_text};
use crate::time::Millis;
use crate::words::{counted, has, is};

/// The columns of jobs that run.
const RUNNING: [Column; 9] = [
    number("JOB"),
    text("QUEUE"),
    text("STATE"),
    number("TRY"),
    number("FOR"),
    number("LEASE"),
    number("ENDS IN"),
    text("WORKER"),
    text("PROGRESS"),
];

const DEAD: [Column; 4] = [number("COUNT"), text("KIND"), number("JOB"), text("ERROR")];

const FIGURES: [Column; 3] = [text("FIGURE"), number("NOW"), number("EACH SECOND")];

/// Figures that only grow, and of which it matters how fast.
const GROWING: [&str; 4] = ["records", "syncs", "written_bytes", "moved_bytes"];

/// Figures of the master that are told beside those of the log.
const MASTER: [&str; 6] = ["uptime_ms", "connections", "waiting_polls", "memory_bytes", "mapped_bytes", "snapshots"];

/// The master as a whole, in a line.
pub fn summary(stats: &StatsOk<'_>) -> String {
    let of = |name: &str| thousands(stats.figure(name));
    let mut line = format!(
        "ready {}  delayed {}  running {}  dead {}  workers {}",
        of("pending"),
        of("delayed"),
        of("in_flight"),
        of("dead"),
        of("workers")
    );
    if stats.figure("draining") > 0 {
        line += "  draining: takes no jobs";
    }
    line
}

/// The queues, with which of their ways are closed as far as that was asked.
pub fn queues(stats: &StatsOk<'_>, closed: &HashMap<String, &'static str>) -> Rows {
    let lines: Vec<Line> = stats.queues.iter().map(|queue| Line::of(queue.name, &queue.figures)).collect();
    let has_waiting = lines.iter().any(Line::has_waiting);
    let mut columns = stats::columns(has_waiting);
    columns.insert(1, text("PAUSED"));
    let row = |(line, name): (Line, &str)| {
        let paused = closed.get(name).map_or("?", |word| if word.is_empty() { "-" } else { word });
        let tone = match (paused, line.has_dead()) {
            ("in" | "out" | "both", _) => Tone::Held,
            (_, true) => Tone::Bad,
            _ => Tone::Plain,
        };
        let mut cells = line.cells(has_waiting);
        cells.insert(1, paused.to_owned());
        Row { target: Target::Queue(name.to_owned()), cells, tone }
    };
    let names = stats.queues.iter().map(|queue| queue.name);
    let unknown = stats.queues.iter().filter(|queue| !closed.contains_key(queue.name)).count() as u64;
    let note = format!("of {} it was not asked whether they are paused", counted(unknown, "queue"));
    let note = (unknown > 0).then_some(note);
    Rows { columns, rows: lines.into_iter().zip(names).map(row).collect(), note }
}

/// What is known of a job that a worker has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    pub queue: String,
    pub attempts: u16,
    pub max_attempts: u16,
    /// What is left of its lease.
    pub lease: Option<Millis>,
    /// How long an attempt may run, if there is a bound.
    pub timeout: Option<Millis>,
    pub progress: String,
}

/// The jobs that workers have, and whose they are, the ones first that they have had for longest.
pub fn jobs<'a>(told: &WorkersOk<'a>) -> Vec<(WorkerJob, &'a str)> {
    let mut all = Vec::new();
    for worker in told.workers.iter() {
        all.extend(worker.jobs.iter().map(|job| (job, worker.name)));
    }
    all.sort_by_key(|(job, _)| (std::cmp::Reverse(job.had_ms), job.job));
    all
}

/// The same as rows, with what more is known of them.
pub fn running(told: &WorkersOk<'_>, known: &HashMap<JobId, Running>, in_flight: u64) -> Rows {
    let all = jobs(told);
    let rows: Vec<Row> = all.iter().map(|(job, worker)| running_row(job, worker, known.get(&job.job))).collect();
    let others = in_flight.saturating_sub(rows.len() as u64);
    let (more, are) = (counted(others, "more job"), is(others));
    let note = format!("{more} {are} with workers that are not connected, or that tell not of all theirs");
    Rows { columns: RUNNING.to_vec(), rows, note: (others > 0).then_some(note) }
}

fn running_row(job: &WorkerJob, worker: &str, known: Option<&Running>) -> Row {
    let span = |span: Option<Millis>| span.map_or_else(|| "-".to_owned(), short);
    let had = Millis(job.had_ms);
    let lease = known.and_then(|known| known.lease);
    let ends_in = known.and_then(|known| known.timeout).map(|most| Millis(most.0.saturating_sub(had.0)));
    let is_late = ends_in == Some(Millis(0)) || lease == Some(Millis(0));
    let known = known.cloned().unwrap_or_default();
    let attempt = match known.max_attempts {
        0 => "-".to_owned(),
        most => format!("{}/{most}", known.attempts),
    };
    let cells = vec![
        job.job.to_string(),
        known.queue,
        job.stage.word().to_owned(),
        attempt,
        short(had),
        span(lease),
        span(ends_in),
        worker.to_owned(),
        known.progress,
    ];
    Row { target: Target::Job(job.job), cells, tone: if is_late { Tone::Bad } else { Tone::Plain } }
}

pub fn workers(told: &WorkersOk<'_>) -> Rows {
    let rows = told.workers.iter().map(|known| {
        let target = Target::Worker { name: known.name.to_owned(), instance: known.instance, quiet: known.quiet };
        let tone = if known.quiet { Tone::Held } else { Tone::Plain };
        Row { target, cells: worker::cells(&known), tone }
    });
    let left_out = told.left_out.map(u64::from);
    let note = left_out.map(|count| format!("{} {} no room in one answer", counted(count, "more worker"), has(count)));
    Rows { columns: worker::COLUMNS.to_vec(), rows: rows.collect(), note }
}

/// Dead jobs by the errors of their last attempts.
pub fn dead(kinds: Kinds) -> Rows {
    let (kinds, others) = kinds.sorted();
    let rows = kinds.into_iter().map(|told| {
        let cells = vec![thousands(told.count), kind_text(told.kind), told.job.to_string(), told.error.clone()];
        Row { target: Target::Error { kind: told.kind, sample: told.error }, cells, tone: Tone::Plain }
    });
    let note = format!("{} {} other errors", counted(others, "more job"), has(others));
    Rows { columns: DEAD.to_vec(), rows: rows.collect(), note: (others > 0).then_some(note) }
}

/// Figures as they were told once, to see how fast they grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    uptime_ms: u64,
    grown: [u64; GROWING.len()],
}

impl Before {
    pub fn of(stats: &StatsOk<'_>) -> Before {
        Before { uptime_ms: stats.figure("uptime_ms"), grown: GROWING.map(|name| stats.figure(name)) }
    }

    /// By how much a figure grew each second since then; nothing where another master tells it, or just now.
    fn each_second(&self, stats: &StatsOk<'_>, name: &str) -> Option<String> {
        let place = GROWING.iter().position(|grows| *grows == name)?;
        let took_ms = stats.figure("uptime_ms").checked_sub(self.uptime_ms).filter(|ms| *ms > 0)?;
        let grown = stats.figure(name).checked_sub(self.grown[place])?;
        Some(thousands((u128::from(grown) * 1000 / u128::from(took_ms)) as u64))
    }
}

/// The figures of the log and of the master.
pub fn log(stats: &StatsOk<'_>, before: Option<&Before>) -> Rows {
    let names = LOG_FIGURES.iter().map(|(name, _)| *name).chain(MASTER);
    let told = names.filter(|name| stats.figures.iter().any(|figure| figure.name == *name));
    let rows = told.map(|name| {
        let each_second = before.and_then(|before| before.each_second(stats, name)).unwrap_or_default();
        let cells = vec![name.replace('_', " "), thousands(stats.figure(name)), each_second];
        Row { target: Target::Figure(name), cells, tone: Tone::Plain }
    });
    Rows { columns: FIGURES.to_vec(), rows: rows.collect(), note: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ErrorKind;
    use crate::ids::LeaseId;
    use crate::protocol::{Figure, KnownWorker, List, QueueFigures, Stage};
    use crate::time::Timestamp;

    fn figures(told: &[(&'static str, u64)]) -> Vec<Figure<'static>> {
        told.iter().map(|(name, value)| Figure { name, value: *value }).collect()
    }

    fn cells(rows: &Rows) -> Vec<String> {
        rows.rows.iter().map(|row| row.cells.join(" ")).collect()
    }

    #[test]
    fn a_queue_tells_its_counts_and_whether_it_is_paused() {
        let mail = figures(&[("pending", 12), ("dead", 1), ("oldest_ready_ms", 90_000), ("submitted_last_minute", 60)]);
        let queues = [("bulk", &[][..]), ("mail", &mail[..]), ("night", &[])];
        let queues = queues.map(|(name, figures)| QueueFigures { name, figures: List::lent(figures) });
        let all = figures(&[("pending", 12), ("dead", 1), ("draining", 1)]);
        let stats = StatsOk { figures: List::lent(&all), queues: List::lent(&queues) };
        let closed = HashMap::from([("bulk".to_owned(), "out"), ("mail".to_owned(), "")]);
        let rows = super::queues(&stats, &closed);
        assert_eq!(
            cells(&rows),
            ["bulk out 0 0 0 0 - 0 0 0", "mail - 12 0 0 1 1 min 1.0 0 0", "night ? 0 0 0 0 - 0 0 0"]
        );
        assert_eq!(rows.rows.iter().map(|row| row.tone).collect::<Vec<_>>(), [Tone::Held, Tone::Bad, Tone::Plain]);
        assert!(rows.note.is_some_and(|note| note.starts_with("of 1 queue ")));
        let line = "ready 12  delayed 0  running 0  dead 1  workers 0  draining: takes no jobs";
        assert_eq!(summary(&stats), line);
    }

    #[test]
    fn jobs_that_run_come_from_their_workers_and_others_are_counted() {
        let job = |job, had_ms| WorkerJob { job: JobId(job), lease: LeaseId(1), stage: Stage::Begun, had_ms };
        let jobs = [job(7, 5000), job(8, 61_000)];
        let worker = KnownWorker {
            name: "box",
            instance: 3,
            host: "h",
            pid: 4,
            software: "",
            concurrency: 2,
            silent_ms: 0,
            quiet: true,
            polls: false,
            held: 0,
            begun: 2,
            queues: List::lent(&["mail"]),
            jobs: List::lent(&jobs),
        };
        let all = [worker];
        let told = WorkersOk { workers: List::lent(&all), left_out: Some(2) };
        let known = Running {
            queue: "mail".to_owned(),
            attempts: 1,
            max_attempts: 5,
            lease: Some(Millis(20_000)),
            timeout: Some(Millis(60_000)),
            progress: "40% parts".to_owned(),
        };
        let known = HashMap::from([(JobId(8), known)]);
        let rows = running(&told, &known, 3);
        assert_eq!(cells(&rows), ["8 mail begun 1/5 1 min 20 s 0 s box 40% parts", "7  begun - 5 s - - box "]);
        assert_eq!(rows.rows[0].tone, Tone::Bad);
        assert!(rows.note.is_some_and(|note| note.starts_with("1 more job is with")));
        let rows = workers(&told);
        assert_eq!(cells(&rows), ["box quiet 2/2 0 0 s 4 h mail"]);
        assert!(rows.note.is_some_and(|note| note == "2 more workers have no room in one answer"));
    }

    #[test]
    fn figures_that_grow_tell_how_fast() {
        let before = figures(&[("records", 100), ("syncs", 10), ("uptime_ms", 1000)]);
        let now = figures(&[("records", 1100), ("syncs", 20), ("uptime_ms", 3000)]);
        let stats = |figures| StatsOk { figures, queues: List::lent(&[]) };
        let (before, now) = (stats(List::lent(&before)), stats(List::lent(&now)));
        let told = log(&now, Some(&Before::of(&before)));
        assert_eq!(cells(&told), ["records 1,100 500", "syncs 20 5", "uptime ms 3,000 "]);
        // A master that was started again.
        assert_eq!(cells(&log(&before, Some(&Before::of(&now))))[0], "records 100 ");
    }

    #[test]
    fn dead_jobs_are_told_by_their_errors() {
        let mut kinds = Kinds::default();
        let (error, at) = ("no route".to_owned(), Some(Timestamp(1)));
        kinds.add(9, vec![ErrorKind { kind: 255, count: 7, job: JobId(3), error, first_at: at, last_at: at }]);
        let rows = dead(kinds);
        assert_eq!(cells(&rows), ["7 00000000000000ff 3 no route"]);
        assert_eq!(rows.note.as_deref(), Some("2 more jobs have other errors"));
    }
}
