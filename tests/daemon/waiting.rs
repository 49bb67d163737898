//! `falcon-cli wait`, `submit --wait` and `drain`: how jobs ended, and when nothing is left to run.

use std::process::Command;

use crate::harness::wire::*;
use crate::harness::*;
use serde_json::json;

/// A command that goes on beside the test.
fn begin(master: &Master, args: &[&str]) -> Process {
    let mut cli = Command::new(FALCON_CLI);
    Process::spawn(cli.env_remove("FALCON_MASTER").args(["--master", &master.address]).args(args), b"")
}

fn submit_kept(master: &Master, queue: &str) -> u64 {
    master.submit(&[queue, "x", "--keep", "10m"])[0]
}

/// Jobs that ended in each way: completed with a result, dead, cancelled, and completed but not kept.
fn ended(master: &Master) -> [u64; 4] {
    let mut wire = master.connect();
    let done = submit_kept(master, "q");
    let got = wire.take("q");
    assert!(matches!(wire.ask(&ack(&[(got.job, got.lease, b"the\nresult")])), Reply::Done(..)));
    let dead = submit_kept(master, "q");
    let got = wire.take("q");
    wire.fail(&got, true, "no route");
    let cancelled = submit_kept(master, "q");
    master.cli(&["job", "cancel", &cancelled.to_string()]).expect(0);
    let gone = master.submit(&["q", "x"])[0];
    let got = wire.take("q");
    wire.ack(&got);
    [done, dead, cancelled, gone]
}

#[test]
fn how_a_job_ended_is_the_exit_status() {
    let master = Master::fresh(&[]);
    let [done, dead, cancelled, gone] = ended(&master).map(|id| id.to_string());
    let pending = master.submit(&["q", "x"])[0].to_string();
    let wait = |args: &[&str], status| master.cli(&[&["wait", "--timeout", "100ms"], args].concat()).expect(status);
    wait(&[&done], 0);
    wait(&[&dead], 1);
    wait(&[&cancelled], 1);
    wait(&[&gone], 5);
    wait(&["999"], 3);
    wait(&[&pending], 4);
    wait(&[&done, &gone], 5);
    wait(&[&done, &gone, &dead], 1);
    let worst = wait(&[&done, &gone, &dead, "999"], 3);
    assert!(worst.err.contains("of 4 jobs: 1 never there, 1 dead, cancelled or expired, 1 ended"), "{}", worst.err);
    wait(&[&done, &pending], 4);
    wait(&["--any", &done, &pending], 0);
    wait(&["--any", &pending, &dead], 1);
    wait(&["--any", &pending], 4);
}

#[test]
fn ends_are_told_in_three_ways() {
    let master = Master::fresh(&[]);
    let [done, dead, _, gone] = ended(&master);
    let [d, e, g] = [done, dead, gone].map(|id| id.to_string());
    let wait = |output: &str, jobs: &[&str]| master.cli(&[&["--output", output, "wait"], jobs].concat());
    assert_eq!(wait("quiet", &[&d]).expect(0).out, "the\nresult", "one result as it is");
    assert_eq!(wait("quiet", &[&e]).expect(1).out, "");
    assert_eq!(wait("quiet", &[&d, &e]).expect(1).out, format!("{d} completed\n{e} dead\n"));
    let told = wait("json", &[&d, &e, &g, "999"]).expect(3).json();
    let expected = [
        json!({"job": done, "standing": "completed", "result": "the\nresult"}),
        json!({"job": dead, "standing": "dead", "error": "no route"}),
        json!({"job": gone, "standing": "gone"}),
        json!({"job": 999, "standing": "never-was"}),
    ];
    assert_eq!(told, expected);
    let table = wait("table", &[&d, &e]).expect(1).out;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].contains("completed") && lines[0].contains("the\\nresult"), "{table}");
    assert!(lines[1].contains("dead") && lines[1].contains("no route"), "{table}");
}

#[test]
fn a_wait_for_jobs_goes_on_over_a_restart() {
    let (home, port) = (scratch(), Port::reserve());
    let master = Master::start_at(home.path(), &port.address, &[]);
    let jobs = [submit_kept(&master, "q"), submit_kept(&master, "q")].map(|id| id.to_string());
    let waits = begin(&master, &["wait", &jobs[0], &jobs[1]]);
    let first = begin(&master, &["--output", "quiet", "wait", "--any", &jobs[0], &jobs[1]]);
    let parked = || master.connect().stats().connections >= 3;
    wait_until("both to wait", SOON, parked);
    let mut wire = master.connect();
    let got = wire.take("q");
    wire.ack(&got);
    assert_eq!(first.finish().expect(0).out, format!("{} completed\n{} pending\n", jobs[0], jobs[1]));
    master.kill();
    let master = Master::start_at(home.path(), &port.address, &[]);
    let mut wire = master.connect();
    let got = wire.take("q");
    wire.ack(&got);
    waits.finish().expect(0);
}

