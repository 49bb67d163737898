//! Submit and Poll by raw sockets: priorities and lines, delays, keys, long polls and their order,
//! several queues in one poll, and the figures of Stats.

use std::time::{Duration, Instant};

use crate::harness::wire::*;
use crate::harness::*;

#[test]
fn jobs_come_by_priority_and_then_in_their_order() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let priorities = [128, 200, 0, 128, 255, 64, 0, 1, 254, 128];
    let jobs: Vec<Job> = priorities.iter().map(|p| Job { priority: *p, ..job("q", format!("{p}")) }).collect();
    let ids = wire.put_all(&jobs);
    let mut expected: Vec<(u8, u64)> = priorities.into_iter().zip(ids).collect();
    expected.sort_unstable();

    let some = wire.poll(&["q"], 3, 0, 30_000);
    assert_eq!(some.len(), 3, "jobs_max is honoured");
    let rest = wire.poll(&["q"], 100, 0, 30_000);
    let all: Vec<Delivery> = some.into_iter().chain(rest).collect();
    let order: Vec<(u8, u64)> = all.iter().map(|d| (d.priority, d.job)).collect();
    assert_eq!(order, expected);
    assert!(all.iter().all(|d| d.payload == d.priority.to_string().as_bytes()));
    assert!(all.is_sorted_by(|a, b| a.lease < b.lease), "lease ids only grow");
}

#[test]
fn a_delivery_tells_all_of_its_job() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let payload: Vec<u8> = (0..=255).collect();
    let full = Job { priority: 7, max_attempts: 9, timeout_ms: 60_000, payload, ..keyed("k", "q") };
    let id = wire.put_all(std::slice::from_ref(&full))[0];
    let got = wire.poll(&["q"], 1, 0, 12_345).remove(0);
    let dump = master.dump();
    let dispatch = dump.last(id, "DISPATCH");
    let expected = Delivery {
        group: String::new(),
        job: id,
        lease: number(dispatch, "lsn"),
        queue: full.queue,
        key: full.key,
        priority: full.priority,
        attempt: 1,
        max_attempts: full.max_attempts,
        timeout_ms: full.timeout_ms,
        lease_ms: 12_345,
        waited_ms: 0,
        headers: Vec::new(),
        results_of: Vec::new(),
        payload: full.payload,
    };
    assert_eq!(got, expected);
    assert_eq!(number(dispatch, "lease"), got.lease);
    assert_eq!(text(dispatch, "worker"), "a test");
    wire.put("q", "");
    assert_eq!(wire.take("q").payload, b"", "a payload may be empty");
}

#[test]
fn a_delayed_job_is_not_delivered_before_its_time() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let begun = Instant::now();
    let delayed = Job { delay_ms: 800, ..job("q", "later") };
    let id = wire.put_all(&[delayed])[0];
    wire.put("q", "now");
    let totals = Counts { pending: 1, delayed: 1, ..Counts::default() };
    assert_eq!(wire.stats().totals, totals);
    assert_eq!(wire.take("q").payload, b"now");
    let later = wire.take("q");
    assert_eq!(later.job, id);
    // The clocks of both sides count whole milliseconds.
    assert!(begun.elapsed() >= Duration::from_millis(798), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_millis(800) + SOON / 4, "{:?}", begun.elapsed());
    let dump = master.dump();
    let due_at = moment(dump.last(id, "ENQUEUE"), "due_at");
    let at = moment(dump.last(id, "ENQUEUE"), "at");
    assert!((at + 800..at + 900).contains(&due_at), "submitted at {at}, due at {due_at}");
    assert!(moment(dump.last(id, "DISPATCH"), "at") >= due_at);
}

