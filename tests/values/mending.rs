//! What somebody does to queues and jobs, and what it must not do to others.

use falconqueue::ids::SessionId;
use falconqueue::protocol::{List, Request, Submit, SubmitJob};

use crate::frames::{
    CANCEL, CANCEL_NOW, Delivery, MEND_OK, NOT_FOUND, PURGE, QueueSettings, Reply, STORAGE_FULL, delete_queue, explain,
    is_error, mend, pause, resume, set_queue, status,
};
use crate::hand::*;

const OUT: u8 = 2;

#[test]
fn a_queue_that_is_deleted_while_it_is_polled_leaves_its_polls_to_no_other() {
    let mut hand = Hand::new();
    let (worker, client) = (hand.connect(), hand.connect());
    let first = hand.put(client, job("mail"));
    let got = hand.take(worker, "mail");
    assert!(got.job == first && hand.ack(worker, got.job, got.lease));
    hand.send(worker, &poll(&["mail"], 1, 60_000));
    hand.pass(0);
    assert!(matches!(hand.ask_frame(client, &delete_queue("mail")), Reply::Settled(_)));
    let bill = hand.put(client, job("billing"));
    assert_eq!(hand.heard(worker), [], "it polls another queue");
    let letter = hand.put(client, job("mail"));
    let heard = hand.heard(worker);
    let [Reply::PollOk(ref got)] = heard[..] else { panic!("{heard:?}") };
    assert_eq!((got[0].job, got[0].queue.as_str()), (letter, "mail"));
    assert_eq!(hand.take(worker, "billing").job, bill);
}

#[test]
fn a_job_that_was_begun_and_given_back_does_not_expire() {
    let mut hand = Hand::new();
    let (begins, holds, client) = (hand.connect(), hand.connect_saying_begun(), hand.connect());
    for (worker, left) in [(begins, 1), (holds, 0)] {
        hand.put(client, SubmitJob { ttl_ms: Some(1000), ..job("q") });
        let got = hand.take(worker, "q");
        hand.pass(2000);
        assert!(hand.release(worker, got.job, got.lease, 0));
        hand.pass(1);
        let totals = hand.master.queues().totals();
        assert_eq!((totals.pending, totals.expired), (left, 1 - left), "one that was only held was not begun in time");
        if left == 1 {
            let again = hand.take(worker, "q");
            assert!(hand.ack(worker, again.job, again.lease));
        }
    }
}

/// A master whose log takes no more jobs.
fn fill(hand: &mut Hand, queue: &'static str) {
    let client = hand.connect();
    let jobs = [job(queue)];
    for _ in 0..100_000 {
        if is_error(&hand.ask(client, &Request::Submit(Submit { jobs: List::lent(&jobs) })), STORAGE_FULL) {
            return;
        }
    }
    panic!("it is never full");
}

#[test]
fn a_paused_queue_that_filled_the_disk_can_be_resumed() {
    let mut hand = Hand::new();
    let client = hand.connect();
    for queue in ["q", "r"] {
        assert!(matches!(hand.ask_frame(client, &pause(queue, OUT, 0, "")), Reply::Settled(_)));
    }
    hand.device.limit_space(Some(0));
    fill(&mut hand, "q");
    assert!(is_error(&hand.ask_frame(client, &pause("s", OUT, 0, "")), STORAGE_FULL), "no room is kept for that");
    for queue in ["q", "r"] {
        assert!(matches!(hand.ask_frame(client, &resume(queue, OUT)), Reply::Settled(_)));
    }
    let pending = hand.master.queues().totals().pending;
    for _ in 0..pending {
        let got = hand.take(client, "q");
        assert!(hand.ack(client, got.job, got.lease));
    }
}

#[test]
fn what_is_kept_is_cancelled_and_purged_on_a_full_disk_without_the_room_of_others() {
    let mut hand = Hand::new();
    let client = hand.connect();
    assert!(matches!(
        hand.ask_frame(client, &set_queue("q", &QueueSettings { keep_s: Some(600), ..QueueSettings::default() })),
        Reply::Settled(_)
    ));
    hand.device.limit_space(Some(0));
    fill(&mut hand, "q");
    let pending = hand.master.queues().totals().pending;
    let ids: Vec<u64> = (1..=pending).collect();
    for change in [CANCEL, PURGE, PURGE] {
        for ids in ids.chunks(1000) {
            let Reply::Done(_, items) = hand.ask_frame(client, &mend(change, ids)) else { panic!("it is done") };
            let is_refused = |status: u16| change == PURGE && [STORAGE_FULL, NOT_FOUND].contains(&status);
            assert!(items.iter().all(|(_, status)| *status == 0 || is_refused(*status)), "{items:?}");
        }
    }
}

