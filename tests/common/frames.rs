//! The frames of `protocol.md` as plain values, written from that page alone. A reply that does not
//! follow the page fails the test.

pub const MALFORMED: u16 = 1;
pub const FRAME_TOO_LARGE: u16 = 2;
pub const VERSION_MISMATCH: u16 = 3;
pub const HELLO_NEEDED: u16 = 4;
pub const UNAUTHORIZED: u16 = 5;
pub const UNKNOWN_REQUEST: u16 = 6;
pub const BAD_QUEUE_NAME: u16 = 7;
pub const BAD_VALUE: u16 = 8;
pub const PAYLOAD_TOO_LARGE: u16 = 9;
pub const LEASE_LOST: u16 = 10;
pub const STORAGE_FULL: u16 = 12;
pub const TOO_MANY_QUEUES: u16 = 14;

pub const BODY_BYTES_MAX: usize = 8_388_608;
pub const PAYLOAD_BYTES_MAX: usize = 1_048_576;

/// A body in the making.
#[derive(Clone, Default)]
pub struct Body(pub Vec<u8>);

impl Body {
    pub fn bytes(mut self, bytes: &[u8]) -> Body {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn u8(self, n: u8) -> Body {
        self.bytes(&[n])
    }

    pub fn u16(self, n: u16) -> Body {
        self.bytes(&n.to_le_bytes())
    }

    pub fn u32(self, n: u32) -> Body {
        self.bytes(&n.to_le_bytes())
    }

    pub fn u64(self, n: u64) -> Body {
        self.bytes(&n.to_le_bytes())
    }

    /// A u16 from a length; every length that a test makes fits.
    pub fn len16(self, n: usize) -> Body {
        self.u16(u16::try_from(n).expect("a length below 2^16"))
    }

    pub fn text8(self, text: &str) -> Body {
        self.u8(u8::try_from(text.len()).expect("a short text")).bytes(text.as_bytes())
    }

    pub fn bytes16(self, bytes: &[u8]) -> Body {
        self.len16(bytes.len()).bytes(bytes)
    }

    pub fn bytes32(self, bytes: &[u8]) -> Body {
        self.u32(u32::try_from(bytes.len()).expect("a length below 2^32")).bytes(bytes)
    }
}

/// A header, right or wrong.
pub fn header(body_bytes: usize, kind: u16, flags: u16, correlation: u64) -> Vec<u8> {
    let body_bytes = u32::try_from(body_bytes).expect("a length below 2^32");
    Body::default().u32(body_bytes).u16(kind).u16(flags).u64(correlation).0
}

/// A request without its correlation.
#[derive(Clone)]
pub struct Request {
    pub kind: u16,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(kind: u16, body: Body) -> Request {
        Request { kind, body: body.0 }
    }

    pub fn frame(&self, correlation: u64) -> Vec<u8> {
        [&header(self.body.len(), self.kind, 0, correlation)[..], &self.body].concat()
    }
}

pub fn hello_with(magic: u32, version: u16, token: &[u8]) -> Request {
    Request::new(1, Body::default().u32(magic).u16(version).text8("a test").bytes16(token))
}

pub fn hello(token: &[u8]) -> Request {
    hello_with(0x4E43_4C46, 1, token)
}

#[derive(Clone)]
pub struct Job {
    pub queue: String,
    pub key: String,
    pub priority: u8,
    pub max_attempts: u16,
    pub delay_ms: u64,
    pub timeout_ms: u64,
    pub payload: Vec<u8>,
}

/// A plain job; other settings by `Job { priority: 0, ..job("q", "x") }`.
pub fn job(queue: &str, payload: impl AsRef<[u8]>) -> Job {
    Job {
        queue: queue.to_string(),
        key: String::new(),
        priority: 128,
        max_attempts: 0,
        delay_ms: 0,
        timeout_ms: 0,
        payload: payload.as_ref().to_vec(),
    }
}

/// A plain job with a key.
pub fn keyed(key: &str, queue: &str) -> Job {
    Job { key: key.to_string(), ..job(queue, key) }
}

pub fn submit(jobs: &[Job]) -> Request {
    let body = jobs.iter().fold(Body::default().len16(jobs.len()), |body, job| {
        let body = body.text8(&job.queue).text8(&job.key).u8(job.priority).u16(job.max_attempts);
        body.u64(job.delay_ms).u64(job.timeout_ms).bytes32(&job.payload)
    });
    Request::new(2, body)
}

pub fn poll(queues: &[&str], jobs_max: u16, wait_ms: u32, lease_ms: u32) -> Request {
    let count = u8::try_from(queues.len()).expect("few queues");
    let body = queues.iter().fold(Body::default().u8(count), |body, queue| body.text8(queue));
    Request::new(3, body.u16(jobs_max).u32(wait_ms).u32(lease_ms))
}

pub fn ack(items: &[(u64, u64, &[u8])]) -> Request {
    let body = items.iter().fold(Body::default().len16(items.len()), |body, (job, lease, result)| {
        body.u64(*job).u64(*lease).bytes32(result)
    });
    Request::new(4, body)
}

pub fn fail(items: &[(u64, u64, bool, &str)]) -> Request {
    let body = Body::default().len16(items.len());
    let body = items.iter().fold(body, |body, (job, lease, for_good, error)| {
        body.u64(*job).u64(*lease).u8(u8::from(*for_good)).bytes16(error.as_bytes())
    });
    Request::new(5, body)
}

pub fn release(job: u64, lease: u64, delay_ms: u64) -> Request {
    release_all(&[(job, lease, delay_ms)])
}

pub fn release_all(items: &[(u64, u64, u64)]) -> Request {
    let body = Body::default().len16(items.len());
    let body =
        items.iter().fold(body, |body, (job, lease, delay_ms)| body.u64(*job).u64(*lease).u64(*delay_ms));
    Request::new(6, body)
}

pub fn heartbeat(leases: &[(u64, u64)]) -> Request {
    let body = Body::default().len16(leases.len());
    Request::new(7, leases.iter().fold(body, |body, (job, lease)| body.u64(*job).u64(*lease)))
}

pub fn stats() -> Request {
    Request::new(8, Body::default())
}

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
    pub attempt: u16,
    pub max_attempts: u16,
    pub timeout_ms: u64,
    pub lease_ms: u32,
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

#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    pub uptime_ms: u64,
    pub connections: u32,
    pub waiting_polls: u32,
    pub records: u64,
    pub syncs: u64,
    pub durable_lsn: u64,
    pub segments: u32,
    pub log_bytes: u64,
    pub totals: Counts,
    pub queues: Vec<(String, Counts)>,
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
    StatsOk(Stats),
    Error {
        code: u16,
        retry: u8,
        text: String,
    },
}

