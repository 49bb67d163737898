//! Jobs that follow from one that a command has run, as it writes them: a JSON array of objects.
//!
//! | field | |
//! | --- | --- |
//! | `payload`, or `payload_base64` | its payload; none at all for an empty one |
//! | `queue` | that of the job that it follows from, if it is not named |
//! | `key`, `group`, `priority`, `max_attempts` | as of `falcon-cli submit` |
//! | `delay`, `timeout`, `keep`, `ttl` | spans as there: `"90s"` |
//! | `headers` | an object of names and values |
//! | `after` | what it waits for: ids, `"key:KEY"`, `"batch:NAME"`, `"item:0"` for an earlier one of the array |
//! | `if_failed`, `with_results` | as of `falcon-cli submit` |

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;

use super::handler::Outcome;
use crate::client::{After, EarlierResult, FollowUps, Job, headers};
use crate::ids::JobId;
use crate::job::{HeadersText, IfFailed, Settings};
use crate::limits::PRIORITY_DEFAULT;
use crate::protocol::{List, SubmitJob};
use crate::time::Millis;

/// What is not known is refused: a misspelt field must not be passed over.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FollowUp {
    queue: Option<String>,
    #[serde(default)]
    key: String,
    group: Option<String>,
    priority: Option<u8>,
    #[serde(default)]
    max_attempts: u16,
    delay: Option<String>,
    timeout: Option<String>,
    keep: Option<String>,
    ttl: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    after: Vec<Value>,
    if_failed: Option<String>,
    #[serde(default)]
    with_results: bool,
    payload: Option<String>,
    payload_base64: Option<String>,
}

/// What came of a job with this result, whose command wrote this.
pub fn outcome(job: &Job, result: Vec<u8>, text: &[u8]) -> Outcome {
    match serde_json::from_slice::<Vec<FollowUp>>(text) {
        Ok(all) if all.is_empty() => Outcome::Done(result),
        read => {
            let then = read.map_err(|error| error.to_string()).and_then(|all| follow_ups(&job.queue, &all));
            done_then(result, then)
        }
    }
}

/// The same as values.
pub fn of_values(queue: &str, all: Vec<Value>) -> Result<FollowUps, String> {
    let read = |value| serde_json::from_value(value).map_err(|error: serde_json::Error| error.to_string());
    let all: Vec<FollowUp> = all.into_iter().map(read).collect::<Result<_, _>>()?;
    follow_ups(queue, &all)
}

/// These jobs, of this queue where they name none.
fn follow_ups(queue: &str, all: &[FollowUp]) -> Result<FollowUps, String> {
    let parts: Vec<Parts<'_>> = all.iter().map(Parts::of).collect::<Result<_, _>>()?;
    let jobs = all.iter().zip(&parts).map(|(one, parts)| one.job(queue, parts));
    let jobs: Vec<SubmitJob<'_>> = jobs.collect::<Result<_, _>>()?;
    FollowUps::of(&jobs).map_err(|error| error.to_string())
}

/// What came of a job with this result. Where what it wrote cannot follow from it, it has not done its work.
pub fn done_then(result: Vec<u8>, then: Result<FollowUps, String>) -> Outcome {
    match then {
        Ok(then) => Outcome::DoneThen { result, then },
        Err(why) => Outcome::failed(format!("what is to follow from it: {why}")),
    }
}

/// What a job borrows.
struct Parts<'f> {
    headers: Vec<u8>,
    after: Vec<After<'f>>,
    payload: Vec<u8>,
}

impl<'f> Parts<'f> {
    fn of(one: &'f FollowUp) -> Result<Parts<'f>, String> {
        let pairs: Vec<(&str, &str)> = one.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let payload = match (&one.payload, &one.payload_base64) {
            (Some(_), Some(_)) => return Err("both \"payload\" and \"payload_base64\"".to_owned()),
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(text)) => BASE64.decode(text).map_err(|error| format!("\"payload_base64\": {error}"))?,
            (None, None) => Vec::new(),
        };
        let headers = if pairs.is_empty() { Vec::new() } else { headers(&pairs) };
        Ok(Parts { headers, after: one.after.iter().map(after).collect::<Result<_, _>>()?, payload })
    }
}

fn after(value: &Value) -> Result<After<'_>, String> {
    let named = value.as_str().and_then(|text| text.split_once(':'));
    let found = match named {
        Some(("key", name)) => Some(After::key(name)),
        Some(("batch", name)) => Some(After::batch(name)),
        Some(("item", place)) => place.parse().ok().map(After::item),
        _ => value.as_u64().map(|id| After::job(JobId(id))),
    };
    found.ok_or_else(|| format!("after {value}: it is a job's id, \"key:KEY\", \"batch:NAME\" or \"item:0\""))
}

