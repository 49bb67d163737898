//! The master without sockets, disk and clock: what leaves when, and what happens at each moment.

use crate::frames::{
    ACK_OK, Delivery, HELLO_NEEDED, LEASE_LOST, Reply, SHUTTING_DOWN, UNAUTHORIZED, VERSION_MISMATCH, is_error,
};
use crate::hand::*;
use crate::session::ack_of;
use falconqueue::ids::{JobId, LeaseId};
use falconqueue::master::{Config, Input, SyncMode, Urgency};
use falconqueue::protocol::{
    Ack, AckItem, Heartbeat, HeldLease, Hello, List, Request, Stage, Stats, Submit, SubmitJob, VERSION,
};
use falconqueue::queue::Event;
use falconqueue::roles::Tokens;
use falconqueue::time::Millis;
use falconqueue::wal::MemoryDevice;

/// A year, in which nothing may happen that nobody asked for.
const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;

#[test]
fn an_ok_leaves_only_when_it_is_durable() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.send(client, &Request::Submit(Submit::of(&[job("q")])));
    hand.turn().unwrap();
    assert_eq!(hand.heard(client), []);
    let request = hand.master.sync_request(hand.now, Urgency::Quiet).unwrap();
    assert_eq!(hand.heard(client), [], "asking for the sync is not having it");
    hand.master.synced(&request.run()).unwrap();
    assert!(matches!(hand.heard(client)[..], [Reply::SubmitOk(_)]));
}

#[test]
fn what_came_after_a_sync_was_asked_for_waits_for_the_next() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.send(client, &Request::Submit(Submit::of(&[job("q")])));
    let request = hand.master.sync_request(hand.now, Urgency::Quiet).unwrap();
    hand.send(client, &Request::Submit(Submit::of(&[job("q")])));
    hand.master.synced(&request.run()).unwrap();
    assert_eq!(hand.heard(client).len(), 1);
    assert!(hand.sync());
    assert_eq!(hand.heard(client).len(), 1);
}

#[test]
fn answers_that_only_tell_wait_for_what_they_have_seen() {
    let mut hand = Hand::new();
    let (writer, reader) = (hand.connect(), hand.connect());
    let keyed = SubmitJob { key: "k", ..job("q") };
    let stale = [HeldLease { job: JobId(1), lease: LeaseId(1), stage: Stage::Begun }];
    let ack = [AckItem { job: JobId(1), lease: LeaseId(1), result: b"", ..AckItem::default() }];
    for request in [
        Request::Submit(Submit::of(&[keyed])),
        Request::Stats(Stats {}),
        Request::Ack(Ack { items: List::lent(&ack) }),
        Request::Heartbeat(Heartbeat { leases: List::lent(&stale), ..Heartbeat::default() }),
    ] {
        hand.send(writer, &Request::Submit(Submit::of(&[keyed, job("q")])));
        hand.send(reader, &request);
        hand.turn().unwrap();
        assert_eq!(hand.heard(reader), [], "{request:?} tells of what is not durable yet");
        assert!(hand.sync());
        assert_eq!(hand.heard(reader).len(), 1);
        hand.heard(writer);
    }
}

#[test]
fn answers_without_state_leave_at_once() {
    let mut hand = Hand::new();
    let (writer, worker) = (hand.connect(), hand.connect());
    hand.put(writer, job("q"));
    let held = hand.take(worker, "q");
    hand.send(writer, &Request::Submit(Submit::of(&[job("other")])));
    let extend = [HeldLease { job: JobId(held.job), lease: LeaseId(held.lease), stage: Stage::Begun }];
    hand.send(worker, &Request::Heartbeat(Heartbeat { leases: List::lent(&extend), ..Heartbeat::default() }));
    hand.send(worker, &poll(&["nothing"], 1, 0));
    hand.turn().unwrap();
    assert!(matches!(hand.heard(worker)[..], [Reply::HeartbeatOk(_), Reply::PollOk(_)]));
    assert_eq!(hand.heard(writer), []);
}

#[test]
fn a_submit_and_its_dispatch_to_a_waiting_worker_share_one_sync() {
    let mut hand = Hand::new();
    let (writer, worker) = (hand.connect(), hand.connect());
    hand.send(worker, &poll(&["q"], 1, 1000));
    hand.turn().unwrap();
    hand.send(writer, &Request::Submit(Submit::of(&[job("q")])));
    hand.turn().unwrap();
    assert_eq!((hand.heard(writer), hand.heard(worker)), (vec![], vec![]));
    assert!(hand.sync());
    assert!(matches!(hand.heard(writer)[..], [Reply::SubmitOk(_)]));
    assert!(matches!(hand.heard(worker)[..], [Reply::PollOk(_)]));
    assert!(!hand.sync(), "nothing is left to sync");
}

