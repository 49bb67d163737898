//! How long the loop is held up while somebody looks at all jobs, or purges a million of them: the thread's CPU time of
//! each turn of a master in this process that has a slice to do, on a log in a temporary directory.
//!
//! Run by `cargo bench --bench looks [-- JOBS]`, 10,000,000 waiting jobs unless told otherwise. Time goes on by 20 ms a
//! turn while it looks and by 2 ms while it purges, so that each turn has a slice.

use std::sync::Arc;

use falconqueue::ids::{JobId, SessionId};
use falconqueue::job::Standing;
use falconqueue::master::{Config, Master, Progress, SyncMode, Urgency};
use falconqueue::protocol::frame::split_frame;
use falconqueue::protocol::{
    Call, Change, CountJobs, Filter, Hello, List, ListJobs, MendAll, Reply, Request, Submit, SubmitJob,
};
use falconqueue::time::Timestamp;
use falconqueue::wal::{DirDevice, SegmentIo};
use rustix::time::{ClockId, clock_gettime};

struct Driver {
    master: Master,
    client: SessionId,
    now: u64,
    /// CPU time of each turn, in microseconds.
    turns_us: Vec<i64>,
}

fn cpu_us() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1000
}

impl Driver {
    fn send(&mut self, request: &Request<'_>) {
        let mut bytes = Vec::new();
        request.encode(1, &mut bytes);
        let (header, body) = split_frame(&bytes).expect("a whole frame");
        self.master.receive(self.client, &header, body, Timestamp(self.now)).expect("the log takes records");
    }

    /// One turn, and what it made ready to be sent.
    fn turn(&mut self, step_ms: u64) -> Vec<u8> {
        self.now += step_ms;
        let begun = cpu_us();
        self.master.begin_turn(Timestamp(self.now)).expect("the log takes records");
        self.master.finish_turn(Timestamp(self.now)).expect("the log takes records");
        self.turns_us.push(cpu_us() - begun);
        if let Some(request) = self.master.sync_request(Timestamp(self.now), Urgency::Now) {
            self.master.synced(&request.run()).expect("the sync works");
        }
        while self.master.next_ready().is_some() {}
        let outbox = self.master.outbox(self.client).expect("the session");
        let mut pieces = [std::io::IoSlice::new(&[]); 8];
        let count = outbox.fill(&mut pieces);
        let sent: Vec<u8> = pieces[..count].iter().flat_map(|piece| piece.to_vec()).collect();
        outbox.consume(sent.len());
        sent
    }

    /// Asks, and gives the body of the answer.
    fn ask<'r, R: Call<'r>>(&mut self, request: R, step_ms: u64) -> Vec<u8> {
        self.send(&request.into());
        loop {
            let sent = self.turn(step_ms);
            if !sent.is_empty() {
                return sent;
            }
        }
    }

    fn tell(&mut self, what: &str) {
        let mut turns = std::mem::take(&mut self.turns_us);
        turns.sort_unstable();
        let of = |per_mille: usize| turns[(turns.len() - 1) * per_mille / 1000];
        println!(
            "{what:>14}: {} turns, CPU p50 {} us, p99 {} us, p99.9 {} us, longest {} us",
            turns.len(),
            of(500),
            of(990),
            of(999),
            of(1000)
        );
    }
}

fn reply(bytes: &[u8]) -> Reply<'_> {
    let (header, body) = split_frame(bytes).expect("a whole frame");
    Reply::decode(header.kind, body).expect("a reply")
}

fn main() {
    let jobs: usize = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10_000_000);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let device = DirDevice::open(dir.path(), SegmentIo::Auto).expect("the directory");
    let config = Config { sync: SyncMode::Never, ..Config::default() };
    let mut master = Master::open(config, Arc::new(device), &Progress::default()).expect("a log").master;
    master.start(Timestamp(1_000_000));
    let client = master.connected();
    let mut driver = Driver { master, client, now: 1_000_000, turns_us: Vec::new() };
    driver.send(&Hello::new("bench", b"").into());
    let batch = vec![SubmitJob { queue: "q", payload: &[b'x'; 16], ..SubmitJob::default() }; 1000];
    for _ in 0..jobs / 1000 {
        driver.send(&Submit { jobs: List::lent(&batch) }.into());
        while driver.turn(1).is_empty() {}
    }
    println!("{jobs} waiting jobs");
    driver.turns_us.clear();
    let dead = Filter { standings: Some(1 << Standing::Dead.code()), ..Filter::default() };
    let mut from = JobId(0);
    loop {
        let sent = driver.ask(ListJobs { filter: dead, from, newest_first: true, limit: 100 }, 20);
        let Reply::ListJobsOk(page) = reply(&sent) else { panic!("a page") };
        from = page.next;
        if from == JobId(0) {
            break;
        }
    }
    driver.tell("list, no match");
    loop {
        let sent = driver.ask(CountJobs { filter: Filter::default(), from, by_error: false }, 20);
        let Reply::CountJobsOk(page) = reply(&sent) else { panic!("a page") };
        from = page.next;
        if from == JobId(0) {
            break;
        }
    }
    driver.tell("count, all");
    let (mut since, mut done) = (Timestamp(0), 0);
    while done < 1_000_000.min(jobs as u64) {
        let filter = Filter { queue: Some("q"), ..Filter::default() };
        let sent = driver.ask(MendAll { change: Change::Purge, filter, from, since, update: None }, 2);
        let Reply::MendAllOk(page) = reply(&sent) else { panic!("a page") };
        (from, since, done) = (page.next, page.since, done + page.done);
    }
    driver.tell("purge");
    println!("{done} jobs purged");
}
