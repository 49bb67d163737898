//! Events of the log as `wal dump` and `job log` show them.

use super::render::{beginning, shown};
use super::table::{Column, number, text};
use super::when::Wall;
use crate::codec;
use crate::ids::Lsn;
use crate::queue::Event;
use crate::shapes::visit_event;
use crate::time::Timestamp;

/// Number, moment, name, subject and details of an event.
pub const COLUMNS: [Column; 5] = [number(""), text(""), text(""), text(""), text("")];

/// An event's fields as they are shown in a table.
#[derive(Default)]
pub struct Fields {
    /// The first field, which says what it is about.
    pub subject: String,
    pub details: String,
}

impl Fields {
    /// Those of an event whose record has this number.
    pub fn of(event: &Event<'_>, lsn: Lsn, wall: &Wall) -> Fields {
        let mut fields = Fields::default();
        visit_event(event, lsn, &mut |name, value| fields.add(name, value, wall));
        fields
    }

    fn add(&mut self, name: &str, value: codec::Value<'_>, wall: &Wall) {
        let text = match value {
            codec::Value::Number(number) => number.to_string(),
            codec::Value::Flag(flag) => flag.to_string(),
            codec::Value::Moment(0) => return,
            codec::Value::Moment(at) => wall.shown(Timestamp(at)),
            codec::Value::Text("") if name != "error" => return,
            codec::Value::Text(text) => shown(text.as_bytes()),
            codec::Value::Bytes(bytes) => beginning(bytes),
        };
        let to = if self.subject.is_empty() { &mut self.subject } else { &mut self.details };
        let space = if to.is_empty() { "" } else { " " };
        to.push_str(&format!("{space}{name}={text}"));
    }
}
