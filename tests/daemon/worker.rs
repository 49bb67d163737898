//! `falcon-worker` from outside: what it gives to a child and what it makes of its end, how many
//! run at once, how a child is stopped with all its process group, and how a worker leaves.
//! Most jobs here carry a shell script, which `sh` reads from stdin like any payload.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::wire::{Counts, Job, PAYLOAD_BYTES_MAX, job, keyed};
use crate::harness::*;
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn the_exit_status_decides_what_becomes_of_the_job() {
    let master = Master::fresh(&[]);
    let twice = |script: &str| Job { max_attempts: 2, ..job("q", script) };
    let scripts = [
        "exit 0",
        "exit 75",
        "exit 111",
        "exit 1",
        "exit 127",
        "kill -KILL $$",
        "exit 65",
        "exit 78",
        "exit 100",
        "[ $FALCON_ATTEMPT = 2 ] || exit 75",
        "[ $FALCON_ATTEMPT = 2 ] || kill -TERM $$",
    ];
    let ids = master.connect().put_all(&scripts.map(twice));
    let _worker = master.worker(&["--queue", "q", "--concurrency", "4"], &["sh"]);
    let mut wire = master.connect();
    wait_until("the end of all jobs", SOON, || {
        let totals = wire.stats().totals;
        totals.completed + totals.dead == 11
    });

    let dump = master.dump();
    for (n, (script, job)) in scripts.into_iter().zip(ids).enumerate() {
        let expected: &[&str] = match n {
            0 => &["ENQUEUE", "DISPATCH", "ACK"],
            1..=5 => &["ENQUEUE", "DISPATCH", "RETRY", "DISPATCH", "DEAD"],
            6..=8 => &["ENQUEUE", "DISPATCH", "DEAD"],
            _ => &["ENQUEUE", "DISPATCH", "RETRY", "DISPATCH", "ACK"],
        };
        assert_eq!(dump.story(job), expected, "{script}");
        if (1..=8).contains(&n) {
            let reason = if n <= 5 { "attempts" } else { "for_good" };
            assert_eq!(text(dump.last(job, "DEAD"), "reason"), reason, "{script}");
        }
    }
    master.stop();
}

#[test]
fn a_child_gets_the_facts_of_its_job() {
    let master = Master::fresh(&[]);
    // Its mark is nobody's business.
    let script = "env | grep ^FALCON_ | grep -v -e ^FALCON_RUN= -e ^FALCON_THEN= | sort; test ! -e \"$FALCON_THEN\"";
    let with_key = Job { payload: script.into(), max_attempts: 7, group: "acme".to_owned(), ..keyed("the key", "q") };
    let mut wire = master.connect();
    let ids = wire.put_all(&[with_key, Job { delay_ms: 1, ..job("q", script) }]);
    let _worker = master.worker(&["--queue", "q"], &["sh"]);
    master.wait_completed(2);
    let dump = master.dump();
    let lease = number(dump.last(ids[0], "DISPATCH"), "lsn");
    let expected = format!(
        "FALCON_ATTEMPT=1\nFALCON_GROUP=acme\nFALCON_JOB_ID={}\nFALCON_KEY=the key\nFALCON_LEASE_ID={lease}\n\
         FALCON_MASTER={}\nFALCON_MAX_ATTEMPTS=7\nFALCON_QUEUE=q\n",
        ids[0], master.address
    );
    assert_eq!(text(dump.last(ids[0], "ACK"), "result"), expected);
    let without_key = text(dump.last(ids[1], "ACK"), "result");
    assert!(without_key.contains("FALCON_MAX_ATTEMPTS=5\n"), "{without_key}");
    assert!(!without_key.contains("the key"), "{without_key}");
}

#[test]
fn stdin_is_the_payload_and_stdout_the_result() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let binary: Vec<u8> = (0..=255).rev().collect();
    let payloads: [&[u8]; 4] = [b"plain text\n", &binary, b"", "größer".as_bytes()];
    let ids = wire.put_all(&payloads.map(|payload| job("q", payload)));
    let _worker = master.worker(&["--queue", "q"], &["cat"]);
    master.wait_completed(4);
    let dump = master.dump();
    let hex: String = binary.iter().map(|byte| format!("{byte:02x}")).collect();
    let results = [("result", "plain text\n"), ("result_hex", &hex), ("result", ""), ("result", "größer")];
    for ((job, payload), (field, result)) in ids.into_iter().zip(payloads).zip(results) {
        let ack = dump.last(job, "ACK");
        assert_eq!(number(ack, "result_bytes"), payload.len() as u64);
        assert_eq!(text(ack, field).to_lowercase(), result);
    }
}

