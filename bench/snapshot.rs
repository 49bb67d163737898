//! How long the loop is held up while a snapshot is taken: the longest turn of a master in this process, with each turn
//! submitting and delivering one job, on a log in a temporary directory.
//!
//! Run by `cargo bench --bench snapshot [-- JOBS]`, 1,000,000 waiting jobs unless told otherwise. It prints the
//! turns' times without a snapshot and with one, three times in turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use falconqueue::ids::SessionId;
use falconqueue::master::{Config, Master, Progress, Urgency};
use falconqueue::protocol::frame::split_frame;
use falconqueue::protocol::{Hello, List, Poll, Request, Snapshot, Submit, SubmitJob};
use falconqueue::time::Timestamp;
use falconqueue::wal::{DirDevice, SegmentIo};

struct Driver {
    master: Master,
    client: SessionId,
    begun: Instant,
    correlation: u64,
}

impl Driver {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000 + u64::try_from(self.begun.elapsed().as_millis()).expect("a short run"))
    }

    fn send(&mut self, request: &Request<'_>) {
        self.correlation += 1;
        let mut bytes = Vec::new();
        request.encode(self.correlation, &mut bytes);
        let (header, body) = split_frame(&bytes).expect("a whole frame");
        let now = self.now();
        self.master.receive(self.client, &header, body, now).expect("the log takes records");
    }

    /// One turn with these requests; the sync is not counted, it happens beside the loop.
    fn turn(&mut self, requests: &[Request<'_>]) -> Duration {
        let begun = Instant::now();
        let now = self.now();
        self.master.begin_turn(now).expect("the log takes records");
        for request in requests {
            self.send(request);
        }
        self.master.finish_turn(now).expect("the log takes records");
        let span = begun.elapsed();
        if let Some(request) = self.master.sync_request(now, Urgency::Quiet) {
            self.master.synced(&request.run()).expect("the sync works");
        }
        while self.master.next_ready().is_some() {}
        if let Some(outbox) = self.master.outbox(self.client) {
            outbox.consume(outbox.ready_bytes());
        }
        span
    }

    fn measure(&mut self, what: &str, snapshot: bool) {
        let before = self.master.snapshots();
        if snapshot {
            self.send(&Snapshot {}.into());
        }
        let mut spans = Vec::new();
        while spans.len() < 2000 || (snapshot && self.master.snapshots() == before) {
            spans.push(self.turn(&[Submit::of(&[job()]).into(), poll()]));
        }
        spans.sort();
        let of = |per_mille: usize| spans[(spans.len() - 1) * per_mille / 1000];
        println!(
            "{what:>18}: {} turns, p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, longest {:.1?}",
            spans.len(),
            of(500),
            of(990),
            of(999),
            of(1000)
        );
    }
}

fn job() -> SubmitJob<'static> {
    let payload = &[b'x'; 256];
    SubmitJob { queue: "q", payload, ..SubmitJob::default() }
}

fn poll() -> Request<'static> {
    Poll { queues: List::lent(&["q"]), free: 1, lease_ms: 3_600_000, ..Poll::default() }.into()
}

fn main() {
    let jobs = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let device = DirDevice::open(dir.path(), SegmentIo::Auto).expect("the directory");
    let opened = Master::open(Config::default(), Arc::new(device), &Progress::default()).expect("a log");
    let mut master = opened.master;
    master.start(Timestamp(1_000_000));
    let client = master.connected();
    let mut driver = Driver { master, client, begun: Instant::now(), correlation: 0 };
    driver.send(&Hello::new("bench", b"").into());
    for _ in 0..jobs / 1000 {
        driver.turn(&[Submit::of(&vec![job(); 1000]).into()]);
    }
    println!("{jobs} waiting jobs");
    for _ in 0..3 {
        driver.measure("without a snapshot", false);
        driver.measure("with a snapshot", true);
    }
}
