//! The figures of a master.

use serde_json::{Map, Value, json};

use crate::client::Storage;
use crate::protocol::{Figure, List, StatsOk};

/// The counts of jobs, as the master names them.
pub const STATS_COUNTS: [&str; 7] = ["pending", "delayed", "waiting", "in_flight", "completed", "dead", "cancelled"];

/// Figures of the log, as the master names them, and as JSON does.
pub const LOG_FIGURES: [(&str, &str); 8] = [
    ("records", "records"),
    ("syncs", "syncs"),
    ("durable_lsn", "durable_lsn"),
    ("segments", "segments"),
    ("log_bytes", "bytes"),
    ("live_bytes", "live_bytes"),
    ("written_bytes", "written_bytes"),
    ("moved_bytes", "moved_bytes"),
];

/// All figures, of this queue or of all.
pub fn stats(stats: &StatsOk<'_>, queue: Option<&str>) -> Value {
    let mut all = all_of(&stats.figures);
    let mut take = |names: &[(&str, &str)]| {
        let figures = names.iter().map(|(name, shown)| {
            let value = all.shift_remove(*name).unwrap_or_default();
            ((*shown).to_owned(), value)
        });
        figures.collect::<Map<_, _>>()
    };
    let totals = take(&STATS_COUNTS.map(|name| (name, name)));
    let wal = take(&LOG_FIGURES);
    let queues = stats.queues.iter().filter(|known| queue.is_none_or(|name| known.name == name));
    let queues = queues.map(|queue| (queue.name.to_owned(), Value::Object(all_of(&queue.figures))));
    let queues: Map<_, _> = queues.collect();
    all.shift_remove("queues");
    let mut json = json!({"totals": totals, "queues": queues, "wal": wal});
    // Whatever else this master tells.
    json.as_object_mut().into_iter().for_each(|json| json.extend(std::mem::take(&mut all)));
    json
}

/// The files of the log.
pub fn storage(storage: &Storage) -> Value {
    let segments = storage.segments.iter().map(|segment| {
        json!({
            "first_lsn": segment.first_lsn.map(|first| first.0),
            "bytes": segment.bytes,
            "used_bytes": segment.used_bytes,
            "live_bytes": segment.live_bytes,
            "state": segment.state.word(),
        })
    });
    let snapshots = storage
        .snapshots
        .iter()
        .map(|kept| json!({"lsn": kept.lsn.0, "bytes": kept.bytes, "made_at": kept.made_at.map(super::moment)}));
    json!({
        "segments": segments.collect::<Vec<_>>(),
        "left_out": storage.left_out,
        "snapshots": snapshots.collect::<Vec<_>>(),
    })
}

fn all_of(figures: &List<'_, Figure<'_>>) -> Map<String, Value> {
    figures.iter().map(|figure| (figure.name.to_owned(), figure.value.into())).collect()
}
