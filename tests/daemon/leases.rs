//! Leases and attempts by raw sockets: only the live lease can report, a job goes to retry, to dead
//! or back to its line as its worker says, and a worker that went away does not keep its jobs.

use std::time::{Duration, Instant};

use crate::harness::wire::*;
use crate::harness::*;
use serde_json::Value;

/// The record's retry time lies behind a backoff of this many milliseconds, of which the second
/// half was drawn.
#[track_caller]
fn expect_backoff(record: &Value, full_ms: u64) -> u64 {
    let backoff_ms = moment(record, "retry_at") - moment(record, "at");
    assert!((full_ms / 2..=full_ms).contains(&backoff_ms), "{backoff_ms} ms of {full_ms}: {record}");
    backoff_ms
}

#[test]
fn a_report_with_another_lease_changes_nothing() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put("q", "x");
    let good = wire.take("q");
    let before = wire.stats();
    for lease in [0, good.lease - 1, good.lease + 1, u64::MAX] {
        let other = Delivery { lease, ..good.clone() };
        assert_eq!(wire.ack(&other), LEASE_LOST);
        assert_eq!(wire.fail(&other, true, "no"), LEASE_LOST);
        assert_eq!(wire.release(&other, 0), LEASE_LOST);
        assert_eq!(wire.heartbeat(&other).0, 1);
    }
    for job in [0, good.job + 1, u64::MAX] {
        let unknown = Delivery { job, ..good.clone() };
        assert_eq!(wire.ack(&unknown), LEASE_LOST);
    }
    assert_eq!(wire.stats().totals, before.totals);
    assert_eq!(wire.ack(&good), 0);
    assert_eq!(wire.ack(&good), LEASE_LOST, "the second ack");
    assert_eq!(wire.fail(&good, false, "too late"), LEASE_LOST);
    assert_eq!(wire.heartbeat(&good).0, 1);
    assert_eq!(master.dump().story(good.job), ["ENQUEUE", "DISPATCH", "ACK"]);
}

#[test]
fn a_batch_does_what_it_can() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put_all(&vec![job("q", "x"); 4]);
    let jobs = wire.poll(&["q"], 4, 0, 30_000);
    let [a, b, c, d] = &jobs[..] else { panic!("four jobs") };
    let items: [(u64, u64, &[u8]); 4] = [
        (d.job, d.lease, b"the fourth"),
        (b.job, a.lease, b"a lease of another job"),
        (a.job, a.lease, b"the first"),
        (a.job, a.lease, b"the first again"),
    ];
    let expected = vec![(d.job, 0), (b.job, LEASE_LOST), (a.job, 0), (a.job, LEASE_LOST)];
    assert_eq!(wire.ask(&ack(&items)), Reply::Done(ACK_OK, expected));
    let totals = Counts { in_flight: 2, completed: 2, ..Counts::default() };
    assert_eq!(wire.stats().totals, totals);
    assert_eq!(wire.ack(b), 0);
    assert_eq!(wire.ack(c), 0);
    let dump = master.dump();
    assert_eq!(text(dump.last(a.job, "ACK"), "result"), "the first");
    assert_eq!(text(dump.last(d.job, "ACK"), "result"), "the fourth");
    assert_eq!(number(dump.last(d.job, "ACK"), "result_bytes"), 10);
    assert_eq!(number(dump.last(d.job, "ACK"), "lease"), d.lease);
}

