//! The parts that every job passes through, each by itself: frames to requests and back (codec), a job's life in the
//! index (queue), records into a mapped segment and onto the disk (wal).
//!
//! Run by `cargo bench --bench micro [-- NAME]`. `cargo test` runs each once.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use tempfile::TempDir;

use falconqueue::ids::{JobId, LeaseId, Location, Lsn, SessionId};
use falconqueue::job::Settings;
use falconqueue::master::{Config, Master, SyncMode};
use falconqueue::protocol::frame::split_frame;
use falconqueue::protocol::{
    self, AckItem, Hello, List, Measure, Poll, Reply, Request, Submit, SubmitJob, SubmitOk, Submitted,
};
use falconqueue::queue::events::{Ack, Dispatch, Enqueue};
use falconqueue::queue::{Event, Queues};
use falconqueue::rebuilt::Rebuilt;
use falconqueue::time::Timestamp;
use falconqueue::wal::{DirDevice, MemoryDevice, NewRecord, Progress, SegmentIo, Wal, WalConfig, record_bytes};

const PAYLOAD: [u8; 256] = [b'x'; 256];
const SEGMENT_BYTES: u32 = 4 << 20;
/// Records of one round of the log's benches; they fit into one segment.
const RECORDS: u64 = 1000;
/// Records of a group, as many jobs as share a sync with fifty producers.
const GROUP: u64 = 40;

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    let job = SubmitJob { queue: "mail", payload: &PAYLOAD, ..SubmitJob::default() };
    let mut frame = Vec::new();
    Request::from(Submit::of(&[job])).encode(1, &mut frame);
    group.bench_function("submit of 256 bytes, read and checked", |b| {
        b.iter(|| {
            let (header, body) = split_frame(black_box(&frame)).expect("a whole frame");
            let request = Request::decode(header.kind, body).expect("a request within its bounds");
            black_box(&request);
        });
    });
    let submitted = [Submitted { job: JobId(7), ..Submitted::default() }];
    let mut out = Vec::new();
    group.bench_function("its answer, written", |b| {
        b.iter(|| {
            out.clear();
            Reply::SubmitOk(SubmitOk { jobs: List::lent(black_box(&submitted)) }).encode(1, &mut out);
            black_box(&out);
        });
    });
    group.finish();
}

/// A job comes, goes out and is done, beside so many that wait.
fn queue(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue");
    for waiting in [0, 1_000_000] {
        let (mut queues, mut lsn) = (Queues::default(), 0);
        let mut apply = |queues: &mut Queues, event: Event<'_>| {
            lsn += 1;
            queues.apply(Lsn(lsn), Timestamp(1000), &event, Location::default()).expect("it fits");
            LeaseId(lsn)
        };
        let enqueue = |job: u64, priority: u8| {
            let settings = Settings { priority, ..Settings::default() };
            Enqueue { job: JobId(job), queue: "mail", settings, ..Enqueue::default() }.into()
        };
        for job in 1..=waiting {
            apply(&mut queues, enqueue(job, 200));
        }
        let mut last = waiting;
        group.bench_function(format!("a job's life beside {waiting}"), |b| {
            b.iter(|| {
                last += 1;
                apply(&mut queues, enqueue(last, 100));
                let job = JobId(last);
                let event = Dispatch { job, lease_ms: 30_000, attempt: 1, worker: "worker" }.into();
                let lease = apply(&mut queues, event);
                apply(&mut queues, Ack { job, lease, ..Ack::default() }.into());
            });
        });
    }
    group.finish();
}

/// A request as it comes from a client, and no answer read but the length of it.
fn tell(master: &mut Master, session: SessionId, request: &Request<'_>) {
    let mut frame = Vec::new();
    request.encode(1, &mut frame);
    let (header, body) = split_frame(&frame).expect("a whole frame");
    master.receive(session, &header, body, Timestamp(1000)).expect("a log that takes it");
    master.finish_turn(Timestamp(1000)).expect("a log that takes it");
    while master.next_ready().is_some() {}
    let outbox = master.outbox(session).expect("the session");
    outbox.consume(outbox.ready_bytes());
}

/// A job is submitted, handed out and acked, by a master without a disk; and all that it counts is told.
fn master(c: &mut Criterion) {
    let mut group = c.benchmark_group("master");
    let config = Config { sync: SyncMode::Never, beside: false, segment_bytes: 64 << 20, ..Config::default() };
    let device = Arc::new(MemoryDevice::default());
    let mut master = Master::open(config, device, &Progress::default()).expect("a log that is begun").master;
    master.start(Timestamp(1000));
    let session = master.connected();
    tell(&mut master, session, &Hello::new("bench", b"").into());
    let job = SubmitJob { queue: "mail", payload: b"x", ..SubmitJob::default() };
    let poll = Poll { queues: List::lent(&["mail"]), free: 1, lease_ms: 10_000, ..Poll::default() };
    // Ids and LSNs follow each other.
    let (mut last_job, mut last_lsn) = (0, 0);
    group.bench_function("a job's life", |b| {
        b.iter(|| {
            tell(&mut master, session, &Submit::of(&[job]).into());
            tell(&mut master, session, &poll.into());
            (last_job, last_lsn) = (last_job + 1, last_lsn + 3);
            let (job, lease) = (JobId(last_job), LeaseId(last_lsn - 1));
            let done = [AckItem { job, lease, ..AckItem::default() }];
            tell(&mut master, session, &protocol::Ack { items: List::lent(&done) }.into());
            assert_eq!(master.queues().totals().completed, last_job);
        });
    });
    for number in 0..10_000 {
        tell(&mut master, session, &Submit::of(&[SubmitJob { queue: &format!("q{number}"), ..job }]).into());
    }
    group.bench_function("all measures of 10,000 queues", |b| {
        b.iter(|| tell(&mut master, session, &Measure {}.into()));
    });
    group.finish();
}

fn log() -> (TempDir, Wal) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let device = DirDevice::open(dir.path(), SegmentIo::Auto).expect("the directory");
    let config = WalConfig { segment_bytes: SEGMENT_BYTES, log_id: 1, beside: false };
    let wal = Wal::open(Arc::new(device), config, &Progress::default(), &mut Rebuilt::default());
    (dir, wal.expect("a log that is begun"))
}

fn append(wal: &mut Wal) {
    let entry = NewRecord {
        at: Timestamp(1000),
        kind: 1,
        head: b"about thirty bytes of a head..",
        tail: &PAYLOAD,
        more: false,
    };
    wal.begin_group(record_bytes(entry.head.len() + entry.tail.len())).expect("room");
    black_box(wal.append(&entry).expect("a record"));
}

fn sync(wal: &mut Wal) {
    let request = wal.sync_request().expect("something to make durable");
    wal.synced(&request.run()).expect("a disk that works");
}

fn wal(c: &mut Criterion) {
    let mut group = c.benchmark_group("wal");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("records of 256 bytes, appended", |b| {
        b.iter_batched(
            log,
            |(dir, mut wal)| {
                (0..RECORDS).for_each(|_| append(&mut wal));
                (dir, wal)
            },
            BatchSize::PerIteration,
        );
    });
    for records in [1, GROUP] {
        let (dir, mut wal) = log();
        group.throughput(Throughput::Elements(records));
        group.bench_function(format!("groups of {records}, made durable"), |b| {
            b.iter(|| {
                (0..records).for_each(|_| append(&mut wal));
                sync(&mut wal);
            });
        });
        drop((wal, dir));
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    codec(&mut criterion);
    queue(&mut criterion);
    master(&mut criterion);
    wal(&mut criterion);
    criterion.final_summary();
}
