//! How long a start takes with many waiting jobs, and how long other requests wait while a snapshot is taken.
//!
//! Run by `cargo bench --bench restart [-- JOBS…]`, 1,000,000 jobs of 256 bytes unless told otherwise. The daemon is
//! killed and started again five times, with what it wrote in the page cache; the time is from the start of the
//! process to the line that says where it listens. Then one client submits and another asks for a snapshot.
//!
//! With `dead` among the arguments the jobs are taken first, and fail for good with an error of 4 KiB each: that
//! shows what dead jobs cost in memory. The log takes 4 KiB a job on the disk.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use falconqueue::client::{Client, Remote};
use falconqueue::ids::JobId;
use falconqueue::protocol::{FailItem, List, Poll, SubmitJob};

const PAYLOAD: [u8; 256] = [b'x'; 256];
const BATCH: usize = 1000;
const STARTS: usize = 5;

/// A daemon that ends with this value.
struct Daemon {
    child: Child,
    address: String,
    started_in: Duration,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It is gone already if this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    fn start(dir: &Path) -> Daemon {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_falcond"))
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("falcond starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its stdout");
        BufReader::new(stdout).read_line(&mut line).expect("its first line");
        let started_in = begun.elapsed();
        let address = line.trim().rsplit(' ').next().expect("an address").to_owned();
        Daemon { child, address, started_in }
    }

    fn client(&self, name: &str) -> Client {
        Client::new(Remote::new(&self.address, name, b""))
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    for jobs in if numbers.is_empty() { vec![1_000_000] } else { numbers } {
        measure(jobs, std::env::args().any(|argument| argument == "dead"));
    }
}

/// Takes all jobs, and fails them for good.
fn fail_all(client: &Client, jobs: usize) {
    let error = "e".repeat(4096);
    for _ in 0..jobs / BATCH {
        let poll = Poll { queues: List::lent(&["q"]), free: BATCH as u16, lease_ms: 60_000, ..Poll::default() };
        let got = client.poll(&poll).expect("the jobs are delivered");
        let item = |job: JobId, lease| FailItem { job, lease, for_good: true, error: &error, ..FailItem::default() };
        let items: Vec<_> = got.iter().map(|got| item(got.id, got.lease)).collect();
        client.fail(&items).expect("the report is taken");
    }
}

fn measure(jobs: usize, dead: bool) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let daemon = Daemon::start(dir.path());
    let client = daemon.client("fill");
    let begun = Instant::now();
    let job = SubmitJob { queue: "q", payload: &PAYLOAD, ..SubmitJob::default() };
    for _ in 0..jobs / BATCH {
        client.submit(&vec![job; BATCH]).expect("the jobs are taken");
    }
    println!("{jobs} jobs submitted in {:.2?}", begun.elapsed());
    if dead {
        fail_all(&client, jobs);
        let rss = resident_kib(daemon.child.id());
        println!("all dead after {:.2?}, anonymous memory {} bytes a job", begun.elapsed(), rss * 1024 / jobs);
    }
    drop(daemon);
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let daemon = Daemon::start(dir.path());
        starts.push(daemon.started_in);
        let rss = resident_kib(daemon.child.id());
        println!("start in {:.3?}, anonymous memory {} bytes a job", daemon.started_in, rss * 1024 / jobs);
    }
    starts.sort();
    println!("{jobs} jobs: start in {:.3?} (median of {STARTS})", starts[STARTS / 2]);
    pauses(dir.path(), job);
}

fn resident_kib(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("its memory");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

/// The longest waits of submits, with and without a snapshot beside them.
fn pauses(dir: &Path, job: SubmitJob<'_>) {
    let daemon = Daemon::start(dir);
    for with_snapshot in [false, true, false, true] {
        let asking = with_snapshot.then(|| {
            let client = daemon.client("snapshot");
            std::thread::spawn(move || {
                let begun = Instant::now();
                let reply = client.snapshot();
                (begun.elapsed(), reply)
            })
        });
        let client = daemon.client("submit");
        let mut waits = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(500)
            || asking.as_ref().is_some_and(|asking| !asking.is_finished())
        {
            let sent = Instant::now();
            client.submit(&[job]).expect("the job is taken");
            waits.push(sent.elapsed());
        }
        waits.sort();
        let taken = asking.map(|asking| asking.join().expect("the snapshot's thread"));
        println!(
            "{}: {} submits, wait p50 {:.3?} p99 {:.3?} max {:.3?}{}",
            if with_snapshot { "with a snapshot" } else { "without" },
            waits.len(),
            waits[waits.len() / 2],
            waits[waits.len() * 99 / 100],
            waits[waits.len() - 1],
            taken.map_or(String::new(), |(span, reply)| format!("; snapshot in {span:.3?}: {reply:?}")),
        );
    }
}
