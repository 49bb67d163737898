//! The master without sockets, disk and clock: what leaves when, and what happens at each moment.

mod hand;

use falconqueue::ids::{JobId, LeaseId};
use falconqueue::master::{Config, SyncMode};
use falconqueue::protocol::{AckItem, ErrorCode, HeldLease, Hello, List, Request, SubmitJob, VERSION};
use falconqueue::queue::Event;
use falconqueue::time::Millis;
use falconqueue::wal::MemoryDevice;
use hand::*;

/// A year, in which nothing may happen that nobody asked for.
const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;

#[test]
fn an_ok_leaves_only_when_it_is_durable() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.send(client, &Request::Submit(List::lent(&[job("q")])));
    hand.turn().unwrap();
    assert_eq!(hand.heard(client), []);
    let request = hand.master.sync_request(hand.now, true).unwrap();
    assert_eq!(hand.heard(client), [], "asking for the sync is not having it");
    hand.master.synced(&request.run()).unwrap();
    assert!(matches!(hand.heard(client)[..], [Said::Submitted(_)]));
}

#[test]
fn what_came_after_a_sync_was_asked_for_waits_for_the_next() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.send(client, &Request::Submit(List::lent(&[job("q")])));
    let request = hand.master.sync_request(hand.now, true).unwrap();
    hand.send(client, &Request::Submit(List::lent(&[job("q")])));
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
    let stale = [HeldLease { job: JobId(1), lease: LeaseId(1) }];
    let ack = [AckItem { job: JobId(1), lease: LeaseId(1), result: b"" }];
    for request in [
        Request::Submit(List::lent(&[keyed])),
        Request::Stats,
        Request::Ack(List::lent(&ack)),
        Request::Heartbeat(List::lent(&stale)),
    ] {
        hand.send(writer, &Request::Submit(List::lent(&[keyed, job("q")])));
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
    hand.send(writer, &Request::Submit(List::lent(&[job("other")])));
    let extend = [HeldLease { job: held.job, lease: held.lease }];
    hand.send(worker, &Request::Heartbeat(List::lent(&extend)));
    hand.send(worker, &poll(&["nothing"], 1, 0));
    hand.turn().unwrap();
    assert!(matches!(hand.heard(worker)[..], [Said::Leases(_), Said::Jobs(_)]));
    assert_eq!(hand.heard(writer), []);
}

#[test]
fn a_submit_and_its_dispatch_to_a_waiting_worker_share_one_sync() {
    let mut hand = Hand::new();
    let (writer, worker) = (hand.connect(), hand.connect());
    hand.send(worker, &poll(&["q"], 1, 1000));
    hand.turn().unwrap();
    hand.send(writer, &Request::Submit(List::lent(&[job("q")])));
    hand.turn().unwrap();
    assert_eq!((hand.heard(writer), hand.heard(worker)), (vec![], vec![]));
    assert!(hand.sync());
    assert!(matches!(hand.heard(writer)[..], [Said::Submitted(_)]));
    assert!(matches!(hand.heard(worker)[..], [Said::Jobs(_)]));
    assert!(!hand.sync(), "nothing is left to sync");
}

#[test]
fn a_failed_sync_is_the_end() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.send(client, &Request::Submit(List::lent(&[job("q")])));
    hand.turn().unwrap();
    hand.device.fail_syncs();
    let outcome = hand.master.sync_request(hand.now, true).unwrap().run();
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
    hand.master.disconnected(first, hand.now);
    hand.pass(1_999);
    assert_eq!(hand.heartbeat(second, held[0].job, held[0].lease), Some(10_000));
    hand.pass(1);
    assert!(hand.log().contains(&("TIMEOUT", held[1].job.0)));
    assert!(!hand.log().contains(&("TIMEOUT", held[0].job.0)), "it was named in time");
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
    hand.master.disconnected(first, hand.now);
    hand.pass(9_999);
    assert!(hand.ack(second, held.job, held.lease));
}

