//! What is remembered of a job's attempts: by whom, when and why they ended, through restarts, snapshots and cleaning.

use falconqueue::ids::{JobId, LeaseId, SessionId};
use falconqueue::limits::{ERROR_TEXT_BYTES_MAX, RESULT_BYTES_MAX};
use falconqueue::protocol::frame::split_frame;
use falconqueue::protocol::{self, Ack, AckItem, Fail, FailItem, Get, List, Request, Submit, SubmitJob};
use falconqueue::queue::{Event, Part};

use crate::frames::{BAD_VALUE, Delivery, Known, NOT_FOUND, Reply, STORAGE_FULL, is_error};
use crate::hand::*;
use crate::session::heard_bytes;

fn known(hand: &mut Hand, job: u64) -> Known {
    let client = hand.connect();
    match hand.ask(client, &Request::Get(Get { job: JobId(job) })) {
        Reply::GetOk(known) => known,
        other => panic!("{other:?}"),
    }
}

/// Fails the next attempt of a job of `q`, 5 s after it was begun.
fn fail_next(hand: &mut Hand, error: &str) -> u64 {
    let client = hand.connect();
    let got = hand.take(client, "q");
    hand.pass(5_000);
    let item = FailItem { job: JobId(got.job), lease: LeaseId(got.lease), error, ..FailItem::default() };
    hand.ask(client, &Request::Fail(Fail { items: List::lent(&[item]) }));
    hand.pass(3_600_000);
    got.job
}

#[test]
fn the_last_ten_attempts_are_remembered_with_the_last_error() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let submitted_at = hand.now.0;
    let id = hand.put(client, SubmitJob { settings: attempts(14), ..job("q") });
    assert_eq!(
        known(&mut hand, id),
        Known {
            job: id,
            queue: "q".to_owned(),
            priority: 128,
            max_attempts: 14,
            submitted_at,
            payload_bytes: 7,
            ..Known::default()
        }
    );
    for attempt in 1..=14u16 {
        assert_eq!(fail_next(&mut hand, &format!("error {attempt}")), id);
        let now = known(&mut hand, id);
        assert_eq!((now.attempts, now.error), (attempt, format!("error {attempt}")));
        assert_eq!(now.history.len(), usize::from(attempt.min(10)));
        assert!(now.history.iter().all(|past| past.ended_at == past.begun_at + 5_000 && past.worker == "hand"));
        assert!(now.history.is_sorted_by(|a, b| a.ended_at < b.begun_at));
        assert_eq!(now.past.map(|past| past.0), now.history.last().map(|past| past.ended_at));
    }
    let dead = known(&mut hand, id);
    assert!(dead.standing == 3 && dead.lease.is_none());
    assert_eq!(known(&mut hand.restart(false), id), dead, "a restart changes nothing of it");
    hand.snapshot(client);
    assert_eq!(known(&mut hand.restart(true), id), dead, "nor does a snapshot");
}

#[test]
fn a_story_is_moved_by_cleaning_like_a_payload() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let id = hand.put(client, SubmitJob { settings: attempts(1), ..job("q") });
    fail_next(&mut hand, &"long ".repeat(800));
    let before = known(&mut hand, id);
    let place = |hand: &Hand| hand.master.queues().texts().find(|text| text.part == Part::Story).unwrap().at;
    let at = place(&hand);
    for _ in 0..200 {
        hand.put(client, SubmitJob { payload: &[b'x'; 2000], ..job("other") });
        let got = hand.take(client, "other");
        assert!(hand.ack(client, got.job, got.lease));
        hand.pass(100);
        hand.sync();
    }
    assert_ne!(place(&hand).epoch, at.epoch, "it lies elsewhere now");
    assert_eq!(known(&mut hand, id), before);
    assert_eq!(known(&mut hand.restart(true), id), before);
}