#[test]
fn more_jobs_are_waited_for_than_one_request_names() {
    let master = Master::fresh(&["--sync", "never"]);
    let lines = "x\n".repeat(2_500);
    let ids = master.submit_input(&["q", "--lines", "-", "--keep", "10m"], lines.as_bytes());
    let range = format!("{}-{}", ids[0], ids[2_499]);
    let waits = begin(&master, &["--output", "quiet", "wait", &range]);
    master.cli(&["job", "cancel", &range]).expect(0);
    let run = waits.finish().expect(1);
    assert_eq!(run.out.lines().filter(|line| line.ends_with(" cancelled")).count(), 2_500);
    master.cli(&["wait", "--any", &range]).expect(6);
}

#[test]
fn nothing_left_is_told_although_jobs_are_delayed_to_later() {
    let master = Master::fresh(&[]);
    master.cli(&["wait"]).expect(0);
    master.submit(&["q", "x", "--delay", "1h"]);
    let run = master.cli(&["--output", "json", "wait"]).expect(0);
    assert_eq!(run.json(), [json!({"left": 0, "delayed": 1, "died": 0, "dead": 0})]);
    assert!(run.err.contains("1 is delayed to later"), "{}", run.err);
    let mut wire = master.connect();
    wire.put("q", "x");
    let run = master.cli(&["wait", "--timeout", "200ms"]).expect(4);
    assert!(run.err.contains("after 200ms 1 job is left to run"), "{}", run.err);
    master.cli(&["wait", "--queue", "other", "--timeout", "5s"]).expect(0);
    let got = wire.take("q");
    wire.fail(&got, false, "again");
    master.cli(&["wait", "--queue", "q", "--timeout", "200ms"]).expect(4);
    master.cli(&["--output", "quiet", "wait", "--queue", "other"]).expect(0);
}

#[test]
fn jobs_that_die_meanwhile_are_no_success_also_over_a_restart() {
    let (home, port) = (scratch(), Port::reserve());
    let master = Master::start_at(home.path(), &port.address, &[]);
    master.submit(&["q", "x", "--max-attempts", "1"]);
    master.submit(&["q", "x", "--max-attempts", "1"]);
    let waits = begin(&master, &["wait"]);
    wait_until("the first answer", SOON, || waits.stderr().contains("2 jobs are left to run"));
    let mut wire = master.connect();
    let got = wire.take("q");
    wire.fail(&got, false, "no");
    master.kill();
    wait_until("the wait to notice", SOON, || waits.stderr().contains("it is waited for"));
    let master = Master::start_at(home.path(), &port.address, &[]);
    let _worker = master.worker(&["--queue", "q"], &["false"]);
    let run = waits.finish().expect(1);
    assert!(run.err.contains("2 jobs are dead, 2 of them since this wait began"), "{}", run.err);
}

/// Jobs were submitted, and have died, before anybody waits: no race decides what a script is told.
#[test]
fn jobs_that_are_dead_are_no_success_whenever_they_died() {
    let (home, port) = (scratch(), Port::reserve());
    let master = Master::start_at(home.path(), &port.address, &[]);
    let lines: String = (0..200).map(|n| format!("{n}\n")).collect();
    master.submit_input(&["q", "--lines", "-", "--max-attempts", "1"], lines.as_bytes());
    let worker = master.worker(&["--queue", "q", "--concurrency", "4"], &["sh", "-c", "read n; test $n != 7"]);
    master.wait_completed(199);
    wait_until("the other one to be dead", SOON, || master.stats().totals.dead == 1);
    drop(worker);
    let run = master.cli(&["--output", "json", "wait"]).expect(1);
    assert_eq!(run.json(), [json!({"left": 0, "delayed": 0, "died": 0, "dead": 1})]);
    let shows = "1 job is dead, 0 of them since this wait began; `falcon-cli job list --state dead` shows it";
    assert!(run.err.contains(shows), "{}", run.err);
    let of_queue = master.cli(&["wait", "--queue", "q"]).expect(1);
    assert!(of_queue.err.contains("job list --queue q --state dead"), "{}", of_queue.err);
    master.cli(&["wait", "--queue", "other"]).expect(0);
    master.kill();
    let master = Master::start_at(home.path(), &port.address, &[]);
    assert_eq!(master.cli(&["--output", "quiet", "wait"]).expect(1).out, "");
    master.cli(&["job", "purge", "--state", "dead", "--yes"]).expect(0);
    master.cli(&["wait"]).expect(0);
}

#[test]
fn a_job_that_died_while_it_was_waited_for_is_no_success_also_where_nothing_is_left_of_it() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let [first, second] = [wire.put_and_take("q"), wire.put_and_take("q")];
    let waits = begin(&master, &["wait"]);
    wait_until("the first answer", SOON, || waits.stderr().contains("2 jobs are left to run"));
    wire.fail(&first, true, "no");
    master.cli(&["job", "purge", &first.job.to_string()]).expect(0);
    wire.ack(&second);
    let run = waits.finish().expect(1);
    assert!(run.err.contains("1 job died meanwhile, and was requeued, purged or forgotten since"), "{}", run.err);
}

