//! What a job costs the loop, by how many jobs wait and by how many groups they are in: the thread's CPU time of
//! submits, polls and acks of 50 jobs each, on a master in this process.
//!
//! Run by `cargo bench --bench groups [-- JOBS…]`: 1,000, 1,000,000 and 10,000,000 waiting jobs unless told
//! otherwise, in no group, 1, 1,000 and 1,000,000, without and with limits that hold nobody up. Time goes on by 1 ms a
//! turn.

mod driver;

use driver::{Driver, cpu_us, reply};
use falconqueue::ids::{JobId, LeaseId};
use falconqueue::protocol::{Ack, AckItem, List, Poll, Reply, SetQueue, Submit, SubmitJob};
use falconqueue::rules::{QueueSettings, Rate};

/// Jobs of a request.
const BATCH: usize = 50;

/// Requests of each kind that are measured, and before that as many to get warm.
const CYCLES: u32 = 4000;

/// Jobs that are measured.
const MEASURED: i64 = 200_000;

struct Run {
    driver: Driver,
    names: Vec<String>,
    /// How many jobs were submitted so far.
    count: usize,
    submit_us: i64,
    poll_us: i64,
    ack_us: i64,
}

impl Run {
    fn new(groups: usize, limits: bool) -> Run {
        let names = (0..groups).map(|number| format!("tenant-{number:07}")).collect();
        let mut run = Run { driver: Driver::new(), names, count: 0, submit_us: 0, poll_us: 0, ack_us: 0 };
        if limits {
            let rate = Rate { tokens: 1_000_000, per_ms: 1, burst: 1_000_000 };
            let settings = QueueSettings {
                running_max: Some(1000),
                group_running_max: Some(1000),
                rate: Some(rate),
                group_rate: Some(rate),
                ..QueueSettings::default()
            };
            run.driver.ask(SetQueue { queue: "q", settings }, 1);
        }
        run
    }

    fn submit(&mut self, jobs: usize) {
        let (names, first) = (&self.names, self.count);
        let group = |number: usize| (!names.is_empty()).then(|| names[number * 7919 % names.len()].as_str());
        let job = |number| SubmitJob { queue: "q", payload: &[b'x'; 16], group: group(number), ..SubmitJob::default() };
        let batch: Vec<SubmitJob<'_>> = (first..first + jobs).map(job).collect();
        let begun = cpu_us();
        self.driver.ask(Submit { jobs: List::lent(&batch) }, 1);
        self.submit_us += cpu_us() - begun;
        self.count += jobs;
    }

    fn cycle(&mut self) {
        self.submit(BATCH);
        let begun = cpu_us();
        let sent = self.driver.ask(Poll::of(&["q"]).with_free(BATCH as u16), 1);
        self.poll_us += cpu_us() - begun;
        let Reply::PollOk(got) = reply(&sent) else { panic!("jobs") };
        assert_eq!(got.jobs.len(), BATCH, "all may go");
        let held: Vec<(JobId, LeaseId)> = got.jobs.iter().map(|job| (job.job, job.lease)).collect();
        let items: Vec<AckItem<'_>> =
            held.iter().map(|(job, lease)| AckItem { job: *job, lease: *lease, ..AckItem::default() }).collect();
        let begun = cpu_us();
        self.driver.ask(Ack { items: List::lent(&items) }, 1);
        self.ack_us += cpu_us() - begun;
    }
}

fn main() {
    let mut jobs: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    if jobs.is_empty() {
        jobs = vec![1000, 1_000_000, 10_000_000];
    }
    println!("waiting, groups, limits: ns a job for submit, dispatch, ack, all");
    for waiting in jobs {
        for groups in [0, 1, 1000, 1_000_000].into_iter().filter(|groups| *groups <= waiting) {
            for limits in [false, true] {
                let mut run = Run::new(groups, limits);
                (0..waiting / 1000).for_each(|_| run.submit(1000));
                (0..CYCLES).for_each(|_| run.cycle());
                (run.submit_us, run.poll_us, run.ack_us) = (0, 0, 0);
                (0..CYCLES).for_each(|_| run.cycle());
                let ns = |us: i64| us * 1000 / MEASURED;
                let [submit, poll, ack] = [run.submit_us, run.poll_us, run.ack_us].map(ns);
                let all = submit + poll + ack;
                println!("{waiting:>10} {groups:>9} {limits:>5}: {submit} {poll} {ack} {all}");
            }
        }
    }
}
