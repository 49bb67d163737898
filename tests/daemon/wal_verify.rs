//! `falcon-cli wal verify` and `falcon-cli wal stats` from outside, on live and on stopped masters' directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use rustix::process::Signal;

use crate::harness::wire::{PAYLOAD_BYTES_MAX, job};
use crate::harness::*;
use crate::logs::{contents, copy, files, find, flip, put};
use serde_json::{Value, json};

fn wal(command: &str, dir: &Path) -> Run {
    cli(&["--output", "json", "wal", command, dir.to_str().unwrap()])
}

/// What `verify` tells of a directory that is whole.
#[track_caller]
fn verified(dir: &Path) -> Value {
    wal("verify", dir).expect(0).json().remove(0)
}

/// The faults that `verify` tells of: file and offset.
#[track_caller]
fn faults(dir: &Path) -> Vec<(String, u64)> {
    let run = wal("verify", dir).expect(65);
    run.json().iter().map(|fault| (text(fault, "file").to_owned(), number(fault, "offset"))).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// A directory with three segments, two snapshots and 40 jobs, whose payloads begin with `job N,`; the master
/// has stopped.
fn three_segments() -> tempfile::TempDir {
    // Made once for all tests.
    static MADE: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| {
        let dir = scratch();
        let master = Master::start(dir.path(), &[]);
        let mut wire = master.connect();
        for n in 0..40 {
            let mut payload = format!("job {n},").into_bytes();
            payload.resize(PAYLOAD_BYTES_MAX, b'.');
            wire.put("q", payload);
            if [20, 39].contains(&n) {
                master.cli(&["snapshot"]).expect(0);
            }
        }
        master.stop();
        assert_eq!((files(dir.path(), "wal").len(), files(dir.path(), "snap").len()), (3, 2));
        contents(dir.path())
    });
    let dir = scratch();
    put(&MADE, dir.path());
    dir
}

#[test]
fn ctrl_c_ends_a_look_and_a_repair_that_take_long_and_says_how_to_go_on() {
    let dir = three_segments();
    let before = contents(dir.path());
    // A segment whose reader waits as long as somebody has it open to write.
    let slow = dir.path().join(format!("{:020}.wal", 1000));
    for (command, goes_on) in [("verify", "nothing was changed"), ("repair", "the log is as it was")] {
        assert!(Command::new("mkfifo").arg(&slow).status().expect("mkfifo").success());
        let look = Process::spawn(Command::new(FALCON_CLI).args(["wal", command]).arg(dir.path()), b"");
        let held = fs::File::options().write(true).open(&slow).expect("a look that is under way");
        look.signal(Signal::INT);
        drop(held);
        // Whoever comes to open it only now does not wait.
        drop(fs::File::options().read(true).write(true).open(&slow));
        let run = look.finish().expect(1);
        let told = ["stopped by Ctrl-C after ", " read; ", goes_on, "the same command begins anew"];
        assert!(told.iter().all(|words| run.err.contains(words)) && run.out.is_empty(), "{run:?}");
        fs::remove_file(&slow).unwrap();
        assert!(
            contents(dir.path())
                .iter()
                .filter(|(name, _)| !name.ends_with("lock"))
                .eq(before.iter().filter(|(name, _)| !name.ends_with("lock")))
        );
    }
    cli(&["wal", "verify", dir.path().to_str().unwrap()]).expect(0);
}

#[test]
fn a_whole_log_is_counted_and_left_as_it_is() {
    let dir = three_segments();
    let before = contents(dir.path());
    let told = verified(dir.path());
    let bytes: u64 = ["wal", "snap"]
        .iter()
        .flat_map(|extension| files(dir.path(), extension))
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    let expected = json!({"segments": 3, "records": 40, "snapshots": 2, "bytes": bytes, "torn": []});
    assert_eq!(told, expected);
    assert!(contents(dir.path()) == before, "nothing was changed");
    let path = dir.path().to_str().unwrap();
    let table = cli(&["wal", "verify", path]).expect(0);
    assert!(table.out.contains("3 segments, 40 records, 2 snapshots") && table.err.is_empty(), "{table:?}");
    cli(&["wal", "verify", dir.path().join("missing").to_str().unwrap()]).expect(3);
}

#[test]
fn each_fault_is_told_with_its_file_and_byte() {
    let dir = three_segments();
    let (segments, snapshots) = (files(dir.path(), "wal"), files(dir.path(), "snap"));
    let payload = |segment: usize, n: usize| find(&segments[segment], format!("job {n},").as_bytes());
    // The head of an ENQUEUE to the queue `q` without a key, before its payload.
    let record = |payload_at: u64| payload_at - 40 - 29;
    let (first, third) = (payload(0, 3), payload(2, 35));
    flip(&segments[0], first + 70_000);
    flip(&segments[2], third);
    flip(&snapshots[0], 100);
    let spoiled = contents(dir.path());
    let expected =
        [(name(&snapshots[0]), 48), (name(&segments[0]), record(first)), (name(&segments[2]), record(third))];
    let mut found = faults(dir.path());
    found.sort();
    let mut sorted = expected.to_vec();
    sorted.sort();
    assert_eq!(found, sorted);
    let told = cli(&["wal", "verify", dir.path().to_str().unwrap()]).expect(65);
    assert_eq!(told.out.lines().count(), 3, "{}", told.out);
    assert!(told.err.contains("3 faults"), "{}", told.err);
    assert!(contents(dir.path()) == spoiled, "nothing was changed");
    // What is a fault here is one for the daemon.
    falcond_refuses(&["--data-dir", dir.path().to_str().unwrap(), "--listen", "127.0.0.1:0"], 65);
}

