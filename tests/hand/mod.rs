//! A master driven by hand: its clock, its disk and its clients are in the test's power. No socket, no thread.

#![allow(dead_code)]

use std::io::IoSlice;
use std::sync::Arc;

use falconqueue::ids::{JobId, LeaseId, Lsn, SessionId};
use falconqueue::master::{Config, Master, Progress, WalError};
use falconqueue::protocol::frame::split_frame;
use falconqueue::protocol::{
    AckItem, ErrorCode, FailItem, HeldLease, Hello, ItemStatus, LeaseStatus, List, Poll, ReleaseItem, Reply,
    Request, SubmitJob, Submitted, VERSION,
};
use falconqueue::queue::Event;
use falconqueue::time::{Millis, Timestamp};
use falconqueue::wal::{MemoryDevice, visit_all};

/// Segments are small here, so that logs roll.
pub const SEGMENT_BYTES: u32 = 64 << 10;

/// When the tests begin.
pub const START: Timestamp = Timestamp(1_000_000);

pub struct Hand {
    pub master: Master,
    pub device: MemoryDevice,
    pub now: Timestamp,
    correlation: u64,
}

/// A delivery that owns its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub job: JobId,
    pub lease: LeaseId,
    pub queue: String,
    pub key: String,
    pub attempt: u16,
    pub payload: Vec<u8>,
}

/// A reply that owns its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Hello,
    Submitted(Vec<Submitted>),
    Jobs(Vec<Got>),
    Items(Vec<ItemStatus>),
    Leases(Vec<LeaseStatus>),
    Stats { pending: u64, completed: u64 },
    Snapshot(u64),
    Backup,
    Error(ErrorCode),
}

