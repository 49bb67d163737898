//! Jobs that wait for jobs, through the command line: how they are named, shown, changed, and let go or cancelled.

use std::fs;
use std::process::Command;

use crate::harness::*;
use serde_json::{Value, json};

fn json_of(master: &Master, args: &[&str]) -> Vec<Value> {
    master.cli(&[&["--output", "json"], args].concat()).expect(0).json()
}

fn standing(master: &Master, job: &str) -> String {
    text(&json_of(master, &["job", "show", job])[0], "standing").to_owned()
}

/// Each event of a job, with the job for which it was cancelled.
fn story(master: &Master, job: &str) -> Vec<(String, Value)> {
    let events = json_of(master, &["job", "log", job]);
    events.iter().map(|event| (text(event, "event").to_owned(), event["before"].clone())).collect()
}

/// Submits the jobs of a file.
fn submit_file(master: &Master, jobs: &str) -> Run {
    let dir = scratch();
    let path = dir.path().join("jobs.json");
    fs::write(&path, jobs).unwrap();
    master.cli(&["--output", "json", "submit", "q", "--file", path.to_str().unwrap()])
}

#[test]
fn a_job_that_waits_is_submitted_in_three_ways_and_runs_after_a_restart() {
    let dir = scratch();
    let master = Master::start(dir.path(), &[]);
    master.submit(&["q", "first", "--key", "k"]);
    let table = master.cli(&["submit", "q", "second", "--after", "1,key:k"]).expect(0).out;
    assert_eq!(table.split_whitespace().collect::<Vec<_>>(), ["job", "2", "q", "submitted"]);
    let told = json_of(&master, &["submit", "q", "third", "--after", "2", "--after", "1", "--if-failed", "run"]);
    assert_eq!(told, [json!({"job": 3, "queue": "q", "key": null, "duplicate": false})]);
    let quiet = master.cli(&["--output", "quiet", "submit", "q", "last", "--after", "3", "--delay", "1h"]).expect(0);
    assert_eq!(quiet.out, "4\n");
    let shown = json_of(&master, &["job", "show", "2"]).remove(0);
    assert_eq!((&shown["after"], &shown["if_failed"]), (&json!([1]), &json!("cancel")), "one is named once");
    master.kill();

    let master = Master::start(dir.path(), &[]);
    let listed = json_of(&master, &["job", "list", "--state", "waiting", "--oldest"]);
    assert_eq!(listed.iter().map(|job| number(job, "job")).collect::<Vec<_>>(), [2, 3, 4]);
    let mut wire = master.connect();
    for job in [1, 2, 3] {
        let got = wire.take("q");
        assert_eq!(got.job, job);
        wire.expect_none("q");
        assert_eq!(wire.ack(&got), 0);
    }
    assert_eq!(standing(&master, "4"), "delayed", "its delay counts from then");
    let names: Vec<String> = story(&master, "4").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["ENQUEUE", "READY"]);
    master.stop();
}

#[test]
fn the_jobs_of_a_file_wait_for_each_other_and_for_others() {
    let master = Master::fresh(&[]);
    master.submit(&["q", "x", "--delay", "1h"]);
    let jobs = r#"[
        {"id": "a", "payload": 1},
        {"id": "b", "payload": 2, "after": ["key:a", 1], "if_failed": "wait"},
        {"id": "c", "payload": 3, "after": ["key:b", "key:a"], "if_failed": "run"}
    ]"#;
    let ids: Vec<u64> = submit_file(&master, jobs).expect(0).json().iter().map(|job| number(job, "job")).collect();
    assert_eq!(ids, [2, 3, 4]);
    for (job, after, if_failed) in [("3", [1, 2], "wait"), ("4", [2, 3], "run")] {
        let shown = json_of(&master, &["job", "show", job]).remove(0);
        let mut told: Vec<u64> = shown["after"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
        told.sort_unstable();
        assert_eq!((told.as_slice(), text(&shown, "if_failed")), (&after[..], if_failed));
        assert_eq!(text(&shown, "standing"), "waiting");
    }
    let again = submit_file(&master, jobs).expect(0).json();
    assert!(again.iter().all(|job| job["duplicate"] == json!(true)), "{again:?}");
}

