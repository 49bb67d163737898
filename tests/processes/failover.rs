//! Workers and masters that come and go: a killed worker's jobs move on to the other, a job that
//! runs through a restart of the master is acked, and a worker waits for its master for ever.

use std::net::TcpListener;
use std::path::Path;

use crate::harness::wire::job;
use crate::harness::*;

#[test]
fn two_workers_share_a_hundred_jobs() {
    let master = Master::fresh(&[]);
    let lines: String = (1..=100).map(|n| format!("{n}\n")).collect();
    let ids = master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
    assert_eq!(master.dump().counts(), [100, 0, 0]);
    let workers =
        ["one", "two"].map(|name| master.worker(&["--queue", "q", "--concurrency", "4", "--name", name], &["cat"]));
    master.wait_completed(100);
    let dump = master.dump();
    assert_eq!(dump.counts(), [100, 100, 100]);
    for (n, job) in (1..).zip(ids) {
        assert_eq!(dump.story(job), ["ENQUEUE", "DISPATCH", "ACK"]);
        assert_eq!(text(dump.last(job, "ACK"), "result"), format!("{n}"));
    }
    drop(workers);
    master.stop();
}

#[test]
fn the_jobs_of_a_killed_worker_move_on_to_the_other() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let lines: String = (1..=100).map(|n| format!("{n}\n")).collect();
    let ids = master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
    // The one that will be killed gets stuck in 7, 17, 27 and 37, which are all of its places.
    let sticky = format!("read n; [ $((n % 10)) = 7 ] && {{ {}; }}; echo $n", place.for_ever());
    let options = ["--queue", "q", "--concurrency", "4", "--prefetch", "0", "--name"];
    let killed = master.worker(&[&options[..], &["killed"]].concat(), &["sh", "-c", &sticky]);
    let mut wire = master.connect();
    wait_until("a stuck worker", SOON, || {
        let totals = wire.stats().totals;
        (totals.completed, totals.in_flight) == (33, 4)
    });
    let slow = "read n; sleep 0.05; echo $n";
    let _other = master.worker(&[&options[..], &["other"]].concat(), &["sh", "-c", slow]);
    wait_until("the middle", SOON, || wire.stats().totals.completed >= 50);
    let killed_at = now_ms();
    killed.kill();
    master.wait_completed(100);

    let dump = master.dump();
    assert_eq!(dump.counts(), [100, 104, 100]);
    for (n, job) in (1..).zip(ids) {
        assert_eq!(text(dump.last(job, "ACK"), "result"), format!("{n}\n"));
        if [7, 17, 27, 37].contains(&n) {
            let story = ["ENQUEUE", "DISPATCH", "TIMEOUT", "DISPATCH", "ACK"];
            assert_eq!(dump.story(job), story);
            let again = dump.last(job, "DISPATCH");
            assert_eq!((number(again, "attempt"), text(again, "worker")), (2, "other"));
            let moved_after_ms = moment(again, "at").saturating_sub(killed_at);
            assert!(moved_after_ms <= 5_000, "moved on after {moved_after_ms} ms");
        } else {
            assert_eq!(dump.story(job), ["ENQUEUE", "DISPATCH", "ACK"]);
        }
    }
    master.stop();
}

#[test]
fn a_job_that_runs_through_sigterm_of_the_master_is_acked() {
    runs_through_a_restart(Master::stop, false);
}

#[test]
fn a_job_that_runs_through_kill_9_of_the_master_is_acked() {
    runs_through_a_restart(Master::kill, false);
}

#[test]
fn a_job_that_ends_while_the_master_is_away_is_acked_later() {
    runs_through_a_restart(Master::kill, true);
}

fn runs_through_a_restart(stop: fn(Master), ends_in_between: bool) {
    let (place, dir, port) = (Place::new(), scratch(), Port::reserve());
    let start = |dir: &Path| Master::start_at(dir, &port.address, &[]);
    let master = start(dir.path());
    let (running, ended) = (place.path("running"), place.path("ended"));
    let script = format!("echo > '{running}'; {}; echo done; echo > '{ended}'", place.until("go"));
    let id = master.connect().put("q", script);
    let _worker = worker(&port.address, &["--queue", "q"], &["sh"]);
    place.wait_content("running");
    stop(master);
    if ends_in_between {
        place.mark("go");
        place.wait_content("ended");
    }
    let master = start(dir.path());
    place.mark("go");
    master.wait_completed(1);
    let dump = master.dump();
    assert_eq!(dump.story(id), ["ENQUEUE", "DISPATCH", "ACK"]);
    assert_eq!(text(dump.last(id, "ACK"), "result"), "done\n");

    // The worker is at work as before.
    master.connect().put("q", "echo the next");
    master.wait_completed(2);
    master.stop();
}

#[test]
fn a_worker_waits_for_its_master() {
    let (dir, port) = (scratch(), Port::reserve());
    // Here somebody listens who closes at once: so the test knows that the worker has tried.
    let listener = TcpListener::bind(&port.address).unwrap();
    let mut worker = worker(&port.address, &["--queue", "q"], &["cat"]);
    for _ in 0..3 {
        drop(listener.accept().unwrap());
    }
    drop(listener);
    assert!(worker.exited().is_none(), "{}", worker.stderr());

    let master = Master::start_at(dir.path(), &port.address, &[]);
    master.connect().put_all(&[job("q", "1"), job("q", "2")]);
    master.wait_completed(2);
    assert_eq!(master.dump().counts(), [2, 2, 2]);
    assert!(worker.exited().is_none());
    master.stop();
}
