//! The driver of FalconQueue itself for `bench/frameworks.sh`: `falcon-pool-bench SCENARIO JOBS`, with the master's
//! address in SERVER. It prints one line of JSON; the scenarios are told in bench/frameworks/README.md.

use std::error::Error;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use falconqueue::client::{Client, Job, Remote, SubmitJob};
use falconqueue::protocol::Stats;
use falconqueue::worker::{Cancel, Handler, Outcome, Pool, PoolConfig, remote};

const QUEUE: &str = "bench";
const PAYLOAD_BYTES: usize = 256;
const SUBMIT: usize = 1000;
const SLOTS: usize = 64;
const DELIVERIES_PER_SECOND: u32 = 200;

type Failed = Box<dyn Error>;

/// Does nothing, and notes how late each job came that carries its moment.
struct Nothing {
    ran: Arc<AtomicU64>,
    late_us: Arc<std::sync::Mutex<Vec<u64>>>,
    is_timed: bool,
}

impl Handler for Nothing {
    fn run(&self, job: &Job, _: &Cancel) -> Outcome {
        if self.is_timed {
            let sent_us = job.payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let late_us = now_us().saturating_sub(sent_us);
            self.late_us.lock().expect("no handler panics").push(late_us);
        }
        self.ran.fetch_add(1, Ordering::Relaxed);
        Outcome::Done(Vec::new())
    }
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

fn submit(client: &Client, jobs: usize) -> Result<(), Failed> {
    let payload = [b'x'; PAYLOAD_BYTES];
    let job = SubmitJob::new(QUEUE, &payload);
    let mut under_way = std::collections::VecDeque::new();
    let mut left = jobs;
    while left > 0 || !under_way.is_empty() {
        if left > 0 && under_way.len() < 2 {
            let count = left.min(SUBMIT);
            under_way.push_back(client.submit_begin(&vec![job; count])?);
            left -= count;
        } else if let Some(oldest) = under_way.pop_front() {
            oldest.wait()?;
        }
    }
    Ok(())
}

/// Submits from a process of its own.
fn produce_elsewhere(jobs: usize) -> Result<(), Failed> {
    let status =
        Command::new(std::env::current_exe()?).arg("produce").arg(jobs.to_string()).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("the producer ended with {status}").into()) }
}

/// Waits until so many jobs have been acked.
fn wait_for_acks(client: &Client, jobs: u64) -> Result<(), Failed> {
    let until = Instant::now() + Duration::from_mins(5);
    loop {
        let answer = client.stats()?;
        let stats = answer.read::<Stats>()?;
        let left = stats.figure("pending") + stats.figure("in_flight");
        if stats.figure("completed") >= jobs && left == 0 {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("{} of {jobs} jobs were acked in 5 min", stats.figure("completed")).into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn deliver(client: &Client, jobs: usize) -> Result<(), Failed> {
    let begun = Instant::now();
    for number in 0..jobs {
        let due = begun + Duration::from_secs(1) * number as u32 / DELIVERIES_PER_SECOND;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut payload = [0; PAYLOAD_BYTES];
        payload[..8].copy_from_slice(&now_us().to_le_bytes());
        client.submit(&[SubmitJob::new(QUEUE, &payload)])?;
    }
    Ok(())
}

/// Runs the jobs of a scenario; gives the seconds that it took, and how late each timed job came.
fn run(scenario: &str, jobs: usize, server: &str) -> Result<(f64, Vec<u64>), Failed> {
    let client = Client::new(Remote::new(server, "bench", b""));
    if scenario == "prefilled" {
        submit(&client, jobs)?;
    }
    let before = client.stats()?.read::<Stats>()?.figure("completed");
    let (ran, late_us) = (Arc::new(AtomicU64::new(0)), Arc::default());
    let handler = Nothing { ran: Arc::clone(&ran), late_us: Arc::clone(&late_us), is_timed: scenario == "delivery" };
    let mut config = PoolConfig::new([QUEUE]);
    config.concurrency = SLOTS;
    let begun = Instant::now();
    let pool = Pool::start(config, remote(server, "bench", b""), handler)?;
    match scenario {
        "prefilled" => {}
        "at-once" => produce_elsewhere(jobs)?,
        "delivery" => deliver(&client, jobs)?,
        other => return Err(format!("no scenario {other:?}").into()),
    }
    wait_for_acks(&client, before + jobs as u64)?;
    let seconds = begun.elapsed().as_secs_f64();
    pool.stopper().stop();
    pool.join()?;
    let ran = ran.load(Ordering::Relaxed);
    if ran != jobs as u64 {
        return Err(format!("{ran} jobs ran of {jobs}").into());
    }
    let mut late_us = late_us.lock().expect("no handler panics").clone();
    late_us.sort_unstable();
    Ok((seconds, late_us))
}

fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let scenario = arguments.next().ok_or("name a scenario: prefilled, at-once or delivery")?;
    let jobs: usize = arguments.next().ok_or("say how many jobs")?.parse()?;
    if scenario == "produce" {
        return submit(&Client::new(Remote::new(&std::env::var("SERVER")?, "bench", b"")), jobs);
    }
    let (seconds, late_us) = run(&scenario, jobs, &std::env::var("SERVER")?)?;
    let settings =
        format!("Pool with {SLOTS} slots; submits of {SUBMIT} jobs, two under way; fdatasync before each reply");
    let figures = if scenario == "delivery" {
        let at = |percent: usize| late_us[(late_us.len() - 1) * percent / 100];
        format!("\"p50_us\": {}, \"p99_us\": {}", at(50), at(99))
    } else {
        format!("\"jobs_per_second\": {:.0}", f64::from(u32::try_from(jobs)?) / seconds)
    };
    println!(
        "{{\"framework\": \"falconqueue\", \"version\": \"{}\", \"settings\": \"{settings}\", \
         \"scenario\": \"{scenario}\", \"jobs\": {jobs}, \"seconds\": {seconds:.3}, {figures}}}",
        env!("CARGO_PKG_VERSION")
    );
    Ok(())
}
