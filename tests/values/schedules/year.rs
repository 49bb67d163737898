//! A year in three zones, with both changes of daylight saving, clocks that are set forward and back, kills and power
//! cuts: each tick is there once. What is due when is told by a naive look at each half hour of the year: the
//! clocks of these zones change at such.

use std::collections::BTreeMap;

use falconqueue::ids::Lsn;
use falconqueue::master::{Config, WalError};
use falconqueue::queue::Event;
use falconqueue::time::{Millis, Timestamp};
use falconqueue::timing::shown;
use falconqueue::wal::{MemoryDevice, visit_all};

use super::{of_tick, put};
use crate::dice::Dice;
use crate::frames::{MISSED_ALL, Plan, cron, every};
use crate::hand::{Hand, config};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// 2026-01-01 and 2027-01-01, noon.
const BEGIN: Timestamp = Timestamp(1_767_268_800_000);
const END: Timestamp = Timestamp(1_798_804_800_000);

const ZONES: [&str; 3] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];

/// The ticks of a year of `30 2 * * *` and of `0 * * * *`: each day has the first half hour from half past two on,
/// and each that ends in 00 is one.
fn expected(zone: &str) -> [Vec<String>; 2] {
    let (mut daily, mut hourly) = (Vec::new(), Vec::new());
    let mut day = shown(BEGIN, zone)[..10].to_owned();
    for half_hour in 1..=(END.0 - BEGIN.0) / (30 * MINUTE) {
        let at = BEGIN.plus(Millis(half_hour * 30 * MINUTE));
        let clock = shown(at, zone);
        let (date, time) = (&clock[..10], &clock[11..16]);
        if date != day && ("02:30".."12:00").contains(&time) {
            date.clone_into(&mut day);
            daily.push(at.rfc3339());
        }
        if time.ends_with(":00") {
            hourly.push(at.rfc3339());
        }
    }
    [daily, hourly]
}

struct Year {
    hand: Hand,
    dice: Dice,
    /// What a right clock shows, and by how much the one on the wall is wrong.
    right: Timestamp,
    wrong: i64,
    /// How many jobs were made for each tick, in the log up to this record.
    made: BTreeMap<(String, String), usize>,
    read_to: Lsn,
}

impl Year {
    fn config() -> Config {
        Config { segment_bytes: 1 << 20, ..config() }
    }

    fn begin(seed: u64) -> Year {
        let hand = Hand::open(Year::config(), MemoryDevice::default(), BEGIN);
        let (dice, made, read_to) = (Dice::new(seed), BTreeMap::new(), Lsn(1));
        Year { hand, dice, right: BEGIN, wrong: 0, made, read_to }
    }

    fn wall(&self) -> Timestamp {
        Timestamp(self.right.0.saturating_add_signed(self.wrong))
    }

    /// Time passes; log time follows the clock on the wall, and never goes back.
    fn pass(&mut self, span: u64) {
        self.right = self.right.plus(Millis(span));
        self.hand.now = self.hand.now.plus(Millis(span)).max(self.wall());
    }

    fn turn(&mut self) {
        let wall = self.wall();
        let Hand { master, now, .. } = &mut self.hand;
        master.note_wall(wall, *now);
        for _ in 0..20 {
            master.begin_turn(*now).unwrap();
            master.finish_turn(*now).unwrap();
            if master.next_deadline().is_none_or(|at| at > *now) {
                break;
            }
        }
    }

    /// What is in the log for good was made.
    fn read(&mut self) {
        self.hand.sync();
        let (made, mut next) = (&mut self.made, self.read_to);
        visit_all(&self.hand.device, self.read_to, |record| {
            assert_eq!(record.head.lsn, next, "nothing was given up that was not read");
            next = record.head.lsn.next();
            let event = Event::decode(record.head.kind, record.body).expect("an event");
            if let Some(tick) = of_tick(&event) {
                *made.entry(tick).or_default() += 1;
            }
            Ok::<(), WalError>(())
        })
        .unwrap();
        self.read_to = next;
    }

    /// Something goes wrong, or nothing.
    fn step(&mut self) {
        match self.dice.below(40) {
            0 => self.wrong = i64::try_from(self.dice.below(6 * HOUR)).unwrap(),
            1 => self.wrong = -i64::try_from(self.dice.below(6 * HOUR)).unwrap(),
            2 => self.wrong = 0,
            3 => {
                // Killed in the midst of it, and away for a while.
                let dice = &mut self.dice;
                let device = if dice.below(2) == 0 {
                    self.hand.device.kill()
                } else {
                    self.hand.device.crash_with(&mut |below| dice.below(below))
                };
                let away = self.dice.below(5 * HOUR);
                self.pass(away);
                self.hand = Hand::open(Year::config(), device, self.hand.now);
            }
            _ => {}
        }
    }
}

#[test]
fn each_tick_of_a_year_in_three_zones_makes_one_job() {
    let seeds = std::env::var("FQ_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1);
    for seed in 1..=seeds {
        let mut year = Year::begin(seed);
        let client = year.hand.connect();
        // Jobs that nobody takes are gone soon, and the state stays small.
        let plan =
            |plan: Plan| Plan { missed: MISSED_ALL, missed_max: 1000, ttl_ms: Some(1000), keep_ms: Some(0), ..plan };
        for zone in ZONES {
            put(&mut year.hand, client, &format!("daily-{}", &zone[..4]), &plan(cron("q", "30 2 * * *", zone)));
            put(&mut year.hand, client, &format!("hourly-{}", &zone[..4]), &plan(cron("q", "0 * * * *", zone)));
        }
        put(&mut year.hand, client, "spans", &plan(every("q", 5 * HOUR)));
        year.read();
        while year.right < Timestamp(END.0 - 24 * HOUR) {
            let span = 1 + year.dice.below(40 * MINUTE);
            year.pass(span);
            year.turn();
            if year.dice.below(60) == 0 {
                year.read();
            }
            year.step();
        }
        year.wrong = 0;
        year.read();
        while year.right < END {
            year.pass((END.0 - year.right.0).min(5 * MINUTE));
            year.turn();
        }
        year.read();
        holds(&year, seed);
    }
}

fn holds(year: &Year, seed: u64) {
    let twice: Vec<_> = year.made.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "seed {seed}: made more than once: {twice:?}");
    let made = |name: String| -> Vec<String> {
        year.made.keys().filter(|(of, _)| *of == name).map(|(_, tick)| tick.clone()).collect()
    };
    for zone in ZONES {
        let [daily, hourly] = expected(zone);
        assert!(daily.len() >= 364, "{}", daily.len());
        assert_eq!(made(format!("daily-{}", &zone[..4])), daily, "seed {seed}, each day in {zone}");
        assert_eq!(made(format!("hourly-{}", &zone[..4])), hourly, "seed {seed}, each hour in {zone}");
    }
    // Log time has gone on by more than a year where the clock was ahead.
    let spans = (year.hand.now.0 - BEGIN.0) / (5 * HOUR);
    assert_eq!(made("spans".to_owned()).len() as u64, spans, "seed {seed}");
}
