//! `falcon-cli wal stats`: what lives in which segment, and why. Nothing is changed, and a master may be writing the log
//! meanwhile.

use std::collections::HashMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::{Common, Output};
use super::render::{Renderer, Row};
use super::{Stop, wal_dir};
use crate::ids::{JobId, Lsn};
use crate::queue::{PayloadAt, Queues};
use crate::rebuilt::Rebuilt;
use crate::wal::{DirDevice, Inspection, LogDevice, SegmentStats, WalError, inspect, names};

/// How often a log is looked at before it is taken for damaged: a master may be writing it.
const LOOKS_MAX: usize = 8;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// A segment and what lives in it.
struct Segment {
    stats: SegmentStats,
    live_bytes: u64,
    live_jobs: u32,
    /// The live job with the smallest id.
    oldest: Option<JobId>,
}

impl Segment {
    fn records(&self) -> u64 {
        self.stats.next.0 - self.stats.first.0
    }

    fn dead_bytes(&self) -> u64 {
        u64::from(self.stats.used_bytes).saturating_sub(self.live_bytes)
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

/// Tells the figures of the log in a directory.
pub fn run(common: &Common, dir: &Path) -> Result<(), Stop> {
    let (device, _) = wal_dir::open(dir)?;
    let (inspection, queues) = look(&device)?;
    let segments = segments(&inspection, &queues);
    let snapshots = snapshots(&device)?;
    let mut totals = Totals::default();
    for segment in &segments {
        totals.records += segment.records();
        totals.used += u64::from(segment.stats.used_bytes);
        totals.live += segment.live_bytes;
        totals.dead += segment.dead_bytes();
        totals.jobs += u64::from(segment.live_jobs);
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

/// Reads the log; where a master does something between two reads that passes for damage, once more.
fn look(device: &DirDevice) -> Result<(Inspection, Queues), WalError> {
    let mut looks = 1;
    loop {
        let mut rebuilt = Rebuilt::default();
        match inspect(device, &mut rebuilt) {
            Err(_) if looks < LOOKS_MAX => thread::sleep(PAUSE),
            outcome => return outcome.map(|inspection| (inspection, rebuilt.queues)),
        }
        looks += 1;
    }
}

fn segments(inspection: &Inspection, queues: &Queues) -> Vec<Segment> {
    let mut oldest: HashMap<u32, JobId> = HashMap::new();
    for PayloadAt { job, at, .. } in queues.payloads() {
        let first = oldest.entry(at.epoch).or_insert(job);
        *first = job.min(*first);
    }
    let with_use = |stats: &SegmentStats| {
        let used = queues.live_in(stats.epoch);
        let oldest = oldest.get(&stats.epoch).copied();
        Segment { stats: *stats, live_bytes: used.bytes, live_jobs: used.jobs, oldest }
    };
    inspection.segments.iter().map(with_use).collect()
}

/// The snapshots and their sizes.
fn snapshots(device: &DirDevice) -> Result<Vec<(Lsn, u64)>, WalError> {
    let listed = device.names().map_err(WalError::io("listing the snapshots"))?;
    let lsns = names::snapshots(&listed).into_iter();
    // One that is gone by now was given up for a newer one.
    Ok(lsns.filter_map(|lsn| Some((lsn, device.bytes(&names::snapshot(lsn)).ok()?))).collect())
}

fn json(segments: &[Segment], snapshots: &[(Lsn, u64)], totals: &Totals) -> Value {
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
    segments: &[Segment],
    snapshots: &[(Lsn, u64)],
    totals: &Totals,
) -> Result<(), Stop> {
    const WIDTHS: [usize; 8] = [12, 12, 10, 12, 12, 12, 9, 12];
    let headings = [
        "FIRST LSN",
        "LAST LSN",
        "RECORDS",
        "USED BYTES",
        "LIVE BYTES",
        "DEAD BYTES",
        "LIVE JOBS",
        "OLDEST JOB",
    ];
    let mut cells = headings.into_iter().zip(WIDTHS).collect::<Vec<_>>();
    renderer.heading(&cells)?;
    cells.clear();
    let mut line = |texts: [String; 8]| {
        let cells: Vec<(String, usize)> = texts.into_iter().zip(WIDTHS).collect();
        renderer.row(&Row { cells: &cells, json: Value::Null, quiet: String::new() })
    };
    for segment in segments {
        line([
            segment.stats.first.to_string(),
            (segment.stats.next.0 - 1).to_string(),
            segment.records().to_string(),
            segment.stats.used_bytes.to_string(),
            segment.live_bytes.to_string(),
            segment.dead_bytes().to_string(),
            segment.live_jobs.to_string(),
            segment.oldest.map_or_else(|| "-".to_owned(), |job| job.to_string()),
        ])?;
    }
    let Totals { records, used, live, dead, jobs } = totals;
    line([
        "TOTAL".to_owned(),
        String::new(),
        records.to_string(),
        used.to_string(),
        live.to_string(),
        dead.to_string(),
        jobs.to_string(),
        String::new(),
    ])?;
    for (lsn, bytes) in snapshots {
        let text = format!("snapshot at LSN {lsn}, {bytes} bytes");
        renderer.row(&Row { cells: &[(text, 0)], json: Value::Null, quiet: String::new() })?;
    }
    Ok(())
}
