//! `falcon-cli worker`: which workers there are, and what they are told to do.

use serde_json::{Value, json};

use super::args::{Common, Output, WorkerCommand};
use super::render::{Renderer, Row, shown, tell};
use super::{Stop, connect, found};
use crate::client::Demand;
use crate::exit;
use crate::protocol::{KnownWorker, WorkerJob, Workers};
use crate::time::Millis;
use crate::words::{by_number, counted, has, is};

/// Stands for all workers where a name is asked for.
const ALL: &str = "all";

/// Width of the column of names of facts.
const NAME: usize = 12;

/// The columns of the table behind the name, and their least widths.
const COLUMNS: [(&str, usize); 7] =
    [("STATE", 7), ("RUNS", 7), ("HELD", 5), ("SILENT", 7), ("PID", 7), ("HOST", 12), ("QUEUES", 0)];

pub fn run(common: &Common, command: &WorkerCommand) -> Result<(), Stop> {
    match command {
        WorkerCommand::List => list(common),
        WorkerCommand::Show { name } => show(common, name),
        WorkerCommand::Quiet { name } => order(common, name, Demand::Quiet),
        WorkerCommand::Resume { name } => order(common, name, Demand::Resume),
        WorkerCommand::Stop { name } => order(common, name, Demand::Stop),
    }
}

fn list(common: &Common) -> Result<(), Stop> {
    let answer = connect::client(common)?.workers("")?;
    let told = answer.read::<Workers<'_>>()?;
    let name_width = told.workers.iter().map(|worker| worker.name.chars().count()).max().unwrap_or(0).max(4);
    let mut renderer = Renderer::new(common.output);
    if common.output == Output::Table {
        let heading = std::iter::once(("NAME", name_width)).chain(COLUMNS);
        let cells: Vec<_> = heading.map(|(text, width)| (text.to_owned(), width)).collect();
        renderer.row(&Row { cells: &cells, json: Value::Null, quiet: String::new() })?;
    }
    for worker in told.workers.iter() {
        let cells = cells(&worker).into_iter().zip(COLUMNS).map(|(text, (_, width))| (text, width));
        let cells: Vec<_> = std::iter::once((worker.name.to_owned(), name_width)).chain(cells).collect();
        renderer.row(&Row { cells: &cells, json: json(&worker), quiet: worker.name.to_owned() })?;
    }
    renderer.flush()?;
    if let Some(count) = told.left_out {
        let (more, have) = (counted(count.into(), "more worker"), has(count.into()));
        exit::say(&format!("{more} {have} no room in one answer; `worker show NAME` shows each"));
    }
    Ok(())
}

/// Shows all workers of a name; exit status 3 if there is none.
fn show(common: &Common, name: &str) -> Result<(), Stop> {
    let answer = connect::client(common)?.workers(name)?;
    let told = found(answer.read::<Workers<'_>>())?;
    let mut renderer = Renderer::new(common.output);
    for worker in told.workers.iter() {
        renderer.line(facts(&worker).join("\n"), json(&worker), worker.name.to_owned())?;
    }
    Ok(renderer.flush()?)
}

/// Tells workers what to do; exit status 3 if there is none of this name.
fn order(common: &Common, name: &str, what: Demand) -> Result<(), Stop> {
    let of_name = if name == ALL { "" } else { name };
    let count = found(connect::client(common)?.order(of_name, what))?;
    let verb = match what {
        Demand::Quiet => "be quiet",
        Demand::Resume => "resume",
        Demand::Stop => "stop",
    };
    let (workers, signs) =
        (counted(count.into(), "worker"), by_number(count.into(), "its next sign", "their next signs"));
    let text = format!("{workers} {} told to {verb}, with {signs} of life", is(count.into()));
    Ok(tell(common.output, text, json!({"workers": count}), count.to_string())?)
}

fn state(worker: &KnownWorker<'_>) -> &'static str {
    match (worker.quiet, worker.polls) {
        (true, _) => "quiet",
        (false, true) => "polling",
        (false, false) => "busy",
    }
}

/// How many jobs run, of how many that may at once.
fn runs(worker: &KnownWorker<'_>) -> String {
    if worker.concurrency == 0 { worker.begun.to_string() } else { format!("{}/{}", worker.begun, worker.concurrency) }
}

fn queues(worker: &KnownWorker<'_>) -> String {
    worker.queues.iter().collect::<Vec<_>>().join(",")
}

fn cells(worker: &KnownWorker<'_>) -> [String; COLUMNS.len()] {
    [
        state(worker).to_owned(),
        runs(worker),
        worker.held.to_string(),
        Millis(worker.silent_ms).to_string(),
        worker.pid.to_string(),
        shown(worker.host.as_bytes()),
        queues(worker),
    ]
}

fn facts(worker: &KnownWorker<'_>) -> Vec<String> {
    let facts = [
        ("worker", worker.name.to_owned()),
        ("state", state(worker).to_owned()),
        ("host", shown(worker.host.as_bytes())),
        ("pid", worker.pid.to_string()),
        ("software", shown(worker.software.as_bytes())),
        ("queues", queues(worker)),
        ("runs", runs(worker)),
        ("held", worker.held.to_string()),
        ("silent for", Millis(worker.silent_ms).to_string()),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    let facts = facts.map(|(name, value)| format!("{name:NAME$}  {value}"));
    let jobs = worker.jobs.iter().map(|WorkerJob { job, lease, stage, had_ms }| {
        format!("{:NAME$}  {job} under lease {lease}, {}, had for {}", "job", stage.word(), Millis(had_ms))
    });
    facts.chain(jobs).collect()
}

fn json(worker: &KnownWorker<'_>) -> Value {
    let jobs = worker.jobs.iter().map(|WorkerJob { job, lease, stage, had_ms }| {
        json!({"job": job.0, "lease": lease.0, "stage": stage.word(), "had_ms": had_ms})
    });
    json!({
        "name": worker.name,
        "state": state(worker),
        "quiet": worker.quiet,
        "polls": worker.polls,
        "host": worker.host,
        "pid": worker.pid,
        "software": worker.software,
        "concurrency": worker.concurrency,
        "instance": format!("{:016x}", worker.instance),
        "silent_ms": worker.silent_ms,
        "held": worker.held,
        "begun": worker.begun,
        "queues": worker.queues.iter().collect::<Vec<_>>(),
        "jobs": jobs.collect::<Vec<_>>(),
    })
}
