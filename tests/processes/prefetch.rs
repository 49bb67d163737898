//! A worker that holds more jobs than it runs: what it does not begin soon goes to others, uncounted.

use crate::harness::*;

/// Jobs of which each waits until it may go on.
fn stuck(place: &Place, jobs: usize) -> (Master, Vec<u64>, String) {
    let master = Master::fresh(&[]);
    let lines: String = (1..=jobs).map(|n| format!("{n}\n")).collect();
    let ids = master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
    (master, ids, format!("read n; : > '{}'$n; {}", place.path("began-"), place.until("go")))
}

#[test]
fn what_a_worker_holds_and_does_not_begin_within_half_a_lease_goes_to_others() {
    let place = Place::new();
    let (master, ids, command) = stuck(&place, 4);
    let options = ["--queue", "q", "--lease", "2s", "--prefetch", "3", "--name"];
    let _greedy = master.worker(&[&options[..], &["greedy"]].concat(), &["sh", "-c", &command]);
    wait_until("one that runs and three that are held", SOON, || master.stats().totals.in_flight == 4);
    wait_until("the first to be begun", SOON, || place.count("began-") > 0);
    assert_eq!(place.count("began-"), 1);
    let _idle = master.worker(&["--queue", "q", "--concurrency", "3", "--name", "idle"], &["sh", "-c", &command]);
    wait_until("all to be begun", SOON, || place.count("began-") == 4);
    place.mark("go");
    master.wait_completed(4);

    let dump = master.dump();
    for job in &ids[1..] {
        assert_eq!(dump.story(*job), ["ENQUEUE", "DISPATCH", "RELEASE", "DISPATCH", "ACK"]);
        assert_eq!(number(dump.last(*job, "DISPATCH"), "attempt"), 1, "it was never begun");
    }
    master.stop();
}

#[test]
fn a_worker_that_goes_quiet_gives_back_at_once_what_it_holds() {
    let place = Place::new();
    let (master, ids, command) = stuck(&place, 3);
    let options = ["--queue", "q", "--lease", "60s", "--prefetch", "2"];
    let quiet = master.worker(&options, &["sh", "-c", &command]);
    wait_until("one that runs and two that are held", SOON, || {
        place.count("began-") > 0 && master.stats().totals.in_flight == 3
    });
    quiet.signal(rustix::process::Signal::TERM);
    wait_until("the two to be back", SOON, || master.stats().totals.pending == 2);
    assert_eq!(place.count("began-"), 1, "the other one runs on");
    place.mark("go");
    quiet.finish().expect(0);
    assert_eq!(master.dump().story(ids[0]), ["ENQUEUE", "DISPATCH", "ACK"]);
    master.stop();
}

#[test]
fn a_worker_without_prefetch_holds_nothing_and_long_jobs_are_not_hoarded() {
    let place = Place::new();
    let (master, _, command) = stuck(&place, 9);
    let _plain = master.worker(&["--queue", "q", "--concurrency", "2"], &["sh", "-c", &command]);
    wait_until("two that run", SOON, || place.count("began-") == 2);
    let totals = master.stats().totals;
    assert_eq!((totals.in_flight, totals.pending), (2, 7));
    place.mark("go");
    master.wait_completed(9);
    master.stop();
}