#[test]
fn a_long_payload_may_be_read_or_not() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let payload = vec![b'p'; PAYLOAD_BYTES_MAX];
    let read = wire.put("read", &payload);
    let unread = wire.put("unread", &payload);
    let _reader = master.worker(&["--queue", "read"], &["wc", "-c"]);
    let _other = master.worker(&["--queue", "unread"], &["true"]);
    master.wait_completed(2);
    let dump = master.dump();
    assert_eq!(text(dump.last(read, "ACK"), "result").trim(), "1048576");
    assert_eq!(dump.story(unread), ["ENQUEUE", "DISPATCH", "ACK"]);
}

#[test]
fn the_tail_of_stderr_is_the_error() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let short = wire.put("q", "echo the reason >&2; echo no result; exit 65");
    let long = "i=0; while [ $i -lt 3000 ]; do echo a line of many $i; i=$((i+1)); done >&2; \
                echo 'the end' >&2; exit 65";
    let long = wire.put("q", long);
    let _worker = master.worker(&["--queue", "q"], &["sh"]);
    wait_until("two dead jobs", SOON, || wire.stats().totals.dead == 2);
    let dump = master.dump();
    let error = text(dump.last(short, "DEAD"), "error");
    assert!(error.contains("the reason") && !error.contains("no result"), "{error}");
    let error = text(dump.last(long, "DEAD"), "error");
    assert!(error.trim_end().ends_with("the end"), "{error}");
    assert!(error.len() <= 4_096, "{} bytes", error.len());
}

#[test]
fn a_command_that_is_not_there_is_refused_before_a_job_is_taken() {
    let master = Master::fresh(&[]);
    master.connect().put("q", "x");
    let run = master.worker(&["--queue", "q"], &["/no/such/command"]).finish().expect(2);
    assert!(run.err.contains("/no/such/command"), "the sentence names the command: {}", run.err);
    assert_eq!(master.dump().count("DISPATCH"), 0);
}

#[test]
fn a_command_that_goes_away_costs_its_jobs_no_attempt() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let script = place.path("script");
    let write = || {
        fs::write(&script, "#!/bin/sh\ncat\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write();
    let _worker = master.worker(&["--queue", "q"], &[&script]);
    wire.put("q", "x");
    wait_until("an ack", SOON, || wire.stats().totals.completed == 1);
    fs::remove_file(&script).unwrap();
    let id = wire.put_all(&[Job { max_attempts: 1, ..job("q", "x") }])[0];
    wait_until("a release", SOON, || master.dump().story(id).contains(&"RELEASE"));
    write();
    wait_until("an ack", SOON, || wire.stats().totals.completed == 2);
}

#[test]
fn a_worker_that_was_idle_longer_than_its_lease_runs_the_next_job() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let mut worker = master.worker(&["--queue", "q", "--lease", "500ms"], &["sleep", "1"]);
    wait_until("a waiting poll", SOON, || wire.stats().waiting_polls == 1);
    // Twice the lease has to pass: that is what this is about.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let id = wire.put_all(&[Job { max_attempts: 1, ..job("q", "x") }])[0];
    wait_until("the end of the job", SOON, || {
        let totals = wire.stats().totals;
        totals.completed + totals.dead == 1
    });
    assert_eq!(master.dump().story(id), ["ENQUEUE", "DISPATCH", "ACK"]);
    assert!(worker.exited().is_none());
}

#[test]
fn as_many_run_at_once_as_concurrency_says() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let mine = place.path("run-$FALCON_JOB_ID");
    let all = place.path("run-*");
    let script = format!(": > \"{mine}\"; {}; ls {all} | wc -l; rm \"{mine}\"", place.until("go"));
    wire.put_all(&vec![job("q", script); 9]);
    let _worker = master.worker(&["--queue", "q", "--concurrency", "3"], &["sh"]);
    wait_until("three at once", SOON, || place.count("run-") == 3);
    let totals = Counts { pending: 6, in_flight: 3, ..Counts::default() };
    assert_eq!(wire.stats().totals, totals, "no job waits in the worker for its turn");
    place.mark("go");
    master.wait_completed(9);
    let dump = master.dump();
    let at_once = dump.of("ACK").into_iter().map(|ack| text(ack, "result").trim().parse().unwrap());
    assert_eq!(at_once.max(), Some(3));
}

#[test]
fn one_worker_serves_several_queues() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put_all(&[job("a", "1"), job("b", "2"), job("c", "3"), job("b", "4")]);
    let _worker = master.worker(&["--queue", "a", "--queue", "b", "--name", "serves-two"], &["cat"]);
    master.wait_completed(3);
    wire.put("a", "5");
    master.wait_completed(4);
    assert_eq!(wire.stats().totals, Counts { pending: 1, completed: 4, ..Counts::default() });
    let dump = master.dump();
    assert!(dump.of("DISPATCH").iter().all(|record| record["worker"] == "serves-two"));
}

