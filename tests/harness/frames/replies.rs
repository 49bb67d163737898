//! The replies, and how they are read.

use super::reader::Reader;
use super::{ACK_OK, BODY_BYTES_MAX, RELEASE_OK};

#[derive(Clone, Debug, PartialEq)]
pub struct Submitted {
    pub job: u64,
    pub duplicate: u8,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub job: u64,
    pub lease: u64,
    pub queue: String,
    pub key: String,
    pub priority: u8,
    pub max_attempts: u16,
    pub timeout_ms: u32,
    pub attempt: u16,
    pub lease_ms: u32,
    pub waited_ms: u32,
    pub payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub pending: u64,
    pub delayed: u64,
    pub in_flight: u64,
    pub completed: u64,
    pub dead: u64,
    pub cancelled: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    pub uptime_ms: u64,
    pub connections: u64,
    pub waiting_polls: u64,
    pub records: u64,
    pub syncs: u64,
    pub durable_lsn: u64,
    pub segments: u64,
    pub log_bytes: u64,
    pub written_bytes: u64,
    pub moved_bytes: u64,
    pub totals: Counts,
    pub queues: Vec<(String, Counts)>,
}

/// Figures by name; each that is asked for has to be there.
struct Figures(Vec<(String, u64)>);

impl Figures {
    fn of(&self, name: &str) -> u64 {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no figure {name} in {:?}", self.0)).1
    }

    fn counts(&self) -> Counts {
        Counts {
            pending: self.of("pending"),
            delayed: self.of("delayed"),
            in_flight: self.of("in_flight"),
            completed: self.of("completed"),
            dead: self.of("dead"),
            cancelled: self.of("cancelled"),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct BackupFile {
    pub name: String,
    pub bytes: u32,
    pub size: u32,
}

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub begun_at: u64,
    pub ended_at: u64,
    pub ending: u8,
    pub worker: String,
}

/// What is known of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    pub job: u64,
    pub queue: String,
    pub key: String,
    pub standing: u8,
    pub priority: u8,
    pub max_attempts: u16,
    pub timeout_ms: u32,
    pub submitted_at: u64,
    pub due_at: u64,
    pub attempts: u16,
    pub payload_bytes: u32,
    /// Lease, worker, begun at, `remaining_ms`.
    pub lease: Option<(u64, String, u64, u64)>,
    /// Ended at, ending.
    pub past: Option<(u64, u8)>,
    /// Percent, told at, text.
    pub progress: Option<(u8, u64, String)>,
    pub history: Vec<Attempt>,
    pub error: String,
}

/// An event of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    pub lsn: u64,
    pub at: u64,
    pub kind: u8,
    pub body: Vec<u8>,
}

/// A piece of what happened to a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogPage {
    pub events: Vec<Logged>,
    pub next: u64,
    /// First, last, moment of the record behind them.
    pub missing: Vec<(u64, u64, u64)>,
}

/// What is known of a worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownWorker {
    pub name: String,
    pub instance: u64,
    pub host: String,
    pub pid: u32,
    pub software: String,
    pub concurrency: u16,
    pub silent_ms: u64,
    pub quiet: u8,
    pub polls: u8,
    pub held: u32,
    pub begun: u32,
    pub queues: Vec<String>,
    /// Job, lease, stage, `had_ms`.
    pub jobs: Vec<(u64, u64, u8, u64)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    HelloOk {
        version: u16,
        software: String,
        body_bytes_max: u32,
        payload_bytes_max: u32,
        items_max: u16,
    },
    SubmitOk(Vec<Submitted>),
    PollOk(Vec<Delivery>),
    /// `AckOk`, `FailOk` or `ReleaseOk`, by its kind: job and status of each item.
    Done(u16, Vec<(u64, u16)>),
    /// Job, want, `remaining_ms`.
    HeartbeatOk(Vec<(u64, u8, u32)>),
    /// The same to whom an order is said.
    Ordered(Vec<(u64, u8, u32)>, u8),
    WorkersOk(Vec<KnownWorker>),
    OrderOk(u32),
    ProgressOk,
    StatsOk(Stats),
    SnapshotOk {
        lsn: u64,
        bytes: u64,
    },
    BackupOk(Vec<BackupFile>),
    ReadOk(Vec<u8>),
    GetOk(Known),
    LogOk(LogPage),
    Error {
        code: u16,
        retry: u8,
        text: String,
    },
}

