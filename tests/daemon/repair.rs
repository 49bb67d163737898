//! `falcon-cli wal repair` from outside: a real log is spoiled in one place or another, repaired, and served by
//! a master that has all jobs but those that were named.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::harness::wire::{Delivery, LEASE_LOST};
use crate::harness::*;
use crate::logs::{contents, files, find, flip, position, put, zero};
use serde_json::{Value, json};

/// A log that a test spoils, and what a master on it has to deliver.
struct Log {
    dir: tempfile::TempDir,
    /// Jobs that were submitted and not acked, and their payloads.
    jobs: BTreeMap<u64, Vec<u8>>,
    /// Jobs 31 to 34 with their leases.
    held: Vec<Delivery>,
}

/// Payloads of jobs that fill segments are this long; others just tell their number.
const LONG: usize = 700_000;

/// What job `n` carries.
fn payload(n: u64) -> Vec<u8> {
    let mut payload = format!("<job {n}>").into_bytes();
    payload.resize(if n <= 30 { LONG } else { payload.len() }, b'.');
    payload
}

/// The files of a log, and the jobs of it that were handed out last.
type Made = (Vec<(PathBuf, Vec<u8>)>, Vec<Delivery>);

/// Jobs 1 to 30 in two segments under a snapshot; 31 to 60 behind it. Jobs 1 to 3 and 31 to 33 are done, and 34 is
/// in flight.
fn made() -> Made {
    let dir = scratch();
    let master = Master::start(dir.path(), &[]);
    let mut wire = master.connect();
    for n in 1..=60 {
        if n == 31 {
            for delivery in wire.poll(&["long"], 3, 0, 60_000) {
                wire.ack(&delivery);
            }
            master.cli(&["snapshot"]).expect(0);
        }
        let queue = if n <= 30 { "long" } else { "short" };
        assert_eq!(wire.put(queue, payload(n)), n);
    }
    let held = wire.poll(&["short"], 4, 0, 60_000);
    for delivery in &held[..3] {
        wire.ack(delivery);
    }
    // A mark vouches for the newest record, with a sync of its own.
    let syncs = wire.stats().syncs;
    wait_until("the mark of a log that has fallen silent", SOON, || wire.stats().syncs > syncs);
    master.kill();
    assert_eq!(files(dir.path(), "wal").len(), 2);
    (contents(dir.path()), held)
}

