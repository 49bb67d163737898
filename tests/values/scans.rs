//! Lists, counts and changes by filter: in slices between turns, a page at a time; and why a job does not run.

use falconqueue::ids::{JobId, LeaseId, SessionId};
use falconqueue::master::{Config, Input};
use falconqueue::protocol::{Fail, FailItem, List, Pause, Request, SetQueue, SubmitJob};
use falconqueue::rules::{QueueSettings, Way};
use falconqueue::wal::MemoryDevice;

use crate::frames::*;
use crate::hand::{Hand, START, attempts, config, job, poll};

const DEAD: u8 = 1 << 3;

/// Asks, and lets time pass until it is answered.
pub fn scan(hand: &mut Hand, client: SessionId, request: &crate::frames::Request) -> Reply {
    hand.send_frame(client, request);
    for _ in 0..10_000 {
        hand.pass(20);
        hand.sync();
        if let Some(reply) = hand.heard(client).pop() {
            return reply;
        }
    }
    panic!("it is never over");
}

pub fn list(hand: &mut Hand, client: SessionId, filter: &Filter, from: u64, limit: u16) -> JobsPage {
    match scan(hand, client, &list_jobs(filter, from, true, limit)) {
        Reply::ListJobsOk(page) => page,
        other => panic!("{other:?}"),
    }
}

pub fn ids(page: &JobsPage) -> Vec<u64> {
    page.rows.iter().map(|row| row.job).collect()
}

/// Submits a job to this queue and lets it die of this error.
pub fn dies(hand: &mut Hand, client: SessionId, queue: &'static str, error: &str) -> u64 {
    let id = hand.put(client, SubmitJob { settings: attempts(1), ..job(queue) });
    fails(hand, client, queue, error);
    id
}

fn fails(hand: &mut Hand, client: SessionId, queue: &str, error: &str) {
    let got = hand.take(client, queue);
    let (job, lease) = (JobId(got.job), LeaseId(got.lease));
    let items = [FailItem { job, lease, error, ..FailItem::default() }];
    let reply = hand.ask(client, &Request::Fail(Fail { items: List::lent(&items) }));
    assert_eq!(status(reply, FAIL_OK, got.job), 0);
}

fn mend_one(hand: &mut Hand, client: SessionId, change: u8, job: u64) {
    assert_eq!(status(hand.ask_frame(client, &mend(change, &[job])), MEND_OK, job), 0);
}

#[test]
fn pages_hold_every_job_once_while_others_come_and_go() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let all: Vec<u64> = (0..250).map(|_| hand.put(client, job("q"))).collect();
    let first = list(&mut hand, client, &Filter::default(), 0, 100);
    assert_eq!(ids(&first), all[150..].iter().rev().copied().collect::<Vec<_>>());
    // One that is yet to come in the list goes, and so does the place where it goes on; one comes.
    for gone in [all[149], all[10]] {
        mend_one(&mut hand, client, 4, gone);
    }
    hand.put(client, job("q"));
    let second = list(&mut hand, client, &Filter::default(), first.next, 100);
    let third = list(&mut hand, client, &Filter::default(), second.next, 100);
    let rest: Vec<u64> = all[..149].iter().rev().copied().filter(|id| *id != all[10]).collect();
    assert_eq!([ids(&second), ids(&third)].concat(), rest);
    assert_eq!((third.next, third.looked), (0, 48));
}

