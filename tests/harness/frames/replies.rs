//! The replies, and how they are read.

use super::reader::Reader;
use super::{
    ACK_OK, BODY_BYTES_MAX, CountPage, GroupRow, JobsPage, Known, KnownWorker, LogPage, MEND_OK, Measured, OfBatches,
    OfSchedules, QueueFacts, RELEASE_OK, RecentPage, Storage,
};

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
    pub headers: Vec<(String, String)>,
    /// Empty for none.
    pub group: String,
    /// The jobs whose results it is to be given.
    pub results_of: Vec<u64>,
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
    pub purged: u64,
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
pub struct Figures(pub Vec<(String, u64)>);

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
            purged: self.of("purged"),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct BackupFile {
    pub name: String,
    pub bytes: u32,
    pub size: u32,
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
    /// `AckOk`, `FailOk`, `ReleaseOk` or `MendOk`, by its kind: job and status of each item.
    Done(u16, Vec<(u64, u16)>),
    /// Job, want, `remaining_ms`.
    HeartbeatOk(Vec<(u64, u8, u32)>),
    /// The same to whom an order is said.
    Ordered(Vec<(u64, u8, u32)>, u8),
    WorkersOk(Vec<KnownWorker>),
    OrderOk(u32),
    ProgressOk,
    LogOk(LogPage),
    ListJobsOk(JobsPage),
    CountJobsOk(CountPage),
    /// Done, refused, next, since.
    MendAllOk(u64, u64, u64, u64),
    /// `ExplainOk` or `ExplainQueueOk`: cause and text of each reason.
    ExplainOk(Vec<(u8, String)>),
    OfSchedules(OfSchedules),
    OfBatches(OfBatches),
    /// Status, and the ids of what follows.
    AckThenOk(u16, Vec<u64>),
    StatsOk(Stats),
    MeasureOk(Measured),
    RecentOk(RecentPage),
    StorageOk(Storage),
    SnapshotOk {
        lsn: u64,
        bytes: u64,
    },
    BackupOk(Vec<BackupFile>),
    ReadOk(Vec<u8>),
    GetOk(Known),
    FindOk(u64),
    TextOk(Vec<u8>),
    /// Job and standing of each.
    WaitOk(Vec<(u64, u8)>),
    /// The same with how far jobs are: from when on the next wait asks, and job, percent and text of each.
    Progressed(Vec<(u64, u8)>, u64, Vec<(u64, u8, String)>),
    IdleOk {
        left: u64,
        delayed: u64,
        died: u64,
        dead: u64,
    },
    /// `PauseOk`, `ResumeOk`, `SetQueueOk`, `DeleteQueueOk`, `DrainOk` or `SetGroupOk`, by its kind.
    Settled(u16),
    ShowQueueOk(QueueFacts),
    /// And where to go on.
    GroupsOk(Vec<GroupRow>, u64),
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
            headers: Vec::new(),
            group: String::new(),
            results_of: Vec::new(),
            payload: Vec::new(),
        };
        self.extras_by(|tag, value| {
            match tag {
                1 => delivery.headers = value.headers(),
                2 => delivery.group = value.text(),
                3 => delivery.results_of = value.list(Reader::u64),
                other => panic!("an extra {other} of a delivery"),
            }
            false
        });
        delivery.payload = self.bytes32();
        delivery
    }

    pub fn figures(&mut self) -> Figures {
        Figures(self.list(|r| {
            let figure = (r.text(), r.u64());
            r.then_extras(figure)
        }))
    }

    fn told(&mut self, kind: u16) -> Reply {
        match kind {
            0x8008 => Reply::StatsOk(self.stats()),
            0x8030 => self.measured(),
            0x8031 => self.recent_ok(),
            _ => self.storage(),
        }
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

    /// The replies to what looks at jobs that have ended, waits for them, and settles what holds in a queue.
    fn mending(&mut self, kind: u16) -> Reply {
        match kind {
            0x8011 => Reply::FindOk(self.u64()),
            0x8012 => {
                self.extras();
                Reply::TextOk(self.bytes32())
            }
            0x8013 => self.wait_ok(),
            0x8014 => Reply::IdleOk { left: self.u64(), delayed: self.u64(), died: self.u64(), dead: self.u64() },
            0x8016..=0x8019 | 0x801B | 0x8021 => Reply::Settled(kind),
            0x801A => self.queue_facts(),
            0x8022 => Reply::GroupsOk(self.list(Reader::group_row), self.u64()),
            other => panic!("a reply of unknown kind {other:#06x}"),
        }
    }

    fn wait_ok(&mut self) -> Reply {
        let ends = self.list(|r| {
            let end = (r.u64(), r.u8());
            r.then_extras(end)
        });
        let mut told = None;
        self.extras_by(|_, value| {
            let at = value.u64();
            let jobs = value.list(|r| {
                let job = (r.u64(), r.u8(), r.text());
                r.then_extras(job)
            });
            told = Some(value.then_extras((at, jobs)));
            false
        });
        match told {
            None => Reply::WaitOk(ends),
            Some((at, jobs)) => Reply::Progressed(ends, at, jobs),
        }
    }

    pub fn submitted(&mut self) -> Submitted {
        let submitted = Submitted { job: self.u64(), duplicate: self.u8() };
        self.then_extras(submitted)
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
        0x8002 => Reply::SubmitOk(r.list(Reader::submitted)),
        0x8003 => Reply::PollOk(r.list(Reader::delivery)),
        ACK_OK..=RELEASE_OK | MEND_OK => Reply::Done(
            kind,
            r.list(|r| {
                let item = (r.u64(), r.u16());
                r.then_extras(item)
            }),
        ),
        0x8007 => r.heartbeat_ok(),
        0x8008 | 0x8030..=0x8032 => r.told(kind),
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
        0x8011..=0x801B | 0x8021 | 0x8022 => r.mending(kind),
        0x801C..=0x8020 => r.scanned(kind),
        0x8023..=0x8029 => r.of_schedules(kind),
        0x802A..=0x802F => r.of_batches(kind),
        0x80FF => Reply::Error { code: r.u16(), retry: r.u8(), text: r.text() },
        other => panic!("a reply of unknown kind {other:#06x}"),
    };
    // A tail comes last; of what is known of a queue the extras were read.
    if !matches!(kind, 0x8007 | 0x800B | 0x800C | 0x8010 | 0x8012 | 0x8013 | 0x801A | 0x8026) {
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