impl Log {
    fn new() -> Log {
        // Made once for all tests.
        static MADE: LazyLock<Made> = LazyLock::new(made);
        let (files, held) = &*MADE;
        let dir = scratch();
        put(files, dir.path());
        let left = (1..=60).filter(|n| ![1, 2, 3, 31, 32, 33].contains(n));
        Log { dir, jobs: left.map(|n| (n, payload(n))).collect(), held: held.clone() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn segment(&self, number: usize) -> PathBuf {
        files(self.path(), "wal")[number].clone()
    }

    /// Where the payload of a job stands in a segment.
    fn payload_at(&self, segment: usize, n: u64) -> u64 {
        find(&self.segment(segment), format!("<job {n}>").as_bytes())
    }

    fn refused(&self) {
        let path = self.path().to_str().unwrap();
        falcond_refuses(&["--data-dir", path, "--listen", "127.0.0.1:0"], 65);
    }

    /// Repairs it; gives what was told. The originals are kept as they were, and no fault is left.
    fn repair(&self) -> Value {
        self.refused();
        let spoiled: BTreeMap<String, Vec<u8>> = log_files(self.path());
        let path = self.path().to_str().unwrap();
        let told = cli(&["--output", "json", "wal", "repair", "--yes", path]).expect(0).json();
        assert_eq!((told.len(), &told[1]["repaired"]), (2, &json!(true)), "{told:?}");
        let originals = Path::new(text(&told[1], "originals"));
        assert!(log_files(originals) == spoiled, "the originals are kept");
        assert!(!originals.join("new").exists());
        let verified = cli(&["--output", "json", "wal", "verify", path]).expect(0).json().remove(0);
        assert_eq!((number(&verified, "snapshots"), &verified["torn"]), (1, &json!([])));
        told[0].clone()
    }

    /// A master serves it: all jobs but these are delivered, with their payloads, and these are not.
    fn has_all_but(&self, lost: &[u64]) {
        let master = Master::start(self.path(), &[]);
        let mut wire = master.connect();
        // What is still in flight is given back, so that nobody has to wait for the end of its lease.
        for delivery in &self.held {
            assert!([0, LEASE_LOST].contains(&wire.release(delivery, 0)));
        }
        let mut left = self.jobs.clone();
        for n in lost {
            left.remove(n);
        }
        wait_until("all jobs that were kept", SOON, || {
            for delivery in wire.poll(&["long", "short"], 20, 500, 60_000) {
                let expected = left.remove(&delivery.job);
                assert!(expected == Some(delivery.payload.clone()), "job {}", delivery.job);
                assert_eq!(wire.ack(&delivery), 0);
            }
            left.is_empty()
        });
        wire.expect_none("long");
        wire.expect_none("short");
        let totals = master.stats().totals;
        assert_eq!((totals.pending, totals.delayed, totals.in_flight), (0, 0, 0));
        // Nothing is used twice: neither an id nor a lease.
        let next = wire.put("short", "next");
        assert!(next > 60, "job {next}");
        assert!(wire.take("short").lease > 100);
        master.stop();
        let master = Master::start(self.path(), &[]);
        assert_eq!(master.stats().totals.in_flight, 1, "what it writes from then on is found again");
    }
}

/// The segments and snapshots of a directory, by name.
fn log_files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let named = contents(dir)
        .into_iter()
        .map(|(path, content)| (path.file_name().unwrap().to_str().unwrap().to_owned(), content));
    // What a daemon that was killed was still making is no part of the log.
    let is_whole = |name: &str| !name.contains(".tmp") && (name.contains(".wal") || name.contains(".snap"));
    named.filter(|(name, _)| is_whole(name)).collect()
}

/// The jobs that a list of runs names.
fn ids(runs: &Value) -> Vec<u64> {
    let run = |run: &Value| run[0].as_u64().unwrap()..=run[1].as_u64().unwrap();
    runs.as_array().unwrap().iter().flat_map(run).collect()
}

fn lost(told: &Value) -> (Vec<u64>, Vec<u64>) {
    (ids(&told["lost_payloads"]), ids(&told["lost_enqueues"]))
}

#[test]
fn a_payload_in_an_old_segment_costs_its_job_alone() {
    let log = Log::new();
    flip(&log.segment(0), log.payload_at(0, 9) + 300_000);
    flip(&log.segment(0), log.payload_at(0, 12) + 5);
    let told = log.repair();
    assert_eq!(lost(&told), (vec![9, 12], vec![]));
    assert_eq!((number(&told, "kept"), &told["unread"]), (52, &json!([])));
    log.has_all_but(&[9, 12]);
}

#[test]
fn the_payload_of_a_job_that_is_done_costs_nothing() {
    let log = Log::new();
    flip(&log.segment(0), log.payload_at(0, 2) + 300_000);
    let told = log.repair();
    assert_eq!(lost(&told), (vec![], vec![]));
    log.has_all_but(&[]);
}

#[test]
fn a_sector_behind_the_snapshot_costs_the_jobs_in_it() {
    let log = Log::new();
    // Two records of it are hit: the first in its payload, the last in its header.
    let (from, to) = (log.payload_at(1, 40), log.payload_at(1, 43) - 60);
    zero(&log.segment(1), from, usize::try_from(to - from).unwrap());
    let told = log.repair();
    let (payloads, enqueues) = lost(&told);
    assert_eq!((payloads, enqueues), (vec![], vec![40, 41, 42, 43]));
    assert_eq!(ids(&told["unread"]).len(), 4);
    log.has_all_but(&[40, 41, 42, 43]);
}

#[test]
fn the_end_of_the_log_costs_what_was_in_it() {
    let log = Log::new();
    // From the ENQUEUE of job 58 on: its record, the next ones, the DISPATCHes and the ACKs.
    let from = log.payload_at(1, 58);
    // The mark behind them stays: without it this would be a torn tail.
    let content = fs::read(log.segment(1)).unwrap();
    let mark = content.len() - content.iter().rev().position(|byte| *byte != 0).unwrap();
    zero(&log.segment(1), from, mark - 40 - usize::try_from(from).unwrap());
    let told = log.repair();
    // Nothing is left that could name them: ten records are missing, the ENQUEUEs of 58 to 60 among them.
    assert_eq!(lost(&told), (vec![], vec![]));
    assert_eq!(told["unnamed"], json!({"first": 58, "at_most": 10}));
    // The acks of 31 to 33 are gone with it: these run again, as at least once allows.
    let mut log = log;
    for n in 31..=33 {
        log.jobs.insert(n, payload(n));
    }
    log.has_all_but(&[58, 59, 60]);
}

#[test]
fn a_job_whose_ack_is_damaged_is_named_and_runs_again() {
    let log = Log::new();
    // The first ACK behind the snapshot: that of job 31.
    let acks = dump(log.path());
    let ack = number(acks.last(31, "ACK"), "lsn");
    // Records are 8 bytes apart at least; the ACK's header has its LSN at byte 8, and its kind at byte 36.
    let content = fs::read(log.segment(1)).unwrap();
    let at = (0..content.len() - 40)
        .step_by(8)
        .find(|at| content[at + 8..at + 16] == ack.to_le_bytes() && content[at + 36] == 3)
        .unwrap();
    flip(&log.segment(1), at as u64 + 41);
    let told = log.repair();
    assert_eq!(lost(&told), (vec![], vec![]));
    assert!(ids(&told["may_run_again"]).contains(&31), "{told}");
    assert_eq!(told["unread"], json!([[ack, ack]]));
    let mut log = log;
    log.jobs.insert(31, payload(31));
    log.has_all_but(&[]);
}

#[test]
fn a_segment_without_its_header_costs_nothing_that_can_be_read() {
    let log = Log::new();
    zero(&log.segment(0), 0, 72);
    let told = log.repair();
    assert_eq!(lost(&told), (vec![], vec![]));
    log.has_all_but(&[]);
}

#[test]
fn a_segment_that_is_gone_costs_what_was_in_it() {
    let log = Log::new();
    let content = fs::read(log.segment(0)).unwrap();
    let in_first: Vec<u64> =
        (4..=30).filter(|n| position(&content, format!("<job {n}>").as_bytes()).is_some()).collect();
    fs::remove_file(log.segment(0)).unwrap();
    let told = log.repair();
    assert_eq!(lost(&told), (in_first.clone(), vec![]));
    log.has_all_but(&in_first);
}

#[test]
fn damaged_snapshots_cost_nothing_while_the_log_is_whole() {
    let log = Log::new();
    let path = log.path().to_str().unwrap();
    let snapshots = files(log.path(), "snap");
    for snapshot in &snapshots {
        flip(snapshot, 200);
        let before = log_files(log.path());
        let run = cli(&["wal", "repair", path]).expect(0);
        assert!(run.out.contains("needs no repair") && run.err.contains("nothing is lost"), "{run:?}");
        assert!(log_files(log.path()) == before);
    }
    log.has_all_but(&[]);
}

#[test]
fn without_any_snapshot_what_the_segments_hold_is_kept() {
    let log = Log::new();
    for snapshot in files(log.path(), "snap") {
        flip(&snapshot, 200);
    }
    fs::remove_file(log.segment(0)).unwrap();
    let told = log.repair();
    let (payloads, enqueues) = lost(&told);
    assert!(payloads.is_empty());
    // That 1 to 3 are done is told by the second segment.
    assert_eq!(enqueues, (4..=*enqueues.last().unwrap()).collect::<Vec<_>>());
    assert!(enqueues.len() > 10 && enqueues.len() < 28, "{enqueues:?}");
    log.has_all_but(&enqueues);
}

#[test]
fn a_repair_that_was_cut_short_is_refused_or_done() {
    let log = Log::new();
    flip(&log.segment(0), log.payload_at(0, 9));
    let old = log_files(log.path());
    log.repair();
    let new = log_files(log.path());
    // The power went when the new segments had their names, or some of them, and the old ones theirs.
    let put_back = |files: &BTreeMap<String, Vec<u8>>, extension: &str| {
        for (name, content) in files.iter().filter(|(name, _)| name.ends_with(extension)) {
            fs::write(log.path().join(name), content).unwrap();
        }
    };
    put_back(&old, "");
    for snapshot in new.keys().filter(|name| name.contains(".snap")) {
        fs::remove_file(log.path().join(snapshot)).unwrap();
    }
    log.refused();
    let segments: Vec<&String> = new.keys().filter(|name| name.contains(".wal")).collect();
    assert!(segments.len() > 1, "{segments:?}");
    fs::remove_file(log.path().join(segments[1])).unwrap();
    log.refused();
    put_back(&new, ".wal");
    put_back(&new, ".snap");
    log.has_all_but(&[9]);
}

/// Where the record begins that holds these bytes, by the lengths alone.
fn record_with(content: &[u8], bytes: &[u8]) -> usize {
    let mut at = 72;
    loop {
        let length = u32::from_le_bytes(content[at + 4..at + 8].try_into().unwrap()) as usize;
        assert!(length > 0, "no record holds {bytes:?}");
        if content[at..at + length].windows(bytes.len()).any(|found| found == bytes) {
            return at;
        }
        at += length.next_multiple_of(8);
    }
}

/// Changes a byte of the record that holds the payload of a job, which stays whole by its checksum.
fn rewrite(segment: &Path, job: u64, byte: usize, value: u8) {
    let mut content = fs::read(segment).unwrap();
    let at = record_with(&content, format!("<job {job}>").as_bytes());
    let length = u32::from_le_bytes(content[at + 4..at + 8].try_into().unwrap()) as usize;
    content[at + byte] = value;
    let mut hasher = crc32fast::Hasher::new_with_initial(crc32fast::hash(&content[16..32]));
    hasher.update(&content[at + 4..at + length]);
    content[at..at + 4].copy_from_slice(&hasher.finalize().to_le_bytes());
    fs::write(segment, content).unwrap();
}

/// What a later falcond wrote is refused by the daemon and by repair, whatever else there is, and told by verify.
fn is_left_to_a_later_falcond(log: &Log, what: &str) {
    log.refused();
    let before = log_files(log.path());
    let path = log.path().to_str().unwrap();
    let run = cli(&["wal", "repair", "--yes", path]).expect(65);
    assert!(run.out.is_empty(), "nothing is told of what is lost: {}", run.out);
    assert!(run.err.contains("was written by a later falcond: ") && run.err.contains(what), "{}", run.err);
    assert!(run.err.contains("start the falcond that wrote it"), "{}", run.err);
    assert!(log_files(log.path()) == before && !log.path().join("repair-1").exists(), "no byte is changed");
    let told = cli(&["wal", "verify", path]).expect(65);
    assert!(told.out.lines().any(|line| line.contains(what)), "{}", told.out);
}

#[test]
fn a_segment_of_a_later_version_is_left_to_its_falcond() {
    for number in [0, 1] {
        let log = Log::new();
        let mut content = fs::read(log.segment(number)).unwrap();
        content[8] = 2;
        fs::write(log.segment(number), content).unwrap();
        is_left_to_a_later_falcond(&log, "it has format version 2 (this one knows 1)");
        // Damage elsewhere does not make it a matter of repair.
        flip(&log.segment(1 - number), 100);
        is_left_to_a_later_falcond(&log, "it has format version 2 (this one knows 1)");
    }
}

#[test]
fn a_snapshot_of_a_later_version_is_left_to_its_falcond_and_not_passed_over() {
    for number in [0, 1] {
        let log = Log::new();
        let master = Master::start(log.path(), &[]);
        master.cli(&["snapshot"]).expect(0);
        master.stop();
        let snapshot = files(log.path(), "snap")[number].clone();
        let mut content = fs::read(&snapshot).unwrap();
        content[8] = 2;
        fs::write(&snapshot, content).unwrap();
        is_left_to_a_later_falcond(&log, snapshot.file_name().unwrap().to_str().unwrap());
    }
}

#[test]
fn a_record_of_an_unknown_kind_or_with_an_unknown_flag_is_left_to_its_falcond() {
    for (byte, value, what) in [(36, 200, "an event of kind 200"), (37, 4, "the flags 0x4")] {
        let log = Log::new();
        rewrite(&log.segment(1), 40, byte, value);
        is_left_to_a_later_falcond(&log, what);
        // Also behind a place where the log cannot be read on: verify tells that alone, and repair sees more.
        flip(&log.segment(1), log.payload_at(1, 36));
        log.refused();
        let before = log_files(log.path());
        let run = cli(&["wal", "repair", "--yes", log.path().to_str().unwrap()]).expect(65);
        assert!(run.err.contains("written by a later falcond") && run.err.contains(what), "{}", run.err);
        assert!(log_files(log.path()) == before && !log.path().join("repair-1").exists());
    }
}

#[test]
fn it_asks_and_keeps_away_from_a_running_master() {
    let log = Log::new();
    let path = log.path().to_str().unwrap();
    let place = log.payload_at(0, 9);
    {
        let _master = Master::start(log.path(), &[]);
        cli(&["wal", "repair", "--yes", path]).expect(75);
    }
    flip(&log.segment(0), place);
    let before = log_files(log.path());
    let run = cli(&["wal", "repair", path]).expect(1);
    assert!(run.err.contains("nothing was changed") && run.err.contains("--yes"), "{}", run.err);
    assert!(run.out.contains("payload cannot be read: 1 job: 9\n"), "{}", run.out);
    assert!(log_files(log.path()) == before && !log.path().join("repair-1").exists());
    let quiet = cli(&["--output", "quiet", "wal", "repair", path]).expect(1);
    assert_eq!(quiet.out, "9\n");
    log.repair();
    let run = cli(&["wal", "repair", "--yes", path]).expect(0);
    assert!(run.out.contains("needs no repair"), "{}", run.out);
    let missing = log.path().join("missing");
    cli(&["wal", "repair", "--yes", missing.to_str().unwrap()]).expect(3);
    assert!(!missing.exists(), "to ask does not make it");
    // A second damage has a second place.
    let segment = log.segment(0);
    flip(&segment, find(&segment, b"<job 20>"));
    let told = log.repair();
    assert_eq!(lost(&told), (vec![20], vec![]));
    assert!(log.path().join("repair-2").exists());
    log.has_all_but(&[9, 20]);
}