/// Reads a body from front to back and panics where it does not follow the page.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().expect("a field inside the body");
        self.0 = rest;
        *head
    }

    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let (head, rest) = self.0.split_at(len);
        self.0 = rest;
        head.to_vec()
    }

    fn text(&mut self, len: usize) -> String {
        String::from_utf8(self.bytes(len)).expect("text in UTF-8")
    }

    fn text8(&mut self) -> String {
        let len = self.u8();
        self.text(len.into())
    }

    fn list16<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.u16()).map(|_| item(self)).collect()
    }

    fn delivery(&mut self) -> Delivery {
        Delivery {
            job: self.u64(),
            lease: self.u64(),
            queue: self.text8(),
            key: self.text8(),
            priority: self.u8(),
            attempt: self.u16(),
            max_attempts: self.u16(),
            timeout_ms: self.u64(),
            lease_ms: self.u32(),
            payload: {
                let len = self.u32();
                self.bytes(len as usize)
            },
        }
    }

    fn counts(&mut self) -> Counts {
        Counts {
            pending: self.u64(),
            delayed: self.u64(),
            in_flight: self.u64(),
            completed: self.u64(),
            dead: self.u64(),
            cancelled: self.u64(),
        }
    }

    fn stats(&mut self) -> Stats {
        Stats {
            uptime_ms: self.u64(),
            connections: self.u32(),
            waiting_polls: self.u32(),
            records: self.u64(),
            syncs: self.u64(),
            durable_lsn: self.u64(),
            segments: self.u32(),
            log_bytes: self.u64(),
            totals: self.counts(),
            queues: (0..self.u32()).map(|_| (self.text8(), self.counts())).collect(),
        }
    }

    fn hello_ok(&mut self) -> Reply {
        let version = self.u16();
        self.u64(); // the session says nothing to a client
        Reply::HelloOk {
            version,
            software: self.text8(),
            body_bytes_max: self.u32(),
            payload_bytes_max: self.u32(),
            items_max: self.u16(),
        }
    }

    fn error(&mut self) -> Reply {
        let (code, retry, len) = (self.u16(), self.u8(), self.u16());
        Reply::Error { code, retry, text: self.text(len.into()) }
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
        0x8002 => Reply::SubmitOk(r.list16(|r| Submitted { job: r.u64(), duplicate: r.u8() })),
        0x8003 => Reply::PollOk(r.list16(Reader::delivery)),
        0x8004..=0x8006 => Reply::Done(kind, r.list16(|r| (r.u64(), r.u16()))),
        0x8007 => Reply::HeartbeatOk(r.list16(|r| (r.u64(), r.u8(), r.u32()))),
        0x8008 => Reply::StatsOk(r.stats()),
        0x80FF => r.error(),
        other => panic!("a reply of unknown kind {other:#06x}"),
    };
    assert!(r.0.is_empty(), "{} bytes left over behind {reply:?}", r.0.len());
    reply
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

/// An error with this code, a sentence, and the word that a retry does not help. Gives the sentence.
#[track_caller]
pub fn expect_error(reply: Reply, expected: u16) -> String {
    match reply {
        Reply::Error { code, retry: 0, text } if code == expected && !text.trim().is_empty() => text,
        other => panic!("the error {expected}, not {other:?}"),
    }
}
