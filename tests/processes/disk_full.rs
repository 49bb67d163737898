//! A full disk: Submit is refused, and everything else goes on for each job that was accepted. Never an exit, never a
//! signal, not a job lost, and as soon as there is space again Submit works.
//!
//! Each test has a small file system of its own, which it fills from outside by a file.

mod mending;

use std::collections::HashMap;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::faults::{Disk, MIB, or_skip};
use crate::harness::http::{Ask, HttpMaster};
use crate::harness::wire::*;
use crate::harness::*;

/// Submit works again this long after space came back.
const WORKS_WITHIN: Duration = Duration::from_secs(2);

const DISK_MIB: u64 = 160;

/// Payloads of jobs: many small ones are the hardest to keep room for.
const SMALL: &[usize] = &[64];
const MIXED: &[usize] = &[64, 1000, 30_000, 300_000];

/// Jobs that were answered OK and are not done, each with the number that its payload is made from.
#[derive(Default)]
struct Owed {
    jobs: HashMap<u64, (u64, usize)>,
    submitted: u64,
    dead: u64,
}

/// What job `number` carries: nothing that another one does.
fn payload(number: u64, bytes: usize) -> Vec<u8> {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(bytes.max(8), number as u8);
    payload
}

/// The error that a full disk gives, with a sentence and the word that a retry may help.
#[track_caller]
fn is_full(reply: &Reply) -> bool {
    match reply {
        Reply::Error { code: STORAGE_FULL, retry: 1, text } => !text.trim().is_empty(),
        Reply::Error { .. } => panic!("the error {STORAGE_FULL}, not {reply:?}"),
        _ => false,
    }
}

impl Owed {
    /// Submits so many jobs in one request; says whether they were accepted.
    #[track_caller]
    fn submit(&mut self, wire: &mut Wire, sizes: &[usize], count: usize) -> bool {
        let first = self.submitted;
        let numbers = (first..).zip(sizes.iter().cycle().copied()).take(count);
        let jobs: Vec<_> = numbers.clone().map(|(n, bytes)| job("q", payload(n, bytes))).collect();
        let reply = wire.ask(&submit(&jobs));
        if is_full(&reply) {
            return false;
        }
        let ids = submitted(reply);
        assert!(ids.len() == count && ids.iter().all(|id| id.duplicate == 0), "{count} jobs");
        self.jobs.extend(ids.iter().map(|id| id.job).zip(numbers));
        self.submitted += count as u64;
        true
    }

    /// Submits until not even the smallest job is accepted.
    #[track_caller]
    fn submit_until_refused(&mut self, wire: &mut Wire, sizes: &[usize]) {
        let mut count = if sizes == SMALL { 1000 } else { 20 };
        while self.submitted < 3_000_000 && count > 0 {
            if !self.submit(wire, sizes, count) {
                count /= 2;
            }
        }
        assert!(count == 0, "a disk that is never full");
        while self.submit(wire, &[8], 1) {
            assert!(self.submitted < 3_000_000, "a disk that is never full");
        }
    }

    /// Takes jobs: their payloads must be those that were submitted, and their leases must be extended.
    #[track_caller]
    fn take(&self, wire: &mut Wire, lease_ms: u32) -> Vec<Delivery> {
        let jobs = wire.poll(&["q"], 1000, 3000, lease_ms);
        assert!(!jobs.is_empty(), "{} jobs are owed, and none is delivered: {:?}", self.jobs.len(), wire.stats());
        for job in &jobs {
            let (number, bytes) = self.jobs.get(&job.job).expect("a job that was accepted and is not done");
            assert!(job.payload == payload(*number, *bytes), "the payload of job {}", job.job);
        }
        let leases: Vec<_> = jobs.iter().map(|job| (job.job, job.lease)).collect();
        let Reply::HeartbeatOk(wants) = wire.ask(&heartbeat(&leases)) else { panic!("a HeartbeatOk") };
        assert!(wants.len() == jobs.len() && wants.iter().all(|(_, want, _)| *want == 0), "leases that go on");
        jobs
    }

    /// Acks jobs, but for the first, which fails for good.
    #[track_caller]
    fn finish(&mut self, wire: &mut Wire, jobs: &[Delivery]) {
        assert_eq!(wire.fail(&jobs[0], true, "beyond hope"), 0);
        self.dead += 1;
        if jobs.len() > 1 {
            let items: Vec<_> = jobs[1..].iter().map(|job| (job.job, job.lease, &b""[..])).collect();
            let Reply::Done(ACK_OK, done) = wire.ask(&ack(&items)) else { panic!("an AckOk") };
            assert!(done.len() == items.len() && done.iter().all(|(_, status)| *status == 0), "acked");
        }
        for job in jobs {
            self.jobs.remove(&job.job);
        }
    }

