//! The format of `examples/jobs.json`: an array of jobs, or jobs one after the other, as in a file of JSON lines. A
//! file that is not of this format, or names a value out of bounds, is refused whole, with the line and column, before
//! anything is submitted.

use std::collections::{BTreeMap, HashSet};

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use super::args::{Earlier, backoff, check_header, check_headers, earlier, if_failed};
use crate::client::headers;
use crate::ids::{check_group_name, check_key, check_queue_name};
use crate::job::{Backoff, IfFailed, Settings, Unique};
use crate::limits::{
    ATTEMPTS_MAX, DELAY_MS_MAX, HEADERS_BYTES_MAX, KEEP_MS_MAX, KEY_WINDOW_MS_MAX, PAYLOAD_BYTES_MAX, PRIORITY_DEFAULT,
    TIMEOUT_MS_MAX, TIMEOUT_MS_MIN,
};
use crate::protocol::After;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileJob<'a> {
    /// Becomes the key, and may be called so.
    #[serde(alias = "key", deserialize_with = "checked_key")]
    pub id: String,
    /// Sent as the bytes that stand in the file.
    #[serde(borrow, deserialize_with = "checked_payload")]
    pub payload: &'a RawValue,
    /// If none is named, the command line's.
    #[serde(default, deserialize_with = "checked_queue")]
    pub queue: Option<String>,
    /// Its key is held so long from the submit on; without it to its end, and for the key window.
    #[serde(default, deserialize_with = "checked_unique_for")]
    pub unique_for_ms: Option<u64>,
    /// `"until-start"`: its key is held until it is handed out for the first time.
    #[serde(default, deserialize_with = "checked_unique")]
    pub unique: Option<Unique>,
    /// A name inside the queue; without it the job is in none.
    #[serde(default, deserialize_with = "checked_group")]
    pub group: Option<String>,
    /// It waits for these to end: ids of jobs, `"item:0"` for an earlier entry by its place, `"key:KEY"` for the job
    /// that holds a key, as an earlier entry does, and `"batch:NAME"`.
    #[serde(default, deserialize_with = "checked_after")]
    pub after: Vec<Earlier>,
    /// What becomes of it if one of those does not complete: `"cancel"`, `"run"` or `"wait"`.
    #[serde(default, deserialize_with = "checked_if_failed")]
    pub if_failed: IfFailed,
    /// It is given the results of those.
    #[serde(default)]
    pub with_results: bool,
    /// 0 is the most urgent, 255 the least.
    #[serde(default = "default_priority")]
    pub priority: u8,
    /// Not delivered before this has passed.
    #[serde(default, deserialize_with = "checked_delay")]
    pub delay_ms: u64,
    /// How long an attempt may run; without it there is no bound.
    #[serde(default, deserialize_with = "checked_timeout")]
    pub timeout_ms: u32,
    /// How many attempts the job gets; without it the master's default.
    #[serde(default, deserialize_with = "checked_attempts")]
    pub max_attempts: u16,
    /// Kept so long after its end; without it as its queue says.
    #[serde(default, deserialize_with = "checked_keep")]
    pub keep_ms: Option<u64>,
    /// Not begun within this time, it ends as expired.
    #[serde(default, deserialize_with = "checked_ttl")]
    pub ttl_ms: Option<u64>,
    /// How long it waits after a failed attempt: `"fixed:10s"`, `"exponential:1s..1h"`.
    #[serde(default, deserialize_with = "checked_backoff")]
    pub backoff: Option<Backoff>,
    /// Names and values that go with it to its worker.
    #[serde(default, deserialize_with = "checked_headers")]
    pub headers: Vec<(String, String)>,
}

impl FileJob<'_> {
    pub fn settings(&self) -> Settings {
        let FileJob { priority, max_attempts, timeout_ms, .. } = *self;
        Settings { timeout_ms, max_attempts, priority }
    }

    /// What it waits for, as it is asked.
    pub fn after(&self) -> Vec<After<'_>> {
        self.after.iter().map(Earlier::told).collect()
    }

    /// Its headers as they go with it; empty for none.
    pub fn headers(&self) -> Vec<u8> {
        if self.headers.is_empty() {
            return Vec::new();
        }
        let pairs: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        headers(&pairs)
    }
}

/// The text of a file's bytes, without a byte order mark.
pub fn text(bytes: &[u8]) -> Result<&str, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = end_of(&String::from_utf8_lossy(&bytes[..error.valid_up_to()]));
        format!("it is not UTF-8 at line {line} column {column}")
    })
}

/// Reads a file's text; no two entries may have the same id.
pub fn parse(text: &str) -> Result<Vec<FileJob<'_>>, String> {
    let jobs: Vec<FileJob<'_>> = if text.trim_start().starts_with('{') {
        serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>()
    } else {
        serde_json::from_str(text)
    }
    .map_err(|error| error.to_string())?;
    let mut ids = HashSet::new();
    for job in &jobs {
        if !ids.insert(&job.id) {
            let (line, column) = place(text, job.payload.get());
            return Err(format!(
                "id {:?} stands here for the second time; its payload is at line {line} column {column}",
                job.id
            ));
        }
    }
    by_key(text, jobs)
}