#[test]
fn a_job_that_is_completed_is_no_longer_there() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let id = hand.put(client, job("q"));
    let got = hand.take(client, "q");
    let lease = known(&mut hand, id).lease.expect("it is in flight");
    assert_eq!((lease.0, lease.1.as_str(), lease.3), (got.lease, "hand", 10_000));
    assert!(hand.ack(client, got.job, got.lease));
    for job in [id, id + 1] {
        assert!(is_error(&hand.ask(client, &Request::Get(Get { job: JobId(job) })), NOT_FOUND));
    }
}

#[test]
fn that_a_job_is_gone_is_told_once_its_end_is_durable() {
    let mut hand = Hand::new();
    let (worker, other) = (hand.connect(), hand.connect());
    let id = hand.put(worker, job("q"));
    let got = hand.take(worker, "q");
    let item = AckItem { job: JobId(got.job), lease: LeaseId(got.lease), ..AckItem::default() };
    hand.send(worker, &Request::Ack(Ack { items: List::lent(&[item]) }));
    hand.send(other, &Request::Get(Get { job: JobId(id) }));
    hand.turn().expect("the log takes records");
    assert_eq!(hand.heard(other), [], "after a power cut it would be there again");
    hand.sync();
    assert!(is_error(&hand.heard(other)[0], NOT_FOUND));
}

#[test]
fn a_full_disk_ends_the_last_attempt_without_its_story() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let id = hand.put(client, SubmitJob { settings: attempts(1), ..job("q") });
    hand.take(client, "q");
    hand.device.limit_space(Some(0));
    let large = SubmitJob { payload: &[b'x'; 1000], ..job("other") };
    let large = [large];
    let fill = Request::Submit(Submit::of(&large));
    while matches!(hand.ask(client, &fill), Reply::SubmitOk(_)) {}
    hand.pass(10_000);
    let dead = known(&mut hand, id);
    assert_eq!((dead.standing, dead.past.map(|past| past.1)), (3, Some(3)));
}

/// A master with these jobs in flight, whose disk is full to the last submit.
fn full(settings: &[u16]) -> (Hand, SessionId, Vec<Delivery>) {
    let mut hand = Hand::new();
    let client = hand.connect();
    for attempts_max in settings {
        hand.put(client, SubmitJob { settings: attempts(*attempts_max), ..job("q") });
    }
    let held = hand.poll(client, &["q"], settings.len() as u16);
    hand.device.limit_space(Some(0));
    for bytes in [1000, 0] {
        let payload = vec![b'x'; bytes];
        let jobs = [SubmitJob { payload: &payload, ..job("other") }];
        let fill = Request::Submit(Submit::of(&jobs));
        while matches!(hand.ask(client, &fill), Reply::SubmitOk(_)) {}
    }
    (hand, client, held)
}

