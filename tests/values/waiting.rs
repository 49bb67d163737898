//! Who waits for ends is told each as it was, once.

use falconqueue::ids::SessionId;
use falconqueue::master::Input;

use crate::frames::{self, CANCEL, Delivery, MEND_OK, PURGE, Reply, progress, status, wait_telling};
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

/// A waiter that asks how far two jobs are which a worker has.
fn two_taken() -> (Hand, [SessionId; 2], [Delivery; 2]) {
    let (mut hand, clients, _) = two_jobs();
    let got = [(); 2].map(|()| hand.take(clients[0], "q"));
    (hand, clients, got)
}

fn tell(hand: &mut Hand, worker: SessionId, got: &Delivery, percent: u8, text: &str) {
    assert_eq!(hand.ask_frame(worker, &progress(got.job, got.lease, percent, text)), Reply::ProgressOk);
}

/// What the waiter hears after so long, which was said at `now`.
fn heard(hand: &mut Hand, waiter: SessionId, span: u64) -> Vec<Reply> {
    hand.pass(span);
    hand.turn().expect("the log takes records");
    hand.sync();
    hand.heard(waiter)
}

#[test]
fn a_wait_tells_how_far_its_jobs_are_once_a_second() {
    let (mut hand, [worker, waiter], [one, other]) = two_taken();
    let stands = vec![(one.job, 2), (other.job, 2)];
    let ids = [one.job, other.job];
    tell(&mut hand, worker, &one, 10, "begun");
    hand.send_frame(waiter, &wait_telling(&ids, 0, 60_000));
    let told = vec![(one.job, 10, "begun".to_owned())];
    let at = hand.now.0;
    assert_eq!(heard(&mut hand, waiter, 0), [Reply::Progressed(stands.clone(), at, told)], "what is known, at once");

    hand.send_frame(waiter, &wait_telling(&ids, at + 1, 60_000));
    assert_eq!(heard(&mut hand, waiter, 100), []);
    tell(&mut hand, worker, &one, 40, "parsed");
    assert_eq!(heard(&mut hand, waiter, 100), [], "not yet");
    tell(&mut hand, worker, &other, 50, "");
    assert_eq!(heard(&mut hand, waiter, 700), [], "not yet");
    let told = vec![(other.job, 50, String::new()), (one.job, 40, "parsed".to_owned())];
    let answer = heard(&mut hand, waiter, 101);
    assert_eq!(answer, [Reply::Progressed(stands, hand.now.0, told)], "the newest first, once for all");

    hand.send_frame(waiter, &wait_telling(&ids, hand.now.0, 60_000));
    assert_eq!(heard(&mut hand, waiter, 2000), []);
    tell(&mut hand, worker, &one, 90, "");
    assert!(matches!(&heard(&mut hand, waiter, 0)[..], [Reply::Progressed(_, _, told)] if told.len() == 1));
}

#[test]
fn a_wait_that_does_not_ask_how_far_jobs_are_is_told_their_ends_alone() {
    let (mut hand, [worker, waiter], [one, other]) = two_taken();
    hand.send_frame(waiter, &frames::wait(&[one.job], false, 60_000));
    hand.send_frame(waiter, &wait_telling(&[other.job], 0, 60_000));
    tell(&mut hand, worker, &one, 40, "parsed");
    assert_eq!(heard(&mut hand, waiter, 5000), []);
    assert!(hand.ack(worker, one.job, one.lease) && hand.ack(worker, other.job, other.lease));
    let ends = [Reply::WaitOk(vec![(one.job, 4)]), Reply::Progressed(vec![(other.job, 4)], hand.now.0, Vec::new())];
    assert_eq!(hand.heard(waiter), ends);
}

#[test]
fn how_far_a_job_is_leaves_nothing_behind_when_its_waiter_is_gone_or_its_lease_ends() {
    let (mut hand, [worker, waiter], [one, _]) = two_taken();
    hand.send_frame(waiter, &wait_telling(&[one.job], hand.now.0, 60_000));
    tell(&mut hand, worker, &one, 40, "parsed");
    assert!(hand.release(worker, one.job, one.lease, 0));
    let at = hand.now.0 + 1000;
    assert_eq!(heard(&mut hand, waiter, 1000), [Reply::Progressed(vec![(one.job, 0)], at, Vec::new())]);
    let again = hand.take(worker, "q");
    hand.send_frame(waiter, &wait_telling(&[one.job], hand.now.0, 60_000));
    tell(&mut hand, worker, &again, 1, "");
    hand.master.take(waiter, Input::Gone, hand.now).unwrap();
    assert_eq!(heard(&mut hand, worker, 5000), []);
}

#[test]
fn what_all_waits_together_name_is_bounded_and_free_again_once_they_are_answered() {
    let mut hand = Hand::new();
    let (client, waiter) = (hand.connect(), hand.connect());
    let batch = [job("q"); 64];
    let jobs: Vec<u64> = (0..16).flat_map(|_| hand.submit(client, &batch)).map(|submitted| submitted.job).collect();
    (0..256).for_each(|_| ask(&mut hand, waiter, &jobs));
    hand.send_frame(waiter, &frames::wait(&jobs[..1], false, 10_000));
    hand.pass(0);
    let heard = hand.heard(waiter);
    assert!(matches!(heard[..], [Reply::Error { code: frames::UNAVAILABLE, .. }]), "{heard:?}");
    hand.pass(10_000);
    hand.sync();
    assert_eq!(hand.heard(waiter).len(), 256);
    ask(&mut hand, waiter, &jobs);
}
