//! The system's clock is wrong, and mended while the daemon runs: what waits for its time comes when it should.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::faults::or_skip;
use crate::harness::*;

/// Moves the system's clock, as the process sees it, by the seconds that a file holds; the others stay.
const SHIFT: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t which, struct timespec *at) {
  int outcome = syscall(SYS_clock_gettime, which, at);
  FILE *file = which == CLOCK_REALTIME ? fopen(getenv("SHIFT"), "r") : NULL;
  long seconds = 0;
  if (!file) return outcome;
  if (fscanf(file, "%ld", &seconds) == 1) at->tv_sec += seconds;
  fclose(file);
  return outcome;
}
"#;

/// A machine whose clock may be set.
struct Machine {
    place: Place,
    dir: tempfile::TempDir,
    port: Port,
}

impl Machine {
    fn new() -> Result<Machine, String> {
        let place = Place::new();
        let (source, library) = (place.path("shift.c"), place.path("shift.so"));
        fs::write(&source, SHIFT).expect("a source");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o", &library, &source]).status();
        let machine = Machine { place, dir: scratch(), port: Port::reserve() };
        machine.set_clock(0);
        built.is_ok_and(|status| status.success()).then_some(machine).ok_or_else(|| "`cc` to work".to_owned())
    }

    fn set_clock(&self, seconds: i64) {
        // In one piece, since the daemon may be reading it.
        let fresh = self.place.path("shift.new");
        fs::write(&fresh, seconds.to_string()).expect("a shift");
        fs::rename(fresh, self.place.path("shift")).expect("a shift");
    }

    fn start(&self) -> Master {
        let mut falcond = Command::new(FALCOND);
        falcond.args(["--listen", &self.port.address, "--data-dir"]).arg(self.dir.path());
        falcond.env("LD_PRELOAD", self.place.path("shift.so")).env("SHIFT", self.place.path("shift"));
        Master::serving(Process::spawn(&mut falcond, b""), self.dir.path())
    }

    /// Nothing of this start of the machine is known any more, as after a restart of it.
    fn forget_start(dir: &Path) {
        let clock = dir.join("clock");
        let mut bytes = fs::read(&clock).expect("the clock's file");
        bytes[32] ^= 1;
        let sum = bytes[..48]
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        bytes[48..].copy_from_slice(&sum.to_le_bytes());
        fs::write(&clock, bytes).expect("the clock's file");
    }
}

#[test]
fn a_clock_that_is_behind_at_the_start_and_mended_later_makes_nothing_late() {
    let name = "a_clock_that_is_behind_at_the_start_and_mended_later_makes_nothing_late";
    for restarted in [false, true] {
        let Some(machine) = or_skip(name, Machine::new()) else { return };
        let master = machine.start();
        let due_at = Instant::now() + Duration::from_secs(6);
        master.submit(&["q", "x", "--delay", "6s"]);
        master.stop();
        if restarted {
            Machine::forget_start(machine.dir.path());
        }
        machine.set_clock(-30);
        let master = machine.start();
        let worker = master.worker(&["--queue", "q", "--lease", "2s"], &["sleep", "3"]);
        master.submit(&["q", "runs meanwhile"]);
        wait_until("a running job", SOON, || master.stats().totals.in_flight == 1);
        machine.set_clock(0);
        wait_until("both to be done", SOON, || master.stats().totals.completed == 2);
        assert!(Instant::now() >= due_at, "not before its time");
        assert!(Instant::now() < due_at + Duration::from_secs(10), "{:?} late", due_at.elapsed());
        assert!(master.dump().of("TIMEOUT").is_empty(), "a lease is not held against a clock that is mended");
        worker.signal(Signal::TERM);
        worker.finish().expect(0);
        master.stop();
    }
}

#[test]
fn a_clock_that_was_ahead_once_by_years_delays_nothing() {
    let name = "a_clock_that_was_ahead_once_by_years_delays_nothing";
    let Some(machine) = or_skip(name, Machine::new()) else { return };
    machine.set_clock(20 * 365 * 24 * 3600);
    let mut master = machine.start();
    let begun_at = Instant::now();
    master.submit(&["q", "x", "--delay", "5s"]);
    machine.set_clock(0);
    for is_another_start in [false, true, false] {
        master.kill();
        if is_another_start {
            Machine::forget_start(machine.dir.path());
        }
        master = machine.start();
    }
    wait_until("the job to be due", SOON, || master.stats().totals.pending == 1);
    let took = begun_at.elapsed();
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(15), "{took:?}");
    master.stop();
}

#[test]
fn a_clock_that_is_set_makes_no_tick_of_a_schedule_twice_and_leaves_none_out() {
    let name = "a_clock_that_is_set_makes_no_tick_of_a_schedule_twice_and_leaves_none_out";
    let Some(machine) = or_skip(name, Machine::new()) else { return };
    // Log time stays ahead by years; schedules go by what the clock shows.
    machine.set_clock(20 * 365 * 24 * 3600);
    let master = machine.start();
    machine.set_clock(0);
    master.kill();
    let master = machine.start();
    let in_a_year = u64::try_from(time_now_ms()).expect("a moment") + 365 * 24 * 3600 * 1000;
    for (name, when) in [("clock", ["--cron", "* * * * * *"]), ("span", ["--every", "1s"])] {
        let added = master.cli(&["--output", "json", "schedule", "add", name, when[0], when[1], "q", "x"]).expect(0);
        assert!(moment(&added.json()[0], "next_at") < in_a_year, "{}", added.out);
    }
    let ticks = |of: &str| -> Vec<u64> {
        let log = master.dump();
        let ticks = log.of("TICK").into_iter().filter(|tick| tick["name"] == of);
        ticks.map(|tick| moment(tick, "tick_at")).collect()
    };
    let go_on = |of: &str, more: usize| {
        let before = ticks(of).len();
        wait_until("some more ticks", SOON, || ticks(of).len() >= before + more);
    };
    go_on("clock", 2);
    machine.set_clock(-4);
    go_on("span", 2);
    go_on("clock", 2);
    machine.set_clock(3);
    go_on("clock", 5);
    for of in ["clock", "span"] {
        master.cli(&["schedule", "pause", of]).expect(0);
        let ticks = ticks(of);
        let spans: Vec<u64> = ticks.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(spans.iter().all(|span| *span == 1000), "{of}: each tick once and none left out: {spans:?}");
    }
    let log = master.dump();
    assert_eq!(log.count("TICK"), log.count("ENQUEUE"));
    master.stop();
}

fn time_now_ms() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("a clock that is set").as_millis()
}
