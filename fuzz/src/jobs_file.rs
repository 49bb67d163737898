//! The file of `falcon-cli submit --file`. What is taken is within its bounds, and every job lies in the file.

use std::collections::HashSet;

use falconqueue::cli::fuzzing::{parse, text};
use falconqueue::ids::{check_key, check_queue_name};
use falconqueue::job::HeadersText;
use falconqueue::limits::{ATTEMPTS_MAX, DELAY_MS_MAX, PAYLOAD_BYTES_MAX, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN};
use falconqueue::protocol::{List, Request, Submit, SubmitJob};

pub fn run(input: &[u8]) {
    let read = text(input);
    let Ok(text) = read else { return assert!(std::str::from_utf8(input).is_err() && read.is_err()) };
    let jobs = match parse(text) {
        Ok(jobs) => jobs,
        Err(why) => return assert!(why.contains("line"), "a refusal names the line: {why}"),
    };
    let file = text.as_bytes().as_ptr_range();
    let mut ids = HashSet::new();
    for job in &jobs {
        assert!(ids.insert(&job.id), "an id twice");
        assert!(check_key(&job.id).is_ok() && job.queue.as_deref().is_none_or(|queue| check_queue_name(queue).is_ok()));
        let payload = job.payload.get().as_bytes();
        assert!(payload.len() <= PAYLOAD_BYTES_MAX && file.contains(&payload.as_ptr()), "it is the file's own bytes");
        assert!(job.delay_ms <= DELAY_MS_MAX && job.max_attempts <= ATTEMPTS_MAX);
        assert!(job.timeout_ms == 0 || (TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(&job.timeout_ms.into()));
        let queue = job.queue.as_deref().unwrap_or("q");
        let (headers, after) = (job.headers(), job.after());
        let lent = [SubmitJob {
            queue,
            key: &job.id,
            settings: job.settings(),
            delay_ms: job.delay_ms,
            keep_ms: job.keep_ms,
            backoff: job.backoff,
            ttl_ms: job.ttl_ms,
            headers: (!headers.is_empty()).then_some(HeadersText(&headers)),
            payload,
            group: job.group.as_deref(),
            unique_for_ms: job.unique_for_ms,
            unique_until_start: job.unique.map(|_| true),
            on_duplicate: None,
            after: (!after.is_empty()).then(|| List::lent(&after)),
            if_failed: Some(job.if_failed),
            with_results: Some(job.with_results),
        }];
        let submit = Request::Submit(Submit::of(&lent));
        assert_eq!(submit.check(), Ok(()), "a master takes it");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let example = std::fs::read(crate::seeds::project("examples/jobs.json")).expect("the example");
    let entries = [
        r#"{"id": "b"}"#,
        r#"{"id": "b", "payload": 1, "prioritty": 3}"#,
        r#"{"id": "a", "payload": 1}"#,
        r#"{"id": "b", "payload": 1, "queue": "a b"}"#,
        r#"{"id": "b", "payload": [{"x": "\u00fc\ud83d\ude00"}, null, true], "priority": 255}"#,
        r#"{"id": "b", "payload": 1.5e3, "timeout_ms": 100, "max_attempts": 1000, "delay_ms": 31536000000}"#,
        r#"{"id": "b", "payload": 1, "keep_ms": 1500, "ttl_ms": 1, "backoff": "fixed:10s"}"#,
        r#"{"id": "b", "payload": 1, "backoff": "exponential:1s..1h", "headers": {"Trace-Id": "7", "lang": ""}}"#,
        r#"{"id": "b", "payload": 1, "after": ["key:a", 12, "7"], "if_failed": "wait", "with_results": true}"#,
        r#"{"id": "b", "payload": 1, "after": [0, 1.5, null, "key:"]}"#,
        r#"{"id": "", "payload": {}}"#,
        r#"{"id": "b", "payload": }"#,
    ];
    let files = entries.map(|entry| format!("[\n{{\"id\": \"a\", \"payload\": 1}},\n{entry}\n]").into_bytes());
    let marked = [b"\xef\xbb\xbf[]".to_vec(), b"[\n\"\xc3\xbc\xff".to_vec(), b"{}".to_vec(), example];
    files.into_iter().chain(marked).collect()
}
