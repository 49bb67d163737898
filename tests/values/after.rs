//! Jobs that wait for jobs: what is refused, what becomes of them, in slices and across crashes.

use falconqueue::client::{After, SubmitJob};
use falconqueue::ids::JobId;
use falconqueue::job::{IfFailed, Standing};
use falconqueue::limits::CLIENT_NAME_BYTES_MAX;
use falconqueue::master::Config;
use falconqueue::protocol::{Ack, Hello, List, Request, Submit};
use falconqueue::queue::Event;
use falconqueue::time::Millis;
use falconqueue::wal::MemoryDevice;
use std::time::Duration;

use crate::frames::{self, NOT_FOUND, Reply, is_error};
use crate::hand::{Hand, START, config};
use crate::session::ack_of;

const QUEUE: &[&str] = &["q"];

/// Jobs of one request of many.
const STEP: usize = 1000;

/// A log whose segments hold many of them.
fn large() -> Hand {
    let config = Config { segment_bytes: 4 << 20, ..config() };
    Hand::open(config, MemoryDevice::default(), START)
}

fn job() -> SubmitJob<'static> {
    SubmitJob::new("q", b"x")
}

fn standing(hand: &Hand, job: u64) -> Option<Standing> {
    hand.master.queues().standing(JobId(job))
}