#[test]
fn dead_jobs_are_found_and_counted_by_their_errors() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let died = |hand: &mut Hand, queue, error: String| {
        hand.pass(10);
        dies(hand, client, queue, &error)
    };
    let orders: Vec<u64> = (0..20).map(|n| died(&mut hand, "mail", format!("order {n} is not there"))).collect();
    hand.pass(60_000);
    let apart_at = hand.now.0;
    let late: Vec<u64> = (1..=9).map(|n| died(&mut hand, "bulk", format!("no answer in {n}s"))).collect();
    hand.put(client, job("mail"));
    let Reply::CountJobsOk(page) = scan(&mut hand, client, &count_jobs(&Filter::default(), 0, true)) else {
        panic!("a count");
    };
    assert_eq!((page.count, page.next), (29, 0), "jobs without an error are none");
    let counts: Vec<(u64, u64, &str)> =
        page.errors.iter().map(|told| (told.count, told.job, told.error.as_str())).collect();
    assert_eq!(counts, [(20, orders[0], "order 0 is not there"), (9, late[0], "no answer in 1s")]);
    let [of_mail, of_bulk] = [0, 1].map(|place| page.errors[place].ended);
    assert!(0 < of_mail[0] && of_mail[0] < of_mail[1] && of_mail[1] < apart_at, "{of_mail:?}, {apart_at}");
    assert!(apart_at <= of_bulk[0] && of_bulk[0] < of_bulk[1] && of_bulk[1] <= hand.now.0, "{of_bulk:?}, {apart_at}");
    let of_kind = Filter { error_kind: Some(page.errors[1].kind), ..Filter::default() };
    let mut expected = late.clone();
    expected.reverse();
    assert_eq!(ids(&list(&mut hand, client, &of_kind, 0, 100)), expected);
    let of_text = Filter { error: Some("order 1".into()), queue: Some("mail".into()), ..Filter::default() };
    let found = list(&mut hand, client, &of_text, 0, 100);
    assert_eq!((found.rows.len(), found.rows[0].error.as_str()), (11, "order 19 is not there"));
    let nowhere = Filter { queue: Some("bulk".into()), ..of_text };
    assert_eq!(ids(&list(&mut hand, client, &nowhere, 0, 100)), [0; 0]);
    let Reply::CountJobsOk(all) = scan(&mut hand, client, &count_jobs(&Filter::default(), 0, false)) else {
        panic!("a count");
    };
    assert_eq!((all.count, all.errors.len()), (30, 0));
}

