//! `falcon-cli top` on a terminal: what is shown, what is done by key and asked back, and how it leaves.

use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::*;

/// What it wrote until then, with this in it.
#[track_caller]
fn until(top: &mut OnTerminal, what: &str) -> String {
    let (mut seen, begun) = (String::new(), Instant::now());
    while !seen.contains(what) {
        // Figures that change are written all the time.
        assert!(begun.elapsed() < SOON, "it does not tell {what:?}: {seen}");
        let piece = top.read();
        assert!(!piece.is_empty(), "it ended before it told {what:?}: {seen}");
        seen += &piece;
    }
    seen
}

fn top(master: &Master, env: &[(&str, &str)]) -> OnTerminal {
    let address = &master.address;
    OnTerminal::spawn_with_keys(80, env, &["--master", address, "top", "--every", "100ms"])
}

#[test]
fn a_queue_is_shown_paused_by_key_and_left_by_q() {
    let master = Master::fresh(&[]);
    master.submit(&["mail", "x"]);
    let mut top = top(&master, &[]);
    let seen = until(&mut top, "mail");
    assert!(seen.contains("\u{1b}[?1049h"), "a screen of its own: {seen:?}");
    top.keys("p");
    until(&mut top, "Pause");
    let told = || master.cli(&["queue", "show", "mail"]).expect(0).out;
    assert!(!told().contains("paused"), "nothing before it is confirmed");
    top.keys("y");
    wait_until("the pause", SOON, || tells(&told(), "paused out", "until it is resumed: by falcon-cli top"));
    until(&mut top, "paused:");
    top.keys("p");
    until(&mut top, "Resume");
    top.keys("y");
    wait_until("its end", SOON, || !told().contains("paused"));
    top.keys("q");
    assert!(top.finish(0).contains("\u{1b}[?1049l"), "the screen is given back");
}

/// Types a key, and answers what is asked back: first no, which changes nothing, and then yes. Words are looked for one
/// by one: blanks that are there already are not written again.
fn no_and_yes(top: &mut OnTerminal, key: &str, title: &str, unchanged: impl Fn()) {
    top.keys(key);
    until(top, title);
    top.keys("n");
    until(top, "changed");
    unchanged();
    top.keys(key);
    until(top, title);
    unchanged();
    top.keys("y");
}

#[test]
fn dead_jobs_are_requeued_and_a_job_that_runs_is_cancelled_by_key() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let (died, runs) = (wire.put_and_take("mail"), wire.put_and_take("mail"));
    wire.fail(&died, true, "no route");
    let events = |name: &str| master.dump().count(name);
    let by = |job, name| text(master.dump().last(job, name), "by").to_owned();
    let mut top = top(&master, &[]);
    until(&mut top, "mail");
    no_and_yes(&mut top, "r", "Requeue", || assert_eq!(events("REQUEUE"), 0));
    wait_until("the requeue", SOON, || events("REQUEUE") == 1);
    assert!(by(died.job, "REQUEUE").starts_with("falcon-cli"));
    until(&mut top, "requeued");
    top.keys("2");
    until(&mut top, "LEASE");
    no_and_yes(&mut top, "c", "Cancel", || assert_eq!(events("CANCEL"), 0));
    wait_until("the cancel", SOON, || events("CANCEL") == 1);
    assert!(by(runs.job, "CANCEL").starts_with("falcon-cli"));
    // It goes on until its worker, who is told, reports.
    assert_eq!((wire.heartbeat(&runs).0, wire.fail(&runs, false, "stopped")), (2, 21));
    assert_eq!(events("CANCEL"), 2);
    assert_eq!((master.dump().story(died.job).last(), events("ACK")), (Some(&"REQUEUE"), 0));
    top.keys("q");
    top.finish(0);
}

#[test]
fn dead_jobs_are_requeued_by_their_error_and_none_where_there_are_none() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    for error in ["no route", "no route", "no paper"] {
        let delivery = wire.put_and_take("mail");
        wire.fail(&delivery, true, error);
    }
    let requeued = || master.dump().count("REQUEUE");
    let mut top = top(&master, &[]);
    until(&mut top, "mail");
    top.keys("4");
    // The most frequent stands first.
    until(&mut top, "route");
    no_and_yes(&mut top, "r", "Requeue", || assert_eq!(requeued(), 0));
    wait_until("the requeues", SOON, || requeued() == 2);
    until(&mut top, "requeued");
    master.cli(&["job", "requeue", "--state", "dead", "--yes"]).expect(0);
    top.keys("1");
    until(&mut top, "PAUSED");
    top.keys("r");
    until(&mut top, "there");
    assert_eq!(requeued(), 3);
    top.keys("q");
    top.finish(0);
}

#[test]
fn a_master_that_goes_away_is_told_and_comes_back() {
    let (dir, port) = (scratch(), Port::reserve());
    let master = Master::start_at(dir.path(), &port.address, &[]);
    master.submit(&["mail", "x"]);
    let mut top = top(&master, &[("NO_COLOR", "1")]);
    let mut seen = until(&mut top, "mail");
    master.kill();
    seen += &until(&mut top, "away");
    let master = Master::start_at(dir.path(), &port.address, &[]);
    master.submit(&["fresh", "x"]);
    seen += &until(&mut top, "fresh");
    assert!(!seen.contains("\u{1b}[31m") && !seen.contains("\u{1b}[38;"), "{seen:?}");
    kill_process(Pid::from_child(&top.child), Signal::TERM).unwrap();
    assert!(top.finish(0).contains("\u{1b}[?1049l"), "a signal leaves as q does");
}

#[test]
fn it_leaves_with_its_terminal() {
    let master = Master::fresh(&[]);
    master.submit(&["mail", "x"]);
    let mut top = top(&master, &[]);
    until(&mut top, "mail");
    top.hang_up();
}

#[test]
fn it_wants_a_terminal_and_a_master() {
    let master = Master::fresh(&[]);
    let refused = master.cli(&["top"]).expect(2);
    assert!(refused.err.contains("top needs a terminal, and stdout is none"), "{}", refused.err);
    assert!(master.cli(&["top", "-o", "json"]).expect(2).err.contains("stats --watch -o json"));
    master.cli(&["top", "--every", "1ms"]).expect(2);
    let args = ["--master", "127.0.0.1:1", "--retry-for", "0s", "top"];
    let seen = OnTerminal::spawn_with_keys(80, &[], &args).finish(69);
    assert!(!seen.contains('\u{1b}'), "the screen is not taken: {seen:?}");
}
