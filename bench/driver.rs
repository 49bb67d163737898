//! A master in this process, on a log in a temporary directory, driven turn by turn; the thread's CPU time is what is
//! measured.

// Each bench drives it in its own way.
#![allow(dead_code)]

use std::sync::Arc;

use falconqueue::ids::SessionId;
use falconqueue::master::{Config, Master, Progress, SyncMode, Urgency};
use falconqueue::protocol::frame::split_frame;
use falconqueue::protocol::{Call, Hello, Reply, Request};
use falconqueue::time::Timestamp;
use falconqueue::wal::{DirDevice, SegmentIo};
use rustix::time::{ClockId, clock_gettime};

pub struct Driver {
    pub master: Master,
    client: SessionId,
    pub now: u64,
    /// CPU time of each turn, in microseconds.
    pub turns_us: Vec<i64>,
    /// Gone with it.
    _dir: tempfile::TempDir,
}

/// CPU time of this thread.
pub fn cpu_us() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1000
}

impl Driver {
    /// With a client that has said Hello.
    pub fn new() -> Driver {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let device = DirDevice::open(dir.path(), SegmentIo::Auto).expect("the directory");
        let config = Config { sync: SyncMode::Never, ..Config::default() };
        let mut master = Master::open(config, Arc::new(device), &Progress::default()).expect("a log").master;
        master.start(Timestamp(1_000_000));
        let client = master.connected();
        let mut driver = Driver { master, client, now: 1_000_000, turns_us: Vec::new(), _dir: dir };
        driver.send(&Hello::new("bench", b"").into());
        driver.turn(1);
        driver
    }

    pub fn send(&mut self, request: &Request<'_>) {
        let mut bytes = Vec::new();
        request.encode(1, &mut bytes);
        let (header, body) = split_frame(&bytes).expect("a whole frame");
        self.master.receive(self.client, &header, body, Timestamp(self.now)).expect("the log takes records");
    }

    /// One turn, and what it made ready to be sent.
    pub fn turn(&mut self, step_ms: u64) -> Vec<u8> {
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
        let mut sent = Vec::new();
        loop {
            let mut pieces = [std::io::IoSlice::new(&[]); 64];
            let count = outbox.fill(&mut pieces);
            let before = sent.len();
            pieces[..count].iter().for_each(|piece| sent.extend_from_slice(piece));
            let taken = sent.len() - before;
            if taken == 0 {
                break;
            }
            outbox.consume(taken);
        }
        sent
    }

    /// Asks, and gives the body of the answer.
    pub fn ask<'r, R: Call<'r>>(&mut self, request: R, step_ms: u64) -> Vec<u8> {
        self.send(&request.into());
        loop {
            let sent = self.turn(step_ms);
            if !sent.is_empty() {
                return sent;
            }
        }
    }
}

pub fn reply(bytes: &[u8]) -> Reply<'_> {
    let (header, body) = split_frame(bytes).expect("a whole frame");
    Reply::decode(header.kind, body).expect("a reply")
}
