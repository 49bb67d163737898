//! Ctrl-C in `falcon-cli wal repair`, at each place where it opens the log: it ends, and the directory is as it was,
//! until the files are exchanged; from then on it is carried through.
//!
//! The signal comes from strace, which sends it as the call is made.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::faults::{or_skip, strace};
use crate::harness::*;
use crate::logs::{contents, files, find, flip};

/// The log is opened no more often than this before it is exchanged.
const OPENS_MAX: usize = 200;

/// A log that falcond refuses: the payload of job 1 is spoiled, jobs 2 and 3 are whole.
fn spoil(dir: &Path) {
    let master = Master::start(dir, &["--segment-bytes", "16777216"]);
    let mut wire = master.connect();
    wire.put("q", "<spoiled>");
    wire.put("q", "<two>");
    master.cli(&["snapshot"]).expect(0);
    wire.put("q", "<three>");
    // A mark vouches for the newest record, with a sync of its own.
    let syncs = wire.stats().syncs;
    wait_until("the mark of a log that has fallen silent", SOON, || wire.stats().syncs > syncs);
    master.kill();
    let segment = files(dir, "wal")[0].clone();
    flip(&segment, find(&segment, b"<spoiled>"));
}

/// Repairs, with Ctrl-C as the log's segment is opened for the `nth` time.
fn stopped_at(nth: usize, dir: &Path, calls: &Path) -> Run {
    let mut command = Command::new("strace");
    command.args(["-f", "-q", "-e", "trace=openat", "-e", &format!("inject=openat:signal=INT:when={nth}")]);
    command.arg("-P").arg(&files(dir, "wal")[0]).arg("-o").arg(calls);
    command.args([FALCON_CLI, "wal", "repair", "--yes"]).arg(dir);
    Process::spawn(&mut command, b"").finish()
}

#[test]
fn ctrl_c_ends_it_wherever_it_is_and_leaves_the_log_as_it_was() {
    if or_skip("ctrl_c_ends_it_wherever_it_is_and_leaves_the_log_as_it_was", strace()).is_none() {
        return;
    }
    let home = scratch();
    let (dir, calls) = (home.path().join("data"), home.path().join("calls"));
    spoil(&dir);
    // What lies there and can be changed: the lock is taken by whoever comes.
    let there = || {
        let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let kept: Vec<_> = contents(&dir).into_iter().filter(|(path, _)| !path.ends_with("lock")).collect();
        (names.len(), kept)
    };
    let before = there();
    let (mut looked, mut told) = (0, 0);
    let repaired = (1..OPENS_MAX).find_map(|nth| {
        let run = stopped_at(nth, &dir, &calls);
        if run.status == 0 {
            return Some(run);
        }
        let run = run.expect(1);
        let words = ["stopped by Ctrl-C after ", " read; the log is as it was, and the same command begins anew"];
        assert!(words.iter().all(|words| run.err.contains(words)), "at {nth}: {}", run.err);
        assert!(there() == before, "at {nth}: the directory is another one");
        // What is lost was told only to whoever came as far as that.
        *(if run.out.is_empty() { &mut looked } else { &mut told }) += 1;
        None
    });
    assert!(looked > 2 && told > 0, "it stopped {looked} times before it told what is lost, and {told} times after");
    assert!(repaired.expect("an end").out.contains("repaired; the original files are in "));
    let master = Master::start(&dir, &[]);
    assert_eq!(master.stats().totals.pending, 2);
    println!("stopped at each of {} places", looked + told);
}