    /// Works until so many jobs are left.
    #[track_caller]
    fn drain(&mut self, wire: &mut Wire, leave: usize) {
        while self.jobs.len() > leave {
            let jobs = self.take(wire, 60_000);
            self.finish(wire, &jobs);
        }
        if leave == 0 {
            let totals = wire.stats().totals;
            assert_eq!((totals.pending, totals.delayed, totals.in_flight), (0, 0, 0));
            assert_eq!(totals.dead, self.dead);
            wire.expect_none("q");
        }
    }

    /// There is space again: Submit has to work soon.
    #[track_caller]
    fn submit_works_soon(&mut self, wire: &mut Wire) {
        wait_until("a submit that works, as there is space again", WORKS_WITHIN, || self.submit(wire, &[64], 1));
    }
}

/// Refused until there is space; all the rest goes on; nothing is lost over a `kill -9` with the disk full.
fn a_full_disk(disk: &Disk, sizes: &[usize]) {
    disk.fill(56 * MIB);
    let mut owed = Owed::default();
    let master = Master::start(&disk.data(), &[]);
    let mut wire = master.connect();
    owed.submit_until_refused(&mut wire, sizes);
    disk.fill_up();
    let accepted = owed.jobs.len();
    println!("{accepted} jobs accepted");
    owed.drain(&mut wire, accepted / 2);
    master.kill();

    let master = Master::start(&disk.data(), &[]);
    let mut wire = master.connect();
    assert_eq!(wire.stats().totals.pending, owed.jobs.len() as u64);
    owed.submit_until_refused(&mut wire, sizes);
    owed.drain(&mut wire, 0);
    owed.submit_until_refused(&mut wire, sizes);
    disk.empty();
    owed.submit_works_soon(&mut wire);
    owed.drain(&mut wire, 0);
    master.stop();
}

#[test]
fn a_full_ext4_keeps_many_small_jobs() {
    let Some(disk) = or_skip("a_full_ext4_keeps_many_small_jobs", Disk::ext4(DISK_MIB)) else { return };
    a_full_disk(&disk, SMALL);
}

#[test]
fn a_full_ext4_keeps_jobs_of_all_sizes() {
    let Some(disk) = or_skip("a_full_ext4_keeps_jobs_of_all_sizes", Disk::ext4(DISK_MIB)) else { return };
    a_full_disk(&disk, MIXED);
}

#[test]
fn a_full_tmpfs_keeps_many_small_jobs() {
    let Some(disk) = or_skip("a_full_tmpfs_keeps_many_small_jobs", Disk::tmpfs(DISK_MIB)) else { return };
    a_full_disk(&disk, SMALL);
}

#[test]
fn a_full_tmpfs_keeps_jobs_of_all_sizes() {
    let Some(disk) = or_skip("a_full_tmpfs_keeps_jobs_of_all_sizes", Disk::tmpfs(DISK_MIB)) else { return };
    a_full_disk(&disk, MIXED);
}

/// A daemon that serves, or what it said as it left. Of each lease that ran out it would say so.
fn start_or_leave(disk: &Disk) -> Result<Master, Run> {
    let mut command = Command::new(FALCOND);
    command.env("FALCON_LOG", "warn").arg("--data-dir").arg(disk.data()).args([
        "--listen",
        "127.0.0.1:0",
        "--segment-bytes",
        "16777216",
    ]);
    let mut daemon = Process::spawn(&mut command, b"");
    let has_left = wait_for("a daemon to listen or to leave", SOON, || {
        let has_left = daemon.exited().is_some();
        (has_left || daemon.stdout().contains('\n')).then_some(has_left)
    });
    if has_left { Err(daemon.finish()) } else { Ok(Master::serving(daemon, &disk.data())) }
}

/// With so much space left, a daemon starts and serves what it accepts, or says in one sentence why it does not and
/// leaves nothing behind that is in the way. Says whether it started.
fn starts_with(disk: &Disk, left_bytes: u64) -> bool {
    disk.fill(left_bytes);
    let free = disk.free_bytes();
    let started = match start_or_leave(disk) {
        Ok(master) => {
            meets_the_end_of_the_space(disk, &master, &mut Owed::default());
            master.stop();
            true
        }
        Err(run) => {
            assert!((1..128).contains(&run.status), "{run:?}");
            assert_eq!(run.err.lines().count(), 1, "one sentence: {}", run.err);
            let said = run.err.to_lowercase();
            assert!(["space", "full", "room"].iter().any(|word| said.contains(word)), "{}", run.err);
            let lost = free.saturating_sub(disk.free_bytes());
            assert!(lost < 65_536, "{lost} bytes are taken by a daemon that did not start");
            false
        }
    };
    disk.empty();
    let master = Master::start(&disk.data(), &[]);
    master.connect().put("q", "x");
    master.stop();
    started
}

