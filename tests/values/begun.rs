//! What counts as an attempt: a delivered job that its worker may have begun, and not one that it only held.

use crate::hand::*;
use falconqueue::ids::SessionId;
use falconqueue::job::Settings;
use falconqueue::protocol::{Stage, SubmitJob};
use falconqueue::queue::Event;
use falconqueue::queue::events::ReleaseReason;
use falconqueue::time::Millis;

const LEASE_MS: u64 = 10_000;

fn once() -> SubmitJob<'static> {
    SubmitJob { settings: Settings { max_attempts: 1, ..Settings::default() }, ..job("q") }
}

/// A hand with so many jobs that may be tried once, and a worker that says when it begins one.
fn with_jobs(count: usize) -> (Hand, SessionId, Vec<u64>) {
    let mut hand = Hand::new();
    let worker = hand.connect_saying_begun();
    let jobs = (0..count).map(|_| hand.put(worker, once())).collect();
    (hand, worker, jobs)
}

fn dead(hand: &Hand) -> u64 {
    hand.master.queues().totals().dead
}

#[test]
fn a_lease_that_ends_before_its_job_was_begun_costs_nothing() {
    let (mut hand, worker, jobs) = with_jobs(3);
    let first = hand.take(worker, "q");
    hand.heartbeat_at(worker, first.job, first.lease, Stage::Held);
    hand.pass(LEASE_MS);
    hand.sync();
    let again = hand.poll(worker, &["q"], 3);
    assert_eq!(again.iter().map(|got| got.job).collect::<Vec<_>>(), jobs, "it waits where it stood");
    assert_eq!(again[0].attempt, 1);
    let reasons = hand.events(|event| match event {
        Event::Release(release) => Some(release.reason),
        _ => None,
    });
    assert_eq!(reasons.into_iter().flatten().collect::<Vec<_>>(), [ReleaseReason::NeverBegun], "the log says why");
}

#[test]
fn from_begun_on_an_attempt_counts() {
    let (mut hand, worker, _) = with_jobs(1);
    let got = hand.take(worker, "q");
    assert_eq!(hand.heartbeat_at(worker, got.job, got.lease, Stage::Begun), Some(LEASE_MS as u32));
    // That it is only held is no longer believed.
    hand.heartbeat_at(worker, got.job, got.lease, Stage::Held);
    hand.pass(LEASE_MS);
    assert_eq!(dead(&hand), 1);
}

#[test]
fn a_delivery_counts_for_who_does_not_promise_to_say_begun() {
    let (mut hand, _, _) = with_jobs(1);
    let plain = hand.connect();
    hand.take(plain, "q");
    hand.pass(LEASE_MS);
    assert_eq!(dead(&hand), 1);
}

#[test]
fn a_report_counts_whatever_was_said_before() {
    let (mut hand, worker, _) = with_jobs(1);
    let got = hand.take(worker, "q");
    assert!(hand.fail(worker, got.job, got.lease, false));
    assert_eq!(dead(&hand), 1);
}

#[test]
fn after_a_restart_every_delivery_counts_as_begun() {
    let (mut hand, worker, _) = with_jobs(1);
    hand.take(worker, "q");
    let mut hand = hand.restart(false);
    hand.pass(LEASE_MS);
    assert_eq!(dead(&hand), 1);
}

#[test]
fn the_time_of_a_job_runs_from_when_it_was_begun() {
    const TIMEOUT_MS: u64 = 15_000;
    let mut hand = Hand::new();
    let worker = hand.connect_saying_begun();
    let settings = Settings { max_attempts: 1, timeout_ms: TIMEOUT_MS as u32, ..Settings::default() };
    hand.put(worker, SubmitJob { settings, ..job("q") });
    let got = hand.take(worker, "q");
    let beat = |hand: &mut Hand, stage| hand.heartbeat_at(worker, got.job, got.lease, stage);
    for _ in 0..5 {
        hand.pass(9000);
        assert_eq!(beat(&mut hand, Stage::Held), Some(LEASE_MS as u32), "a job that is held does not run");
    }
    assert!(beat(&mut hand, Stage::Begun).is_some());
    let begun_at = hand.now;
    while beat(&mut hand, Stage::Begun).is_some() {
        hand.pass(1000);
    }
    let ran = hand.now.since(begun_at);
    assert!(ran >= Millis(TIMEOUT_MS) && ran <= Millis(TIMEOUT_MS + LEASE_MS), "{ran}");
    assert_eq!(dead(&hand), 1);
}

#[test]
fn a_master_that_stood_still_takes_no_lease_away() {
    let (mut hand, worker, _) = with_jobs(1);
    let got = hand.take(worker, "q");
    assert!(hand.heartbeat_at(worker, got.job, got.lease, Stage::Begun).is_some());
    hand.master.stood_still(Millis(60_000));
    hand.pass(60_000);
    assert_eq!(hand.heartbeat(worker, got.job, got.lease), Some(LEASE_MS as u32));
    hand.pass(LEASE_MS);
    assert_eq!(dead(&hand), 1, "that was for once");
}