#[test]
fn a_missing_segment_and_a_spoiled_header_are_faults() {
    let dir = three_segments();
    let other = scratch();
    copy(dir.path(), other.path());
    let segments = files(dir.path(), "wal");
    fs::remove_file(&segments[1]).unwrap();
    let run = wal("verify", dir.path()).expect(65);
    assert_eq!(run.json().len(), 1, "{}", run.out);
    let second = other.path().join(name(&segments[1]));
    flip(&second, 20);
    assert_eq!(faults(other.path()), [(name(&second), 0)]);
}

#[test]
fn a_torn_tail_is_a_warning() {
    let dir = scratch();
    let master = Master::start(dir.path(), &["--sync", "never"]);
    let mut wire = master.connect();
    for n in 0..5 {
        wire.put("q", format!("payload {n}"));
    }
    // With --sync never nothing in the log says that anything is durable.
    master.kill();
    let segment = files(dir.path(), "wal").remove(0);
    let last = find(&segment, b"payload 4");
    flip(&segment, last);
    let before = contents(dir.path());
    let run = wal("verify", dir.path()).expect(0);
    assert_eq!((number(&run.json()[0], "records"), run.json()[0]["torn"].as_array().unwrap().len()), (4, 1));
    assert!(run.err.contains(&name(&segment)) && run.err.contains("cuts the log there"), "{}", run.err);
    assert!(contents(dir.path()) == before, "nothing was changed");
    let master = Master::start(dir.path(), &[]);
    assert_eq!(master.stats().totals.pending, 4, "the daemon does what was said");
}

#[test]
fn a_busy_master_s_log_is_whole() {
    let dir = scratch();
    let master = Master::start(dir.path(), &[]);
    let address = master.address.clone();
    let busy = thread::spawn(move || {
        let mut wire = crate::harness::wire::Wire::greeted(&address);
        for n in 0..300 {
            wire.put_all(&[job("q", vec![b'x'; 300_000]), job("q", format!("{n}"))]);
            for delivery in wire.poll(&["q"], 2, 0, 30_000) {
                wire.ack(&delivery);
            }
        }
    });
    let mut looks = 0;
    while !busy.is_finished() || looks < 3 {
        verified(dir.path());
        wal("stats", dir.path()).expect(0);
        looks += 1;
    }
    busy.join().unwrap();
    master.kill();
    verified(dir.path());
}

#[test]
fn stats_tell_what_lives_where() {
    let dir = three_segments();
    let master = Master::start(dir.path(), &[]);
    let mut wire = master.connect();
    // So few that what lives is not worth moving yet.
    for delivery in wire.poll(&["q"], 2, 0, 60_000) {
        wire.ack(&delivery);
    }
    let told = wal("stats", dir.path()).expect(0).json().remove(0);
    let segments = told["segments"].as_array().unwrap();
    let live = 56 + PAYLOAD_BYTES_MAX as u64;
    let first = &segments[0];
    let in_first = number(first, "last_lsn");
    let alive = in_first - 2;
    assert_eq!((number(first, "first_lsn"), number(first, "records")), (1, in_first));
    assert_eq!((number(first, "live_jobs"), number(first, "live_bytes")), (alive, alive * live));
    assert_eq!(number(first, "oldest_live_job"), 3);
    let (used, dead) = (number(first, "used_bytes"), number(first, "dead_bytes"));
    assert_eq!((dead, number(first, "bytes")), (used - alive * live, 16 << 20));
    let sum = |field: &str| segments.iter().map(|segment| number(segment, field)).sum::<u64>();
    for field in ["records", "used_bytes", "live_bytes", "dead_bytes", "live_jobs"] {
        assert_eq!(number(&told["totals"], field), sum(field), "{field}");
    }
    assert_eq!(number(&told["totals"], "live_jobs"), 38);
    let on_disk: Vec<Value> = files(dir.path(), "snap")
        .iter()
        .map(|path| {
            let lsn: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            json!({"lsn": lsn, "bytes": fs::metadata(path).unwrap().len()})
        })
        .collect();
    assert_eq!(told["snapshots"], json!(on_disk));
    let path = dir.path().to_str().unwrap();
    let table = cli(&["wal", "stats", path]).expect(0).out;
    assert_eq!(table.lines().count(), 1 + segments.len() + 1 + on_disk.len(), "{table}");
    let quiet = cli(&["--output", "quiet", "wal", "stats", path]).expect(0).out;
    assert_eq!(quiet.split_whitespace().count(), 6, "{quiet}");
    master.stop();
}
