//! Groups, limits and rates, through the command line.

use crate::harness::*;
use serde_json::{Value, json};

fn json_of(master: &Master, args: &[&str]) -> Vec<Value> {
    master.cli(&[&["--output", "json"], args].concat()).expect(0).json()
}

#[test]
fn groups_have_their_turns_and_commands_know_their_group() {
    let master = Master::fresh(&[]);
    for group in ["acme", "acme", "zeta"] {
        master.submit(&["q", "x", "--group", group]);
    }
    assert_eq!(text(&json_of(&master, &["job", "show", "1"])[0], "group"), "acme");
    let listed = json_of(&master, &["job", "list", "--group", "acme", "--oldest"]);
    assert_eq!(listed.iter().map(|job| number(job, "job")).collect::<Vec<_>>(), [1, 2]);
    let why = master.cli(&["job", "explain", "3"]).expect(0).out;
    assert!(why.contains("1 group has its turn before group \"zeta\""), "{why}");
    let why = master.cli(&["queue", "explain", "q"]).expect(0).out;
    assert!(why.contains("groups that may hand out a job, in turn: 2"), "{why}");
    let mut wire = master.connect();
    let got: Vec<u64> = wire.poll(&["q"], 3, 1000, 30_000).iter().map(|got| got.job).collect();
    assert_eq!(got, [1, 3, 2]);
    let _worker = master.worker(&["--queue", "w"], &["sh", "-c", "printf %s \"$FALCON_GROUP\""]);
    let done = master.cli(&["--output", "quiet", "submit", "w", "x", "--group", "of mine", "--wait"]).expect(0);
    assert_eq!(done.out, "of mine");
    master.cli(&["submit", "q", "x", "--group", ""]).expect(2);
    master.cli(&["submit", "q", "x", "--group", &"g".repeat(65)]).expect(2);
}

#[test]
fn what_holds_for_groups_is_set_and_shown() {
    let master = Master::fresh(&[]);
    let set = "queue set q --group-weight acme=3 --group-weight =2 --group-running-max 4 --group-running-max acme=1 \
               --rate 100/s --group-rate 30/m burst 5 --strict";
    let set: Vec<&str> = set.split_whitespace().collect();
    let text = master.cli(&set).expect(0).out;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "queue q: group-running-max=4 strict=on rate=100/s group-rate=30/m burst 5");
    assert_eq!(lines[1..], ["group \"\" of queue q: weight=2", "group acme of queue q: weight=3 running-max=1"]);
    let shown = json_of(&master, &["queue", "show", "q"]).remove(0);
    let expected = json!({"group_running_max": 4, "strict": true, "rate": "100/s", "group_rate": "30/m burst 5"});
    assert_eq!(shown["settings"], expected);
    let groups = json_of(&master, &["queue", "groups", "q"]);
    assert_eq!(
        (&groups[1]["group"], &groups[1]["weight"], &groups[1]["rate"]),
        (&json!("acme"), &json!(3), &json!(null))
    );
    let table = master.cli(&["queue", "groups", "q"]).expect(0).out;
    assert!(table.lines().nth(2).is_some_and(|line| line.ends_with("weight=3 running-max=1")), "{table}");
    assert_eq!(master.cli(&["--output", "quiet", "queue", "groups", "q"]).expect(0).out, "\nacme\n");
    let back = ["queue", "set", "q", "--group-weight", "acme=default", "--strict=off", "--rate", "default"];
    let text = master.cli(&back).expect(0).out;
    assert_eq!(text, "queue q: group-running-max=4 group-rate=30/m burst 5\ngroup acme of queue q: running-max=1\n");
    for bad in [
        &["--group-weight", "3"][..],
        &["--group-weight", "acme=0"],
        &["--rate", "5"],
        &["--rate", "acme=5/s"],
        &["--group-running-max", "acme=0"],
        &["--strict=maybe"],
    ] {
        master.cli(&[&["queue", "set", "q"], bad].concat()).expect(2);
    }
    master.cli(&["queue", "groups", "other"]).expect(3);
}

#[test]
fn limits_strict_order_and_tokens_are_explained() {
    let master = Master::fresh(&[]);
    master.cli(&["queue", "set", "q", "--group-running-max", "1", "--strict", "--group-rate", "1/h"]).expect(0);
    for group in ["a", "a"] {
        master.submit(&["q", "x", "--group", group]);
    }
    let mut wire = master.connect();
    let got = wire.take("q");
    wire.expect_none("q");
    let why = master.cli(&["job", "explain", "2"]).expect(0).out;
    for said in [
        "1 job of group \"a\" is in flight and 1 may",
        "goes in strict order, and 1 job of group \"a\" is in flight",
        "group \"a\": 1/h are handed out; the next token comes in",
    ] {
        assert!(why.contains(said), "{said}: {why}");
    }
    wire.ack(&got);
    master.cli(&["queue", "set", "q", "--group-rate", "default", "--rate", "1/h"]).expect(0);
    let _running = wire.take("q");
    master.submit(&["q", "x", "--group", "b"]);
    let why = master.cli(&["job", "explain", "3"]).expect(0).out;
    assert!(why.contains("queue \"q\" hands out 1/h; its next token comes in"), "{why}");
}
