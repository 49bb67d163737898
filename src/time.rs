//! Moments and spans in whole milliseconds, with arithmetic that saturates. There is no clock here:
//! the only one is the reactor's, and everything else is told what time it is.

use std::fmt;
use std::str::FromStr;

/// A moment: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// A span: whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Timestamp {
    /// This moment moved on by `span`.
    #[must_use]
    pub fn plus(self, span: Millis) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Timestamp) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

crate::codec::newtype_field! {
    Timestamp(u64) Moment;
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A moment in six bytes, for where many are kept: up to the year 10889.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackedTimestamp([u16; 3]);

impl From<Timestamp> for PackedTimestamp {
    fn from(at: Timestamp) -> Self {
        let ms = at.0.min((1 << 48) - 1);
        PackedTimestamp([ms as u16, (ms >> 16) as u16, (ms >> 32) as u16])
    }
}

impl From<PackedTimestamp> for Timestamp {
    fn from(packed: PackedTimestamp) -> Self {
        let [low, middle, high] = packed.0.map(u64::from);
        Timestamp(high << 32 | middle << 16 | low)
    }
}

impl From<Millis> for std::time::Duration {
    fn from(span: Millis) -> Self {
        std::time::Duration::from_millis(span.0)
    }
}

/// The span as a person writes it: the largest unit that divides it.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self.0 {
            0 => (0, "ms"),
            ms if ms.is_multiple_of(3_600_000) => (ms / 3_600_000, "h"),
            ms if ms.is_multiple_of(60_000) => (ms / 60_000, "m"),
            ms if ms.is_multiple_of(1000) => (ms / 1000, "s"),
            ms => (ms, "ms"),
        };
        write!(f, "{count}{unit}")
    }
}

/// A text that is not a span: a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanError(String);

impl fmt::Display for SpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a duration: write a whole number and a unit, as in 250ms, 5s, 2m or 1h", self.0)
    }
}

impl std::error::Error for SpanError {}

/// Reads `250ms`, `5s`, `2m`, `1h`.
impl FromStr for Millis {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let refused = || SpanError(text.chars().take(40).collect());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(refused()),
        };
        let count: u64 = count.parse().map_err(|_| refused())?;
        count.checked_mul(unit_ms).map(Millis).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_unit_and_shown_as_written() {
        for (text, ms) in [("250ms", 250), ("5s", 5000), ("2m", 120_000), ("1h", 3_600_000), ("0ms", 0)] {
            assert_eq!(text.parse(), Ok(Millis(ms)));
            assert_eq!(Millis(ms).to_string(), text);
        }
        assert_eq!(Millis(1500).to_string(), "1500ms");
    }

    #[test]
    fn spans_without_unit_sign_fraction_or_bound_are_refused() {
        for bad in
            ["", "5", "s", "5x", "-1s", "+1s", "1.5s", " 5s", "5s ", "5 s", "99999999999999999999h", "6000000000000h"]
        {
            assert!(bad.parse::<Millis>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn moments_are_packed_and_come_back() {
        for ms in [0, 1, 1_790_000_000_000, (1 << 48) - 1] {
            assert_eq!(Timestamp::from(PackedTimestamp::from(Timestamp(ms))), Timestamp(ms));
        }
        assert_eq!(Timestamp::from(PackedTimestamp::from(Timestamp(u64::MAX))), Timestamp((1 << 48) - 1));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp(u64::MAX).plus(Millis(1)), Timestamp(u64::MAX));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Millis(0));
    }
}
