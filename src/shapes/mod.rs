//! Shapes: jobs, queues and all else as JSON, the same from `falcon-cli --output json` and over HTTP, and what is read
//! of JSON. Moments are RFC 3339 in UTC, spans numbers of milliseconds with `_ms` in their names, and what is not there
//! is left out or null.

mod entry;
mod event;
mod job;
mod operate;
mod schedule;
mod stats;
pub mod values;

use serde_json::Value;

pub use entry::Entry;
pub use event::{event, event_kind, event_name, happened, put_event, visit_event};
pub use job::{
    JobFact, bits, changeable, end_word, error_kind, facts, job, kind_text, later, listed, mended, standing, submitted,
};
pub use operate::{batch, batch_state, group, listed_batch, queue, queue_settings, why, worker, worker_state};
pub use schedule::{listed_schedule, missed, outcome, schedule, told};
pub use stats::{LOG_FIGURES, STATS_COUNTS, stats, storage};
pub use values::Earlier;

use crate::time::Timestamp;

/// A moment in JSON: RFC 3339, in UTC.
pub fn moment(at: Timestamp) -> Value {
    at.rfc3339().into()
}

/// Bytes for JSON: as `NAME` if they are text, else as hexadecimal digits under `NAME_hex`.
pub fn put_bytes(object: &mut serde_json::Map<String, Value>, name: &str, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        object.insert(name.to_owned(), text.into())
    } else {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        object.insert(format!("{name}_hex"), digits.into())
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_text_are_told_in_digits() {
        let mut object = serde_json::Map::new();
        put_bytes(&mut object, "result", b"ok");
        put_bytes(&mut object, "payload", &[0xff, 0x00]);
        assert_eq!(Value::Object(object).to_string(), r#"{"result":"ok","payload_hex":"ff00"}"#);
    }
}
