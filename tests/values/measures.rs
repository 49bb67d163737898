//! What is measured is what happened: held against the log's own events after random steps, and against known times.

use std::collections::BTreeMap;

use falconqueue::ids::{JobId, SessionId};
use falconqueue::job::Settings;
use falconqueue::limits::MEASURED_QUEUES_MAX;
use falconqueue::protocol::SubmitJob;
use falconqueue::queue::Event;
use falconqueue::queue::events::{DeathReason, ReleaseReason};

use crate::dice::Dice;
use crate::frames::{self, Delivery, Measured, MeasuredQueue, QueueSettings, Reply};
use crate::hand::*;

const QUEUES: [&str; 4] = ["a", "b", "c", "d"];

/// Counts by queue and name.
type Counts = BTreeMap<(String, &'static str), u64>;

fn measured(hand: &mut Hand, client: SessionId) -> Measured {
    match hand.ask_frame(client, &frames::measure()) {
        Reply::MeasureOk(measured) => measured,
        other => panic!("{other:?}"),
    }
}

fn figure(queue: &MeasuredQueue, name: &str) -> Option<u64> {
    queue.figures.get(name).copied()
}

/// What an event of the log counts as.
fn named(event: &Event<'_>) -> &'static [&'static str] {
    match event {
        Event::Enqueue(_) => &["submitted"],
        Event::Dispatch(_) => &["delivered"],
        Event::Ack(_) => &["acked"],
        Event::Retry(_) => &["failed", "retried"],
        Event::Timeout(_) => &["retried", "leases_lost"],
        Event::Dead(dead) if dead.reason == DeathReason::Attempts => &["failed", "dead_attempts"],
        Event::Dead(dead) if dead.reason == DeathReason::ForGood => &["failed", "dead_for_good"],
        Event::Dead(_) => &["dead_lease", "leases_lost"],
        Event::Release(release) if release.reason == ReleaseReason::NeverBegun => &["leases_lost"],
        Event::Release(_) => &["released"],
        Event::Cancel(cancel) if cancel.ends => &["cancelled"],
        Event::Expire(_) => &["expired"],
        Event::Requeue(_) => &["requeued"],
        Event::Purge(_) => &["purged"],
        _ => &[],
    }
}

/// The counts of all events behind so many.
fn counted(hand: &Hand, behind: usize) -> Counts {
    let (mut queues, mut counts, mut number) = (BTreeMap::<JobId, String>::new(), Counts::new(), 0);
    hand.events(|event| {
        if let Event::Enqueue(enqueue) = event {
            queues.insert(enqueue.job, enqueue.queue.to_owned());
        }
        number += 1;
        for name in named(event).iter().filter(|_| number > behind) {
            let queue = &queues[&event.job().expect("each is about a job")];
            *counts.entry((queue.clone(), *name)).or_default() += 1;
        }
    });
    counts
}

/// One random step.
fn step(hand: &mut Hand, client: SessionId, dice: &mut Dice, held: &mut Vec<Delivery>) {
    let queue = QUEUES[dice.index(QUEUES.len())];
    let taken = |dice: &mut Dice, held: &mut Vec<Delivery>| match held.len() {
        0 => None,
        count => Some(held.swap_remove(dice.index(count))),
    };
    match dice.below(12) {
        0..=3 => {
            let (delay_ms, settings) = (dice.below(2) * dice.below(3000), attempts(1 + dice.below(2) as u16));
            let ttl_ms = dice.one_in(8).then(|| 1 + dice.below(5000));
            hand.put(client, SubmitJob { delay_ms, ttl_ms, settings, ..job(queue) });
        }
        4..=6 => held.extend(hand.poll(client, &[queue], 1 + dice.below(3) as u16)),
        7 => hand.pass(dice.below(4000)),
        8 => drop(taken(dice, held).map(|got| hand.ack(client, got.job, got.lease))),
        9 => drop(taken(dice, held).map(|got| hand.fail(client, got.job, got.lease, dice.one_in(3)))),
        10 => drop(taken(dice, held).map(|got| hand.release(client, got.job, got.lease, dice.below(2) * 500))),
        _ => {
            let job = 1 + dice.below(40);
            drop(hand.ask_frame(client, &frames::mend(dice.below(3) as u8 + 1, &[job])));
        }
    }
}

/// Holds the measures against the log and the state.
fn hold_against(told: &Measured, counts: &Counts, hand: &Hand) {
    for ((queue, name), count) in counts {
        assert_eq!(figure(&told.queues[queue], name), Some(*count), "{name} of {queue}");
    }
    for queue in QUEUES.iter().filter_map(|name| told.queues.get(*name)) {
        let sum = |names: &[&str]| names.iter().filter_map(|name| figure(queue, name)).sum::<u64>();
        assert_eq!(queue.histograms["wait_seconds"].count(), sum(&["delivered"]));
        assert_eq!(queue.histograms["run_seconds"].count(), sum(&["acked", "failed"]));
    }
    let totals = hand.master.queues().totals();
    let all = |name: &str| told.queues.values().filter_map(|queue| figure(queue, name)).sum::<u64>();
    let states = [totals.pending, totals.delayed, totals.in_flight, totals.dead, totals.kept];
    assert_eq!(["ready", "delayed", "in_flight", "dead", "kept"].map(all), states);
    let is_running = |queue: &&MeasuredQueue| figure(queue, "in_flight") > Some(0);
    for queue in told.queues.values() {
        assert_eq!(figure(queue, "oldest_running_ms").is_some(), is_running(&queue));
    }
}

#[test]
fn counts_are_those_of_the_log_and_never_fall() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let mut hand = Hand::new();
        let (mut client, mut held, mut behind) = (hand.connect(), Vec::new(), 0);
        let mut before = Measured::default();
        for number in 0..300 {
            step(&mut hand, client, &mut dice, &mut held);
            let told = measured(&mut hand, client);
            for (name, queue) in &before.queues {
                for count in ["submitted", "delivered", "acked", "failed", "leases_lost", "cancelled", "purged"] {
                    let (was, is) = (figure(queue, count), figure(&told.queues[name], count));
                    assert!(was <= is, "seed {seed}: {count} of {name:?} fell from {was:?} to {is:?}");
                }
            }
            hold_against(&told, &counted(&hand, behind), &hand);
            before = told;
            if number % 100 == 99 {
                hand = hand.restart(true);
                client = hand.connect();
                behind = hand.events(|_| ()).len();
                before = Measured::default();
            }
        }
    }
}

