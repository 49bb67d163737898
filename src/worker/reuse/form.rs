//! The form in which a command that stays gets jobs and answers them: one JSON object a line, each way. It is told to
//! users in `docs/src/reuse.md`.
//!
//! | line | |
//! | --- | --- |
//! | to the command | `{"job":7,"queue":"mail","key":"k","attempt":1,"max_attempts":5,"lease":9,"payload":"…"}` |
//! | the same | `payload_base64` instead of `payload` where it is not UTF-8; no `key`, no `group` where there is none |
//! | from the command | `{"job":7,"ok":true,"result":"…"}`; `result` may be left out, or be `result_base64` |
//! | the same | `{"job":7,"ok":false,"error":"…","for_good":true}`; `for_good` may be left out, and so may |
//! | | `"retry_in":"90s"`, the time to the next attempt instead of the job's backoff |
//!
//! A job of a group has `"group":"…"`, one with headers has `"headers":{"name":"value"}`. One that is to be given the
//! results of those it waited for has `"results":[{"job":6,"result":"…"}]` (`result_base64` where it is not UTF-8,
//! `"result":null` where there is none). An answer with `"ok":true` may have `"then":[…]`, jobs that follow from it;
//! see `follow_ups`.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::follow_ups::{done_then, of_values};
use super::super::handler::Outcome;
use crate::client::Job;
use crate::codec::text_head;
use crate::ids::JobId;
use crate::limits::{ERROR_TEXT_BYTES_MAX, FRAME_BODY_BYTES_MAX, RESULT_BYTES_MAX};
use crate::time::Millis;

/// Bytes of a line that a command may write: the longest result, with every byte escaped, and as much of what follows
/// as fits into a request in any case.
pub const ANSWER_BYTES_MAX: usize = 6 * RESULT_BYTES_MAX + 2 * FRAME_BODY_BYTES_MAX;

#[derive(Serialize)]
struct Asked<'j> {
    job: u64,
    queue: &'j str,
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'j str,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'j str,
    attempt: u16,
    max_attempts: u16,
    lease: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'j str, &'j str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    results: &'j [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'j str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// What is not known is refused: a misspelt `for_good` must not be passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    job: u64,
    ok: bool,
    result: Option<String>,
    result_base64: Option<String>,
    error: Option<String>,
    #[serde(default)]
    for_good: bool,
    retry_in: Option<String>,
    then: Option<Vec<Value>>,
}

/// What a command says of a job.
#[derive(Debug)]
pub enum Answer {
    Outcome(Outcome),
    /// It is done, with this result, and these follow from it.
    Then(Vec<u8>, Vec<Value>),
}

impl Answer {
    /// What came of the job, of this queue.
    pub fn outcome(self, queue: &str) -> Outcome {
        match self {
            Answer::Outcome(outcome) => outcome,
            Answer::Then(result, then) => done_then(result, of_values(queue, then)),
        }
    }
}

/// The line that hands a job to a command.
pub fn asked(job: &Job, results: &[Value]) -> Vec<u8> {
    let text = std::str::from_utf8(&job.payload).ok();
    let asked = Asked {
        job: job.id.0,
        queue: &job.queue,
        key: &job.key,
        group: &job.group,
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        lease: job.lease.0,
        headers: job.headers.iter().map(|(name, value)| (&**name, &**value)).collect(),
        results,
        payload: text,
        payload_base64: text.is_none().then(|| BASE64.encode(&job.payload)),
    };
    let mut line = serde_json::to_vec(&asked).expect("a struct of strings and numbers is JSON");
    line.push(b'\n');
    line
}

