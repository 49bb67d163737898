//! The format of `examples/jobs.json`: an array of jobs, or jobs one after the other, as in a file of JSON lines. A
//! file that is not of this format, or names a value out of bounds, is refused whole, with the line and column, before
//! anything is submitted.

use std::collections::HashSet;

use crate::shapes::{Earlier, Entry};

/// The text of a file's bytes, without a byte order mark.
pub fn text(bytes: &[u8]) -> Result<&str, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = end_of(&String::from_utf8_lossy(&bytes[..error.valid_up_to()]));
        format!("it is not UTF-8 at line {line} column {column}")
    })
}

/// Reads a file's text; no two entries may have the same id.
pub fn parse(text: &str) -> Result<Vec<Entry<'_>>, String> {
    let jobs: Vec<Entry<'_>> = if text.trim_start().starts_with('{') {
        serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>()
    } else {
        serde_json::from_str(text)
    }
    .map_err(|error| error.to_string())?;
    let mut ids = HashSet::new();
    for job in &jobs {
        if !ids.insert(key(text, job)?) {
            let (line, column) = place(text, job.payload.get());
            return Err(format!(
                "id {:?} stands here for the second time; its payload is at line {line} column {column}",
                job.key.as_deref().unwrap_or_default()
            ));
        }
    }
    by_key(text, jobs)
}

/// The key of an entry: without one, a second try would submit it again.
fn key<'j>(text: &str, job: &'j Entry<'_>) -> Result<&'j str, String> {
    job.key.as_deref().ok_or_else(|| {
        let (line, column) = place(text, job.payload.get());
        format!("an entry has no id, by which a second try is known; its payload is at line {line} column {column}")
    })
}

/// Entries that are named by their place are named by their ids: they may go to the master by several requests.
fn by_key<'a>(text: &str, mut jobs: Vec<Entry<'a>>) -> Result<Vec<Entry<'a>>, String> {
    let ids: Vec<Option<String>> = jobs.iter().map(|job| job.key.clone()).collect();
    for (own, job) in jobs.iter_mut().enumerate() {
        for earlier in &mut job.after {
            let Earlier::Item(item) = *earlier else { continue };
            let Some(Some(id)) = ids.get(item).filter(|_| item < own) else {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HEADERS_BYTES_MAX;

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
            jobs.iter().map(|job| (job.key.as_deref().unwrap(), job.payload.get())).collect::<Vec<_>>(),
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
            ("no id", r#"{"payload": 1}"#),
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
