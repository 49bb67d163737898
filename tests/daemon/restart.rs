//! What is accepted stays: across SIGTERM and `kill -9`, in every mode of `--sync`, over several
//! segments of the log, and with a damaged tail. A log whose synced middle is damaged is refused.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::harness::wire::{Job, PAYLOAD_BYTES_MAX, Submitted, Wire, job, keyed};
use crate::harness::*;

#[test]
fn sigterm_keeps_every_accepted_job() {
    everything_accepted_survives(Master::stop, "always");
}

#[test]
fn kill_9_keeps_every_accepted_job() {
    everything_accepted_survives(Master::kill, "always");
}

#[test]
fn kill_9_keeps_every_accepted_job_without_syncs() {
    everything_accepted_survives(Master::kill, "never");
}

/// Jobs of one queue that come in an order of their own, two of them later.
fn lines() -> [Job; 6] {
    [
        Job { priority: 200, ..job("line", "late") },
        job("line", "first"),
        job("line", "second"),
        Job { priority: 0, ..job("line", "urgent") },
        Job { delay_ms: 3_600_000, ..job("line", "in an hour") },
        Job { delay_ms: 2_000, ..job("slow", "delayed") },
    ]
}

#[track_caller]
fn come_in_line(wire: &mut Wire) {
    for payload in ["urgent", "first", "second", "late"] {
        let job = wire.take("line");
        assert_eq!((job.payload.as_slice(), job.attempt), (payload.as_bytes(), 1));
        assert_eq!(wire.ack(&job), 0);
    }
}

fn everything_accepted_survives(stop: fn(Master), sync: &str) {
    let dir = scratch();
    let master = Master::start(dir.path(), &["--sync", sync]);
    let mut wire = master.connect();
    let keys = ["done", "dead", "in-flight", "waiting"].map(|key| keyed(key, key));
    let first_ids = wire.put_all(&keys);
    let done = wire.take("done");
    assert_eq!(wire.ack(&done), 0);
    let dead = wire.take("dead");
    assert_eq!(wire.fail(&dead, true, "beyond hope"), 0);
    let in_flight = wire.take("in-flight");
    let ids = wire.put_all(&lines());
    stop(master);

    let master = Master::start(dir.path(), &["--sync", sync]);
    let mut wire = master.connect();
    let totals = wire.stats().totals;
    assert_eq!((totals.in_flight, totals.completed, totals.dead), (1, 1, 1));
    assert_eq!(totals.pending + totals.delayed, 7);
    for (key, id) in keys.iter().zip(&first_ids) {
        let again = wire.submit(&[Job { queue: "elsewhere".into(), ..key.clone() }]);
        assert_eq!(again, [Submitted { job: *id, duplicate: 1 }], "key {}", key.key);
    }
    come_in_line(&mut wire);
    for queue in ["line", "done", "dead", "in-flight"] {
        wire.expect_none(queue);
    }
    assert_eq!(wire.heartbeat(&in_flight).0, 0, "its lease lives on");
    assert_eq!(wire.ack(&in_flight), 0);
    let delayed = wire.take("slow");
    let newest = wire.put("line", "after the restart");
    assert!(ids.iter().chain(&first_ids).all(|id| newest > *id), "ids are never reused");

    let dump = master.dump();
    let due_at = moment(dump.last(delayed.job, "ENQUEUE"), "due_at");
    assert!(moment(dump.last(delayed.job, "DISPATCH"), "at") >= due_at, "not before its time");
    assert_eq!(dump.story(in_flight.job), ["ENQUEUE", "DISPATCH", "ACK"]);
    assert_eq!(text(dump.last(dead.job, "DEAD"), "error"), "beyond hope");
    master.stop();
}

