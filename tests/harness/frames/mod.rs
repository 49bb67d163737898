//! The frames of `protocol.md` as plain values, written from that page alone. A reply that does not
//! follow the page fails the test.

// Each crate of tests speaks the part of the page that it needs.
#![allow(dead_code)]

mod batches;
mod known;
mod measures;
mod mending;
mod queues;
mod reader;
mod recent;
mod replies;
mod scans;
mod schedules;
mod storage;
mod workers;

pub use batches::*;
pub use known::*;
pub use measures::*;
pub use mending::*;
pub use queues::*;
pub use recent::*;
pub use replies::*;
pub use scans::*;
pub use schedules::*;
pub use storage::*;
pub use workers::*;

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
pub const NOT_FOUND: u16 = 11;
pub const STORAGE_FULL: u16 = 12;
pub const TOO_MANY_CONNECTIONS: u16 = 13;
pub const TOO_MANY_QUEUES: u16 = 14;
pub const SHUTTING_DOWN: u16 = 15;
pub const STARTING: u16 = 16;
pub const NOT_UNDERSTOOD: u16 = 18;
pub const TOO_SLOW: u16 = 19;
pub const UNAVAILABLE: u16 = 17;
pub const MEMORY_FULL: u16 = 20;
pub const CANCELLED: u16 = 21;
pub const QUEUE_PAUSED: u16 = 22;
pub const QUEUE_FULL: u16 = 23;
pub const WRONG_STATE: u16 = 24;
pub const TOO_MANY_GROUPS: u16 = 25;
pub const KEY_HELD: u16 = 26;
pub const TOO_MANY_BATCHES: u16 = 27;
pub const FORBIDDEN: u16 = 28;

