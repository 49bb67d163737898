//! What a poll gets: jobs for its free slots, and more to be held only while nobody else could begin them.

use crate::frames::{BAD_VALUE, Delivery, Reply, delivered, is_error};
use crate::hand::*;
use falconqueue::ids::SessionId;
use falconqueue::protocol::{List, Poll, Request, SubmitJob};

const QUEUES: [&str; 1] = ["q"];

fn poll(free: u16, extra: u16) -> Poll<'static> {
    let extra = (extra > 0).then_some(extra);
    Poll { queues: List::lent(&QUEUES), free, extra, wait_ms: 1000, lease_ms: 10_000, ..Poll::default() }
}

/// A master with so many jobs of these bytes.
fn filled(jobs: usize, payload: &[u8]) -> (Hand, SessionId) {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.submit(client, &vec![SubmitJob::new("q", payload); jobs]);
    (hand, client)
}

/// The jobs that each of these gets in the next turn; `None` for one that still waits.
fn turn(hand: &mut Hand, clients: &[SessionId]) -> Vec<Option<usize>> {
    hand.turn().unwrap();
    hand.sync();
    let count = |replies: Vec<Reply>| replies.into_iter().next().map(|reply| delivered(reply).len());
    clients.iter().map(|client| count(hand.heard(*client))).collect()
}

#[test]
fn a_poll_gets_jobs_for_its_slots_and_more_where_nobody_else_waits() {
    let (mut hand, client) = filled(10, b"x");
    hand.send(client, &poll(2, 5).into());
    assert_eq!(turn(&mut hand, &[client]), [Some(7)]);
    hand.send(client, &poll(0, 2).into());
    assert_eq!(turn(&mut hand, &[client]), [Some(2)]);
}

#[test]
fn nobody_holds_a_job_that_another_worker_could_begin() {
    let (mut hand, first) = filled(3, b"x");
    let second = hand.connect();
    hand.send(first, &poll(1, 9).into());
    hand.send(second, &poll(1, 9).into());
    assert_eq!(turn(&mut hand, &[first, second]), [Some(1), Some(2)], "the second is alone with the last job");
}

#[test]
fn a_poll_without_a_free_slot_comes_after_a_later_one_that_has_one() {
    let mut hand = Hand::new();
    let (full, free, producer) = (hand.connect(), hand.connect(), hand.connect());
    hand.send(full, &poll(0, 1).into());
    hand.send(free, &poll(1, 0).into());
    hand.put(producer, SubmitJob::new("q", b"x"));
    assert_eq!(turn(&mut hand, &[full, free]), [None, Some(1)]);
    hand.put(producer, SubmitJob::new("q", b"x"));
    assert_eq!(turn(&mut hand, &[full]), [Some(1)]);
}

#[test]
fn payloads_are_bounded_but_the_first_job_comes_whatever_it_has() {
    let (mut hand, client) = filled(4, &[0; 100]);
    let bounded = |payload_bytes_max| Poll { payload_bytes_max: Some(payload_bytes_max), ..poll(4, 4) };
    hand.send(client, &bounded(250).into());
    assert_eq!(turn(&mut hand, &[client]), [Some(2)]);
    hand.send(client, &bounded(1).into());
    assert_eq!(turn(&mut hand, &[client]), [Some(1)]);
}

#[test]
fn a_poll_that_asks_for_no_job_is_refused() {
    let (mut hand, client) = filled(1, b"x");
    let refused = hand.ask(client, &Request::from(poll(0, 0)));
    assert!(is_error(&refused, BAD_VALUE), "{refused:?}");
}

#[test]
fn jobs_to_be_held_count_as_attempts_only_from_when_they_are_begun() {
    let mut hand = Hand::new();
    let client = hand.connect_saying_begun();
    hand.submit(client, &[SubmitJob::new("q", b"x"); 3]);
    hand.send(client, &poll(1, 2).into());
    hand.turn().unwrap();
    hand.sync();
    let got: Vec<Delivery> = delivered(hand.heard(client).remove(0));
    assert_eq!(got.len(), 3);
    for held in &got {
        assert!(hand.release(client, held.job, held.lease, 0));
    }
    let again = hand.poll(client, &QUEUES, 3);
    assert_eq!(again.iter().map(|got| (got.job, got.attempt)).collect::<Vec<_>>(), [(1, 1), (2, 1), (3, 1)]);
}
