//! Bounds of values on the wire, as the tables of messages name them. A refusal says what the value was, and what
//! it takes.

use std::fmt;

use super::requests::{After, AfterBy};
use crate::codec::{Bound, DecodeError, Field, List};
use crate::ids::{
    NameError, check_batch_name, check_client_name, check_group_name, check_key, check_queue_name, check_schedule_name,
};
use crate::job::{Backoff, Header, HeadersText, Settings, header_variable};
use crate::limits::{
    ATTEMPTS_MAX, BACKOFF_MS_LONGEST, BEFORE_BYTES_MAX, BEFORE_MAX, CRON_BYTES_MAX, EVERY_MS_MAX, EVERY_MS_MIN,
    FOLLOW_UPS_MAX, GROUP_WEIGHT_MAX, HEADER_NAME_BYTES_MAX, HEADERS_BYTES_MAX, ITEMS_MAX, JITTER_MS_MAX, JOB_ID_END,
    KEEP_MS_MAX, MISSED_TICKS_MAX, PAYLOAD_BYTES_MAX, POLL_QUEUES_MAX, RATE_SPAN_MS_MAX, RATE_TOKENS_MAX,
    SCHEDULE_PAYLOAD_BYTES_MAX, TICK_HEADERS_BYTES, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN, ZONE_BYTES_MAX,
};
use crate::rules::{GroupSettings, QueueSettings, Rate};
use crate::schedule::{Missed, Plan, SCHEDULE_HEADER, TICK_HEADER};

type Checked = Result<(), DecodeError>;

fn range(name: &'static str, shown: impl fmt::Display, value: u64, min: u64, max: u64) -> Checked {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let text = format!("{shown} is {value}; it takes {min} to {max}");
    Err(DecodeError::out_of_bounds(name, Bound::Value, text))
}

/// A number from `min` to `max`.
pub(super) fn within<N: Copy + Into<u64>>(min: u64, max: u64) -> impl Fn(&'static str, &N) -> Checked {
    move |name, value| range(name, name, (*value).into(), min, max)
}

/// Text or bytes of at most this length.
pub(super) fn at_most<T: AsRef<[u8]> + ?Sized>(max: usize) -> impl Fn(&'static str, &&T) -> Checked {
    move |name, value| {
        let bytes = value.as_ref().len() as u64;
        range(name, format_args!("{name} bytes"), bytes, 0, max as u64)
    }
}

/// A list of 1 to 1,024 items.
pub(super) fn some_items<'a, T: Field<'a>>(name: &'static str, list: &List<'a, T>) -> Checked {
    range(name, format_args!("number of {name}"), list.len() as u64, 1, ITEMS_MAX as u64)
}

/// A list of 0 to 1,024 items.
pub(super) fn any_items<'a, T: Field<'a>>(name: &'static str, list: &List<'a, T>) -> Checked {
    range(name, format_args!("number of {name}"), list.len() as u64, 0, ITEMS_MAX as u64)
}

/// Jobs that follow from another one.
pub(super) fn follow_ups<'a, T: Field<'a>>(name: &'static str, list: &List<'a, T>) -> Checked {
    range(name, "number of follow-ups", list.len() as u64, 1, FOLLOW_UPS_MAX as u64)
}

/// What a job waits for.
pub(super) fn some_before(name: &'static str, list: &List<'_, After<'_>>) -> Checked {
    range(name, "number of jobs that it waits for", list.len() as u64, 1, BEFORE_MAX as u64)?;
    range(name, "bytes of what it waits for", list.bytes() as u64, 0, BEFORE_BYTES_MAX as u64)?;
    for After { by, number, name: key } in list.iter() {
        match by {
            AfterBy::Job => range(name, "id of a job that it waits for", number, 1, JOB_ID_END - 1)?,
            AfterBy::Item => range(name, "place of a job that it waits for", number, 0, ITEMS_MAX as u64)?,
            AfterBy::Key => some_key(name, &key)?,
            AfterBy::Batch => batch_name(name, &key)?,
        }
    }
    Ok(())
}

pub(super) fn queue_names(name: &'static str, list: &List<'_, &str>) -> Checked {
    range(name, format_args!("number of {name}"), list.len() as u64, 1, POLL_QUEUES_MAX as u64)?;
    list.iter().try_for_each(|queue| queue_name(name, &queue))
}

pub(super) fn queue_name(name: &'static str, queue: &&str) -> Checked {
    check_queue_name(queue).map_err(|error| DecodeError::out_of_bounds(name, Bound::QueueName, error))
}

