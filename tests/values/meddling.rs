//! Clients that cancel, requeue, purge, update, wait, read and pause while others work, on a disk that a crash takes
//! what was not synced from: whatever they are told is so, and stays so.
//!
//! What is looked at when: every record and every answer, when it comes; crash images, before one turn in 30 or so; the
//! whole state against a replay, and its invariants, after every 20th turn, of one seed in 32 after every turn, and in
//! every other crash image.
//!
//! The long run: `FQ_SIM_SEEDS=100000 cargo test --release --test values meddling`

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sim::{Sim, config, each_seed, size};
use falconqueue::master::Config;
use falconqueue::wal::MemoryDevice;

/// What has to happen in a run of all seeds.
const EVENTS: [&str; 8] = ["CANCEL", "REQUEUE", "PURGE", "UPDATE", "EXPIRE", "PAUSE", "RESUME", "DEAD"];

/// Runs are short, so that there can be many: what lies far apart in a long one meets in small segments.
const SEGMENT_BYTES: u32 = 32 << 10;

/// A run of the seed, on which nothing was done yet.
fn begun(seed: u64) -> Sim {
    let config = Config { segment_bytes: SEGMENT_BYTES, ..config(seed) };
    let mut sim = Sim::with(config, MemoryDevice::default()).expect("the log opens");
    sim.load.meddles = true;
    sim.load.jobs_max = 60;
    sim.history.has_states = false;
    sim.history.looks_every = if seed.is_multiple_of(32) { 1 } else { 20 };
    sim
}

/// Looks at what a crash would leave now.
fn look_at_a_crash(sim: &Sim) {
    let mut random = sim.random.fork(sim.now.0);
    let image = sim.device.crash_with(&mut |end| random.below(end));
    let is_deep = random.one_in(4);
    sim.holds_image(&image, is_deep);
}

#[test]
fn whoever_meddles_waits_and_reads_is_told_what_is_so() {
    let turns = size("FQ_SIM_TURNS", 250);
    let seeds = size("FQ_SIM_SEEDS", 200);
    let never = Mutex::new(EVENTS.into_iter().collect::<BTreeSet<_>>());
    let (waits, paused) = (AtomicU64::new(0), AtomicU64::new(0));
    each_seed("meddling", "whoever_meddles", 200, |seed| {
        let mut sim = begun(seed);
        for _ in 0..turns {
            sim.step().expect("the disk works");
            match sim.random.below(100) {
                0 => sim.restart_killed().expect("the log opens"),
                1..=3 => sim.sync().expect("the disk works"),
                4..=6 => look_at_a_crash(&sim),
                _ => {}
            }
        }
        sim.rest().expect("the disk works");
        waits.fetch_add(sim.waits_answered, Ordering::Relaxed);
        paused.fetch_add(sim.paused, Ordering::Relaxed);
        never.lock().expect("no test fails with it").retain(|event| !sim.history.events.contains_key(event));
    });
    // One seed alone need not come to everything.
    let never = never.into_inner().expect("no test failed with it");
    assert!(never.is_empty() || seeds < 20, "never in any run: {never:?}");
    let (waits, paused) = (waits.into_inner(), paused.into_inner());
    assert!(waits >= 4 * seeds && paused > seeds || seeds < 20, "{waits} waits, {paused} refused");
}
