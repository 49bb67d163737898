//! What is told of workers and to them, and what happened to a job.

use super::Reply;
use super::reader::Reader;

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

impl Reader<'_> {
    pub fn heartbeat_ok(&mut self) -> Reply {
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

    pub fn worker(&mut self) -> KnownWorker {
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

    pub fn log_ok(&mut self) -> Reply {
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
}