#[test]
fn leases_that_run_out_lead_to_retries_and_then_to_death() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let id = hand.put(client, SubmitJob { max_attempts: 2, ..job("q") });
    for attempt in 1..=2 {
        assert_eq!(hand.take(client, "q").attempt, attempt);
        hand.pass(10_000);
        hand.pass(3_600_000);
    }
    assert_eq!(hand.poll(client, &["q"], 1), []);
    let names: Vec<_> = hand.log().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["ENQUEUE", "DISPATCH", "TIMEOUT", "DISPATCH", "DEAD"]);
    assert_eq!(hand.master.queues().last_error(id), Some("the lease of the last attempt ran out"));
}

#[test]
fn half_close_answers_a_poll_with_the_job_that_is_there_or_without_one() {
    let mut hand = Hand::new();
    let (writer, lucky, idle) = (hand.connect(), hand.connect(), hand.connect());
    hand.put(writer, job("q"));
    hand.send(lucky, &poll(&["q"], 1, 60_000));
    hand.master.input_ended(lucky);
    hand.send(idle, &poll(&["q"], 1, 60_000));
    hand.master.input_ended(idle);
    hand.turn().unwrap();
    assert!(!hand.master.is_done(lucky), "its answer waits for the disk");
    assert!(hand.sync());
    assert!(matches!(&hand.heard(lucky)[..], [Said::Jobs(jobs)] if jobs.len() == 1));
    assert_eq!(hand.heard(idle), [Said::Jobs(vec![])]);
    assert!(hand.master.is_done(lucky) && hand.master.is_done(idle));
}

#[test]
fn a_full_disk_refuses_jobs_while_polls_and_acks_drain_the_queue() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.device.limit_space(Some(0));
    let mut accepted = 0;
    let large = SubmitJob { payload: &[b'x'; 1000], ..job("q") };
    loop {
        match hand.ask(client, &Request::Submit(List::lent(&[large]))) {
            Said::Submitted(_) => accepted += 1,
            Said::Error(ErrorCode::StorageFull) => break,
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
    while hand.ask(client, &Request::Submit(List::lent(&[large]))) == Said::Error(ErrorCode::StorageFull) {
        hand.pass(100);
        std::thread::yield_now();
        tries += 1;
        assert!(tries < 100_000, "jobs are taken again once there is room");
    }
}

#[test]
fn a_batch_with_one_key_twice_makes_one_job() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let keyed = SubmitJob { key: "k", ..job("q") };
    let jobs = hand.submit(client, &[keyed, job("q"), keyed]);
    assert_eq!(jobs[0].job, jobs[2].job);
    assert_eq!([false, false, true], [jobs[0].duplicate, jobs[1].duplicate, jobs[2].duplicate]);
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
    let item = |got: &Got| AckItem { job: got.job, lease: got.lease, result: b"" };
    let items = [item(&got[0]), item(&got[0]), item(&got[1]), item(&got[0])];
    let Said::Items(outcome) = hand.ask(client, &Request::Ack(List::lent(&items))) else { panic!() };
    let lost = Some(ErrorCode::LeaseLost);
    assert_eq!(outcome.iter().map(|item| item.refused).collect::<Vec<_>>(), [None, lost, None, lost]);
    assert_eq!(hand.log().iter().filter(|(name, _)| *name == "ACK").count(), 2);
    assert_eq!(hand.restart(true).master.queues().totals().completed, 2);
}

