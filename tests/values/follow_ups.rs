//! Jobs that follow from another one: with its ack, or not at all.

use falconqueue::client::{After, SubmitJob};
use falconqueue::ids::{JobId, LeaseId};
use falconqueue::job::Standing;
use falconqueue::protocol::{AckItem, AckThen, Drain, List, Request, Submit};

use crate::dice::Dice;
use crate::frames::{self, LEASE_LOST, QUEUE_FULL, QUEUE_PAUSED, Reply, is_error};
use crate::hand::{Hand, config};

fn job() -> SubmitJob<'static> {
    SubmitJob::new("q", b"x")
}

fn then<'a>(job: u64, lease: u64, jobs: &'a [SubmitJob<'a>]) -> Request<'a> {
    let item = AckItem { job: JobId(job), lease: LeaseId(lease), result: b"r", ..AckItem::default() };
    AckThen { item, jobs: List::lent(jobs) }.into()
}

fn standing(hand: &Hand, job: u64) -> Option<Standing> {
    hand.master.queues().standing(JobId(job))
}

#[test]
fn what_follows_is_there_once_the_job_is_done() {
    let mut hand = Hand::new();
    let id = hand.connect();
    let first = hand.put(id, job());
    let got = hand.take(id, "q");
    let behind = [After::item(0), After::job(JobId(first))];
    let jobs = [job(), job().with_after(&behind)];
    let reply = hand.ask(id, &then(first, got.lease, &jobs));
    assert_eq!(reply, Reply::AckThenOk(0, vec![first + 1, first + 2]));
    let states = [first, first + 1, first + 2].map(|job| standing(&hand, job));
    assert_eq!(states, [None, Some(Standing::Pending), Some(Standing::Waiting)]);
    let again = hand.ask(id, &then(first, got.lease, &jobs));
    assert_eq!(again, Reply::AckThenOk(LEASE_LOST, Vec::new()), "and not twice");
}

#[test]
fn where_they_are_refused_the_job_is_not_done_and_its_lease_goes_on() {
    let mut hand = Hand::new();
    let id = hand.connect();
    hand.put(id, job());
    let got = hand.take(id, "q");
    let full = frames::QueueSettings { depth_max: Some(0), ..frames::QueueSettings::default() };
    hand.ask_frame(id, &frames::set_queue("full", &full));
    let jobs = [job(), SubmitJob::new("full", b"x")];
    assert!(is_error(&hand.ask(id, &then(got.job, got.lease, &jobs)), QUEUE_FULL));
    assert_eq!(hand.master.queues().totals().pending, 0);
    assert!(hand.ack(id, got.job, got.lease));
}

#[test]
fn a_master_that_drains_takes_what_follows() {
    let mut hand = Hand::new();
    let id = hand.connect();
    hand.put(id, job());
    let got = hand.take(id, "q");
    hand.ask(id, &Request::Drain(Drain { on: true }));
    assert_eq!(hand.ask(id, &then(got.job, got.lease, &[job()])), Reply::AckThenOk(0, vec![got.job + 1]));
    let alone = [job()];
    assert!(is_error(&hand.ask(id, &Request::Submit(Submit::of(&alone))), QUEUE_PAUSED));
}

#[test]
fn a_crash_leaves_both_or_neither() {
    for seed in 0..300 {
        let mut hand = Hand::new();
        let id = hand.connect();
        hand.put(id, job());
        let got = hand.take(id, "q");
        hand.sync();
        // Large enough that they do not share a sector.
        let large = SubmitJob::new("q", &[7; 700]);
        hand.send(id, &then(got.job, got.lease, &[large, large, large]));
        hand.turn().unwrap();
        let dice = Dice::new(seed);
        let mut dice = dice.fork(1);
        let device = hand.device.crash_with(&mut |end| dice.below(end));
        let left = Hand::open(config(), device, hand.now);
        let is_done = standing(&left, got.job).is_none();
        assert_eq!(left.master.queues().totals().pending, if is_done { 3 } else { 0 }, "seed {seed}");
    }
}

#[test]
fn a_result_that_another_job_waits_for_is_kept_for_it() {
    let mut hand = Hand::new();
    let id = hand.connect();
    let first = hand.put(id, job());
    let after = [After::job(JobId(first))];
    let last = hand.put(id, job().with_after(&after).with_results());
    let got = hand.take(id, "q");
    assert!(hand.ack(id, got.job, got.lease));
    assert_eq!(standing(&hand, first), Some(Standing::Completed), "though nobody said that it was to be kept");
    let got = hand.take(id, "q");
    assert_eq!((got.job, got.results_of), (last, vec![first]));
    hand.pass(crate::lists::KEY_WINDOW_MS);
    assert_eq!(standing(&hand, first), None);
}
