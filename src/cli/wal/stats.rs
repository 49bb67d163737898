//! `falcon-cli wal stats`: what lives in which segment, and why. Nothing is changed, and a master may be writing.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use super::dir::{self, LOOKS_MAX, PAUSE};
use crate::cli::Stop;
use crate::cli::args::Common;
use crate::cli::render::{table, tell};
use crate::cli::table::{Column, number, thousands};
use crate::ids::{JobId, Lsn};
use crate::queue::Queues;
use crate::rebuilt::Rebuilt;
use crate::wal::{DirDevice, Inspection, LogDevice, SegmentStats, WalError, inspect, names};

/// A segment and what lives in it.
struct SegmentLine {
    stats: SegmentStats,
    live_bytes: u64,
    live_jobs: usize,
    /// The live job with the smallest id.
    oldest: Option<JobId>,
}

impl SegmentLine {
    /// Records, used bytes, live bytes, dead bytes and live jobs.
    fn figures(&self) -> [u64; 5] {
        let SegmentStats { first, next, used_bytes, .. } = self.stats;
        let (used, live) = (u64::from(used_bytes), self.live_bytes);
        [next.0 - first.0, used, live, used.saturating_sub(live), self.live_jobs as u64]
    }

    fn last(&self) -> u64 {
        self.stats.next.0 - 1
    }

    fn json(&self) -> Value {
        let [records, used, live, dead, jobs] = self.figures();
        json!({
            "file": names::segment(self.stats.first),
            "first_lsn": self.stats.first.0,
            "last_lsn": self.last(),
            "records": records,
            "bytes": self.stats.bytes,
            "used_bytes": used,
            "live_bytes": live,
            "dead_bytes": dead,
            "live_jobs": jobs,
            "oldest_live_job": self.oldest.map(|job| job.0),
        })
    }

    fn cells(&self) -> Vec<String> {
        let oldest = self.oldest.map_or_else(|| "-".to_owned(), |job| job.to_string());
        cells([self.stats.first.to_string(), self.last().to_string()], self.figures(), oldest)
    }
}

fn cells(lsns: [String; 2], figures: [u64; 5], oldest: String) -> Vec<String> {
    lsns.into_iter().chain(figures.map(thousands)).chain([oldest]).collect()
}

pub fn run(common: &Common, dir: &Path) -> Result<(), Stop> {
    let (device, _) = dir::open(dir)?;
    let (inspection, queues) = look(&device)?;
    let segments = segments(&inspection, &queues);
    let snapshots = snapshots(&device)?;
    let mut totals = [0; 5];
    for segment in &segments {
        totals.iter_mut().zip(segment.figures()).for_each(|(total, figure)| *total += figure);
    }
    let quiet = format!("{} {}", segments.len(), totals.map(|total| total.to_string()).join(" "));
    Ok(tell(common.output, text(&segments, &snapshots, totals), json(&segments, &snapshots, totals), quiet)?)
}

/// Reads the log, and once more if that fails: what a master does between two reads can pass for damage.
fn look(device: &DirDevice) -> Result<(Inspection, Queues), WalError> {
    for look in 1.. {
        let mut rebuilt = Rebuilt::default();
        match inspect(device, &mut rebuilt) {
            Err(_) if look < LOOKS_MAX => thread::sleep(PAUSE),
            outcome => return outcome.map(|inspection| (inspection, rebuilt.queues)),
        }
    }
    unreachable!("the last look is the outcome")
}

fn segments(inspection: &Inspection, queues: &Queues) -> Vec<SegmentLine> {
    let mut jobs: HashMap<u32, BTreeSet<JobId>> = HashMap::new();
    for text in queues.texts() {
        jobs.entry(text.at.epoch).or_default().insert(text.job);
    }
    let with_use = |stats: &SegmentStats| {
        let live_bytes = queues.live_in(stats.epoch).bytes;
        let (live_jobs, oldest) = jobs.get(&stats.epoch).map_or((0, None), |jobs| (jobs.len(), jobs.first().copied()));
        SegmentLine { stats: *stats, live_bytes, live_jobs, oldest }
    };
    inspection.segments.iter().map(with_use).collect()
}

fn snapshots(device: &DirDevice) -> Result<Vec<(Lsn, u64)>, WalError> {
    let listed = device.names().map_err(WalError::io("listing the snapshots"))?;
    let lsns = names::snapshots(&listed).into_iter();
    // One that is gone by now was given up for a newer one.
    Ok(lsns.filter_map(|lsn| Some((lsn, device.bytes(&names::snapshot(lsn)).ok()?))).collect())
}

fn json(segments: &[SegmentLine], snapshots: &[(Lsn, u64)], totals: [u64; 5]) -> Value {
    let segments: Vec<Value> = segments.iter().map(SegmentLine::json).collect();
    let snapshots: Vec<Value> = snapshots.iter().map(|(lsn, bytes)| json!({"lsn": lsn.0, "bytes": bytes})).collect();
    let [records, used, live, dead, jobs] = totals;
    json!({
        "segments": segments,
        "snapshots": snapshots,
        "totals": {
            "records": records, "used_bytes": used, "live_bytes": live, "dead_bytes": dead, "live_jobs": jobs,
        },
    })
}

fn text(segments: &[SegmentLine], snapshots: &[(Lsn, u64)], totals: [u64; 5]) -> String {
    const COLUMNS: [Column; 8] = [
        number("FIRST LSN"),
        number("LAST LSN"),
        number("RECORDS"),
        number("USED BYTES"),
        number("LIVE BYTES"),
        number("DEAD BYTES"),
        number("LIVE JOBS"),
        number("OLDEST JOB"),
    ];
    let total = cells(["TOTAL".to_owned(), String::new()], totals, String::new());
    let mut lines = table(&COLUMNS, segments.iter().map(SegmentLine::cells).chain([total]));
    lines.extend(snapshots.iter().map(|(lsn, bytes)| format!("snapshot at LSN {lsn}, {} bytes", thousands(*bytes))));
    lines.join("\n")
}
