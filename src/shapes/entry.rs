//! A job as JSON hands it in: an entry of a jobs file, or a body over HTTP.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use super::values::{Earlier, backoff, check_header, check_headers, earlier, if_failed};
use crate::client::headers;
use crate::ids::{check_group_name, check_key, check_queue_name};
use crate::job::{Backoff, HeadersText, IfFailed, Settings, Unique};
use crate::limits::{
    ATTEMPTS_MAX, DELAY_MS_MAX, HEADERS_BYTES_MAX, KEEP_MS_MAX, KEY_WINDOW_MS_MAX, PAYLOAD_BYTES_MAX, PRIORITY_DEFAULT,
    TIMEOUT_MS_MAX, TIMEOUT_MS_MIN,
};
use crate::protocol::{After, List, SubmitJob};

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry<'a> {
    /// In a file it may be called `id`, and has to be there.
    #[serde(default, alias = "id", deserialize_with = "checked_key")]
    pub key: Option<String>,
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

impl Entry<'_> {
    /// As it is submitted, to this queue unless it names one. What it waits for and its headers are lent, since they
    /// are written otherwise here.
    pub fn job<'a>(&'a self, queue: &'a str, headers: &'a [u8], after: &'a [After<'a>]) -> SubmitJob<'a> {
        SubmitJob {
            queue: self.queue.as_deref().unwrap_or(queue),
            key: self.key.as_deref().unwrap_or_default(),
            settings: self.settings(),
            delay_ms: self.delay_ms,
            keep_ms: self.keep_ms,
            ttl_ms: self.ttl_ms,
            backoff: self.backoff,
            group: self.group.as_deref(),
            unique_for_ms: self.unique_for_ms,
            unique_until_start: (self.unique == Some(Unique::UntilStart)).then_some(true),
            headers: (!headers.is_empty()).then_some(HeadersText(headers)),
            after: (!after.is_empty()).then(|| List::lent(after)),
            if_failed: Some(self.if_failed).filter(|_| !after.is_empty()),
            with_results: (self.with_results && !after.is_empty()).then_some(true),
            payload: self.payload.get().as_bytes(),
            ..SubmitJob::default()
        }
    }

    fn settings(&self) -> Settings {
        let Entry { priority, max_attempts, timeout_ms, .. } = *self;
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

fn default_priority() -> u8 {
    PRIORITY_DEFAULT
}

fn checked_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let key = String::deserialize(deserializer)?;
    check_key(&key).map_err(D::Error::custom)?;
    Ok(Some(key))
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