#[test]
fn without_sync_always_replies_leave_at_once_and_the_interval_bounds_the_risk() {
    for sync in [SyncMode::Never, SyncMode::Every(Millis(10))] {
        let mut hand = Hand::open(Config { sync, ..config() }, MemoryDevice::default(), START);
        let client = hand.connect();
        hand.send(client, &Request::Submit(List::lent(&[job("q")])));
        hand.turn().unwrap();
        assert_eq!(hand.heard(client).len(), 1);
        assert!(hand.master.sync_request(hand.now, true).is_none());
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
    let with_token = Config { token: Some(b"secret".to_vec()), ..config() };
    let mut hand = Hand::open(with_token, MemoryDevice::default(), START);
    let hello = |version, token| Request::Hello(Hello { version, name: "x", token });
    for (request, code) in [
        (hello(VERSION, b"secre"), ErrorCode::Unauthorized),
        (hello(VERSION, b""), ErrorCode::Unauthorized),
        (hello(VERSION + 1, b"secret"), ErrorCode::VersionMismatch),
        (Request::Stats, ErrorCode::HelloNeeded),
    ] {
        let id = hand.master.connected();
        assert_eq!(hand.ask(id, &request), Said::Error(code));
        assert!(hand.master.is_done(id), "{request:?}");
        hand.send(id, &hello(VERSION, b"secret"));
        assert_eq!(hand.heard(id), [], "nothing counts after the error");
    }
    let id = hand.master.connected();
    assert_eq!(hand.ask(id, &hello(VERSION, b"secret")), Said::Hello);
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
    assert_eq!(hand.heard(client), [Said::Error(ErrorCode::ShuttingDown)]);
    let submit = [job("q")];
    assert_eq!(hand.ask(client, &Request::Submit(List::lent(&submit))), Said::Error(ErrorCode::ShuttingDown));
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
            Event::Retry { retry_at, .. } => Some(*retry_at),
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
        assert!(matches!(&hand.heard(*worker)[..], [Said::Jobs(jobs)] if jobs[0].job == id));
    }
}

#[test]
fn a_sync_is_asked_for_in_time_although_others_never_fall_silent() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.send(client, &Request::Submit(List::lent(&[job("q")])));
    hand.pass(4);
    assert!(hand.master.sync_request(hand.now, false).is_none());
    hand.pass(1);
    assert!(hand.master.sync_request(hand.now, false).is_some());
}

#[test]
fn enough_for_a_sync_does_not_wait_for_silence_but_for_the_sync_under_way() {
    let mut hand = Hand::open(Config { segment_bytes: 1 << 20, ..config() }, MemoryDevice::default(), START);
    let client = hand.connect();
    let payload = vec![1; 40 << 10];
    let large = [SubmitJob { payload: &payload, ..job("q") }];
    let submit = Request::Submit(List::lent(&large));
    hand.send(client, &submit);
    assert!(!hand.master.is_group_full() && hand.master.sync_request(hand.now, false).is_none());
    hand.send(client, &submit);
    assert!(hand.master.is_group_full());
    let request = hand.master.sync_request(hand.now, false).unwrap();
    (0..2).for_each(|_| hand.send(client, &submit));
    assert!(!hand.master.is_group_full(), "one sync at a time");
    hand.master.synced(&request.run()).unwrap();
    assert!(hand.master.is_group_full());
    assert_eq!(hand.heard(client).len(), 2);
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
    assert_eq!(
        hand.ask(client, &Request::Submit(List::lent(&refused))),
        Said::Error(ErrorCode::TooManyQueues)
    );
    assert_eq!(hand.ask(client, &poll(&["one-more"], 1, 0)), Said::Error(ErrorCode::TooManyQueues));
    assert_eq!(hand.take(client, "q77").queue, "q77");
}

#[test]
fn reports_of_leases_that_are_none_take_no_room_in_a_full_log() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.device.limit_space(Some(0));
    let large = [SubmitJob { payload: &[b'x'; 1000], ..job("q") }];
    while matches!(hand.ask(client, &Request::Submit(List::lent(&large))), Said::Submitted(_)) {}
    let result = vec![b'r'; 60_000];
    let items = [AckItem { job: JobId(1), lease: LeaseId(1), result: &result }; 100];
    let Said::Items(outcome) = hand.ask(client, &Request::Ack(List::lent(&items))) else { panic!() };
    assert!(outcome.iter().all(|item| item.refused == Some(ErrorCode::LeaseLost)));
}

#[test]
fn a_full_log_still_tells_the_first_job_of_a_key() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let keyed = SubmitJob { key: "k", ..job("q") };
    let id = hand.put(client, keyed);
    hand.device.limit_space(Some(0));
    let large = [SubmitJob { payload: &[b'x'; 1000], ..job("q") }];
    while matches!(hand.ask(client, &Request::Submit(List::lent(&large))), Said::Submitted(_)) {}
    assert_eq!(hand.put(client, keyed), id);
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
