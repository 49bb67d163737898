//! Each command in those of its three outputs, and with those refusals, that no other file here looks at.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread;

use crate::harness::*;
use serde_json::json;

/// Every command that asks a master, with what it needs.
const COMMANDS: [&[&str]; 35] = [
    &["submit", "q", "x"],
    &["submit", "q", "x", "--wait"],
    &["stats"],
    &["snapshot"],
    &["backup", "no/such/place"],
    &["wait"],
    &["wait", "7"],
    &["drain"],
    &["drain", "--off"],
    &["job", "show", "7"],
    &["job", "explain", "7"],
    &["job", "list"],
    &["job", "list", "--by", "error"],
    &["job", "payload", "7"],
    &["job", "result", "last"],
    &["job", "log", "7"],
    &["job", "requeue", "7-9"],
    &["job", "cancel", "key:order-1001"],
    &["job", "purge", "--state", "dead", "--yes"],
    &["job", "update", "7", "--priority", "1"],
    &["job", "progress", "40", "--job", "7", "--lease", "9"],
    &["job", "alive", "--job", "7", "--lease", "9"],
    &["queue", "list"],
    &["queue", "show", "q"],
    &["queue", "explain", "q"],
    &["queue", "pause", "q"],
    &["queue", "resume", "q"],
    &["queue", "set", "q", "--keep", "1h"],
    &["queue", "purge", "q", "--yes"],
    &["queue", "delete", "q"],
    &["worker", "list"],
    &["worker", "show", "mine"],
    &["worker", "quiet", "mine"],
    &["worker", "resume", "all"],
    &["worker", "stop", "mine"],
];

#[test]
fn every_command_ends_with_69_where_no_master_is() {
    let nobody = Port::reserve();
    let address = nobody.address.as_str();
    // Each tries for a second, so they try at once.
    thread::scope(|scope| {
        for command in COMMANDS {
            scope.spawn(move || {
                let run = cli(&[&["--master", address], command].concat()).expect(69);
                assert_eq!(run.out, "", "{command:?}");
                assert!(run.err.contains(address), "{command:?} names the address: {}", run.err);
            });
        }
    });
}

#[test]
fn a_command_without_the_token_is_refused() {
    let home = scratch();
    let token = home.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let master = Master::fresh(&["--token-file", token.to_str().unwrap()]);
    for command in [&["stats"][..], &["wait"], &["job", "show", "7"], &["worker", "stop", "all"]] {
        master.cli(command).expect(77);
    }
    let refused = master.worker(&["--queue", "q"], &["true"]).finish().expect(77);
    assert_eq!(refused.out, "");
}

/// The outputs of a command: table, JSON, quiet.
fn faces(master: &Master, command: &[&str]) -> [Run; 3] {
    ["table", "json", "quiet"].map(|output| master.cli(&[&["--output", output], command].concat()).expect(0))
}

#[test]
fn what_changes_a_queue_says_so_in_three_ways() {
    let master = Master::fresh(&[]);
    let [table, json, quiet] = faces(&master, &["queue", "pause", "q"]);
    assert!(
        table.out.starts_with("queue q hands out no jobs") && table.out.contains("queue resume q"),
        "{}",
        table.out
    );
    assert_eq!(
        (json.json(), quiet.out.as_str()),
        (vec![json!({"queue": "q", "paused": "out", "for_ms": null})], "q\n")
    );
    let [table, json, quiet] = faces(&master, &["queue", "explain", "q"]);
    assert!(table.out.contains("is paused"), "{}", table.out);
    assert_eq!((&json.json()[0]["cause"], quiet.out.lines().next()), (&json!("paused"), Some("paused")));
    let [table, json, quiet] = faces(&master, &["queue", "resume", "q"]);
    assert_eq!(table.out, "queue q takes jobs, and hands them out\n");
    assert_eq!((json.json(), quiet.out.as_str()), (vec![json!({"queue": "q", "resumed": "both"})], "q\n"));
    let [table, json, quiet] = faces(&master, &["queue", "show", "q"]);
    assert!(tells(&table.out, "pending", "0"), "{}", table.out);
    assert_eq!((&json.json()[0]["pending"], quiet.out.as_str()), (&json!(0), "q\n"));

    let purge = |output: &str| {
        master.submit(&["q", "x"]);
        master.cli(&["--output", output, "queue", "purge", "q", "--yes"]).expect(0).out
    };
    assert_eq!([purge("table"), purge("quiet")], ["1 job was purged\n", "1\n"]);
    let delete = |output: &str| {
        master.submit(&["q", "x"]);
        master.cli(&["--output", output, "queue", "delete", "q", "--purge"]).expect(0).out
    };
    assert_eq!([delete("table"), delete("quiet")], ["queue q is forgotten, with 1 job\n", "q\n"]);
}

