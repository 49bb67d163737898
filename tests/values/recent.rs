//! What is told of what happens is what the log has: each event once and in its order, or that something is missing.

use std::collections::BTreeMap;

use falconqueue::ids::SessionId;
use falconqueue::limits::{RECENT_EVENTS_MAX, RECENT_IDLE_MS, RECENT_TOLD_MAX};
use falconqueue::protocol::SubmitJob;

use crate::dice::Dice;
use crate::frames::{self, Delivery, QueueSettings, Recent, RecentPage, Reply};
use crate::hand::*;

const QUEUES: [&str; 3] = ["a", "b", "c"];

fn recent(hand: &mut Hand, client: SessionId, after: u64, most: usize) -> RecentPage {
    match hand.ask_frame(client, &frames::recent(after, most as u16)) {
        Reply::RecentOk(page) => page,
        other => panic!("{other:?}"),
    }
}

/// The events of the log: number, kind and job of each, and the queue of that.
fn logged(hand: &Hand) -> Vec<(u64, u8, u64, String)> {
    let (mut queues, mut lsn) = (BTreeMap::<u64, String>::new(), 0);
    let all = hand.events(|event| {
        lsn += 1;
        let job = event.job().map_or(0, |job| job.0);
        if let falconqueue::queue::Event::Enqueue(enqueue) = event {
            queues.insert(job, enqueue.queue.to_owned());
        }
        (lsn, event.kind(), job, queues.get(&job).cloned().unwrap_or_default())
    });
    // Where bytes are moved to is no event of a job.
    all.into_iter().filter(|(_, kind, ..)| !is_move(*kind)).collect()
}

fn is_move(kind: u8) -> bool {
    falconqueue::queue::Event::KINDS.iter().any(|(known, name)| (*known, *name) == (kind, "MOVE"))
}

fn of(event: &Recent) -> (u64, u8, u64, String) {
    (event.lsn, event.kind, event.job, if event.job == 0 { String::new() } else { event.queue.clone() })
}

fn step(hand: &mut Hand, client: SessionId, dice: &mut Dice, held: &mut Vec<Delivery>) {
    let queue = QUEUES[dice.index(QUEUES.len())];
    match dice.below(9) {
        0..=2 => drop(hand.put(client, SubmitJob { delay_ms: dice.below(2) * dice.below(900), ..job(queue) })),
        3 => held.extend(hand.poll(client, &[queue], 2)),
        4 => hand.pass(dice.below(2000)),
        5 => drop(held.pop().map(|got| hand.ack(client, got.job, got.lease))),
        6 => drop(held.pop().map(|got| hand.fail(client, got.job, got.lease, dice.one_in(2)))),
        7 => drop(hand.ask_frame(client, &frames::mend(dice.below(3) as u8 + 1, &[1 + dice.below(30)]))),
        _ => drop(hand.ask_frame(client, &frames::set_queue(queue, &QueueSettings::default()))),
    }
}

#[test]
fn each_event_of_the_log_is_told_once_and_in_its_order() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let mut hand = Hand::new();
        let (mut client, mut held) = (hand.connect(), Vec::new());
        let mut at = recent(&mut hand, client, u64::MAX, 1).next;
        let mut told: Vec<(u64, u8, u64, String)> = Vec::new();
        for number in 0..300 {
            step(&mut hand, client, &mut dice, &mut held);
            if dice.one_in(3) {
                let page = recent(&mut hand, client, at, 1 + dice.index(6));
                assert_eq!(page.missed, 0, "seed {seed}");
                told.extend(page.events.iter().map(of));
                assert!(page.next >= at && told.last().is_none_or(|(lsn, ..)| *lsn <= page.next), "seed {seed}");
                at = page.next;
            }
            if number == 150 {
                at = all_of(&mut hand, client, at, &mut told);
                let durable = hand.log().len() as u64;
                assert!(at <= durable, "nothing is told that a power cut takes back");
                hand = hand.restart(true);
                client = hand.connect();
                // Nothing happened that it did not see.
                let page = recent(&mut hand, client, at, RECENT_TOLD_MAX);
                assert_eq!((page.missed, page.events.len()), (durable - at, 0), "seed {seed}");
                at = page.next;
            }
        }
        all_of(&mut hand, client, at, &mut told);
        assert_eq!(told, logged(&hand), "seed {seed}");
    }
}

/// Asks until all is told; gives where that is.
fn all_of(hand: &mut Hand, client: SessionId, from: u64, told: &mut Vec<(u64, u8, u64, String)>) -> u64 {
    let mut at = from;
    loop {
        let page = recent(hand, client, at, RECENT_TOLD_MAX);
        assert_eq!(page.missed, 0);
        told.extend(page.events.iter().map(of));
        at = page.next;
        if page.events.is_empty() {
            return at;
        }
    }
}

#[test]
fn what_is_too_much_or_too_long_ago_is_counted_as_missed() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.put(client, job("a"));
    let begin = recent(&mut hand, client, u64::MAX, 1);
    assert_eq!((begin.next, begin.missed, begin.events.len()), (1, 0, 0));
    let jobs = vec![job("a"); 64];
    for _ in 0..=RECENT_EVENTS_MAX / 64 {
        hand.submit(client, &jobs);
    }
    let last = 1 + 64 * (RECENT_EVENTS_MAX as u64 / 64 + 1);
    let page = recent(&mut hand, client, begin.next, RECENT_TOLD_MAX);
    assert_eq!((page.missed, page.events.len()), (last - 1 - RECENT_EVENTS_MAX as u64, RECENT_TOLD_MAX));
    assert_eq!(page.events[0].lsn, last - RECENT_EVENTS_MAX as u64 + 1);
    let ahead = recent(&mut hand, client, last + 5, 1);
    assert_eq!((ahead.next, ahead.missed), (last, 5), "an LSN of another log");
    hand.pass(RECENT_IDLE_MS + 1);
    hand.put(client, job("a"));
    hand.put(client, job("a"));
    assert_eq!(recent(&mut hand, client, last, 9).missed, 2, "nobody has asked for so long");
}

#[test]
fn queues_that_are_gone_and_schedules_have_their_names() {
    let mut hand = Hand::new();
    let client = hand.connect();
    recent(&mut hand, client, u64::MAX, 1);
    let got = hand.put(client, job("a"));
    hand.ask_frame(client, &frames::mend(1, &[got]));
    hand.ask_frame(client, &frames::mend(3, &[got]));
    hand.ask_frame(client, &frames::delete_queue("a"));
    hand.put(client, job("b"));
    hand.ask_frame(client, &frames::put_schedule("tick", &frames::every("b", 60_000), false));
    let page = recent(&mut hand, client, u64::MAX, 1);
    assert_eq!(page.events.len(), 0);
    let page = recent(&mut hand, client, 1, 100);
    let names: Vec<(u64, &str, &str)> =
        page.events.iter().map(|event| (event.job, &*event.queue, &*event.name)).collect();
    assert!(names.iter().filter(|(job, ..)| *job == got).all(|(_, queue, _)| *queue == "a"), "{names:?}");
    assert!(names.contains(&(0, "a", "")), "FORGET names its queue: {names:?}");
    assert!(names.contains(&(got + 1, "b", "")) && names.iter().any(|(_, _, name)| *name == "tick"), "{names:?}");
}
