//! The master at its bounds: a disk that is full, as many queues and groups as there may be.

use falconqueue::ids::{JobId, LeaseId, SessionId};
use falconqueue::limits::{GROUP_RULES_MAX, GROUPS_MAX, ITEMS_MAX};
use falconqueue::master::Config;
use falconqueue::protocol::{Ack, AckItem, List, Request, SetGroup, Submit, SubmitJob};
use falconqueue::time::Millis;
use falconqueue::wal::MemoryDevice;

use crate::frames::{
    self, ACK_OK, GroupSettings, LEASE_LOST, OfSchedules, Plan, QUEUE_FULL, QueueSettings, Reply, STORAGE_FULL,
    TOO_MANY_GROUPS, TOO_MANY_QUEUES, delivered, is_error, set_group, set_queue,
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

/// A turn, its sync and what was answered, without the look at all invariants that [`Hand::turn`] ends with: with so
/// many groups it takes minutes.
fn turn_unlooked(hand: &mut Hand, client: SessionId) -> Option<Reply> {
    hand.master.begin_turn(hand.now).expect("the log takes records");
    hand.master.finish_turn(hand.now).expect("the log takes records");
    hand.sync();
    hand.heard(client).pop()
}

fn ask_unlooked<'r>(hand: &mut Hand, client: SessionId, request: impl Into<Request<'r>>) -> Reply {
    hand.send(client, &request.into());
    turn_unlooked(hand, client).expect("an answer")
}

fn in_group(group: &str) -> SubmitJob<'_> {
    SubmitJob { group: Some(group), ..job("q") }
}

/// A master with a job of each of as many groups as may have some.
fn full_of_groups() -> (Hand, SessionId) {
    let large_segments = Config { segment_bytes: 8 << 20, ..config() };
    let mut hand = Hand::open(large_segments, MemoryDevice::default(), START);
    let client = hand.connect();
    let names: Vec<String> = (0..GROUPS_MAX).map(|number| number.to_string()).collect();
    for some in names.chunks(ITEMS_MAX) {
        let jobs: Vec<_> = some.iter().map(|name| in_group(name)).collect();
        let reply = ask_unlooked(&mut hand, client, Submit::of(&jobs));
        assert!(matches!(reply, Reply::SubmitOk(_)), "{reply:?}");
    }
    (hand, client)
}

#[test]
fn jobs_of_one_group_too_many_are_refused_and_others_are_taken() {
    let (mut hand, client) = full_of_groups();
    let (nameless, more) = (job("q"), in_group("one more"));
    for jobs in [&[more][..], &[nameless, in_group("7"), more]] {
        let reply = ask_unlooked(&mut hand, client, Submit::of(jobs));
        let Reply::Error { code: TOO_MANY_GROUPS, retry: 1, text } = reply else { panic!("{reply:?}") };
        assert_eq!(text, "1048576 groups have jobs, and 1048576 may; try again when some have none");
    }
    let jobs = [in_group("7"), nameless];
    let reply = ask_unlooked(&mut hand, client, Submit::of(&jobs));
    assert!(matches!(reply, Reply::SubmitOk(_)), "they make no group: {reply:?}");

    // A tick waits for a place as well, and says why.
    let plan = Plan { group: "of ticks".to_owned(), ..frames::every("q", 1000) };
    hand.send_frame(client, &frames::put_schedule("beat", &plan, false));
    turn_unlooked(&mut hand, client);
    hand.now = hand.now.plus(Millis(1000));
    turn_unlooked(&mut hand, client);
    hand.send_frame(client, &frames::show_schedule("beat"));
    let shown = turn_unlooked(&mut hand, client);
    let Some(Reply::OfSchedules(OfSchedules::Show(facts))) = shown else { panic!("{shown:?}") };
    assert!(facts.put_off.is_some_and(|why| why.contains("1048576 groups have jobs")));

    // The group of the first job is gone with it, and the tick has its place.
    let got = delivered(ask_unlooked(&mut hand, client, poll(&["q"], 1, 0))).remove(0);
    let item = AckItem { job: JobId(got.job), lease: LeaseId(got.lease), ..AckItem::default() };
    ask_unlooked(&mut hand, client, Ack { items: List::lent(&[item]) });
    hand.now = hand.now.plus(Millis(500));
    turn_unlooked(&mut hand, client);
    assert!(hand.master.queues().is_group("q", "of ticks"));
}

#[test]
fn one_group_too_many_with_settings_is_refused_and_others_are_set() {
    let large_segments = Config { segment_bytes: 1 << 20, ..config() };
    let mut hand = Hand::open(large_segments, MemoryDevice::default(), START);
    let client = hand.connect();
    let names: Vec<String> = (0..GROUP_RULES_MAX).map(|number| number.to_string()).collect();
    let settings = falconqueue::rules::GroupSettings { weight: Some(2), ..Default::default() };
    for group in &names {
        assert_eq!(ask_unlooked(&mut hand, client, SetGroup { queue: "q", group, settings }), SET);
    }

    let two = GroupSettings { weight: Some(2), ..GroupSettings::default() };
    let mut set = |group: &str, settings: &GroupSettings| hand.ask_frame(client, &set_group("q", group, settings));
    let Reply::Error { code: TOO_MANY_GROUPS, retry: 1, text } = set("one more", &two) else { panic!("it is set") };
    assert_eq!(
        text,
        "there are 10000 groups with settings of their own already; \
         `falcon-cli queue set q --group-weight GROUP=default` takes those of a group back"
    );
    assert_eq!(set("7", &GroupSettings { weight: Some(3), ..two }), SET, "it has settings already");
    assert_eq!(set("one more", &GroupSettings::default()), SET, "it stays without");
    assert_eq!(set("8", &GroupSettings::default()), SET, "they are taken back");
    assert_eq!(set("one more", &two), SET, "there is a place");
    assert!(is_error(&set("8", &two), TOO_MANY_GROUPS), "and no other");
}

const SET: Reply = Reply::Settled(0x8021);
