//! `falcond` from outside: nothing is dispatched without a poll, it serves and stops as the command
//! line promises, it refuses what it cannot do with one sentence and an exit status of its own, it
//! runs jobs by itself in standalone mode, and many connections share one sync.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use crate::harness::wire::{Counts, Job, Reply, UNAUTHORIZED, Wire, expect_error, hello, job, poll, submit};
use crate::harness::*;
use rustix::process::Signal;

#[test]
fn without_a_worker_no_job_is_dispatched_however_long_one_waits() {
    let master = Master::fresh(&[]);
    for n in 1..=5 {
        master.submit(&["q", &format!("job {n}")]);
    }
    // That this time passes is what the test is about.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(master.dump().counts(), [5, 0, 0]);

    let _worker = master.worker(&["--queue", "q"], &["cat"]);
    master.wait_completed(5);
    let dump = master.dump();
    assert_eq!(dump.counts(), [5, 5, 5]);
    for enqueue in dump.of("ENQUEUE") {
        let story = dump.story(number(enqueue, "job"));
        assert_eq!(story, ["ENQUEUE", "DISPATCH", "ACK"]);
    }
    master.stop();
}

#[test]
fn sigterm_and_sigint_stop_it_cleanly_with_connections_open() {
    for signal in [Signal::TERM, Signal::INT] {
        let master = Master::fresh(&[]);
        let mut waiting = master.connect();
        waiting.send(&poll(&["q"], 1, 300_000, 30_000));
        waiting.put("elsewhere", "x");
        let _said_nothing = Wire::silent(&master.address);
        assert_eq!(master.stats().waiting_polls, 1);
        master.stop_by(signal);
    }
}

#[test]
fn the_defaults_are_those_of_the_command_line() {
    let here = scratch();
    let mut falcond = Command::new(FALCOND);
    falcond.current_dir(here.path()).args(["--listen", "127.0.0.1:0"]);
    let dir = here.path().join("falcon-data");
    let master = Master::serving(Process::spawn(&mut falcond, b""), &dir);
    assert!(master.address.starts_with("127.0.0.1:"));
    assert!(dir.join("lock").exists());
    let segment = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path());
    let segment = segment.filter(|p| p.extension().is_some_and(|e| e == "wal")).min().unwrap();
    assert_eq!(fs::metadata(segment).unwrap().len(), 67_108_864);

    master.submit(&["q", "x"]);
    let mut wire = master.connect();
    let x = wire.take("q");
    assert_eq!((x.priority, x.attempt, x.max_attempts, x.timeout_ms), (128, 1, 5, 0));
    assert!(wire.stats().syncs >= 1, "--sync always is the default");
    master.stop();
}

#[test]
fn a_data_directory_has_one_master() {
    let dir = scratch();
    let first = Master::start(dir.path(), &[]);
    let mut wire = first.connect();
    wire.put("q", "kept");
    let path = dir.path().to_str().unwrap();
    let run = falcond_refuses(&["--data-dir", path, "--listen", "127.0.0.1:0"], 75);
    assert!(run.err.contains(path), "the sentence names the directory: {}", run.err);

    wire.put("q", "the first goes on");
    first.kill();
    let second = Master::start(dir.path(), &[]);
    assert_eq!(second.stats().totals.pending, 2);
    second.stop();
}

#[test]
fn a_port_in_use_is_refused_and_the_one_who_has_it_goes_on() {
    let first = Master::fresh(&[]);
    let dir = scratch();
    let args = ["--data-dir", dir.path().to_str().unwrap(), "--listen", &first.address];
    let run = falcond_refuses(&args, 69);
    assert!(run.err.contains(&first.address), "the sentence names the address: {}", run.err);
    first.connect().put("q", "x");
    Master::start(dir.path(), &[]).stop();
}