#[test]
fn a_wait_begins_when_a_job_is_ready_and_a_run_when_it_is_begun() {
    let mut hand = Hand::new();
    let client = hand.connect_saying_begun();
    hand.put(client, SubmitJob { delay_ms: 60_000, ..job("a") });
    hand.pass(60_000);
    hand.pass(700);
    let ready = measured(&mut hand, client);
    assert_eq!(figure(&ready.queues["a"], "oldest_ready_ms"), Some(700), "from its time on, not from its submit");
    let got = hand.take(client, "a");
    hand.pass(3000);
    assert!(hand.heartbeat_at(client, got.job, got.lease, falconqueue::protocol::Stage::Begun).is_some());
    hand.pass(200);
    let runs = measured(&mut hand, client);
    assert_eq!(figure(&runs.queues["a"], "oldest_running_ms"), Some(3200));
    assert!(hand.ack(client, got.job, got.lease));
    assert!(!hand.ack(client, got.job, got.lease), "it is stale");
    let told = measured(&mut hand, client);
    let (wait, run) = (&told.queues["a"].histograms["wait_seconds"], &told.queues["a"].histograms["run_seconds"]);
    assert_eq!((wait.sum, wait.up_to(500), wait.up_to(1000), wait.per_unit), (700, 0, 1, 1000));
    assert_eq!((run.sum, run.up_to(100), run.up_to(250)), (200, 0, 1));
    assert_eq!(figure(&told.queues["a"], "oldest_running_ms"), None);
    assert_eq!((told.figures["stale_reports"], told.figures["connections"]), (1, 1));
    // A second attempt waits from when it may begin.
    hand.put(client, SubmitJob { settings: Settings { max_attempts: 2, ..Settings::default() }, ..job("b") });
    let got = hand.take(client, "b");
    assert!(hand.fail(client, got.job, got.lease, false));
    hand.pass(100_000);
    hand.pass(20);
    hand.take(client, "b");
    let told = measured(&mut hand, client);
    assert_eq!(told.queues["b"].histograms["wait_seconds"].sum, 20);
}

#[test]
fn the_first_queues_are_told_apart_and_keep_their_places_when_they_are_deleted() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let names: Vec<String> = (0..MEASURED_QUEUES_MAX + 30).map(|number| format!("q{number:03}")).collect();
    for name in &names {
        let got = hand.put(client, SubmitJob { queue: name, ..job("q") });
        assert!(got > 0);
    }
    let told = measured(&mut hand, client);
    assert_eq!(told.queues.len(), MEASURED_QUEUES_MAX + 1);
    assert_eq!((figure(&told.queues[""], "submitted"), figure(&told.queues[""], "ready")), (Some(30), Some(30)));
    let first = hand.take(client, "q000");
    assert!(hand.ack(client, first.job, first.lease));
    assert_eq!(hand.ask_frame(client, &frames::delete_queue("q000")), Reply::Settled(0x8019));
    let after = measured(&mut hand, client);
    let gone = &after.queues["q000"];
    assert_eq!(["submitted", "acked", "ready"].map(|name| figure(gone, name)), [Some(1), Some(1), Some(0)]);
    // Another queue may have its number now.
    hand.put(client, job("new"));
    hand.put(client, SubmitJob { queue: "q000", ..job("q") });
    let back = measured(&mut hand, client);
    assert_eq!((figure(&back.queues["q000"], "submitted"), figure(&back.queues[""], "submitted")), (Some(2), Some(31)));
    // After a restart those that have jobs are told, before anything happens in them.
    let mut hand = hand.restart(false);
    let client = hand.connect();
    let begun = measured(&mut hand, client);
    assert_eq!(
        (figure(&begun.queues["q007"], "ready"), figure(&begun.queues["q007"], "submitted")),
        (Some(1), Some(0))
    );
}

#[test]
fn limits_schedules_and_syncs_are_told() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let rate = Some((10, 10_000, 5));
    let settings = QueueSettings { running_max: Some(8), rate, ..QueueSettings::default() };
    assert_eq!(hand.ask_frame(client, &frames::set_queue("a", &settings)), Reply::Settled(0x8018));
    hand.submit(client, &[job("a"), job("a"), job("a")]);
    hand.take(client, "a");
    hand.ask_frame(client, &frames::put_schedule("tick", &frames::every("a", 60_000), false));
    let told = measured(&mut hand, client);
    let a = &told.queues["a"];
    let limits = ["in_flight", "running_max", "tokens", "tokens_max"].map(|name| figure(a, name));
    assert_eq!(limits, [Some(1), Some(8), Some(4), Some(5)]);
    assert_eq!((figure(&told.queues[""], "running_max"), &*told.sync), (None, "always"));
    let [(name, last, next, paused)] = &told.schedules[..] else { panic!("{:?}", told.schedules) };
    assert_eq!((&**name, *last, *paused), ("tick", 0, false));
    assert!(*next > hand.now.0);
    let records = &told.histograms["sync_records"];
    assert!(records.count() > 0 && records.sum >= 6, "{records:?}");
}
