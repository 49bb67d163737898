//! What a job costs in memory management once the daemon has met as many at once: nothing. The log is a real one,
//! on disk. The allocator that counts is that of all tests beside it, but each thread has a count of its own.

use std::io::IoSlice;
use std::sync::Arc;

use allocation_counter::measure;
use falconqueue::ids::SessionId;
use falconqueue::master::{Config, Master, Progress, SyncThread, Urgency};
use falconqueue::protocol::frame::split_frame;
use falconqueue::protocol::{Ack, AckItem, Hello, List, Poll, Reply, Request, Submit, SubmitJob};
use falconqueue::time::{Millis, Timestamp};
use falconqueue::wal::{DirDevice, SegmentIo};

/// As many as one request of the test carries at most.
const JOBS_MAX: usize = 16;

struct Loop {
    master: Master,
    sync: SyncThread,
    now: Timestamp,
    /// What was sent last, and what came back.
    sent: Vec<u8>,
    heard: Vec<u8>,
}

impl Loop {
    /// A worker has an instance, a producer has none.
    fn connect(&mut self, instance: u64) -> SessionId {
        let id = self.master.connected();
        self.send(id, &Request::Hello(Hello { instance, ..Hello::new("steady", b"") }));
        self.turn();
        self.hear(id);
        id
    }

    fn send(&mut self, id: SessionId, request: &Request<'_>) {
        self.sent.clear();
        request.encode(1, &mut self.sent);
        let (header, body) = split_frame(&self.sent).unwrap();
        self.master.receive(id, &header, body, self.now).unwrap();
    }

    /// A turn, and the sync that it asks for, by the thread that makes it in the daemon.
    fn turn(&mut self) {
        self.now = self.now.plus(Millis(1));
        self.master.begin_turn(self.now).unwrap();
        self.master.finish_turn(self.now).unwrap();
        if let Some(request) = self.master.sync_request(self.now, Urgency::Quiet) {
            self.sync.submit(request);
            self.master.synced(&self.sync.wait().unwrap()).unwrap();
        }
        while self.master.next_ready().is_some() {}
    }

    /// Takes all that may leave to this connection.
    fn hear(&mut self, id: SessionId) {
        self.heard.clear();
        let outbox = self.master.outbox(id).unwrap();
        while outbox.ready_bytes() > 0 {
            let mut pieces = [IoSlice::new(&[]); 8];
            let count = outbox.fill(&mut pieces);
            let before = self.heard.len();
            pieces[..count].iter().for_each(|piece| self.heard.extend_from_slice(piece));
            outbox.consume(self.heard.len() - before);
        }
        assert!(!self.heard.is_empty(), "an answer");
    }

    /// `count` jobs are submitted in one request to a worker that waits; it acks them and asks for the next.
    fn cycle(&mut self, producer: SessionId, worker: SessionId, count: usize) {
        let queues = ["steady"];
        let poll = Poll {
            queues: List::lent(&queues),
            free: count as u16,
            wait_ms: 1000,
            lease_ms: 10_000,
            ..Poll::default()
        };
        self.send(worker, &Request::Poll(poll));
        self.turn();
        let job = SubmitJob { queue: "steady", payload: &[b'x'; 256], ..SubmitJob::default() };
        let jobs = [job; JOBS_MAX];
        self.send(producer, &Request::Submit(Submit::of(&jobs[..count])));
        self.turn();
        self.hear(producer);
        self.hear(worker);
        let mut acks = [AckItem::default(); JOBS_MAX];
        let (header, body) = split_frame(&self.heard).unwrap();
        let Reply::PollOk(got) = Reply::decode(header.kind, body).unwrap() else { panic!("no jobs") };
        let mut came = 0;
        for (ack, got) in acks.iter_mut().zip(got.jobs.iter()) {
            (ack.job, ack.lease) = (got.job, got.lease);
            came += 1;
        }
        assert_eq!(came, count);
        self.send(worker, &Request::Ack(Ack { items: List::lent(&acks[..count]) }));
        self.turn();
        self.hear(worker);
    }
}

#[test]
fn a_job_allocates_nothing_in_the_steady_state() {
    let home = tempfile::tempdir().unwrap();
    let device = DirDevice::open(home.path(), SegmentIo::Map).unwrap();
    let config = Config { beside: false, ..Config::default() };
    let opened = Master::open(config, Arc::new(device), &Progress::default()).unwrap();
    let now = Timestamp(1_000_000);
    let sync = SyncThread::start(|| {}).unwrap();
    let mut steady = Loop { master: opened.master, sync, now, sent: Vec::new(), heard: Vec::new() };
    steady.master.start(now);
    let (producer, worker) = (steady.connect(0), steady.connect(7));
    for count in [1, JOBS_MAX] {
        for _ in 0..1000 {
            steady.cycle(producer, worker, count);
        }
        let seen = measure(|| {
            for _ in 0..1000 {
                steady.cycle(producer, worker, count);
            }
        });
        assert_eq!(seen.count_total, 0, "{seen:?} in 1,000 times {count} jobs");
    }
}
