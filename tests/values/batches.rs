//! Batches: handed out once they are ended, in slices, and cancelled when nobody fills them.

use falconqueue::client::{After, SubmitJob};
use falconqueue::ids::{JobId, SessionId};
use falconqueue::job::Standing;
use falconqueue::master::Input;
use falconqueue::protocol::{List, Request, Submit};
use falconqueue::time::Millis;

use crate::frames::{self, BatchFacts, NOT_FOUND, OfBatches, Reply, WRONG_STATE, is_error, submitted};
use crate::hand::Hand;

fn ask(hand: &mut Hand, id: SessionId, request: &frames::Request) -> Reply {
    hand.ask_frame(id, request)
}

fn begin(hand: &mut Hand, id: SessionId, batch: &str) {
    let reply = ask(hand, id, &frames::begin_batch(batch));
    assert!(matches!(reply, Reply::OfBatches(OfBatches::Begun(_))), "{reply:?}");
}

fn end(hand: &mut Hand, id: SessionId, batch: &str) {
    assert_eq!(ask(hand, id, &frames::end_batch(batch)), Reply::OfBatches(OfBatches::Done));
}

fn show(hand: &mut Hand, batch: &str) -> BatchFacts {
    let id = hand.connect();
    match ask(hand, id, &frames::show_batch(batch, 0)) {
        Reply::OfBatches(OfBatches::Show(facts)) => facts,
        other => panic!("{other:?}"),
    }
}

/// Submits members; their ids.
fn fill(hand: &mut Hand, id: SessionId, batch: &str, jobs: &[SubmitJob<'_>]) -> Vec<u64> {
    let submit = Submit { jobs: List::lent(jobs), batch: Some(batch) };
    submitted(hand.ask(id, &Request::Submit(submit))).iter().map(|told| told.job).collect()
}

fn job() -> SubmitJob<'static> {
    SubmitJob::new("q", b"x")
}

fn behind_job(job: u64) -> frames::Job {
    frames::Job { after: vec![(0, job, String::new())], ..frames::job("q", "x") }
}

fn behind_batch(name: &str) -> frames::Job {
    frames::Job { after: vec![(3, 0, name.to_owned())], ..frames::job("q", "x") }
}

fn standing(hand: &Hand, job: u64) -> Option<Standing> {
    hand.master.queues().standing(JobId(job))
}

#[test]
fn nothing_of_a_batch_runs_before_it_is_ended_also_across_a_crash() {
    let mut hand = Hand::new();
    let id = hand.connect();
    begin(&mut hand, id, "night");
    let behind = [After::item(0)];
    let jobs = fill(&mut hand, id, "night", &[job(), job().with_after(&behind)]);
    assert!(hand.poll(id, &["q"], 9).is_empty());
    let mut hand = hand.restart(true);
    let id = hand.connect();
    assert!(hand.poll(id, &["q"], 9).is_empty());
    begin(&mut hand, id, "night");
    let more = fill(&mut hand, id, "night", &[job()]);
    end(&mut hand, id, "night");
    let first: Vec<u64> = hand.poll(id, &["q"], 9).iter().map(|got| got.job).collect();
    assert_eq!(first, [jobs[0], more[0]], "the other one waits for the first");
    assert_eq!(show(&mut hand, "night").left, 3);
}

#[test]
fn a_large_batch_is_let_go_in_slices_and_a_crash_in_between_loses_none() {
    let mut hand = Hand::new();
    let id = hand.connect();
    begin(&mut hand, id, "large");
    let jobs = vec![job(); 100];
    (0..35).for_each(|_| drop(fill(&mut hand, id, "large", &jobs)));
    end(&mut hand, id, "large");
    let pending = |hand: &Hand| hand.master.queues().totals().pending;
    assert_eq!(pending(&hand), 1000, "one slice a turn");
    let mut hand = hand.restart(true);
    assert_eq!(pending(&hand), 1000);
    (0..4).for_each(|_| hand.pass(0));
    assert_eq!((pending(&hand), hand.master.queues().totals().waiting), (3500, 0));
    let admitted = hand.log().iter().filter(|(name, _)| *name == "ADMIT").count();
    assert_eq!(admitted, 4, "a record for each 1,000, and none for a member");
}

#[test]
fn a_batch_that_nobody_fills_is_cancelled_after_60_s_and_one_that_somebody_comes_back_to_is_not() {
    let mut hand = Hand::new();
    let id = hand.connect();
    begin(&mut hand, id, "left");
    begin(&mut hand, id, "saved");
    let jobs = [fill(&mut hand, id, "left", &[job()])[0], fill(&mut hand, id, "saved", &[job()])[0]];
    hand.pass(300_000);
    assert_eq!(hand.master.queues().totals().waiting, 2, "somebody is there");
    hand.master.take(id, Input::Gone, hand.now).unwrap();
    hand.pass(59_999);
    let other = hand.connect();
    begin(&mut hand, other, "saved");
    hand.pass(1);
    hand.pass(0);
    assert_eq!(jobs.map(|job| standing(&hand, job)), [None, Some(Standing::Waiting)]);
    let facts = show(&mut hand, "left");
    assert!(facts.called_off && facts.left == 0 && facts.figure("cancelled") == 1, "{facts:?}");
    assert!(is_error(&ask(&mut hand, other, &frames::begin_batch("left")), WRONG_STATE));
}