#[test]
fn kill_9_among_submits_loses_no_answered_one() {
    for sync in ["always", "never"] {
        let dir = scratch();
        let master = Master::start(dir.path(), &["--sync", sync]);
        let accepted = Arc::new(AtomicUsize::new(0));
        let producer = |n: usize| {
            let (address, accepted) = (master.address.clone(), accepted.clone());
            move || {
                let mut wire = Wire::greeted(&address);
                let mut ids = Vec::new();
                while let Ok(Some(id)) = wire.try_put("q", &format!("from producer {n}")) {
                    ids.push(id);
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
                ids
            }
        };
        let producers: Vec<_> = (0..4).map(|n| thread::spawn(producer(n))).collect();
        wait_until("some jobs", SOON, || accepted.load(Ordering::Relaxed) >= 200);
        master.kill();
        let answered: Vec<u64> = producers.into_iter().flat_map(|p| p.join().unwrap()).collect();

        let master = Master::start(dir.path(), &["--sync", sync]);
        let dump = master.dump();
        let logged: HashSet<u64> = dump.of("ENQUEUE").iter().map(|r| number(r, "job")).collect();
        let lost: Vec<_> = answered.iter().filter(|id| !logged.contains(id)).collect();
        assert!(lost.is_empty(), "--sync {sync} lost {lost:?}");
        assert_eq!(master.stats().totals.pending, logged.len() as u64);
        master.stop();
    }
}

#[test]
fn the_log_rolls_to_further_segments_of_the_default_size() {
    rolls("67108864", 80);
}

#[test]
fn the_log_rolls_to_further_segments_of_the_least_size() {
    rolls("16777216", 40);
}

/// As many jobs of 1 MiB, each with bytes of its own, outlive a `kill -9`.
fn rolls(segment_bytes: &str, jobs: u8) {
    let args = ["--segment-bytes", segment_bytes];
    let dir = scratch();
    let master = Master::start(dir.path(), &args);
    let mut wire = master.connect();
    let payload = |n: u8| vec![n; PAYLOAD_BYTES_MAX];
    let numbers: Vec<u8> = (1..=jobs).collect();
    for batch in numbers.chunks(7) {
        let batch: Vec<Job> = batch.iter().map(|n| job("q", payload(*n))).collect();
        wire.put_all(&batch);
    }
    let bytes = u64::from(jobs) * PAYLOAD_BYTES_MAX as u64;
    let least = bytes / segment_bytes.parse::<u64>().unwrap() + 1;
    assert!(wire.stats().segments >= least, "{} segments", wire.stats().segments);
    master.kill();

    let master = Master::start(dir.path(), &args);
    let mut wire = master.connect();
    assert_eq!(wire.stats().totals.pending, u64::from(jobs));
    assert!(wire.stats().segments >= least);
    let mut seen = 0;
    while seen < jobs {
        let batch = wire.poll(&["q"], 7, 0, 60_000);
        assert!(!batch.is_empty(), "{seen} of {jobs} jobs came back");
        for job in batch {
            seen += 1;
            assert!(job.payload == payload(seen), "the payload of job {seen}");
        }
    }
    master.stop();
}

/// A log of so many jobs, each submitted by itself, behind a `kill -9`.
fn killed_log(jobs: usize) -> tempfile::TempDir {
    let dir = scratch();
    // Nothing is synced, so nothing vouches for the last records: their loss is no damage.
    let master = Master::start(dir.path(), &["--sync", "never"]);
    let mut wire = master.connect();
    for n in 1..=jobs {
        wire.put("q", marker(n));
    }
    master.kill();
    dir
}

fn marker(n: usize) -> String {
    format!("<the payload of job {n}>{}", "x".repeat(500))
}

/// These logs are short: all that is written in them is in the first bytes of their segment.
const SEARCHED_BYTES: usize = 100_000;

/// The segment that has this text, and where in it.
fn find(dir: &Path, wanted: &str) -> (PathBuf, usize) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "wal") {
            let bytes = fs::read(&path).unwrap();
            let found =
                bytes[..bytes.len().min(SEARCHED_BYTES)].windows(wanted.len()).position(|w| w == wanted.as_bytes());
            if let Some(at) = found {
                return (path, at);
            }
        }
    }
    panic!("no segment has {wanted}");
}

/// The master starts on a log with a bad tail, says so, has at least these jobs, and goes on.
fn starts_after_a_cut(dir: &Path, jobs: usize) {
    let master = Master::start(dir, &[]);
    wait_until("a warning of the cut on stderr", SOON, || {
        let said = master.stderr().to_lowercase();
        ["cut", "torn", "tail"].iter().any(|word| said.contains(word))
    });
    let mut wire = master.connect();
    let kept = wire.stats().totals.pending;
    assert!(kept >= jobs as u64, "{kept} jobs of {jobs}");
    wire.put("q", "accepted after the cut");
    master.kill();

    let master = Master::start(dir, &[]);
    let mut wire = master.connect();
    assert_eq!(wire.stats().totals.pending, kept + 1);
    for n in 1..=jobs {
        assert!(wire.take("q").payload == marker(n).as_bytes(), "the payload of job {n}");
    }
    master.stop();
}

#[test]
fn garbage_behind_the_last_record_is_cut() {
    let dir = killed_log(6);
    let (segment, _) = find(dir.path(), &marker(6));
    let mut bytes = fs::read(&segment).unwrap();
    // A record may end in zeros, and what was not written is zeros too: so this may reach into the
    // last record, and the last job does not count.
    let end = bytes[..SEARCHED_BYTES].iter().rposition(|b| *b != 0).unwrap() / 8 * 8 + 8;
    bytes[end..end + 4096].fill(0x5A);
    fs::write(&segment, bytes).unwrap();
    starts_after_a_cut(dir.path(), 5);
}

#[test]
fn a_truncated_last_record_is_cut() {
    let dir = killed_log(6);
    let (segment, at) = find(dir.path(), &marker(6));
    let file = fs::OpenOptions::new().write(true).open(segment).unwrap();
    file.set_len(at as u64 + 100).unwrap();
    drop(file);
    starts_after_a_cut(dir.path(), 5);
}

#[test]
fn a_damaged_record_that_was_synced_is_refused_and_left_as_it_is() {
    let dir = scratch();
    let master = Master::start(dir.path(), &[]);
    let mut wire = master.connect();
    for n in 1..=6 {
        wire.put("q", marker(n));
    }
    master.stop();
    // The newest one, too: a master that stops, or has nothing to do, leaves a mark behind it.
    for n in [2, 6] {
        let (segment, at) = find(dir.path(), &marker(n));
        let sound = fs::read(&segment).unwrap();
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        fs::write(&segment, &damaged).unwrap();

        let path = dir.path().to_str().unwrap();
        let run = falcond_refuses(&["--data-dir", path, "--listen", "127.0.0.1:0"], 65);
        let name = segment.file_name().unwrap().to_str().unwrap();
        assert!(run.err.contains(name), "the sentence names the segment: {}", run.err);
        assert!(fs::read(&segment).unwrap() == damaged, "a refused log is not touched");
        fs::write(&segment, &sound).unwrap();
    }
    let master = Master::start(dir.path(), &[]);
    assert_eq!(master.stats().totals.pending, 6);
    master.stop();
}