/// Entries that are named by their place are named by their ids: they may go to the master by several requests.
fn by_key<'a>(text: &str, mut jobs: Vec<FileJob<'a>>) -> Result<Vec<FileJob<'a>>, String> {
    let ids: Vec<String> = jobs.iter().map(|job| job.id.clone()).collect();
    for (own, job) in jobs.iter_mut().enumerate() {
        for earlier in &mut job.after {
            let Earlier::Item(item) = *earlier else { continue };
            let Some(id) = ids.get(item).filter(|_| item < own) else {
                let (line, column) = place(text, job.payload.get());
                return Err(format!(
                    "entry {own} waits for item:{item}, which does not stand before it (they are counted from 0); its \
                     payload is at line {line} column {column}"
                ));
            };
            *earlier = Earlier::Key(id.clone());
        }
    }
    Ok(jobs)
}

/// Line and column of a part of the text.
fn place(text: &str, part: &str) -> (usize, usize) {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    end_of(text.get(..offset).unwrap_or_default())
}

/// Line and column of what follows this text.
fn end_of(before: &str) -> (usize, usize) {
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
}

fn default_priority() -> u8 {
    PRIORITY_DEFAULT
}

fn checked_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let key = String::deserialize(deserializer)?;
    check_key(&key).map_err(D::Error::custom)?;
    Ok(key)
}

fn checked_queue<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    check_queue_name(&name).map_err(D::Error::custom)?;
    Ok(Some(name))
}

fn checked_unique_for<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let span = u64::deserialize(deserializer)?;
    if span == 0 || span > KEY_WINDOW_MS_MAX {
        return Err(D::Error::custom(format!("unique_for_ms is {span}; it takes 1 to {KEY_WINDOW_MS_MAX}")));
    }
    Ok(Some(span))
}

fn checked_unique<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Unique>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "until-start" => Ok(Some(Unique::UntilStart)),
        "until-end" => Ok(None),
        other => Err(D::Error::custom(format!("unique is {other:?}; it takes \"until-start\" or \"until-end\""))),
    }
}

fn checked_group<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    check_group_name(&name).map_err(D::Error::custom)?;
    Ok(Some(name))
}

fn checked_after<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Earlier>, D::Error> {
    let all = Vec::<serde_json::Value>::deserialize(deserializer)?;
    let read = |value: serde_json::Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let Some(place) = text.strip_prefix("item:").and_then(|place| place.parse().ok()) {
            return Ok(Earlier::Item(place));
        }
        earlier(&text).map_err(|why| D::Error::custom(format!("after {text:?}: {why}")))
    };
    all.into_iter().map(read).collect()
}

fn checked_if_failed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IfFailed, D::Error> {
    let text = String::deserialize(deserializer)?;
    if_failed(&text).map_err(|why| D::Error::custom(format!("if_failed {text:?}: {why}")))
}

fn checked_payload<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<&'a RawValue, D::Error> {
    let payload = <&'a RawValue>::deserialize(deserializer)?;
    let bytes = payload.get().len();
    if bytes > PAYLOAD_BYTES_MAX {
        return Err(D::Error::custom(format!("the payload has {bytes} bytes; it takes up to {PAYLOAD_BYTES_MAX}")));
    }
    Ok(payload)
}

fn within<E: Error>(field: &str, value: u64, min: u64, max: u64) -> Result<u64, E> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(E::custom(format!("{field} is {value}; it takes {min} to {max}")))
}

fn checked_delay<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within("delay_ms", u64::deserialize(deserializer)?, 0, DELAY_MS_MAX)
}

fn checked_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let timeout_ms = within("timeout_ms", u64::deserialize(deserializer)?, TIMEOUT_MS_MIN, TIMEOUT_MS_MAX)?;
    u32::try_from(timeout_ms).map_err(D::Error::custom)
}

fn checked_attempts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let attempts = u16::deserialize(deserializer)?;
    within("max_attempts", u64::from(attempts), 1, u64::from(ATTEMPTS_MAX))?;
    Ok(attempts)
}

fn checked_keep<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    within("keep_ms", u64::deserialize(deserializer)?, 0, KEEP_MS_MAX).map(Some)
}

fn checked_ttl<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    within("ttl_ms", u64::deserialize(deserializer)?, 1, KEEP_MS_MAX).map(Some)
}

fn checked_backoff<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Backoff>, D::Error> {
    let text = String::deserialize(deserializer)?;
    backoff(&text).map(Some).map_err(|why| D::Error::custom(format!("backoff {text:?}: {why}")))
}

