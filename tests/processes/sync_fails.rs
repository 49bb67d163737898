//! A sync that fails is the last thing that a daemon does: it leaves with exit status 74 within a second, answers
//! nothing more, and whatever it had answered is there when it starts again.
//!
//! The calls fail for real, as far as the daemon can tell: strace gives it the error in place of the kernel.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::faults::{Calls, or_skip, strace, traced_falcond};
use crate::harness::wire::Wire;
use crate::harness::*;

/// A daemon whose disk failed leaves within this.
const LEAVES_WITHIN: Duration = Duration::from_secs(1);

/// How many jobs are submitted at most while the call that fails is waited for.
const JOBS_MAX: usize = 200;

/// A job whose submit was answered OK: its id, and when the answer came.
struct Answered {
    job: u64,
    payload: String,
    at: Duration,
}

/// Where a daemon listens, unless it leaves before it does.
fn address_of(daemon: &mut Process) -> Option<String> {
    wait_for("a daemon to listen or to leave", SOON, || {
        let said = daemon.stdout();
        let address = said.strip_prefix("listening on ").and_then(|rest| rest.strip_suffix('\n'));
        let address = address.map(str::to_string);
        (address.is_some() || daemon.exited().is_some()).then_some(address)
    })
}

/// Submits one job after the other until the daemon is gone; gives those that were answered OK.
fn submit_until_it_ends(address: &str, name: &str, payload_bytes: usize) -> Vec<Answered> {
    let mut wire = Wire::greeted(address);
    let mut answered = Vec::new();
    for number in 0..JOBS_MAX {
        let payload = format!("{name}-{number}-{}", "x".repeat(payload_bytes));
        match wire.try_put("q", &payload) {
            Ok(Some(job)) => answered.push(Answered { job, payload, at: Duration::from_millis(now_ms()) }),
            Ok(None) | Err(_) => return answered,
        }
    }
    panic!("{JOBS_MAX} jobs were answered OK and no call failed");
}

/// Nothing is sent to a client after the call that failed, and each answer comes after a sync that worked.
#[track_caller]
fn answers_stand_behind_syncs(calls: &Calls, answers: usize) {
    let failed_at = calls.failed_at().expect("a sync that failed");
    let late: Vec<_> = calls.lines()[failed_at..].iter().filter(|line| is_answer(line)).collect();
    assert!(late.is_empty(), "sent after the sync that failed: {late:#?}");
    let mut sent = 0;
    let mut is_synced = true;
    for line in calls.lines() {
        if is_answer(line) {
            assert!(is_synced, "an answer without a sync before it: {line}");
            sent += 1;
            // The first one answers Hello; the next needs a sync, or a job is answered that none has covered.
            is_synced = false;
        } else if line.contains("fdatasync") && line.ends_with("= 0") {
            is_synced = true;
        }
    }
    assert!(answers == 0 || sent == answers + 1, "{sent} answers in the trace of {answers} jobs");
}

/// The beginning of a call that sends to a client.
fn is_answer(line: &str) -> bool {
    line.contains("<TCP:") && !line.contains("resumed>")
}

/// Starts once more, without faults: every job that was answered OK is there.
fn everything_answered_is_there(dir: &Path, answered: &[Answered]) {
    let master = Master::start(dir, &[]);
    let mut wire = master.connect();
    let mut found = HashMap::new();
    loop {
        let jobs = wire.poll(&["q"], 7, 0, 60_000);
        if jobs.is_empty() {
            break;
        }
        for job in jobs {
            assert_eq!(wire.release(&job, 3_600_000), 0);
            found.insert(job.job, job.payload);
        }
    }
    for Answered { job, payload, .. } in answered {
        let kept = found.get(job).unwrap_or_else(|| panic!("job {job} ({payload:.20}) is lost"));
        assert!(kept == payload.as_bytes(), "the payload of job {job}");
    }
    master.stop();
}