#[test]
fn what_cannot_be_waited_for_is_refused_with_what_to_do() {
    let master = Master::fresh(&[]);
    master.submit(&["q", "x"]);
    let refused = |args: &[&str], status| master.cli(&[&["submit", "q", "x"], args].concat()).expect(status).err;
    for wrong in ["0", "x", "1,,2", "key:", "281474976710656"] {
        let said = refused(&["--after", wrong], 2);
        assert!(said.contains("--after") && said.contains("key"), "{wrong}: {said}");
    }
    let said = refused(&["--after", "7"], 6);
    assert!(said.contains("never was a job 7") && said.contains("newest is 1"), "{said}");
    let said = refused(&["--after", "key:k"], 6);
    assert!(said.contains("no job holds the key \"k\"") && said.contains("nothing was submitted"), "{said}");
    let said = refused(&["--if-failed", "run"], 2);
    assert!(said.contains("--after"), "{said}");
    let said = refused(&["--after", "1", "--if-failed", "stop"], 2);
    assert!(said.contains("cancel, run or wait"), "{said}");
    let forward = r#"[{"id": "a", "payload": 1, "after": ["key:b"]}, {"id": "b", "payload": 2}]"#;
    let said = submit_file(&master, forward).expect(6).err;
    assert!(said.contains("no job holds the key \"b\"") && said.contains("earlier"), "{said}");
    let itself = r#"[{"id": "a", "payload": 1, "after": ["key:a"]}]"#;
    submit_file(&master, itself).expect(6);
    let wrong = r#"[{"id": "a", "payload": 1, "after": ["b"]}]"#;
    let said = submit_file(&master, wrong).expect(2).err;
    assert!(said.contains("key:KEY") && said.contains("line 1"), "{said}");
    assert_eq!(master.stats().totals.pending, 1, "nothing was submitted");
}

#[test]
fn what_a_job_waits_for_is_shown_counted_and_explained() {
    let master = Master::fresh(&[]);
    for _ in 0..2 {
        master.submit(&["q", "x"]);
    }
    master.submit(&["q", "x", "--after", "1,2", "--if-failed", "run"]);
    let shown = master.cli(&["job", "show", "3"]).expect(0).out;
    let words: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(words.contains(&vec!["standing", "waiting"]) && words.contains(&vec!["after", "1,", "2"]), "{shown}");
    assert!(words.contains(&vec!["if", "failed", "run"]), "{shown}");
    let explain = |job: &str| master.cli(&["job", "explain", job]).expect(0).out;
    let why = explain("3");
    assert!(why.contains("it waits for job 1, which is pending, and for 1 more; `falcon-cli job show 3`"), "{why}");
    let mut wire = master.connect();
    let got = wire.take("q");
    wire.fail(&got, true, "no");
    let why = explain("3");
    assert!(why.contains("it waits for job 2, which is pending; "), "a failure is no reason to wait: {why}");
    master.submit(&["q", "x", "--after", "1", "--if-failed", "wait"]);
    let why = explain("4");
    assert!(why.contains("job 1, which is dead; `falcon-cli job requeue 1` lets that run again"), "{why}");
    assert_eq!(master.cli(&["--output", "quiet", "job", "explain", "4"]).expect(0).out, "waits\n");

    let stats = json_of(&master, &["stats"]).remove(0);
    assert_eq!((number(&stats["totals"], "waiting"), number(&stats["queues"]["q"], "waiting")), (2, 2));
    let in_column = |table: &str, column: &str| {
        let mut lines = table.lines();
        let at = lines.next().unwrap().split_whitespace().position(|word| word == column).expect("a column");
        lines.next().unwrap().split_whitespace().nth(at).unwrap().to_owned()
    };
    for args in [&["stats"][..], &["queue", "list"]] {
        let table = master.cli(args).expect(0).out;
        assert_eq!(in_column(&table, "WAITING"), "2", "{table}");
    }
    assert_eq!(number(&json_of(&master, &["queue", "list"])[0], "waiting"), 2);
}