#[test]
fn a_wait_ends_in_time_where_no_master_is() {
    let nobody = Port::reserve();
    let wait = |args: &[&str]| cli(&[&["--master", &nobody.address, "wait"], args].concat());
    assert!(wait(&[]).expect(69).err.contains(&nobody.address));
    wait(&["7"]).expect(69);
    assert!(wait(&["--timeout", "200ms"]).expect(4).err.contains("no answer within 200ms"));
    wait(&["7", "--timeout", "200ms"]).expect(4);
    let (home, port) = (scratch(), Port::reserve());
    let master = Master::start_at(home.path(), &port.address, &[]);
    master.submit(&["q", "x"]);
    let waits = begin(&master, &["wait", "--timeout", "1s"]);
    wait_until("the first answer", SOON, || waits.stderr().contains("1 job is left"));
    master.kill();
    assert!(waits.finish().expect(4).err.contains("after 1s 1 job is left to run"));
}

#[test]
fn a_wait_says_how_far_a_job_is_when_that_changes() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let id = master.submit(&["q", "x", "--keep", "10m"])[0].to_string();
    let got = wire.take("q");
    wire.ask(&progress(got.job, got.lease, 40, "parsed\tall"));
    let waits = begin(&master, &["wait", &id]);
    let quiet = begin(&master, &["--output", "quiet", "wait", &id]);
    let first = format!("job {id} is 40% done: parsed\\tall\n");
    wait_until("what is known", SOON, || waits.stderr() == first);
    wire.ask(&progress(got.job, got.lease, 40, "parsed\tall"));
    wire.ask(&progress(got.job, got.lease, 80, ""));
    let both = format!("{first}job {id} is 80% done\n");
    wait_until("what has changed", SOON, || waits.stderr() == both);
    wire.ack(&got);
    let run = waits.finish().expect(0);
    assert_eq!((run.err, run.out.lines().count()), (both, 1));
    let run = quiet.finish().expect(0);
    assert_eq!((run.err.as_str(), run.out.as_str()), ("", ""));
}

#[test]
fn a_submit_that_waits_says_how_far_its_job_is() {
    let master = Master::fresh(&[]);
    let submit = begin(&master, &["submit", "q", "x", "--wait"]);
    let mut wire = master.connect();
    let got = wire.take("q");
    wire.ask(&progress(got.job, got.lease, 7, "begun"));
    wait_until("it to be said", SOON, || submit.stderr().contains("is 7% done: begun"));
    wire.ack(&got);
    submit.finish().expect(0);
}

#[test]
fn submit_waits_and_gives_the_result() {
    let master = Master::fresh(&[]);
    let worker = master.worker(&["--queue", "q"], &["sh", "-c", "read x; test $x != bad && printf \"$x\\0done\""]);
    let submit = |args: &[&str]| master.cli(&[&["submit", "--wait"], args].concat());
    let one = submit(&["q", "good", "--output", "quiet"]).expect(0);
    assert_eq!(one.out, "good\0done");
    let bad = submit(&["q", "bad", "--max-attempts", "1"]).expect(1);
    assert!(bad.out.contains("dead") && bad.err.contains("is dead; job "), "{bad:?}");
    let lines = master.cli_input(&["--output", "json", "submit", "q", "--lines", "-", "--wait"], b"a\nb\n").expect(0);
    let results: Vec<_> = lines.json().iter().map(|told| text(told, "result").to_owned()).collect();
    assert_eq!(results, ["a\0done", "b\0done"]);
    let id = lines.json()[0]["job"].to_string();
    let shown = master.cli(&["--output", "json", "job", "show", &id]).expect(0).json().remove(0);
    assert_eq!(number(&shown, "keep_s"), 600);
    drop(worker);
}

#[test]
fn a_drain_ends_when_nothing_is_in_flight() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let got = wire.put_and_take("q");
    let drain = begin(&master, &["drain"]);
    wait_until("the drain", SOON, || drain.stderr().contains("no more jobs are taken"));
    let refused = master.cli(&["submit", "q", "x"]).expect(6);
    assert!(refused.err.contains("drain"), "{}", refused.err);
    master.cli(&["drain", "--timeout", "100ms"]).expect(4);
    wire.ack(&got);
    assert!(drain.finish().expect(0).err.contains("no job is left to run"));
    let told = master.cli(&["--output", "json", "drain"]).expect(0).json();
    assert_eq!(told, [json!({"draining": true, "left": 0, "delayed": 0})]);
    let off = master.cli(&["--output", "json", "drain", "--off"]).expect(0).json();
    assert_eq!(off, [json!({"draining": false})]);
    assert_eq!(master.cli(&["--output", "quiet", "drain", "--off"]).expect(0).out, "");
    master.submit(&["q", "x"]);
}