#[test]
fn a_lease_that_ran_out_is_lost_and_the_job_comes_again() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put("q", "x");
    let first = wire.poll(&["q"], 1, 0, 300).remove(0);
    wait_until("the lease to run out", SOON, || wire.stats().totals.in_flight == 0);
    let totals = Counts { delayed: 1, ..Counts::default() };
    assert_eq!(wire.stats().totals, totals);
    assert_eq!(wire.ack(&first), LEASE_LOST);
    assert_eq!(wire.heartbeat(&first).0, 1);
    assert_eq!(wire.stats().totals, totals);
    let second = wire.take("q");
    assert_eq!((second.job, second.attempt), (first.job, 2));
    assert!(second.lease > first.lease);
    assert_eq!(wire.ack(&first), LEASE_LOST);
    assert_eq!(wire.ack(&second), 0);

    let dump = master.dump();
    let records = dump.of_job(first.job);
    let story = ["ENQUEUE", "DISPATCH", "TIMEOUT", "DISPATCH", "ACK"];
    assert_eq!(dump.story(first.job), story);
    assert!(moment(records[2], "at") >= moment(records[1], "at") + 300);
    assert_eq!(number(records[2], "lease"), first.lease);
    expect_backoff(records[2], 1_000);
    assert!(moment(records[3], "at") >= moment(records[2], "retry_at"));
}

#[test]
fn a_failed_job_comes_again_after_a_backoff_that_grows_and_is_drawn() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put_all(&vec![job("q", "x"); 20]);
    let jobs = wire.poll(&["q"], 20, 0, 30_000);
    let items: Vec<(u64, u64, bool, &str)> = jobs.iter().map(|d| (d.job, d.lease, false, "not today")).collect();
    let done = jobs.iter().map(|d| (d.job, 0)).collect();
    assert_eq!(wire.ask(&fail(&items)), Reply::Done(FAIL_OK, done));
    let totals = Counts { delayed: 20, ..Counts::default() };
    assert_eq!(wire.stats().totals, totals);
    let again = wire.take("q");
    assert_eq!((again.attempt, again.max_attempts), (2, 5));
    assert_eq!(wire.fail(&again, false, "nor tomorrow"), 0);
    let third = wait_for("the third attempt", SOON, || {
        wire.poll(&["q"], 100, 1_000, 30_000).into_iter().find(|d| d.job == again.job)
    });
    assert_eq!(third.attempt, 3);

    let dump = master.dump();
    let first_retries: Vec<&Value> = dump.of("RETRY").into_iter().take(20).collect();
    let mut backoffs: Vec<u64> = first_retries.iter().map(|r| expect_backoff(r, 1_000)).collect();
    assert!(first_retries.iter().all(|r| r["error"] == "not today"));
    backoffs.sort_unstable();
    backoffs.dedup();
    assert!(backoffs.len() > 5, "twenty draws gave {backoffs:?}");
    expect_backoff(dump.last(again.job, "RETRY"), 2_000);
    let story = dump.of_job(again.job);
    assert!(moment(story[3], "at") >= moment(story[2], "retry_at"));
    assert!(moment(story[5], "at") >= moment(story[4], "retry_at"));
}

#[test]
fn a_job_dies_for_good_or_when_its_attempts_are_used_up() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put("hopeless", "x");
    wire.put_all(&[Job { max_attempts: 2, ..job("twice", "x") }]);
    wire.put_all(&[Job { max_attempts: 1, ..job("silent", "x") }]);

    let hopeless = wire.take("hopeless");
    assert_eq!(wire.fail(&hopeless, true, "ungültig"), 0);
    let silent = wire.poll(&["silent"], 1, 0, 200).remove(0);
    let twice = wire.take("twice");
    assert_eq!((twice.attempt, twice.max_attempts), (1, 2));
    assert_eq!(wire.fail(&twice, false, "the first error"), 0);
    let twice = wire.take("twice");
    assert_eq!(twice.attempt, 2);
    assert_eq!(wire.fail(&twice, false, "the last error"), 0);
    wait_until("the third dead job", SOON, || wire.stats().totals.dead == 3);
    assert_eq!(wire.ack(&silent), LEASE_LOST);
    assert_eq!(wire.poll(&["hopeless", "twice", "silent"], 3, 1_500, 30_000), []);

    let dump = master.dump();
    let dead = |job: u64| (text(dump.last(job, "DEAD"), "reason"), &dump.last(job, "DEAD")["error"]);
    assert_eq!(dead(hopeless.job), ("for_good", &Value::from("ungültig")));
    assert_eq!(dead(twice.job), ("attempts", &Value::from("the last error")));
    assert_eq!(dead(silent.job).0, "lease");
    assert_eq!(dump.story(hopeless.job), ["ENQUEUE", "DISPATCH", "DEAD"]);
    assert_eq!(dump.story(twice.job), ["ENQUEUE", "DISPATCH", "RETRY", "DISPATCH", "DEAD"]);
    assert_eq!(dump.story(silent.job), ["ENQUEUE", "DISPATCH", "DEAD"]);
}