#[test]
fn a_data_directory_that_cannot_be_used_is_refused() {
    let here = scratch();
    let file = here.path().join("a-file");
    fs::write(&file, "not a directory").unwrap();
    for path in [file.clone(), file.join("below")] {
        let path = path.to_str().unwrap();
        falcond_refuses(&["--data-dir", path, "--listen", "127.0.0.1:0"], 73);
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "not a directory");
}

#[test]
fn a_token_is_asked_of_everybody() {
    let here = scratch();
    let file = |name: &str, content: &str| {
        let path = here.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_string()
    };
    let (right, wrong) = (file("right", "open sesame\n"), file("wrong", "open barley\n"));
    let master = Master::fresh(&["--token-file", &right]);
    for token in [&b"open barley"[..], b"open sesam", b"open sesame\n", b""] {
        let mut wire = Wire::silent(&master.address);
        expect_error(wire.ask(&hello(token)), UNAUTHORIZED);
        wire.expect_closed();
    }
    let mut wire = Wire::silent(&master.address);
    assert!(matches!(wire.ask(&hello(b"open sesame")), Reply::HelloOk { .. }));

    master.submit(&["q", "x", "--token-file", &right]);
    master.cli(&["submit", "q", "x", "--token-file", &wrong]).expect(77);
    master.cli(&["submit", "q", "x"]).expect(77);
    assert_eq!(wire.stats().totals.pending, 1);

    let _worker = master.worker(&["--queue", "q", "--token-file", &right], &["cat"]);
    wait_until("the ack", SOON, || wire.stats().totals.completed == 1);
    assert_eq!(master.dump().counts(), [1, 1, 1]);
    master.stop();
}

#[test]
fn a_bad_token_file_is_refused() {
    let here = scratch();
    let empty = here.path().join("empty");
    fs::write(&empty, "").unwrap();
    let line_end = here.path().join("line-end");
    fs::write(&line_end, "\n").unwrap();
    let dir = here.path().join("data");
    for file in [here.path().join("missing"), empty, line_end, here.path().to_path_buf()] {
        let (dir, file) = (dir.to_str().unwrap(), file.to_str().unwrap());
        let args = ["--data-dir", dir, "--listen", "127.0.0.1:0", "--token-file", file];
        let run = falcond_refuses(&args, 78);
        assert!(run.err.contains(file), "the sentence names the file: {}", run.err);
    }
}

#[test]
fn sync_takes_always_never_and_a_duration() {
    for sync in ["always", "never", "10ms"] {
        let dir = scratch();
        let master = Master::start(dir.path(), &["--sync", sync]);
        let mut wire = master.connect();
        wire.put("q", sync);
        if sync != "never" {
            wait_until("a sync", SOON, || wire.stats().durable_lsn >= 1 && wire.stats().syncs >= 1);
        }
        master.kill();
        let master = Master::start(dir.path(), &["--sync", sync]);
        assert_eq!(master.connect().take("q").payload, sync.as_bytes());
        master.stop();
    }
}

#[test]
fn bad_values_on_the_command_line_are_refused() {
    let dir = scratch();
    let path = dir.path().join("data");
    let path = path.to_str().unwrap();
    let huge = "99999999999999999999h";
    let bad: [&[&str]; 19] = [
        &["--sync", "sometimes"],
        &["--sync", ""],
        &["--sync", "10"],
        &["--sync", "1.5s"],
        &["--sync", "5x"],
        &["--sync=-1s"],
        &["--sync", huge],
        &["--grace", "5"],
        &["--grace", huge],
        &["--key-window", "1.5h"],
        &["--segment-bytes", "1000"],
        &["--segment-bytes", "16777217"],
        &["--segment-bytes", "16M"],
        &["--workers", "2"],
        &["--workers", "2", "--queue", "q"],
        &["--workers", "two", "--queue", "q", "--", "cat"],
        &["--workers", "2", "--queue", "no spaces", "--", "cat"],
        &["--no-such-option"],
        &["no-such-argument"],
    ];
    for args in bad {
        let all = [&["--data-dir", path, "--listen", "127.0.0.1:0"], args].concat();
        falcond_refuses(&all, 2);
    }
    assert!(!fs::exists(path).unwrap(), "a refused command line leaves nothing behind");
}

