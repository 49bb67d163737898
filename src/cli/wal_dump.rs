//! `falcon-cli wal dump`: every record, oldest first. It reads the files alone, so it works on a live or a stopped
//! master's directory.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::args::{Common, Dump};
use super::render::{Renderer, Row, put_bytes, shown};
use super::{Stop, wal_dir};
use crate::exit::{self, Failure};
use crate::ids::Lsn;
use crate::queue::{Enqueue, Event};
use crate::time::Timestamp;
use crate::wal::{DirDevice, Follower, Record, RecordHead, visit_all};

/// How often a log that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Dumps the log in a directory.
pub fn run(common: &Common, args: &Dump) -> Result<(), Stop> {
    let (device, firsts) = wal_dir::open(&args.dir)?;
    let mut dumping = Dumping { args, renderer: Renderer::new(common.output), left: args.limit };
    let outcome = if args.follow {
        follow(&device, &mut dumping)
    } else {
        let from = Lsn(args.from.max(1));
        visit_all(&device, from, |record| dumping.record(record)).map(|visited| {
            let before = firsts.first().filter(|first| **first > from).map(|first| (from, Lsn(first.0 - 1)));
            before.into_iter().chain(visited.given_up).for_each(tell_given_up);
            if let Some(note) = visited.note {
                exit::say(&format!(
                    "falcon-cli: {note}; if a master is writing this log now, that is its newest record"
                ));
            }
        })
    };
    dumping.renderer.flush()?;
    outcome
}

/// Goes on as records are appended.
fn follow(device: &DirDevice, dumping: &mut Dumping<'_>) -> Result<(), Stop> {
    let mut follower = Follower::new(device, Lsn(dumping.args.from.max(1)));
    loop {
        follower.proceed(|record| dumping.record(record))?.into_iter().for_each(tell_given_up);
        dumping.renderer.flush()?;
        if dumping.renderer.is_closed_within(LOOK_EVERY)? {
            return Err(Stop::OutputClosed);
        }
    }
}

fn tell_given_up((first, last): (Lsn, Lsn)) {
    exit::say(&format!("falcon-cli: records {first} to {last} were given up, nothing in them was needed"));
}

/// A dump under way.
struct Dumping<'a> {
    args: &'a Dump,
    renderer: Renderer,
    /// How many records may still be written.
    left: Option<u64>,
}

impl Dumping<'_> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), Stop> {
        let head = &record.head;
        let event = Event::decode(head.kind, record.body).map_err(|error| {
            Failure::new(exit::REFUSED, format!("record {} cannot be read: {error}", head.lsn))
        })?;
        let Dump { jobs, events, .. } = self.args;
        let of_job = jobs.is_empty() || jobs.contains(&event.job().0);
        let of_event = events.is_empty() || events.iter().any(|name| name.eq_ignore_ascii_case(event.name()));
        if !of_job || !of_event {
            return Ok(());
        }
        if self.left != Some(0) {
            write(&mut self.renderer, head, &event)?;
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        if self.left == Some(0) { Err(Stop::Enough) } else { Ok(()) }
    }
}

fn write(renderer: &mut Renderer, head: &RecordHead, event: &Event<'_>) -> Result<(), Stop> {
    let (fields, rest) = fields(head.lsn.0, event);
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