#[test]
fn a_sync_that_fails_is_the_last_and_nothing_answered_is_lost() {
    let name = "a_sync_that_fails_is_the_last_and_nothing_answered_is_lost";
    if or_skip(name, strace()).is_none() {
        return;
    }
    let home = scratch();
    let log = home.path().join("calls");
    let mut longest = Duration::ZERO;
    let mut all = 0;
    for nth in (1..=60).step_by(3) {
        // Each daemon has a directory of its own: what fails at the start of a log is hit, too.
        let data = home.path().join(format!("data-{nth}"));
        let fault = format!("inject=fdatasync:error=EIO:when={nth}");
        let mut daemon = traced_falcond(&data, &log, "fdatasync,sendto,sendmsg,writev", &["-e", &fault]);
        let address = address_of(&mut daemon);
        let answered = address.map_or(Vec::new(), |at| submit_until_it_ends(&at, &fault, 64));
        let run = daemon.finish().expect(74);
        let calls = Calls::of(&log);
        longest = longest.max(calls.lived_on());
        assert!(longest < LEAVES_WITHIN, "left after {longest:?}\n{}", run.err);
        answers_stand_behind_syncs(&calls, answered.len());
        everything_answered_is_there(&data, &answered);
        all += answered.len();
    }
    println!("20 syncs failed; the daemon left after {longest:?} at the longest; 0 of {all} jobs lost");
}

#[test]
fn a_sync_of_the_directory_that_fails_is_the_last() {
    let name = "a_sync_of_the_directory_that_fails_is_the_last";
    if or_skip(name, strace()).is_none() {
        return;
    }
    let home = scratch();
    let log = home.path().join("calls");
    for nth in [1, 2] {
        let data = home.path().join(format!("data-{nth}"));
        // Calls on the directory itself count, and no others: the first as the log is begun, the second from one
        // thread when it has gone on to its third segment.
        let (path, fault) = (data.to_str().unwrap(), format!("inject=fsync:error=EIO:when={nth}"));
        let mut daemon = traced_falcond(&data, &log, "fsync", &["-P", path, "-e", &fault]);
        let address = address_of(&mut daemon);
        let answered = address.map_or(Vec::new(), |at| submit_until_it_ends(&at, &fault, 1_000_000));
        daemon.finish().expect(74);
        let calls = Calls::of(&log);
        assert!(calls.lived_on() < LEAVES_WITHIN, "left after {:?}", calls.lived_on());
        // Whoever submits one job after the other gets no answer while a sync is under way.
        let late = answered.iter().filter(|answered| answered.at > calls.failure_at()).count();
        assert_eq!(late, 0, "answers after the failure");
        everything_answered_is_there(&data, &answered);
        println!("sync {nth} of the directory failed after {} jobs", answered.len());
    }
}

#[test]
fn a_sync_that_fails_ends_the_daemon_although_other_calls_hang() {
    let name = "a_sync_that_fails_ends_the_daemon_although_other_calls_hang";
    if or_skip(name, strace()).is_none() {
        return;
    }
    let home = scratch();
    let (data, log) = (home.path().join("data"), home.path().join("calls"));
    // A disk that is about to fail is slow first. The first `fsync` of each thread takes this long: a segment that is
    // made ahead is not ready when the sync of a job fails.
    let hang = "inject=fsync:delay_enter=4000000:when=1";
    let fault = "inject=fdatasync:error=EIO:when=3";
    let mut daemon = traced_falcond(&data, &log, "fdatasync,fsync", &["-e", hang, "-e", fault]);
    let address = address_of(&mut daemon).expect("a daemon that listens");
    let answered = submit_until_it_ends(&address, "hang", 64);
    daemon.finish().expect(74);
    let lived_on = Calls::of(&log).lived_on();
    assert!(lived_on < LEAVES_WITHIN, "left after {lived_on:?}");
    everything_answered_is_there(&data, &answered);
}

#[test]
fn a_sync_that_takes_long_is_told_of() {
    if or_skip("a_sync_that_takes_long_is_told_of", strace()).is_none() {
        return;
    }
    let home = scratch();
    let slow = "inject=fdatasync:delay_enter=700000";
    let mut daemon = traced_falcond(&home.path().join("data"), &home.path().join("calls"), "fdatasync", &["-e", slow]);
    let address = address_of(&mut daemon).expect("a daemon that listens");
    cli(&["--master", &address, "submit", "q", "x"]).expect(0);
    wait_until("a word about the disk", SOON, || {
        daemon.stderr().contains(", and all answers waited for it; is the disk busy?")
    });
    daemon.signal(Signal::TERM);
    daemon.finish().expect(0);
}
