//! `falcon-cli storage`: the files of the log, as the master knows them.

use super::args::Common;
use super::render::{table, tell};
use super::table::{Column, number, text, thousands};
use super::when::Wall;
use super::{Stop, connect};
use crate::client::{Segment, Storage, StoredSnapshot};
use crate::shapes;

const SEGMENTS: [Column; 5] =
    [number("FIRST LSN"), text("STATE"), number("USED BYTES"), number("LIVE BYTES"), number("BYTES")];

pub fn run(common: &Common) -> Result<(), Stop> {
    let storage = connect::client(common)?.storage()?;
    let text = lines(&storage, &Wall::of(common)).join("\n");
    let sums = sums(&storage).map(|sum| sum.to_string()).join(" ");
    let quiet = format!("{} {sums}", storage.segments.len());
    Ok(tell(common.output, text, shapes::storage(&storage), quiet)?)
}

/// Used, live and all bytes of the segments that are told.
fn sums(storage: &Storage) -> [u64; 3] {
    let sum = |of: fn(&Segment) -> u64| storage.segments.iter().map(of).sum();
    [sum(|segment| segment.used_bytes), sum(|segment| segment.live_bytes), sum(|segment| segment.bytes)]
}

fn lines(storage: &Storage, wall: &Wall) -> Vec<String> {
    let total = cells(String::new(), "TOTAL", sums(storage));
    let mut lines = table(&SEGMENTS, storage.segments.iter().map(row).chain([total]));
    if storage.left_out > 0 {
        lines.push(format!("{} older segments and spares are not listed", thousands(storage.left_out)));
    }
    lines.extend(storage.snapshots.iter().map(|kept| of_snapshot(kept, wall)));
    lines
}

fn row(segment: &Segment) -> Vec<String> {
    let Segment { first_lsn, bytes, used_bytes, live_bytes, state } = *segment;
    let first = first_lsn.map_or_else(|| "-".to_owned(), |lsn| lsn.to_string());
    cells(first, state.word(), [used_bytes, live_bytes, bytes])
}

fn cells(first: String, state: &str, figures: [u64; 3]) -> Vec<String> {
    [first, state.to_owned()].into_iter().chain(figures.map(thousands)).collect()
}

fn of_snapshot(kept: &StoredSnapshot, wall: &Wall) -> String {
    let made = kept.made_at.map(|at| format!(", made {}", wall.both(at))).unwrap_or_default();
    format!("snapshot at LSN {}, {} bytes{made}", kept.lsn, thousands(kept.bytes))
}