impl Reader<'_> {
    fn delivery(&mut self) -> Delivery {
        let mut delivery = Delivery {
            job: self.u64(),
            lease: self.u64(),
            queue: self.text(),
            key: self.text(),
            priority: self.u8(),
            max_attempts: self.u16(),
            timeout_ms: self.u32(),
            attempt: self.u16(),
            lease_ms: self.u32(),
            waited_ms: self.u32(),
            payload: Vec::new(),
        };
        self.extras();
        delivery.payload = self.bytes32();
        delivery
    }

    fn figures(&mut self) -> Figures {
        Figures(self.list(|r| {
            let figure = (r.text(), r.u64());
            r.then_extras(figure)
        }))
    }

    fn stats(&mut self) -> Stats {
        let figures = self.figures();
        let queues = self.list(|r| {
            let queue = (r.text(), r.figures().counts());
            r.then_extras(queue)
        });
        Stats {
            uptime_ms: figures.of("uptime_ms"),
            connections: figures.of("connections"),
            waiting_polls: figures.of("waiting_polls"),
            records: figures.of("records"),
            syncs: figures.of("syncs"),
            durable_lsn: figures.of("durable_lsn"),
            segments: figures.of("segments"),
            log_bytes: figures.of("log_bytes"),
            written_bytes: figures.of("written_bytes"),
            moved_bytes: figures.of("moved_bytes"),
            totals: figures.counts(),
            queues,
        }
    }

    fn hello_ok(&mut self) -> Reply {
        let version = self.u16();
        self.u64(); // the session says nothing to a client
        Reply::HelloOk {
            version,
            software: self.text(),
            body_bytes_max: self.u32(),
            payload_bytes_max: self.u32(),
            items_max: self.u16(),
        }
    }

    fn get_ok(&mut self) -> Reply {
        let mut known = Known {
            job: self.u64(),
            queue: self.text(),
            key: self.text(),
            standing: self.u8(),
            priority: self.u8(),
            max_attempts: self.u16(),
            timeout_ms: self.u32(),
            submitted_at: self.u64(),
            due_at: self.u64(),
            attempts: self.u16(),
            payload_bytes: self.u32(),
            ..Known::default()
        };
        for _ in 0..self.u8() {
            let (tag, len) = (self.u8(), self.u16());
            let bytes = self.bytes(len.into());
            let mut value = Reader(&bytes);
            match tag {
                1 => known.lease = Some((value.u64(), value.text(), value.u64(), value.u64())),
                2 => known.past = Some((value.u64(), value.u8())),
                3 => known.progress = Some((value.u8(), value.u64(), value.text())),
                other => panic!("an extra {other} of a GetOk"),
            }
            value.extras();
            assert!(value.0.is_empty(), "an extra {tag} of a GetOk ends where its value does");
        }
        self.story(&mut known);
        Reply::GetOk(known)
    }

    /// What a job went through.
    fn story(&mut self, known: &mut Known) {
        let story = self.bytes32();
        let mut story = Reader(&story);
        if !story.0.is_empty() {
            known.history = story.list(|r| {
                let (begun_at, ended_at, ending) = (r.u64(), r.u64(), r.u8());
                let attempt = Attempt { begun_at, ended_at, ending, worker: r.text() };
                r.then_extras(attempt)
            });
            known.error = story.text();
            story.extras();
        }
    }

    fn heartbeat_ok(&mut self) -> Reply {
        let leases = self.list(|r| {
            let lease = (r.u64(), r.u8(), r.u32());
            r.then_extras(lease)
        });
        if self.u8() == 0 {
            return Reply::HeartbeatOk(leases);
        }
        assert_eq!((self.u8(), self.u16()), (1, 1), "the extra of a HeartbeatOk");
        Reply::Ordered(leases, self.u8())
    }

    fn worker(&mut self) -> KnownWorker {
        let worker = KnownWorker {
            name: self.text(),
            instance: self.u64(),
            host: self.text(),
            pid: self.u32(),
            software: self.text(),
            concurrency: self.u16(),
            silent_ms: self.u64(),
            quiet: self.u8(),
            polls: self.u8(),
            held: self.u32(),
            begun: self.u32(),
            queues: self.list(Reader::text),
            jobs: self.list(|r| {
                let job = (r.u64(), r.u64(), r.u8(), r.u64());
                r.then_extras(job)
            }),
        };
        self.then_extras(worker)
    }

    fn log_ok(&mut self) -> Reply {
        let events = self.list(|r| {
            let (lsn, at, kind) = (r.u64(), r.u64(), r.u8());
            r.extras();
            Logged { lsn, at, kind, body: r.bytes32() }
        });
        let mut page = LogPage { events, next: self.u64(), ..LogPage::default() };
        for _ in 0..self.u8() {
            let (tag, len) = (self.u8(), self.u16());
            assert_eq!(tag, 1, "an extra of a LogOk");
            let bytes = self.bytes(len.into());
            let mut value = Reader(&bytes);
            page.missing = value.list(|r| {
                let run = (r.u64(), r.u64(), r.u64());
                r.then_extras(run)
            });
            assert!(value.0.is_empty(), "the extra ends where its value does");
        }
        Reply::LogOk(page)
    }

    fn read_ok(&mut self) -> Reply {
        self.extras();
        Reply::ReadOk(self.bytes32())
    }
}