/// A plain job.
pub fn job(queue: &'static str) -> SubmitJob<'static> {
    SubmitJob {
        queue,
        key: "",
        priority: 128,
        max_attempts: 3,
        delay_ms: 0,
        timeout_ms: 0,
        payload: b"payload",
    }
}

pub fn config() -> Config {
    Config { segment_bytes: SEGMENT_BYTES, seed: 7, beside: false, ..Config::default() }
}

impl Hand {
    pub fn new() -> Hand {
        Hand::open(config(), MemoryDevice::default(), START)
    }

    pub fn open(config: Config, device: MemoryDevice, now: Timestamp) -> Hand {
        let opened =
            Master::open(config, Arc::new(device.clone()), &Progress::default()).expect("the log opens");
        let now = now.max(opened.last_at);
        let mut master = opened.master;
        master.start(now);
        master.queues().check();
        Hand { master, device, now, correlation: 0 }
    }

    /// Another master on what a killed one (`power_cut` false) or a power cut leaves.
    pub fn restart(&self, power_cut: bool) -> Hand {
        let device = if power_cut { self.device.crash() } else { self.device.kill() };
        Hand::open(config(), device, self.now)
    }

    /// A client that has said Hello.
    pub fn connect(&mut self) -> SessionId {
        let id = self.master.connected();
        let hello = Hello { version: VERSION, name: "hand", token: b"" };
        assert_eq!(self.ask(id, &Request::Hello(hello)), Said::Hello);
        id
    }

    /// Sends a request; nothing else happens.
    pub fn send(&mut self, id: SessionId, request: &Request<'_>) {
        self.correlation += 1;
        let mut bytes = Vec::new();
        request.encode(self.correlation, &mut bytes);
        let (header, body) = split_frame(&bytes).unwrap();
        self.master.receive(id, &header, body, self.now).expect("the log takes records");
    }

    /// A turn without input, at a moment this much later.
    pub fn pass(&mut self, span: u64) {
        self.now = self.now.plus(Millis(span));
        self.turn().expect("the log takes records");
    }

    pub fn turn(&mut self) -> Result<(), WalError> {
        self.master.begin_turn(self.now)?;
        self.master.finish_turn(self.now)?;
        self.master.queues().check();
        Ok(())
    }

    /// Makes everything durable; says whether there was anything.
    pub fn sync(&mut self) -> bool {
        let Some(request) = self.master.sync_request(self.now, true) else { return false };
        self.master.synced(&request.run()).expect("the sync works");
        true
    }

    /// All that may leave to this client now.
    pub fn heard(&mut self, id: SessionId) -> Vec<Said> {
        while self.master.next_ready().is_some() {}
        let Some(outbox) = self.master.outbox(id) else { return Vec::new() };
        let mut bytes = Vec::new();
        while outbox.ready_bytes() > 0 {
            let mut pieces = [IoSlice::new(&[]); 8];
            let count = outbox.fill(&mut pieces);
            let before = bytes.len();
            pieces[..count].iter().for_each(|piece| bytes.extend_from_slice(piece));
            outbox.consume(bytes.len() - before);
        }
        said(&bytes)
    }

    /// Sends a request and waits for its one answer: a turn, a sync, and the time that a poll waits.
    pub fn ask(&mut self, id: SessionId, request: &Request<'_>) -> Said {
        self.send(id, request);
        self.turn().expect("the log takes records");
        self.sync();
        let mut all = self.heard(id);
        assert_eq!(all.len(), 1, "one answer: {all:?}");
        all.remove(0)
    }

    pub fn submit(&mut self, id: SessionId, jobs: &[SubmitJob<'_>]) -> Vec<Submitted> {
        match self.ask(id, &Request::Submit(List::lent(jobs))) {
            Said::Submitted(jobs) => jobs,
            other => panic!("{other:?}"),
        }
    }

    /// The id of one submitted job.
    pub fn put(&mut self, id: SessionId, job: SubmitJob<'_>) -> JobId {
        self.submit(id, &[job])[0].job
    }

    /// Takes a snapshot; returns the newest LSN that it holds.
    pub fn snapshot(&mut self, id: SessionId) -> u64 {
        self.send(id, &Request::Snapshot);
        for _ in 0..1000 {
            self.turn().expect("the log takes records");
            self.sync();
            match self.heard(id).pop() {
                Some(Said::Snapshot(lsn)) => return lsn,
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
        panic!("a snapshot is never done");
    }

    /// Polls without waiting.
    pub fn poll(&mut self, id: SessionId, queues: &[&str], jobs_max: u16) -> Vec<Got> {
        match self.ask(id, &poll(queues, jobs_max, 0)) {
            Said::Jobs(jobs) => jobs,
            other => panic!("{other:?}"),
        }
    }

    /// Polls for one job that has to be there.
    pub fn take(&mut self, id: SessionId, queue: &str) -> Got {
        self.poll(id, &[queue], 1).pop().expect("a job")
    }

    /// Acks; says whether it was done.
    pub fn ack(&mut self, id: SessionId, job: JobId, lease: LeaseId) -> bool {
        let items = [AckItem { job, lease, result: b"result" }];
        done(self.ask(id, &Request::Ack(List::lent(&items))))
    }

    pub fn fail(&mut self, id: SessionId, job: JobId, lease: LeaseId, for_good: bool) -> bool {
        let items = [FailItem { job, lease, for_good, error: "it broke" }];
        done(self.ask(id, &Request::Fail(List::lent(&items))))
    }

    pub fn release(&mut self, id: SessionId, job: JobId, lease: LeaseId, delay_ms: u64) -> bool {
        let items = [ReleaseItem { job, lease, delay_ms }];
        done(self.ask(id, &Request::Release(List::lent(&items))))
    }

    /// Extends a lease; says what is left of it.
    pub fn heartbeat(&mut self, id: SessionId, job: JobId, lease: LeaseId) -> Option<u32> {
        match self.ask(id, &Request::Heartbeat(List::lent(&[HeldLease { job, lease }]))) {
            Said::Leases(leases) => (!leases[0].stop).then_some(leases[0].remaining_ms),
            other => panic!("{other:?}"),
        }
    }

    /// The names of all events in the log, with their jobs.
    pub fn log(&self) -> Vec<(&'static str, u64)> {
        self.events(|event| (event.name(), event.job().0))
    }

    pub fn events<T>(&self, mut take: impl FnMut(&Event<'_>) -> T) -> Vec<T> {
        let mut all = Vec::new();
        visit_all(&self.device, Lsn(1), |record| {
            all.push(take(&Event::decode(record.head.kind, record.body).expect("an event")));
            Ok::<(), WalError>(())
        })
        .expect("the log can be read");
        all
    }
}

pub fn poll<'a>(queues: &'a [&'a str], jobs_max: u16, wait_ms: u32) -> Request<'a> {
    Request::Poll(Poll { queues: List::lent(queues), jobs_max, wait_ms, lease_ms: 10_000 })
}

fn done(said: Said) -> bool {
    match said {
        Said::Items(items) => items[0].refused.is_none(),
        other => panic!("{other:?}"),
    }
}

fn said(mut bytes: &[u8]) -> Vec<Said> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = 16 + u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
        let (frame, rest) = bytes.split_at(length);
        let (header, body) = split_frame(frame).unwrap();
        all.push(match Reply::decode(header.kind, body).unwrap() {
            Reply::HelloOk(_) => Said::Hello,
            Reply::SubmitOk(jobs) => Said::Submitted(jobs.iter().collect()),
            Reply::PollOk(jobs) => Said::Jobs(
                jobs.iter()
                    .map(|got| Got {
                        job: got.job,
                        lease: got.lease,
                        queue: got.queue.to_owned(),
                        key: got.key.to_owned(),
                        attempt: got.attempt,
                        payload: got.payload.to_owned(),
                    })
                    .collect(),
            ),
            Reply::AckOk(items) | Reply::FailOk(items) | Reply::ReleaseOk(items) => {
                Said::Items(items.iter().collect())
            }
            Reply::HeartbeatOk(leases) => Said::Leases(leases.iter().collect()),
            Reply::StatsOk(stats) => {
                Said::Stats { pending: stats.totals.pending, completed: stats.totals.completed }
            }
            Reply::SnapshotOk { lsn, .. } => Said::Snapshot(lsn),
            Reply::BackupOk(_) | Reply::ReadOk(_) => Said::Backup,
            Reply::Error(refusal) => Said::Error(refusal.code),
        });
        bytes = rest;
    }
    all
}