#[test]
fn a_released_job_goes_back_unharmed() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let once = Job { max_attempts: 1, ..job("q", "the first") };
    wire.put_all(&[once, job("q", "the second")]);
    for _ in 0..3 {
        let front = wire.take("q");
        assert_eq!((front.payload.as_slice(), front.attempt), (&b"the first"[..], 1));
        assert_eq!(wire.release(&front, 0), 0, "back to the front of its line");
        assert_eq!(wire.ack(&front), LEASE_LOST);
    }
    let first = wire.take("q");
    let begun = Instant::now();
    assert_eq!(wire.release(&first, 600), 0);
    let totals = Counts { pending: 1, delayed: 1, ..Counts::default() };
    assert_eq!(wire.stats().totals, totals);
    assert_eq!(wire.take("q").payload, b"the second");
    let again = wire.take("q");
    assert!(begun.elapsed() >= Duration::from_millis(598), "{:?}", begun.elapsed());
    assert_eq!((again.job, again.attempt), (first.job, 1));
    assert!(again.lease > first.lease);
    assert_eq!(wire.ack(&again), 0);
    let dump = master.dump();
    assert_eq!(dump.count("RELEASE"), 4);
    let last = dump.last(first.job, "RELEASE");
    assert!(moment(dump.last(first.job, "DISPATCH"), "at") >= moment(last, "due_at"));
    assert!(dump.of("RELEASE")[0]["due_at"].is_null());
}

#[test]
fn a_released_job_goes_to_a_waiting_poll() {
    let master = Master::fresh(&[]);
    let (mut wire, mut other) = (master.connect(), master.connect());
    let id = wire.put("q", "x");
    let mine = wire.take("q");
    let waiting = other.send(&poll(&["q"], 1, 60_000, 30_000));
    assert_eq!(other.stats().waiting_polls, 1);
    assert_eq!(wire.release(&mine, 0), 0);
    assert_eq!(delivered(other.reply_to(waiting))[0].job, id);
}

#[test]
fn heartbeats_keep_a_lease() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put_all(&[job("q", "kept"), job("q", "let go")]);
    let jobs = wire.poll(&["q"], 2, 0, 700);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_100) {
        let (want, remaining_ms) = wire.heartbeat(&jobs[0]);
        assert_eq!(want, 0);
        assert!((1..=700).contains(&remaining_ms), "{remaining_ms} ms remain");
        wire.idle(100);
    }
    let both = heartbeat(&[(jobs[1].job, jobs[1].lease), (jobs[0].job, jobs[0].lease)]);
    match wire.ask(&both) {
        Reply::HeartbeatOk(items) => {
            let wants: Vec<(u64, u8)> = items.iter().map(|item| (item.0, item.1)).collect();
            assert_eq!(wants, [(jobs[1].job, 1), (jobs[0].job, 0)]);
        }
        other => panic!("a HeartbeatOk, not {other:?}"),
    }
    assert_eq!(wire.ack(&jobs[0]), 0);
    assert_eq!(wire.ack(&jobs[1]), LEASE_LOST);
    let dump = master.dump();
    assert_eq!(dump.story(jobs[0].job), ["ENQUEUE", "DISPATCH", "ACK"]);
    assert_eq!(dump.story(jobs[1].job)[..3], ["ENQUEUE", "DISPATCH", "TIMEOUT"]);
}

