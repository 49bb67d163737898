//! `falcon-cli batch`: named sets of jobs that are handed out once all of them are there.

use std::time::{Duration, Instant};

use serde_json::json;

use super::args::{BatchCommand, BatchWait, Common, Output};
use super::nearest::{Named, found_named};
use super::progress::Progress;
use super::render::{Renderer, Row, facts, tell};
use super::table::{Column, number, text, thousands};
use super::{Stop, connect};
use crate::client::{BatchState, Client, ClientError, ListedBatch};
use crate::exit::{self, Failure};
use crate::shapes::{self, batch_state};
use crate::words::{counted, is, was};

const COLUMNS: [Column; 5] = [text("BATCH"), text("STATE"), number("JOBS"), number("LEFT"), number("FAILED")];

pub fn run(common: &Common, command: &BatchCommand) -> Result<(), Stop> {
    let client = connect::client(common)?;
    match command {
        BatchCommand::Begin(batch) => {
            let (name, members) = (&batch.name, client.begin_batch(&batch.name)?);
            let text = format!(
                "batch {name} is open, with {}; it is cancelled when nobody fills it for 60 s",
                counted(members, "job")
            );
            Ok(tell(common.output, text, json!({"batch": name, "members": members}), name.clone())?)
        }
        BatchCommand::End(batch) => {
            found_batch(&client, &batch.name, client.end_batch(&batch.name))?;
            show(common, &found_batch(&client, &batch.name, client.batch(&batch.name))?)
        }
        BatchCommand::List => list(common, &client),
        BatchCommand::Show(batch) => show(common, &found_batch(&client, &batch.name, client.batch(&batch.name))?),
        BatchCommand::Wait(wait) => wait_for(common, &client, wait),
        BatchCommand::Cancel(batch) => {
            let name = &batch.name;
            found_batch(&client, name, client.cancel_batch(name))?;
            let text = format!("batch {name} is cancelled; what its workers have begun ends when they report");
            Ok(tell(common.output, text, json!({"batch": name, "cancelled": true}), name.clone())?)
        }
    }
}

fn found_batch<T>(client: &Client, name: &str, outcome: Result<T, ClientError>) -> Result<T, Stop> {
    found_named(client, Named::Batch, name, outcome)
}

fn list(common: &Common, client: &Client) -> Result<(), Stop> {
    let mut renderer = Renderer::of_table(common.output, &COLUMNS);
    let mut behind = String::new();
    loop {
        let (batches, more) = client.list_batches(&behind)?;
        for batch in &batches {
            renderer.row(told(batch))?;
        }
        renderer.flush()?;
        let Some(last) = batches.last().filter(|_| more) else { return Ok(()) };
        behind.clone_from(&last.name);
    }
}

fn told(batch: &ListedBatch) -> Row {
    let ListedBatch { name, sealed, called_off, members, left, failed } = batch;
    let mut cells = vec![name.clone(), batch_state(*sealed, *called_off, *left).to_owned()];
    cells.extend([*members, *left, *failed].map(thousands));
    Row { cells, json: shapes::listed_batch(batch), quiet: name.clone() }
}

fn show(common: &Common, batch: &BatchState) -> Result<(), Stop> {
    let BatchState { name, sealed, called_off, members, left, figures } = batch;
    let state = batch_state(*sealed, *called_off, *left);
    let done = members - left;
    let mut told = vec![
        ("batch", name.clone()),
        ("state", state.to_owned()),
        ("jobs", thousands(*members)),
        ("ended", format!("{} ({} %)", thousands(done), percent(done, *members))),
    ];
    let there = figures.iter().filter(|(_, count)| **count > 0);
    told.extend(there.map(|(name, count)| (name.as_str(), thousands(*count))));
    Ok(tell(common.output, facts(&told), shapes::batch(batch), state.to_owned())?)
}

fn percent(done: u64, of: u64) -> u64 {
    (100 * done).checked_div(of).unwrap_or(100)
}

fn wait_for(common: &Common, client: &Client, wait: &BatchWait) -> Result<(), Stop> {
    let deadline = wait.timeout.map(|timeout| Instant::now() + timeout.into());
    let left_until = || deadline.map_or(Duration::MAX, |at: Instant| at.saturating_duration_since(Instant::now()));
    let mut progress = Progress::of_short();
    let batch = loop {
        let answer = client.wait_for_batch(&wait.name, progress.interval().min(left_until()));
        let batch = found_batch(client, &wait.name, answer)?;
        if batch.is_over() || left_until().is_zero() {
            break batch;
        }
        let words = format!("{} {} left of batch {}", counted(batch.left, "job"), is(batch.left), wait.name);
        progress.show(batch.members - batch.left, batch.members, &words);
    };
    progress.end();
    if common.output == Output::Json {
        show(common, &batch)?;
    }
    Ok(judge(&batch)?)
}

/// What the exit status says of a batch that was waited for.
pub fn judge(batch: &BatchState) -> Result<(), Failure> {
    let BatchState { name, members, left, .. } = batch;
    if !batch.is_over() {
        let why = if batch.sealed { "" } else { ", and it is open still" };
        let text = format!("{} of batch {name} {} left{why}", counted(*left, "job"), is(*left));
        return Err(Failure::new(exit::TIMED_OUT, text));
    }
    let failed = batch.failed();
    if failed > 0 {
        let text = format!(
            "{} of {members} of batch {name} did not complete; `falcon-cli batch show {name}` says what became of them",
            counted(failed, "job")
        );
        return Err(Failure::new(exit::FAILED, text));
    }
    exit::say(&format!("all {} of batch {name} {} completed", counted(*members, "job"), was(*members)));
    Ok(())
}