#[test]
fn one_key_makes_one_job() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let batch = [keyed("a", "q"), keyed("b", "q"), keyed("a", "elsewhere"), job("q", "no key"), job("q", "no key")];
    let answers = wire.submit(&batch);
    let a = [Submitted { job: answers[0].job, duplicate: 1 }];
    let duplicates: Vec<u8> = answers.iter().map(|s| s.duplicate).collect();
    assert_eq!(duplicates, [0, 0, 1, 0, 0], "a key counts inside its batch too, no key never");
    assert_eq!(answers[2].job, a[0].job);
    assert_eq!(wire.stats().totals.pending, 4);

    let again = [Job { payload: b"another payload".to_vec(), priority: 0, ..keyed("a", "q") }];
    assert_eq!(wire.submit(&again), a);
    assert_eq!(master.connect().submit(&again), a);
    let taken = wire.take("q");
    assert_eq!((taken.job, taken.key.as_str(), taken.priority), (a[0].job, "a", 128), "nothing was changed");
    assert_eq!(taken.payload, b"a");
    assert_eq!(wire.submit(&again), a, "in flight");
    assert_eq!(wire.fail(&taken, false, "once more"), 0);
    assert_eq!(wire.submit(&again), a, "delayed");
    let others = wire.poll(&["q"], 10, 0, 30_000);
    assert_eq!(others.len(), 3);
    let taken = wire.take("q");
    assert_eq!((taken.job, taken.attempt), (a[0].job, 2));
    assert_eq!(wire.ack(&taken), 0);
    assert_eq!(wire.submit(&again), a, "completed");
    wire.expect_none("q");
    assert_eq!(master.dump().count("ENQUEUE"), 4);
}

#[test]
fn a_key_is_forgotten_when_its_window_has_passed() {
    let master = Master::fresh(&["--key-window", "1s"]);
    let mut wire = master.connect();
    let key = [keyed("a", "q")];
    let first = wire.put_all(&key)[0];
    let job = wire.take("q");
    // The window begins when the job ends, so it may be in flight for longer than that.
    wire.idle(1_100);
    assert_eq!(wire.submit(&key)[0].job, first);
    assert_eq!(wire.ack(&job), 0);
    assert_eq!(wire.submit(&key)[0].duplicate, 1);
    let second = wait_for("a job of its own", SOON, || {
        let answer = wire.submit(&key).remove(0);
        (answer.duplicate == 0).then_some(answer.job)
    });
    assert!(second > first);
    assert_eq!(wire.take("q").job, second);
}

#[test]
fn a_poll_waits_while_submits_pass() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let waiting = wire.send(&poll(&["q"], 10, 60_000, 30_000));
    assert_eq!(wire.stats().waiting_polls, 1);
    for n in 0..20 {
        let passing = wire.send(&submit(&[job("elsewhere", format!("{n}"))]));
        let (correlation, reply) = wire.receive();
        assert_eq!((correlation, submitted(reply).len()), (passing, 1), "the poll still waits");
    }
    let wanted = wire.send(&submit(&[job("q", "at last")]));
    let id = submitted(wire.reply_to(wanted))[0].job;
    let jobs = delivered(wire.reply_to(waiting));
    assert_eq!(jobs.len(), 1, "it does not wait for more than one");
    assert_eq!((jobs[0].job, jobs[0].payload.as_slice()), (id, &b"at last"[..]));
    assert_eq!(wire.stats().waiting_polls, 0);
}

#[test]
fn a_poll_is_answered_when_another_connection_submits() {
    let master = Master::fresh(&[]);
    let (mut worker, mut producer) = (master.connect(), master.connect());
    let waiting = worker.send(&poll(&["a", "b"], 10, 60_000, 30_000));
    assert_eq!(worker.stats().waiting_polls, 1);
    let ids = producer.put_all(&[job("c", "x"), job("b", "1"), job("b", "2"), job("b", "3")]);
    let mut jobs = delivered(worker.reply_to(waiting));
    jobs.extend(worker.poll(&["a", "b"], 10, 0, 30_000));
    let taken: Vec<u64> = jobs.iter().map(|d| d.job).collect();
    assert_eq!(taken, ids[1..]);
}

#[test]
fn a_poll_without_a_job_is_answered_when_its_time_is_over() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put("elsewhere", "x");
    for wait_ms in [0, 400] {
        let begun = Instant::now();
        assert_eq!(wire.poll(&["q"], 1, wait_ms, 30_000), []);
        let wait = Duration::from_millis(wait_ms.into());
        assert!(begun.elapsed() + Duration::from_millis(2) >= wait, "{:?}", begun.elapsed());
        assert!(begun.elapsed() < wait + SOON / 4, "{:?}", begun.elapsed());
    }
    let job = wire.put("q", "after the wait");
    assert_eq!(wire.take("q").job, job, "a poll that is over takes nothing");
    assert_eq!(master.dump().counts(), [2, 1, 0]);
}