fn named(name: &'static str, checked: Result<(), NameError>) -> Checked {
    checked.map_err(|error| DecodeError::out_of_bounds(name, Bound::Value, error))
}

pub(super) fn key_or_none(name: &'static str, key: &&str) -> Checked {
    if key.is_empty() { Ok(()) } else { named(name, check_key(key)) }
}

pub(super) fn some_key(name: &'static str, key: &&str) -> Checked {
    named(name, check_key(key))
}

pub(super) fn queue_or_all(name: &'static str, queue: &&str) -> Checked {
    if queue.is_empty() { Ok(()) } else { queue_name(name, queue) }
}

pub(super) fn sane_rules(name: &'static str, settings: &QueueSettings) -> Checked {
    let within =
        |shown: &str, value: Option<u64>, min, max| value.map_or(Ok(()), |value| range(name, shown, value, min, max));
    let keep_s_max = KEEP_MS_MAX / 1000;
    within("keep_s", settings.keep_s.map(u64::from), 0, keep_s_max)?;
    within("dead_keep_s", settings.dead_keep_s.map(u64::from), 1, keep_s_max)?;
    within("max_attempts", settings.max_attempts.map(u64::from), 1, u64::from(ATTEMPTS_MAX))?;
    within("timeout_ms", settings.timeout_ms.map(u64::from), TIMEOUT_MS_MIN, TIMEOUT_MS_MAX)?;
    within("running_max", settings.running_max.map(u64::from), 1, u64::from(u32::MAX))?;
    within("group_running_max", settings.group_running_max.map(u64::from), 1, u64::from(u32::MAX))?;
    within("ttl_ms", settings.ttl_ms, 1, KEEP_MS_MAX)?;
    [settings.rate, settings.group_rate].iter().flatten().try_for_each(|rate| sane_rate(name, *rate))?;
    settings.backoff.map_or(Ok(()), |backoff| sane_backoff(name, &backoff))
}

pub(super) fn schedule_name(name: &'static str, schedule: &&str) -> Checked {
    named(name, check_schedule_name(schedule))
}

/// What a schedule is told to do; its expression and its zone are the master's to read.
pub(super) fn sane_plan(name: &'static str, plan: &Plan<'_>) -> Checked {
    let refused = |text: String| Err(DecodeError::out_of_bounds(name, Bound::Value, text));
    queue_name(name, &plan.queue)?;
    range(name, "cron bytes", plan.cron.len() as u64, 0, CRON_BYTES_MAX as u64)?;
    range(name, "zone bytes", plan.zone.len() as u64, 0, ZONE_BYTES_MAX as u64)?;
    match (plan.cron, plan.every_ms) {
        ("", 0) => {
            return refused("a schedule goes by a cron expression or by a span; this one says neither".to_owned());
        }
        ("", every_ms) => range(name, "every_ms", every_ms, EVERY_MS_MIN, EVERY_MS_MAX)?,
        (_, 0) => {}
        _ => return refused("a schedule goes by a cron expression or by a span; this one says both".to_owned()),
    }
    if plan.is_by_span() && !plan.zone.is_empty() {
        return refused("a schedule that goes by a span has no time zone".to_owned());
    }
    range(name, "jitter_ms", plan.jitter_ms.into(), 0, JITTER_MS_MAX.into())?;
    let (least, most) = if plan.missed == Missed::All { (1, MISSED_TICKS_MAX.into()) } else { (0, 0) };
    range(name, "missed_max", plan.missed_max.into(), least, most)?;
    sane_settings(name, &plan.settings)?;
    plan.keep_ms.map_or(Ok(()), |keep_ms| range(name, "keep_ms", keep_ms, 0, KEEP_MS_MAX))?;
    plan.ttl_ms.map_or(Ok(()), |ttl_ms| range(name, "ttl_ms", ttl_ms, 1, KEEP_MS_MAX))?;
    plan.backoff.map_or(Ok(()), |backoff| sane_backoff(name, &backoff))?;
    plan.headers.map_or(Ok(()), |headers| sane_headers_of_plan(name, &headers))?;
    plan.group.map_or(Ok(()), |group| group_name(name, &group))?;
    range(name, "payload bytes", plan.payload.len() as u64, 0, SCHEDULE_PAYLOAD_BYTES_MAX as u64)
}