pub const ACK_OK: u16 = 0x8004;
pub const FAIL_OK: u16 = 0x8005;
pub const RELEASE_OK: u16 = 0x8006;
pub const MEND_OK: u16 = 0x8015;

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

    pub fn text(self, text: &str) -> Body {
        self.len16(text.len()).bytes(text.as_bytes())
    }

    /// The mark that no extras follow.
    pub fn plain(self) -> Body {
        self.u8(0)
    }

    /// Extras, those that are there, in the order of their tags.
    pub fn extras(self, extras: &[(u8, Option<Body>)]) -> Body {
        let there = extras.iter().filter_map(|(tag, value)| Some((*tag, value.as_ref()?)));
        let count = u8::try_from(there.clone().count()).expect("a few extras");
        there.fold(self.u8(count), |body, (tag, value)| body.u8(tag).len16(value.0.len()).bytes(&value.0))
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

pub fn hello_with(magic: u32, versions: (u16, u16), token: &[u8]) -> Request {
    let body = Body::default().u32(magic).u16(versions.0).u16(versions.1);
    Request::new(1, body.text("a test").bytes32(token).u64(0).plain())
}

pub fn hello(token: &[u8]) -> Request {
    hello_with(0x4E43_4C46, (1, 1), token)
}

#[derive(Clone)]
pub struct Job {
    pub queue: String,
    pub key: String,
    /// Empty for none.
    pub group: String,
    pub unique_for_ms: Option<u64>,
    pub unique_until_start: Option<bool>,
    pub on_duplicate: Option<u8>,
    pub priority: u8,
    pub max_attempts: u16,
    pub delay_ms: u64,
    pub timeout_ms: u32,
    pub keep_ms: Option<u64>,
    /// The first and the longest, in milliseconds.
    pub backoff: Option<(u32, u32)>,
    pub ttl_ms: Option<u64>,
    pub headers: Vec<(String, String)>,
    /// What it waits for: by id (0), place (1), key (2), or a batch (3); the number, and the name.
    pub after: Vec<(u8, u64, String)>,
    pub if_failed: Option<u8>,
    pub with_results: bool,
    pub payload: Vec<u8>,
}

/// A plain job; other settings by `Job { priority: 0, ..job("q", "x") }`.
pub fn job(queue: &str, payload: impl AsRef<[u8]>) -> Job {
    Job {
        queue: queue.to_string(),
        key: String::new(),
        group: String::new(),
        unique_for_ms: None,
        unique_until_start: None,
        on_duplicate: None,
        priority: 128,
        max_attempts: 0,
        delay_ms: 0,
        timeout_ms: 0,
        keep_ms: None,
        backoff: None,
        ttl_ms: None,
        headers: Vec::new(),
        after: Vec::new(),
        if_failed: None,
        with_results: false,
        payload: payload.as_ref().to_vec(),
    }
}

/// A plain job with a key.
pub fn keyed(key: &str, queue: &str) -> Job {
    Job { key: key.to_string(), ..job(queue, key) }
}

pub fn submit(jobs: &[Job]) -> Request {
    let body = jobs.iter().fold(Body::default().len16(jobs.len()), |body, job| {
        let body = body.text(&job.queue).text(&job.key).u8(job.priority).u16(job.max_attempts);
        let headers = (!job.headers.is_empty()).then(|| headers(&job.headers));
        let group = (!job.group.is_empty()).then(|| Body::default().text(&job.group));
        let (keep_ms, ttl_ms) = (number(job.keep_ms), number(job.ttl_ms));
        let until_start = job.unique_until_start.map(|is_so| Body::default().u8(u8::from(is_so)));
        let on_duplicate = job.on_duplicate.map(|what| Body::default().u8(what));
        let keys = [(6, number(job.unique_for_ms)), (7, until_start), (8, on_duplicate)];
        let extras = [(1, keep_ms), (2, job.backoff.map(backoff)), (3, ttl_ms), (4, headers), (5, group)];
        let if_failed = job.if_failed.map(|what| Body::default().u8(what));
        let with_results = job.with_results.then(|| Body::default().u8(1));
        let waits = [(9, after(&job.after)), (10, if_failed), (11, with_results)];
        let extras = [&extras[..], &keys, &waits].concat();
        body.u32(job.timeout_ms).u64(job.delay_ms).extras(&extras).bytes32(&job.payload)
    });
    Request::new(2, body.plain())
}

fn after(all: &[(u8, u64, String)]) -> Option<Body> {
    let body = Body::default().len16(all.len());
    let body = all.iter().fold(body, |body, (by, number, name)| body.u8(*by).u64(*number).text(name).plain());
    (!all.is_empty()).then_some(body)
}

pub fn poll(queues: &[&str], jobs_max: u16, wait_ms: u32, lease_ms: u32) -> Request {
    let body = Body::default().len16(queues.len());
    let body = queues.iter().fold(body, |body, queue| body.text(queue));
    Request::new(3, body.u16(jobs_max).u32(wait_ms).u32(lease_ms).plain())
}

/// A poll for `free` jobs to begin and `extra` to hold.
pub fn poll_ahead(queues: &[&str], (free, extra): (u16, u16), wait_ms: u32, lease_ms: u32) -> Request {
    let body = Body::default().len16(queues.len());
    let body = queues.iter().fold(body, |body, queue| body.text(queue));
    Request::new(3, body.u16(free).u32(wait_ms).u32(lease_ms).u8(1).u8(1).u16(2).u16(extra))
}

pub fn ack(items: &[(u64, u64, &[u8])]) -> Request {
    let body = items.iter().fold(Body::default().len16(items.len()), |body, (job, lease, result)| {
        body.u64(*job).u64(*lease).plain().bytes32(result)
    });
    Request::new(4, body.plain())
}

/// An ack, and jobs that follow from it.
pub fn ack_then(job: u64, lease: u64, result: &[u8], jobs: &[Job]) -> Request {
    let item = Body::default().u64(job).u64(lease).plain().bytes32(result);
    // The list of a Submit is the same, and so is what comes behind it.
    Request::new(47, item.bytes(&submit(jobs).body))
}

pub fn fail(items: &[(u64, u64, bool, &str)]) -> Request {
    let body = Body::default().len16(items.len());
    let body = items.iter().fold(body, |body, (job, lease, for_good, error)| {
        body.u64(*job).u64(*lease).u8(u8::from(*for_good)).text(error).plain()
    });
    Request::new(5, body.plain())
}

pub fn release(job: u64, lease: u64, delay_ms: u64) -> Request {
    release_all(&[(job, lease, delay_ms)])
}

pub fn release_all(items: &[(u64, u64, u64)]) -> Request {
    let body = Body::default().len16(items.len());
    let body =
        items.iter().fold(body, |body, (job, lease, delay_ms)| body.u64(*job).u64(*lease).u64(*delay_ms).plain());
    Request::new(6, body.plain())
}

/// Of jobs that were begun.
pub fn heartbeat(leases: &[(u64, u64)]) -> Request {
    heartbeat_at(leases, 1)
}

/// Of jobs that are held, 0, or were begun, 1.
pub fn heartbeat_at(leases: &[(u64, u64)], stage: u8) -> Request {
    let body = Body::default().len16(leases.len());
    let body = leases.iter().fold(body, |body, (job, lease)| body.u64(*job).u64(*lease).u8(stage).plain());
    Request::new(7, body.plain())
}

pub fn get(job: u64) -> Request {
    Request::new(12, Body::default().u64(job).plain())
}

pub fn log(job: u64, from: u64) -> Request {
    Request::new(16, Body::default().u64(job).u64(from).plain())
}

pub fn stats() -> Request {
    Request::new(8, Body::default().plain())
}

/// A Hello of one of a worker's connections.
pub fn hello_of_worker(name: &str, instance: u64) -> Request {
    let body = Body::default().u32(0x4E43_4C46).u16(1).u16(1).text(name).bytes32(b"").u64(instance);
    let body = body.u8(4).u8(2).u16(5).text("box").u8(3).u16(4).u32(421);
    Request::new(1, body.u8(4).u16(8).text("mine 1").u8(5).u16(2).u16(4))
}

/// A Heartbeat that names no lease, of a worker that takes jobs or does not.
pub fn sign_of_life(quiet: bool) -> Request {
    let body = Body::default().len16(0);
    Request::new(7, if quiet { body.u8(1).u8(1).u16(1).u8(1) } else { body.plain() })
}

/// Which workers of this name there are; of all names if it is empty.
pub fn workers(name: &str) -> Request {
    Request::new(13, Body::default().text(name).plain())
}

pub fn order(name: &str, what: u8) -> Request {
    Request::new(14, Body::default().text(name).u8(what).plain())
}

pub fn progress(job: u64, lease: u64, percent: u8, text: &str) -> Request {
    Request::new(15, Body::default().u64(job).u64(lease).u8(percent).text(text).plain())
}