#[test]
fn workers_and_counts_are_told_in_three_ways() {
    let master = Master::fresh(&[]);
    let _mine = master.worker(&["--queue", "q", "--name", "mine"], &["sh"]);
    wait_until("it to be there", SOON, || master.cli(&["worker", "show", "mine"]).status == 0);
    let [table, json, quiet] = faces(&master, &["worker", "show", "mine"]);
    assert!(tells(&table.out, "worker", "mine"), "{}", table.out);
    assert_eq!((&json.json()[0]["name"], quiet.out.as_str()), (&json!("mine"), "mine\n"));
    let [table, json, quiet] = faces(&master, &["worker", "resume", "mine"]);
    assert_eq!(table.out, "1 worker is told to resume, with its next sign of life\n");
    assert_eq!((json.json(), quiet.out.as_str()), (vec![json!({"workers": 1})], "1\n"));
    let [table, json, quiet] = faces(&master, &["stats"]);
    assert!(table.out.starts_with("QUEUE") && json.out.lines().count() == 1, "{}", table.out);
    assert_eq!(quiet.out, "0 0 0 0 0 0 0\n");
}

#[test]
fn changes_by_filter_are_tried_in_three_ways() {
    let master = Master::fresh(&[]);
    master.submit(&["q", "x"]);
    for (command, done) in [("cancel", "cancelled"), ("purge", "purged")] {
        let [table, json, quiet] = faces(&master, &["job", command, "--queue", "q", "--state", "pending", "--dry-run"]);
        assert_eq!(table.out, format!("1 job would be {done}\n"));
        assert_eq!((json.json(), quiet.out.as_str()), (vec![json!({"count": 1})], "1\n"));
    }
    assert_eq!(master.stats().totals.pending, 1);
    let alone = master.cli(&["job", "requeue", "1"]).expect(6);
    assert!(alone.err.contains("the job was not requeued"), "{}", alone.err);
}

#[test]
fn how_far_a_job_is_is_taken_in_three_ways() {
    let master = Master::fresh(&[]);
    let got = master.connect().put_and_take("q");
    let (id, lease) = (got.job.to_string(), got.lease.to_string());
    let [table, json, quiet] = faces(&master, &["job", "progress", "40", "--job", &id, "--lease", &lease]);
    assert_eq!([table.out, quiet.out], ["", ""], "stdout is the job's result");
    assert_eq!(json.json(), [json!({"job": got.job, "lease": got.lease, "percent": 40})]);
}

#[test]
fn an_empty_stdin_names_no_job_and_has_no_line() {
    let master = Master::fresh(&[]);
    assert_eq!(master.submit_input(&["q", "--lines", "-"], b""), [0; 0]);
    let empty = master.submit_input(&["q", "-"], b"")[0].to_string();
    assert_eq!(master.cli(&["job", "payload", &empty]).expect(0).out, "");
    for command in [&["job", "purge", "-"][..], &["job", "requeue", "-"], &["wait", "-"]] {
        assert_eq!(master.cli(command).expect(0).out, "", "{command:?}");
    }
    let none = master.cli(&["job", "show", "-"]).expect(2);
    assert!(none.err.contains("0 jobs are named"), "{}", none.err);
    assert_eq!(master.stats().totals.pending, 1);
}

#[test]
fn options_that_contradict_each_other_are_bad_usage() {
    let bad: [&[&str]; 12] = [
        &["submit", "q", "x", "--payload-file", "f"],
        &["submit", "q", "--lines", "-", "--key", "k"],
        &["submit", "q", "--file", "f", "--keep", "1h"],
        &["wait", "--any"],
        &["drain", "--off", "--timeout", "1s"],
        &["job", "list", "--by", "error", "--oldest"],
        &["job", "update", "7"],
        &["job", "alive", "--job", "7"],
        &["queue", "resume", "q", "--in", "--both"],
        &["queue", "set", "q"],
        &["worker", "quiet"],
        &["worker", "stop", ""],
    ];
    for args in bad {
        let run = cli(args).expect(2);
        assert_eq!(run.out, "", "{args:?}");
    }
}

/// The first line of a command's output, whose reader has then seen enough; it must leave with 0, without a word.
fn head(master: &Master, command: &[&str]) -> String {
    let mut cli = Command::new(FALCON_CLI);
    cli.env_remove("FALCON_MASTER").args(["--master", &master.address]).args(command);
    let mut child = cli.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let status = wait_for("its end", SOON, || child.try_wait().unwrap());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{command:?}");
    line
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let master = Master::fresh(&["--sync", "never"]);
    let lines: String = (0..3_000).map(|n| format!("{n}\n")).collect();
    let ids = master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
    let newest = ids.last().unwrap();
    let list = ["job", "list", "--limit", "5000", "--output"];
    assert!(head(&master, &[&list[..], &["table"]].concat()).trim_start().starts_with("JOB  QUEUE  STATE"));
    assert!(head(&master, &[&list[..], &["json"]].concat()).starts_with(&format!("{{\"job\":{newest},")));
    assert_eq!(head(&master, &[&list[..], &["quiet"]].concat()), format!("{newest}\n"));
    let payload = format!("first\n{}", "x".repeat(500_000));
    let id = master.submit_input(&["q", "-"], payload.as_bytes())[0].to_string();
    assert_eq!(head(&master, &["job", "payload", &id]), "first\n");
    let range = format!("{}-{newest}", ids[0]);
    assert_eq!(head(&master, &["job", "cancel", &range, "--output", "quiet"]), format!("{}\n", ids[0]));
    assert_eq!(master.stats().totals.cancelled, 3_000, "all were changed");
}
