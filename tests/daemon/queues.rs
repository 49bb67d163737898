//! `falcon-cli queue`: what holds in queues beside their jobs, and their end.

use crate::harness::*;
use serde_json::{Value, json};

fn queue(master: &Master, args: &[&str]) -> Value {
    let run = master.cli(&[&["--output", "json", "queue"], args].concat()).expect(0);
    assert_eq!(run.out.lines().count(), 1);
    run.json().remove(0)
}

#[test]
fn a_paused_queue_hands_out_nothing_until_it_is_resumed() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put("mail", "x");
    assert_eq!(queue(&master, &["pause", "mail"]), json!({"queue": "mail", "paused": "out", "for_ms": null}));
    wire.expect_none("mail");
    wire.put("mail", "y");
    assert_eq!(queue(&master, &["resume", "mail"]), json!({"queue": "mail", "resumed": "both"}));
    wire.take("mail");

    let paused = master.cli(&["queue", "pause", "mail", "--in", "--for", "10m", "--reason", "a\nb"]).expect(0);
    assert!(paused.out.contains("takes no jobs") && paused.out.contains("for 10m"), "{}", paused.out);
    let refused = master.cli(&["submit", "mail", "x"]).expect(6);
    assert!(refused.err.contains("queue resume mail"), "{}", refused.err);
    wire.take("mail");
    let known = queue(&master, &["show", "mail"]);
    assert_eq!((&known["paused_out"], &known["paused_in"]["reason"]), (&Value::Null, &"a\nb".into()));
    assert!((590_000..=600_000).contains(&number(&known["paused_in"], "left_ms")), "{known}");
    let shown = master.cli(&["queue", "show", "mail"]).expect(0).out;
    assert!(tells(&shown, "paused in", r"for 10m more: a\nb"), "{shown}");
    assert_eq!(queue(&master, &["pause", "mail", "--both"])["paused"], "both");
    assert_eq!(master.cli(&["--output", "quiet", "queue", "resume", "mail", "--in"]).expect(0).out, "mail\n");
    let known = queue(&master, &["show", "mail"]);
    assert!(known["paused_in"].is_null() && known["paused_out"]["left_ms"].is_null(), "{known}");
    assert!(known["paused_out"].is_object(), "{known}");
    master.cli(&["queue", "pause", "mail", "--in", "--out"]).expect(2);
    master.cli(&["queue", "resume", "other"]).expect(3);
}

#[test]
fn a_pause_ends_by_itself() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put("q", "x");
    master.cli(&["queue", "pause", "q", "--for", "300ms"]).expect(0);
    wire.expect_none("q");
    assert_eq!(wire.poll(&["q"], 1, 10_000, 30_000).len(), 1);
}

#[test]
fn settings_hold_for_jobs_that_say_nothing_else() {
    let master = Master::fresh(&[]);
    let set = ["--keep", "10m", "--max-attempts", "2", "--timeout", "30s", "--depth-max", "2", "--backoff", "fixed:1h"];
    let known = queue(&master, &[&["set", "q"], &set[..]].concat());
    let expected =
        json!({"keep_ms": 600_000, "backoff": "fixed:1h", "max_attempts": 2, "timeout_ms": 30_000, "depth_max": 2});
    assert_eq!(known["settings"], expected);
    let id = master.submit(&["q", "x"])[0].to_string();
    let shown = master.cli(&["--output", "json", "job", "show", &id]).expect(0).json().remove(0);
    assert_eq!((number(&shown, "max_attempts"), number(&shown, "timeout_ms")), (2, 30_000));
    master.submit(&["q", "x"]);
    assert!(master.cli(&["submit", "q", "x"]).expect(6).err.contains("full"));

    let text = master.cli(&["queue", "set", "q", "--depth-max", "default", "--ttl", "1h"]).expect(0).out;
    assert_eq!(text, "queue q: keep=10m backoff=fixed:1h max-attempts=2 timeout=30s ttl=1h\n", "the others stayed");
    master.submit(&["q", "x"]);
    let all = ["--keep", "--max-attempts", "--timeout", "--backoff", "--ttl"];
    let back: Vec<&str> = all.iter().flat_map(|option| [*option, "default"]).collect();
    let text = master.cli(&[&["queue", "set", "q"], &back[..]].concat()).expect(0).out;
    assert_eq!(text, "queue q: all as everywhere\n");
    assert_eq!(queue(&master, &["set", "q", "--dead-keep", "1h", "--bytes-max", "9"])["settings"]["bytes_max"], 9);
    assert_eq!(master.cli(&["--output", "quiet", "queue", "set", "q", "--ttl", "1h"]).expect(0).out, "q\n");
    for bad in [&["--keep", "8761h"][..], &["--dead-keep", "0s"], &["--backoff", "1s"], &["--depth-max", "-1"], &[]] {
        master.cli(&[&["queue", "set", "q"], bad].concat()).expect(2);
    }
}

