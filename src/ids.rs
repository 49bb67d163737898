//! Identifiers and names. Numbers are newtypes, so that one cannot be taken for another;
//! names are parsed once, at the border, and are within bounds from then on.

use std::fmt;

use crate::codec::newtype_field;
use crate::limits::{
    BATCH_NAME_BYTES_MAX, CLIENT_NAME_BYTES_MAX, CONNECTIONS_MAX, GROUP_NAME_BYTES_MAX, KEY_BYTES_MAX,
    QUEUE_NAME_BYTES_MAX, SCHEDULE_NAME_BYTES_MAX,
};

macro_rules! define_ids {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

define_ids! {
    /// A job, for ever: given by the master, increasing from 1, never reused, below 2^48.
    JobId(u64);
    /// Position of a record in the log, counted in records from 1, without gaps. 0 is "before the first".
    Lsn(u64);
    /// A lease: the LSN of its DISPATCH. It never repeats and only grows, so it fences.
    LeaseId(u64);
    /// One connection (or local source) of this run of the master; never reused within a run.
    SessionId(u64);
    /// A queue in memory. Not durable: the log names queues, and the number of one that was forgotten is given again.
    QueueId(u32);
    /// A batch, for ever: increasing from 1, never reused.
    BatchId(u32);
}

newtype_field! {
    JobId(u64) Number;
    Lsn(u64) Number;
    LeaseId(u64) Number;
    SessionId(u64) Number;
    BatchId(u32) Number;
}

impl Lsn {
    #[must_use]
    pub fn next(self) -> Lsn {
        Lsn(self.0 + 1)
    }
}

/// Bits of a session id that tell its place; the rest is a count that never repeats within a run.
const SESSION_PLACE_BITS: u32 = 20;
const _: () = assert!(CONNECTIONS_MAX < 1 << SESSION_PLACE_BITS);

impl SessionId {
    /// The id of the `count`th session, which has this place.
    pub fn new(count: u64, place: usize) -> SessionId {
        SessionId(count << SESSION_PLACE_BITS | place as u64)
    }

    /// Its place: small, and used again once the session is gone. Compare the whole id before you trust it.
    pub fn place(self) -> usize {
        (self.0 & ((1 << SESSION_PLACE_BITS) - 1)) as usize
    }
}

/// Where a payload lies in the log: which segment (by its epoch) and where in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location {
    pub epoch: u32,
    /// Byte offset in the segment.
    pub offset: u32,
}

/// A number that no other run has: the keys of std's hash maps come from the system's randomness.
pub fn random_number() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// Why a name was refused: a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError(String);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NameError {}

/// Checks a queue name: 1 to 64 bytes of `A-Z a-z 0-9 . _ -`, the first a letter or a digit.
///
/// # Errors
/// A sentence that shows the name and says what is allowed.
pub fn check_queue_name(name: &str) -> Result<(), NameError> {
    let bytes = name.as_bytes();
    let first_fits = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
    let rest_fits = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if first_fits && rest_fits && bytes.len() <= QUEUE_NAME_BYTES_MAX {
        return Ok(());
    }
    Err(NameError(format!(
        "queue name {}: it takes 1 to {QUEUE_NAME_BYTES_MAX} characters of A-Z a-z 0-9 . _ - \
         and starts with a letter or digit",
        shown(name)
    )))
}

/// A queue name from a command line.
///
/// # Errors
/// As [`check_queue_name`].
pub fn parse_queue_name(text: &str) -> Result<String, NameError> {
    check_queue_name(text).map(|()| text.to_owned())
}

/// Checks the name of a schedule: the same as of a queue.
///
/// # Errors
/// A sentence that shows the name and says what is allowed.
pub fn check_schedule_name(name: &str) -> Result<(), NameError> {
    const { assert!(SCHEDULE_NAME_BYTES_MAX == QUEUE_NAME_BYTES_MAX) };
    check_queue_name(name).map_err(|NameError(text)| NameError(text.replacen("queue name", "schedule name", 1)))
}

/// The name of a schedule from a command line.
///
/// # Errors
/// As [`check_schedule_name`].
pub fn parse_schedule_name(text: &str) -> Result<String, NameError> {
    check_schedule_name(text).map(|()| text.to_owned())
}

/// Checks the name of a batch: the same as of a queue.
///
/// # Errors
/// A sentence that shows the name and says what is allowed.
pub fn check_batch_name(name: &str) -> Result<(), NameError> {
    const { assert!(BATCH_NAME_BYTES_MAX == QUEUE_NAME_BYTES_MAX) };
    check_queue_name(name).map_err(|NameError(text)| NameError(text.replacen("queue name", "batch name", 1)))
}

/// The name of a batch from a command line.
///
/// # Errors
/// As [`check_batch_name`].
pub fn parse_batch_name(text: &str) -> Result<String, NameError> {
    check_batch_name(text).map(|()| text.to_owned())
}

/// Checks a key: 1 to 128 bytes of text without control characters.
///
/// # Errors
/// A sentence that shows the key and says what is allowed.
pub fn check_key(key: &str) -> Result<(), NameError> {
    if !key.is_empty() && key.len() <= KEY_BYTES_MAX && !key.chars().any(char::is_control) {
        return Ok(());
    }
    Err(NameError(format!("key {}: it takes 1 to {KEY_BYTES_MAX} bytes without control characters", shown(key))))
}

/// Checks the name of a group: 1 to 64 bytes of text without control characters.
///
/// # Errors
/// A sentence that shows the name and says what is allowed.
pub fn check_group_name(name: &str) -> Result<(), NameError> {
    if !name.is_empty() && name.len() <= GROUP_NAME_BYTES_MAX && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let text = format!("it takes 1 to {GROUP_NAME_BYTES_MAX} bytes without control characters");
    Err(NameError(format!("group name {}: {text}", shown(name))))
}

/// Checks the name that a client gives itself: up to 64 bytes without control characters.
///
/// # Errors
/// A sentence that shows the name and says what is allowed.
pub fn check_client_name(name: &str) -> Result<(), NameError> {
    if name.len() <= CLIENT_NAME_BYTES_MAX && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(NameError(format!(
        "client name {}: it takes up to {CLIENT_NAME_BYTES_MAX} bytes without control characters",
        shown(name)
    )))
}

/// The name quoted and escaped, and cut when it is long: it may come from anywhere.
fn shown(name: &str) -> String {
    if name.chars().count() <= 40 {
        return format!("{name:?}");
    }
    let head: String = name.chars().take(40).collect();
    format!("{head:?}… ({} bytes)", name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_names_are_bounded_in_length_and_characters() {
        for good in ["a", "mail", "A.b_c-9", "0", &"q".repeat(64)] {
            assert!(check_queue_name(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "ü", "-a", ".a", "_a", "a/b", "a\n", &"q".repeat(65)] {
            assert!(check_queue_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_bounded_and_free_of_control_characters() {
        for good in ["k", "order 7", "ключ", &"k".repeat(128)] {
            assert!(check_key(good).is_ok(), "{good}");
        }
        for bad in ["", "a\0b", "a\nb", &"k".repeat(129)] {
            assert!(check_key(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_shows_no_raw_control_characters_and_stays_short() {
        let text = check_queue_name(&"\x1b[31m".repeat(100)).unwrap_err().to_string();
        assert!(!text.contains('\x1b') && text.len() < 600, "{text}");
    }
}
