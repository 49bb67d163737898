//! Events of the log as `wal dump` and `job log` show them.

use serde_json::{Map, Value};

use super::render::{beginning, put_bytes, shown};
use super::table::{Column, number, text};
use super::when::{self, Wall};
use crate::codec;
use crate::ids::Lsn;
use crate::queue::Event;
use crate::time::Timestamp;

/// Number, moment, name, subject and details of an event.
pub const COLUMNS: [Column; 5] = [number(""), text(""), text(""), text(""), text("")];

/// An event's fields, in both ways.
pub struct Fields {
    pub json: Map<String, Value>,
    /// The first field, which says what it is about.
    pub subject: String,
    pub details: String,
}

impl Fields {
    /// Those of an event whose record has this number; `json` holds what comes before them.
    pub fn of(event: &Event<'_>, lsn: Lsn, json: Map<String, Value>, wall: &Wall) -> Fields {
        let mut fields = Fields { json, subject: String::new(), details: String::new() };
        event.show(&mut |name, value| {
            fields.add(name, value, wall);
            // The lease that a DISPATCH grants has its record's number.
            if (name, event.name()) == ("job", "DISPATCH") {
                fields.add("lease", codec::Value::Number(lsn.0), wall);
            }
        });
        fields
    }

    fn add(&mut self, name: &str, value: codec::Value<'_>, wall: &Wall) {
        let (text, value) = match value {
            codec::Value::Number(number) => (number.to_string(), number.into()),
            codec::Value::Flag(flag) => (flag.to_string(), flag.into()),
            codec::Value::Moment(0) => return self.add_json(name, Value::Null),
            codec::Value::Moment(at) => (wall.shown(Timestamp(at)), when::json(Timestamp(at))),
            // What is empty is not there; but an error that says nothing is an error.
            codec::Value::Text("") if name != "error" => return self.add_json(name, Value::Null),
            codec::Value::Text(text) => (shown(text.as_bytes()), text.into()),
            codec::Value::Bytes(bytes) => {
                self.json.insert(format!("{name}_bytes"), bytes.len().into());
                put_bytes(&mut self.json, name, bytes);
                return self.add_text(name, &beginning(bytes));
            }
        };
        self.add_text(name, &text);
        self.add_json(name, value);
    }

    fn add_json(&mut self, name: &str, value: Value) {
        self.json.insert(name.to_owned(), value);
    }

    fn add_text(&mut self, name: &str, text: &str) {
        let to = if self.subject.is_empty() { &mut self.subject } else { &mut self.details };
        let space = if to.is_empty() { "" } else { " " };
        to.push_str(&format!("{space}{name}={text}"));
    }
}
