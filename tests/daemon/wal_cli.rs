//! `falcon-cli snapshot` and `falcon-cli wal` from outside.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::wire::{PAYLOAD_BYTES_MAX, job};
use crate::harness::*;
use crate::logs::files;
use falconqueue::queue::Event;
use serde_json::json;

#[test]
fn a_snapshot_is_on_disk_when_it_is_told_and_told_in_three_ways() {
    let dir = scratch();
    let master = Master::start(dir.path(), &[]);
    master.submit_input(&["q", "--lines", "-"], b"a\nb\nc\n");
    let told = master.cli(&["snapshot", "--output", "json"]).expect(0).json().remove(0);
    let file = |lsn: u64| dir.path().join(format!("{lsn:020}.snap"));
    let bytes = std::fs::metadata(file(3)).expect("the snapshot at LSN 3").len();
    assert_eq!(told, json!({"lsn": 3, "bytes": bytes}));
    master.submit(&["q", "d"]);
    assert_eq!(master.cli(&["snapshot", "--output", "quiet"]).expect(0).out, "4\n");
    assert!(file(4).exists());
    let table = master.cli(&["snapshot"]).expect(0).out;
    assert!(table.contains("LSN 4") && table.contains("bytes"), "{table}");
    master.kill();
    let master = Master::start(dir.path(), &[]);
    assert_eq!(master.stats().totals.pending, 4);
}

/// `falcon-cli wal dump DIR` with these options, told as JSON.
#[track_caller]
fn dump_with(dir: &Path, options: &[&str]) -> Dump {
    let all = [&["--output", "json", "wal", "dump", dir.to_str().unwrap()], options].concat();
    Dump(cli(&all).expect(0).json())
}

fn lsns(dump: &Dump) -> Vec<u64> {
    dump.0.iter().map(|record| number(record, "lsn")).collect()
}

#[test]
fn a_dump_can_be_narrowed() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let ids = wire.put_all(&[job("q", "a"), job("q", "b"), job("q", "c")]);
    for delivery in wire.poll(&["q"], 3, 0, 30_000) {
        wire.ack(&delivery);
    }
    let dir = master.dir.as_path();
    let all = dump_with(dir, &[]);
    assert_eq!(lsns(&all), (1..=9).collect::<Vec<_>>());
    let with = |options: &[&str]| lsns(&dump_with(dir, options));
    let (first, third) = (ids[0].to_string(), ids[2].to_string());
    assert_eq!(with(&["--job", &first]), [1, 4, 7]);
    assert_eq!(with(&["--job", &first, "--job", &third]), [1, 3, 4, 6, 7, 9]);
    assert_eq!(with(&["--event", "ack"]), [7, 8, 9]);
    assert_eq!(with(&["--event", "Ack", "--event", "ENQUEUE"]), [1, 2, 3, 7, 8, 9]);
    assert_eq!(with(&["--event", "ack", "--job", &third]), [9]);
    assert_eq!(with(&["--from", "6"]), [6, 7, 8, 9]);
    for (_, name) in Event::KINDS.iter().filter(|(_, name)| !["ENQUEUE", "DISPATCH", "ACK"].contains(name)) {
        assert_eq!(with(&["--event", name]), [0; 0], "{name} is known, and not there");
    }
    assert_eq!(with(&["--from", "2", "--event", "enqueue", "--limit", "1"]), [2]);
    assert_eq!(with(&["--limit", "0"]), [0; 0]);
    assert_eq!(with(&["--from", "100"]), [0; 0]);
    let path = dir.to_str().unwrap();
    for bad in [["--event", "NOPE"], ["--job", "x"], ["--from", "-1"]] {
        cli(&[&["wal", "dump", path], &bad[..]].concat()).expect(2);
    }
}

/// `falcon-cli wal dump --follow`, quietly: the LSNs alone.
fn follow(dir: &Path, options: &[&str]) -> Process {
    let mut command = Command::new(FALCON_CLI);
    command.args(["--output", "quiet", "wal", "dump", "--follow"]).arg(dir).args(options);
    Process::spawn(&mut command, b"")
}

fn told(following: &Process) -> Vec<u64> {
    let out = following.stdout();
    let whole = out.rfind('\n').map_or("", |end| &out[..end]);
    whole.lines().map(|lsn| lsn.parse().unwrap()).collect()
}

/// Jobs of a mebibyte each, submitted and acked.
fn churn(master: &Master, jobs: usize) {
    let mut wire = master.connect();
    for _ in 0..jobs {
        wire.put("churn", vec![b'x'; PAYLOAD_BYTES_MAX]);
        let delivery = wire.take("churn");
        wire.ack(&delivery);
    }
}