fn statuses(hand: &mut Hand, client: SessionId, request: &Request<'_>) -> Result<Vec<(JobId, u16, bool)>, u16> {
    hand.send(client, request);
    hand.sync();
    let bytes = heard_bytes(&mut hand.master, client);
    let (header, body) = split_frame(&bytes).expect("one reply");
    match protocol::Reply::decode(header.kind, body).expect("a reply") {
        protocol::Reply::AckOk(told) | protocol::Reply::FailOk(told) => {
            Ok(told.items.iter().map(|item| (item.job, item.status, item.text_lost.unwrap_or(false))).collect())
        }
        protocol::Reply::Error(refusal) => Err(refusal.code.code()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_report_without_room_for_its_words_is_taken_without_them_if_it_says_so() {
    let (mut hand, client, held) = full(&[5, 5, 1, 5]);
    let named = |index: usize| (JobId(held[index].job), LeaseId(held[index].lease));
    let ((job, lease), text_optional, result) = (named(0), Some(true), &[b'r'; 1000][..]);
    let strict = [AckItem { job, lease, result, text_optional: None }];
    assert_eq!(statuses(&mut hand, client, &Ack { items: List::lent(&strict) }.into()), Err(STORAGE_FULL));
    let lax = [AckItem { job, lease, text_optional, result }];
    assert_eq!(statuses(&mut hand, client, &Ack { items: List::lent(&lax) }.into()), Ok(vec![(job, 0, true)]));
    for (index, for_good) in [(1, true), (2, false)] {
        let (job, lease) = named(index);
        let ends = [FailItem { job, lease, for_good, error: "it broke", text_optional, retry_in_ms: None }];
        let told = statuses(&mut hand, client, &Fail { items: List::lent(&ends) }.into());
        assert_eq!(told, Ok(vec![(job, 0, true)]));
        assert_eq!(known(&mut hand, job.0).standing, 3);
    }
    let (job, lease) = named(3);
    let again = [FailItem { job, lease, for_good: false, error: "it broke", text_optional, retry_in_ms: None }];
    let told = statuses(&mut hand, client, &Fail { items: List::lent(&again) }.into());
    assert_eq!(told, Err(STORAGE_FULL), "another attempt takes room");
    let lost = |event: &Event<'_>| match event {
        Event::Ack(ack) => ack.text_lost == Some(true) && ack.result.is_empty(),
        Event::Dead(dead) => dead.text_lost == Some(true),
        _ => false,
    };
    assert_eq!(hand.events(lost).into_iter().filter(|is_lost| *is_lost).count(), 3, "the log says so");
}

#[test]
fn words_over_their_limit_are_cut_or_dropped_if_they_may_be() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.put(client, SubmitJob { settings: attempts(1), ..job("q") });
    hand.put(client, job("q"));
    let held = hand.poll(client, &["q"], 2);
    let (result, error) = (vec![b'r'; RESULT_BYTES_MAX + 1], "é".repeat(ERROR_TEXT_BYTES_MAX));
    let (job, lease) = (JobId(held[1].job), LeaseId(held[1].lease));
    let strict = [AckItem { job, lease, result: &result, text_optional: None }];
    assert_eq!(statuses(&mut hand, client, &Ack { items: List::lent(&strict) }.into()), Err(BAD_VALUE));
    let lax = [AckItem { text_optional: Some(true), ..strict[0] }];
    assert_eq!(statuses(&mut hand, client, &Ack { items: List::lent(&lax) }.into()), Ok(vec![(job, 0, true)]));
    let (job, lease) = (JobId(held[0].job), LeaseId(held[0].lease));
    let fail =
        [FailItem { job, lease, for_good: false, error: &error, text_optional: Some(true), ..FailItem::default() }];
    assert_eq!(statuses(&mut hand, client, &Fail { items: List::lent(&fail) }.into()), Ok(vec![(job, 0, true)]));
    let kept = known(&mut hand, job.0).error;
    assert!(error.starts_with(&kept) && kept.len() == ERROR_TEXT_BYTES_MAX);
}

#[test]
fn a_queue_without_jobs_is_forgotten_after_an_hour_unless_a_poll_waits() {
    let mut hand = Hand::new();
    let client = hand.connect();
    for queue in ["idle", "polled", "busy"] {
        hand.put(client, job(queue));
        let got = hand.take(client, queue);
        assert!(hand.ack(client, got.job, got.lease));
    }
    hand.put(client, job("busy"));
    hand.send(client, &poll(&["polled"], 1, 300_000));
    for _ in 0..59 {
        hand.pass(60_000);
        hand.send(client, &poll(&["polled"], 1, 300_000));
    }
    assert!(hand.log().iter().all(|(name, _)| *name != "FORGET"), "not before an hour");
    for _ in 0..3 {
        hand.pass(60_000);
    }
    hand.sync();
    let names = |hand: &Hand| hand.master.queues().counters().iter().map(|(_, name, _)| (*name).to_owned()).collect();
    let left: Vec<String> = names(&hand);
    assert_eq!(left, ["busy", "polled"]);
    assert_eq!(hand.master.queues().totals().completed, 3, "what was counted stays");
    let after = hand.restart(true);
    let left: Vec<String> = names(&after);
    assert_eq!((left, after.master.queues().totals().completed), (vec!["busy".to_owned(), "polled".to_owned()], 3));
}