/// Shell: two processes of one group that never end, with their pids in files.
fn pair_for_ever(place: &Place) -> String {
    let (child, parent) = (place.path("child"), place.path("parent"));
    let for_ever = place.for_ever();
    format!("trap '' TERM; ({for_ever}) & echo $! > '{child}'; echo $$ > '{parent}'; {for_ever}")
}

/// The pids of these two, once they run.
fn wait_pair(place: &Place) -> [String; 2] {
    let pids = ["child", "parent"].map(|name| place.wait_content(name));
    assert!(pids.iter().all(|pid| is_running(pid)), "{pids:?} run");
    pids
}

fn wait_gone(pids: &[String; 2]) {
    wait_until("the end of the process group", SOON, || !pids.iter().any(|pid| is_running(pid)));
}

#[test]
fn a_job_whose_time_is_up_is_stopped_with_its_process_group() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let script = pair_for_ever(&place);
    let slow = Job { timeout_ms: 1_000, max_attempts: 1, ..job("q", script) };
    let id = wire.put_all(&[slow])[0];
    let _worker = master.worker(&["--queue", "q"], &["sh"]);
    let pids = wait_pair(&place);
    wait_gone(&pids);
    wait_until("the dead job", SOON, || wire.stats().totals.dead == 1);
    let dump = master.dump();
    let ran_ms = moment(dump.last(id, "DEAD"), "at") - moment(dump.last(id, "DISPATCH"), "at");
    assert!((990..15_000).contains(&ran_ms), "stopped after {ran_ms} ms");
    wire.put("q", "exit 0");
    master.wait_completed(1);
}

#[test]
fn a_job_without_a_time_of_its_own_gets_the_masters() {
    let place = Place::new();
    let master = Master::fresh(&["--default-timeout", "500ms"]);
    let mut wire = master.connect();
    wire.put_all(&[Job { max_attempts: 1, ..job("q", place.for_ever()) }]);
    let _worker = master.worker(&["--queue", "q"], &["sh"]);
    wait_until("the dead job", SOON, || wire.stats().totals.dead == 1);
    falcond_refuses(&["--default-timeout", "1ms", "--data-dir", "nowhere"], 2);
}

#[test]
fn a_job_whose_lease_is_lost_is_stopped_with_its_process_group() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let id = wire.put("q", format!("[ $FALCON_ATTEMPT -gt 1 ] && exit; {}", pair_for_ever(&place)));
    let worker = master.worker(&["--queue", "q", "--lease", "1s"], &["sh"]);
    let pids = wait_pair(&place);
    worker.signal(Signal::STOP);
    wait_until("the lease to run out", SOON, || wire.stats().totals.in_flight == 0);
    assert!(pids.iter().all(|pid| is_running(pid)));
    worker.signal(Signal::CONT);
    wait_gone(&pids);
    master.wait_completed(1);
    assert_eq!(master.dump().story(id), ["ENQUEUE", "DISPATCH", "TIMEOUT", "DISPATCH", "ACK"]);
}

#[test]
fn a_job_longer_than_its_lease_keeps_it() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let id = wire.put("q", place.until("go"));
    let _worker = master.worker(&["--queue", "q", "--lease", "500ms"], &["sh"]);
    wait_until("the dispatch", SOON, || wire.stats().totals.in_flight == 1);
    wire.idle(1_600);
    place.mark("go");
    master.wait_completed(1);
    assert_eq!(master.dump().story(id), ["ENQUEUE", "DISPATCH", "ACK"]);
}

#[test]
fn sigterm_lets_a_worker_finish_what_it_runs() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let script = format!("echo > '{}'; {}; sleep 0.3; echo finished", place.path("running"), place.until("go"));
    let ids = wire.put_all(&[job("q", script), job("q", "echo never")]);
    let worker = master.worker(&["--queue", "q"], &["sh"]);
    place.wait_content("running");
    worker.signal(Signal::TERM);
    place.mark("go");
    worker.finish().expect(0);
    let dump = master.dump();
    assert_eq!(text(dump.last(ids[0], "ACK"), "result"), "finished\n");
    assert_eq!(dump.story(ids[1]), ["ENQUEUE"]);

    let idle = master.worker(&["--queue", "nothing"], &["sh"]);
    wait_until("its poll", SOON, || wire.stats().waiting_polls == 1);
    idle.signal(Signal::TERM);
    idle.finish().expect(0);
}

