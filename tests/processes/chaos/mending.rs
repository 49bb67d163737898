//! The ways of being wrong with what changes jobs and queues, and what waits and looks.
//!
//! What changes jobs by a filter, and what holds in a queue, goes to a queue of its own: a request whose answer nobody
//! waited for may be carried out later. What names jobs names those of this client, or ids that no job has.

use super::client::Wrong;
use super::rough::Rough;
use super::ways::{Way, statuses, take_own};
use crate::dice::Dice;
use crate::harness::frames::{self, Body, Filter, LEASE_LOST, NOT_FOUND, QueueSettings, Reply, Request, Updated, job};
use crate::history::CANCELLED;

pub const WAYS: &[(&str, Way)] = &[
    ("cancel and ack", cancel_and_ack),
    ("meddle", meddle),
    ("orders", orders),
    ("waits", waits),
    ("filters", filters),
];

/// No job of a test comes so far.
const FAR: u64 = 1 << 40;

/// As many jobs as one request may name, and one more.
const ITEMS_MAX: u64 = 1_024;

/// A number that may be all right, or at an end of what there is.
fn extreme(dice: &mut Dice) -> u64 {
    [0, 1, 3, 250, u64::from(u16::MAX), u64::from(u32::MAX), u64::MAX / 1_000, u64::MAX][dice.index(8)]
}

fn some_extreme(dice: &mut Dice) -> Option<u64> {
    dice.percent(40).then(|| extreme(dice))
}

/// Whatever a worker says of a job whose cancel was answered OK is refused.
fn cancel_and_ack(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let Some(own) = take_own(wrong, &mut rough) else { return };
    let now = wrong.dice.percent(50);
    let change = if now { frames::CANCEL_NOW } else { frames::CANCEL };
    // Twice in one request, too.
    let jobs = vec![own.job; wrong.dice.within(1..3) as usize];
    let told = statuses(rough.ask(&frames::mend(change, &jobs)));
    let mut expected = if now { LEASE_LOST } else { CANCELLED };
    for _ in 0..2 {
        let report = match wrong.dice.below(3) {
            0 => frames::ack(&[(own.job, own.lease, b"done")]),
            1 => frames::fail(&[(own.job, own.lease, wrong.dice.percent(50), "no")]),
            _ => frames::release(own.job, own.lease, 0),
        };
        let said = statuses(rough.ask(&report));
        assert!(told.first() != Some(&0) || said.is_empty() || said == [expected], "{said:?} behind a cancel");
        wrong.done.refused += u64::from(!told.is_empty() && !said.is_empty());
        expected = LEASE_LOST;
    }
    wrong.leave(rough);
}

fn update(dice: &mut Dice) -> Updated {
    Updated {
        priority: dice.percent(40).then(|| dice.draw() as u8),
        max_attempts: some_extreme(dice).map(|n| n as u16),
        delay_ms: some_extreme(dice),
        ttl_ms: some_extreme(dice),
    }
}

/// Changes that there are and that there are not, of jobs that are its own, twice and never there.
fn meddle(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let Some(own) = take_own(wrong, &mut rough) else { return };
    for _ in 0..wrong.dice.within(1..8) {
        let dice = &mut wrong.dice;
        let far = match dice.below(20) {
            0 => ITEMS_MAX + dice.below(2),
            _ => dice.below(5),
        };
        let mut jobs: Vec<u64> = (0..far).map(|_| FAR + dice.below(FAR)).collect();
        jobs.extend([own.job, own.job, 0, u64::MAX].iter().take(dice.index(5)));
        let request = match dice.below(3) {
            0 => frames::update(&jobs, &update(dice)),
            // The number of a change alone, also of an update that is not there.
            1 => frames::mend(dice.within(0..8) as u8, &jobs),
            _ => frames::mend([frames::REQUEUE, frames::PURGE, 255][dice.index(3)], &jobs),
        };
        let Some(Reply::Done(_, items)) = rough.ask(&request) else { continue };
        assert!(items.iter().map(|(job, _)| job).eq(&jobs), "a status for each job, in their order");
        let is_wrong = |(job, status): &&(u64, u16)| *job != own.job && *status != NOT_FOUND;
        assert_eq!(items.iter().find(is_wrong), None, "no job has this id");
    }
    wrong.leave(rough);
}

fn settings(dice: &mut Dice) -> QueueSettings {
    QueueSettings {
        keep_s: some_extreme(dice).map(|n| n as u32),
        dead_keep_s: some_extreme(dice).map(|n| n as u32),
        backoff: dice.percent(30).then(|| (extreme(dice) as u32, extreme(dice) as u32)),
        max_attempts: some_extreme(dice).map(|n| n as u16),
        depth_max: some_extreme(dice),
        bytes_max: some_extreme(dice),
        timeout_ms: some_extreme(dice).map(|n| n as u32),
        ttl_ms: some_extreme(dice),
        running_max: some_extreme(dice).map(|n| n as u32),
        group_running_max: some_extreme(dice).map(|n| n as u32),
        strict: dice.percent(30).then(|| dice.percent(50)),
        rate: dice.percent(30).then(|| rate(dice)),
        group_rate: dice.percent(30).then(|| rate(dice)),
    }
}

