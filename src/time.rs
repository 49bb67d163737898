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

impl Timestamp {
    /// As RFC 3339 writes it, in UTC.
    pub fn rfc3339(self) -> String {
        let (days, ms) = (self.0 / DAY_MS, self.0 % DAY_MS);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let (year, month, day) = date_of(days);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }
}

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Year, month and day, so many days after 1970-01-01. Years are counted from March here, so that the day that comes
/// every fourth year is the last; 400 years have 146,097 days, and from 0000-03-01 to 1970-01-01 there are 719,468.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (eras, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (is_next_year, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (400 * eras + year + is_next_year, month, day)
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
        write!(f, "{:?} is not a duration: write a whole number and a unit, as in 250ms, 5s, 1h30m or 2d", self.0)
    }
}

impl std::error::Error for SpanError {}

/// Each unit with its milliseconds, the largest first: in this order they are written.
const UNITS: [(&str, u64); 5] = [("d", DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads `250ms`, `5s`, `1h30m`, `2d`.
impl FromStr for Millis {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let refused = || SpanError(text.chars().take(40).collect());
        let (mut rest, mut units, mut span) = (text, &UNITS[..], 0_u64);
        loop {
            let (count, behind) = split(rest, |c| c.is_ascii_digit());
            let (unit, behind) = split(behind, |c| c.is_ascii_alphabetic());
            let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(refused)?;
            let count: u64 = count.parse().map_err(|_| refused())?;
            let part = count.checked_mul(units[at].1).ok_or_else(refused)?;
            span = span.checked_add(part).ok_or_else(refused)?;
            (rest, units) = (behind, &units[at + 1..]);
            if rest.is_empty() {
                return Ok(Millis(span));
            }
        }
    }
}

/// The signs of this kind that a text begins with, and the rest of it.
fn split(text: &str, is_in: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_in(c)).unwrap_or(text.len()))
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
    fn spans_of_several_units_are_read_the_largest_first() {
        for (text, ms) in [
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1d12h", 129_600_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("90s", 90_000),
            ("0h5s", 5000),
            ("1m0s", 60_000),
        ] {
            assert_eq!(text.parse(), Ok(Millis(ms)), "{text}");
        }
        for bad in ["30m1h", "1h1h", "1h 30m", "1h30", "1hm", "1s1ms1", "1d1d", "213503982335d", "1H"] {
            assert!(bad.parse::<Millis>().is_err(), "{bad:?}");
        }
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
    fn moments_are_written_as_dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (1_782_913_445_678, "2026-07-01T13:44:05.678Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp(ms).rfc3339(), text);
        }
        assert!(Timestamp(u64::MAX).rfc3339().ends_with('Z'));
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
