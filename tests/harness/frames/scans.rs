//! Requests that look at all jobs, and say why something does not run; and what answers them.

use super::reader::Reader;
use super::{Body, Reply, Request};

/// Which jobs are meant.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub queue: Option<String>,
    pub standings: Option<u8>,
    pub key_prefix: Option<String>,
    pub error: Option<String>,
    pub error_kind: Option<u64>,
}

impl Filter {
    fn put(&self, body: Body) -> Body {
        let text = |text: &str| Body::default().text(text).0;
        let extras = [
            (1, self.queue.as_deref().map(text)),
            (2, self.standings.map(|bits| vec![bits])),
            (3, self.key_prefix.as_deref().map(text)),
            (6, self.error.as_deref().map(text)),
            (7, self.error_kind.map(|kind| kind.to_le_bytes().to_vec())),
        ];
        let said: Vec<_> = extras.into_iter().filter_map(|(tag, value)| Some((tag, value?))).collect();
        let count = u8::try_from(said.len()).expect("few extras");
        said.iter().fold(body.u8(count), |body, (tag, value)| body.u8(*tag).len16(value.len()).bytes(value))
    }
}

pub fn list_jobs(filter: &Filter, from: u64, newest_first: bool, limit: u16) -> Request {
    let body = filter.put(Body::default()).u64(from).u8(u8::from(newest_first)).u16(limit);
    Request::new(28, body.plain())
}

pub fn count_jobs(filter: &Filter, from: u64, by_error: bool) -> Request {
    Request::new(29, filter.put(Body::default()).u64(from).u8(u8::from(by_error)).plain())
}

/// A page of a change of all jobs that are meant.
pub fn mend_all(change: u8, filter: &Filter, from: u64, since: u64) -> Request {
    Request::new(30, filter.put(Body::default().u8(change)).u64(from).u64(since).plain())
}

pub fn explain(job: u64) -> Request {
    Request::new(31, Body::default().u64(job).plain())
}

pub fn explain_queue(queue: &str) -> Request {
    Request::new(32, Body::default().text(queue).plain())
}

/// A job in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub job: u64,
    pub queue: String,
    pub key: String,
    pub standing: u8,
    pub attempts: u16,
    pub error: String,
    pub error_kind: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JobsPage {
    pub rows: Vec<Row>,
    pub next: u64,
    pub looked: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ErrorCount {
    pub kind: u64,
    pub count: u64,
    /// One of the jobs, and its error.
    pub job: u64,
    pub error: String,
    /// When the first of these attempts ended, and the last; 0 if that is not told.
    pub ended: [u64; 2],
}

#[derive(Clone, Debug, PartialEq)]
pub struct CountPage {
    pub count: u64,
    pub errors: Vec<ErrorCount>,
    pub next: u64,
    pub looked: u32,
}

impl Reader<'_> {
    pub fn scanned(&mut self, kind: u16) -> Reply {
        match kind {
            0x801C => {
                let rows = self.list(Reader::row);
                Reply::ListJobsOk(JobsPage { rows, next: self.u64(), looked: self.u32() })
            }
            0x801D => {
                let count = self.u64();
                let errors = self.list(Reader::error_count);
                Reply::CountJobsOk(CountPage { count, errors, next: self.u64(), looked: self.u32() })
            }
            0x801E => {
                let page = Reply::MendAllOk(self.u64(), self.u64(), self.u64(), self.u64());
                self.u32();
                page
            }
            _ => Reply::ExplainOk(self.list(|r| {
                let reason = (r.u8(), r.text());
                r.then_extras(reason)
            })),
        }
    }

    fn error_count(&mut self) -> ErrorCount {
        let (kind, count, job, error) = (self.u64(), self.u64(), self.u64(), self.text());
        let mut told = ErrorCount { kind, count, job, error, ended: [0; 2] };
        self.extras_by(|tag, value| {
            match tag {
                1 => told.ended[0] = value.u64(),
                2 => told.ended[1] = value.u64(),
                _ => return true,
            }
            false
        });
        told
    }

    fn row(&mut self) -> Row {
        let (job, queue, key, standing) = (self.u64(), self.text(), self.text(), self.u8());
        self.u8();
        let attempts = self.u16();
        self.u16();
        self.u64();
        self.u64();
        let mut row = Row { job, queue, key, standing, attempts, error: String::new(), error_kind: 0 };
        self.extras_by(|tag, value| {
            match tag {
                2 => row.error = value.text(),
                3 => row.error_kind = value.u64(),
                _ => return true,
            }
            false
        });
        row
    }
}
