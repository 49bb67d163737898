//! A master driven by hand: its clock, its disk and its clients are in the test's power. No socket, no thread.

use std::sync::Arc;

use falconqueue::ids::{JobId, LeaseId, Lsn, SessionId};
use falconqueue::job::Settings;
use falconqueue::master::{Config, Master, Progress, Urgency, WalError};
use falconqueue::protocol::{
    Ack, AckItem, Fail, FailItem, Heartbeat, HeldLease, Hello, List, Release, ReleaseItem, Request, Snapshot, Stage,
    Submit, SubmitJob, VERSION,
};
use falconqueue::queue::Event;
use falconqueue::time::{Millis, Timestamp};
use falconqueue::wal::{MemoryDevice, visit_all};

use crate::frames::{self, ACK_OK, Delivery, FAIL_OK, RELEASE_OK, Reply, Submitted, delivered, status, submitted};
pub use crate::session::poll;
use crate::session::{ahead, heard, tell, tell_frame};

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

/// A plain job.
pub fn job(queue: &'static str) -> SubmitJob<'static> {
    SubmitJob { queue, settings: attempts(3), payload: b"payload", ..SubmitJob::default() }
}

/// Plain settings with this many attempts.
pub fn attempts(max_attempts: u16) -> Settings {
    Settings { max_attempts, ..Settings::default() }
}

pub fn config() -> Config {
    Config { segment_bytes: SEGMENT_BYTES, seed: 7, beside: false, ..Config::default() }
}

impl Hand {
    pub fn new() -> Hand {
        Hand::open(config(), MemoryDevice::default(), START)
    }

    pub fn open(config: Config, device: MemoryDevice, now: Timestamp) -> Hand {
        let opened = Master::open(config, Arc::new(device.clone()), &Progress::default()).expect("the log opens");
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
        self.greeted(Hello::new("hand", b""))
    }

    /// One that also says when it begins a job.
    pub fn connect_saying_begun(&mut self) -> SessionId {
        self.greeted(Hello { says_begun: Some(true), ..Hello::new("hand", b"") })
    }

    pub fn greeted(&mut self, hello: Hello<'_>) -> SessionId {
        let id = self.master.connected();
        let reply = self.ask(id, &Request::Hello(hello));
        assert!(matches!(reply, Reply::HelloOk { version: VERSION, .. }), "{reply:?}");
        id
    }

    /// Sends a request; nothing else happens.
    pub fn send(&mut self, id: SessionId, request: &Request<'_>) {
        self.correlation += 1;
        let told = tell(&mut self.master, id, self.correlation, request, self.now);
        told.expect("the log takes records");
    }

    /// The same for one that is written from the page; gives its number.
    pub fn send_frame(&mut self, id: SessionId, request: &frames::Request) -> u64 {
        self.correlation += 1;
        let told = tell_frame(&mut self.master, id, &request.frame(self.correlation), self.now);
        told.expect("the log takes records");
        self.correlation
    }

    /// A turn without input, at a moment this much later.
    pub fn pass(&mut self, span: u64) {
        self.now = self.now.plus(Millis(span));
        self.turn().expect("the log takes records");
    }

    pub fn turn(&mut self) -> Result<(), WalError> {
        self.master.begin_turn(self.now)?;
        self.master.finish_turn(self.now)?;
        self.read_log();
        self.master.queues().check();
        Ok(())
    }

    /// Reads at once what is to be read from the log.
    pub fn read_log(&mut self) {
        while let Some(request) = self.master.read_request() {
            self.master.read_done(request.run());
        }
    }

    /// Makes everything durable; says whether there was anything.
    pub fn sync(&mut self) -> bool {
        let Some(request) = self.master.sync_request(self.now, Urgency::Quiet) else { return false };
        self.master.synced(&request.run()).expect("the sync works");
        true
    }

    /// All that may leave to this client now.
    pub fn heard(&mut self, id: SessionId) -> Vec<Reply> {
        heard(&mut self.master, id).into_iter().map(|(_, reply)| reply).collect()
    }

    /// The same, each with the number of its request.
    pub fn heard_numbered(&mut self, id: SessionId) -> Vec<(u64, Reply)> {
        heard(&mut self.master, id)
    }

    /// Sends a request and waits for its one answer: a turn, a sync, and the time that a poll waits.
    pub fn ask(&mut self, id: SessionId, request: &Request<'_>) -> Reply {
        self.send(id, request);
        self.answer(id)
    }

    /// The same for one that is written from the page.
    pub fn ask_frame(&mut self, id: SessionId, request: &frames::Request) -> Reply {
        self.send_frame(id, request);
        self.answer(id)
    }

    fn answer(&mut self, id: SessionId) -> Reply {
        self.turn().expect("the log takes records");
        self.sync();
        let mut all = self.heard(id);
        assert_eq!(all.len(), 1, "one answer: {all:?}");
        all.remove(0)
    }

    pub fn submit(&mut self, id: SessionId, jobs: &[SubmitJob<'_>]) -> Vec<Submitted> {
        submitted(self.ask(id, &Request::Submit(Submit::of(jobs))))
    }

    /// The id of one submitted job.
    pub fn put(&mut self, id: SessionId, job: SubmitJob<'_>) -> u64 {
        self.submit(id, &[job])[0].job
    }

    /// Takes a snapshot; returns the newest LSN that it holds.
    pub fn snapshot(&mut self, id: SessionId) -> u64 {
        self.send(id, &Request::Snapshot(Snapshot {}));
        for _ in 0..1000 {
            self.turn().expect("the log takes records");
            self.sync();
            match self.heard(id).pop() {
                Some(Reply::SnapshotOk { lsn, .. }) => return lsn,
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
        panic!("a snapshot is never done");
    }

    /// Polls without waiting.
    pub fn poll(&mut self, id: SessionId, queues: &[&str], jobs_max: u16) -> Vec<Delivery> {
        delivered(self.ask(id, &poll(queues, jobs_max, 0)))
    }

    /// The same, for so many jobs of which a half is only to be held.
    pub fn poll_ahead(&mut self, id: SessionId, queues: &[&str], jobs_max: u16) -> Vec<Delivery> {
        let extra = (jobs_max > 1).then_some(jobs_max / 2);
        delivered(self.ask(id, &ahead(&poll(queues, jobs_max - jobs_max / 2, 0), extra)))
    }

    /// Polls for one job that has to be there.
    pub fn take(&mut self, id: SessionId, queue: &str) -> Delivery {
        self.poll(id, &[queue], 1).pop().expect("a job")
    }

    /// Acks; says whether it was done.
    pub fn ack(&mut self, id: SessionId, job: u64, lease: u64) -> bool {
        let items = [AckItem { job: JobId(job), lease: LeaseId(lease), result: b"result", ..AckItem::default() }];
        status(self.ask(id, &Request::Ack(Ack { items: List::lent(&items) })), ACK_OK, job) == 0
    }

    pub fn fail(&mut self, id: SessionId, job: u64, lease: u64, for_good: bool) -> bool {
        let items =
            [FailItem { job: JobId(job), lease: LeaseId(lease), for_good, error: "it broke", ..FailItem::default() }];
        status(self.ask(id, &Request::Fail(Fail { items: List::lent(&items) })), FAIL_OK, job) == 0
    }

    pub fn release(&mut self, id: SessionId, job: u64, lease: u64, delay_ms: u64) -> bool {
        let items = [ReleaseItem { job: JobId(job), lease: LeaseId(lease), delay_ms }];
        status(self.ask(id, &Request::Release(Release { items: List::lent(&items) })), RELEASE_OK, job) == 0
    }

    /// Extends a lease; says what is left of it.
    pub fn heartbeat(&mut self, id: SessionId, job: u64, lease: u64) -> Option<u32> {
        self.heartbeat_at(id, job, lease, Stage::Held)
    }

    /// The same, and says how far the job is.
    pub fn heartbeat_at(&mut self, id: SessionId, job: u64, lease: u64, stage: Stage) -> Option<u32> {
        let held = [HeldLease { job: JobId(job), lease: LeaseId(lease), stage }];
        match &self.ask(id, &Request::Heartbeat(Heartbeat { leases: List::lent(&held), ..Heartbeat::default() })) {
            Reply::HeartbeatOk(items) if items.len() == 1 && items[0].0 == job => {
                (items[0].1 == 0).then_some(items[0].2)
            }
            other => panic!("a HeartbeatOk of one job, not {other:?}"),
        }
    }

    /// The names of all events in the log, with their jobs.
    pub fn log(&self) -> Vec<(&'static str, u64)> {
        self.events(|event| (event.name(), event.job().map_or(0, |job| job.0)))
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