/// Submits until refused, with the first jobs taken as they come; then everything is done and there is space again.
fn meets_the_end_of_the_space(disk: &Disk, master: &Master, owed: &mut Owed) {
    let mut wire = master.connect();
    owed.submit_until_refused(&mut wire, MIXED);
    let (accepted, free) = (owed.jobs.len(), disk.free_bytes());
    owed.drain(&mut wire, 0);
    owed.submit_until_refused(&mut wire, MIXED);
    println!("{accepted} jobs accepted until {free} bytes were left; then {}", owed.jobs.len());
    disk.empty();
    owed.submit_works_soon(&mut wire);
    owed.drain(&mut wire, 0);
}

fn starts_or_says_why(make: fn(u64) -> Result<Disk, String>, name: &str) {
    for k in [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 13] {
        let Some(disk) = or_skip(name, make(DISK_MIB)) else { return };
        let started = starts_with(&disk, k * 4 * MIB);
        println!("{name}: {} MiB left, started: {started}", k * 4);
        // Less than a segment is never enough; three times as much always is.
        assert!(if started { k >= 4 } else { k < 12 }, "{} MiB left, started: {started}", k * 4);
    }
}

#[test]
fn a_daemon_that_starts_on_a_full_ext4_serves_or_says_why_not() {
    starts_or_says_why(Disk::ext4, "a_daemon_that_starts_on_a_full_ext4_serves_or_says_why_not");
}

#[test]
fn a_daemon_that_starts_on_a_full_tmpfs_serves_or_says_why_not() {
    starts_or_says_why(Disk::tmpfs, "a_daemon_that_starts_on_a_full_tmpfs_serves_or_says_why_not");
}

#[test]
fn a_disk_that_is_filled_while_the_daemon_runs_costs_no_job() {
    let name = "a_disk_that_is_filled_while_the_daemon_runs_costs_no_job";
    for (k, jobs_before) in [(0, 0), (0, 100), (1, 20), (3, 300), (4, 0), (5, 100), (6, 20), (8, 200), (9, 0)] {
        let Some(disk) = or_skip(name, Disk::ext4(DISK_MIB)) else { return };
        let master = Master::start(&disk.data(), &[]);
        let mut owed = Owed::default();
        let mut wire = master.connect();
        for _ in 0..jobs_before {
            assert!(owed.submit(&mut wire, &[100_000], 1), "there is space");
        }
        disk.fill(k * 4 * MIB);
        println!("{} MiB left after {jobs_before} jobs", k * 4);
        meets_the_end_of_the_space(&disk, &master, &mut owed);
        master.stop();
    }
}

/// A full disk with many small jobs on it.
fn filled_with_small_jobs(disk: &Disk) -> (Master, Owed) {
    disk.fill(56 * MIB);
    let master = start_or_leave(disk).expect("a daemon that serves");
    let mut owed = Owed::default();
    owed.submit_until_refused(&mut master.connect(), SMALL);
    disk.fill_up();
    (master, owed)
}

#[test]
fn over_http_a_full_disk_is_507_and_all_else_goes_on() {
    let name = "over_http_a_full_disk_is_507_and_all_else_goes_on";
    let Some(disk) = or_skip(name, Disk::tmpfs(DISK_MIB)) else { return };
    let web = HttpMaster::start(&disk.data(), &[]);
    let mut owed = Owed::default();
    owed.submit_until_refused(&mut web.master.connect(), MIXED);
    let submit = Ask::new("POST", "/api/v1/queues/q/jobs").body(&vec![b'x'; 300_000]);
    let refused = web.ask(&submit);
    assert_eq!(refused.json()["retry"], true, "{}", refused.text());
    let said = refused.problem(507, "StorageFull");
    assert!(!said.is_empty());
    web.get("/readyz").expect(200);
    web.get("/api/v1/stats").expect(200);
    let polled = web.send("POST", "/api/v1/poll", &json!({"queues": ["q"], "max": 1})).expect(200).json();
    let item = json!({"job": polled["jobs"][0]["job"], "lease": polled["jobs"][0]["lease"]});
    let acked = web.send("POST", "/api/v1/ack", &json!({"items": [item]})).expect(200).json();
    assert_eq!(acked["items"][0]["done"], true, "{acked}");
    web.send("POST", "/api/v1/jobs/change/purge", &json!({"filter": {"queue": "q"}})).expect(200);
    wait_until("there is space again", SOON, || web.ask(&submit).status == 201);
    web.master.stop();
}

