//! The master at its bounds: a disk that is full, and as many queues as there may be.

use falconqueue::ids::{JobId, LeaseId};
use falconqueue::master::Config;
use falconqueue::protocol::{Ack, AckItem, List, Request, Submit, SubmitJob};
use falconqueue::time::Millis;
use falconqueue::wal::MemoryDevice;

use crate::frames::{
    ACK_OK, LEASE_LOST, QUEUE_FULL, QueueSettings, Reply, STORAGE_FULL, TOO_MANY_QUEUES, is_error, set_queue,
};
use crate::hand::*;

#[test]
fn a_full_disk_refuses_jobs_while_polls_and_acks_drain_the_queue() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.device.limit_space(Some(0));
    let mut accepted = 0;
    let large = SubmitJob { payload: &[b'x'; 1000], ..job("q") };
    loop {
        match hand.ask(client, &Request::Submit(Submit::of(&[large]))) {
            Reply::SubmitOk(_) => accepted += 1,
            Reply::Error { code: STORAGE_FULL, .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(accepted > 30, "{accepted}");
    for _ in 0..accepted {
        let got = hand.take(client, "q");
        assert!(hand.ack(client, got.job, got.lease));
    }
    hand.device.limit_space(None);
    let mut tries = 0;
    while is_error(&hand.ask(client, &Request::Submit(Submit::of(&[large]))), STORAGE_FULL) {
        hand.pass(100);
        std::thread::yield_now();
        tries += 1;
        assert!(tries < 100_000, "jobs are taken again once there is room");
    }
}

#[test]
fn polls_alone_do_not_use_queues_up() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let names: Vec<String> = (0..12_000).map(|number| format!("q{number}")).collect();
    for names in names.chunks(32) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(hand.poll(client, &names, 1), []);
    }
    // Nor do polls that get a job of another queue that they named.
    for name in &names {
        hand.put(client, job("busy"));
        let got = hand.poll(client, &[name, "busy"], 1).pop().expect("a job");
        assert!(hand.ack(client, got.job, got.lease));
    }
    let id = hand.put(client, job("fresh"));
    assert_eq!(hand.take(client, "fresh").job, id);
}

#[test]
fn there_are_no_more_queues_with_jobs_than_the_limit() {
    let large_segments = Config { segment_bytes: 1 << 20, ..config() };
    let mut hand = Hand::open(large_segments, MemoryDevice::default(), START);
    let client = hand.connect();
    let names: Vec<String> = (0..10_000).map(|number| format!("q{number}")).collect();
    for names in names.chunks(1000) {
        let jobs: Vec<_> = names.iter().map(|queue| SubmitJob { queue, ..job("q") }).collect();
        hand.submit(client, &jobs);
    }
    let refused = [job("one-more")];
    assert!(is_error(&hand.ask(client, &Request::Submit(Submit::of(&refused))), TOO_MANY_QUEUES));
    assert_eq!(hand.poll(client, &["one-more"], 1), [], "a name alone takes no place");
    let got = hand.poll(client, &["q77", "one-more"], 1).pop().expect("a job of the queue that is there");
    assert_eq!(got.queue, "q77");
    assert!(hand.ack(client, got.job, got.lease));
    let id = hand.put(client, job("one-more"));
    assert_eq!(hand.take(client, "one-more").job, id, "the queue that ran empty was forgotten");
    assert_eq!(hand.log().iter().filter(|(name, _)| *name == "FORGET").count(), 1);
    assert_eq!(hand.restart(true).master.queues().totals().completed, 1, "its count is in the totals");
}

#[test]
fn the_first_job_of_a_key_is_told_though_its_queue_would_be_one_too_many() {
    let large_segments = Config { segment_bytes: 1 << 20, key_window: Millis(7_200_000), ..config() };
    let mut hand = Hand::open(large_segments, MemoryDevice::default(), START);
    let client = hand.connect();
    let keyed = SubmitJob { key: "k", ..job("once") };
    let id = hand.put(client, keyed);
    let got = hand.take(client, "once");
    assert!(hand.ack(client, got.job, got.lease));
    hand.pass(3_700_000);
    assert_eq!(hand.log().iter().filter(|(name, _)| *name == "FORGET").count(), 1);
    let names: Vec<String> = (0..10_000).map(|number| format!("q{number}")).collect();
    for names in names.chunks(1000) {
        let jobs: Vec<_> = names.iter().map(|queue| SubmitJob { queue, ..job("q") }).collect();
        hand.submit(client, &jobs);
    }
    assert_eq!(hand.put(client, keyed), id);
    let other = [SubmitJob { key: "l", ..keyed }];
    assert!(is_error(&hand.ask(client, &Request::Submit(Submit::of(&other))), TOO_MANY_QUEUES));
}

#[test]
fn reports_of_leases_that_are_none_take_no_room_in_a_full_log() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.device.limit_space(Some(0));
    let large = [SubmitJob { payload: &[b'x'; 1000], ..job("q") }];
    while matches!(hand.ask(client, &Request::Submit(Submit::of(&large))), Reply::SubmitOk(_)) {}
    let result = vec![b'r'; 60_000];
    let items = [AckItem { job: JobId(1), lease: LeaseId(1), result: &result, ..AckItem::default() }; 100];
    let Reply::Done(ACK_OK, outcome) = hand.ask(client, &Request::Ack(Ack { items: List::lent(&items) })) else {
        panic!()
    };
    assert!(outcome.iter().all(|item| item.1 == LEASE_LOST));
}

#[test]
fn a_full_log_still_tells_the_first_job_of_a_key() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let keyed = SubmitJob { key: "k", ..job("q") };
    let id = hand.put(client, keyed);
    hand.device.limit_space(Some(0));
    let large = [SubmitJob { payload: &[b'x'; 1000], ..job("q") }];
    while matches!(hand.ask(client, &Request::Submit(Submit::of(&large))), Reply::SubmitOk(_)) {}
    assert_eq!(hand.put(client, keyed), id);
}

#[test]
fn jobs_that_are_there_by_their_keys_do_not_count_against_what_a_queue_may_hold() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let bound = QueueSettings { depth_max: Some(2), bytes_max: Some(14), ..QueueSettings::default() };
    assert!(matches!(hand.ask_frame(client, &set_queue("q", &bound)), Reply::Settled(_)));
    let keyed = |key: &'static str| SubmitJob { key, ..job("q") };
    let held = hand.put(client, keyed("held"));
    let told: Vec<u64> =
        hand.submit(client, &["held", "once", "once"].map(keyed)).iter().map(|told| told.job).collect();
    let [first, second, third] = told[..] else { panic!("{told:?}") };
    assert!(first == held && second == third && second != held, "{told:?}");
    assert_eq!(hand.submit(client, &["once", "held"].map(keyed)).len(), 2, "it is full, and nothing is added");
    let more = ["held", "more"].map(keyed);
    assert!(is_error(&hand.ask(client, &Request::Submit(Submit::of(&more))), QUEUE_FULL));
}
