//! Threads that each submit one job at a time to a daemon with `--sync always`: over connections of their own, by one
//! client that they share, one after another, and by one batcher.
//!
//! Run by `cargo bench --bench submit [-- THREADS JOBS_PER_THREAD]`. One run, no pass or fail: the figures are for
//! reading, and for comparing within one run.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use falconqueue::client::{Batcher, Client, ClientError, Remote};
use falconqueue::protocol::{Stats, SubmitJob};

const PAYLOAD: [u8; 256] = [b'x'; 256];

/// A daemon that ends with this value.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It is gone already if this fails.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How threads submit.
#[derive(Clone, Copy, Debug)]
enum Way {
    OwnConnections,
    /// One client, one call at a time.
    InTurn,
    SharedClient,
    Batcher,
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let rounds = if let [threads, jobs_each] = numbers[..] {
        vec![(threads, jobs_each)]
    } else {
        [1, 10, 64, 200].map(|threads| (threads, 40_000 / threads.max(10))).to_vec()
    };
    for (threads, jobs_each) in rounds {
        for way in [Way::OwnConnections, Way::InTurn, Way::SharedClient, Way::Batcher] {
            measure(way, threads, jobs_each);
        }
    }
}

/// Submits one job, in its way.
fn submitter(way: Way, address: &str) -> Box<dyn Fn() + Send + Sync> {
    let client = Client::new(Remote::new(address, "bench", b""));
    match way {
        Way::OwnConnections | Way::SharedClient => Box::new(move || drop(client.submit(&[job()]).expect("taken"))),
        Way::InTurn => {
            let client = Mutex::new(client);
            Box::new(move || drop(client.lock().expect("no panic").submit(&[job()]).expect("taken")))
        }
        Way::Batcher => {
            let batcher = Batcher::new(client, Duration::ZERO);
            Box::new(move || {
                batcher.submit(&job()).expect("taken");
            })
        }
    }
}

fn start() -> (Daemon, tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut child = Command::new(env!("CARGO_BIN_EXE_falcond"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("falcond starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("its stdout is piped");
    let daemon = Daemon(child);
    BufReader::new(stdout).read_line(&mut line).expect("falcond says where it listens");
    (daemon, dir, line.trim().trim_start_matches("listening on ").to_owned())
}

fn measure(way: Way, threads: usize, jobs_each: usize) {
    let (_daemon, _dir, address) = start();
    let shared = submitter(way, &address);
    let ready = Barrier::new(threads + 1);
    let started = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let own = matches!(way, Way::OwnConnections).then(|| submitter(way, &address));
                let submit = own.as_ref().unwrap_or(&shared);
                submit();
                ready.wait();
                (0..jobs_each).for_each(|_| submit());
            });
        }
        ready.wait();
        Instant::now()
    });
    let elapsed = started.elapsed();
    let syncs = syncs(&address).expect("the master answers");
    let jobs = threads * jobs_each;
    #[allow(clippy::cast_precision_loss)]
    let per = |count: usize, by: f64| count as f64 / by;
    #[allow(clippy::cast_precision_loss)]
    let per_sync = per(jobs, syncs as f64);
    println!(
        "{threads:4} threads, {:14}: {jobs:6} jobs in {:7.3} s, {:7.0} jobs/s, {syncs:6} syncs, \
         {per_sync:6.1} jobs a sync",
        format!("{way:?}"),
        elapsed.as_secs_f64(),
        per(jobs, elapsed.as_secs_f64()),
    );
}

fn job() -> SubmitJob<'static> {
    SubmitJob { queue: "bench", payload: &PAYLOAD, ..SubmitJob::default() }
}

fn syncs(address: &str) -> Result<u64, ClientError> {
    Ok(Client::new(Remote::new(address, "bench", b"")).stats()?.read::<Stats>()?.figure("syncs"))
}
