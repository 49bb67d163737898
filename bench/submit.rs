//! How many submits share a sync: connections that each submit one job at a time to a daemon with `--sync always`.
//!
//! Run by `cargo bench --bench submit [-- CONNECTIONS JOBS_PER_CONNECTION]`. One run, no pass or fail: the figures are
//! for reading, and for comparing within one run.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::Instant;

use falconqueue::client::{Client, ClientError, Tcp};
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

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let [connections, jobs_each] = numbers[..] else {
        for connections in [1, 10, 50, 200] {
            measure(connections, 20_000 / connections.max(10));
        }
        return;
    };
    measure(connections, jobs_each);
}

fn measure(connections: usize, jobs_each: usize) {
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
    let _daemon = Daemon(child);
    BufReader::new(stdout).read_line(&mut line).expect("falcond says where it listens");
    let address = line.trim().trim_start_matches("listening on ").to_owned();

    let ready = Barrier::new(connections + 1);
    let started = std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let client = Client::new(Tcp::new(&address, "bench", b""));
                client.stats().expect("the master answers");
                ready.wait();
                for _ in 0..jobs_each {
                    client.submit(&[job()]).expect("the job is accepted");
                }
            });
        }
        ready.wait();
        Instant::now()
    });
    let elapsed = started.elapsed();
    let syncs = syncs(&address).expect("the master answers");
    let jobs = connections * jobs_each;
    #[allow(clippy::cast_precision_loss)]
    let per = |count: usize, by: f64| count as f64 / by;
    #[allow(clippy::cast_precision_loss)]
    let per_sync = per(jobs, syncs as f64);
    println!(
        "{connections:4} connections: {jobs:6} jobs in {:7.3} s, {:7.0} jobs/s, {syncs:6} syncs, \
         {per_sync:6.1} jobs a sync",
        elapsed.as_secs_f64(),
        per(jobs, elapsed.as_secs_f64()),
    );
}

fn job() -> SubmitJob<'static> {
    SubmitJob { queue: "bench", payload: &PAYLOAD, ..SubmitJob::default() }
}

fn syncs(address: &str) -> Result<u64, ClientError> {
    Ok(Client::new(Tcp::new(address, "bench", b"")).stats()?.read::<Stats>()?.figure("syncs"))
}
