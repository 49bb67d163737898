//! Batches, and jobs that wait for them, through the command line.

use serde_json::{Value, json};

use crate::harness::*;

fn json_of(master: &Master, args: &[&str]) -> Value {
    master.cli(&[&["--output", "json"], args].concat()).expect(0).json().remove(0)
}

#[test]
fn lines_become_a_batch_and_what_is_submitted_behind_it_runs_last() {
    let master = Master::fresh(&[]);
    let dir = scratch();
    let lines = dir.path().join("lines");
    std::fs::write(&lines, "a\nb\nc\n").unwrap();
    master.cli(&["submit", "q", "--lines", lines.to_str().unwrap(), "--batch", "letters"]).expect(0);
    master.cli(&["submit", "last", "x", "--after", "batch:letters", "--keep", "1h"]).expect(0);
    let shown = json_of(&master, &["batch", "show", "letters"]);
    let told = (&shown["state"], &shown["members"], &shown["left"], &shown["figures"]["pending"]);
    assert_eq!(told, (&json!("running"), &json!(3), &json!(3), &json!(3)));
    assert_eq!(json_of(&master, &["job", "show", "1"])["batch"], json!("letters"));
    let why = master.cli(&["job", "explain", "4"]).expect(0).out;
    assert!(why.contains("it waits for batch \"letters\""), "{why}");
    assert_eq!(json_of(&master, &["job", "list", "--state", "waiting"])["job"], json!(4));
    let waited = master.cli(&["batch", "wait", "letters", "--timeout", "100ms"]).expect(4);
    assert!(waited.err.contains("3 jobs of batch letters are left"), "{}", waited.err);
    let _worker = master.worker(&["--queue", "q", "--queue", "last"], &["true"]);
    let waited = master.cli(&["batch", "wait", "letters"]).expect(0);
    assert!(waited.err.contains("all 3 jobs of batch letters were completed"), "{}", waited.err);
    master.cli(&["wait", "4"]).expect(0);
    let row = json_of(&master, &["batch", "list"]);
    assert_eq!((&row["batch"], &row["state"], &row["failed"]), (&json!("letters"), &json!("over"), &json!(0)));
    let again = master.cli(&["submit", "q", "x", "--batch", "letters"]).expect(6);
    assert!(again.err.contains("has ended and takes no more jobs; take another name"), "{}", again.err);
}

#[test]
fn a_batch_is_filled_by_several_commands_and_its_failures_are_told() {
    let master = Master::fresh(&[]);
    master.cli(&["submit", "q", "one", "--batch", "night", "--keep-open", "--max-attempts", "1"]).expect(0);
    let why = master.cli(&["job", "explain", "1"]).expect(0).out;
    assert!(why.contains("batch \"night\", which is open; `falcon-cli batch end night` ends it"), "{why}");
    let begun = json_of(&master, &["batch", "begin", "night"]);
    assert_eq!(begun, json!({"batch": "night", "members": 1}));
    assert_eq!(master.cli(&["--output", "quiet", "batch", "end", "night"]).expect(0).out, "running\n");
    let _worker = master.worker(&["--queue", "q"], &["false"]);
    let waited = master.cli(&["batch", "wait", "night"]).expect(1);
    assert!(waited.err.contains("1 job of 1 of batch night did not complete"), "{}", waited.err);
    let table = master.cli(&["batch", "show", "night"]).expect(0).out;
    assert!(tells(&table, "ended", "1 (100 %)") && tells(&table, "dead", "1"), "{table}");
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    let master = Master::fresh(&[]);
    for (args, status, text) in [
        (&["batch", "show", "none"][..], 3, "there is no batch \"none\""),
        (&["batch", "end", "a b"], 2, "batch name"),
        (&["submit", "q", "x", "--after", "batch:none"], 6, "there is no batch \"none\""),
        (&["submit", "q", "x", "--keep-open"], 2, "--batch"),
        (&["submit", "q", "x", "--batch", "b", "--after", "batch:b"], 6, "cannot wait for that batch"),
    ] {
        let run = master.cli(args).expect(status);
        assert!(run.err.contains(text), "{args:?}: {}", run.err);
    }
    master.cli(&["batch", "cancel", "b"]).expect(0);
    let shown = json_of(&master, &["batch", "show", "b"]);
    assert_eq!(shown["state"], json!("cancelled"));
    master.cli(&["submit", "q", "x", "--batch", "b"]).expect(6);
}
