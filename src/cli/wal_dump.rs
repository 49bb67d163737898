//! `falcon-cli wal dump`: every record, oldest first. It reads the files alone, so it works on a live or a stopped
//! master's directory.

use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Stop;
use super::args::Common;
use super::render::{Renderer, Row, put_bytes, shown};
use crate::exit::{self, Failure};
use crate::ids::Lsn;
use crate::queue::{Enqueue, Event};
use crate::time::Timestamp;
use crate::wal::{DirDevice, LogDevice, Record, SegmentIo, WalError, names, visit_all};

impl From<WalError> for Stop {
    fn from(error: WalError) -> Self {
        let status = match error {
            WalError::Io { .. } => exit::IO,
            _ => exit::REFUSED,
        };
        Stop::Failed(Failure::new(status, error))
    }
}

/// Dumps the log in a directory.
pub fn run(common: &Common, dir: &Path) -> Result<(), Stop> {
    let shown = dir.display();
    let device = DirDevice::open(dir, SegmentIo::Auto).map_err(|error| {
        let status = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => exit::NOT_FOUND,
            _ => exit::IO,
        };
        Failure::new(status, format!("the directory {shown} cannot be read: {error}"))
    })?;
    let listed = device.names().map_err(WalError::io("listing the segments"))?;
    if names::segments(&listed).is_empty() {
        return Err(Failure::new(exit::NOT_FOUND, format!("there is no log in {shown}")).into());
    }
    let mut renderer = Renderer::new(common.output);
    let visited = visit_all(&device, Lsn(1), |record| dump(&mut renderer, record))?;
    renderer.flush()?;
    if let Some(note) = visited.note {
        exit::say(&format!(
            "falcon-cli: {note}; if a master is writing this log now, that is its newest record"
        ));
    }
    Ok(())
}

fn dump(renderer: &mut Renderer, record: &Record<'_>) -> Result<(), Stop> {
    let head = &record.head;
    let event = Event::decode(head.kind, record.body).map_err(|error| {
        Failure::new(exit::REFUSED, format!("record {} cannot be read: {error}", head.lsn))
    })?;
    let (fields, rest) = fields(head.lsn.0, &event);
    let mut json = Map::new();
    json.insert("lsn".to_owned(), head.lsn.0.into());
    json.insert("term".to_owned(), head.term.into());
    json.insert("at_ms".to_owned(), head.at.0.into());
    json.insert("event".to_owned(), event.name().into());
    json.insert("job".to_owned(), event.job().0.into());
    let mut details = String::new();
    for (name, value) in fields {
        if !value.is_null() {
            let text = value.as_str().map_or_else(|| value.to_string(), |text| shown(text.as_bytes()));
            details.push_str(&format!("{name}={text} "));
        }
        json.insert(name.to_owned(), value);
    }
    if let Some((name, bytes)) = rest {
        details.push_str(&format!("{name}={}", shown(bytes)));
        json.insert(format!("{name}_bytes"), bytes.len().into());
        put_bytes(&mut json, name, bytes);
    }
    let cells = [
        (head.lsn.to_string(), 8),
        (head.at.to_string(), 13),
        (event.name().to_owned(), 8),
        (format!("job={}", event.job()), 8),
        (details, 0),
    ];
    let quiet = head.lsn.to_string();
    Ok(renderer.row(&Row { cells: &cells, json: Value::Object(json), quiet })?)
}

type Fields = Vec<(&'static str, Value)>;

/// An event's own fields, and its bytes if it has any.
fn fields<'a>(lsn: u64, event: &Event<'a>) -> (Fields, Option<(&'static str, &'a [u8])>) {
    let moment = |at: Timestamp| if at == Timestamp(0) { Value::Null } else { at.0.into() };
    match *event {
        Event::Enqueue(Enqueue {
            queue, key, priority, max_attempts, due_at, timeout_ms, payload, ..
        }) => (
            vec![
                ("queue", queue.into()),
                ("key", if key.is_empty() { Value::Null } else { key.into() }),
                ("priority", priority.into()),
                ("max_attempts", max_attempts.into()),
                ("due_at_ms", moment(due_at)),
                ("timeout_ms", timeout_ms.into()),
            ],
            Some(("payload", payload)),
        ),
        Event::Dispatch { lease_ms, attempt, worker, .. } => (
            vec![
                ("lease", lsn.into()),
                ("attempt", attempt.into()),
                ("lease_ms", lease_ms.into()),
                ("worker", worker.into()),
            ],
            None,
        ),
        Event::Ack { lease, key_until, result, .. } => {
            (vec![("lease", lease.0.into()), ("key_until_ms", moment(key_until))], Some(("result", result)))
        }
        Event::Retry { lease, retry_at, error, .. } => (
            vec![("lease", lease.0.into()), ("retry_at_ms", moment(retry_at)), ("error", error.into())],
            None,
        ),
        Event::Timeout { lease, retry_at, .. } => {
            (vec![("lease", lease.0.into()), ("retry_at_ms", moment(retry_at))], None)
        }
        Event::Dead { lease, reason, error, .. } => {
            (vec![("lease", lease.0.into()), ("reason", json!(reason.name())), ("error", error.into())], None)
        }
        Event::Release { lease, due_at, .. } => {
            (vec![("lease", lease.0.into()), ("due_at_ms", moment(due_at))], None)
        }
        Event::Move { payload, .. } => (Vec::new(), Some(("payload", payload))),
    }
}