fn checked_headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let map = BTreeMap::<String, String>::deserialize(deserializer)?;
    map.iter().try_for_each(|(name, value)| check_header(name, value)).map_err(D::Error::custom)?;
    check_headers(map.keys().map(String::as_str)).map_err(D::Error::custom)?;
    let pairs: Vec<(&str, &str)> = map.iter().map(|(name, value)| (&**name, &**value)).collect();
    let bytes = headers(&pairs).len();
    within("the number of headers' bytes", bytes as u64, 0, HEADERS_BYTES_MAX as u64)?;
    Ok(map.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_read() {
        let text = include_str!("../../examples/jobs.json");
        let jobs = parse(text).unwrap();
        assert!(jobs.len() >= 3);
        assert!(jobs.iter().all(|job| text.contains(job.payload.get())), "payloads are the file's own bytes");
    }

    #[test]
    fn earlier_entries_are_named_by_their_places_too() {
        let jobs = parse(r#"[{"id": "a", "payload": 1}, {"id": "b", "payload": 2, "after": ["item:0", 7]}]"#).unwrap();
        assert_eq!(jobs[1].after, [Earlier::Key("a".to_owned()), Earlier::Job(7)]);
    }

    #[test]
    fn an_object_a_line_is_as_good_as_an_array() {
        let text = "{\"id\": \"a\", \"payload\": {\"n\": 1}}\r\n\r\n{\"key\": \"b\", \"payload\": 2}\r\n";
        let jobs = parse(text).unwrap();
        assert_eq!(
            jobs.iter().map(|job| (&*job.id, job.payload.get())).collect::<Vec<_>>(),
            [("a", "{\"n\": 1}"), ("b", "2")]
        );
        let bad = parse("{\"id\": \"a\", \"payload\": 1}\n{\"id\": \"b\"}\n").unwrap_err();
        assert!(bad.contains("line 2 column"), "{bad}");
        let twice = parse("{\"id\": \"a\", \"payload\": 1}\n{\"id\": \"a\", \"payload\": 1}\n").unwrap_err();
        assert!(twice.contains("line 2 column"), "{twice}");
    }

    #[test]
    fn bytes_that_are_not_text_are_told_with_their_place_and_a_mark_at_the_start_is_none() {
        assert_eq!(text(b"\xef\xbb\xbf[]"), Ok("[]"));
        assert_eq!(text(b"[\n\"\xc3\xbc\xff"), Err("it is not UTF-8 at line 2 column 3".to_owned()));
    }

    #[test]
    fn each_mistake_is_told_with_its_line() {
        for (line, entry) in [
            ("payload", r#"{"id": "b"}"#),
            ("unknown field", r#"{"id": "b", "payload": 1, "prioritty": 3}"#),
            ("second time", r#"{"id": "a", "payload": 1}"#),
            ("queue name", r#"{"id": "b", "payload": 1, "queue": "a b"}"#),
            ("u8", r#"{"id": "b", "payload": 1, "priority": 999}"#),
            ("timeout_ms", r#"{"id": "b", "payload": 1, "timeout_ms": 5}"#),
            ("max_attempts", r#"{"id": "b", "payload": 1, "max_attempts": 0}"#),
            ("delay_ms", r#"{"id": "b", "payload": 1, "delay_ms": 99999999999999}"#),
            ("keep_ms", r#"{"id": "b", "payload": 1, "keep_ms": 99999999999999}"#),
            ("ttl_ms", r#"{"id": "b", "payload": 1, "ttl_ms": 0}"#),
            ("backoff", r#"{"id": "b", "payload": 1, "backoff": "10s"}"#),
            ("header", r#"{"id": "b", "payload": 1, "headers": {"a b": "c"}}"#),
            ("twice", r#"{"id": "b", "payload": 1, "headers": {"a-b": "1", "A.b": "2"}}"#),
            ("unique_for_ms", r#"{"id": "b", "payload": 1, "unique_for_ms": 0}"#),
            ("until-start", r#"{"id": "b", "payload": 1, "unique": "never"}"#),
            ("key:KEY", r#"{"id": "b", "payload": 1, "after": [0]}"#),
            ("does not stand before it", r#"{"id": "b", "payload": 1, "after": ["item:1"]}"#),
            ("cancel, run or wait", r#"{"id": "b", "payload": 1, "after": [1], "if_failed": "stop"}"#),
            ("group name", r#"{"id": "b", "payload": 1, "group": ""}"#),
            ("key", r#"{"id": "", "payload": 1}"#),
            ("expected", r#"{"id": "b", "payload": }"#),
        ] {
            let text = format!("[\n{{\"id\": \"a\", \"payload\": 1}},\n{entry}\n]");
            let error = parse(&text).unwrap_err();
            assert!(error.contains("line 3 column"), "{line}: {error}");
            assert!(error.contains(line), "{line}: {error}");
        }
        let long = "x".repeat(HEADERS_BYTES_MAX);
        let text = format!(r#"[{{"id": "a", "payload": 1, "headers": {{"a": "{long}"}}}}]"#);
        assert!(parse(&text).unwrap_err().contains("headers' bytes"));
        assert!(parse("7").unwrap_err().contains("expected a sequence"));
    }
}
