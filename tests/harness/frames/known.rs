//! What is known of a job: the reply to Get.

use super::Reply;
use super::reader::Reader;

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
    pub more: More,
    pub history: Vec<Attempt>,
    pub error: String,
}

/// What few jobs have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct More {
    pub keep_s: Option<u32>,
    pub kept_until: Option<u64>,
    /// The first and the longest, in milliseconds.
    pub backoff: Option<(u32, u32)>,
    pub expires_at: Option<u64>,
    pub headers_bytes: Option<u32>,
    pub result_bytes: Option<u32>,
    pub is_cancelled: bool,
    /// Empty for none.
    pub group: String,
    /// What it waits for, or wants the results of.
    pub after: Vec<u64>,
    pub if_failed: Option<u8>,
    pub with_results: bool,
    pub delay_ms: Option<u64>,
    /// Empty for none.
    pub batch: String,
}

impl Reader<'_> {
    pub fn get_ok(&mut self) -> Reply {
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
        self.extras_by(|tag, value| {
            match tag {
                1 => {
                    let lease = (value.u64(), value.text(), value.u64(), value.u64());
                    known.lease = Some(value.then_extras(lease));
                }
                2 => {
                    let past = (value.u64(), value.u8());
                    known.past = Some(value.then_extras(past));
                }
                3 => {
                    let progress = (value.u8(), value.u64(), value.text());
                    known.progress = Some(value.then_extras(progress));
                }
                4 => known.more = value.more(),
                other => panic!("an extra {other} of a GetOk"),
            }
            false
        });
        self.story(&mut known);
        Reply::GetOk(known)
    }

    /// Its attempts, and why the last one ended, if any was made.
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

    fn more(&mut self) -> More {
        let mut more = More::default();
        self.extras_by(|tag, value| {
            match tag {
                1 => more.keep_s = Some(value.u32()),
                2 => more.kept_until = Some(value.u64()),
                3 => {
                    let backoff = (value.u32(), value.u32());
                    more.backoff = Some(value.then_extras(backoff));
                }
                4 => more.expires_at = Some(value.u64()),
                5 => more.headers_bytes = Some(value.u32()),
                6 => more.result_bytes = Some(value.u32()),
                7 => more.is_cancelled = value.u8() == 1,
                8 => more.group = value.text(),
                9 => more.after = value.list(Reader::u64),
                10 => more.if_failed = Some(value.u8()),
                11 => more.with_results = value.u8() == 1,
                12 => more.delay_ms = Some(value.u64()),
                13 => more.batch = value.text(),
                other => panic!("an extra {other} of what few jobs have"),
            }
            false
        });
        more
    }

    pub fn headers(&mut self) -> Vec<(String, String)> {
        self.list(|r| {
            let header = (r.text(), r.text());
            r.then_extras(header)
        })
    }
}
