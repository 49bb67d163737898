//! Who waits for ends is told each as it was, once.

use falconqueue::ids::SessionId;

use crate::frames::{self, CANCEL, MEND_OK, PURGE, Reply, status};
use crate::hand::*;

/// A worker, a waiter, and two jobs of one attempt each.
fn two_jobs() -> (Hand, [SessionId; 2], [u64; 2]) {
    let mut hand = Hand::new();
    let clients = [hand.connect(), hand.connect()];
    let jobs = [(); 2].map(|()| hand.put(clients[0], job("q")));
    (hand, clients, jobs)
}

fn ask(hand: &mut Hand, waiter: SessionId, jobs: &[u64]) {
    hand.send_frame(waiter, &frames::wait(jobs, false, 10_000));
    hand.pass(0);
    hand.sync();
    assert_eq!(hand.heard(waiter), [], "it waits");
}

fn mend(hand: &mut Hand, by: SessionId, change: u8, job: u64) {
    assert_eq!(status(hand.ask_frame(by, &frames::mend(change, &[job])), MEND_OK, job), 0);
}

#[test]
fn a_job_that_was_never_there_does_not_hold_up_the_others() {
    let (mut hand, [worker, waiter], [one, _]) = two_jobs();
    ask(&mut hand, waiter, &[one, 999]);
    let got = hand.take(worker, "q");
    assert!(hand.ack(worker, got.job, got.lease));
    assert_eq!(hand.heard(waiter), [Reply::WaitOk(vec![(one, 4), (999, 255)])]);
}

#[test]
fn what_has_ended_is_not_another_end_when_it_is_purged() {
    let (mut hand, [worker, waiter], [one, other]) = two_jobs();
    ask(&mut hand, waiter, &[one, other]);
    let got = hand.take(worker, "q");
    assert!(hand.fail(worker, got.job, got.lease, true));
    mend(&mut hand, worker, PURGE, one);
    mend(&mut hand, worker, CANCEL, other);
    assert_eq!(hand.heard(waiter), [Reply::WaitOk(vec![(one, 3), (other, 5)])]);
}

#[test]
fn what_never_ended_is_cancelled_when_it_is_purged() {
    let (mut hand, [worker, waiter], [one, other]) = two_jobs();
    ask(&mut hand, waiter, &[one, other]);
    mend(&mut hand, worker, PURGE, one);
    mend(&mut hand, worker, PURGE, other);
    assert_eq!(hand.heard(waiter), [Reply::WaitOk(vec![(one, 5), (other, 5)])]);
}