#[test]
fn a_heartbeat_does_not_extend_past_the_time_of_the_job() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put_all(&[Job { timeout_ms: 1_000, ..job("q", "x") }]);
    wire.put("unbounded", "x");
    let bounded = wire.poll(&["q"], 1, 0, 60_000).remove(0);
    let unbounded = wire.poll(&["unbounded"], 1, 0, 60_000).remove(0);
    let (want, remaining_ms) = wire.heartbeat(&bounded);
    assert_eq!(want, 0);
    assert!((1..=6_000).contains(&remaining_ms), "1 s and the grace of 5 s, not {remaining_ms} ms");
    let (want, remaining_ms) = wire.heartbeat(&unbounded);
    assert_eq!(want, 0);
    assert!((50_000..=60_000).contains(&remaining_ms), "a full lease, not {remaining_ms} ms");
}

#[test]
fn the_jobs_of_a_broken_connection_come_again_after_the_grace() {
    let master = Master::fresh(&[]);
    let mut other = master.connect();
    let id = other.put("q", "x");
    let mut lost = master.connect();
    let first = lost.take("q");
    assert_eq!(first.job, id);
    let waiting = other.send(&poll(&["q"], 1, 60_000, 30_000));
    let broken_at = Instant::now();
    drop(lost);
    let again = delivered(other.reply_to(waiting)).remove(0);
    let passed = broken_at.elapsed();
    assert_eq!((again.job, again.attempt), (id, 2));
    let (least, most) = (Duration::from_millis(1_900), Duration::from_secs(5));
    assert!(passed >= least && passed < most, "delivered again after {passed:?}");
    assert_eq!(other.ack(&first), LEASE_LOST);
    assert_eq!(other.ack(&again), 0);
    assert_eq!(master.dump().story(id), ["ENQUEUE", "DISPATCH", "TIMEOUT", "DISPATCH", "ACK"]);
}

#[test]
fn a_job_of_a_broken_connection_is_kept_by_a_heartbeat_from_another() {
    let master = Master::fresh(&["--grace", "700ms"]);
    let mut other = master.connect();
    let ids = other.put_all(&vec![job("q", "x"); 3]);
    let mut lost = master.connect();
    let jobs = lost.poll(&["q"], 3, 0, 60_000);
    // The first is named before the break, the second behind it, the third by nobody.
    assert_eq!(other.heartbeat(&jobs[0]).0, 0);
    drop(lost);
    wait_until("the break", SOON, || other.stats().connections == 1);
    assert_eq!(other.heartbeat(&jobs[1]).0, 0);
    let again = other.take("q");
    assert_eq!((again.job, again.attempt), (ids[2], 2));
    assert_eq!(other.ack(&jobs[0]), 0);
    assert_eq!(other.ack(&jobs[1]), 0);
    assert_eq!(other.ack(&again), 0);
    let dump = master.dump();
    assert_eq!(dump.story(ids[0]), ["ENQUEUE", "DISPATCH", "ACK"]);
    assert_eq!(dump.story(ids[1]), ["ENQUEUE", "DISPATCH", "ACK"]);
    master.stop();
}

#[test]
fn the_lease_of_a_broken_connection_can_still_be_acked_from_another() {
    let master = Master::fresh(&[]);
    let mut other = master.connect();
    other.put("q", "x");
    let mut lost = master.connect();
    let job = lost.take("q");
    drop(lost);
    wait_until("the break", SOON, || other.stats().connections == 1);
    assert_eq!(other.ack(&job), 0, "the lease is live until the grace is over");
}

#[test]
fn a_job_handed_to_a_client_that_stops_sending_is_not_lost() {
    let master = Master::fresh(&["--grace", "200ms"]);
    let mut leaving = master.connect();
    let both = leaving.send_all(&[submit(&[job("q", "x")]), poll(&["q"], 1, 60_000, 30_000)]);
    leaving.end_sending();
    let id = submitted(leaving.reply_to(both[0]))[0].job;
    let handed = delivered(leaving.reply_to(both[1]));
    leaving.expect_closed();
    let mut other = master.connect();
    let again = other.take("q");
    assert_eq!((again.job, usize::from(again.attempt)), (id, handed.len() + 1));
    assert_eq!(other.ack(&again), 0);
}
