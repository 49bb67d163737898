//! `falcon-cli worker`: which workers there are, and what they are told to do.

use serde_json::json;

use super::args::{Common, WorkerCommand};
use super::nearest::{Named, found_named};
use super::render::{self, Renderer, Row, tell};
use super::table::{Column, number, text};
use super::when::short;
use super::{Stop, connect};
use crate::client::Demand;
use crate::exit;
use crate::protocol::{KnownWorker, WorkerJob, Workers};
use crate::shapes::{self, worker_state};
use crate::time::Millis;
use crate::words::{by_number, counted, has, is};

/// Stands for all workers where a name is asked for.
const ALL: &str = "all";

/// The columns of a list.
pub const COLUMNS: [Column; 8] = [
    text("NAME"),
    text("STATE"),
    number("RUNS"),
    number("HELD"),
    number("SILENT"),
    number("PID"),
    text("HOST"),
    text("QUEUES"),
];

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
    let mut renderer = Renderer::of_table(common.output, &COLUMNS);
    for worker in told.workers.iter() {
        renderer.row(Row { cells: cells(&worker), json: shapes::worker(&worker), quiet: worker.name.to_owned() })?;
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
    let client = connect::client(common)?;
    let answer = client.workers(name)?;
    let told = found_named(&client, Named::Worker, name, answer.read::<Workers<'_>>())?;
    let mut renderer = Renderer::new(common.output);
    for worker in told.workers.iter() {
        renderer.line(facts(&worker), shapes::worker(&worker), worker.name.to_owned())?;
    }
    Ok(renderer.flush()?)
}

/// Tells workers what to do; exit status 3 if there is none of this name.
fn order(common: &Common, name: &str, what: Demand) -> Result<(), Stop> {
    let of_name = if name == ALL { "" } else { name };
    let client = connect::client(common)?;
    let count = found_named(&client, Named::Worker, name, client.order(of_name, what))?;
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

/// How many jobs run, of how many that may at once.
fn runs(worker: &KnownWorker<'_>) -> String {
    if worker.concurrency == 0 { worker.begun.to_string() } else { format!("{}/{}", worker.begun, worker.concurrency) }
}

fn queues(worker: &KnownWorker<'_>) -> String {
    worker.queues.iter().collect::<Vec<_>>().join(",")
}

/// A row of it.
pub fn cells(worker: &KnownWorker<'_>) -> Vec<String> {
    vec![
        worker.name.to_owned(),
        worker_state(worker).to_owned(),
        runs(worker),
        worker.held.to_string(),
        short(Millis(worker.silent_ms)),
        worker.pid.to_string(),
        worker.host.to_owned(),
        queues(worker),
    ]
}

fn facts(worker: &KnownWorker<'_>) -> String {
    let facts = [
        ("worker", worker.name.to_owned()),
        ("state", worker_state(worker).to_owned()),
        ("host", worker.host.to_owned()),
        ("pid", worker.pid.to_string()),
        ("software", worker.software.to_owned()),
        ("queues", queues(worker)),
        ("runs", runs(worker)),
        ("held", worker.held.to_string()),
        ("silent for", short(Millis(worker.silent_ms))),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    let jobs = worker.jobs.iter().map(|WorkerJob { job, lease, stage, had_ms }| {
        ("job", format!("{job} under lease {lease}, {}, had for {}", stage.word(), short(Millis(had_ms))))
    });
    render::facts(&facts.chain(jobs).collect::<Vec<_>>())
}