#[test]
fn as_many_jobs_of_a_queue_are_in_flight_as_may_be() {
    let master = Master::fresh(&[]);
    let known = queue(&master, &["set", "q", "--running-max", "1"]);
    assert_eq!(known["settings"], json!({"running_max": 1}));
    let mut wire = master.connect();
    let got = wire.put_and_take("q");
    wire.put("q", "x");
    wire.expect_none("q");
    let why = master.cli(&["job", "explain", "2"]).expect(0).out;
    assert!(why.contains("1 job of queue \"q\" is in flight and 1 may"), "{why}");
    assert!(master.cli(&["queue", "explain", "q"]).expect(0).out.contains("--running-max default"));
    wire.ack(&got);
    assert_eq!(wire.poll(&["q"], 1, 10_000, 30_000).len(), 1);
    master.cli(&["queue", "set", "q", "--running-max", "0"]).expect(2);
    let text = master.cli(&["queue", "set", "q", "--running-max", "default"]).expect(0).out;
    assert_eq!(text, "queue q: all as everywhere\n");
}

#[test]
fn queues_are_listed() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put("mail", "x");
    let got = wire.put_and_take("bulk");
    wire.fail(&got, true, "no");
    master.cli(&["queue", "pause", "bulk"]).expect(0);
    master.cli(&["queue", "set", "mail", "--keep", "1h"]).expect(0);
    let told = master.cli(&["--output", "json", "queue", "list"]).expect(0).json();
    let names: Vec<&str> = told.iter().map(|queue| text(queue, "queue")).collect();
    assert_eq!(names, ["bulk", "mail"]);
    assert_eq!((&told[0]["dead"], &told[0]["paused_out"]["reason"]), (&json!(1), &json!("")));
    assert_eq!((&told[1]["pending"], &told[1]["settings"]), (&json!(1), &json!({"keep_ms": 3_600_000})));
    let table = master.cli(&["queue", "list"]).expect(0).out;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("QUEUE") && lines[1].contains("out") && lines[2].ends_with("keep=1h"), "{table}");
    assert_eq!(master.cli(&["--output", "quiet", "queue", "list"]).expect(0).out, "bulk\nmail\n");
    master.cli(&["queue", "show", "other"]).expect(3);
}

#[test]
fn queues_are_purged_and_deleted() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put("q", "x");
    let held = wire.take("q");
    let died = wire.put_and_take("q");
    wire.fail(&died, true, "no");
    master.submit(&["q", "x"]);
    master.submit(&["q", "x", "--delay", "1h"]);
    let asked = master.cli(&["queue", "purge", "q"]).expect(2);
    assert!(asked.err.contains("nothing was changed"), "{}", asked.err);
    assert_eq!(queue(&master, &["purge", "q", "--state", "dead", "--yes"]), json!({"done": 1, "refused": 0}));
    assert_eq!(queue(&master, &["purge", "q", "--yes"]), json!({"done": 2, "refused": 0}), "all that no worker has");
    assert!(master.cli(&["queue", "delete", "q"]).expect(6).err.contains("has 1 job;"));
    master.cli(&["queue", "delete", "q", "--purge"]).expect(6);
    assert_eq!(wire.ack(&held), 0);
    wire.put("q", "x");
    let deleted = queue(&master, &["delete", "q", "--purge"]);
    assert_eq!(deleted, json!({"queue": "q", "deleted": true, "purged": 1}));
    master.cli(&["queue", "delete", "q"]).expect(3);
    master.cli(&["queue", "purge", "q", "--yes"]).expect(3);
    assert_eq!(master.cli(&["--output", "quiet", "queue", "list"]).expect(0).out, "");
}
