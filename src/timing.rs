//! When a schedule is due: cron expressions in a time zone, and spans from an anchor. Pure: no clock is read here, the
//! moment is an argument. (The zones are read from the system, once each; what the system lacks is built in.)
//!
//! Promises: [`Timing::after`] is later than what it is asked about, so that no tick comes twice; the same question
//! gets the same answer. What a day does that is an hour shorter or longer:
//!
//! | the hour field | a time that does not exist | a time that comes twice |
//! | --- | --- | --- |
//! | is `*`: every hour | has no tick: the next one is due as ever | has a tick each time, an hour apart |
//! | is anything else: times of the day | has its tick once, right after the gap | has its tick once, the first time |
//!
//! `* * * * *` goes on through such a night every minute, and `30 2 * * *` runs once on each day of the year.

use std::str::FromStr;

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp as Instant, Zoned};

use crate::time::{Millis, Timestamp};

/// When a schedule is due.
#[derive(Clone, Debug)]
pub enum Timing {
    /// By the clock on the wall of a zone.
    Cron(Box<InZone>),
    /// Each time that a span has passed since the anchor.
    Every { anchor: Timestamp, every: Millis },
}

/// A cron expression in its time zone.
#[derive(Clone, Debug)]
pub struct InZone {
    cron: Cron,
    zone: TimeZone,
    every_hour: bool,
}

impl Timing {
    /// # Errors
    /// A sentence that says what is wrong with the expression or the zone.
    pub fn cron(expression: &str, zone: &str) -> Result<Timing, String> {
        let cron = Cron::from_str(expression).map_err(|error| {
            format!(
                "cron {expression:?}: {error}; write minute, hour, day, month and day of the week, as in \
                 '*/5 * * * *', with seconds before them if need be"
            )
        })?;
        let zone = zone_of(zone)?;
        Ok(Timing::Cron(Box::new(InZone { cron, zone, every_hour: is_every_hour(expression) })))
    }

    /// The first tick after this moment; nothing if there is none.
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Timing::Cron(cron) => cron.after(at),
            Timing::Every { anchor, every } => {
                let passed = at.since(*anchor).0 / every.0.max(1);
                let first = anchor.plus(Millis(every.0.saturating_mul(passed + 1)));
                (first > at && first != Timestamp(u64::MAX)).then_some(first)
            }
        }
    }

    /// The latest ticks that are not before `first` and before `end`, at most so many. It looks back in steps that
    /// double, so that it costs little where `first` is long ago.
    pub fn latest(&self, first: Timestamp, end: Timestamp, most: usize) -> Vec<Timestamp> {
        let gap = self.after(first).map_or(1000, |next| next.since(first).0.max(1));
        let mut back = gap.saturating_mul(most as u64 + 1);
        loop {
            let from = Timestamp(end.0.saturating_sub(back)).max(first);
            let mut all: Vec<Timestamp> = self.between(from, end).collect();
            if all.len() >= most || from == first {
                return all.split_off(all.len().saturating_sub(most));
            }
            back = back.saturating_mul(2);
        }
    }

    /// The ticks from `from` on that are before `end`.
    fn between(&self, from: Timestamp, end: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        let first = self.after(Timestamp(from.0.saturating_sub(1)));
        std::iter::successors(first, |at| self.after(*at)).take_while(move |at| *at < end)
    }
}

impl InZone {
    fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let zoned = zoned(at, &self.zone)?;
        if self.every_hour {
            return moment(self.cron.find_next_occurrence(&zoned, false).ok()?.timestamp());
        }
        // What a clock on the wall shows only grows from one tick to the next, and so do the moments that stand for it:
        // all up to what it shows at `at` are over. In the second pass of an hour so is the rest of the first.
        let mut shown = zoned.datetime();
        loop {
            shown = self.cron.find_next_occurrence(&shown, false).ok()?;
            let next = moment(self.instant(shown)?)?;
            if next > at {
                return Some(next);
            }
        }
    }

    /// The moment that stands for what a clock shows: the first of two, or the end of the gap.
    fn instant(&self, shown: DateTime) -> Option<Instant> {
        let ambiguous = self.zone.to_ambiguous_timestamp(shown);
        let is_gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let earlier = ambiguous.earlier().ok()?;
        if is_gap {
            self.zone.following(earlier).next().map(|transition| transition.timestamp())
        } else {
            Some(earlier)
        }
    }
}