fn rate(dice: &mut Dice) -> (u32, u32, u32) {
    (extreme(dice) as u32, extreme(dice) as u32, extreme(dice) as u32)
}

/// What holds in a queue, with values, ways and names that are not there.
fn orders(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let queue = wrong.meddled();
    for correlation in 1..=wrong.dice.within(1..10) {
        let dice = &mut wrong.dice;
        let name = match dice.below(12) {
            0 => String::new(),
            1 => "a name\nof two lines".to_string(),
            2 => "x".repeat(300),
            _ => queue.clone(),
        };
        let way = dice.within(0..6) as u8;
        let request = match dice.below(9) {
            0 | 1 => frames::pause(&name, way, extreme(dice), &"r".repeat(dice.index(220))),
            2 => frames::resume(&name, way),
            3 | 4 => frames::set_queue(&name, &settings(dice)),
            5 => frames::delete_queue(&name),
            6 => frames::show_queue(&name),
            // What there is of a drain that harms nobody.
            7 => Request::new(27, Body::default().u8([0, 2, 255][dice.index(3)]).plain()),
            _ => frames::submit(&[job(&queue, "paused or not")]),
        };
        if !rough.request(&request, correlation) {
            break;
        }
    }
    if wrong.dice.percent(30) {
        return wrong.leave(rough);
    }
    rough.request(&frames::set_queue(&queue, &QueueSettings::default()), 20);
    rough.request(&frames::resume(&queue, frames::WAY_BOTH), 21);
    rough.nibble(200);
    wrong.leave(rough);
}

/// Waits for anybody's jobs, for its own twice, for ends that never come; most of the answers are not read.
fn waits(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let newest = wrong.newest();
    for correlation in 1..=wrong.dice.within(1..80) {
        let dice = &mut wrong.dice;
        let count = if dice.one_in(20) { ITEMS_MAX + dice.below(2) } else { dice.below(5) };
        let mut jobs: Vec<u64> = (0..count).map(|_| 1 + dice.below(newest + 20)).collect();
        if dice.percent(20) {
            jobs.extend([0, FAR, u64::MAX, newest, newest]);
        }
        let wait_ms = if dice.percent(50) { dice.within(0..300) as u32 } else { extreme(dice) as u32 };
        let request = match dice.below(8) {
            0 => frames::idle(["", "meddled", "mail"][dice.index(3)], wait_ms),
            1 => frames::explain(dice.below(newest)),
            2 => frames::result_of(dice.below(newest)),
            _ => frames::wait(&jobs, dice.percent(50), wait_ms),
        };
        if !rough.request(&request, correlation) {
            break;
        }
    }
    rough.nibble(100);
    wrong.leave(rough);
}

/// All jobs of a queue of its own are changed by filters with something wrong in them, and all jobs are looked at.
fn filters(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let queue = wrong.meddled();
    rough.ask(&frames::submit(&vec![job(&queue, "one of some"); wrong.dice.within(1..6) as usize]));
    for _ in 0..wrong.dice.within(1..6) {
        let dice = &mut wrong.dice;
        let mut filter = Filter {
            queue: Some(queue.clone()),
            standings: dice.percent(50).then(|| dice.draw() as u8),
            key_prefix: dice.one_in(4).then(|| "k".repeat(dice.index(300))),
            error: dice.one_in(4).then(|| "e".repeat(dice.index(300))),
            error_kind: dice.one_in(4).then(|| dice.draw()),
        };
        let (from, since) = (some_extreme(dice).unwrap_or(0), some_extreme(dice).unwrap_or(0));
        let request = match dice.below(4) {
            0 => frames::mend_all(dice.within(0..8) as u8, &filter, from, since),
            1 => {
                frames::mend_all(frames::CANCEL_NOW, &Filter { queue: Some(queue.clone()), ..Filter::default() }, 0, 0)
            }
            2 => {
                filter.queue = None;
                frames::list_jobs(&filter, from, dice.percent(50), extreme(dice) as u16)
            }
            _ => frames::count_jobs(&filter, from, dice.percent(50)),
        };
        look(&mut rough, &request);
    }
    // What it left behind does not pile up.
    rough.ask(&frames::mend_all(frames::PURGE, &Filter { queue: Some(queue), ..Filter::default() }, 0, 0));
    wrong.leave(rough);
}

/// Asks, and mostly waits for the answer.
fn look(rough: &mut Rough, request: &Request) {
    if request.body.len().is_multiple_of(4) {
        rough.request(request, 5);
    } else {
        rough.ask(request);
    }
}
