//! Moments as people read and write them: by the clock on their wall, or in UTC with `--utc`.
//!
//! A time of the wall that does not exist, since the clocks were put forward, is the moment right after the gap; one
//! that comes twice is the first of the two. Schedules keep the same rule.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp as Instant, Zoned};

use super::args::Common;
use crate::time::{Millis, Timestamp};

/// A wall's clock, looked at once.
#[derive(Clone, Debug)]
pub struct Wall {
    zone: TimeZone,
    /// What is behind a moment: a Z in UTC, and nothing by the local clock.
    suffix: &'static str,
    now: Timestamp,
}

/// The moment now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Wall {
    /// The clock that the options ask for.
    pub fn of(common: &Common) -> Wall {
        let (zone, suffix) = if common.utc { (TimeZone::UTC, "Z") } else { (TimeZone::system(), "") };
        Wall { zone, suffix, now: now() }
    }

    /// The clock of UTC.
    #[cfg(test)]
    pub fn utc() -> Wall {
        Wall { zone: TimeZone::UTC, suffix: "Z", now: now() }
    }

    /// The moment so long before it was looked at.
    pub fn before(&self, span: Millis) -> Timestamp {
        Timestamp(self.now.0.saturating_sub(span.0))
    }

    /// A moment: `2026-11-27 06:45:33`.
    pub fn shown(&self, at: Timestamp) -> String {
        let zoned = i64::try_from(at.0).ok().and_then(|ms| Instant::from_millisecond(ms).ok());
        let Some(zoned) = zoned.map(|at| Zoned::new(at, self.zone.clone())) else { return at.rfc3339() };
        format!("{}{}", zoned.strftime("%Y-%m-%d %H:%M:%S"), self.suffix)
    }

    /// How far off a moment is: `3 min ago`, `in 2 h`.
    pub fn relative(&self, at: Timestamp) -> String {
        match (self.now.since(at), at.since(self.now)) {
            (Millis(0), Millis(0)) => "now".to_owned(),
            (Millis(0), ahead) => format!("in {}", short(ahead)),
            (ago, _) => format!("{} ago", short(ago)),
        }
    }

    /// How long ago a moment was: `3 min`.
    pub fn age(&self, at: Timestamp) -> String {
        short(self.now.since(at))
    }

    /// Both: `2026-11-27 06:45:33 (3 min ago)`.
    pub fn both(&self, at: Timestamp) -> String {
        format!("{} ({})", self.shown(at), self.relative(at))
    }

    /// Reads `2026-12-24 18:00` by this clock, with seconds if need be; or RFC 3339 with its offset, which needs none.
    pub fn read(&self, text: &str) -> Result<Timestamp, String> {
        let how = || {
            format!(
                "{text:?} is no moment: write one as in '2026-12-24 18:00', which is by the clock of this machine, or \
                 by UTC with --utc; or with its offset, as in 2026-12-24T18:00:00+01:00"
            )
        };
        let instant = match (text.parse::<Instant>(), text.parse::<DateTime>()) {
            (Ok(instant), _) => Some(instant),
            // A zone in brackets would be read over.
            (Err(_), Ok(shown)) if !text.contains('[') => instant(&self.zone, shown),
            _ => return Err(how()),
        };
        // What was before 1970 is past, and no more is asked of it.
        instant.map(|at| Timestamp(u64::try_from(at.as_millisecond()).unwrap_or(0))).ok_or_else(how)
    }
}

/// The moment at which a clock shows this.
fn instant(zone: &TimeZone, shown: DateTime) -> Option<Instant> {
    let ambiguous = zone.to_ambiguous_timestamp(shown);
    let is_gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let earlier = ambiguous.earlier().ok()?;
    if is_gap { zone.following(earlier).next().map(|transition| transition.timestamp()) } else { Some(earlier) }
}

