//! `falcon-cli wal stats`: what lives in which segment, and why. Nothing is changed, and a master may be writing.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use super::dir::{self, LOOKS_MAX, PAUSE};
use crate::cli::Stop;
use crate::cli::args::{Common, Output};
use crate::cli::render::{Renderer, Row};
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
    fn records(&self) -> u64 {
        self.stats.next.0 - self.stats.first.0
    }

    fn dead_bytes(&self) -> u64 {
        u64::from(self.stats.used_bytes).saturating_sub(self.live_bytes)
    }

    fn cells(&self) -> [String; 8] {
        [
            self.stats.first.to_string(),
            (self.stats.next.0 - 1).to_string(),
            self.records().to_string(),
            self.stats.used_bytes.to_string(),
            self.live_bytes.to_string(),
            self.dead_bytes().to_string(),
            self.live_jobs.to_string(),
            self.oldest.map_or_else(|| "-".to_owned(), |job| job.to_string()),
        ]
    }
}

/// Sums over all segments.
#[derive(Default)]
struct Totals {
    records: u64,
    used: u64,
    live: u64,
    dead: u64,
    jobs: u64,
}

pub fn run(common: &Common, dir: &Path) -> Result<(), Stop> {
    let (device, _) = dir::open(dir)?;
    let (inspection, queues) = look(&device)?;
    let segments = segments(&inspection, &queues);
    let snapshots = snapshots(&device)?;
    let mut totals = Totals::default();
    for segment in &segments {
        totals.records += segment.records();
        totals.used += u64::from(segment.stats.used_bytes);
        totals.live += segment.live_bytes;
        totals.dead += segment.dead_bytes();
        totals.jobs += segment.live_jobs as u64;
    }
    let mut renderer = Renderer::new(common.output);
    match common.output {
        Output::Json => {
            let json = json(&segments, &snapshots, &totals);
            renderer.row(&Row { cells: &[], json, quiet: String::new() })?;
        }
        Output::Quiet => {
            let Totals { records, used, live, dead, jobs } = totals;
            let quiet = format!("{} {records} {used} {live} {dead} {jobs}", segments.len());
            renderer.row(&Row { cells: &[], json: Value::Null, quiet })?;
        }
        Output::Table => table(&mut renderer, &segments, &snapshots, &totals)?,
    }
    Ok(renderer.flush()?)
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
        let (live_jobs, oldest) =
            jobs.get(&stats.epoch).map_or((0, None), |jobs| (jobs.len(), jobs.first().copied()));
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

fn json(segments: &[SegmentLine], snapshots: &[(Lsn, u64)], totals: &Totals) -> Value {
    let segments: Vec<Value> = segments
        .iter()
        .map(|segment| {
            json!({
                "file": names::segment(segment.stats.first),
                "first_lsn": segment.stats.first.0,
                "last_lsn": segment.stats.next.0 - 1,
                "records": segment.records(),
                "bytes": segment.stats.bytes,
                "used_bytes": segment.stats.used_bytes,
                "live_bytes": segment.live_bytes,
                "dead_bytes": segment.dead_bytes(),
                "live_jobs": segment.live_jobs,
                "oldest_live_job": segment.oldest.map(|job| job.0),
            })
        })
        .collect();
    let snapshots: Vec<Value> =
        snapshots.iter().map(|(lsn, bytes)| json!({"lsn": lsn.0, "bytes": bytes})).collect();
    let Totals { records, used, live, dead, jobs } = totals;
    json!({
        "segments": segments,
        "snapshots": snapshots,
        "totals": {
            "records": records, "used_bytes": used, "live_bytes": live, "dead_bytes": dead, "live_jobs": jobs,
        },
    })
}

fn table(
    renderer: &mut Renderer,
    segments: &[SegmentLine],
    snapshots: &[(Lsn, u64)],
    totals: &Totals,
) -> Result<(), Stop> {
    const HEADINGS: [(&str, usize); 8] = [
        ("FIRST LSN", 12),
        ("LAST LSN", 12),
        ("RECORDS", 10),
        ("USED BYTES", 12),
        ("LIVE BYTES", 12),
        ("DEAD BYTES", 12),
        ("LIVE JOBS", 9),
        ("OLDEST JOB", 12),
    ];
    renderer.heading(&HEADINGS)?;
    let mut put = |texts: [String; 8]| {
        let cells: Vec<(String, usize)> = texts.into_iter().zip(HEADINGS.map(|(_, width)| width)).collect();
        renderer.row(&Row { cells: &cells, json: Value::Null, quiet: String::new() })
    };
    segments.iter().try_for_each(|segment| put(segment.cells()))?;
    let Totals { records, used, live, dead, jobs } = totals;
    let [records, used, live, dead, jobs] = [records, used, live, dead, jobs].map(u64::to_string);
    put(["TOTAL".to_owned(), String::new(), records, used, live, dead, jobs, String::new()])?;
    for (lsn, bytes) in snapshots {
        let text = format!("snapshot at LSN {lsn}, {bytes} bytes");
        renderer.row(&Row { cells: &[(text, 0)], json: Value::Null, quiet: String::new() })?;
    }
    Ok(())
}