/// The header of a reply: the length of its body, its kind, its correlation.
pub fn decode_header(head: &[u8; 16]) -> (usize, u16, u64) {
    let mut r = Reader(head);
    let (body_bytes, kind, flags, correlation) = (r.u32() as usize, r.u16(), r.u16(), r.u64());
    assert_eq!(flags, 0, "flags of a reply");
    assert!(body_bytes <= BODY_BYTES_MAX, "a reply of {body_bytes} bytes");
    (body_bytes, kind, correlation)
}

pub fn decode(kind: u16, body: &[u8]) -> Reply {
    let mut r = Reader(body);
    let reply = match kind {
        0x8001 => r.hello_ok(),
        0x8002 => Reply::SubmitOk(r.list(|r| {
            let submitted = Submitted { job: r.u64(), duplicate: r.u8() };
            r.then_extras(submitted)
        })),
        0x8003 => Reply::PollOk(r.list(Reader::delivery)),
        ACK_OK..=RELEASE_OK => Reply::Done(
            kind,
            r.list(|r| {
                let item = (r.u64(), r.u16());
                r.then_extras(item)
            }),
        ),
        0x8007 => r.heartbeat_ok(),
        0x8008 => Reply::StatsOk(r.stats()),
        0x8009 => Reply::SnapshotOk { lsn: r.u64(), bytes: r.u64() },
        0x800A => Reply::BackupOk(r.list(|r| {
            let file = BackupFile { name: r.text(), bytes: r.u32(), size: r.u32() };
            r.then_extras(file)
        })),
        0x800B => r.read_ok(),
        0x800C => r.get_ok(),
        0x800D => Reply::WorkersOk(r.list(Reader::worker)),
        0x800E => Reply::OrderOk(r.u32()),
        0x800F => Reply::ProgressOk,
        0x8010 => r.log_ok(),
        0x80FF => Reply::Error { code: r.u16(), retry: r.u8(), text: r.text() },
        other => panic!("a reply of unknown kind {other:#06x}"),
    };
    // A tail comes last, and these have read what they have.
    if !matches!(kind, 0x8007 | 0x800B | 0x800C | 0x8010) {
        r.extras();
    }
    assert!(r.0.is_empty(), "{} bytes left over behind {reply:?}", r.0.len());
    reply
}

/// The replies of whole frames, each with its correlation.
pub fn decode_all(mut frames: &[u8]) -> Vec<(u64, Reply)> {
    let mut all = Vec::new();
    while let Some((head, rest)) = frames.split_first_chunk() {
        let (body_bytes, kind, correlation) = decode_header(head);
        let (body, rest) = rest.split_at(body_bytes);
        all.push((correlation, decode(kind, body)));
        frames = rest;
    }
    assert!(frames.is_empty(), "{} bytes of a header", frames.len());
    all
}

#[track_caller]
pub fn submitted(reply: Reply) -> Vec<Submitted> {
    match reply {
        Reply::SubmitOk(jobs) => jobs,
        other => panic!("a SubmitOk, not {other:?}"),
    }
}

#[track_caller]
pub fn delivered(reply: Reply) -> Vec<Delivery> {
    match reply {
        Reply::PollOk(jobs) => jobs,
        other => panic!("a PollOk, not {other:?}"),
    }
}

#[track_caller]
pub fn status(reply: Reply, kind: u16, job: u64) -> u16 {
    match &reply {
        Reply::Done(k, items) if *k == kind && items.len() == 1 && items[0].0 == job => items[0].1,
        other => panic!("a reply {kind:#06x} of one job, not {other:?}"),
    }
}

pub fn is_error(reply: &Reply, expected: u16) -> bool {
    matches!(reply, Reply::Error { code, .. } if *code == expected)
}

/// An error with this code, a sentence, and the word that a retry does not help. Gives the sentence.
#[track_caller]
pub fn expect_error(reply: Reply, expected: u16) -> String {
    match reply {
        Reply::Error { code, retry: 0, text } if code == expected && !text.trim().is_empty() => text,
        other => panic!("the error {expected}, not {other:?}"),
    }
}
