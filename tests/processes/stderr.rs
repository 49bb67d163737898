//! A stderr that nobody reads: nothing waits for it, what is dropped is counted, and a flood of one kind is cut short.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};

use crate::harness::*;

/// A pipe that is full to the last byte, so that whoever writes to it waits.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (read, mut write) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&write, true).expect("a pipe that does not wait");
    while write.write(&[b'.'; 4096]).is_ok() {}
    while write.write(b".").is_ok() {}
    rustix::io::ioctl_fionbio(&write, false).expect("a pipe that waits");
    (read, write)
}

fn end(mut child: Child, signal: Signal) -> i32 {
    rustix::process::kill_process(Pid::from_child(&child), signal).expect("a signal sent");
    let status = wait_for("the end of a program", SOON, || child.try_wait().expect("try_wait"));
    status.code().unwrap_or(-1)
}

fn stranger(address: &str) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(&wire::stats().frame(1)).expect("a request");
    let mut answer = Vec::new();
    // It is told off, and the connection ends.
    let _ = stream.read_to_end(&mut answer);
}

/// What a pipe gives until its writers are gone.
fn rest(mut read: std::io::PipeReader) -> String {
    let mut bytes = Vec::new();
    read.read_to_end(&mut bytes).expect("the rest of a pipe");
    String::from_utf8_lossy(&bytes).trim_start_matches('.').to_owned()
}

#[test]
fn a_master_serves_and_stops_as_ever() {
    let dir = scratch();
    let place = Place::new();
    let (read, write) = full_pipe();
    let out = File::create(place.path("out")).unwrap();
    let mut falcond = Command::new(FALCOND);
    falcond.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.path()).env("FALCON_LOG", "debug");
    let master = falcond.stdout(out).stderr(write).spawn().expect("falcond");
    drop(falcond);
    let said = || std::fs::read_to_string(place.path("out")).unwrap_or_default();
    wait_until("the master to listen", SOON, || said().ends_with('\n'));
    let address = said().trim().trim_start_matches("listening on ").to_owned();
    (0..600).for_each(|_| stranger(&address));
    cli(&["--master", &address, "submit", "q", "x"]).expect(0);
    assert_eq!(end(master, Signal::TERM), 0);
    let lines = rest(read);
    assert!(lines.lines().count() < 200, "{lines}");
}

#[test]
fn a_worker_stops_within_its_limit() {
    let master = Master::fresh(&[]);
    for _ in 0..50 {
        master.submit_input(&["q", "--max-attempts", "1", "-"], b"x");
    }
    let (read, write) = full_pipe();
    let mut worker = Command::new(FALCON_WORKER);
    worker.args(["--master", &master.address, "--queue", "q", "--shutdown-limit", "100ms", "--", "sh", "-c", "exit 1"]);
    let worker = worker.env("FALCON_LOG", "debug").stdin(Stdio::null()).stderr(write).spawn().expect("a worker");
    wait_until("all jobs to be dead", SOON, || master.stats().totals.dead == 50);
    assert_eq!(end(worker, Signal::TERM), 0);
    drop(read);
    master.stop();
}

#[test]
fn a_flood_of_one_kind_is_cut_short_and_counted() {
    let dir = scratch();
    let data = dir.path().join("data");
    let mut falcond = Command::new(FALCOND);
    falcond.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(&data).env("FALCON_LOG", "debug");
    let master = Master::serving(Process::spawn(&mut falcond, b""), &data);
    (0..300).for_each(|_| stranger(&master.address));
    let run = {
        master.signal(Signal::TERM);
        master.finish()
    }
    .expect(0);
    let refused = run.err.lines().filter(|line| line.contains(": refused: ")).count();
    assert!(run.err.contains("more lines of this kind were left out"), "{}", run.err);
    assert!((10..150).contains(&refused), "{refused} lines");
}
