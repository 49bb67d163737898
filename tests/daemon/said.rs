//! What a worker says on stderr, to whoever looks at it while jobs run.

use rustix::process::Signal;

use crate::harness::*;

#[track_caller]
fn says(worker: &Process, word: &str) {
    wait_until(word, SOON, || worker.stderr().contains(word));
}

#[test]
fn it_says_that_it_works_and_why_jobs_fail() {
    let master = Master::fresh(&[]);
    let worker = master.worker(
        &["--queue", "mail", "--queue", "bulk", "--concurrency", "2", "--name", "w"],
        &["sh", "-c", "read how; case $how in well) echo step 1 >&2;; *) echo no such host >&2; exit $how;; esac"],
    );
    says(&worker, &format!("worker w: jobs of mail, bulk from {}, up to 2 at once", master.address));
    master.submit_input(&["mail", "-", "--max-attempts", "2", "--backoff", "fixed:50ms"], b"1");
    says(&worker, "job 1 of mail failed, and is tried again (attempt 1 of 2): exit status 1: no such host");
    says(&worker, "job 1 of mail failed, and is dead (attempt 2 of 2): exit status 1: no such host");
    master.submit_input(&["bulk", "-"], b"100");
    says(&worker, "job 2 of bulk failed, and is dead (attempt 1 of 5): exit status 100: no such host");
    master.submit_input(&["bulk", "-"], b"well");
    says(&worker, "job 3: step 1\n");
    worker.signal(Signal::TERM);
    let run = worker.finish().expect(0);
    assert!(!run.err.contains("is done"), "each job only if it is asked for: {}", run.err);
    assert_eq!(run.out, "");
}

#[test]
fn it_says_of_each_job_what_came_of_it_or_keeps_their_words_to_itself() {
    let master = Master::fresh(&[]);
    let worker = master.worker(&["--queue", "q", "-v", "--quiet-jobs"], &["sh", "-c", "echo step 1 >&2"]);
    master.submit(&["q", "x"]);
    says(&worker, "job 1 of q is done, in ");
    worker.signal(Signal::TERM);
    let run = worker.finish().expect(0);
    assert!(!run.err.contains("step 1"), "{}", run.err);
}

#[test]
fn failures_by_the_thousand_are_counted_and_not_all_said() {
    let master = Master::fresh(&[]);
    let jobs: String = (0..300).map(|n| format!("{n}\n")).collect();
    master.submit_input(&["q", "--lines", "-", "--max-attempts", "1"], jobs.as_bytes());
    let worker = master.worker(&["--queue", "q", "--concurrency", "8"], &["false"]);
    let mut wire = master.connect();
    wait_until("all to be dead", 3 * SOON, || wire.stats().totals.dead == 300);
    worker.signal(Signal::TERM);
    let run = worker.finish().expect(0);
    assert!(run.err.contains("more lines of this kind were left out"), "{}", run.err);
    assert!(run.err.lines().count() < 250, "{}", run.err);
}

#[test]
fn the_last_words_on_stdout_are_the_reason_where_stderr_was_empty() {
    let master = Master::fresh(&[]);
    let worker = master.worker(&["--queue", "q"], &["sh", "-c", "echo 'assertion failed: a == b'; exit 3"]);
    master.submit(&["q", "x", "--max-attempts", "1"]);
    says(&worker, "is dead (attempt 1 of 1): exit status 3: assertion failed: a == b");
    let shown = master.cli(&["--output", "json", "job", "show", "1"]).expect(0).json();
    assert_eq!(text(&shown[0], "error"), "exit status 3: assertion failed: a == b");
}

#[test]
fn it_says_when_the_master_is_gone_and_when_it_is_back() {
    let (dir, port) = (scratch(), Port::reserve());
    let master = Master::start_at(dir.path(), &port.address, &[]);
    let worker = worker(&port.address, &["--queue", "q"], &["true"]);
    master.submit(&["q", "x"]);
    master.wait_completed(1);
    master.kill();
    says(&worker, "trying again until it works");
    let master = Master::start_at(dir.path(), &port.address, &[]);
    says(&worker, "the master is reached again");
    assert!(master.stderr().contains("worker ") && master.stderr().contains(" came: pid "), "{}", master.stderr());
    worker.signal(Signal::TERM);
    worker.finish().expect(0);
    wait_until("its end to be noted", SOON, || master.stderr().contains(" is gone"));
}
