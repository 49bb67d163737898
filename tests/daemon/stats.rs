//! `falcon-cli stats`: what is told of each queue, and the same again and again.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::*;
use serde_json::Value;

fn stats(master: &Master) -> Value {
    master.cli(&["--output", "json", "stats"]).expect(0).json().remove(0)
}

/// Three jobs of `mail`, one of which is done and one dead; one of `bulk` that waits for its time.
fn some() -> Master {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let done = wire.put_and_take("mail");
    wire.ack(&done);
    let dead = wire.put_and_take("mail");
    wire.fail(&dead, true, "no");
    master.submit(&["mail", "x"]);
    master.submit(&["bulk", "x", "--delay", "1h"]);
    master
}

#[test]
fn a_row_a_queue_tells_what_is_there_and_what_comes_and_ends() {
    let master = some();
    let table = master.cli(&["stats"]).expect(0).out;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let heading = ["QUEUE", "READY", "DELAYED", "RUNNING", "DEAD", "OLDEST", "IN/S", "OUT/S", "WORKERS"];
    assert_eq!(rows[0], heading, "{table}");
    assert_eq!(rows[1], ["bulk", "0", "1", "0", "0", "-", "0.02", "0", "0"], "{table}");
    // Whoever polled without a name of its own is a worker, too, while it is there.
    assert_eq!(
        (rows[2][..5].join(" "), rows[2][7..9].join(" ")),
        ("mail 1 0 0 1".into(), "0.05 0.03".into()),
        "{table}"
    );
    assert_eq!(
        (rows[3][..5].join(" "), rows[3][7..9].join(" ")),
        ("TOTAL 1 1 0 1".into(), "0.07 0.03".into()),
        "{table}"
    );
    assert_eq!(rows.len(), 4, "{table}");
    master.submit(&["bulk", "y", "--after", "3"]);
    let waiting = master.cli(&["stats", "bulk"]).expect(0).out;
    assert!(waiting.contains("  WAITING  ") && waiting.lines().count() == 2, "{waiting}");
    let missing = master.cli(&["stats", "bulky"]).expect(3);
    assert!(missing.err.contains("no queue \"bulky\""), "{}", missing.err);
}

#[test]
fn figures_of_late_go_by_name() {
    let master = some();
    let told = stats(&master);
    let of = |queue: &str, name: &str| told["queues"][queue][name].clone();
    assert_eq!((of("mail", "submitted_last_minute"), of("mail", "ended_last_minute")), (3.into(), 2.into()));
    assert_eq!((of("bulk", "submitted_last_minute"), of("bulk", "ended_last_minute")), (1.into(), 0.into()));
    assert_eq!((of("bulk", "oldest_ready_ms"), of("mail", "workers")), (Value::Null, 0.into()));
    let _mine = master.worker(&["--queue", "bulk", "--queue", "other"], &["true"]);
    let _more = master.worker(&["--queue", "bulk"], &["true"]);
    wait_until("two workers to poll", SOON, || stats(&master)["queues"]["bulk"]["workers"] == 2);
    let oldest = || number(&stats(&master)["queues"]["mail"], "oldest_ready_ms");
    wait_until("the job to be a second old", SOON, || oldest() > 1000);
    assert!(oldest() < 60_000);
    let unpolled = stats(&master);
    assert!(number(&unpolled["queues"]["mail"], "unpolled_ms") > 1000, "{unpolled}");
    assert_eq!(unpolled["queues"]["bulk"]["unpolled_ms"], Value::Null);
    master.cli(&["queue", "pause", "mail"]).expect(0);
    let mail = stats(&master)["queues"]["mail"].clone();
    assert_eq!((&mail["paused_out"], &mail["paused_in"]), (&1.into(), &Value::Null), "{mail}");
    let one = master.cli(&["--output", "json", "stats", "mail"]).expect(0).json().remove(0);
    assert_eq!(one["queues"].as_object().unwrap().keys().collect::<Vec<_>>(), ["mail"]);
    master.cli(&["queue", "delete", "mail", "--purge"]).expect(0);
    master.submit(&["fresh", "x"]);
    assert_eq!(number(&stats(&master)["queues"]["fresh"], "submitted_last_minute"), 1, "not those of the one before");
}

#[test]
fn the_log_is_told_where_it_is_asked_for() {
    let master = some();
    let plain = master.cli(&["stats"]).expect(0).out;
    assert!(!plain.contains("segments") && !plain.contains("log"), "{plain}");
    let log = master.cli(&["stats", "--log"]).expect(0).out;
    assert!(tells(&log, "records", &number(&stats(&master)["wal"], "records").to_string()), "{log}");
    assert!(tells(&log, "segments", "1") && tells(&log, "log bytes", "16,777,216"), "{log}");
    assert!(log.contains("\nuptime ms ") && !log.contains("READY"), "{log}");
    master.cli(&["stats", "mail", "--log"]).expect(2);
}

#[test]
fn it_is_shown_again_until_ctrl_c_or_a_closed_pipe() {
    let master = some();
    let mut cli = Command::new(FALCON_CLI);
    cli.env_remove("FALCON_MASTER").args(["--master", &master.address, "stats", "--watch", "100ms"]);
    let mut spawn = || cli.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut child = spawn();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<String> = out.by_ref().lines().take(8).map(Result::unwrap).collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("TOTAL")).count(), 2, "{lines:#?}");
    assert!(!lines.concat().contains('\u{1b}'), "{lines:#?}");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    // It may have more to write until it has seen that.
    out.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let mut child = spawn();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let status = wait_for("its end", SOON, || child.try_wait().unwrap());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    for wrong in ["1ms", "soon"] {
        master.cli(&["stats", "--watch", wrong]).expect(2);
    }
}

#[test]
fn on_a_terminal_it_is_drawn_in_its_place() {
    let master = some();
    let args = ["--master", &master.address, "stats", "--watch", "100ms"];
    let mut watch = OnTerminal::spawn(80, &[], &args);
    let mut seen = String::new();
    while seen.matches("TOTAL").count() < 3 {
        seen += &watch.read();
    }
    let frames: Vec<&str> = seen.split("\u{1b}[H").collect();
    assert!(frames.len() >= 3 && frames[0].is_empty() && frames[1].ends_with("\u{1b}[J"), "{frames:?}");
    assert!(frames[1].lines().filter(|line| line.ends_with("\u{1b}[K")).count() == 4, "{frames:?}");
    kill_process(Pid::from_child(&watch.child), Signal::INT).unwrap();
    watch.finish(0);
}
