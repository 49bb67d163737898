//! What happens, as it happens: streams of server-sent events, all fed by one task that asks the master.
//!
//! Promises:
//! - However many streams are open, the master is asked four times a second, and by nobody while none is.
//! - A stream tells each event once and in order, or says `resync`: something happened that is not told, so that
//!   whoever shows something looks again. Nothing is lost without that word.
//! - Who does not read costs a bounded amount of memory: what was not taken in time becomes a `resync`.

mod pump;
mod stream;

pub use pump::pump;
pub use stream::events;

use std::sync::Arc;

use axum::body::Bytes;
use tokio::sync::{Notify, Semaphore, broadcast};

use super::problem::Problem;
use crate::client::{Client, Happened, RecentPage};
use crate::ids::{JobId, Lsn};
use crate::limits::{HTTP_STREAM_BACKLOG_MAX, HTTP_STREAM_EVENTS_MAX, HTTP_STREAMS_MAX};
use crate::shapes;

/// What all streams share.
#[derive(Debug)]
pub struct Live {
    ticks: broadcast::Sender<Arc<Tick>>,
    places: Arc<Semaphore>,
    /// There is a stream.
    wanted: Notify,
}

impl Default for Live {
    fn default() -> Live {
        Live {
            ticks: broadcast::Sender::new(HTTP_STREAM_BACKLOG_MAX),
            places: Arc::new(Semaphore::new(HTTP_STREAMS_MAX)),
            wanted: Notify::new(),
        }
    }
}

/// What happened in a piece of the log.
#[derive(Debug, Default)]
struct Tick {
    /// It tells what happened behind this record, up to that one.
    from: Lsn,
    to: Lsn,
    /// Records in it of which nothing is told.
    missed: u64,
    events: Vec<Told>,
    /// The texts of all of them.
    all: Bytes,
    /// The master is gone.
    is_last: bool,
}

/// An event as it is sent.
#[derive(Debug)]
struct Told {
    lsn: Lsn,
    kind: u8,
    job: Option<JobId>,
    queue: Box<str>,
    text: Bytes,
}

/// What happened behind a record; of a flood only that there was one, and where it ended.
fn lately(client: &Client, after: Option<Lsn>) -> Result<RecentPage, Problem> {
    let page = client.recent(after)?;
    if page.events.len() <= HTTP_STREAM_EVENTS_MAX {
        return Ok(page);
    }
    let next = client.recent(None)?.next;
    let missed = next.0 - after.map_or(0, |after| after.0);
    Ok(RecentPage { events: Vec::new(), missed, next })
}

impl Tick {
    /// What an answer of the master tells.
    fn of(from: Lsn, page: RecentPage) -> Tick {
        let RecentPage { events, missed, next } = page;
        let events: Vec<Told> = events.iter().map(Told::of).collect();
        let all = events.iter().flat_map(|told| told.text.iter().copied()).collect();
        Tick { from, to: next, missed, events, all, is_last: false }
    }
}

impl Told {
    fn of(happened: &Happened) -> Told {
        let kind = if happened.job.is_some() { "job" } else { "change" };
        let json = serde_json::Value::Object(shapes::happened(happened));
        Told {
            lsn: happened.lsn,
            kind: happened.kind,
            job: happened.job,
            queue: happened.queue.as_str().into(),
            text: message(kind, happened.lsn, &json),
        }
    }
}

/// One message of a stream. JSON has no line breaks, so that it is one line.
fn message(event: &str, lsn: Lsn, data: &serde_json::Value) -> Bytes {
    Bytes::from(format!("event: {event}\nid: {lsn}\ndata: {data}\n\n"))
}
