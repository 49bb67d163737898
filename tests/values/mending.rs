//! What somebody does to queues and jobs, and what it must not do to others.

use falconqueue::protocol::{List, Request, Submit, SubmitJob};

use crate::frames::{
    CANCEL, NOT_FOUND, PURGE, QueueSettings, Reply, STORAGE_FULL, delete_queue, is_error, mend, pause, resume,
    set_queue,
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
