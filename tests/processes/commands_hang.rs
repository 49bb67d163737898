//! Commands that not even SIGKILL ends, since they wait for a file system that does not answer: a worker gives them up
//! and leaves in its time, and they end when the file system comes back.
//!
//! Most of it needs root and a loop device: `cargo test --test processes commands_hang -- --ignored --nocapture`.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::wire::{Job, job};
use crate::harness::*;

/// An ext4 in a file, mounted and frozen: whoever writes there waits, deaf to SIGKILL, until it is thawed.
struct Frozen(Place);

/// Runs a program, which must succeed.
fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).stdin(Stdio::null()).status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{program} {args:?}: {status:?}");
}

impl Frozen {
    fn new() -> Frozen {
        let place = Place::new();
        fs::create_dir(place.path("mounted")).expect("a directory");
        fs::File::create(place.path("disk")).and_then(|disk| disk.set_len(32 << 20)).expect("a file");
        let frozen = Frozen(place);
        run("mkfs.ext4", &["-q", "-F", &frozen.0.path("disk")]);
        run("mount", &["-o", "loop", &frozen.0.path("disk"), &frozen.0.path("mounted")]);
        run("fsfreeze", &["-f", &frozen.0.path("mounted")]);
        frozen
    }

    /// Shell: writes there, having said its pid.
    fn hangs(&self, name: &str) -> String {
        format!("echo $$ > '{}'; echo x > '{}'", self.0.path(name), self.0.path("mounted/x"))
    }

    /// The pid of who writes there, once it hangs.
    fn wait_hangs(&self, name: &str) -> String {
        let pid = self.0.wait_content(name).trim().to_owned();
        wait_until("a command that hangs", SOON, || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|fields| fields.trim_start().starts_with('D'))
        });
        pid
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        run("fsfreeze", &["-u", &self.0.path("mounted")]);
        // Until those that hung have ended it is busy.
        wait_until("the file system to be free", SOON, || {
            Command::new("umount").arg(self.0.path("mounted")).stderr(Stdio::null()).status().expect("umount").success()
        });
    }
}

const LIMIT: Duration = Duration::from_millis(500);

/// It promises 2 s after the limit; the rest is for a machine that is busy with other tests.
const LATE_MAX: Duration = Duration::from_millis(2_500);

#[test]
fn a_worker_leaves_in_its_time_though_its_master_hangs_and_its_command_ignores_sigterm() {
    for option in [None, Some("--reuse")] {
        let place = Place::new();
        let master = Master::fresh(&[]);
        master.connect().put_all(&vec![job("q", "x"); 2]);
        let mut options = vec!["--queue", "q", "--concurrency", "2", "--shutdown-limit", "500ms"];
        options.extend(option);
        let script = format!("trap '' TERM; : > '{}'$$; {}", place.path("began-"), place.for_ever());
        let mut worker = master.worker(&options, &["sh", "-c", &script]);
        wait_until("both to be begun", SOON, || place.count("began-") == 2);
        master.signal(Signal::STOP);
        let begun = Instant::now();
        worker.signal(Signal::TERM);
        let status = wait_for("the end of the worker", SOON, || worker.exited());
        assert_in_time("a worker whose master hangs", begun);
        assert!(status.success(), "{status}: {}", worker.stderr());
        master.kill();
    }
}

fn assert_in_time(what: &str, begun: Instant) {
    println!("{what} left {:.2?} after SIGTERM, with a limit of {LIMIT:?}", begun.elapsed());
    assert!(begun.elapsed() < LIMIT + LATE_MAX, "{what} took {:.2?}", begun.elapsed());
}

