//! Who takes jobs, what workers are told to do, and how far jobs are, as a client of the master is told.

use crate::frames::{KnownWorker, LEASE_LOST, NOT_FOUND, Reply, expect_error};
use crate::hand::*;
use falconqueue::ids::{JobId, LeaseId, SessionId};
use falconqueue::master::Input;
use falconqueue::protocol::{Demand, Get, Heartbeat, Hello, Order, Progress, Request, Workers};

fn as_worker(hand: &mut Hand, name: &str, instance: u64) -> SessionId {
    hand.greeted(Hello { instance, host: Some("box"), pid: Some(421), ..Hello::new(name, b"") })
}

fn workers(hand: &mut Hand, client: SessionId) -> Vec<KnownWorker> {
    match hand.ask(client, &Request::from(Workers { name: "" })) {
        Reply::WorkersOk(workers) => workers,
        other => panic!("a WorkersOk, not {other:?}"),
    }
}

fn names(hand: &mut Hand, client: SessionId) -> Vec<String> {
    workers(hand, client).into_iter().map(|worker| worker.name).collect()
}

fn beat(hand: &mut Hand, session: SessionId, quiet: bool) -> Reply {
    hand.ask(session, &Heartbeat { quiet: Some(quiet), ..Heartbeat::default() }.into())
}

#[test]
fn who_polls_or_names_an_instance_is_a_worker_and_nobody_else() {
    let mut hand = Hand::new();
    let producer = hand.connect();
    hand.put(producer, job("q"));
    assert_eq!(names(&mut hand, producer), [""; 0]);
    let polls = as_worker(&mut hand, "both", 7);
    let reports = as_worker(&mut hand, "both", 7);
    assert_eq!(names(&mut hand, producer), ["both"]);
    let plain = hand.connect();
    let got = hand.take(plain, "q");
    assert_eq!(names(&mut hand, producer), ["both", "hand"]);
    let known = workers(&mut hand, producer);
    assert_eq!((&*known[0].host, known[0].pid, known[0].instance, known[0].polls), ("box", 421, 7, 0));
    assert_eq!((known[1].begun, known[1].held, &known[1].queues[..]), (1, 0, &["q".to_owned()][..]));
    assert_eq!(known[1].jobs[0].0, got.job);

    hand.send(polls, &poll(&["other", "q"], 1, 10_000));
    hand.pass(500);
    let known = workers(&mut hand, producer);
    assert_eq!((known[0].polls, known[0].queues.join(" "), known[0].silent_ms), (1, "other q".to_owned(), 500));
    for (gone, left) in [(polls, &["both", "hand"][..]), (reports, &["hand"]), (plain, &[])] {
        let now = hand.now;
        hand.master.take(gone, Input::Gone, now).unwrap();
        assert_eq!(names(&mut hand, producer), left);
    }
}

#[test]
fn a_job_belongs_to_the_worker_that_named_it_last() {
    let mut hand = Hand::new();
    let [first, second] = [7, 8].map(|instance| as_worker(&mut hand, ["a", "b"][instance as usize - 7], instance));
    hand.put(first, job("q"));
    let got = hand.take(first, "q");
    let of = |hand: &mut Hand| workers(hand, first).iter().map(|worker| worker.jobs.len()).collect::<Vec<_>>();
    assert_eq!(of(&mut hand), [1, 0]);
    hand.heartbeat(second, got.job, got.lease);
    assert_eq!(of(&mut hand), [0, 1]);
    hand.heartbeat(first, got.job, got.lease);
    hand.heartbeat(second, got.job, got.lease);
    assert_eq!(of(&mut hand), [0, 1], "it is told once");
}

#[test]
fn an_order_is_said_once_to_each_worker_of_the_name() {
    let mut hand = Hand::new();
    let producer = hand.connect();
    let told = |name| Request::from(Order { name, what: Demand::Stop });
    let refusal = expect_error(hand.ask(producer, &told("a")), NOT_FOUND);
    assert!(refusal.contains("worker list"), "{refusal}");
    assert_eq!(hand.ask(producer, &told("")), Reply::OrderOk(0));
    let [first, second, other] = [("a", 7), ("a", 8), ("b", 9)].map(|(name, n)| as_worker(&mut hand, name, n));
    let again = as_worker(&mut hand, "a", 7);
    assert_eq!(hand.ask(producer, &told("a")), Reply::OrderOk(2));
    let nothing = Reply::HeartbeatOk(Vec::new());
    let stop = Reply::Ordered(Vec::new(), 3);
    for (session, expected) in
        [(again, &stop), (first, &nothing), (second, &stop), (second, &nothing), (other, &nothing)]
    {
        assert_eq!(&beat(&mut hand, session, false), expected);
    }
    beat(&mut hand, first, true);
    let quiet = |hand: &mut Hand| workers(hand, first).iter().map(|worker| worker.quiet).collect::<Vec<_>>();
    assert_eq!(quiet(&mut hand), [1, 0, 0]);
    beat(&mut hand, again, false);
    assert_eq!(quiet(&mut hand), [0, 0, 0]);
}

#[test]
fn how_far_a_job_is_goes_with_its_lease() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.put(client, job("q"));
    let got = hand.take(client, "q");
    let tell =
        |percent, text| Request::from(Progress { job: JobId(got.job), lease: LeaseId(got.lease), percent, text });
    let told = |hand: &mut Hand| match hand.ask(client, &Get { job: JobId(got.job) }.into()) {
        Reply::GetOk(known) => known.progress,
        other => panic!("a GetOk, not {other:?}"),
    };
    assert_eq!(told(&mut hand), None);
    assert_eq!(hand.ask(client, &tell(40, "parsed")), Reply::ProgressOk);
    assert_eq!(told(&mut hand), Some((40, hand.now.0, "parsed".to_owned())));
    assert_eq!(hand.ask(client, &tell(100, "")), Reply::ProgressOk);
    assert_eq!(told(&mut hand).map(|told| told.0), Some(100));
    expect_error(hand.ask(client, &tell(101, "")), crate::frames::BAD_VALUE);
    let long = "x".repeat(201);
    expect_error(hand.ask(client, &tell(1, &long)), crate::frames::BAD_VALUE);

    hand.release(client, got.job, got.lease, 0);
    assert_eq!(told(&mut hand), None);
    expect_error(hand.ask(client, &tell(50, "late")), LEASE_LOST);
    hand.take(client, "q");
    expect_error(hand.ask(client, &tell(50, "later")), LEASE_LOST);
    assert_eq!(told(&mut hand), None);
}