/// Begins a change by filter; gives the moment that its pages have to name.
pub fn first_page(hand: &mut Hand, client: SessionId, change: u8, filter: &Filter) -> u64 {
    match hand.ask_frame(client, &mend_all(change, filter, 0, 0)) {
        Reply::MendAllOk(0, 0, 1, since) => since,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_page_that_is_not_over_when_the_master_stops_says_what_was_done() {
    let mut hand = Hand::new();
    let client = hand.connect();
    (0..10).for_each(|_| drop(hand.submit(client, &vec![job("q"); 100])));
    let since = first_page(&mut hand, client, 4, &Filter::default());
    hand.send_frame(client, &mend_all(4, &Filter::default(), 1, since));
    hand.pass(20);
    hand.master.begin_stop();
    hand.sync();
    let heard = hand.heard(client);
    let [Reply::MendAllOk(done, 0, next, _)] = heard[..] else { panic!("{heard:?}") };
    assert!(done > 0 && next == done + 1, "{done} were purged, on with job {next}");
    assert_eq!(hand.master.queues().totals().purged, done);
}

#[test]
fn a_page_that_is_asked_for_again_changes_no_job_twice() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let dead: Vec<u64> = (0..300).map(|_| dies(&mut hand, client, "q", "it broke")).collect();
    let filter = Filter { standings: Some(DEAD), ..Filter::default() };
    let since = first_page(&mut hand, client, 3, &filter);
    assert_eq!(hand.master.queues().totals().dead, 300, "the first page changes nothing");
    let changed = scan(&mut hand, client, &mend_all(3, &filter, 1, since));
    assert!(matches!(changed, Reply::MendAllOk(300, 0, 0, same) if same == since), "{changed:?}");
    // They die again; whoever lost the answer asks for the same page.
    for _ in &dead {
        fails(&mut hand, client, "q", "it broke");
    }
    let dead_again = hand.master.queues().totals().dead;
    assert_eq!(dead_again, 300);
    let again = scan(&mut hand, client, &mend_all(3, &filter, 1, since));
    assert!(matches!(again, Reply::MendAllOk(0, 0, 0, _)), "{again:?}");
    let since = first_page(&mut hand, client, 3, &filter);
    let anew = scan(&mut hand, client, &mend_all(3, &filter, 1, since));
    assert!(matches!(anew, Reply::MendAllOk(300, 0, 0, _)), "{anew:?}");
}

#[test]
fn a_page_changes_no_more_than_ten_thousand_jobs_and_polls_are_served_meanwhile() {
    let mut hand = Hand::new();
    let (client, worker) = (hand.connect(), hand.connect());
    let batch = vec![job("q"); 100];
    (0..103).for_each(|_| drop(hand.submit(client, &batch)));
    let urgent = hand.put(client, job("other"));
    let filter = Filter { queue: Some("q".into()), ..Filter::default() };
    let since = first_page(&mut hand, client, 4, &filter);
    hand.send_frame(client, &mend_all(4, &filter, 1, since));
    hand.pass(20);
    assert_eq!(hand.take(worker, "other").job, urgent);
    assert!(hand.master.queues().totals().pending > 9000, "it is under way");
    let mut pages = Vec::new();
    let mut from = (0, 0);
    for _ in 0..3000 {
        hand.pass(20);
        hand.sync();
        if let Some(Reply::MendAllOk(done, refused, next, since)) = hand.heard(client).pop() {
            pages.push((done, refused));
            from = (next, since);
            if next == 0 {
                break;
            }
            hand.send_frame(client, &mend_all(4, &filter, from.0, from.1));
        }
    }
    assert_eq!((pages, from.0), (vec![(10_000, 0), (300, 0)], 0));
    let totals = hand.master.queues().totals();
    assert_eq!((totals.purged, totals.pending, totals.in_flight), (10_300, 0, 1));
}

#[test]
fn what_a_page_makes_pending_is_handed_to_a_poll_that_waits_in_the_same_turn() {
    let mut hand = Hand::new();
    let (client, worker) = (hand.connect(), hand.connect());
    let dead = dies(&mut hand, client, "q", "it broke");
    hand.send(worker, &poll(&["q"], 1, 60_000));
    let filter = Filter { standings: Some(DEAD), ..Filter::default() };
    let since = first_page(&mut hand, client, REQUEUE, &filter);
    assert_eq!(hand.heard(worker), []);
    hand.send_frame(client, &mend_all(REQUEUE, &filter, 1, since));
    hand.pass(20);
    hand.sync();
    let heard = hand.heard(worker);
    assert!(matches!(&heard[..], [Reply::PollOk(got)] if got[0].job == dead), "{heard:?}");
}

/// Jobs 1 to 3,000 are dead, each third for want of a route.
fn three_thousand_dead() -> (Hand, SessionId) {
    let large_segments = Config { segment_bytes: 8 << 20, ..config() };
    let mut hand = Hand::open(large_segments, MemoryDevice::default(), START);
    let client = hand.connect();
    for _ in 0..3 {
        hand.submit(client, &vec![SubmitJob { settings: attempts(1), ..job("q") }; 1000]);
        let got = hand.poll(client, &["q"], 1000);
        let fail = |got: &Delivery| FailItem {
            job: JobId(got.job),
            lease: LeaseId(got.lease),
            error: match got.job {
                1 => "the first one",
                job if job.is_multiple_of(3) => "no route",
                _ => "it broke",
            },
            ..FailItem::default()
        };
        let items: Vec<FailItem<'_>> = got.iter().map(fail).collect();
        hand.ask(client, &Request::Fail(Fail { items: List::lent(&items) }));
    }
    (hand, client)
}

#[test]
fn a_search_for_few_reads_many_errors_at_once() {
    let (mut hand, client) = three_thousand_dead();
    let rare = Filter { error: Some("the first one".into()), ..Filter::default() };
    hand.send_frame(client, &list_jobs(&rare, 0, true, 1));
    let mut rounds = 0;
    let heard = loop {
        rounds += 1;
        hand.pass(20);
        hand.sync();
        let heard = hand.heard(client);
        if !heard.is_empty() || rounds == 20 {
            break heard;
        }
    };
    let [Reply::ListJobsOk(page)] = &heard[..] else { panic!("nothing after {rounds} rounds: {heard:?}") };
    assert_eq!((ids(page), page.next), (vec![1], 0));
}

#[test]
fn pages_of_a_search_hold_every_job_once() {
    let (mut hand, client) = three_thousand_dead();
    let of_route = Filter { error: Some("no route".into()), ..Filter::default() };
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        let page = list(&mut hand, client, &of_route, from, 150);
        assert!(page.rows.len() <= 150, "{}", page.rows.len());
        found.extend(ids(&page));
        from = page.next;
        if from == 0 {
            break;
        }
    }
    assert_eq!(found, (1..=3000).rev().filter(|job| job % 3 == 0).collect::<Vec<u64>>());
}

#[test]
fn a_count_by_errors_looks_at_each_job_once() {
    let (mut hand, client) = three_thousand_dead();
    let of_route = Filter { error: Some("no route".into()), ..Filter::default() };
    for (filter, by_error, count) in [(Filter::default(), true, 3000), (of_route, false, 1000)] {
        let Reply::CountJobsOk(page) = scan(&mut hand, client, &count_jobs(&filter, 0, by_error)) else {
            panic!("a count");
        };
        assert_eq!((page.count, page.looked, page.next), (count, 3000, 0));
    }
}

