//! The door: what comes in badly, half, or not at all costs little and harms nobody; who comes when the master stops is
//! told so.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

use rustix::process::Signal;

use super::wire::Scene;
use crate::harness::wire::*;
use crate::harness::*;

const MIB: u64 = 1 << 20;

/// All that comes until the end, which is an orderly one.
fn until_closed(wire: &mut Wire) -> Vec<(u64, Reply)> {
    let mut head = [0; 1];
    let mut replies = Vec::new();
    loop {
        match wire.stream.peek(&mut head) {
            Ok(0) => return replies,
            Ok(_) => replies.push(wire.receive()),
            Err(error) => panic!("{error} after {replies:?}"),
        }
    }
}

fn code_of(reply: &Reply) -> u16 {
    if let Reply::Error { code, .. } = reply { *code } else { 0 }
}

#[test]
fn whoever_sends_after_sigterm_is_answered_and_nobody_is_cut_off() {
    let master = Master::fresh(&[]);
    let mut wires: Vec<Wire> = (0..60).map(|_| master.connect()).collect();
    let held = wires[0].put_and_take("q");
    let mut idle = master.connect();
    master.signal(Signal::TERM);
    wait_until("the master to be told", SOON, || master.stderr().contains("stopping"));
    for (n, wire) in wires.iter_mut().enumerate() {
        let asked = wire.send(&submit(&[job("q", "too late")]));
        let reports = (n == 0).then(|| wire.send(&ack(&[(held.job, held.lease, b"done")])));
        let replies = until_closed(wire);
        let (last, told) = replies.last().expect("an answer");
        assert_eq!((*last, code_of(told)), (0, SHUTTING_DOWN), "{replies:?}");
        assert!(replies.iter().all(|(number, reply)| *number != asked || code_of(reply) == SHUTTING_DOWN));
        if let Some(number) = reports {
            let is_taken =
                replies.iter().any(|(answered, reply)| *answered == number && matches!(reply, Reply::Done(..)));
            assert!(is_taken, "{replies:?}");
        }
        wire.end_sending();
    }
    assert_eq!(until_closed(&mut idle).iter().map(|(_, reply)| code_of(reply)).collect::<Vec<_>>(), [SHUTTING_DOWN]);
    drop((wires, idle));
    master.finish().expect(0);
}

#[test]
fn a_closing_error_comes_after_the_replies_to_what_came_before() {
    let scene = Scene::new();
    let mut wire = scene.greeted();
    let requests = [submit(&[job("q", "x")]), poll(&["nothing"], 1, 300_000, 1_000), stats()];
    let numbers = wire.send_all(&requests);
    wire.send_bytes(&header(0, 8, 1, 77));
    let replies = until_closed(&mut wire);
    let mut answered: Vec<u64> = replies.iter().map(|(number, _)| *number).collect();
    assert_eq!((answered.pop(), code_of(&replies[3].1)), (Some(77), MALFORMED));
    answered.sort_unstable();
    assert_eq!(answered, numbers);
    assert!(replies[..3].iter().all(|(_, reply)| code_of(reply) == 0), "{replies:?}");
}

#[test]
fn odd_bytes_in_one_item_of_a_report_are_that_requests_bad_value() {
    let scene = Scene::new();
    let mut wire = scene.greeted();
    let held = wire.put_and_take("q");
    let item = || Body::default().u16(1).u64(held.job).u64(held.lease);
    let not_text = Request::new(5, item().u8(0).len16(3).bytes(b"a\xff\xfe").plain().plain());
    let no_flag = Request::new(5, item().u8(2).text("x").plain().plain());
    let no_stage = Request::new(7, item().u8(9).plain().plain());
    for (request, code) in [(not_text, BAD_VALUE), (no_flag, BAD_VALUE), (no_stage, NOT_UNDERSTOOD)] {
        wire.expect_refused(&request, code);
        assert_eq!(wire.heartbeat(&held).0, 0, "the lease lives");
    }
    assert_eq!(wire.ack(&held), 0);
}