#[test]
fn a_failed_sync_is_the_end() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.send(client, &Request::Submit(Submit::of(&[job("q")])));
    hand.turn().unwrap();
    hand.device.fail_syncs();
    let outcome = hand.master.sync_request(hand.now, Urgency::Quiet).unwrap().run();
    assert!(hand.master.synced(&outcome).is_err());
    assert_eq!(hand.heard(client), [], "nothing is acknowledged after the error");
}

#[test]
fn without_a_poll_there_is_no_dispatch_however_long() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.submit(client, &[job("q"); 5]);
    hand.put(client, SubmitJob { delay_ms: 1000, ..job("q") });
    for _ in 0..100 {
        hand.pass(YEAR_MS / 100);
    }
    assert!(hand.log().iter().all(|(name, _)| *name == "ENQUEUE"), "{:?}", hand.log());
    let jobs = hand.poll(client, &["q"], 10);
    assert_eq!(jobs.len(), 6);
}

#[test]
fn a_restart_gives_full_leases_and_their_holders_can_ack() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.put(client, job("q"));
    let held = hand.take(client, "q");
    hand.pass(9_999);
    let mut after = hand.restart(false);
    let client = after.connect();
    after.pass(9_999);
    assert!(after.ack(client, held.job, held.lease));
    assert!(!after.ack(client, held.job, held.lease), "once");
    let names: Vec<_> = after.log().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["ENQUEUE", "DISPATCH", "ACK"]);
}

#[test]
fn a_broken_connection_leaves_the_grace_to_come_back() {
    let mut hand = Hand::new();
    let (first, second) = (hand.connect(), hand.connect());
    hand.submit(first, &[job("q"), job("q")]);
    let held = hand.poll(first, &["q"], 2);
    hand.master.take(first, Input::Gone, hand.now).unwrap();
    hand.pass(1_999);
    assert_eq!(hand.heartbeat(second, held[0].job, held[0].lease), Some(10_000));
    hand.pass(1);
    assert!(hand.log().contains(&("TIMEOUT", held[1].job)));
    assert!(!hand.log().contains(&("TIMEOUT", held[0].job)), "it was named in time");
    assert!(!hand.ack(second, held[1].job, held[1].lease));
    assert!(hand.ack(second, held[0].job, held[0].lease));
}

#[test]
fn a_session_that_no_longer_holds_a_lease_does_not_cut_it() {
    let mut hand = Hand::new();
    let (first, second) = (hand.connect(), hand.connect());
    hand.put(first, job("q"));
    let held = hand.take(first, "q");
    assert!(hand.heartbeat(second, held.job, held.lease).is_some());
    hand.master.take(first, Input::Gone, hand.now).unwrap();
    hand.pass(9_999);
    assert!(hand.ack(second, held.job, held.lease));
}

#[test]
fn leases_that_run_out_lead_to_retries_and_then_to_death() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let id = hand.put(client, SubmitJob { settings: attempts(2), ..job("q") });
    for attempt in 1..=2 {
        assert_eq!(hand.take(client, "q").attempt, attempt);
        hand.pass(10_000);
        hand.pass(3_600_000);
    }
    assert_eq!(hand.poll(client, &["q"], 1), []);
    let names: Vec<_> = hand.log().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["ENQUEUE", "DISPATCH", "TIMEOUT", "DISPATCH", "DEAD"]);
    let error = hand.events(|event| match event {
        Event::Dead(dead) => dead.story.read().unwrap().error.to_owned(),
        _ => String::new(),
    });
    assert_eq!(error.last().map(String::as_str), Some("the lease of the last attempt ran out"));
    assert!(hand.master.queues().past(JobId(id)).is_some());
}

#[test]
fn half_close_answers_a_poll_with_the_job_that_is_there_or_without_one() {
    let mut hand = Hand::new();
    let (writer, lucky, idle) = (hand.connect(), hand.connect(), hand.connect());
    hand.put(writer, job("q"));
    hand.send(lucky, &poll(&["q"], 1, 60_000));
    hand.master.take(lucky, Input::Ended, hand.now).unwrap();
    hand.send(idle, &poll(&["q"], 1, 60_000));
    hand.master.take(idle, Input::Ended, hand.now).unwrap();
    hand.turn().unwrap();
    assert!(!hand.master.is_done(lucky), "its answer waits for the disk");
    assert!(hand.sync());
    assert!(matches!(&hand.heard(lucky)[..], [Reply::PollOk(jobs)] if jobs.len() == 1));
    assert_eq!(hand.heard(idle), [Reply::PollOk(vec![])]);
    assert!(hand.master.is_done(lucky) && hand.master.is_done(idle));
}

