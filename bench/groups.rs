//! What a job costs the loop, by how many jobs wait and by how many groups they are in: the thread's CPU time of
//! submits, polls and acks of 50 jobs each, on a master in this process.
//!
//! Run by `cargo bench --bench groups [-- JOBS…]`: 1,000, 1,000,000 and 10,000,000 waiting jobs unless told
//! otherwise, in no group, 1, 1,000 and 1,000,000, without and with limits that hold nobody up. Time goes on by 1 ms a
//! turn.
//!
//! With `-- fair` it tells how fair turns are: a thousand groups of which one has a million jobs and the others ten
//! each, for eight workers that take one job at a time; and two groups with weights of 1 and 3. With `-- memory
//! GROUPS [out]`: what a million jobs take, while they wait, or once they were handed out and each group has a bucket.

mod driver;

use driver::{Driver, cpu_us, reply};
use falconqueue::ids::{JobId, LeaseId};
use falconqueue::protocol::{Ack, AckItem, List, Poll, Reply, SetGroup, SetQueue, Submit, SubmitJob};
use falconqueue::rules::{GroupSettings, QueueSettings, Rate};

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
        self.driver.ask(Submit::of(&batch), 1);
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

/// How many jobs were handed out when the last of all small groups was done, over what fair turns would need.
fn one_large_group() {
    let mut run = Run::new(1000, false);
    let submit = |run: &mut Run, group: usize, jobs: usize| {
        let job = SubmitJob { queue: "q", group: Some(&run.names[group]), ..SubmitJob::default() };
        let batch = vec![job; jobs];
        run.driver.ask(Submit::of(&batch), 1);
    };
    (0..1000).for_each(|_| submit(&mut run, 0, 1000));
    (1..1000).for_each(|group| submit(&mut run, group, 10));
    let (mut left, mut given) = (9990, 0);
    while left > 0 {
        for _ in 0..8 {
            let sent = run.driver.ask(Poll::of(&["q"]), 1);
            let Reply::PollOk(got) = reply(&sent) else { panic!("a job") };
            let got = got.jobs.iter().next().expect("a job");
            left -= u64::from(got.group != Some(&run.names[0]));
            given += 1;
            let item = AckItem { job: got.job, lease: got.lease, ..AckItem::default() };
            run.driver.ask(Ack { items: List::lent(&[item]) }, 1);
        }
    }
    println!("the last of 999 groups of 10 jobs was done after {given} jobs; 10 rounds of 1,000 groups are 10000");
}

fn two_weights() {
    let mut run = Run::new(2, false);
    let (queue, group) = ("q", run.names[1].clone());
    let settings = GroupSettings { weight: Some(3), ..GroupSettings::default() };
    run.driver.ask(SetGroup { queue, group: &group, settings }, 1);
    (0..30).for_each(|_| run.submit(1000));
    let mut of_group = 0;
    for _ in 0..10_000 / BATCH {
        let sent = run.driver.ask(Poll::of(&["q"]).with_free(BATCH as u16), 1);
        let Reply::PollOk(got) = reply(&sent) else { panic!("jobs") };
        of_group += got.jobs.iter().filter(|job| job.group == Some(&group)).count();
    }
    println!("of 10000 jobs of two groups with weights 1 and 3, {of_group} are of the second: 7500 are its share");
}

/// Anonymous memory of this process, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("what the system says of this process");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("its anonymous memory");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<usize>().ok()).expect("a number") * 1024
}

/// Of a million jobs in so many groups, waiting or handed out; each group then has a bucket.
fn memory_of(groups: usize, handed_out: bool) -> usize {
    let mut run = Run::new(groups, false);
    let group_rate = (groups > 0).then_some(Rate { tokens: 1, per_ms: 86_400_000, burst: 1 });
    run.driver.ask(SetQueue { queue: "q", settings: QueueSettings { group_rate, ..QueueSettings::default() } }, 1);
    let before = memory();
    (0..1000).for_each(|_| run.submit(1000));
    if handed_out {
        for _ in 0..1000 {
            run.driver.ask(Poll::of(&["q"]).with_free(1000), 1);
        }
    }
    memory() - before
}

fn main() {
    let is_asked = |word: &str| std::env::args().any(|argument| argument == word);
    let numbers = || std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    if is_asked("memory") {
        let groups = numbers().next().unwrap_or(0);
        let bytes = memory_of(groups, is_asked("out")) / 1_000_000;
        return println!("{bytes} bytes a job of a million in {groups} groups");
    }
    if is_asked("fair") {
        one_large_group();
        return two_weights();
    }
    let mut jobs: Vec<usize> = numbers().collect();
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