#[test]
fn a_master_that_stood_still_cancels_no_batch_for_it() {
    let mut hand = Hand::new();
    let id = hand.connect();
    begin(&mut hand, id, "night");
    hand.master.take(id, Input::Gone, hand.now).unwrap();
    hand.pass(1000);
    hand.master.stood_still(Millis(300_000));
    hand.pass(300_000);
    let other = hand.connect();
    begin(&mut hand, other, "night");
    hand.master.take(other, Input::Gone, hand.now).unwrap();
    hand.pass(59_999);
    assert!(!show(&mut hand, "night").called_off);
    hand.pass(1);
    assert!(show(&mut hand, "night").called_off);
}

#[test]
fn a_job_behind_a_batch_runs_when_all_its_members_have_completed() {
    let mut hand = Hand::new();
    let id = hand.connect();
    begin(&mut hand, id, "night");
    let after = [After::batch("night")];
    let behind = hand.put(id, job().with_after(&after));
    fill(&mut hand, id, "night", &[job(), job()]);
    end(&mut hand, id, "night");
    for got in hand.poll(id, &["q"], 9) {
        assert_eq!(standing(&hand, behind), Some(Standing::Waiting));
        assert!(hand.ack(id, got.job, got.lease));
    }
    assert_eq!(standing(&hand, behind), Some(Standing::Pending));
    hand.pass(crate::lists::KEY_WINDOW_MS);
    assert!(is_error(&ask(&mut hand, id, &frames::show_batch("night", 0)), NOT_FOUND), "it is forgotten");
    begin(&mut hand, id, "night");
}

#[test]
fn who_waits_for_a_batch_is_told_when_its_last_member_has_ended() {
    let mut hand = Hand::new();
    let (id, waiter) = (hand.connect(), hand.connect());
    begin(&mut hand, id, "night");
    fill(&mut hand, id, "night", &[job()]);
    end(&mut hand, id, "night");
    hand.send_frame(waiter, &frames::show_batch("night", 300_000));
    let got = hand.take(id, "q");
    assert!(hand.heard(waiter).is_empty());
    assert!(hand.fail(id, got.job, got.lease, true));
    let heard = hand.heard(waiter);
    let [Reply::OfBatches(OfBatches::Show(facts))] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((facts.left, facts.figure("dead")), (0, 1));
}

#[test]
fn cancelling_ends_what_waits_and_tells_what_runs() {
    let mut hand = Hand::new();
    let id = hand.connect();
    begin(&mut hand, id, "night");
    let jobs = fill(&mut hand, id, "night", &[job(), job(), job()]);
    end(&mut hand, id, "night");
    let got = hand.take(id, "q");
    assert_eq!(ask(&mut hand, id, &frames::cancel_batch("night")), Reply::OfBatches(OfBatches::Done));
    assert_eq!([1, 2].map(|at| standing(&hand, jobs[at])), [None, None]);
    assert_eq!(standing(&hand, got.job), Some(Standing::InFlight));
    assert!(!hand.ack(id, got.job, got.lease), "it is told that it was cancelled");
    let facts = show(&mut hand, "night");
    assert_eq!((facts.left, facts.figure("cancelled")), (0, 3));
}

#[test]
fn a_job_whose_key_is_held_is_no_member() {
    let mut hand = Hand::new();
    let id = hand.connect();
    hand.put(id, job().with_key("k"));
    begin(&mut hand, id, "night");
    fill(&mut hand, id, "night", &[job().with_key("k"), job()]);
    assert_eq!(show(&mut hand, "night").members, 1);
}

#[test]
fn jobs_and_batches_never_wait_for_each_other_in_a_circle() {
    let mut hand = Hand::new();
    let id = hand.connect();
    let early = hand.put(id, job());
    begin(&mut hand, id, "night");
    let behind = hand.ask_frame(id, &frames::submit(&[behind_batch("night")]));
    let behind = frames::submitted(behind)[0].job;
    let late = hand.put(id, job());
    let member = |hand: &mut Hand, after: u64| {
        let jobs = [behind_job(after)];
        hand.ask_frame(id, &frames::submit_to_batch("night", &jobs))
    };
    // What waits for the batch; what waits for that; and the same by another batch.
    let further = frames::submitted(hand.ask_frame(id, &frames::submit(&[behind_job(behind)])))[0].job;
    begin(&mut hand, id, "day");
    let of_day = hand.ask_frame(id, &frames::submit_to_batch("day", &[behind_batch("night")]));
    let of_day = frames::submitted(of_day);
    for circle in [behind, further, of_day[0].job] {
        assert!(frames::is_error(&member(&mut hand, circle), frames::WRONG_STATE), "job {circle}");
    }
    let by_batch = hand.ask_frame(id, &frames::submit_to_batch("night", &[behind_batch("day")]));
    assert!(frames::is_error(&by_batch, frames::WRONG_STATE), "{by_batch:?}");
    // What was there before, what waits for none, and members of the same batch are no danger.
    let first = frames::submitted(member(&mut hand, early))[0].job;
    frames::submitted(member(&mut hand, late));
    frames::submitted(member(&mut hand, first));
    end(&mut hand, id, "night");
    end(&mut hand, id, "day");
    let mut hand = hand.restart(true);
    let id = hand.connect();
    for _ in 0..8 {
        let got = hand.take(id, "q");
        assert!(hand.ack(id, got.job, got.lease));
    }
    assert_eq!(hand.master.queues().unfinished(), (0, 0));
}
