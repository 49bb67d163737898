//! `falcon-cli doctor`: whether the master can be reached and is well, and what would be a problem in production; a
//! line for each, with what to do.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::args::{Common, Doctor};
use super::render::{Renderer, Row};
use super::table::{Column, text};
use super::{Stop, connect, when};
use crate::client::is_readable_by_others;
use crate::exit::{self, Failure};
use crate::protocol::{Stats, StatsOk};
use crate::time::Millis;
use crate::words::counted;

const COLUMNS: [Column; 3] = [text(""), text("WHAT"), text("")];

/// Clocks that differ by more than this make times hard to read; between machines with NTP it is some milliseconds.
const CLOCKS_MAX: Millis = Millis(2000);

/// A sync that takes longer makes every client wait: cheap disks take 5 to 20 ms.
const SYNC_MAX: Millis = Millis(100);

/// A round trip on one machine or within a data centre takes less.
const TRIP_MAX: Duration = Duration::from_millis(100);

const MIB: u64 = 1 << 20;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Well,
    /// It works, and may be a problem in production.
    Warning,
    /// It does not work.
    Bad,
}

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Grade::Well => "ok",
            Grade::Warning => "warning",
            Grade::Bad => "bad",
        }
    }
}

#[derive(Debug)]
struct Finding {
    grade: Grade,
    what: &'static str,
    says: String,
}

fn well(what: &'static str, says: String) -> Finding {
    Finding { grade: Grade::Well, what, says }
}

/// A finding that is a warning if something is so.
fn unless(is_wrong: bool, what: &'static str, says: String, advice: &str) -> Finding {
    if is_wrong { Finding { grade: Grade::Warning, what, says: format!("{says}: {advice}") } } else { well(what, says) }
}

pub fn run(common: &Common, doctor: &Doctor) -> Result<(), Stop> {
    let client = connect::client(common)?;
    let (asked_at, begun) = (when::now(), Instant::now());
    let answer = client.stats()?;
    let trip = begun.elapsed();
    let stats = answer.read::<Stats>()?;
    let mut findings = vec![
        well("connection", format!("the master answers at {}", common.master)),
        unless(
            trip > TRIP_MAX,
            "round trip",
            format!("{} ms", trip.as_millis()),
            "producers and workers wait so long for each answer; bring them nearer, or let each request carry more",
        ),
    ];
    findings.extend(of_master(&stats));
    findings.extend(of_clock(&stats, asked_at.0 + trip.as_millis() as u64 / 2));
    findings.extend(common.token_file.as_deref().map(of_token_file));
    findings.extend(of_queues(&stats));
    tell(common, doctor, &findings)
}

fn tell(common: &Common, doctor: &Doctor, findings: &[Finding]) -> Result<(), Stop> {
    let is_told = |finding: &&Finding| !doctor.quiet || finding.grade != Grade::Well;
    let told: Vec<&Finding> = findings.iter().filter(is_told).collect();
    // A heading over nothing would say something, where all is well.
    if !told.is_empty() {
        let mut renderer = Renderer::of_table(common.output, &COLUMNS);
        for Finding { grade, what, says } in told {
            let cells = vec![grade.word().to_owned(), (*what).to_owned(), says.clone()];
            let json = json!({"grade": grade.word(), "what": what, "says": says});
            renderer.row(Row { cells, json, quiet: format!("{} {what}", grade.word()) })?;
        }
        renderer.flush()?;
    }
    let bad = findings.iter().filter(|finding| finding.grade == Grade::Bad).count() as u64;
    if bad > 0 {
        return Err(Failure::new(exit::FAILED, format!("{} of the master", counted(bad, "fault"))).into());
    }
    Ok(())
}

/// The version as the master tells it: 1.2.3 is 1,002,003.
fn own_version() -> u64 {
    let parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<u64>().unwrap_or(0));
    parts.take(3).fold(0, |number, part| number * 1000 + part)
}

fn version_text(version: u64) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000)
}