#[test]
fn whoever_leaves_takes_what_is_under_way_with_it() {
    let mut hand = Hand::new();
    let (client, other) = (hand.connect(), hand.connect());
    (0..10).for_each(|_| drop(hand.submit(client, &vec![job("q"); 100])));
    let since = first_page(&mut hand, client, 4, &Filter::default());
    hand.send_frame(client, &mend_all(4, &Filter::default(), 1, since));
    hand.pass(20);
    hand.master.take(client, Input::Gone, hand.now).unwrap();
    let left = hand.master.queues().totals().pending;
    assert!(left > 0 && left < 1000, "{left}");
    (0..50).for_each(|_| hand.pass(20));
    assert_eq!((hand.master.queues().totals().pending, hand.heard(other).len()), (left, 0));
}

/// The words for why a job, or a queue, does nothing: numbers of causes.
fn causes(hand: &mut Hand, client: SessionId, request: &crate::frames::Request) -> Vec<u8> {
    match hand.ask_frame(client, request) {
        Reply::ExplainOk(reasons) => reasons.into_iter().map(|(cause, _)| cause).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_is_said_why_a_job_does_not_run() {
    let mut hand = Hand::new();
    let (client, worker) = (hand.connect(), hand.connect_saying_begun());
    let [first, second] = [(); 2].map(|()| hand.put(client, job("q")));
    let delayed = hand.put(client, SubmitJob { delay_ms: 5000, ttl_ms: Some(9000), ..job("q") });
    let of = |hand: &mut Hand, job| causes(hand, client, &explain(job));
    assert_eq!(of(&mut hand, first), [7], "no worker");
    assert_eq!(of(&mut hand, second), [7, 4], "and one job before it");
    assert_eq!(of(&mut hand, delayed), [2, 18], "delayed, and expires");
    let pause = Pause { queue: "q", way: Way::Out, for_ms: 0, reason: None };
    hand.ask(client, &Request::Pause(pause));
    assert_eq!(of(&mut hand, first), [5, 7], "paused");
    hand.pass(1);
    hand.ask(client, &Request::Resume(falconqueue::protocol::Resume { queue: "q", way: Way::Both }));
    let got = hand.take(worker, "q");
    assert_eq!(of(&mut hand, first), [11], "held");
    assert_eq!(of(&mut hand, second), [9], "its worker has no free slot");
    hand.heartbeat_at(worker, got.job, got.lease, falconqueue::protocol::Stage::Begun);
    assert_eq!(of(&mut hand, first), [12], "it runs");
    hand.pass(4000);
    assert_eq!(of(&mut hand, first), [12, 13], "its worker is silent");
    mend_one(&mut hand, client, 1, first);
    assert_eq!(of(&mut hand, first), [15, 12, 13], "cancelled");
    mend_one(&mut hand, client, 2, first);
    assert!(is_error(&hand.ask_frame(client, &explain(first)), NOT_FOUND));
    let dead = dies(&mut hand, client, "other", "it broke");
    assert_eq!(of(&mut hand, dead), [16]);
    let retried = hand.put(client, job("third"));
    fails(&mut hand, client, "third", "it broke");
    assert_eq!(of(&mut hand, retried), [3]);
    let kept = hand.put(client, SubmitJob { keep_ms: Some(60_000), ..job("third") });
    mend_one(&mut hand, client, 1, kept);
    assert_eq!(of(&mut hand, kept), [17]);
}

#[test]
fn it_is_said_what_holds_in_a_queue() {
    let mut hand = Hand::new();
    let client = hand.connect();
    assert!(is_error(&hand.ask_frame(client, &explain_queue("q")), NOT_FOUND));
    let settings = QueueSettings { depth_max: Some(1), ..QueueSettings::default() };
    hand.ask(client, &Request::SetQueue(SetQueue { queue: "q", settings }));
    hand.put(client, job("q"));
    hand.ask(client, &Request::Pause(Pause { queue: "q", way: Way::Both, for_ms: 1000, reason: Some("why") }));
    assert_eq!(causes(&mut hand, client, &explain_queue("q")), [5, 7, 6, 19, 4]);
    hand.pass(1000);
    assert_eq!(causes(&mut hand, client, &explain_queue("q")), [7, 19, 4], "pauses end by themselves");
}