#[test]
fn sigterm_releases_what_does_not_finish_within_the_limit() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let id = wire.put("q", pair_for_ever(&place));
    let worker = master.worker(&["--queue", "q", "--shutdown-limit", "300ms"], &["sh"]);
    let pids = wait_pair(&place);
    worker.signal(Signal::TERM);
    worker.finish().expect(0);
    wait_gone(&pids);
    assert_eq!(master.dump().story(id), ["ENQUEUE", "DISPATCH", "RELEASE"]);
    let again = wire.take("q");
    assert_eq!((again.job, again.attempt), (id, 1), "the attempt is not counted");
}

#[test]
fn bad_values_on_the_command_line_are_refused() {
    let port = Port::reserve();
    let bad: [(&[&str], &[&str]); 12] = [
        (&[], &["cat"]),
        (&["--queue", "q"], &[]),
        (&["--queue", "no spaces"], &["cat"]),
        (&["--queue", ""], &["cat"]),
        (&["--queue", "q=0"], &["cat"]),
        (&["--queue", "q", "--concurrency", "0"], &["cat"]),
        (&["--queue", "q", "--concurrency", "many"], &["cat"]),
        (&["--queue", "q", "--lease", "10"], &["cat"]),
        (&["--queue", "q", "--lease", "1ms"], &["cat"]),
        (&["--queue", "q", "--lease", "25h"], &["cat"]),
        (&["--queue", "q", "--shutdown-limit", "soon"], &["cat"]),
        (&["--queue", "q", "--no-such-option"], &["cat"]),
    ];
    for (options, command) in bad {
        let run = worker(&port.address, options, command).finish();
        assert_eq!(run.status, 2, "{options:?} {command:?}: {}", run.err);
        assert!(!run.err.is_empty());
    }
}

#[test]
fn the_results_of_many_small_jobs_go_to_their_own_jobs() {
    let here = scratch();
    let lines: String = (0..200).map(|n| format!("line {n}\n")).collect();
    let file = here.path().join("lines");
    fs::write(&file, lines).unwrap();
    let master = Master::fresh(&[]);
    let ids = master.submit(&["q", "--lines", file.to_str().unwrap()]);
    let _worker = master.worker(&["--queue", "q", "--concurrency", "8"], &["cat"]);
    master.wait_completed(200);
    let dump = master.dump();
    for (n, job) in ids.into_iter().enumerate() {
        let result: &Value = &dump.last(job, "ACK")["result"];
        assert_eq!(result, &Value::from(format!("line {n}")));
    }
}

#[test]
fn the_last_words_on_stderr_are_kept_whatever_came_before_them() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let id = wire.put("q", "head -c 100000 /dev/urandom >&2; echo THE-REASON >&2; exit 65");
    let _worker = master.worker(&["--queue", "q"], &["sh"]);
    wait_until("a dead job", SOON, || wire.stats().totals.dead == 1);
    let dump = master.dump();
    let error = text(dump.last(id, "DEAD"), "error");
    assert!(error.starts_with("exit status 65: ") && error.ends_with("THE-REASON"), "{error:?}");
    assert!(error.len() <= 4096, "{}", error.len());
}

#[test]
fn the_others_of_a_group_have_their_grace_when_its_leader_has_ended() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let (started, cleaned) = (place.path("started"), place.path("cleaned"));
    let inner = format!("trap 'sleep 0.3; : > \"{cleaned}\"; exit' TERM; : > \"{started}\"; {}", place.for_ever());
    // The leader does nothing about SIGTERM and so ends by it at once; the other cleans up first.
    let script = format!("cat > '{0}' <<'END'\n{inner}\nEND\nsh '{0}' & wait", place.path("inner"));
    wire.put_all(&[Job { timeout_ms: 1000, max_attempts: 1, ..job("q", script) }]);
    let _worker = master.worker(&["--queue", "q"], &["sh"]);
    wait_until("the job's end", SOON, || wire.stats().totals.dead == 1);
    assert!(place.has("started") && place.has("cleaned"));
}

#[test]
fn queues_with_weights_get_their_shares_and_the_others_what_is_left() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    for queue in ["mail", "bulk"] {
        wire.put_all(&[(); 40].map(|()| job(queue, "x")));
    }
    let options = ["--queue", "mail=3", "--queue", "bulk=1", "--prefetch", "0"];
    let _worker = master.worker(&options, &["true"]);
    wait_until("the end of all jobs", SOON, || wire.stats().totals.completed == 80);
    let dump = master.dump();
    let first: Vec<bool> = dump.of("DISPATCH")[..40].iter().map(|record| number(record, "job") <= 40).collect();
    assert_eq!(first.iter().filter(|is_mail| **is_mail).count(), 30, "{first:?}");
}
