//! What a run under load leaves for the judge, and what is kept of one that failed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use super::QUEUES;
use crate::dice::Dice;
use crate::harness::wire::{self, Stats};
use crate::history::{Counts, History, Left, Violation};
use falconqueue::rebuilt::Rebuilt;
use falconqueue::wal::{DirDevice, SegmentIo, inspect};

pub fn number_of(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

pub fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    Dice::new(since.as_nanos() as u64 ^ u64::from(std::process::id())).within(0..1_000_000)
}

/// What is left in the queues of the load, by the figures of a master that has stopped, and by its log.
pub fn left(stats: &Stats, data: &Path) -> Left {
    let count = |counts: &wire::Counts| Counts {
        completed: counts.completed,
        dead: counts.dead,
        open: counts.pending + counts.delayed + counts.in_flight,
        // No client of the load lets a job expire.
        gone: counts.cancelled,
        purged: counts.purged,
    };
    let ours = stats.queues.iter().filter(|(name, _)| QUEUES.contains(&name.as_str()));
    let queues = ours.map(|(name, counts)| (name.clone(), count(counts)));
    Left { queues: queues.collect(), dead_jobs: Some(dead_jobs(data)) }
}

/// The ids of dead jobs, by the state that the log comes to. Not by its DEAD records: once a snapshot covers them,
/// cleaning may have given them up.
fn dead_jobs(data: &Path) -> BTreeSet<u64> {
    let device = DirDevice::open(data, SegmentIo::Auto).expect("the log's directory");
    let mut rebuilt = Rebuilt::default();
    inspect(&device, &mut rebuilt).expect("the log of a stopped master");
    rebuilt.queues.dead().map(|job| job.0).collect()
}

/// Keeps the history beside the log, and says where, and how to run it again.
pub fn keep(place: &Path, history: &History, found: &[Violation], again: &str) {
    let mut text = String::new();
    for violation in found {
        writeln!(text, "# {:?}: {}", violation.rule, violation.text).expect("a line");
    }
    for op in &history.ops {
        let (start, end) = (op.start / 1_000, op.end / 1_000);
        writeln!(text, "{start:>10} {end:>10} us  client {:>2}  {:?}", op.client, op.what).expect("a line");
    }
    let path = place.join("history.txt");
    fs::write(&path, text).expect("the history");
    eprintln!("history: {}\nlog: {}\nagain: {again}", path.display(), place.join("data").display());
}
