//! `falcon-cli job list`, `payload` and `result`, and the names that jobs have on the command line.

use std::fs;

use crate::harness::*;
use serde_json::{Value, json};

fn quiet(master: &Master, args: &[&str]) -> Vec<u64> {
    let run = master.cli(&[&["--output", "quiet", "job", "list"], args].concat()).expect(0);
    run.out.lines().map(|id| id.parse().unwrap()).collect()
}

/// Jobs 1 to 3 of `mail` are dead of two kinds of errors, 4 of `mail` is pending with a key, 5 of `bulk` is delayed.
fn five() -> Master {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    for error in ["order 17 not found", "order 4711 not found", "no route"] {
        let got = wire.put_and_take("mail");
        wire.fail(&got, true, error);
    }
    master.submit(&["mail", "x", "--key", "order-4"]);
    master.submit(&["bulk", "x", "--delay", "1h", "--priority", "7"]);
    master
}

#[test]
fn jobs_are_listed_by_what_is_said_of_them() {
    let master = five();
    assert_eq!(quiet(&master, &[]), [5, 4, 3, 2, 1], "the newest first");
    assert_eq!(quiet(&master, &["--oldest"]), [1, 2, 3, 4, 5]);
    assert_eq!(quiet(&master, &["--queue", "mail"]), [4, 3, 2, 1]);
    assert_eq!(quiet(&master, &["--state", "pending,delayed"]), [5, 4]);
    assert_eq!(quiet(&master, &["--state", "dead", "--state", "delayed"]), [5, 3, 2, 1]);
    assert_eq!(quiet(&master, &["--key-prefix", "order-"]), [4]);
    assert_eq!(quiet(&master, &["--older-than", "1h"]), [0; 0]);
    assert_eq!(quiet(&master, &["--newer-than", "1h"]).len(), 5);
    assert_eq!(quiet(&master, &["--error", "not found"]), [2, 1]);
    assert_eq!(quiet(&master, &["--error", "not found", "--queue", "bulk"]), [0; 0]);
    master.cli(&["job", "list", "--state", "sleeping"]).expect(2);
    master.cli(&["job", "list", "--queue", "no such"]).expect(2);
}

#[test]
fn a_list_goes_on_where_it_ended() {
    let master = five();
    let list = |args: &[&str]| master.cli(&[&["--output", "quiet", "job", "list"], args].concat()).expect(0);
    let first = list(&["--limit", "2"]);
    assert_eq!(first.out, "5\n4\n");
    assert!(first.err.contains("--from 3"), "{}", first.err);
    let rest = list(&["--from", "3"]);
    assert_eq!((rest.out.as_str(), rest.err.as_str()), ("3\n2\n1\n", ""));
    let all = list(&["--limit", "5", "--oldest"]);
    assert_eq!(all.out, "1\n2\n3\n4\n5\n");

    let lines: String = (0..2_500).map(|n| format!("{n}\n")).collect();
    let ids = master.submit_input(&["many", "--lines", "-"], lines.as_bytes());
    let told = quiet(&master, &["--queue", "many", "--limit", "2400", "--oldest"]);
    assert_eq!(told, ids[..2_400], "over several pages");
    assert_eq!(quiet(&master, &["--queue", "many"]).len(), 100);
}

#[test]
fn a_list_speaks_in_three_ways() {
    let master = five();
    let run = master.cli(&["--output", "json", "job", "list"]).expect(0);
    assert_eq!(run.out.lines().count(), 5, "one object a line");
    let told = run.json();
    let facts = |job: &Value| ["job", "queue", "standing", "priority", "key"].map(|name| job[name].clone());
    assert_eq!(json!(facts(&told[0])), json!([5, "bulk", "delayed", 7, null]));
    assert_eq!(json!(facts(&told[1])), json!([4, "mail", "pending", 128, "order-4"]));
    assert!(moment(&told[0], "due_at") > moment(&told[0], "submitted_at"));
    let dead = &told[2];
    assert_eq!((text(dead, "error"), number(dead, "attempts"), number(dead, "max_attempts")), ("no route", 1, 5));
    assert!(moment(dead, "ended_at") >= moment(dead, "submitted_at"));
    let table = master.cli(&["job", "list"]).expect(0).out;
    assert!(table.starts_with("JOB ") && table.lines().count() == 6, "{table}");
    assert!(table.lines().nth(3).is_some_and(|line| line.contains("no route") && line.contains("1/5")), "{table}");
    let none = master.cli(&["job", "list", "--queue", "other"]).expect(0);
    assert_eq!(none.out.lines().count(), 1);
}

