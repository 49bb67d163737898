//! Schedules under `kill -9`: each tick of each schedule makes one job.
//!
//! `FALCON_SCHEDULE_SECONDS` says for how long; the long run has 1,000 schedules that are due each second.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::harness::*;
use crate::load::{any_seed, number_of};

const SECONDS: u64 = 8;
const SCHEDULES: u64 = 60;
const SCHEDULES_LONG: u64 = 1000;

/// A half goes by the clock, a half by what passes; whatever a kill holds up is made up for.
fn file(schedules: u64) -> String {
    let when = |number: u64| if number.is_multiple_of(2) { ("cron", "* * * * * *") } else { ("every", "1s") };
    let one = |number| {
        let (how, what) = when(number);
        let name = format!("s{number:04}");
        serde_json::json!({"name": name, how: what, "queue": "q", "payload": "x", "missed": "all:1000"})
    };
    serde_json::json!({"schedule": (0..schedules).map(one).collect::<Vec<_>>()}).to_string()
}

#[test]
fn each_tick_of_many_schedules_makes_one_job_across_kill_9() {
    let long = number_of("FALCON_SCHEDULE_SECONDS");
    let (seconds, schedules) = long.map_or((SECONDS, SCHEDULES), |seconds| (seconds, SCHEDULES_LONG));
    let seed = number_of("FALCON_SEED").unwrap_or_else(any_seed);
    println!("FALCON_SEED={seed}");
    let (mut dice, dir, port) = (Dice::new(seed), scratch(), Port::reserve());
    let data = dir.path().join("data");
    let mut master = Master::start_at(&data, &port.address, &[]);
    let path = dir.path().join("schedules.json");
    fs::write(&path, file(schedules)).unwrap();
    master.cli(&["--output", "quiet", "schedule", "apply", path.to_str().unwrap()]).expect(0);

    let (begun, mut kills) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        thread::sleep(Duration::from_millis(500 + dice.below(3500)));
        master.kill();
        kills += 1;
        // Now and then it is away over some ticks.
        thread::sleep(Duration::from_millis(dice.below(4) / 3 * dice.below(2500)));
        master = Master::start_at(&data, &port.address, &[]);
    }
    // The last ticks of before the last kill are made up for at once.
    thread::sleep(Duration::from_millis(1500));
    master.stop();

    let made = made(&data);
    assert_eq!(made.len() as u64, schedules);
    let mut jobs = 0;
    for (name, ticks) in &made {
        jobs += ticks.len();
        assert!(ticks.len() as u64 >= seconds, "{name}: {} ticks in {seconds} s", ticks.len());
        let spans: Vec<u64> = ticks.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(spans.iter().all(|span| *span == 1000), "{name}, each tick once and none left out: {spans:?}");
    }
    println!("{schedules} schedules, {seconds} s, {kills} kills: {jobs} ticks, each with one job");
}

/// The moments of all ticks that have a job in the log, by schedule, in order.
fn made(data: &std::path::Path) -> BTreeMap<String, Vec<u64>> {
    let log = dump(data);
    let jobs: BTreeMap<u64, &str> =
        log.of("ENQUEUE").into_iter().map(|job| (number(job, "job"), text(job, "headers"))).collect();
    let mut made: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut made_by_ticks = 0;
    for tick in log.of("TICK") {
        assert_eq!(text(tick, "outcome"), "made", "{tick}");
        let (name, headers) = (text(tick, "name"), jobs[&number(tick, "made")]);
        assert!(headers.starts_with(&format!("schedule={name} tick=")), "{headers}");
        made.entry(name.to_owned()).or_default().push(moment(tick, "tick_at"));
        made_by_ticks += 1;
    }
    assert_eq!(jobs.len(), made_by_ticks, "no job without its tick");
    let mut by_header: Vec<&&str> = jobs.values().collect();
    by_header.sort_unstable();
    by_header.dedup();
    assert_eq!(by_header.len(), jobs.len(), "no tick has two jobs");
    for ticks in made.values_mut() {
        ticks.sort_unstable();
    }
    made
}