fn bound(hand: &mut Hand, client: SessionId, running_max: Option<u32>) {
    let settings = QueueSettings { running_max, ..QueueSettings::default() };
    assert!(matches!(hand.ask_frame(client, &set_queue("q", &settings)), Reply::Settled(_)));
}

/// The one job that this worker was handed.
fn handed(hand: &mut Hand, worker: SessionId) -> Delivery {
    match &hand.heard(worker)[..] {
        [Reply::PollOk(got)] if got.len() == 1 => got[0].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_more_jobs_of_a_queue_are_in_flight_than_may_be() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let workers = [(); 3].map(|()| hand.connect());
    bound(&mut hand, client, Some(2));
    let _ = [(); 5].map(|()| hand.put(client, job("q")));
    for worker in workers {
        hand.send(worker, &poll(&["q"], 4, 60_000));
    }
    hand.pass(0);
    hand.sync();
    let Reply::PollOk(got) = &hand.heard(workers[0])[0] else { panic!("two jobs") };
    let got = got.clone();
    assert_eq!((got.len(), hand.heard(workers[1]), hand.heard(workers[2])), (2, vec![], vec![]));
    let Reply::ExplainOk(reasons) = hand.ask_frame(client, &explain(3)) else { panic!("reasons") };
    assert!(reasons.iter().any(|(cause, _)| *cause == 22), "{reasons:?}");
    assert!(hand.ack(workers[0], got[0].job, got[0].lease), "its place is another's in the same turn");
    let third = handed(&mut hand, workers[1]);
    // A bound that is lowered takes no lease back; the next goes when two have ended, and how does not matter.
    bound(&mut hand, client, Some(1));
    assert!(hand.fail(workers[0], got[1].job, got[1].lease, true));
    assert_eq!(hand.heard(workers[2]), []);
    assert_eq!(status(hand.ask_frame(client, &mend(CANCEL_NOW, &[third.job])), MEND_OK, third.job), 0);
    let fourth = handed(&mut hand, workers[2]);
    assert_eq!(fourth.job, 4);
    hand.send(workers[0], &poll(&["q"], 1, 60_000));
    bound(&mut hand, client, None);
    assert_eq!(handed(&mut hand, workers[0]).job, 5, "without a bound the next goes at once");
}

#[test]
fn a_bound_on_what_is_in_flight_holds_over_restarts_and_lease_ends() {
    let mut hand = Hand::new();
    let (client, worker) = (hand.connect(), hand.connect());
    bound(&mut hand, client, Some(1));
    let _ = [(); 2].map(|()| hand.put(client, job("q")));
    hand.take(worker, "q");
    let mut hand = hand.restart(false);
    let worker = hand.connect();
    hand.send(worker, &poll(&["q"], 1, 60_000));
    hand.pass(0);
    hand.sync();
    assert_eq!(hand.heard(worker), [], "the lease of before lives");
    for _ in 0..100 {
        hand.pass(500);
        hand.sync();
        if let [Reply::PollOk(got)] = &hand.heard(worker)[..] {
            return assert_eq!(got[0].job, 2);
        }
    }
    panic!("its lease has ended");
}

#[test]
fn what_is_only_to_be_held_is_not_given_of_a_queue_with_a_bound() {
    let mut hand = Hand::new();
    let (client, worker) = (hand.connect(), hand.connect_saying_begun());
    bound(&mut hand, client, Some(3));
    let _ = [(); 5].map(|()| hand.put(client, job("q")));
    let other = hand.put(client, job("other"));
    let got = hand.poll_ahead(worker, &["q", "other"], 2);
    let jobs: Vec<u64> = got.iter().map(|got| got.job).collect();
    assert_eq!(jobs, [1, other], "it begins one, and holds one of another queue");
    assert_eq!(hand.take(worker, "q").job, 2);
}
