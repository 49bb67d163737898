//! Clients that cancel, requeue, purge, update, wait, read and pause while others work, on a disk that a crash takes
//! what was not synced from: whatever they are told is so, and stays so.
//!
//! The long run: `FQ_SIM_SEEDS=2000 cargo test --release --test values meddling`

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::sim::{Sim, each_seed, size};

/// What has to happen in a run of all seeds.
const EVENTS: [&str; 8] = ["CANCEL", "REQUEUE", "PURGE", "UPDATE", "EXPIRE", "PAUSE", "RESUME", "DEAD"];

#[test]
fn whoever_meddles_waits_and_reads_is_told_what_is_so() {
    let turns = size("FQ_SIM_TURNS", 600);
    let never = Mutex::new(EVENTS.into_iter().collect::<BTreeSet<_>>());
    each_seed("meddling", "whoever_meddles", 16, |seed| {
        let mut sim = Sim::new(seed);
        sim.load.meddles = true;
        // A few runs hold the whole state against a replay, too.
        sim.history.has_states = seed.is_multiple_of(8);
        for _ in 0..turns {
            sim.step().expect("the disk works");
            match sim.random.below(100) {
                0 => sim.restart_killed().expect("the log opens"),
                1..=3 => sim.sync().expect("the disk works"),
                4..=7 => {
                    let mut random = sim.random.fork(sim.now.0);
                    let image = sim.device.crash_with(&mut |end| random.below(end));
                    let is_deep = random.one_in(4);
                    sim.holds_image(&image, is_deep);
                }
                _ => {}
            }
        }
        sim.rest().expect("the disk works");
        assert!(sim.waits_answered > 10 && sim.paused > 0, "{} {}", sim.waits_answered, sim.paused);
        never.lock().expect("no test fails with it").retain(|event| !sim.history.events.contains_key(event));
    });
    let never = never.into_inner().expect("no test failed with it");
    assert!(never.is_empty(), "never in any run: {never:?}");
}