#[test]
fn jobs_are_counted_by_their_errors() {
    let master = five();
    let kinds = master.cli(&["--output", "json", "job", "list", "--by", "error"]).expect(0).json();
    assert_eq!(kinds.len(), 2);
    assert_eq!((number(&kinds[0], "count"), number(&kinds[1], "count")), (2, 1));
    assert_eq!(text(&kinds[1], "error"), "no route");
    let kind = text(&kinds[0], "error_kind");
    assert_eq!(quiet(&master, &["--error-kind", kind]), [2, 1]);
    let table = master.cli(&["job", "list", "--by", "error"]).expect(0).out;
    assert!(table.contains(kind) && table.lines().count() == 3, "{table}");
    let lines = master.cli(&["--output", "quiet", "job", "list", "--by", "error"]).expect(0).out;
    assert!(lines.starts_with(&format!("2 {kind}\n")), "{lines}");
    master.cli(&["job", "list", "--by", "error", "--limit", "5"]).expect(2);
    master.cli(&["job", "list", "--error-kind", "xyz"]).expect(2);
}

#[test]
fn payloads_and_results_come_as_they_are() {
    let master = Master::fresh(&[]);
    let home = scratch();
    let path = home.path().join("payload");
    fs::write(&path, b"a\0b\r\nc").unwrap();
    let id = master.submit(&["q", "--payload-file", path.to_str().unwrap(), "--keep", "10m"])[0].to_string();
    for output in ["table", "json", "quiet"] {
        assert_eq!(master.cli(&["--output", output, "job", "payload", &id]).expect(0).out, "a\0b\r\nc");
    }
    assert!(master.cli(&["job", "result", &id]).expect(6).err.contains("pending"));
    let _worker = master.worker(&["--queue", "q"], &["cat"]);
    master.cli(&["wait", &id]).expect(0);
    assert_eq!(master.cli(&["--output", "json", "job", "result", &id]).expect(0).out, "a\0b\r\nc");
    master.cli(&["job", "payload", "999"]).expect(3);
    master.cli(&["job", "result", "999"]).expect(3);
}

#[test]
fn jobs_have_names() {
    let master = five();
    let show = |name: &str| master.cli(&["--output", "json", "job", "show", name]).expect(0).json()[0]["job"].clone();
    assert_eq!([show("4"), show("key:order-4"), show("last")], [4, 4, 5].map(Value::from));
    let of_mail = master.cli(&["--output", "json", "job", "show", "last", "--queue", "mail"]).expect(0);
    assert_eq!(of_mail.json()[0]["job"], 4);
    let from_stdin = master.cli_input(&["--output", "json", "job", "show", "-"], b" 3\n").expect(0);
    assert_eq!(from_stdin.json()[0]["job"], 3);

    let ids = |names: &[&str], input: &[u8]| {
        let args = [&["--output", "quiet", "job", "purge", "--dry-run"], names].concat();
        master.cli_input(&args, input).expect(0).out
    };
    assert_eq!(ids(&["3-5", "1", "last", "key:order-4"], b""), "3\n4\n5\n1\n", "each once");
    assert_eq!(ids(&["-"], b"2 4-5\nkey:order-4\n"), "2\n4\n5\n");
    assert_eq!(ids(&["last", "--queue", "mail"], b""), "4\n");

    for (args, status) in [
        (&["show", "3-4"][..], 2),
        (&["show", "4", "--queue", "mail"], 2),
        (&["show", "0"], 3),
        (&["show", "key:nobody"], 3),
        (&["show", "last", "--queue", "other"], 3),
        (&["purge", "1-200000"], 2),
        (&["purge", "1-60000", "100000-160000"], 2),
        (&["purge", "9-1"], 2),
        (&["log", "key:nobody"], 3),
    ] {
        master.cli(&[&["job"], args].concat()).expect(status);
    }
    master.cli_input(&["job", "show", "-"], b"1 -").expect(2);
    assert_eq!(quiet(&master, &[]).len(), 5, "nothing was purged");
}
