//! Outages: a master that stands still or is away longer than a lease costs no job an attempt.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::wire::{Job, job};
use crate::harness::*;

/// A command that tells its process id and waits for `go`.
fn waiting(place: &Place) -> String {
    format!("echo $$ > '{}'; {}", place.path("pid"), place.until("go"))
}

fn once(script: String) -> Job {
    Job { max_attempts: 1, ..job("q", script) }
}

fn wait_stopped(pid: &str) {
    wait_until("the end of a command whose lease is over", SOON, || !is_running(pid));
}

/// The job is begun once more, and does its work.
fn runs_again(master: &Master, place: &Place, pid: &str, id: u64) {
    wait_until("the next attempt", SOON, || place.wait_content("pid") != pid);
    place.mark("go");
    master.wait_completed(1);
    let dump = master.dump();
    assert_eq!(dump.story(id), ["ENQUEUE", "DISPATCH", "RELEASE", "DISPATCH", "ACK"]);
    assert_eq!(number(dump.last(id, "DISPATCH"), "attempt"), 1);
}

#[test]
fn a_master_that_was_stopped_for_longer_than_a_lease_costs_no_attempt() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let id = master.connect().put_all(&[once(waiting(&place))])[0];
    let _worker = master.worker(&["--queue", "q", "--lease", "1s"], &["sh"]);
    let pid = place.wait_content("pid");
    master.signal(Signal::STOP);
    wait_stopped(&pid);
    master.signal(Signal::CONT);
    runs_again(&master, &place, &pid, id);
    master.stop();
}

#[test]
fn a_master_that_was_away_for_longer_than_a_lease_costs_no_attempt() {
    let (place, dir, port) = (Place::new(), scratch(), Port::reserve());
    let start = |dir: &Path| Master::start_at(dir, &port.address, &[]);
    let master = start(dir.path());
    let id = master.connect().put_all(&[once(waiting(&place))])[0];
    let _worker = worker(&port.address, &["--queue", "q", "--lease", "1s"], &["sh"]);
    let pid = place.wait_content("pid");
    master.kill();
    wait_stopped(&pid);
    let master = start(dir.path());
    runs_again(&master, &place, &pid, id);
    master.stop();
}

#[test]
fn with_an_outage_limit_a_job_goes_on_and_is_acked() {
    let (place, dir, port) = (Place::new(), scratch(), Port::reserve());
    let start = |dir: &Path| Master::start_at(dir, &port.address, &[]);
    let master = start(dir.path());
    let id = master.connect().put_all(&[once(waiting(&place))])[0];
    let options = ["--queue", "q", "--lease", "500ms", "--outage-limit", "1m"];
    let _worker = worker(&port.address, &options, &["sh"]);
    let pid = place.wait_content("pid");
    master.kill();
    // Three leases long.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(is_running(&pid), "the command goes on");
    let master = start(dir.path());
    place.mark("go");
    master.wait_completed(1);
    assert_eq!(master.dump().story(id), ["ENQUEUE", "DISPATCH", "ACK"]);
    master.stop();
}
