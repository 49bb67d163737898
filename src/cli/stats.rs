//! `falcon-cli stats`.

use serde_json::{Value, json};

use super::args::{Common, Output};
use super::render::{Renderer, Row};
use super::{Stop, connect};
use crate::client::{Client, ClientError, Frame, TcpLink};
use crate::protocol::{Counts, Reply, Stats};

/// Shows the master's figures.
pub fn run(common: &Common) -> Result<(), Stop> {
    let frame = connect::client(common)?.stats()?;
    let stats = decode(&frame)?;
    let mut renderer = Renderer::new(common.output);
    match common.output {
        Output::Json => renderer.row(&Row { cells: &[], json: json(&stats), quiet: String::new() })?,
        Output::Quiet => renderer.row(&Row { cells: &[], json: Value::Null, quiet: quiet(&stats.totals) })?,
        Output::Table => table(&mut renderer, &stats)?,
    }
    renderer.flush()?;
    Ok(())
}

/// Reads the reply to Stats.
pub fn decode(frame: &Frame) -> Result<Stats<'_>, ClientError> {
    match Client::<TcpLink>::decode(frame)? {
        Reply::StatsOk(stats) => Ok(stats),
        other => Err(ClientError::NotTheProtocol { why: format!("a reply of another kind: {other:?}") }),
    }
}

fn json(stats: &Stats<'_>) -> Value {
    let queues: serde_json::Map<String, Value> =
        stats.queues.iter().map(|queue| (queue.name.to_owned(), counts_json(&queue.counts))).collect();
    json!({
        "totals": counts_json(&stats.totals),
        "queues": queues,
        "wal": {
            "records": stats.records,
            "syncs": stats.syncs,
            "durable_lsn": stats.durable_lsn,
            "segments": stats.segments,
            "bytes": stats.log_bytes,
        },
        "uptime_ms": stats.uptime_ms,
        "connections": stats.connections,
        "waiting_polls": stats.waiting_polls,
    })
}

fn counts_json(counts: &Counts) -> Value {
    json!({
        "pending": counts.pending,
        "delayed": counts.delayed,
        "in_flight": counts.in_flight,
        "completed": counts.completed,
        "dead": counts.dead,
        "cancelled": counts.cancelled,
    })
}

/// The totals alone: pending, delayed, in flight, completed, dead, cancelled.
fn quiet(totals: &Counts) -> String {
    let Counts { pending, delayed, in_flight, completed, dead, cancelled } = totals;
    format!("{pending} {delayed} {in_flight} {completed} {dead} {cancelled}")
}

fn table(renderer: &mut Renderer, stats: &Stats<'_>) -> Result<(), Stop> {
    const NUMBER: usize = 9;
    let name_width = stats.queues.iter().map(|queue| queue.name.len()).max().unwrap_or(0).max(5);
    renderer.heading(&[
        ("QUEUE", name_width),
        ("PENDING", NUMBER),
        ("DELAYED", NUMBER),
        ("IN-FLIGHT", NUMBER),
        ("COMPLETED", NUMBER),
        ("DEAD", NUMBER),
        ("CANCELLED", NUMBER),
    ])?;
    let all = std::iter::once(("TOTAL", stats.totals));
    for (name, counts) in stats.queues.iter().map(|queue| (queue.name, queue.counts)).chain(all) {
        let Counts { pending, delayed, in_flight, completed, dead, cancelled } = counts;
        let numbers = [pending, delayed, in_flight, completed, dead, cancelled];
        let mut cells = vec![(name.to_owned(), name_width)];
        cells.extend(numbers.map(|number| (number.to_string(), NUMBER)));
        renderer.row(&Row { cells: &cells, json: Value::Null, quiet: String::new() })?;
    }
    let line = format!(
        "log: {} records, durable up to {}, {} syncs, {} segments of {} MiB in all; {} connections, {} polls wait",
        stats.records,
        stats.durable_lsn,
        stats.syncs,
        stats.segments,
        stats.log_bytes >> 20,
        stats.connections,
        stats.waiting_polls
    );
    renderer.row(&Row { cells: &[(line, 0)], json: Value::Null, quiet: String::new() })?;
    Ok(())
}