#[test]
fn standalone_mode_runs_jobs_by_the_same_door() {
    let place = Place::new();
    // Each of the first two jobs waits for the other, so both run at the same time.
    let both = format!("read n; : > '{}'$n; {}; echo done $n", place.path("run-"), place.until("go"));
    let args = ["--workers", "2", "--queue", "q", "--", "sh", "-c", &both];
    let dir = scratch();
    let master = Master::start(dir.path(), &args);
    let ids = master.submit_input(&["q", "--lines", "-"], b"1\n2\n3\n4\n5\n6\n");
    master.submit(&["other", "nobody polls this queue"]);
    wait_until("two jobs at once", SOON, || place.count("run-") == 2);
    let totals = Counts { pending: 5, in_flight: 2, ..Counts::default() };
    assert_eq!(master.stats().totals, totals, "no job is taken before there is a worker for it");
    place.mark("go");
    master.wait_completed(6);

    let dump = master.dump();
    assert_eq!(dump.counts(), [7, 6, 6]);
    for (n, job) in ids.iter().enumerate() {
        assert_eq!(dump.story(*job), ["ENQUEUE", "DISPATCH", "ACK"]);
        assert_eq!(text(dump.last(*job, "ACK"), "result"), format!("done {}\n", n + 1));
    }
    let mut remote = master.connect();
    assert_eq!(remote.take("other").payload, b"nobody polls this queue");
    master.stop();
}

#[test]
fn two_hundred_connections_share_syncs() {
    const CONNECTIONS: usize = 200;
    const JOBS_EACH: usize = 20;
    let master = Master::fresh(&["--sync", "always"]);
    let start = Arc::new(Barrier::new(CONNECTIONS));
    let producer = |n: usize| {
        let (address, start) = (master.address.clone(), start.clone());
        move || {
            let mut wire = Wire::greeted(&address);
            start.wait();
            let ids = (0..JOBS_EACH).map(|m| wire.put("q", format!("{n}.{m}")));
            ids.collect::<Vec<u64>>()
        }
    };
    let producers: Vec<_> = (0..CONNECTIONS).map(|n| thread::spawn(producer(n))).collect();
    let mut ids: Vec<u64> = producers.into_iter().flat_map(|p| p.join().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CONNECTIONS * JOBS_EACH, "each job has an id of its own");

    let stats = master.cli(&["--output", "json", "stats"]).expect(0).json().remove(0);
    assert_eq!(number(&stats["totals"], "pending"), ids.len() as u64);
    let syncs = number(&stats["wal"], "syncs");
    println!("{} jobs over {CONNECTIONS} connections: {syncs} syncs", ids.len());
    assert!(syncs >= 1 && syncs <= ids.len() as u64 / 4, "{syncs} syncs for {} jobs", ids.len());
    master.stop();
}

#[test]
fn the_master_has_room_for_ten_thousand_queues_and_says_when_it_is_full() {
    let master = Master::fresh(&["--sync", "never"]);
    let mut wire = master.connect();
    let names: Vec<Job> = (0..10_001).map(|n| job(&format!("queue-{n}"), "x")).collect();
    for batch in names[..10_000].chunks(1_000) {
        wire.put_all(batch);
    }
    let too_many = [job("queue-0", "in a refused batch"), names[10_000].clone()];
    wire.expect_refused(&submit(&too_many), crate::harness::wire::TOO_MANY_QUEUES);
    wire.put("queue-9999", "a known queue goes on");
    let stats = wire.stats();
    assert_eq!(stats.totals.pending, 10_001);
    assert_eq!(stats.queues.len(), 10_000);
    assert!(stats.queues.is_sorted_by(|a, b| a.0 < b.0), "in the order of their names");
    master.stop();
}
