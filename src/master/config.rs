//! What the master is told before it starts. Each mistake is one sentence.

use std::fmt;
use std::str::FromStr;

use crate::limits::{
    GRACE_MS_DEFAULT, GRACE_MS_MAX, KEY_WINDOW_MS_DEFAULT, KEY_WINDOW_MS_MAX, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN, SEGMENT_PAGE_BYTES, SILENCE_MS_DEFAULT, SILENCE_MS_MAX, SILENCE_MS_MIN, SYNC_INTERVAL_MS_MAX,
    TIMEOUT_MS_MAX, TIMEOUT_MS_MIN,
};
use crate::roles::Tokens;
use crate::time::Millis;

/// When the log is made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// Before any reply that tells of it: nothing that was answered is lost in a power cut.
    #[default]
    Always,
    /// When the system likes: a power cut loses what it had not written yet. A killed daemon loses nothing.
    Never,
    /// At most this long after it was written: a power cut loses up to this much time.
    Every(Millis),
}

#[derive(Clone, Debug)]
pub struct Config {
    pub sync: SyncMode,
    /// One of them a Hello has to carry; nothing if anyone may connect and do all.
    pub tokens: Option<Tokens>,
    /// How long a key is remembered after its job ended.
    pub key_window: Millis,
    /// What is left of the leases of a connection that broke.
    pub grace: Millis,
    /// How long a worker's connection may be silent.
    pub silence: Millis,
    /// The time of a job that has none of its own; 0 for no bound.
    pub default_timeout: Millis,
    /// Memory of its own, in bytes, past which the master takes no more jobs.
    pub memory_max: Option<u64>,
    pub segment_bytes: u32,
    /// Seed of the jitter in backoffs, and id of a log that is begun.
    pub seed: u64,
    /// Whether segments and snapshots are made by threads beside the loop; a simulation makes them at once.
    pub beside: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            sync: SyncMode::Always,
            tokens: None,
            key_window: Millis(KEY_WINDOW_MS_DEFAULT),
            grace: Millis(GRACE_MS_DEFAULT),
            silence: Millis(SILENCE_MS_DEFAULT),
            default_timeout: Millis(0),
            memory_max: None,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            seed: 0,
            beside: true,
        }
    }
}

/// A setting that is out of bounds: a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Holds every setting against its bounds.
    ///
    /// # Errors
    /// The first one that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refused = |text: String| Err(ConfigError(text));
        let Config { key_window, grace, silence, default_timeout, segment_bytes, .. } = *self;
        if key_window.0 > KEY_WINDOW_MS_MAX {
            return refused(format!("the key window is {key_window}; it takes up to {}", Millis(KEY_WINDOW_MS_MAX)));
        }
        if grace.0 > GRACE_MS_MAX {
            return refused(format!("the grace is {grace}; it takes up to {}", Millis(GRACE_MS_MAX)));
        }
        if !(SILENCE_MS_MIN..=SILENCE_MS_MAX).contains(&silence.0) {
            let (min, max) = (Millis(SILENCE_MS_MIN), Millis(SILENCE_MS_MAX));
            return refused(format!("the silence is {silence}; it takes {min} to {max}"));
        }
        if default_timeout.0 != 0 && !(TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(&default_timeout.0) {
            let (min, max) = (Millis(TIMEOUT_MS_MIN), Millis(TIMEOUT_MS_MAX));
            return refused(format!(
                "the default timeout is {default_timeout}; it takes {min} to {max}, or 0s for none"
            ));
        }
        let fits = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes);
        if !fits || !(segment_bytes as usize).is_multiple_of(SEGMENT_PAGE_BYTES) {
            return refused(format!(
                "a segment of {segment_bytes} bytes; it takes {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} \
                 in steps of {SEGMENT_PAGE_BYTES}"
            ));
        }
        Ok(())
    }
}

/// Reads `always`, `never` or a duration from 1 ms to 1 minute.
impl FromStr for SyncMode {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "always" => return Ok(SyncMode::Always),
            "never" => return Ok(SyncMode::Never),
            _ => {}
        }
        let interval: Millis =
            text.parse().map_err(|error| ConfigError(format!("{error}; for --sync also: always, never")))?;
        if !(1..=SYNC_INTERVAL_MS_MAX).contains(&interval.0) {
            return Err(ConfigError(format!(
                "a sync interval of {interval}; it takes 1ms to {}, or: always, never",
                Millis(SYNC_INTERVAL_MS_MAX)
            )));
        }
        Ok(SyncMode::Every(interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_modes_are_read_and_bounded() {
        assert_eq!("always".parse(), Ok(SyncMode::Always));
        assert_eq!("never".parse(), Ok(SyncMode::Never));
        assert_eq!("10ms".parse(), Ok(SyncMode::Every(Millis(10))));
        for bad in ["", "Always", "sometimes", "10", "0ms", "2m", "-1s"] {
            assert!(bad.parse::<SyncMode>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn settings_out_of_bounds_are_refused() {
        Config::default().validate().unwrap();
        for bad in [
            Config { key_window: Millis(KEY_WINDOW_MS_MAX + 1), ..Config::default() },
            Config { grace: Millis(GRACE_MS_MAX + 1), ..Config::default() },
            Config { silence: Millis(SILENCE_MS_MIN - 1), ..Config::default() },
            Config { silence: Millis(SILENCE_MS_MAX + 1), ..Config::default() },
            Config { segment_bytes: SEGMENT_BYTES_MIN - 4096, ..Config::default() },
            Config { segment_bytes: SEGMENT_BYTES_DEFAULT + 1, ..Config::default() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }
}
