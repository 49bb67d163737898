//! Events of the log.

use serde_json::{Map, Value};

use super::{moment, put_bytes};
use crate::client::{Happened, LogEvent};
use crate::codec::{self, DecodeError, Tail};
use crate::ids::Lsn;
use crate::job::StoryText;
use crate::queue::Event;
use crate::queue::events::{Move, Part};
use crate::time::Timestamp;

/// Goes through the fields of an event whose record has this number.
pub fn visit_event<'e>(event: &Event<'e>, lsn: Lsn, visit: &mut dyn FnMut(&str, codec::Value<'_>)) {
    let moved = moved_story(event);
    event.show(&mut |name, value| {
        match moved {
            Some(story) if name == "bytes" => story.show(name, &mut |name, value| visit(name, value)),
            _ => visit(name, value),
        }
        // The lease that a DISPATCH grants has its record's number.
        if (name, event.name()) == ("job", "DISPATCH") {
            visit("lease", codec::Value::Number(lsn.0));
        }
    });
}

/// The story that cleaning has moved: it is told as in the event that it came with, which the log may have forgotten.
fn moved_story<'e>(event: &Event<'e>) -> Option<StoryText<'e>> {
    match event {
        Event::Move(Move { part: Part::Story, bytes, .. }) => {
            Some(StoryText(bytes)).filter(|story| story.read().is_ok())
        }
        _ => None,
    }
}

/// Puts the fields of an event behind what is there.
pub fn put_event(json: &mut Map<String, Value>, event: &Event<'_>, lsn: Lsn) {
    visit_event(event, lsn, &mut |name, value| {
        let value = match value {
            codec::Value::Number(number) => number.into(),
            codec::Value::Flag(flag) => flag.into(),
            codec::Value::Moment(0) => Value::Null,
            codec::Value::Moment(at) => moment(Timestamp(at)),
            // What is empty is not there; but an error that says nothing is an error.
            codec::Value::Text("") if name != "error" => Value::Null,
            codec::Value::Text(text) => text.into(),
            codec::Value::Bytes(bytes) => {
                json.insert(format!("{name}_bytes"), bytes.len().into());
                return put_bytes(json, name, bytes);
            }
        };
        json.insert(name.to_owned(), value);
    });
}

/// The name of an event by its number; one of a later version has only that.
pub fn event_name(kind: u8) -> String {
    let found = Event::KINDS.iter().find(|(known, _)| *known == kind);
    found.map_or_else(|| kind.to_string(), |(_, name)| (*name).to_owned())
}

/// The number of an event, by its name in any case.
pub fn event_kind(name: &str) -> Option<u8> {
    let found = Event::KINDS.iter().find(|(_, word)| word.eq_ignore_ascii_case(name));
    found.map(|(kind, _)| *kind)
}

/// Something that happened, without what it said.
pub fn happened(happened: &Happened) -> Map<String, Value> {
    let mut json = Map::new();
    json.insert("lsn".to_owned(), happened.lsn.0.into());
    json.insert("at".to_owned(), moment(happened.at));
    json.insert("event".to_owned(), event_name(happened.kind).into());
    json.insert("job".to_owned(), happened.job.map(|job| job.0).into());
    json.insert("queue".to_owned(), (!happened.queue.is_empty()).then_some(happened.queue.as_str()).into());
    if let Some(name) = &happened.name {
        json.insert("name".to_owned(), name.as_str().into());
    }
    json
}

/// An event of a job's log. One of a later version has no name, but its number.
///
/// # Errors
/// When it is no event of any version.
pub fn event(logged: &LogEvent) -> Result<Map<String, Value>, DecodeError> {
    let LogEvent { lsn, at, kind, body } = logged;
    let mut json = Map::new();
    json.insert("lsn".to_owned(), lsn.0.into());
    json.insert("at".to_owned(), moment(*at));
    match Event::decode(*kind, body) {
        Ok(event) => {
            json.insert("event".to_owned(), event.name().into());
            put_event(&mut json, &event, *lsn);
        }
        Err(error) if error.is_unknown() => {
            json.insert("event".to_owned(), Value::Null);
            json.insert("kind".to_owned(), (*kind).into());
        }
        Err(error) => return Err(error),
    }
    Ok(json)
}