#[test]
fn a_batch_with_one_key_twice_makes_one_job() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let keyed = SubmitJob { key: "k", ..job("q") };
    let jobs = hand.submit(client, &[keyed, job("q"), keyed]);
    assert_eq!(jobs[0].job, jobs[2].job);
    assert_eq!([0, 0, 1], [jobs[0].duplicate, jobs[1].duplicate, jobs[2].duplicate]);
    assert_eq!(hand.log().len(), 2);
    assert_eq!(hand.restart(true).log().len(), 2, "the group is whole although its last job was no new one");
}

#[test]
fn a_key_is_forgotten_when_its_window_is_over() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let keyed = SubmitJob { key: "k", ..job("q") };
    let id = hand.put(client, keyed);
    let got = hand.take(client, "q");
    assert!(hand.ack(client, got.job, got.lease));
    hand.pass(3_599_999);
    assert_eq!(hand.put(client, keyed), id);
    let mut after = hand.restart(true);
    let client = after.connect();
    assert_eq!(after.put(client, keyed), id, "also across a crash");
    after.pass(1);
    assert_ne!(after.put(client, keyed), id);
}

#[test]
fn an_item_that_stands_twice_in_a_report_is_done_once() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.submit(client, &[job("q"), job("q")]);
    let got = hand.poll(client, &["q"], 2);
    let item = |got: &Delivery| ack_of(got, b"");
    let items = [item(&got[0]), item(&got[0]), item(&got[1]), item(&got[0])];
    let Reply::Done(ACK_OK, outcome) = hand.ask(client, &Request::Ack(Ack { items: List::lent(&items) })) else {
        panic!()
    };
    assert_eq!(outcome.iter().map(|item| item.1).collect::<Vec<_>>(), [0, LEASE_LOST, 0, LEASE_LOST]);
    assert_eq!(hand.log().iter().filter(|(name, _)| *name == "ACK").count(), 2);
    assert_eq!(hand.restart(true).master.queues().totals().completed, 2);
}

#[test]
fn without_sync_always_replies_leave_at_once_and_the_interval_bounds_the_risk() {
    for sync in [SyncMode::Never, SyncMode::Every(Millis(10))] {
        let mut hand = Hand::open(Config { sync, ..config() }, MemoryDevice::default(), START);
        let client = hand.connect();
        hand.send(client, &Request::Submit(Submit::of(&[job("q")])));
        hand.turn().unwrap();
        assert_eq!(hand.heard(client).len(), 1);
        assert!(hand.master.sync_request(hand.now, Urgency::Quiet).is_none());
        hand.pass(10);
        assert_eq!(hand.sync(), sync != SyncMode::Never);
        assert_eq!(hand.restart(false).log().len(), 1, "a killed daemon loses nothing in any mode");
    }
}

#[test]
fn with_an_interval_the_next_turn_is_due_when_it_ends() {
    let sync = SyncMode::Every(Millis(10));
    let mut hand = Hand::open(Config { sync, ..config() }, MemoryDevice::default(), START);
    let client = hand.connect();
    hand.put(client, job("q"));
    assert_eq!(hand.master.next_deadline(), Some(START.plus(Millis(10))));
}

#[test]
fn a_wrong_token_a_wrong_version_and_a_missing_hello_end_the_session() {
    let with_token = Config { tokens: Some(Tokens::parse(b"secret").unwrap()), ..config() };
    let mut hand = Hand::open(with_token, MemoryDevice::default(), START);
    let hello =
        |version, token| Request::Hello(Hello { version_min: version, version_max: version, ..Hello::new("x", token) });
    for (request, code) in [
        (hello(VERSION, b"secre"), UNAUTHORIZED),
        (hello(VERSION, b""), UNAUTHORIZED),
        (hello(VERSION + 1, b"secret"), VERSION_MISMATCH),
        (Request::Stats(Stats {}), HELLO_NEEDED),
    ] {
        let id = hand.master.connected();
        assert!(is_error(&hand.ask(id, &request), code), "{request:?}");
        assert!(hand.master.is_done(id), "{request:?}");
        hand.send(id, &hello(VERSION, b"secret"));
        assert_eq!(hand.heard(id), [], "nothing counts after the error");
    }
    let id = hand.master.connected();
    assert!(matches!(hand.ask(id, &hello(VERSION, b"secret")), Reply::HelloOk { .. }));
}

