//! Submits of many jobs: how they are stopped, broken, and gone on with.

use std::fs;
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::*;

fn payloads(master: &Master) -> Vec<String> {
    master.dump().of("ENQUEUE").iter().map(|line| text(line, "payload").to_owned()).collect()
}

/// A submit of lines that come through a pipe, as they are written.
fn piped(master: &Master, args: &[&str]) -> (Process, fs::File) {
    let (read, write) = std::io::pipe().unwrap();
    let mut command = Command::new(FALCON_CLI);
    command.args(["--master", &master.address, "--output", "quiet", "submit", "q", "--lines", "-"]).args(args);
    let process = Process::spawn_on(&mut command, OwnedFd::from(read));
    (process, OwnedFd::from(write).into())
}

#[test]
fn ctrl_c_ends_it_between_lines_and_says_from_where_to_go_on() {
    use std::io::Write;
    let master = Master::fresh(&[]);
    let (submit, mut pipe) = piped(&master, &[]);
    pipe.write_all(b"one\r\ntwo\n").unwrap();
    wait_until("two jobs", SOON, || master.stats().totals.pending == 2);
    submit.signal(Signal::INT);
    let run = submit.finish().expect(1);
    assert!(run.err.contains("stopped by Ctrl-C; go on with --from-line 3; 2 jobs were submitted"), "{}", run.err);
    let dir = scratch();
    let path = dir.path().join("lines");
    fs::write(&path, "one\r\ntwo\r\nthree\r\nfour").unwrap();
    master.submit(&["q", "--lines", path.to_str().unwrap(), "--from-line", "3"]);
    assert_eq!(payloads(&master), ["one", "two", "three", "four"]);
    let none = master.cli(&["submit", "q", "--lines", path.to_str().unwrap(), "--from-line", "9"]).expect(2);
    assert!(none.err.contains("has 4 lines, and none from 9 on"), "{}", none.err);
}

#[test]
fn a_submit_that_takes_long_is_told_of_every_ten_seconds_and_at_its_end() {
    use std::io::Write;
    let master = Master::fresh(&[]);
    let (submit, mut pipe) = piped(&master, &[]);
    let mut written = 0_u64;
    wait_until("a line about how far it is", 2 * SOON, || {
        pipe.write_all(b"x\n").unwrap();
        written += 1;
        submit.stderr().contains(" jobs submitted\n")
    });
    drop(pipe);
    let run = submit.finish().expect(0);
    assert!(run.err.ends_with(&format!("all {written} jobs submitted\n")), "{}", run.err);
    let short = master.cli_input(&["-o", "quiet", "submit", "q", "--lines", "-"], b"one\n").expect(0);
    assert_eq!(short.err, "");
}

#[test]
fn with_a_key_for_each_line_a_repeat_makes_no_job_twice_and_a_restart_is_waited_for() {
    use std::io::Write;
    let (dir, port) = (scratch(), Port::reserve());
    let master = Master::start_at(dir.path(), &port.address, &[]);
    let (submit, mut pipe) = piped(&master, &["--key-prefix", "import-", "--retry-for", "1m"]);
    pipe.write_all(b"one\n").unwrap();
    wait_until("a job", SOON, || master.stats().totals.pending == 1);
    master.kill();
    pipe.write_all(b"two\nthree\n").unwrap();
    wait_until("its word about the master", SOON, || submit.stderr().contains("it is waited for"));
    let master = Master::start_at(dir.path(), &port.address, &[]);
    drop(pipe);
    assert_eq!(submit.finish().expect(0).out, "1\n2\n3\n");
    let again =
        master.cli_input(&["-o", "quiet", "submit", "q", "--lines", "-", "--key-prefix", "import-"], b"one\ntwo\n");
    assert_eq!(again.expect(0).out, "1\n2\n");
    assert_eq!(payloads(&master), ["one", "two", "three"]);
}

#[test]
fn what_would_be_submitted_is_said_without_a_master() {
    let dir = scratch();
    let path = dir.path().join("jobs.jsonl");
    fs::write(&path, "{\"id\": \"a\", \"payload\": 1}\r\n{\"key\": \"b\", \"payload\": 2, \"queue\": \"mail\"}\r\n")
        .unwrap();
    let dry =
        |args: &[&str]| cli_with(&[&["--master", "127.0.0.1:1", "submit", "--dry-run"], args].concat(), &[], b"x\ny\n");
    let told = dry(&["bulk", "--file", path.to_str().unwrap()]).expect(0).out;
    assert_eq!(told, "1 job of queue bulk, 1 job of queue mail would be submitted; nothing was\n");
    assert_eq!(dry(&["q", "--lines", "-"]).expect(0).out, "2 jobs of queue q would be submitted; nothing was\n");
    fs::write(&path, "{\"id\": \"a\", \"payload\": 1}\n{\"id\": \"b\"}\n").unwrap();
    let bad = dry(&["bulk", "--file", path.to_str().unwrap()]).expect(2);
    assert!(bad.err.contains("line 2 column") && bad.err.contains("nothing was submitted"), "{}", bad.err);
}
