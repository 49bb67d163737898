//! Memory of the master's own under load: what a job costs in each state, and what is left when all are gone. By
//! default few jobs; with `FALCON_MEMORY_JOBS=1000000` as many as the figures of the documentation are told of.

use crate::harness::wire::*;
use crate::harness::*;

const MIB: u64 = 1 << 20;

/// Buffers of connections, of the log and of snapshots: next to nothing beside a million jobs, but not beside few.
fn fixed_bytes_max() -> u64 {
    if jobs() >= 1_000_000 { 2 * MIB } else { 8 * MIB }
}

/// Jobs of one request.
const BATCH: u64 = 1000;

fn jobs() -> u64 {
    std::env::var("FALCON_MEMORY_JOBS").ok().and_then(|text| text.parse().ok()).unwrap_or(200_000)
}

/// A master with jobs, and what each costs beyond what it had before.
struct Crowd {
    master: Master,
    wire: Wire,
    held: Vec<(u64, u64)>,
    before: u64,
    over: Vec<String>,
}

impl Crowd {
    fn new() -> Crowd {
        let master = Master::fresh(&["--sync", "never"]);
        let mut wire = master.connect();
        // The tables have their first pages.
        let first = wire.put_and_take("q");
        assert_eq!(wire.ack(&first), 0);
        let before = master.anonymous_bytes();
        Crowd { master, wire, held: Vec::new(), before, over: Vec::new() }
    }

    fn submit(&mut self) {
        for _ in 0..jobs() / BATCH {
            let batch: Vec<Job> = (0..BATCH).map(|_| Job { max_attempts: 3, ..job("q", [b'x'; 64]) }).collect();
            self.wire.put_all(&batch);
        }
    }

    fn take(&mut self) {
        self.held.clear();
        while (self.held.len() as u64) < jobs() {
            let jobs = self.wire.poll(&["q"], BATCH as u16, 20_000, 3_600_000);
            self.held.extend(jobs.iter().map(|job| (job.job, job.lease)));
        }
    }

    fn fail(&mut self, for_good: bool) {
        let error = "e".repeat(4096);
        // Small frames, so that their buffers are nothing beside the jobs.
        for held in self.held.chunks(50) {
            let items: Vec<_> = held.iter().map(|(job, lease)| (*job, *lease, for_good, error.as_str())).collect();
            assert!(matches!(self.wire.ask(&fail(&items)), Reply::Done(..)));
        }
    }

    fn ack(&mut self) {
        for held in self.held.chunks(BATCH as usize) {
            let items: Vec<_> = held.iter().map(|(job, lease)| (*job, *lease, &b""[..])).collect();
            assert!(matches!(self.wire.ask(&ack(&items)), Reply::Done(..)));
        }
    }

    /// What all of them cost now.
    fn bytes(&self) -> u64 {
        self.master.anonymous_bytes().saturating_sub(self.before)
    }

    /// Holds what each job costs now against a bound.
    fn costs_at_most(&mut self, what: &str, bytes_max: u64) {
        let bytes = self.bytes();
        println!("{} jobs {what}: {} bytes each", jobs(), bytes / jobs());
        if bytes > jobs() * bytes_max + fixed_bytes_max() {
            self.over.push(format!("{what}: {} bytes each", bytes / jobs()));
        }
    }
}

#[test]
fn a_job_costs_little_in_every_state_and_nothing_afterwards() {
    let mut crowd = Crowd::new();
    crowd.submit();
    crowd.costs_at_most("waiting", 72);
    crowd.take();
    crowd.costs_at_most("in flight", 200);
    crowd.fail(false);
    crowd.costs_at_most("waiting for a retry, with an error of 4 KiB", 130);
    crowd.take();
    crowd.fail(true);
    crowd.costs_at_most("dead, with an error of 4 KiB", 130);
    assert!(crowd.over.is_empty(), "{:?}", crowd.over);
    crowd.master.stop();
}

#[test]
fn a_job_that_is_kept_costs_little() {
    let mut crowd = Crowd::new();
    let settings = QueueSettings { keep_s: Some(3600), ..QueueSettings::default() };
    assert_eq!(crowd.wire.ask(&set_queue("q", &settings)), Reply::Settled(0x8018));
    crowd.submit();
    crowd.take();
    crowd.ack();
    // The list of leases that were handed to the connection is swept every few seconds.
    wait_until("the leases to be forgotten", SOON, || crowd.bytes() <= jobs() * 96 + fixed_bytes_max());
    crowd.costs_at_most("completed, and kept", 96);
    assert!(crowd.over.is_empty(), "{:?}", crowd.over);
    crowd.master.stop();
}

#[test]
fn what_a_crowd_took_goes_back_to_the_system() {
    let mut crowd = Crowd::new();
    crowd.submit();
    crowd.take();
    crowd.fail(false);
    crowd.take();
    crowd.ack();
    let left = || crowd.master.anonymous_bytes().saturating_sub(crowd.before);
    println!("{} KiB", left() / 1024);
    wait_until("the memory to be given back", SOON, || left() <= 16 * MIB);
    println!("{} jobs are done: {} KiB are left", jobs(), left() / 1024);
    crowd.master.stop();
}

#[test]
fn a_master_with_a_bound_refuses_jobs_before_it_is_over_and_drains() {
    let master = Master::fresh(&["--sync", "never", "--memory-max", "24"]);
    let mut wire = master.connect();
    let batch: Vec<Job> = (0..BATCH).map(|_| job("q", "x")).collect();
    let mut accepted = 0;
    loop {
        match wire.ask(&submit(&batch)) {
            Reply::SubmitOk(_) => accepted += BATCH,
            Reply::Error { code: MEMORY_FULL, retry: 1, .. } => break,
            other => panic!("{other:?}"),
        }
        assert!(accepted < 2_000_000, "a bound that is no bound");
    }
    assert!(master.anonymous_bytes() < 40 * MIB, "{}", master.anonymous_bytes());
    let mut left = accepted;
    while left > 0 {
        let jobs = wire.poll(&["q"], BATCH as u16, 0, 30_000);
        let acks: Vec<_> = jobs.iter().map(|job| (job.job, job.lease, &b""[..])).collect();
        assert!(matches!(wire.ask(&ack(&acks)), Reply::Done(..)));
        left -= jobs.len() as u64;
    }
    wait_until("jobs to be taken again", SOON, || matches!(wire.ask(&submit(&batch)), Reply::SubmitOk(_)));
    master.stop();
}