#[test]
fn a_job_that_waits_is_changed_by_name_and_by_filter() {
    let master = Master::fresh(&[]);
    master.submit(&["q", "x", "--delay", "1h"]);
    for _ in 0..4 {
        master.submit(&["p", "x", "--after", "1"]);
    }
    let update = |args: &[&str], status| master.cli(&[&["job", "update"], args].concat()).expect(status);
    update(&["2", "--priority", "7", "--ttl", "1h", "--max-attempts", "9"], 0);
    let shown = json_of(&master, &["job", "show", "2"]).remove(0);
    assert_eq!((number(&shown, "priority"), number(&shown, "max_attempts")), (7, 9));
    let refused = update(&["2", "--delay", "1h"], 6);
    assert!(refused.out.contains("a delay can be changed of jobs that are pending or delayed"), "{}", refused.out);
    assert_eq!(update(&["--queue", "p", "--yes", "--priority", "3"], 0).out, "4 jobs were updated\n");
    assert_eq!(update(&["--queue", "p", "--yes", "--delay", "1h"], 0).out, "0 jobs were updated\n");
    master.cli(&["job", "cancel", "2"]).expect(0);
    master.cli(&["job", "purge", "3"]).expect(0);
    master.cli(&["job", "requeue", "4"]).expect(6);
    let cancelled = master.cli(&["job", "cancel", "--queue", "p", "--yes"]).expect(0);
    assert_eq!(cancelled.out, "2 jobs were cancelled\n");
    master.submit(&["p", "x", "--after", "1"]);
    assert_eq!(master.cli(&["job", "purge", "--queue", "p", "--yes"]).expect(0).out, "1 job was purged\n");
    master.submit(&["p", "x", "--after", "1"]);
    master.cli(&["queue", "delete", "p"]).expect(6);
    let deleted = master.cli(&["queue", "delete", "p", "--purge"]).expect(0);
    assert_eq!(deleted.out, "queue p is forgotten, with 1 job\n");
    assert_eq!(json_of(&master, &["stats"])[0]["totals"]["waiting"], json!(0));
}

#[test]
fn a_cascade_tells_for_whom_it_was_also_after_a_restart() {
    let dir = scratch();
    let master = Master::start(dir.path(), &[]);
    master.submit(&["q", "x"]);
    for (after, if_failed) in [("1", "cancel"), ("2", "cancel"), ("3", "run"), ("1", "wait")] {
        master.submit(&["q", "x", "--keep", "10m", "--after", after, "--if-failed", if_failed]);
    }
    let mut cli = Command::new(FALCON_CLI);
    cli.env_remove("FALCON_MASTER").args(["--master", &master.address, "wait", "3"]);
    let waits = Process::spawn(&mut cli, b"");
    let mut wire = master.connect();
    wait_until("it to wait", SOON, || wire.stats().connections == 2);
    let got = wire.take("q");
    wire.fail(&got, true, "no");
    let ended = waits.finish().expect(1);
    assert!(ended.out.contains("cancelled"), "{} {}", ended.out, ended.err);
    drop(wire);
    master.kill();

    let master = Master::start(dir.path(), &[]);
    let states: Vec<String> = ["2", "3", "4", "5"].iter().map(|job| standing(&master, job)).collect();
    assert_eq!(states, ["cancelled", "cancelled", "pending", "waiting"]);
    for (job, before) in [("2", 1), ("3", 2)] {
        let story = story(&master, job);
        assert_eq!(story[1..], [("CANCEL".to_owned(), json!(before.to_string()))], "{story:?}");
        let told = master.cli(&["job", "log", job]).expect(0).out;
        assert!(told.contains(&format!("before={before}")), "{told}");
    }
    master.cli(&["wait", "2", "3"]).expect(1);
    master.cli(&["wait", "5", "--timeout", "100ms"]).expect(4);
    master.cli(&["job", "requeue", "1"]).expect(0);
    let _worker = master.worker(&["--queue", "q"], &["true"]);
    master.cli(&["wait", "5"]).expect(0);
    master.cli(&["wait", "4"]).expect(0);
    let names: Vec<String> = story(&master, "5").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["ENQUEUE", "READY", "DISPATCH", "ACK"]);
    master.stop();
}
