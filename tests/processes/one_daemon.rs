//! Two daemons that start at the same moment on one directory: one serves, the other says why it does not.

use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::*;

/// How often the race is run.
const RACES: usize = 100;

/// A daemon that does not serve says so within this.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);

/// Starts a daemon when the other one is started, too.
fn start(dir: &Path, both: &Barrier) -> Process {
    let mut command = Command::new(FALCOND);
    command.arg("--data-dir").arg(dir).args(["--listen", "127.0.0.1:0", "--segment-bytes", "16777216"]);
    both.wait();
    Process::spawn(&mut command, b"")
}

/// One race: gives the daemon that serves, and how long the other one took to leave.
fn race(dir: &Path) -> (Master, Duration) {
    let both = Barrier::new(2);
    let started_at = Instant::now();
    let mut daemons: Vec<Process> = thread::scope(|scope| {
        let starting = [0, 1].map(|_| scope.spawn(|| start(dir, &both)));
        starting.map(|daemon| daemon.join().unwrap()).into()
    });
    let refused = wait_for("one of two daemons to leave", REFUSED_WITHIN, || {
        daemons.iter_mut().position(|daemon| daemon.exited().is_some())
    });
    let took = started_at.elapsed();
    let run = daemons.remove(refused).finish().expect(75);
    assert_eq!(run.out, "", "the one that leaves never said that it listens");
    assert_eq!(run.err.lines().count(), 1, "one sentence: {}", run.err);
    assert!(run.err.contains(dir.to_str().unwrap()), "it names the directory: {}", run.err);
    (Master::serving(daemons.remove(0), dir), took)
}

#[test]
fn of_two_daemons_on_one_directory_one_serves() {
    let mut longest = Duration::ZERO;
    let mut jobs = 0;
    let mut dir = scratch();
    for number in 0..RACES {
        // Every other race is for a directory that is not there yet.
        if number % 2 == 0 {
            (dir, jobs) = (scratch(), 0);
        }
        let (master, took) = race(&dir.path().join("data"));
        longest = longest.max(took);
        let mut wire = master.connect();
        assert_eq!(wire.stats().totals.pending, jobs, "what was submitted before");
        wire.put("q", "x");
        jobs += 1;
        master.kill();
    }
    println!("{RACES} races; the one that lost left after {longest:?} at the longest");
}
