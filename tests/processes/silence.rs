//! Who is gone without a word is noticed, on both sides; who is only slow or has nothing to say is not taken for gone.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::harness::hole::Hole;
use crate::harness::wire::*;
use crate::harness::*;

#[test]
fn a_worker_behind_a_network_that_swallows_is_noticed_by_both_sides_and_loses_no_attempt() {
    let master = Master::fresh(&["--silence", "2s"]);
    let hole = Hole::before(&master.address);
    let place = Place::new();
    let command = format!(": > '{}'", place.path("was-run"));
    let mut worker = worker(&hole.address, &["--queue", "q", "--lease", "2s"], &["sh", "-c", &command]);
    wait_until("a waiting poll", SOON, || master.stats().waiting_polls == 1);
    // It lives on its signs of life alone.
    let until = Instant::now() + Duration::from_secs(5);
    wait_until("more than its time to be silent", SOON, || Instant::now() > until);
    assert_eq!(master.stats().waiting_polls, 1, "{}", worker.stderr());
    assert!(!master.stderr().contains("was silent"), "{}", master.stderr());

    hole.set_open(true);
    let swallowed_at = Instant::now();
    let id = master.submit(&["q", "x", "--max-attempts", "1"])[0];
    wait_until("the master to notice", SOON, || master.stderr().contains("was silent for 2s"));
    wait_until("the worker to notice", SOON, || worker.stderr().contains("silent for 2 s"));
    assert!(swallowed_at.elapsed() < Duration::from_secs(4), "{:?}", swallowed_at.elapsed());
    wait_until("the job to be given back", SOON, || master.stats().totals.pending == 1);
    assert!(!place.has("was-run"));

    hole.set_open(false);
    master.wait_completed(1);
    assert_eq!(master.dump().story(id), ["ENQUEUE", "DISPATCH", "RELEASE", "DISPATCH", "ACK"]);
    assert!(worker.exited().is_none());
    master.stop();
}

#[test]
fn a_frame_has_to_go_on_and_a_slow_one_is_served() {
    let master = Master::fresh(&[]);
    let mut stands = master.connect();
    let mut creeps = master.connect();
    let frame = submit(&[job("q", "slow")]).frame(1);
    stands.send_bytes(&frame[..20]);
    let begun_at = Instant::now();
    // A byte now and then, until the other one was cut off.
    let mut sent = 0;
    stands.stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let cut = loop {
        if sent < frame.len() - 1 {
            creeps.stream.write_all(&frame[sent..=sent]).unwrap();
            sent += 1;
        }
        if let Ok(told) = stands.try_receive() {
            break told;
        }
    };
    let (number, reply) = cut.expect("an error");
    assert_eq!(number, 0);
    assert!(matches!(reply, Reply::Error { code: TOO_SLOW, retry: 1, .. }), "{reply:?}");
    let took = begun_at.elapsed();
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(14), "{took:?}");
    creeps.send_bytes(&frame[sent..]);
    assert_eq!(submitted(creeps.receive().1).len(), 1);
    master.stop();
}

#[test]
fn a_producer_may_be_silent_and_a_waiting_poll_may_not() {
    let master = Master::fresh(&["--silence", "1s"]);
    let mut producer = master.connect();
    producer.put("elsewhere", "x");
    let mut waiting = master.connect();
    waiting.send(&poll(&["q"], 1, 300_000, 30_000));
    waiting.expect_closed();
    producer.put("elsewhere", "y");
    master.stop();
}
