//! What happened to a job, read from the log beside the loop of a master that is driven by hand.

use falconqueue::ids::{JobId, Lsn};
use falconqueue::limits::{READING_WAIT_MS_MAX, READINGS_OF_ONE_MAX};
use falconqueue::master::Input;
use falconqueue::protocol::{Get, Log, Request, Submit, SubmitJob};
use falconqueue::queue::Event;

use crate::frames::{LogPage, NOT_FOUND, Reply, SHUTTING_DOWN, is_error};
use crate::hand::{Hand, START, job};

const UNAVAILABLE: u16 = 17;

fn log(job: u64, from: u64) -> Request<'static> {
    Request::Log(Log { job: JobId(job), from: Lsn(from) })
}

#[track_caller]
fn page(reply: Reply) -> LogPage {
    match reply {
        Reply::LogOk(page) => page,
        other => panic!("a LogOk, not {other:?}"),
    }
}

/// The names of a page's events.
fn names(page: &LogPage) -> Vec<&'static str> {
    page.events.iter().map(|event| Event::decode(event.kind, &event.body).expect("an event").name()).collect()
}

#[test]
fn the_story_of_a_job_is_told_also_when_it_is_gone() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let (id, other) = (hand.put(client, job("q")), hand.put(client, job("other")));
    let got = hand.take(client, "q");
    hand.fail(client, got.job, got.lease, false);
    hand.pass(10_000);
    let got = hand.take(client, "q");
    assert!(hand.ack(client, got.job, got.lease));
    let told = page(hand.ask(client, &log(id, 0)));
    assert_eq!(names(&told), ["ENQUEUE", "DISPATCH", "RETRY", "DISPATCH", "ACK"]);
    assert_eq!((told.next, told.missing.len()), (0, 0));
    assert!(told.events.is_sorted_by(|a, b| a.lsn < b.lsn && a.at <= b.at));
    let later = page(hand.ask(client, &log(id, told.events[3].lsn)));
    assert_eq!(later.events, told.events[3..]);
    assert_eq!(names(&page(hand.ask(client, &log(other, 0)))), ["ENQUEUE"]);
    for never in [0, other + 1, u64::MAX] {
        assert!(is_error(&hand.ask(client, &log(never, 0)), NOT_FOUND), "{never}");
    }
}

#[test]
fn a_restart_changes_nothing_in_what_is_told() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let id = hand.put(client, job("q"));
    hand.take(client, "q");
    let before = page(hand.ask(client, &log(id, 0)));
    for power_cut in [false, true] {
        let mut again = hand.restart(power_cut);
        let client = again.connect();
        assert_eq!(page(again.ask(client, &log(id, 0))), before);
    }
}

#[test]
fn others_are_served_while_the_log_is_read() {
    let mut hand = Hand::new();
    let (reader, other) = (hand.connect(), hand.connect());
    let id = hand.put(other, job("q"));
    hand.send(reader, &log(id, 0));
    let request = hand.master.read_request().expect("something to read");
    assert!(hand.master.read_request().is_none(), "one at a time");
    let got = hand.take(other, "q");
    assert!(hand.ack(other, got.job, got.lease));
    hand.pass(1000);
    assert_eq!(hand.heard(reader), []);
    hand.master.read_done(request.run());
    let told = page(hand.heard(reader).remove(0));
    assert_eq!(names(&told), ["ENQUEUE"], "what came after it was begun is not in it");
}

#[test]
fn nothing_is_told_that_a_power_cut_takes_back() {
    let mut hand = Hand::new();
    let (reader, other) = (hand.connect(), hand.connect());
    let first = hand.put(other, job("q"));
    hand.send(other, &Request::Submit(Submit::of(&[job("q")])));
    hand.send(reader, &log(first + 1, 0));
    hand.read_log();
    assert_eq!(hand.heard(reader), []);
    hand.sync();
    assert_eq!(names(&page(hand.heard(reader).remove(0))), ["ENQUEUE"]);
}

#[test]
fn who_leaves_or_waits_too_long_takes_the_reading_along() {
    let mut hand = Hand::new();
    let (leaves, waits, client) = (hand.connect(), hand.connect(), hand.connect());
    let id = hand.put(client, job("q"));
    for reader in [leaves, waits] {
        hand.send(reader, &log(id, 0));
    }
    let request = hand.master.read_request().expect("something to read");
    hand.master.take(leaves, Input::Gone, hand.now).unwrap();
    hand.now = hand.now.plus(falconqueue::time::Millis(READING_WAIT_MS_MAX));
    hand.master.begin_turn(hand.now).unwrap();
    hand.master.finish_turn(hand.now).unwrap();
    assert!(is_error(&hand.heard(waits)[0], UNAVAILABLE), "its time is over");
    hand.master.read_done(request.run());
    assert!(hand.master.read_request().is_none(), "nobody waits any more");
    assert_eq!(names(&page(hand.ask(waits, &log(id, 0)))), ["ENQUEUE"]);
}

#[test]
fn a_stop_waits_for_no_reading() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let id = hand.put(client, job("q"));
    (0..2).for_each(|_| hand.send(client, &log(id, 0)));
    let request = hand.master.read_request().expect("something to read");
    hand.master.begin_stop();
    let answers = hand.heard(client);
    assert!(answers.len() == 2 && answers.iter().all(|reply| is_error(reply, SHUTTING_DOWN)), "{answers:?}");
    assert!(hand.master.read_request().is_none());
    hand.master.read_done(request.run());
    assert_eq!(hand.heard(client), []);
}

#[test]
fn a_connection_may_have_so_many_waiting() {
    let mut hand = Hand::new();
    let (greedy, modest) = (hand.connect(), hand.connect());
    let id = hand.put(modest, job("q"));
    for _ in 0..=READINGS_OF_ONE_MAX {
        hand.send(greedy, &log(id, 0));
    }
    hand.sync();
    let refused = hand.heard(greedy);
    assert!(refused.len() == 1 && is_error(&refused[0], UNAVAILABLE), "{refused:?}");
    assert_eq!(names(&page(hand.ask(modest, &log(id, 0)))), ["ENQUEUE"]);
    assert_eq!(hand.heard(greedy).len(), READINGS_OF_ONE_MAX);
}

#[test]
fn what_cannot_be_read_harms_nobody_else() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let id = hand.put(client, job("q"));
    let got = hand.take(client, "q");
    hand.fail(client, got.job, got.lease, false);
    hand.device.damage(Lsn(1), |content| content.truncate(100));
    assert!(is_error(&hand.ask(client, &log(id, 0)), UNAVAILABLE));
    assert!(is_error(&hand.ask(client, &Request::Get(Get { job: JobId(id) })), UNAVAILABLE));
    hand.turn().unwrap();
}

#[test]
fn that_a_part_of_a_job_was_moved_is_no_event_of_it() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let id = hand.put(client, job("q"));
    for _ in 0..200 {
        hand.put(client, SubmitJob { payload: &[b'x'; 2000], ..job("other") });
        let got = hand.take(client, "other");
        assert!(hand.ack(client, got.job, got.lease));
        hand.pass(100);
        hand.sync();
    }
    assert!(hand.log().contains(&("MOVE", id)), "cleaning has moved it");
    let got = hand.take(client, "q");
    let told = page(hand.ask(client, &log(id, 0)));
    assert_eq!((got.job, names(&told)), (id, vec!["DISPATCH"]));
    let (first, last, next_at) = told.missing[0];
    assert!(first == 1 && last < told.events[0].lsn && next_at >= START.0, "{:?}", told.missing);
}
