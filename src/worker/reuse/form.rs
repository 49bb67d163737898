//! The form in which a command that stays gets jobs and answers them: one JSON object a line, each way. It is told to
//! users in the README.
//!
//! | line | |
//! | --- | --- |
//! | to the command | `{"job":7,"queue":"mail","key":"k","attempt":1,"max_attempts":5,"lease":9,"payload":"…"}` |
//! | the same | `payload_base64` instead of `payload` where it is not UTF-8; no `key`, no `group` where there is none |
//! | from the command | `{"job":7,"ok":true,"result":"…"}`; `result` may be left out, or be `result_base64` |
//! | the same | `{"job":7,"ok":false,"error":"…","for_good":true}`; `for_good` may be left out, and so may |
//! | | `"retry_in":"90s"`, the time to the next attempt instead of the job's backoff |
//!
//! A job of a group has `"group":"…"`, and one with headers has `"headers":{"name":"value"}`, too.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::super::handler::Outcome;
use crate::client::Job;
use crate::codec::text_head;
use crate::ids::JobId;
use crate::limits::{ERROR_TEXT_BYTES_MAX, RESULT_BYTES_MAX};
use crate::time::Millis;

/// Bytes of a line that a command may write: the longest result, with every byte escaped, and some more.
pub const ANSWER_BYTES_MAX: usize = 6 * RESULT_BYTES_MAX + 4096;

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
}

/// The line that hands a job to a command.
pub fn asked(job: &Job) -> Vec<u8> {
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
        payload: text,
        payload_base64: text.is_none().then(|| BASE64.encode(&job.payload)),
    };
    let mut line = serde_json::to_vec(&asked).expect("a struct of strings and numbers is JSON");
    line.push(b'\n');
    line
}

/// Reads an answer; a sentence of what is wrong with it otherwise.
pub fn answered(line: &[u8]) -> Result<(JobId, Outcome), String> {
    let Answered { job, ok, result, result_base64, error, for_good, retry_in } =
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
        return Ok((job, Outcome::Failed { for_good, retry_in, error }));
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
    Ok((job, Outcome::Done(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_one_line_whatever_its_payload_has() {
        let job = Job { payload: b"two\nlines".to_vec(), key: "k".to_owned(), ..Job::sample() };
        let line = String::from_utf8(asked(&job)).unwrap();
        assert_eq!(
            line,
            "{\"job\":7,\"queue\":\"q\",\"key\":\"k\",\"attempt\":1,\"max_attempts\":5,\"lease\":9,\
             \"payload\":\"two\\nlines\"}\n"
        );
        let bytes = asked(&Job { payload: vec![0xff, 0], ..Job::sample() });
        assert!(bytes.ends_with(b"\"lease\":9,\"payload_base64\":\"/wA=\"}\n"), "{}", String::from_utf8_lossy(&bytes));
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
            assert_eq!(answered(line.as_bytes()), expected, "{line}");
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
            r#"{"job":7,"ok":true}{"job":8,"ok":true}"#,
        ] {
            assert!(answered(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