#[test]
#[ignore = "needs root and a loop device"]
fn a_worker_leaves_in_its_time_though_a_command_hangs() {
    for (what, option) in [("a worker", None), ("a worker with --reuse", Some("--reuse"))] {
        let frozen = Frozen::new();
        let master = Master::fresh(&[]);
        let id = master.connect().put("q", "x");
        let mut options = vec!["--queue", "q", "--shutdown-limit", "500ms"];
        options.extend(option);
        let mut worker = master.worker(&options, &["sh", "-c", &frozen.hangs("pid")]);
        let hangs = frozen.wait_hangs("pid");
        let begun = Instant::now();
        worker.signal(Signal::TERM);
        // What hangs may hold its stderr, so that nobody waits for the end of that.
        let status = wait_for("the end of the worker", SOON, || worker.exited());
        assert!(status.success(), "{status}: {}", worker.stderr());
        assert_in_time(what, begun);
        assert!(is_running(&hangs), "it cannot end yet");
        assert_eq!(master.dump().story(id), ["ENQUEUE", "DISPATCH", "RELEASE"]);
        drop(frozen);
        wait_until("the end of what hung", SOON, || !is_running(&hangs));
        master.stop();
    }
}

#[test]
#[ignore = "needs root and a loop device"]
fn a_master_with_workers_of_its_own_leaves_in_its_time_though_a_command_hangs() {
    let frozen = Frozen::new();
    let dir = scratch();
    let command = frozen.hangs("pid");
    let args = ["--workers", "1", "--shutdown-limit", "500ms", "--queue", "q", "--", "sh", "-c", &command];
    let master = Master::start(dir.path(), &args);
    master.connect().put("q", "x");
    let hangs = frozen.wait_hangs("pid");
    let begun = Instant::now();
    master.signal(Signal::TERM);
    master.finish().expect(0);
    assert_in_time("a master with workers", begun);
    drop(frozen);
    wait_until("the end of what hung", SOON, || !is_running(&hangs));
}

#[test]
#[ignore = "needs root and a loop device"]
fn a_job_whose_command_hangs_past_its_time_fails_and_its_slot_takes_the_next() {
    let frozen = Frozen::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let slow = Job { timeout_ms: 500, max_attempts: 1, ..job("q", frozen.hangs("pid")) };
    wire.put_all(&[slow, job("q", "exit 0")]);
    let worker = master.worker(&["--queue", "q"], &["sh"]);
    let hangs = frozen.wait_hangs("pid");
    wait_until("the end of both", SOON, || (wire.stats().totals.dead, wire.stats().totals.completed) == (1, 1));
    assert!(is_running(&hangs) && worker.stderr().contains("given up"), "{}", worker.stderr());
    drop(frozen);
    // Not even a dead one stays in the table.
    wait_until("the end of what hung", SOON, || fs::metadata(format!("/proc/{hangs}")).is_err());
    master.stop();
}

#[test]
#[ignore = "needs root and a loop device"]
fn a_command_that_hangs_when_its_worker_is_killed_ends_when_it_can() {
    let frozen = Frozen::new();
    let master = Master::fresh(&[]);
    master.connect().put("q", "x");
    let worker = master.worker(&["--queue", "q"], &["sh", "-c", &format!("{}; sleep 1000", frozen.hangs("pid"))]);
    let hangs = frozen.wait_hangs("pid");
    worker.kill();
    assert!(is_running(&hangs));
    let killed = || fs::read_to_string(format!("/proc/{hangs}/status")).unwrap_or_default();
    // SIGKILL, the ninth, waits for it.
    wait_until("its SIGKILL", SOON, || {
        killed().lines().any(|line| line.starts_with("ShdPnd:") && line.ends_with("100"))
    });
    drop(frozen);
    wait_until("the end of what hung", SOON, || !is_running(&hangs));
    master.stop();
}

/// In a container the session and the group of who starts the worker may have no number at all.
#[test]
#[ignore = "needs root"]
fn commands_end_in_a_namespace_of_process_ids_too() {
    let own = std::env::current_exe().expect("the test's own program");
    let inner = [own.to_str().expect("a path of text"), "commands_end::a_job", "--test-threads", "1"];
    run("unshare", &[&["--pid", "--fork", "--mount-proc", "--kill-child"][..], &inner].concat());
}
