//! Power cuts: before every operation of the disk, and again while what one has left is opened. Whatever subset of the
//! unsynced sectors arrives, nothing that was told is taken back, and the state is the one that was.
//!
//! The long run:
//! `FQ_SIM_SEEDS=10 FQ_SIM_OPERATIONS=2500 FQ_SIM_IMAGES=4000 cargo test --release --test values wal_crash`

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dice::Dice;
use crate::sim::image::Recovered;
use crate::sim::{Sim, config, each_seed, size};
use falconqueue::master::WalError;
use falconqueue::time::Timestamp;
use falconqueue::wal::{LogDevice, MemoryDevice};

/// What has to happen in a run: each event; a segment begun, a snapshot published and one removed, a segment recycled.
const EVENTS: [&str; 15] = [
    "ENQUEUE", "DISPATCH", "ACK", "RETRY", "TIMEOUT", "DEAD", "RELEASE", "MOVE", "CANCEL", "REQUEUE", "PURGE",
    "EXPIRE", "UPDATE", "PAUSE", "RESUME",
];
const OPERATIONS: [&str; 4] = ["rename spare", "rename snap.tmp", "remove snap", "rename wal"];

/// What has not happened yet.
fn lacking(sim: &Sim) -> BTreeSet<&'static str> {
    let seen = sim.operations.lock().expect("one thread");
    let events = EVENTS.into_iter().filter(|event| !sim.history.events.contains_key(event));
    events.chain(OPERATIONS.into_iter().filter(|operation| !seen.contains_key(*operation))).collect()
}

/// Turns the screws at random: a full disk at the next spare, more or fewer jobs, a killed daemon.
fn disturb(sim: &mut Sim) {
    match sim.random.below(300) {
        // On a full disk a segment that is given up becomes a spare instead of going.
        0..=9 => sim.full_at_spare.store(true, Ordering::Relaxed),
        10..=12 => sim.device.limit_space(None),
        13..=15 => sim.load.jobs_max = 60,
        16..=18 => sim.load.jobs_max = 220,
        19..=20 => {
            // Nobody else takes the room of the spares that a restart removes and makes again.
            sim.full_at_spare.store(false, Ordering::Relaxed);
            sim.restart_killed().expect("the log opens");
        }
        _ => {}
    }
}

#[test]
fn no_crash_before_any_operation_takes_back_what_was_told() {
    let operations = size("FQ_SIM_OPERATIONS", 4000);
    let per_1000 = size("FQ_SIM_IMAGES", if cfg!(debug_assertions) { 200 } else { 1000 });
    let (images, all) = (AtomicU64::new(0), AtomicU64::new(0));
    // A segment is recycled only if it is given up while a spare is lacking: rare in a short run.
    let never = Mutex::new(EVENTS.into_iter().chain(OPERATIONS).collect::<BTreeSet<_>>());
    each_seed("wal_crash", "no_crash_before_any_operation", 1, |seed| {
        let mut sim = Sim::watched(seed, per_1000);
        sim.load.meddles = true;
        while sim.device.operations() < operations
            || (!lacking(&sim).is_empty() && sim.device.operations() < 4 * operations)
        {
            sim.step().expect("the disk works");
            disturb(&mut sim);
        }
        let lacking = lacking(&sim);
        never.lock().expect("no test fails with it").retain(|what| lacking.contains(what));
        images.fetch_add(sim.looked_at, Ordering::Relaxed);
        all.fetch_add(sim.device.operations(), Ordering::Relaxed);
    });
    let never = never.into_inner().expect("no test failed with it");
    assert!(never.is_empty(), "never in any run: {never:?}");
    eprintln!("{} crashes in {} operations", images.into_inner(), all.into_inner());
}

/// Whether opening this takes more than reading: something is cut, dropped or removed, or was being made.
fn needs_mending(before: &MemoryDevice, after: &MemoryDevice) -> bool {
    let ends = |name: &str, ending| name.rsplit_once('.').is_some_and(|(_, last)| last == ending);
    let listed = |device: &MemoryDevice| device.names().expect("a memory device lists");
    before.segments() != after.segments()
        || listed(after).iter().any(|name| ends(name, "cut"))
        || listed(before).iter().any(|name| ends(name, "tmp"))
}

/// What opening a log comes to: the newest LSN and the state.
fn opened(device: &MemoryDevice, seed: u64, now: Timestamp) -> Result<(u64, Vec<String>), WalError> {
    let mut state = Vec::new();
    let recovered = Recovered::open(device, config(seed), now, |_, _, queues| state = queues.describe())?;
    Ok((recovered.last, state))
}

/// Cuts the power at each operation of an opening, and opens again; returns how many operations there were, and
/// whether they mended something.
fn interrupt_everywhere(image: &MemoryDevice, seed: u64, now: Timestamp, random: &mut Dice) -> (u64, bool) {
    let clean = image.kill();
    let expected = opened(&clean, seed, now).expect("a crash image opens");
    let operations = clean.operations();
    for done in 0..operations {
        let interrupted = image.kill();
        interrupted.power_off_after(done);
        assert!(opened(&interrupted, seed, now).is_err(), "it opens without its operation {done}");
        let left = interrupted.crash_with(&mut |end| random.below(end));
        let again = opened(&left, seed, now);
        let again = again.unwrap_or_else(|error| panic!("interrupted at {done}: refused: {error}"));
        assert!(again == expected, "interrupted at {done}: LSN {} and not {}", again.0, expected.0);
    }
    (operations, needs_mending(image, &clean))
}

#[test]
fn an_opening_that_is_interrupted_anywhere_comes_to_the_same() {
    let operations = size("FQ_SIM_OPERATIONS", 3000);
    let wanted = size("FQ_SIM_MENDED", if cfg!(debug_assertions) { 40 } else { 100 });
    let (mended, cuts) = (AtomicU64::new(0), AtomicU64::new(0));
    each_seed("wal_crash", "an_opening_that_is_interrupted", 1, |seed| {
        let mut sim = Sim::watched(seed, wanted * 2000 / operations);
        sim.looks = false;
        let mut random = Dice::new(seed);
        let mut mended_here = 0;
        while sim.device.operations() < operations || mended_here < wanted / 4 {
            sim.step().expect("the disk works");
            disturb(&mut sim);
            assert!(sim.device.operations() < 5 * operations, "only {mended_here} crash images need mending");
            for image in sim.take_images() {
                let _place = image.place();
                let (interruptions, mended) = interrupt_everywhere(&image.device, seed, sim.now, &mut random);
                mended_here += u64::from(mended);
                cuts.fetch_add(interruptions, Ordering::Relaxed);
            }
        }
        mended.fetch_add(mended_here, Ordering::Relaxed);
    });
    let (mended, cuts) = (mended.into_inner(), cuts.into_inner());
    eprintln!("{cuts} interruptions of openings, of {mended} crash images that need mending");
}
