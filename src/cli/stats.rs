//! `falcon-cli stats`.

use serde_json::{Map, Value, json};

use super::args::Common;
use super::render::{table, tell};
use super::table::{number, text as column, thousands};
use super::{Stop, connect};
use crate::protocol::{Figure, List, Stats, StatsOk};
use crate::words::{by_number, counted};

/// The counts of jobs, as the master names them, and as a table does.
const COUNTS: [(&str, &str); 7] = [
    ("pending", "PENDING"),
    ("delayed", "DELAYED"),
    ("waiting", "WAITING"),
    ("in_flight", "IN-FLIGHT"),
    ("completed", "COMPLETED"),
    ("dead", "DEAD"),
    ("cancelled", "CANCELLED"),
];

/// Figures of the log, as the master names them, and as JSON does.
const LOG: [(&str, &str); 8] = [
    ("records", "records"),
    ("syncs", "syncs"),
    ("durable_lsn", "durable_lsn"),
    ("segments", "segments"),
    ("log_bytes", "bytes"),
    ("live_bytes", "live_bytes"),
    ("written_bytes", "written_bytes"),
    ("moved_bytes", "moved_bytes"),
];

pub fn run(common: &Common) -> Result<(), Stop> {
    let answer = connect::client(common)?.stats()?;
    let stats = answer.read::<Stats>()?;
    let quiet = COUNTS.map(|(name, _)| stats.figure(name).to_string()).join(" ");
    Ok(tell(common.output, text(&stats), json(&stats), quiet)?)
}

fn json(stats: &StatsOk<'_>) -> Value {
    let mut all = all(&stats.figures);
    let mut take = |names: &[(&str, &str)]| {
        let figures = names.iter().map(|(name, shown)| {
            let value = all.shift_remove(*name).unwrap_or_default();
            ((*shown).to_owned(), value)
        });
        figures.collect::<Map<_, _>>()
    };
    let totals = take(&COUNTS.map(|(name, _)| (name, name)));
    let wal = take(&LOG);
    let queues = stats.queues.iter().map(|queue| (queue.name.to_owned(), Value::Object(self::all(&queue.figures))));
    let queues: Map<_, _> = queues.collect();
    all.shift_remove("queues");
    let mut json = json!({"totals": totals, "queues": queues, "wal": wal});
    // Whatever else this master tells.
    json.as_object_mut().into_iter().for_each(|json| json.extend(std::mem::take(&mut all)));
    json
}

fn all(figures: &List<'_, Figure<'_>>) -> Map<String, Value> {
    figures.iter().map(|figure| (figure.name.to_owned(), figure.value.into())).collect()
}

fn text(stats: &StatsOk<'_>) -> String {
    let columns: Vec<_> = std::iter::once(column("QUEUE")).chain(COUNTS.map(|(_, shown)| number(shown))).collect();
    let queues = stats.queues.iter().map(|queue| (queue.name, COUNTS.map(|(name, _)| queue.figure(name))));
    let totals = ("TOTAL", COUNTS.map(|(name, _)| stats.figure(name)));
    let rows = queues
        .chain([totals])
        .map(|(name, numbers)| std::iter::once(name.to_owned()).chain(numbers.map(thousands)).collect());
    let mut lines = table(&columns, rows);
    let polls = stats.figure("waiting_polls");
    lines.push(format!(
        "log: {}, durable up to {}, {}, {} of {} MiB in all; {}, {} {}",
        counted(stats.figure("records"), "record"),
        stats.figure("durable_lsn"),
        counted(stats.figure("syncs"), "sync"),
        counted(stats.figure("segments"), "segment"),
        stats.figure("log_bytes") >> 20,
        counted(stats.figure("connections"), "connection"),
        counted(polls, "poll"),
        by_number(polls, "waits", "wait"),
    ));
    lines.join("\n")
}
