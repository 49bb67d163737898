//! Recent, and what answers it.

use super::reader::Reader;
use super::{Body, Reply, Request};

/// What happened lately.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecentPage {
    pub next: u64,
    pub missed: u64,
    pub events: Vec<Recent>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recent {
    pub lsn: u64,
    pub at: u64,
    pub kind: u8,
    /// 0 for none.
    pub job: u64,
    pub queue: String,
    pub name: String,
}

pub fn recent(after: u64, most: u16) -> Request {
    Request::new(49, Body::default().u64(after).u16(most).plain())
}

impl Reader<'_> {
    pub fn recent_ok(&mut self) -> Reply {
        let (next, missed) = (self.u64(), self.u64());
        let events = self.list(|r| {
            let (lsn, at, kind, job) = (r.u64(), r.u64(), r.u8(), r.u64());
            let mut event = Recent { lsn, at, kind, job, queue: r.text(), name: String::new() };
            r.extras_by(|tag, r| {
                assert_eq!(tag, 1, "an extra of an event");
                event.name = r.text();
                false
            });
            event
        });
        Reply::RecentOk(RecentPage { next, missed, events })
    }
}