/// The zone of this name; UTC for none.
fn zone_of(name: &str) -> Result<TimeZone, String> {
    if name.is_empty() {
        return Ok(TimeZone::UTC);
    }
    let refused = |_| format!("time zone {name:?} is not known; write one as in Europe/Berlin, or UTC");
    TimeZone::get(name).map_err(refused)
}

/// Whether the hour field is `*`.
fn is_every_hour(expression: &str) -> bool {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    match fields.len() {
        5 => fields[1] == "*",
        6 | 7 => fields[2] == "*",
        _ => expression.trim().eq_ignore_ascii_case("@hourly"),
    }
}

fn zoned(at: Timestamp, zone: &TimeZone) -> Option<Zoned> {
    let at = Instant::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
    Some(at.to_zoned(zone.clone()))
}

fn moment(at: Instant) -> Option<Timestamp> {
    u64::try_from(at.as_millisecond()).ok().map(Timestamp)
}

/// What the clock of a zone shows at this moment, with its offset, as RFC 3339 writes it.
pub fn shown(at: Timestamp, zone: &str) -> String {
    let zoned = zone_of(zone).ok().and_then(|zone| zoned(at, &zone));
    zoned.map_or_else(|| at.rfc3339(), |zoned| zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600 * 1000;

    fn at(text: &str) -> Timestamp {
        moment(text.parse().unwrap()).unwrap()
    }

    /// The first ticks after a moment, as the zone's clock shows them.
    fn ticks(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let timing = Timing::cron(expression, zone).unwrap();
        let first = timing.after(at(after));
        std::iter::successors(first, |at| timing.after(*at)).take(count).map(|at| shown(at, zone)).collect()
    }

    #[test]
    fn a_time_of_the_day_that_does_not_exist_has_its_tick_right_after_the_gap() {
        let berlin = ticks("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(berlin, ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]);
        let york = ticks("15 2 * * *", "America/New_York", "2026-03-08T00:00:00-05:00", 2);
        assert_eq!(york, ["2026-03-08T03:00:00-04:00", "2026-03-09T02:15:00-04:00"]);
        // The clock goes forward by half an hour there.
        let howe = ticks("10 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2);
        assert_eq!(howe, ["2026-10-04T02:30:00+11:00", "2026-10-05T02:10:00+11:00"]);
        // All that fall into the gap are one, also with the one that is due at its end.
        let many = ticks("*/20 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
        assert_eq!(many, ["2026-03-29T03:00:00+02:00", "2026-03-29T03:20:00+02:00", "2026-03-29T03:40:00+02:00"]);
    }

    #[test]
    fn a_time_of_the_day_that_comes_twice_has_its_tick_the_first_time() {
        let berlin = ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(berlin, ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]);
        let york = ticks("*/30 1 * * *", "America/New_York", "2026-11-01T00:00:00-04:00", 3);
        assert_eq!(york, ["2026-11-01T01:00:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-02T01:00:00-05:00"]);
        let howe = ticks("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", 2);
        assert_eq!(howe, ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"]);
        // Asked in the second pass, whatever is over is over.
        let second = ticks("10,50 2 * * *", "Europe/Berlin", "2026-10-25T01:20:00Z", 1);
        assert_eq!(second, ["2026-10-26T02:10:00+01:00"]);
        let even = ticks("0 */2 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 2);
        assert_eq!(even, ["2026-10-25T04:00:00+01:00", "2026-10-25T06:00:00+01:00"]);
    }

    #[test]
    fn what_is_due_in_every_hour_goes_on_through_both_nights() {
        for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"] {
            for (expression, step) in [("* * * * *", 60_000), ("*/5 * * * *", 300_000), ("* * * * * *", 1000)] {
                let timing = Timing::cron(expression, zone).unwrap();
                for night in ["2026-03-08T05:00:00Z", "2026-03-28T23:00:00Z", "2026-10-24T23:00:00Z"] {
                    let mut before = timing.after(at(night)).unwrap();
                    for _ in 0..400 {
                        let next = timing.after(before).unwrap();
                        assert_eq!(next.since(before).0, step, "{expression} in {zone}, {}", shown(next, zone));
                        before = next;
                    }
                }
            }
        }
        let hourly = ticks("@hourly", "Europe/Berlin", "2026-10-25T00:30:00Z", 2);
        assert_eq!(hourly, ["2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"]);
    }

    #[test]
    fn each_day_of_a_year_has_each_time_of_the_day_once_in_every_zone() {
        for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", ""] {
            for hour in 0..24 {
                let timing = Timing::cron(&format!("30 {hour} * * *"), zone).unwrap();
                let (mut now, mut days) = (at("2026-01-01T12:00:01Z"), Vec::new());
                while let Some(next) =
                    timing.after(now).filter(|next| next.since(at("2026-01-01T12:00:01Z")).0 < 365 * DAY)
                {
                    assert!(next > now);
                    now = next;
                    days.push(shown(next, zone)[..10].to_owned());
                }
                let count = days.len();
                days.dedup();
                assert_eq!((days.len(), count), (365, 365), "at {hour}:30 in {zone}");
            }
        }
    }

    #[test]
    fn a_span_goes_by_what_has_passed_since_its_anchor() {
        let timing = Timing::Every { anchor: Timestamp(1000), every: Millis(90_000) };
        for (at, next) in [(0, 91_000), (1000, 91_000), (90_999, 91_000), (91_000, 181_000), (500_000, 541_000)] {
            assert_eq!(timing.after(Timestamp(at)), Some(Timestamp(next)), "after {at}");
        }
        assert_eq!(timing.after(Timestamp(u64::MAX - 1)), None);
    }

    #[test]
    fn the_latest_ticks_are_found_without_walking_through_all() {
        let every = Timing::Every { anchor: Timestamp(0), every: Millis(1000) };
        let year = Timestamp(365 * DAY);
        let latest: Vec<u64> = every.latest(Timestamp(1000), year, 3).iter().map(|at| year.since(*at).0).collect();
        assert_eq!(latest, [3000, 2000, 1000]);
        assert_eq!(every.latest(Timestamp(1000), Timestamp(2500), 10), [Timestamp(1000), Timestamp(2000)]);
        assert_eq!(every.latest(Timestamp(1000), Timestamp(1000), 10), []);
        // They come in bursts: one hour a day.
        let burst = Timing::cron("* 3 * * *", "").unwrap();
        let end = at("2026-05-01T01:00:00Z");
        let latest = burst.latest(at("2025-05-01T03:00:00Z"), end, 2);
        assert_eq!(latest, [at("2026-04-30T03:58:00Z"), at("2026-04-30T03:59:00Z")]);
    }

    #[test]
    fn what_is_no_expression_and_no_zone_is_refused_in_a_sentence() {
        for bad in ["", "* * * *", "61 * * * *", "a b c d e", "* * * * * * * *"] {
            assert!(Timing::cron(bad, "").unwrap_err().contains("as in '*/5 * * * *'"), "{bad}");
        }
        assert!(Timing::cron("* * * * *", "Mars/Olympus").unwrap_err().contains("Mars/Olympus"));
        let never = Timing::cron("0 0 30 2 *", "");
        assert!(never.is_err() || never.unwrap().after(Timestamp(0)).is_none(), "the 30th of February");
        let once = Timing::cron("0 0 12 1 1 * 2030", "").unwrap();
        assert_eq!(once.after(Timestamp(0)).map(|at| shown(at, "")), Some("2030-01-01T12:00:00+00:00".to_owned()));
        assert_eq!(once.after(at("2030-01-01T12:00:00Z")), None);
    }
}
