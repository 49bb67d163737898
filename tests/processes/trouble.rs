//! What goes wrong around the programs: a disk that fails, a master that hangs, readers that leave, clients that say
//! nothing. Each has to end in time and say why.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::wire::{HELLO_NEEDED, Job, TOO_MANY_CONNECTIONS, Wire, job, poll};
use crate::harness::*;
use rustix::process::Signal;

/// A directory that is gone gives no next segment: a failed write to the log, as far as the master can tell.
fn ends_when_its_log_fails(args: &[&str]) {
    let dir = scratch();
    let data = dir.path().join("data");
    let master = Master::start(&data, args);
    let mut wire = master.connect();
    fs::remove_dir_all(&data).unwrap();
    let payload = "x".repeat(1 << 20);
    let accepted = (0..64).take_while(|_| matches!(wire.try_put("nobody", &payload), Ok(Some(_)))).count();
    assert!((1..64).contains(&accepted), "{accepted} MiB in a log of one segment");
    let run = master.finish().expect(74);
    assert!(run.err.contains("No such file"), "{}", run.err);
}

#[test]
fn a_log_that_fails_ends_the_master_with_74() {
    ends_when_its_log_fails(&[]);
}

#[test]
fn a_log_that_fails_ends_a_standalone_master_with_74_although_its_workers_run() {
    ends_when_its_log_fails(&["--workers", "2", "--queue", "q", "--", "cat"]);
}

#[test]
fn a_hung_master_does_not_keep_a_job_running_past_its_lease() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let script = format!("echo $$ > '{}'; {}", place.path("pid"), place.for_ever());
    master.connect().put("q", script);
    let _worker = master.worker(&["--queue", "q", "--lease", "1s"], &["sh"]);
    let pid = place.wait_content("pid");
    master.signal(Signal::STOP);
    wait_until("the end of a job whose lease is over", Duration::from_secs(6), || !is_running(&pid));
    master.signal(Signal::CONT);
}

#[test]
fn an_idle_worker_leaves_a_hung_master() {
    let master = Master::fresh(&[]);
    let mut worker = master.worker(&["--queue", "q"], &["cat"]);
    wait_until("a waiting poll", SOON, || master.stats().waiting_polls == 1);
    master.signal(Signal::STOP);
    worker.signal(Signal::TERM);
    let left = wait_for("the worker's end", Duration::from_secs(8), || worker.exited());
    assert_eq!(left.code(), Some(0));
    master.signal(Signal::CONT);
}

#[test]
fn a_second_signal_ends_a_worker_whose_master_is_gone() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let script = format!("echo $$ > '{}'; {}", place.path("pid"), place.for_ever());
    master.connect().put("q", script);
    let mut worker = master.worker(&["--queue", "q", "--lease", "60s"], &["sh"]);
    let pid = place.wait_content("pid");
    master.kill();
    worker.signal(Signal::INT);
    wait_until("the worker to take note", SOON, || worker.stderr().contains("stopping"));
    worker.signal(Signal::INT);
    let left = wait_for("the worker's end", Duration::from_secs(10), || worker.exited());
    assert_eq!(left.code(), Some(0));
    assert!(!is_running(&pid), "its job was stopped");
}

#[test]
fn waiting_keeps_its_time_although_the_master_hangs() {
    let master = Master::fresh(&[]);
    master.submit(&["q", "x"]);
    master.signal(Signal::STOP);
    let started = Instant::now();
    let run = master.cli(&["wait", "--timeout", "1s"]).expect(4);
    assert!(started.elapsed() < Duration::from_secs(5), "{run:?}");
    assert!(run.err.contains("no answer within 1s"), "{}", run.err);
    master.signal(Signal::CONT);
}