/// Reads an answer; a sentence of what is wrong with it otherwise.
pub fn answered(line: &[u8]) -> Result<(JobId, Answer), String> {
    let Answered { job, ok, result, result_base64, error, for_good, retry_in, then } =
        serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let job = JobId(job);
    if !ok {
        if result.is_some() || result_base64.is_some() {
            return Err("a failed job has no result".to_owned());
        }
        let error = error.ok_or("a failed job needs an \"error\"")?;
        let error = text_head(&error, ERROR_TEXT_BYTES_MAX).to_owned();
        let retry_in = retry_in.map(|text| text.parse::<Millis>().map(Duration::from)).transpose();
        let retry_in = retry_in.map_err(|error| format!("retry_in: {error}"))?;
        if then.is_some() {
            return Err("nothing follows from a job that failed".to_owned());
        }
        return Ok((job, Answer::Outcome(Outcome::Failed { for_good, retry_in, error })));
    }
    if error.is_some() || for_good {
        return Err("a job that is ok has no \"error\" and is not \"for_good\"".to_owned());
    }
    let mut bytes = match (result, result_base64) {
        (Some(_), Some(_)) => return Err("both \"result\" and \"result_base64\"".to_owned()),
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => BASE64.decode(text).map_err(|error| format!("\"result_base64\": {error}"))?,
        (None, None) => Vec::new(),
    };
    if bytes.len() > RESULT_BYTES_MAX {
        log::warn!("job {job}: its result is over {RESULT_BYTES_MAX} bytes; only these were kept");
        bytes.truncate(RESULT_BYTES_MAX);
    }
    match then.filter(|then| !then.is_empty()) {
        None => Ok((job, Answer::Outcome(Outcome::Done(bytes)))),
        Some(then) => Ok((job, Answer::Then(bytes, then))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_one_line_whatever_its_payload_has() {
        let job = Job { payload: b"two\nlines".to_vec(), key: "k".to_owned(), ..Job::sample() };
        let line = String::from_utf8(asked(&job, &[])).unwrap();
        assert_eq!(
            line,
            "{\"job\":7,\"queue\":\"q\",\"key\":\"k\",\"attempt\":1,\"max_attempts\":5,\"lease\":9,\
             \"payload\":\"two\\nlines\"}\n"
        );
        let bytes = asked(&Job { payload: vec![0xff, 0], ..Job::sample() }, &[]);
        assert!(bytes.ends_with(b"\"lease\":9,\"payload_base64\":\"/wA=\"}\n"), "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_follows_from_a_job_is_of_its_queue_or_the_job_has_failed() {
        let of = |line: &str| answered(line.as_bytes()).map(|(_, answer)| answer.outcome("q"));
        let told = of(r#"{"job":7,"ok":true,"result":"r","then":[{"payload":"x"}]}"#).unwrap();
        let mut next = crate::protocol::SubmitJob::new("q", b"x");
        next.settings.max_attempts = 0;
        let then = crate::client::FollowUps::of(&[next]).unwrap();
        assert_eq!(told, Outcome::DoneThen { result: b"r".to_vec(), then });
        for (then, why) in [(r#"{"queue":"a b"}"#, "queue name"), (r#"{"payloadd":"x"}"#, "payloadd")] {
            let told = of(&format!(r#"{{"job":7,"ok":true,"then":[{then}]}}"#)).unwrap();
            assert!(matches!(&told, Outcome::Failed { error, .. } if error.contains(why)), "{told:?}");
        }
    }

    #[test]
    fn answers_are_read_and_what_is_not_one_is_told() {
        let done = |bytes: &[u8]| Ok((JobId(7), Outcome::Done(bytes.to_vec())));
        let failed = |for_good, error: &str| {
            Ok((JobId(7), Outcome::Failed { for_good, retry_in: None, error: error.to_owned() }))
        };
        for (line, expected) in [
            (r#"{"job":7,"ok":true}"#, done(b"")),
            (r#"{"job":7,"ok":true,"result":"é"}"#, done("é".as_bytes())),
            (r#"{"job":7,"ok":true,"result_base64":"/wA="}"#, done(&[0xff, 0])),
            (r#"{"job":7,"ok":false,"error":"no"}"#, failed(false, "no")),
            (r#" {"job":7, "ok":false, "error":"no", "for_good":true} "#, failed(true, "no")),
        ] {
            let told = answered(line.as_bytes()).map(|(job, answer)| (job, answer.outcome("q")));
            assert_eq!(told, expected, "{line}");
        }
        for bad in [
            "",
            "done",
            "7",
            r#"{"job":7}"#,
            r#"{"ok":true}"#,
            r#"{"job":-7,"ok":true}"#,
            r#"{"job":7,"ok":1}"#,
            r#"{"job":7,"ok":true,"forgood":true}"#,
            r#"{"job":7,"ok":true,"error":"no"}"#,
            r#"{"job":7,"ok":true,"result":"a","result_base64":"YQ=="}"#,
            r#"{"job":7,"ok":true,"result_base64":"!"}"#,
            r#"{"job":7,"ok":true,"result":{}}"#,
            r#"{"job":7,"ok":false}"#,
            r#"{"job":7,"ok":false,"error":"no","then":[]}"#,
            r#"{"job":7,"ok":true}{"job":8,"ok":true}"#,
        ] {
            assert!(answered(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