/// The same as of a job, with room for the two that say which tick it was made for.
fn sane_headers_of_plan(name: &'static str, headers: &HeadersText<'_>) -> Checked {
    sane_headers(name, headers)?;
    let most = HEADERS_BYTES_MAX - TICK_HEADERS_BYTES;
    range(name, "headers bytes of a schedule", headers.0.len() as u64, 0, most as u64)?;
    let own = [SCHEDULE_HEADER, TICK_HEADER].map(header_variable);
    let taken = headers.read()?.iter().find(|header| own.contains(&header_variable(header.name)));
    let Some(Header { name: header, .. }) = taken else { return Ok(()) };
    let text = format!("header {header:?} is set by the schedule itself: it says which tick a job was made for");
    Err(DecodeError::out_of_bounds(name, Bound::Value, text))
}

pub(super) fn sane_group_rules(name: &'static str, settings: &GroupSettings) -> Checked {
    let within = |shown: &str, value: Option<u64>, max| value.map_or(Ok(()), |value| range(name, shown, value, 1, max));
    within("weight", settings.weight.map(u64::from), GROUP_WEIGHT_MAX.into())?;
    within("running_max", settings.running_max.map(u64::from), u64::from(u32::MAX))?;
    settings.rate.map_or(Ok(()), |rate| sane_rate(name, rate))
}

fn sane_rate(name: &'static str, rate: Rate) -> Checked {
    range(name, "number of tokens of a rate", rate.tokens.into(), 1, RATE_TOKENS_MAX.into())?;
    range(name, "span of a rate in ms", rate.per_ms.into(), 1, RATE_SPAN_MS_MAX.into())?;
    range(name, "burst of a rate", rate.burst.into(), 1, RATE_TOKENS_MAX.into())
}

pub(super) fn group_name(name: &'static str, group: &&str) -> Checked {
    named(name, check_group_name(group))
}

pub(super) fn batch_name(name: &'static str, batch: &&str) -> Checked {
    named(name, check_batch_name(batch))
}

pub(super) fn batch_or_none(name: &'static str, batch: &&str) -> Checked {
    if batch.is_empty() { Ok(()) } else { batch_name(name, batch) }
}

pub(super) fn group_or_none(name: &'static str, group: &&str) -> Checked {
    if group.is_empty() { Ok(()) } else { group_name(name, group) }
}

pub(super) fn client_name(name: &'static str, client: &&str) -> Checked {
    named(name, check_client_name(client))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "every bound takes its field so")]
pub(super) fn sane_settings(name: &'static str, settings: &Settings) -> Checked {
    if settings.timeout_ms != 0 {
        let timeout_ms = u64::from(settings.timeout_ms);
        range(name, "timeout_ms", timeout_ms, TIMEOUT_MS_MIN, TIMEOUT_MS_MAX)?;
    }
    range(name, "max_attempts", u64::from(settings.max_attempts), 0, u64::from(ATTEMPTS_MAX))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "every bound takes its field so")]
pub(super) fn sane_backoff(name: &'static str, backoff: &Backoff) -> Checked {
    let (first_ms, most_ms) = (u64::from(backoff.first_ms), u64::from(backoff.most_ms));
    range(name, "the first backoff in ms", first_ms, 1, BACKOFF_MS_LONGEST)?;
    range(name, "the longest backoff in ms", most_ms, first_ms, BACKOFF_MS_LONGEST)
}

/// Names of letters, digits, `-`, `_` and `.`, each once whatever its case; values without NUL, so that they can be
/// variables of an environment.
pub(super) fn sane_headers(name: &'static str, headers: &HeadersText<'_>) -> Checked {
    range(name, "headers bytes", headers.0.len() as u64, 0, HEADERS_BYTES_MAX as u64)?;
    let mut names = Vec::new();
    for Header { name: header, value } in headers.read()?.iter() {
        let is_sane = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let refused = |why: &str| {
            let text = format!("header {header:?} {why}");
            Err(DecodeError::out_of_bounds(name, Bound::Value, text))
        };
        if header.is_empty() || header.len() > HEADER_NAME_BYTES_MAX || !header.chars().all(is_sane) {
            return refused("has no name of 1 to 64 letters, digits, '-', '_' or '.'");
        }
        if value.contains('\0') {
            return refused("has a NUL in its value");
        }
        let variable = header_variable(header);
        if names.contains(&variable) {
            return refused("is there twice, but for its case or its signs");
        }
        names.push(variable);
    }
    Ok(())
}

pub(super) fn short_payload(name: &'static str, payload: &&[u8]) -> Checked {
    if payload.len() <= PAYLOAD_BYTES_MAX {
        return Ok(());
    }
    let text = format!("the payload has {} bytes; it takes at most {PAYLOAD_BYTES_MAX}", payload.len());
    Err(DecodeError::out_of_bounds(name, Bound::Payload, text))
}