fn refused(hand: &mut Hand, jobs: &[SubmitJob<'_>], code: u16) -> String {
    let id = hand.connect();
    let reply = hand.ask(id, &Request::Submit(Submit::of(jobs)));
    assert!(is_error(&reply, code), "{reply:?}");
    let Reply::Error { text, .. } = reply else { panic!("an error") };
    text
}

#[test]
fn a_job_is_handed_out_when_all_before_it_have_completed_and_its_delay_has_passed() {
    let mut hand = Hand::new();
    let id = hand.connect();
    let (one, two) = (hand.put(id, job()), hand.put(id, job()));
    let after = [After::job(JobId(one)), After::job(JobId(two))];
    let last = hand.put(id, job().with_after(&after).with_delay(Duration::from_secs(5)));
    assert_eq!(standing(&hand, last), Some(Standing::Waiting));
    let got = hand.poll(id, QUEUE, 3);
    assert_eq!(got.iter().map(|got| got.job).collect::<Vec<_>>(), [one, two]);
    assert!(hand.ack(id, got[0].job, got[0].lease));
    assert_eq!(standing(&hand, last), Some(Standing::Waiting));
    assert!(hand.ack(id, got[1].job, got[1].lease));
    assert_eq!(standing(&hand, last), Some(Standing::Delayed), "its delay counts from then");
    hand.pass(5_000);
    assert_eq!(standing(&hand, last), Some(Standing::Pending));
}

#[test]
fn what_never_was_is_refused_with_all_of_the_request() {
    let mut hand = Hand::new();
    let id = hand.connect();
    hand.put(id, job());
    let unknown = [After::job(JobId(7))];
    let text = refused(&mut hand, &[job(), job().with_after(&unknown)], NOT_FOUND);
    assert!(text.contains("never was a job 7") && text.contains("newest is 1"), "{text}");
    let later = [After::item(1)];
    let text = refused(&mut hand, &[job(), job().with_after(&later)], NOT_FOUND);
    assert!(text.contains("item 1 waits for item 1"), "{text}");
    let key = [After::key("k")];
    let text = refused(&mut hand, &[job().with_after(&key)], NOT_FOUND);
    assert!(text.contains("\"k\""), "{text}");
    assert_eq!(hand.master.queues().totals().jobs(), 1, "nothing was submitted");
}

#[test]
fn items_and_keys_of_the_same_request_may_be_waited_for() {
    let mut hand = Hand::new();
    let id = hand.connect();
    let (by_key, by_place) = ([After::key("first"), After::item(0)], [After::item(0), After::item(1)]);
    let jobs = [job().with_key("first"), job().with_after(&by_key), job().with_after(&by_place)];
    let ids: Vec<u64> = hand.submit(id, &jobs).iter().map(|told| told.job).collect();
    for job in ids {
        let got = hand.take(id, "q");
        assert_eq!(got.job, job, "one after the other");
        assert!(hand.poll(id, QUEUE, 9).is_empty());
        assert!(hand.ack(id, got.job, got.lease));
    }
}

/// One job that ends so, and one of each kind that waits for it.
fn after_one_that(hand: &mut Hand, ends: impl FnOnce(&mut Hand, u64)) -> [Option<Standing>; 3] {
    let id = hand.connect();
    let first = hand.put(id, job().with_max_attempts(1));
    let after = [After::job(JobId(first))];
    let waiting = IfFailed::ALL.iter().map(|what| hand.put(id, job().with_after(&after).with_if_failed(*what)));
    let waiting: Vec<u64> = waiting.collect();
    ends(hand, first);
    hand.pass(0);
    [0, 1, 2].map(|at| standing(hand, waiting[at]))
}

fn fail(hand: &mut Hand, first: u64) {
    let id = hand.connect();
    let got = hand.take(id, "q");
    assert_eq!(got.job, first);
    assert!(hand.fail(id, got.job, got.lease, true));
}

fn change(hand: &mut Hand, change: u8, job: u64) {
    let id = hand.connect();
    let reply = hand.ask_frame(id, &frames::mend(change, &[job]));
    assert_eq!(frames::status(reply, frames::MEND_OK, job), 0);
}

#[test]
fn what_becomes_of_a_job_whose_predecessor_fails_is_as_it_says() {
    let mut hand = Hand::new();
    let states = after_one_that(&mut hand, fail);
    assert_eq!(states, [None, Some(Standing::Pending), Some(Standing::Waiting)], "dead");
    let mut hand = Hand::new();
    let states = after_one_that(&mut hand, |hand, first| change(hand, frames::CANCEL, first));
    assert_eq!(states, [None, Some(Standing::Pending), None], "cancelled: nothing will come of it");
    let mut hand = Hand::new();
    let states = after_one_that(&mut hand, |hand, first| {
        fail(hand, first);
        change(hand, frames::PURGE, first);
    });
    assert_eq!(states, [None, Some(Standing::Pending), None], "dead, then purged");
}

#[test]
fn one_that_waits_for_a_dead_job_runs_when_that_was_requeued_and_has_completed() {
    let mut hand = Hand::new();
    let id = hand.connect();
    let first = hand.put(id, job());
    let after = [After::job(JobId(first))];
    let last = hand.put(id, job().with_after(&after).with_if_failed(IfFailed::Wait));
    fail(&mut hand, first);
    assert_eq!(standing(&hand, last), Some(Standing::Waiting));
    let mut hand = hand.restart(true);
    let id = hand.connect();
    change(&mut hand, frames::REQUEUE, first);
    let got = hand.take(id, "q");
    assert!(hand.ack(id, got.job, got.lease));
    assert_eq!(hand.take(id, "q").job, last);
}

#[test]
fn it_is_known_for_the_key_window_that_a_job_which_is_gone_did_not_complete() {
    let mut hand = Hand::new();
    let id = hand.connect();
    let (done, cancelled) = (hand.put(id, job()), hand.put(id, job()));
    let got = hand.take(id, "q");
    assert!(hand.ack(id, done, got.lease));
    change(&mut hand, frames::CANCEL, cancelled);
    hand.snapshot(id);
    let mut hand = hand.restart(true);
    let id = hand.connect();
    let (behind_done, behind_cancelled) = ([After::job(JobId(done))], [After::job(JobId(cancelled))]);
    let one = hand.put(id, job().with_after(&behind_done));
    let other = hand.put(id, job().with_after(&behind_cancelled));
    assert_eq!([one, other].map(|job| standing(&hand, job)), [Some(Standing::Pending), None]);
    hand.pass(crate::lists::KEY_WINDOW_MS);
    let later = hand.put(id, job().with_after(&behind_cancelled));
    assert_eq!(standing(&hand, later), Some(Standing::Pending), "that is forgotten then");
}

#[test]
fn who_waits_is_told_of_a_failure_also_where_that_is_remembered_by_nobody_else() {
    let config = Config { key_window: Millis(0), ..config() };
    let mut hand = Hand::open(config, MemoryDevice::default(), START);
    let states = after_one_that(&mut hand, |hand, first| change(hand, frames::CANCEL, first));
    assert_eq!(states, [None, Some(Standing::Pending), None]);
}

#[test]
fn who_waits_is_let_go_on_a_full_disk_and_all_can_be_worked_off() {
    let mut hand = Hand::new();
    let worker = hand.greeted(Hello::new(&"w".repeat(CLIENT_NAME_BYTES_MAX), b""));
    let first = hand.put(worker, job());
    let after = [After::job(JobId(first))];
    hand.device.limit_space(Some(256 << 10));
    let behind = [SubmitJob::new("q", b"").with_after(&after).with_keep(Duration::from_hours(1))];
    let mut jobs = 1;
    while let Reply::SubmitOk(_) = hand.ask(worker, &Request::Submit(Submit::of(&behind))) {
        jobs += 1;
    }
    assert!(jobs > 400, "{jobs} fit");
    for number in 0..jobs {
        let got = hand.take(worker, "q");
        // All that may be written of a job takes all that was kept for it.
        if number > 0 {
            change(&mut hand, frames::CANCEL, got.job);
        }
        let items = [ack_of(&got, b"")];
        let told = hand.ask(worker, &Request::Ack(Ack { items: List::lent(&items) }));
        let expected = if number > 0 { frames::CANCELLED } else { 0 };
        assert_eq!(frames::status(told, frames::ACK_OK, got.job), expected);
    }
    assert_eq!(hand.master.queues().totals().kept, jobs - 1);
}

/// Submits a chain of jobs, each of which waits for the one before.
fn chain(hand: &mut Hand, count: u64) -> u64 {
    let id = hand.connect();
    let first = hand.put(id, job());
    let mut last = first;
    while last < first + count - 1 {
        let before = last;
        let (behind, next) = ([After::job(JobId(before))], (0..STEP).map(|place| [After::item(place)]));
        let next: Vec<[After<'_>; 1]> = next.collect();
        let of = |place: usize| if place == 0 { &behind } else { &next[place - 1] };
        let jobs: Vec<SubmitJob<'_>> = (0..STEP).map(|place| job().with_after(of(place))).collect();
        hand.send(id, &Request::Submit(Submit::of(&jobs)));
        last += STEP as u64;
    }
    hand.turn().expect("the log takes records");
    hand.sync();
    hand.heard(id);
    first
}

#[test]
fn a_chain_of_100_000_ends_in_slices_also_across_a_crash() {
    let mut hand = large();
    let first = chain(&mut hand, 100_001);
    change(&mut hand, frames::CANCEL, first);
    let mut turns = 0;
    while hand.master.queues().totals().waiting > 50_000 {
        turn(&mut hand);
        turns += 1;
    }
    assert!(turns > 40, "a slice a turn: {turns}");
    hand.sync();
    let mut hand = hand.restart(true);
    while hand.master.queues().totals().waiting > 0 {
        turn(&mut hand);
    }
    let of_chain = hand.events(|event| matches!(event, Event::Cancel(cancel) if cancel.before.is_some()));
    assert_eq!(of_chain.iter().filter(|is_so| **is_so).count(), 100_000, "one event each");
    assert_eq!(hand.master.queues().totals().jobs(), 0);
    hand.master.queues().check();
}

#[test]
fn a_crowd_of_100_000_is_let_go_in_slices() {
    let mut hand = large();
    let id = hand.connect();
    let first = hand.put(id, job());
    let after = [After::job(JobId(first))];
    let jobs: Vec<SubmitJob<'_>> = (0..STEP).map(|_| job().with_after(&after)).collect();
    for _ in 0..100_000 / STEP {
        hand.send(id, &Request::Submit(Submit::of(&jobs)));
    }
    turn(&mut hand);
    hand.sync();
    hand.heard(id);
    let got = hand.take(id, "q");
    assert!(hand.ack(id, first, got.lease));
    let waiting = hand.master.queues().totals().waiting;
    assert!((98_000..100_000).contains(&waiting), "{waiting} wait after two turns");
    while hand.master.next_deadline().is_some_and(|at| at <= hand.now) {
        turn(&mut hand);
    }
    let totals = hand.master.queues().totals();
    assert_eq!((totals.waiting, totals.pending), (0, 100_000));
    let order: Vec<u64> = hand.poll(id, QUEUE, 1000).iter().map(|got| got.job).collect();
    assert!(order.is_sorted(), "in the order of their ids");
}

/// A turn without a look at all invariants.
fn turn(hand: &mut Hand) {
    hand.master.begin_turn(hand.now).expect("the log takes records");
    hand.master.finish_turn(hand.now).expect("the log takes records");
}