#[test]
fn long_results_on_a_full_disk_are_kept_or_refused() {
    let name = "long_results_on_a_full_disk_are_kept_or_refused";
    let Some(disk) = or_skip(name, Disk::ext4(DISK_MIB)) else { return };
    let (master, mut owed) = filled_with_small_jobs(&disk);
    let mut wire = master.connect();
    let jobs = owed.take(&mut wire, 600_000);
    let longest = vec![b'r'; 65_536];
    let acks: Vec<_> = jobs.iter().map(|job| ack(&[(job.job, job.lease, &longest[..])])).collect();
    let (mut kept, mut refused) = (0, Vec::new());
    for (job, ack) in jobs.iter().zip(&acks) {
        let reply = wire.ask(ack);
        if is_full(&reply) {
            refused.push(ack);
        } else {
            assert_eq!(status(reply, ACK_OK, job.job), 0);
            kept += 1;
        }
        owed.jobs.remove(&job.job);
    }
    println!("{kept} results of 64 KiB kept, {} refused", refused.len());
    disk.empty();
    owed.submit_works_soon(&mut wire);
    let works_until = Instant::now() + WORKS_WITHIN;
    for ack in refused {
        // A small job may have had room all the time; a long result waits for the next segment as others do.
        let left = works_until.saturating_duration_since(Instant::now());
        let reply = wait_for("a long result that is taken", left, || {
            let reply = wire.ask(ack);
            (!is_full(&reply)).then_some(reply)
        });
        assert!(matches!(&reply, Reply::Done(ACK_OK, done) if done[0].1 == 0), "{reply:?} is no AckOk");
    }
    owed.drain(&mut wire, 0);
    master.stop();
}

#[test]
fn workers_with_long_results_drain_a_full_disk_at_full_speed() {
    let name = "workers_with_long_results_drain_a_full_disk_at_full_speed";
    let Some(disk) = or_skip(name, Disk::ext4(DISK_MIB)) else { return };
    let (master, owed) = filled_with_small_jobs(&disk);
    let before = master.stats().totals.pending;
    let handler = "\
import json, sys
for line in sys.stdin:
    print(json.dumps({'job': json.loads(line)['job'], 'ok': True, 'result': 1000 * 'r'}), flush=True)
";
    let long = ["python3", "-c", handler];
    let worker = master.worker(&["--queue", "q", "--reuse", "--concurrency", "2", "--open", "16"], &long);
    wait_until("thousands of jobs to be done", 3 * SOON, || before - master.stats().totals.pending > 5000);
    assert!(worker.stderr().contains("was taken without its text"), "{}", worker.stderr());
    worker.signal(Signal::TERM);
    worker.finish().expect(0);
    master.stop();
    drop((disk, owed));
}

/// No bound holds for this but the attempts of a job, and a release does not even count as one.
#[test]
fn workers_that_finish_nothing_on_a_full_disk_do_not_end_the_daemon() {
    let name = "workers_that_finish_nothing_on_a_full_disk_do_not_end_the_daemon";
    let Some(disk) = or_skip(name, Disk::ext4(DISK_MIB)) else { return };
    let (master, mut owed) = filled_with_small_jobs(&disk);
    let mut wire = master.connect();
    for round in 0..150 {
        let reply = wire.ask(&poll(&["q"], 1000, 100, 100));
        if is_full(&reply) {
            continue;
        }
        let jobs = delivered(reply);
        let released: Vec<_> = jobs.iter().map(|job| (job.job, job.lease, 0)).collect();
        let failed: Vec<_> = jobs.iter().map(|job| (job.job, job.lease, false, "not yet")).collect();
        // Every third time they are left alone, and their leases run out.
        let request = [Some(release_all(&released)), Some(fail(&failed)), None][round % 3].clone();
        if let Some(request) = request.filter(|_| !jobs.is_empty()) {
            let reply = wire.ask(&request);
            assert!(is_full(&reply) || matches!(reply, Reply::Done(..)), "{reply:?}");
        }
    }
    disk.empty();
    owed.submit_works_soon(&mut wire);
    let totals = wire.stats().totals;
    let kept = totals.pending + totals.delayed + totals.in_flight + totals.dead;
    assert_eq!(kept, owed.submitted, "{totals:?}");
    master.stop();
}
