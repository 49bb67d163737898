//! What somebody does to queues and jobs, and what it must not do to others.

use falconqueue::ids::SessionId;
use falconqueue::limits::CLIENT_NAME_BYTES_MAX;
use falconqueue::protocol::{Ack, Hello, List, Request, Submit, SubmitJob};

use crate::frames::{
    ACK_OK, CANCEL, CANCEL_NOW, Delivery, MEND_OK, PURGE, QueueSettings, Reply, STORAGE_FULL, WAY_BOTH, WAY_IN,
    WAY_OUT, delete_queue, explain, is_error, mend, pause, resume, set_queue, status,
};
use crate::hand::*;
use crate::session::ack_of;

/// A client of the longest name: records that tell it are as long as room was kept for.
fn connect_longest(hand: &mut Hand) -> SessionId {
    hand.greeted(Hello::new(&"w".repeat(CLIENT_NAME_BYTES_MAX), b""))
}

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

/// Fills the log with large jobs, then with small ones, until it takes no more; gives how many.
fn fill(hand: &mut Hand, queue: &'static str) -> u64 {
    let (client, before) = (hand.connect(), hand.master.queues().totals().pending);
    for bytes in [8000, 500, 0] {
        let payload = vec![b'x'; bytes];
        let jobs = [SubmitJob { payload: &payload, ..job(queue) }];
        let submit = Request::Submit(Submit::of(&jobs));
        while matches!(hand.ask(client, &submit), Reply::SubmitOk(_)) {}
    }
    hand.master.queues().totals().pending - before
}

/// Takes so many jobs of a queue, one by one, and ends each without a result, for which no room is kept.
fn work_off(hand: &mut Hand, queue: &str, jobs: u64) {
    let worker = connect_longest(hand);
    for _ in 0..jobs {
        let got = hand.take(worker, queue);
        let items = [ack_of(&got, b"")];
        assert_eq!(status(hand.ask(worker, &Request::Ack(Ack { items: List::lent(&items) })), ACK_OK, got.job), 0);
    }
}

#[test]
fn paused_queues_that_filled_the_disk_can_be_resumed_and_worked_off() {
    let mut hand = Hand::new();
    let client = connect_longest(&mut hand);
    assert!(matches!(hand.ask_frame(client, &pause("q", WAY_OUT, 0, "")), Reply::Settled(_)));
    let others: Vec<String> = (0..100).map(|number| format!("{number:064}")).collect();
    for queue in &others {
        assert!(matches!(hand.ask_frame(client, &pause(queue, WAY_BOTH, 0, "")), Reply::Settled(_)));
    }
    hand.device.limit_space(Some(0));
    let jobs = fill(&mut hand, "q");
    assert!(is_error(&hand.ask_frame(client, &pause("s", WAY_OUT, 0, "")), STORAGE_FULL), "no room is kept for that");
    for way in [WAY_IN, WAY_OUT] {
        for queue in &others {
            assert!(matches!(hand.ask_frame(client, &resume(queue, way)), Reply::Settled(_)));
        }
    }
    assert!(matches!(hand.ask_frame(client, &resume("q", WAY_OUT)), Reply::Settled(_)));
    work_off(&mut hand, "q", jobs);
}

/// Changes jobs on a full disk; gives how many had no room.
fn mended(hand: &mut Hand, client: SessionId, change: u8, jobs: &[u64]) -> usize {
    let Reply::Done(MEND_OK, items) = hand.ask_frame(client, &mend(change, jobs)) else { panic!("it is done") };
    assert!(items.iter().all(|(_, status)| [0, STORAGE_FULL].contains(status)), "{items:?}");
    items.iter().filter(|(_, status)| *status != 0).count()
}

#[test]
fn what_is_kept_is_cancelled_and_purged_on_a_full_disk_without_the_room_of_others() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let kept = QueueSettings { keep_s: Some(600), ..QueueSettings::default() };
    assert!(matches!(hand.ask_frame(client, &set_queue("q", &kept)), Reply::Settled(_)));
    let batch = vec![job("q"); 100];
    let jobs: Vec<u64> = (0..10).flat_map(|_| hand.submit(client, &batch)).map(|told| told.job).collect();
    hand.device.limit_space(Some(0));
    assert_eq!(mended(&mut hand, client, CANCEL, &jobs), 0, "room is kept for that");
    let others = fill(&mut hand, "r");
    assert!(mended(&mut hand, client, PURGE, &jobs) > 0, "what is kept goes by itself");
    work_off(&mut hand, "r", others);
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