#[test]
fn half_frames_of_all_connections_together_are_bounded_and_workers_go_last() {
    let master = Master::fresh(&[]);
    let mut witness = master.connect();
    let mut worker = master.connect();
    let held = worker.put_and_take("q");
    let frame = submit(&vec![job("q", vec![b'x'; MIB as usize - 64]); 8]).frame(1);
    worker.send_bytes(&frame[..frame.len() - 1]);
    let half = |_| {
        let mut wire = master.connect();
        // The master may end it before all of this is sent.
        let sent = std::io::Write::write_all(&mut wire.stream, &frame[..frame.len() - 1]);
        assert!(sent.is_ok() || matches!(sent.unwrap_err().kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
        wire
    };
    let halves: Vec<Wire> = (0..24).map(half).collect();
    wait_until("most of them to be closed", SOON, || witness.stats().connections <= 2 + 8);
    assert!(master.anonymous_bytes() < 110 * MIB, "{}", master.anonymous_bytes());
    worker.send_bytes(&frame[frame.len() - 1..]);
    assert_eq!(submitted(worker.receive().1).len(), 8, "a worker's frame goes on");
    assert_eq!(worker.ack(&held), 0);
    drop(halves);
    wait_until("all of them to be gone", SOON, || witness.stats().connections == 2);
    master.stop();
}

#[test]
fn strangers_take_no_place_that_a_client_needs_and_leave_nothing() {
    let master = Master::fresh(&[]);
    let mut witness = master.connect();
    let before = master.anonymous_bytes();
    let strangers: Vec<Wire> = (0..1_500).map(|_| Wire::silent(&master.address)).collect();
    assert!(witness.stats().connections <= 1_025 + 1);
    // Those who do say Hello find a place, and keep it.
    let mut known: Vec<Wire> = (0..20).map(|_| master.connect()).collect();
    let more: Vec<Wire> = (0..1_500).map(|_| Wire::silent(&master.address)).collect();
    for wire in &mut known {
        wire.put("q", "x");
    }
    drop((strangers, more, known));
    wait_until("all of them to be gone", SOON, || witness.stats().connections == 1);
    let kept = master.anonymous_bytes().saturating_sub(before);
    assert!(kept < 3 * MIB, "{kept} bytes are kept");
    let said = master.stderr().lines().count();
    assert!(said < 20, "{}", master.stderr());
    master.stop();
}

#[test]
fn who_reads_nothing_is_handed_no_more_and_what_it_never_got_costs_no_attempt() {
    let master = Master::fresh(&[]);
    let mut other = master.connect();
    let payload = |n: u8| vec![n; MIB as usize];
    for n in 0..40 {
        other.put("big", payload(n));
    }
    let mut deaf = master.connect();
    let polls: Vec<Request> = (0..40).map(|_| poll(&["big"], 1, 300_000, 1_500)).collect();
    let numbers = deaf.send_all(&polls);
    wait_until("some of them to be handed out", SOON, || other.stats().totals.in_flight > 0);
    // What the sockets take is thought to be read: some MiB.
    let handed = other.stats().totals.in_flight;
    assert!(handed < 15, "{handed} jobs were handed out");
    wait_until("all to be taken back", SOON, || other.stats().totals.in_flight == 0);
    let attempts: Vec<u16> = (0..40).map(|_| other.take("big").attempt).collect();
    assert!(attempts.iter().filter(|attempt| **attempt == 1).count() > 40 - 15, "{attempts:?}");
    // Its other polls are still there, and serve it once it reads.
    deaf.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let first = delivered(deaf.reply_to(numbers[0]));
    assert_eq!(deaf.ack(&first[0]), LEASE_LOST);
    deaf.stream.shutdown(Shutdown::Both).unwrap();
}
