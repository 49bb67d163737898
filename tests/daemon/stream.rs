//! The stream of bytes: frames may come in any cut and many at once, a client may leave in the middle of one, and who
//! does not read harms nobody.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use super::wire::Scene;
use crate::harness::wire::*;
use crate::harness::*;

#[test]
fn frames_may_come_byte_by_byte() {
    let master = Master::fresh(&[]);
    let mut wire = Wire::silent(&master.address);
    for byte in hello(b"").frame(1) {
        wire.send_bytes(&[byte]);
    }
    assert!(matches!(wire.receive(), (1, Reply::HelloOk { .. })));
    for byte in [submit(&[job("q", "in pieces")]).frame(2), poll(&["q"], 1, 0, 1_000).frame(3)].concat() {
        wire.send_bytes(&[byte]);
    }
    assert_eq!(submitted(wire.reply_to(2)).len(), 1);
    assert_eq!(delivered(wire.reply_to(3))[0].payload, b"in pieces");
}

#[test]
fn many_requests_may_come_in_one_write() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let requests: Vec<Request> = (0..3_000).map(|n| submit(&[job("q", format!("{n}"))])).collect();
    // Beyond 1,024 unanswered ones the master reads on only when replies have left.
    let correlations = wire.send_all(&requests);
    let ids: Vec<u64> = correlations.into_iter().map(|c| submitted(wire.reply_to(c))[0].job).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "one connection's submits are taken in their order");
    for (n, id) in ids.iter().enumerate().take(50) {
        let job = wire.take("q");
        assert_eq!((job.job, job.payload), (*id, format!("{n}").into_bytes()));
    }
    assert_eq!(wire.stats().totals.pending, 2_950);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_frame_leaves_nothing() {
    let mut scene = Scene::new();
    let (frame, first_frame) = (submit(&[job("q", "never whole")]).frame(1), hello(b"").frame(1));
    for cut in [1, 15, 16, 17, first_frame.len() - 1] {
        let mut wire = scene.greeted();
        wire.send_bytes(&frame[..cut]);
        drop(wire);
        scene.silent().send_bytes(&first_frame[..cut]);
    }
    wait_until("the connections to be gone", SOON, || scene.witness.stats().connections == 1);
    scene.expect_unharmed();
    scene.end();
}

#[test]
fn half_close_gets_every_answer_and_then_the_end() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let requests = [submit(&[job("q", "x")]), poll(&["nothing"], 1, 300_000, 1_000), stats()];
    let [submit, poll, stats] = wire.send_all(&requests)[..] else { unreachable!() };
    wire.end_sending();
    let begun = Instant::now();
    assert_eq!(submitted(wire.reply_to(submit)).len(), 1);
    assert_eq!(delivered(wire.reply_to(poll)), []);
    assert!(matches!(wire.reply_to(stats), Reply::StatsOk(_)));
    wire.expect_closed();
    assert!(begun.elapsed() < SOON, "a waiting poll does not wait on");
    let totals = Counts { pending: 1, ..Counts::default() };
    assert_eq!(master.stats().totals, totals);
    master.stop();
}

#[test]
fn a_client_that_does_not_read_its_jobs_stops_nobody() {
    let master = Master::fresh(&["--sync", "never"]);
    let mut other = master.connect();
    let payload = |n: u8| vec![n; PAYLOAD_BYTES_MAX];
    for n in 0..40 {
        other.put("big", payload(n));
    }
    let mut slow = master.connect();
    let polls: Vec<Request> = (0..40).map(|_| poll(&["big"], 1, 10_000, 60_000)).collect();
    let correlations = slow.send_all(&polls);
    for n in 0..100 {
        let begun = Instant::now();
        other.put("small", format!("{n}"));
        let job = other.take("small");
        assert_eq!(other.ack(&job), 0);
        assert!(begun.elapsed() < Duration::from_secs(5), "round {n} took {:?}", begun.elapsed());
    }
    for (n, correlation) in (0..).zip(correlations) {
        let jobs = delivered(slow.reply_to(correlation));
        assert!(jobs.len() == 1 && jobs[0].payload == payload(n), "big job {n}");
    }
}

#[test]
fn a_client_that_sends_for_ever_and_never_reads_is_not_read_for_ever() {
    let mut scene = Scene::new();
    let flood = scene.greeted();
    let mut stream = &flood.stream;
    stream.set_nonblocking(true).unwrap();
    let frames = stats().frame(1).repeat(4_096);
    let (mut sent, mut offset, mut refused) = (0, 0, 0);
    // The master has time to read between two tries, as the witness is served in it.
    while refused < 20 {
        match stream.write(&frames[offset..]) {
            Ok(n) => {
                sent += n;
                offset = (offset + n) % frames.len();
                refused = 0;
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                scene.witness.idle(20);
            }
            Err(e) => panic!("the master closed: {e}"),
        }
        assert!(sent < 100 << 20, "the master takes requests without end");
    }
    scene.expect_unharmed();
    // Once it reads, it gets its answers.
    stream.set_nonblocking(false).unwrap();
    stream.read_exact(&mut vec![0; 1 << 20]).expect("answers");
    scene.expect_unharmed();
    scene.end();
}
