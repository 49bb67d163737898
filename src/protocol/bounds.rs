//! Bounds of values on the wire, as the tables of messages name them. A refusal says what the value was, and what
//! it takes.

use std::fmt;

use crate::codec::{Bound, DecodeError, Field, List};
use crate::ids::{NameError, check_client_name, check_key, check_queue_name};
use crate::job::Settings;
use crate::limits::{ATTEMPTS_MAX, ITEMS_MAX, PAYLOAD_BYTES_MAX, POLL_QUEUES_MAX, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN};

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

pub(super) fn short_payload(name: &'static str, payload: &&[u8]) -> Checked {
    if payload.len() <= PAYLOAD_BYTES_MAX {
        return Ok(());
    }
    let text = format!("the payload has {} bytes; it takes at most {PAYLOAD_BYTES_MAX}", payload.len());
    Err(DecodeError::out_of_bounds(name, Bound::Payload, text))
}