#[test]
fn stopping_refuses_polls_and_jobs_and_still_takes_acks() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.put(client, job("q"));
    let held = hand.take(client, "q");
    hand.send(client, &poll(&["q"], 1, 60_000));
    hand.turn().unwrap();
    hand.master.begin_stop();
    assert!(matches!(hand.heard(client)[..], [Reply::Error { code: SHUTTING_DOWN, .. }]));
    let submit = [job("q")];
    assert!(is_error(&hand.ask(client, &Request::Submit(Submit::of(&submit))), SHUTTING_DOWN));
    assert!(hand.ack(client, held.job, held.lease));
}

#[test]
fn retry_moments_are_in_the_log_and_nothing_is_delivered_before_them() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.put(client, job("q"));
    let got = hand.take(client, "q");
    assert!(hand.fail(client, got.job, got.lease, false));
    let retry_at = hand
        .events(|event| match event {
            Event::Retry(retry) => Some(retry.retry_at),
            _ => None,
        })
        .into_iter()
        .flatten()
        .next()
        .unwrap();
    hand.pass(retry_at.since(hand.now).0 - 1);
    assert_eq!(hand.poll(client, &["q"], 1), []);
    hand.pass(1);
    assert_eq!(hand.take(client, "q").attempt, 2);
}

#[test]
fn waiting_polls_get_jobs_in_the_order_in_which_they_came() {
    let mut hand = Hand::new();
    let writer = hand.connect();
    let workers: Vec<_> = (0..3).map(|_| hand.connect()).collect();
    for worker in &workers {
        hand.send(*worker, &poll(&["q"], 1, 60_000));
        hand.turn().unwrap();
    }
    let ids: Vec<_> = hand.submit(writer, &[job("q"); 3]).iter().map(|job| job.job).collect();
    for (worker, id) in workers.iter().zip(ids) {
        assert!(matches!(&hand.heard(*worker)[..], [Reply::PollOk(jobs)] if jobs[0].job == id));
    }
}

#[test]
fn a_sync_is_asked_for_in_time_although_others_never_fall_silent() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.send(client, &Request::Submit(Submit::of(&[job("q")])));
    hand.pass(4);
    assert!(hand.master.sync_request(hand.now, Urgency::Full).is_none());
    hand.pass(1);
    assert!(hand.master.sync_request(hand.now, Urgency::Full).is_some());
}

#[test]
fn enough_for_a_sync_does_not_wait_for_silence_but_for_the_sync_under_way() {
    let mut hand = Hand::open(Config { segment_bytes: 1 << 20, ..config() }, MemoryDevice::default(), START);
    let client = hand.connect();
    let payload = vec![1; 40 << 10];
    let large = [SubmitJob { payload: &payload, ..job("q") }];
    let submit = Request::Submit(Submit::of(&large));
    hand.send(client, &submit);
    assert!(!hand.master.is_group_full() && hand.master.sync_request(hand.now, Urgency::Full).is_none());
    hand.send(client, &submit);
    assert!(hand.master.is_group_full());
    let request = hand.master.sync_request(hand.now, Urgency::Full).unwrap();
    (0..2).for_each(|_| hand.send(client, &submit));
    assert!(!hand.master.is_group_full(), "one sync at a time");
    hand.master.synced(&request.run()).unwrap();
    assert!(hand.master.is_group_full());
    assert_eq!(hand.heard(client).len(), 2);
}

#[test]
fn a_silent_log_gets_one_mark_and_then_rests() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.put(client, job("q"));
    assert_eq!(hand.master.next_deadline(), Some(START.plus(Millis(100))));
    hand.pass(99);
    assert!(!hand.sync(), "not yet");
    hand.pass(1);
    assert!(hand.sync(), "the mark is made durable");
    assert_eq!(hand.master.next_deadline(), None, "and that was all");
    hand.pass(YEAR_MS);
    assert!(!hand.sync());
    assert_eq!(hand.log(), [("ENQUEUE", 1)], "a mark is no event");
}

#[test]
fn a_delivery_tells_how_long_its_poll_had_waited() {
    let mut hand = Hand::new();
    let (worker, producer) = (hand.connect(), hand.connect());
    hand.put(producer, job("q"));
    assert_eq!(hand.take(worker, "q").waited_ms, 0);
    hand.send(worker, &poll(&["q"], 1, 60_000));
    hand.pass(1250);
    hand.put(producer, job("q"));
    let Reply::PollOk(got) = hand.heard(worker).remove(0) else { panic!("the poll is answered") };
    assert_eq!(got[0].waited_ms, 1250);
}
