//! Faults of the disk: syncs that fail, and space that is gone, at every place where that can happen.
//!
//! The long run: `FQ_SIM_SEEDS=30 FQ_SIM_ALLOCATIONS=80 cargo test --release --test values wal_faults`

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::dice::Dice;
use crate::sim::{Place, Sim, each_seed, kind_of, size};
use falconqueue::master::WalError;
use falconqueue::wal::MemoryDevice;

/// Steps until the disk fails; an opening may fail already.
fn run_into_failure(seed: u64, device: &MemoryDevice) -> (Option<Sim>, WalError) {
    let mut sim = match Sim::begin(seed, device.clone()) {
        Ok(sim) => sim,
        Err(error) => return (None, error),
    };
    sim.history.follows = false;
    for _ in 0..20_000 {
        let outcome = sim.step();
        if let Err(error) = outcome {
            return (Some(sim), error);
        }
        // More snapshots and segments for the syncs of each kind.
        if sim.random.one_in(3)
            && let Err(error) = sim.sync()
        {
            return (Some(sim), error);
        }
    }
    panic!("the sync that fails was never asked for");
}

/// A device whose sync of this number fails, and what that will have been a sync of.
fn device_that_fails(number: u64) -> (MemoryDevice, Arc<Mutex<String>>) {
    let device = MemoryDevice::default();
    let failed: Arc<Mutex<String>> = Arc::default();
    let (kind, before) = (Arc::clone(&failed), Mutex::new(String::new()));
    device.watch(move |device| {
        let operation = device.operation();
        let what = kind_of(&operation);
        let before = std::mem::replace(&mut *before.lock().expect("one thread"), what.clone());
        if operation.verb.starts_with("sync") && device.syncs() + 1 == number {
            let names_of = if operation.verb == "sync-names" { &before } else { "" };
            *kind.lock().expect("one thread") = format!("{what}{names_of}");
        }
    });
    device.fail_sync(number, number);
    (device, failed)
}

#[test]
fn the_first_sync_that_fails_is_the_last() {
    let step = size("FQ_SIM_STEP", 1);
    let kinds: Mutex<BTreeMap<String, (u64, u64)>> = Mutex::default();
    each_seed("wal_faults", "the_first_sync_that_fails", 1, |seed| {
        for number in (1..=200).step_by(step as usize) {
            let (device, failed) = device_that_fails(number);
            let (sim, error) = run_into_failure(seed, &device);
            assert!(matches!(error, WalError::Io { .. }), "sync {number}: {error}");
            let kind = failed.lock().expect("one thread").clone();
            let after = device.syncs() - number;
            // What a snapshot's writer ran into is told at the next turn; until then the log goes on.
            assert!(after == 0 || kind.contains("snap.tmp"), "{after} syncs after {number}, of {kind}, failed");
            let mut kinds = kinds.lock().expect("no test fails with it");
            let seen = kinds.entry(kind).or_default();
            *seen = (seen.0 + 1, seen.1.max(after));
            drop(kinds);
            let Some(mut sim) = sim else { continue };
            sim.hear();
            let mut random = Dice::new(seed ^ number);
            for _ in 0..4 {
                sim.holds_image(&device.crash_with(&mut |end| random.below(end)), false);
            }
            sim.holds_image(&device.crash(), true);
        }
    });
    let kinds = kinds.into_inner().expect("no test failed with it");
    eprintln!("syncs that failed, and at most how many were asked for after: {kinds:?}");
    for kind in ["sync wal", "sync spare.tmp", "sync snap.tmp", "sync-names rename spare.tmp"] {
        assert!(kinds.contains_key(kind), "no {kind} failed: {kinds:?}");
    }
}

/// The disk is full from this allocation on; returns whether it got that far.
fn fill_at(seed: u64, number: u64, refused: &AtomicU64) -> bool {
    let _place = Place(format!("the disk was full from allocation {number} on"));
    let (device, mut random) = (MemoryDevice::default(), Dice::new(seed ^ number << 20));
    let more_bytes = [0, random.below(4096), random.below(200_000)][random.index(3)];
    let allocations = AtomicU64::new(0);
    let is_full = Arc::new(AtomicBool::new(false));
    let full = Arc::clone(&is_full);
    device.watch(move |device| {
        // The first spare is that of an empty log, which cannot be begun without it.
        if device.operation().verb == "create" && allocations.fetch_add(1, Ordering::Relaxed) == number {
            device.limit_space(Some(more_bytes));
            full.store(true, Ordering::Relaxed);
        }
    });
    let mut sim = Sim::on(seed, device);
    sim.history.follows = false;
    sim.load.text_max = 4000;
    sim.load.jobs_max = 40 + random.below(200) as usize;
    for _ in 0..5000 {
        sim.step().expect("before it is full");
        if is_full.load(Ordering::Relaxed) {
            break;
        }
    }
    if !is_full.load(Ordering::Relaxed) {
        return false;
    }
    for _ in 0..random.below(300) {
        sim.step().unwrap_or_else(|error| panic!("a full disk ends the daemon: {error}"));
    }
    let image = sim.device.crash_with(&mut |end| random.below(end));
    sim.holds_image(&image, true);
    sim.drain(true).unwrap_or_else(|error| panic!("a full disk ends the daemon: {error}"));
    refused.fetch_add(sim.full, Ordering::Relaxed);
    sim.holds_image(&sim.device.crash(), true);
    sim.device.limit_space(None);
    assert!(sim.takes_a_job_within(2000).expect("the disk has room"), "no job is taken with room again");
    sim.drain(false).expect("the disk has room");
    true
}

#[test]
fn a_full_disk_ends_nothing_and_loses_nothing() {
    let step = size("FQ_SIM_STEP", 1);
    let (runs, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    each_seed("wal_faults", "a_full_disk_ends_nothing", 1, |seed| {
        for number in (1..=size("FQ_SIM_ALLOCATIONS", 60)).step_by(step as usize) {
            if !fill_at(seed, number, &refused) {
                break;
            }
            runs.fetch_add(1, Ordering::Relaxed);
        }
    });
    let (runs, refused) = (runs.into_inner(), refused.into_inner());
    eprintln!("{runs} disks were full, {refused} requests were refused");
    assert!(refused > 0, "no request was refused");
}

/// The spares outlive a restart: on a full disk somebody else would take the room of one that is removed.
#[test]
fn a_restart_on_a_full_disk_keeps_the_room_that_was_kept() {
    each_seed("wal_faults", "a_restart_on_a_full_disk", 20, |seed| {
        let mut sim = Sim::new(seed);
        sim.history.follows = false;
        for _ in 0..200 + seed * 20 {
            sim.step().expect("the disk works");
        }
        sim.sync().expect("the disk works");
        let at_restart = Arc::new(AtomicU64::new(0));
        let full = Arc::clone(&at_restart);
        sim.device.watch(move |device| {
            if device.operation().verb != "remove" && full.swap(0, Ordering::Relaxed) == 1 {
                device.limit_space(Some(0));
            }
        });
        at_restart.store(1, Ordering::Relaxed);
        sim.restart_killed().expect("the log opens");
        sim.drain(true).unwrap_or_else(|error| panic!("a full disk ends the daemon: {error}"));
    });
}