/// A span in its largest unit: `3 min`.
pub fn short(span: Millis) -> String {
    match span.0 / 1000 {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_761_933_000);

    fn wall(zone: &str) -> Wall {
        let suffix = if zone == "UTC" { "Z" } else { "" };
        Wall { zone: TimeZone::get(zone).unwrap(), suffix, now: NOW }
    }

    #[test]
    fn moments_are_shown_by_the_clock_on_the_wall() {
        let berlin = wall("Europe/Berlin");
        assert_eq!(NOW.rfc3339(), "2026-11-27T06:45:33.000Z");
        assert_eq!(berlin.shown(NOW), "2026-11-27 07:45:33");
        assert_eq!(wall("UTC").shown(NOW), "2026-11-27 06:45:33Z");
        assert_eq!(berlin.both(Timestamp(NOW.0 - 190_000)), "2026-11-27 07:42:23 (3 min ago)");
        assert_eq!(berlin.shown(Timestamp(u64::MAX)), Timestamp(u64::MAX).rfc3339());
    }

    #[test]
    fn how_far_off_a_moment_is_is_told_in_one_unit() {
        let utc = wall("UTC");
        let off = |ms: i64| utc.relative(Timestamp(NOW.0.checked_add_signed(ms).unwrap()));
        assert_eq!([off(0), off(-999), off(-59_999), off(-60_000)], ["now", "0 s ago", "59 s ago", "1 min ago"]);
        assert_eq!([off(7_200_000), off(172_799_999), off(172_800_000)], ["in 2 h", "in 47 h", "in 2 d"]);
    }

    #[test]
    fn moments_are_read_by_the_wall_or_with_their_offset() {
        let (berlin, utc) = (wall("Europe/Berlin"), wall("UTC"));
        let read = |wall: &Wall, text: &str| wall.read(text).unwrap().rfc3339();
        assert_eq!(read(&berlin, "2026-12-24 18:00"), "2026-12-24T17:00:00.000Z");
        assert_eq!(read(&berlin, "2026-07-24T18:00:05"), "2026-07-24T16:00:05.000Z");
        assert_eq!(read(&utc, "2026-12-24 18:00"), "2026-12-24T18:00:00.000Z");
        for wall in [&berlin, &utc] {
            assert_eq!(read(wall, "2026-12-24T18:00:00+05:30"), "2026-12-24T12:30:00.000Z");
            assert_eq!(read(wall, "2026-12-24T18:00:00.250Z"), "2026-12-24T18:00:00.250Z");
        }
        assert_eq!(berlin.read("1960-01-01 00:00"), Ok(Timestamp(0)));
    }

    #[test]
    fn a_time_in_the_gap_is_right_after_it_and_one_of_two_is_the_first() {
        let (berlin, lord_howe) = (wall("Europe/Berlin"), wall("Australia/Lord_Howe"));
        let read = |wall: &Wall, text: &str| wall.read(text).unwrap().rfc3339();
        for text in ["2026-03-29 02:00", "2026-03-29 02:30", "2026-03-29 02:59:59", "2026-03-29 03:00"] {
            assert_eq!(read(&berlin, text), "2026-03-29T01:00:00.000Z", "{text}");
        }
        assert_eq!(read(&berlin, "2026-10-25 02:30"), "2026-10-25T00:30:00.000Z");
        assert_eq!(read(&berlin, "2026-10-25 03:00"), "2026-10-25T02:00:00.000Z");
        assert_eq!(read(&lord_howe, "2026-10-04 02:15"), read(&lord_howe, "2026-10-04 02:30"));
    }

    #[test]
    fn what_is_no_moment_is_refused_with_what_to_write() {
        for bad in ["", "tomorrow", "18:00", "2026-13-01 00:00", "2026-12-24 18:00[Europe/Berlin]"] {
            let why = wall("UTC").read(bad);
            assert!(why.as_ref().is_err_and(|why| why.contains("--utc")), "{bad:?}: {why:?}");
        }
    }
}
