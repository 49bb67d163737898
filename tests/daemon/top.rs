//! `falcon-cli top` on a terminal: what is shown, what is done by key and asked back, and how it leaves.

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::*;

/// What it wrote until then, with this in it.
#[track_caller]
fn until(top: &mut OnTerminal, what: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(what) {
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