fn of_master(stats: &StatsOk<'_>) -> Vec<Finding> {
    let version = stats.figure("version");
    let mut findings = vec![
        unless(
            version != own_version(),
            "version",
            format!("master {}, this program {}", version_text(version), env!("CARGO_PKG_VERSION")),
            "they understand each other; bring both to one version for all of their functions",
        ),
        unless(
            stats.figure("has_token") == 0,
            "token",
            if stats.figure("has_token") == 0 { "none is asked for" } else { "the master wants one" }.to_owned(),
            "whoever reaches the master can do all; give it one by falcond --token-file",
        ),
        unless(
            stats.figure("syncs_first") == 0,
            "sync",
            if stats.figure("syncs_first") == 0 { "answers do not wait for the disk" } else { "before each answer" }
                .to_owned(),
            "a power cut loses what was answered; falcond --sync always does not",
        ),
    ];
    findings.extend(of_machine(stats));
    findings
}

fn of_machine(stats: &StatsOk<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sync = Millis(stats.figure("sync_longest_ms"));
    let advice = "all answers wait so long; look at what else uses this disk, or take a faster one";
    findings.push(unless(sync > SYNC_MAX, "sync time", format!("the longest of late took {sync}"), advice));
    findings.extend(of_disk(stats));
    let (open, most) = (stats.figure("connections"), stats.figure("descriptors_max"));
    findings.push(unless(
        most > 0 && open * 10 > most * 8,
        "open files",
        format!("{open} connections of {most} descriptors"),
        "raise the limit: LimitNOFILE= in a unit, ulimit -n in a shell",
    ));
    findings.push(unless(
        stats.figure("draining") > 0,
        "drain",
        if stats.figure("draining") > 0 { "the master takes no jobs" } else { "the master takes jobs" }.to_owned(),
        "falcon-cli drain --off ends it",
    ));
    findings
}

fn of_disk(stats: &StatsOk<'_>) -> Option<Finding> {
    let (all, free) = (stats.figure("disk_bytes"), stats.figure("disk_free_bytes"));
    if all == 0 {
        return None;
    }
    let says = format!("{} of {} MiB are free, the log has {}", free / MIB, all / MIB, stats.figure("log_bytes") / MIB);
    if free < stats.figure("log_bytes") / stats.figure("segments").max(1) {
        let says = format!("{says}: no further segment can be made, and new jobs are refused; make room");
        return Some(Finding { grade: Grade::Bad, what: "disk", says });
    }
    let is_filling = free * 10 < all;
    Some(unless(is_filling, "disk", says, "a full one takes no more jobs; make room, or purge what is dead or kept"))
}

fn of_clock(stats: &StatsOk<'_>, own_ms: u64) -> Vec<Finding> {
    let differs = Millis(stats.figure("wall_ms").abs_diff(own_ms));
    let advice = "times that people name (--at, schedules) go by the master's clock; let NTP mend both";
    vec![unless(differs > CLOCKS_MAX, "clocks", format!("they differ by {differs}"), advice)]
}

fn of_token_file(path: &Path) -> Finding {
    let says = format!("{}", path.display());
    unless(
        is_readable_by_others(path),
        "token file",
        says,
        "others on this machine can read it; chmod o-r takes that back",
    )
}

/// Queues whose jobs nobody takes, and jobs that are dead.
fn of_queues(stats: &StatsOk<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for queue in stats.queues.iter() {
        let (ready, dead) = (queue.figure("pending"), queue.figure("dead"));
        if ready > 0 && queue.figure("workers") == 0 {
            let says = format!("{} of queue {} and no worker: start one", counted(ready, "ready job"), queue.name);
            findings.push(Finding { grade: Grade::Warning, what: "workers", says });
        }
        if dead > 0 {
            let says = format!(
                "{} of queue {}: falcon-cli job list -q {} --state dead --by error tells why",
                counted(dead, "dead job"),
                queue.name,
                queue.name
            );
            findings.push(Finding { grade: Grade::Warning, what: "dead jobs", says });
        }
    }
    if findings.is_empty() {
        findings.push(well(
            "queues",
            format!("{}, none without a worker or with dead jobs", counted(stats.queues.len() as u64, "queue")),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert_eq!(version_text(1_002_003), "1.2.3");
        assert_eq!(version_text(own_version()), env!("CARGO_PKG_VERSION"));
    }
}