#[test]
fn jobs_are_submitted_although_nobody_reads_their_ids() {
    let master = Master::fresh(&[]);
    let lines: String = (0..5000).map(|number| format!("{number}\n")).collect();
    let mut child = Command::new(FALCON_CLI)
        .args(["--master", &master.address, "submit", "q", "--lines", "-", "--output", "quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(master.stats().totals.pending, 5000);
}

#[test]
fn a_line_is_submitted_before_the_next_one_comes() {
    let master = Master::fresh(&[]);
    let mut child = Command::new(FALCON_CLI)
        .args(["--master", &master.address, "submit", "q", "--lines", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for count in 1..=2 {
        // The next line has begun, too.
        stdin.write_all(b"line\nli").unwrap();
        wait_until("the line's job", SOON, || master.stats().totals.pending == count);
        stdin.write_all(b"ne").unwrap();
    }
    drop(stdin);
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said.lines().count(), 3);
}

#[test]
fn words_that_nobody_can_hear_change_no_exit_status() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status =
        |args: &[&str]| Command::new(FALCON_CLI).args(args).stdout(full()).stderr(full()).status().unwrap().code();
    assert_eq!(status(&["--master", "127.0.0.1:1", "stats"]), Some(69));
    assert_eq!(status(&["--master", "no address", "stats"]), Some(2));
}

#[test]
fn a_dump_has_one_line_for_each_record_whatever_a_job_says() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let script = r"printf 'one\ntwo\n\033[31mred\n' >&2; exit 65";
    wire.put("q", script);
    let _worker = master.worker(&["--queue", "q"], &["sh"]);
    wait_until("a dead job", SOON, || wire.stats().totals.dead == 1);
    let dump = master.cli(&["wal", "dump", master.dir.to_str().unwrap()]).expect(0);
    assert_eq!(dump.out.lines().count(), 3, "{}", dump.out);
    assert!(!dump.out.contains('\x1b'), "{:?}", dump.out);
}

#[test]
fn a_connection_that_says_nothing_is_closed_in_time() {
    let master = Master::fresh(&[]);
    let mut silent = Wire::silent(&master.address);
    let (_, reply) = silent.receive();
    crate::harness::wire::expect_error(reply, HELLO_NEEDED);
    silent.expect_closed();
}

/// Connections whose threads end when this goes, however the test ends.
struct Noise(Vec<TcpStream>);

impl Drop for Noise {
    fn drop(&mut self) {
        // One that the master has closed needs no shutdown.
        self.0.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

#[test]
fn clients_that_write_nothing_to_the_log_do_not_keep_its_syncs_waiting() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let noise = Noise((0..2).map(|_| master.connect().stream).collect());
    // A frame of an unknown kind, as long as a frame may be.
    let mut frame = crate::harness::frames::header(8 << 20, 0x77, 0, 1);
    frame.resize(16 + (8 << 20), 0);
    for stream in &noise.0 {
        let (mut stream, mut replies) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
        let frame = frame.clone();
        thread::spawn(move || while stream.write_all(&frame).is_ok() {});
        thread::spawn(move || std::io::copy(&mut replies, &mut std::io::sink()).is_ok());
    }
    for _ in 0..20 {
        wire.put("q", "x");
    }
}

#[test]
fn a_connection_with_as_many_waiting_polls_as_it_may_have_is_noticed_when_it_breaks() {
    let master = Master::fresh(&[]);
    let mut lost = master.connect();
    let id = lost.put_all(&[Job { max_attempts: 2, ..job("q", "x") }])[0];
    assert_eq!(lost.poll(&["q"], 1, 0, 60_000)[0].job, id);
    for _ in 0..1024 {
        lost.send(&poll(&["empty"], 1, 60_000, 1000));
    }
    wait_until("the polls", SOON, || master.stats().waiting_polls == 1024);
    drop(lost);
    let again = master.connect().poll(&["q"], 1, 8000, 1000);
    assert_eq!((again[0].job, again[0].attempt), (id, 2));
}

#[test]
fn more_connections_than_there_is_room_for_are_told_so_and_the_others_go_on() {
    let dir = scratch();
    // A limit that cannot be raised leaves room for a few connections beside the daemon's own descriptors.
    let script = "ulimit -n 80; exec \"$0\" --data-dir \"$1\" --listen 127.0.0.1:0 --segment-bytes 16777216";
    let mut command = Command::new("sh");
    command.args(["-c", script, FALCOND]).arg(dir.path());
    let master = Master::serving(Process::spawn(&mut command, b""), dir.path());
    let mut taken: Vec<Wire> = Vec::new();
    let refused = loop {
        let mut wire = Wire::silent(&master.address);
        wire.send(&crate::harness::wire::hello(b""));
        match wire.receive().1 {
            crate::harness::wire::Reply::HelloOk { .. } => taken.push(wire),
            other => break other,
        }
        assert!(taken.len() < 80, "the limit of open files is 80");
    };
    let crate::harness::wire::Reply::Error { code, retry, text } = refused else { panic!("{refused:?}") };
    assert_eq!((code, retry), (TOO_MANY_CONNECTIONS, 1), "{text}");
    taken[0].put("q", "x");
    drop(taken.pop());
    wait_until("a place", SOON, || {
        let mut wire = Wire::silent(&master.address);
        wire.send(&crate::harness::wire::hello(b""));
        matches!(wire.receive().1, crate::harness::wire::Reply::HelloOk { .. })
    });
}

#[test]
fn half_close_answers_more_polls_than_may_wait_at_once() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    for _ in 0..3000 {
        wire.send(&poll(&["empty"], 1, 60_000, 1000));
    }
    wire.end_sending();
    let answers = std::iter::from_fn(|| wire.try_receive().unwrap()).count();
    assert_eq!(answers, 3000);
}

#[test]
fn a_job_that_is_handed_out_as_a_standalone_master_stops_is_given_back() {
    let dir = scratch();
    let master = Master::start(dir.path(), &["--workers", "1", "--queue", "q", "--", "cat"]);
    wait_until("a waiting poll", SOON, || master.stats().waiting_polls == 1);
    let mut wire = master.connect();
    master.signal(Signal::STOP);
    wire.send(&crate::harness::wire::submit(&[job("q", "x")]));
    master.signal(Signal::TERM);
    master.signal(Signal::CONT);
    master.finish().expect(0);
    let dump = dump(dir.path());
    let story: Vec<&str> = dump.0.iter().map(|record| text(record, "event")).collect();
    let given_back = ["ENQUEUE", "DISPATCH", "RELEASE"];
    let acked = ["ENQUEUE", "DISPATCH", "ACK"];
    assert!(story == given_back || story == acked || story == ["ENQUEUE"], "{story:?}");
}