fn span_ms(name: &str, text: Option<&String>) -> Result<Option<u64>, String> {
    let read = |text: &String| text.parse::<Millis>().map(|span| span.0).map_err(|error| format!("{name}: {error}"));
    text.map(read).transpose()
}

impl FollowUp {
    fn job<'f>(&'f self, queue: &'f str, parts: &'f Parts<'f>) -> Result<SubmitJob<'f>, String> {
        let timeout_ms = span_ms("timeout", self.timeout.as_ref())?.unwrap_or(0);
        let if_failed = match &self.if_failed {
            None => None,
            Some(text) => {
                let what = IfFailed::ALL.iter().copied().find(|what| what.word() == text);
                Some(what.ok_or_else(|| format!("if_failed {text:?}: it takes cancel, run or wait"))?)
            }
        };
        Ok(SubmitJob {
            queue: self.queue.as_deref().unwrap_or(queue),
            key: &self.key,
            settings: Settings {
                timeout_ms: u32::try_from(timeout_ms).unwrap_or(u32::MAX),
                max_attempts: self.max_attempts,
                priority: self.priority.unwrap_or(PRIORITY_DEFAULT),
            },
            delay_ms: span_ms("delay", self.delay.as_ref())?.unwrap_or(0),
            keep_ms: span_ms("keep", self.keep.as_ref())?,
            ttl_ms: span_ms("ttl", self.ttl.as_ref())?,
            group: self.group.as_deref(),
            headers: (!parts.headers.is_empty()).then_some(HeadersText(&parts.headers)),
            after: (!parts.after.is_empty()).then(|| List::lent(&parts.after)),
            if_failed,
            with_results: self.with_results.then_some(true),
            payload: &parts.payload,
            ..SubmitJob::default()
        })
    }
}

/// The results of the jobs before it, as a command is told them.
pub fn results(job: &Job) -> Result<Vec<Value>, String> {
    let results = job.results().map_err(|error| format!("the results of the jobs before it: {error}"))?;
    let told = |EarlierResult { job, result }: EarlierResult| {
        let mut told = serde_json::Map::new();
        told.insert("job".to_owned(), job.0.into());
        match result.map(String::from_utf8) {
            None => told.insert("result".to_owned(), Value::Null),
            Some(Ok(text)) => told.insert("result".to_owned(), text.into()),
            Some(Err(bytes)) => told.insert("result_base64".to_owned(), BASE64.encode(bytes.as_bytes()).into()),
        };
        Value::Object(told)
    };
    Ok(results.into_iter().map(told).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job::sample()
    }

    #[test]
    fn what_follows_is_a_list_of_jobs() {
        let text = br#"[{"payload": "a"}, {"queue": "r", "payload_base64": "/w==", "delay": "5s", "key": "k",
            "after": [7, "item:0", "key:x", "batch:b"], "if_failed": "run", "headers": {"n": "v"}}]"#;
        let first = SubmitJob { queue: "q", payload: b"a", ..SubmitJob::default() };
        let after = [After::job(JobId(7)), After::item(0), After::key("x"), After::batch("b")];
        let headers = headers(&[("n", "v")]);
        let second = SubmitJob::new("r", &[0xff]).with_key("k").with_delay(std::time::Duration::from_secs(5));
        let second = second.with_after(&after).with_if_failed(IfFailed::Run).with_headers(HeadersText(&headers));
        let mut jobs = [first, second];
        for job in &mut jobs {
            job.settings.max_attempts = 0;
        }
        let then = FollowUps::of(&jobs).unwrap();
        assert_eq!(outcome(&job(), vec![7], text), Outcome::DoneThen { result: vec![7], then });
        assert_eq!(outcome(&job(), vec![7], b"[]"), Outcome::Done(vec![7]), "nothing follows");
    }

    #[test]
    fn what_is_wrong_is_told_in_a_sentence() {
        for (text, why) in [
            ("{}", "expected a sequence"),
            (r#"[{"payloadd": "a"}]"#, "payloadd"),
            (r#"[{"queue": "a b"}]"#, "queue name"),
            (r#"[{"delay": "soon"}]"#, "delay"),
            (r#"[{"after": ["x"]}]"#, "item:0"),
            (r#"[{"if_failed": "stop"}]"#, "cancel, run or wait"),
            (r#"[{"payload": "", "payload_base64": ""}]"#, "both"),
        ] {
            let outcome = outcome(&job(), Vec::new(), text.as_bytes());
            assert!(matches!(&outcome, Outcome::Failed { error, .. } if error.contains(why)), "{text}: {outcome:?}");
        }
    }
}