#[test]
fn a_dump_that_follows_goes_on_across_segments_and_a_master_that_was_killed() {
    let dir = scratch();
    let master = Master::start(dir.path(), &["--sync", "never"]);
    master.submit(&["q", "first"]);
    let following = follow(dir.path(), &[]);
    wait_until("the first record", SOON, || told(&following) == [1]);
    master.submit(&["q", "second"]);
    wait_until("the second record", SOON, || told(&following) == [1, 2]);
    // More than a segment in one sweep, so that the roll falls between two looks or into one.
    churn(&master, 20);
    // The master may move payloads meanwhile, so there may be more than were counted.
    let last = master.stats().records;
    wait_until("the records of two segments", SOON, || told(&following).last() >= Some(&last));
    master.kill();
    let master = Master::start(dir.path(), &["--sync", "never"]);
    master.submit(&["q", "after"]);
    let last = master.stats().records;
    wait_until("a record of the next master", SOON, || told(&following).last() >= Some(&last));
    let told = told(&following);
    assert_eq!(told, (1..=told.len() as u64).collect::<Vec<_>>());
    assert_eq!(following.stderr(), "");
}

#[test]
fn a_dump_that_follows_tells_of_what_was_given_up_and_passes_it_over() {
    let dir = scratch();
    let master = Master::start(dir.path(), &["--sync", "never"]);
    let following = follow(dir.path(), &["--from", "1"]);
    let first = || files(dir.path(), "wal").first().cloned();
    let old = first();
    let mut rounds = 0;
    while first() == old {
        churn(&master, 10);
        rounds += 1;
        assert!(rounds < 20, "a segment is given up: {:?}", files(dir.path(), "wal"));
    }
    churn(&master, 40);
    master.submit(&["q", "last"]);
    // The master may move payloads meanwhile: the newest is what it counts when all of it was told.
    wait_until("the newest record", SOON, || told(&following).last() == Some(&master.stats().records));
    let told = told(&following);
    let last = *told.last().expect("a record");
    assert!(told.is_sorted_by(|a, b| a < b));
    // Whatever it has not seen, it has said so.
    let missed = last - told.len() as u64;
    let said: u64 = given_up(&following.stderr()).iter().map(|(from, to)| to - from + 1).sum();
    assert_eq!(missed, said, "{}", following.stderr());

    let quiet = ["--output", "quiet", "wal", "dump", dir.path().to_str().unwrap()];
    let run = cli(&quiet).expect(0);
    assert_eq!(given_up(&run.err)[0].0, 1, "{}", run.err);
    let said: u64 = given_up(&run.err).iter().map(|(from, to)| to - from + 1).sum();
    assert_eq!(run.out.lines().count() as u64 + said, last);
}

/// The runs of records that a dump says were given up.
fn given_up(said: &str) -> Vec<(u64, u64)> {
    let run = |line: &str| {
        let rest =
            line.strip_prefix("falcon-cli: records ")?.strip_suffix(" were given up, nothing in them was needed")?;
        let (first, last) = rest.split_once(" to ")?;
        Some((first.parse().unwrap(), last.parse().unwrap()))
    };
    said.lines().map(|line| run(line).unwrap_or_else(|| panic!("what is {line:?}?"))).collect()
}

#[test]
fn a_dump_that_follows_ends_with_its_reader() {
    let master = Master::fresh(&[]);
    master.submit(&["q", "x"]);
    let mut dump = Command::new(FALCON_CLI)
        .args(["wal", "dump", "--follow", master.dir.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(dump.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("ENQUEUE"), "{line}");
    // Nothing is appended any more: it leaves because nobody reads.
    let status = wait_for("its end", SOON, || dump.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    let limited = follow(&master.dir, &["--limit", "1"]).finish().expect(0);
    assert_eq!(limited.out, "1\n");
}

#[test]
fn dead_jobs_are_told_although_their_deaths_were_given_up() {
    let dir = scratch();
    let master = Master::start(dir.path(), &["--sync", "never"]);
    let mut wire = master.connect();
    let delivery = wire.put_and_take("bad");
    wire.fail(&delivery, true, "no route to host");
    let path = dir.path().to_str().unwrap();
    let deaths = || cli(&["--output", "quiet", "wal", "dump", path, "--event", "dead"]).expect(0);
    let told = deaths();
    assert!(told.out.lines().count() == 1 && !told.err.contains("job list"), "{told:?}");
    for _ in 0..40 {
        if deaths().out.is_empty() {
            break;
        }
        churn(&master, 10);
    }
    let told = deaths();
    assert!(told.out.is_empty() && told.err.contains("records 1 to "), "{told:?}");
    assert_eq!(told.err.matches("falcon-cli job list --state dead").count(), 1, "{told:?}");
    // What was moved is read as it was in the event.
    let job = delivery.job.to_string();
    let moves = dump_with(dir.path(), &["--event", "move", "--job", &job]);
    let part = |part: &str| moves.0.iter().rfind(|record| record["part"] == part).expect("a part that was moved");
    assert_eq!(text(part("story"), "error"), "no route to host");
    assert!(part("story").get("bytes").is_none() && part("payload").get("bytes").is_some(), "{:?}", moves.0);
    master.kill();
    let master = Master::start(dir.path(), &[]);
    let listed = master.cli(&["--output", "json", "job", "list", "--state", "dead"]).expect(0).json();
    assert_eq!((number(&listed[0], "job"), text(&listed[0], "error")), (delivery.job, "no route to host"));
}