#[test]
fn waiting_polls_are_answered_in_the_order_of_their_arrival() {
    let master = Master::fresh(&[]);
    let mut workers: Vec<(Wire, u64)> = (1..=6)
        .map(|n| {
            let mut wire = master.connect();
            let waiting = wire.send(&poll(&["q"], 1, 60_000, 30_000));
            assert_eq!(wire.stats().waiting_polls, n);
            (wire, waiting)
        })
        .collect();
    let mut producer = master.connect();
    let one_by_one: Vec<u64> = (0..3).map(|n| producer.put("q", format!("{n}"))).collect();
    let together = producer.put_all(&[job("q", "3"), job("q", "4"), job("q", "5")]);
    for (worker, id) in workers.iter_mut().zip(one_by_one.into_iter().chain(together)) {
        let jobs = delivered(worker.0.reply_to(worker.1));
        assert_eq!(jobs.iter().map(|d| d.job).collect::<Vec<_>>(), [id]);
    }
}

#[test]
fn one_poll_takes_from_the_first_queue_that_has_jobs_and_then_from_the_next() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let jobs = [job("b", "b1"), job("c", "c1"), job("b", "b2"), job("a", "a1"), job("a", "a2")];
    wire.put_all(&jobs);
    let payloads = |jobs: Vec<Delivery>| -> Vec<String> {
        jobs.into_iter().map(|d| String::from_utf8(d.payload).unwrap()).collect()
    };
    assert_eq!(payloads(wire.poll(&["empty", "a", "b"], 3, 0, 30_000)), ["a1", "a2", "b1"]);
    assert_eq!(payloads(wire.poll(&["a", "c", "b"], 10, 0, 30_000)), ["c1", "b2"]);
}

#[test]
fn stats_count_what_is_there() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let begun = wire.stats();
    assert_eq!((begun.connections, begun.waiting_polls), (1, 0));
    assert_eq!((begun.totals, begun.queues.len()), (Counts::default(), 0));
    assert!(begun.segments >= 1 && begun.log_bytes > 0);

    wire.put_all(&[job("b", "1"), job("b", "2"), job("b", "3"), job("b", "4"), job("a", "1")]);
    wire.put_all(&[Job { delay_ms: 3_600_000, ..job("b", "5") }]);
    let jobs = wire.poll(&["b"], 3, 0, 30_000);
    assert_eq!(wire.ack(&jobs[0]), 0);
    assert_eq!(wire.fail(&jobs[1], true, "no"), 0);
    let mut waiting = master.connect();
    waiting.send(&poll(&["c"], 1, 60_000, 30_000));
    assert_eq!(waiting.stats().waiting_polls, 1);

    let stats = wire.stats();
    assert_eq!((stats.connections, stats.waiting_polls), (2, 1));
    let a = Counts { pending: 1, ..Counts::default() };
    let b = Counts { pending: 1, delayed: 1, in_flight: 1, completed: 1, dead: 1, ..Counts::default() };
    assert_eq!(stats.totals, Counts { pending: 2, ..b });
    let queues: Vec<_> = stats.queues.iter().filter(|(name, _)| name != "c").cloned().collect();
    assert_eq!(queues, [("a".to_string(), a), ("b".to_string(), b)]);
    assert!(stats.syncs > begun.syncs, "--sync always");
    assert!(stats.records >= begun.records + 11, "6 jobs, 3 deliveries, 2 reports");
    assert!(stats.durable_lsn >= 11, "all of them were answered, so all are durable");
    assert!(stats.uptime_ms >= begun.uptime_ms);
}

#[test]
fn memory_goes_back_to_the_system_when_a_backlog_is_drained() {
    // Enough that the few MiB which the allocator keeps for each thread are a small part.
    const JOBS: usize = 500_000;
    let master = Master::fresh(&["--sync", "never"]);
    let mut wire = master.connect();
    wire.put("warm", "");
    let empty = master.anonymous_bytes();
    let jobs: Vec<Job> = vec![job("q", "x"); 1000];
    for _ in 0..JOBS / jobs.len() {
        wire.put_all(&jobs);
    }
    let full = master.anonymous_bytes() - empty;
    assert!(full / JOBS as u64 <= 100, "{full} bytes for {JOBS} waiting jobs");
    for _ in 0..JOBS / jobs.len() {
        let got = wire.poll(&["q"], 1000, 0, 30_000);
        let items: Vec<(u64, u64, &[u8])> = got.iter().map(|got| (got.job, got.lease, &[][..])).collect();
        assert_eq!(items.len(), jobs.len());
        wire.ask(&ack(&items));
    }
    master.wait_completed(JOBS as u64);
    // A snapshot of what there was may still be on its way to the disk.
    let given_back = || master.anonymous_bytes().saturating_sub(empty) <= full / 4;
    wait_until("memory that goes back to the system", SOON, given_back);
}
