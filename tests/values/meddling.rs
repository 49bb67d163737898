//! Clients that cancel, requeue, purge, update, wait, read, pause and settle queues, drain the master and order workers
//! about while others work: whatever they are told is so, and stays so. Keys are held in each of their ways, jobs wait
//! for jobs and for batches, which are filled by several requests, ended, cancelled and left; some are acked with
//! others that follow from them, and in some runs schedules make jobs, too.
//!
//! All that can happen to them happens. Connections break, on both sides at different moments, with frames and replies
//! that are lost, and who comes back asks again; workers hang with their connections open; the clock jumps, and the
//! master stands still; it is killed; the power is cut, and the run goes on with what is left; the disk fills, has
//! room again, and fails a sync, which ends the process.
//!
//! What is looked at when:
//! * each record, when it is appended: that it follows from those before it (`sim::truth`);
//! * each answer, when it comes: against what was told before, and against the records; of an ack with follow-ups, when
//!   it was sent: that all of them stand in one group with it, or none;
//! * about 3 crash images in 100 turns: against what was told; the whole state of every other one, and of each that
//!   the run goes on with, against a replay; one in four is worked on until all jobs have ended, and opened again;
//! * whenever all is durable after a turn: that no job waits for others, or for its batch, without a reason;
//! * after each turn: that no batch is open that nobody has filled for 60 s;
//! * the whole running state against a replay, its invariants, and who holds which key: after each 20th turn, of one
//!   seed in 32 after each turn, and after each start.
//!
//! Not in it: sockets, the loop that reads them, and the clock; connections that are silent are ended here as the loop
//! does it.
//!
//! The long run: `FQ_SIM_SEEDS=100000 cargo test --release --test values meddling`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::dice::Dice;
use crate::sim::{Sim, config, each_seed, size};
use falconqueue::master::{Config, WalError};
use falconqueue::wal::MemoryDevice;

/// What has to happen in a run of all seeds.
const EVENTS: [&str; 18] = [
    "CANCEL", "REQUEUE", "PURGE", "UPDATE", "EXPIRE", "PAUSE", "RESUME", "DEAD", "SET", "FORGET", "TIMEOUT", "READY",
    "REPLACE", "TICK", "BEGIN", "END", "ADMIT", "CALL_OFF",
];

/// Bytes of a segment, the longest payload, and the most jobs; one poll for all jobs has to fit into a segment. Runs
/// are short, so that there can be many: what lies far apart in a long one meets in small segments.
const SIZES: [(u32, u64, usize); 5] =
    [(16 << 10, 1024, 40), (16 << 10, 300, 10), (32 << 10, 3072, 10), (32 << 10, 3072, 60), (64 << 10, 3072, 25)];

/// A run of the seed, on which nothing was done yet. A log that few jobs live in empties by itself, one of many has to
/// be cleaned.
fn begun(seed: u64) -> Sim {
    let (segment_bytes, payload_max, jobs_max) = SIZES[Dice::new(seed).fork(1).index(5)];
    let config = Config { segment_bytes, ..config(seed) };
    let mut sim = Sim::with(config, MemoryDevice::default()).expect("the log opens");
    (sim.load.meddles, sim.load.is_rough) = (true, true);
    (sim.load.jobs_max, sim.load.payload_max) = (jobs_max, payload_max);
    sim.history.has_states = false;
    sim.history.looks_every = if seed.is_multiple_of(32) { 1 } else { 20 };
    let schedules = Dice::new(seed).fork(2).index(6).saturating_sub(3);
    sim.put_schedules(schedules).expect("the disk works");
    sim
}

/// Looks at what a crash would leave now.
fn look_at_a_crash(sim: &Sim) {
    let mut random = sim.random.fork(sim.now.0);
    let image = sim.device.crash_with(&mut |end| random.below(end));
    let is_deep = random.one_in(4);
    sim.holds_image(&image, is_deep);
}

/// Something that happens to the machine.
fn disaster(sim: &mut Sim) -> Result<(), WalError> {
    match sim.random.below(100) {
        0 => {
            mend_disk(sim);
            sim.restart_killed().expect("the log opens");
        }
        1 if sim.random.one_in(2) => cut_power(sim),
        2 if sim.random.one_in(4) => {
            let number = 1 + sim.random.below(8);
            sim.device.fail_sync(number, number);
        }
        3 if sim.random.one_in(2) => {
            let bytes = [0, sim.random.below(4096), sim.random.below(40_000)];
            sim.device.limit_space(Some(bytes[sim.random.index(3)]));
        }
        4 => sim.device.limit_space(None),
        5 => be_silent(sim)?,
        6 if sim.random.one_in(3) => sim.stand_still()?,
        7..=9 => sim.sync()?,
        10..=11 => look_at_a_crash(sim),
        _ => {}
    }
    Ok(())
}

/// Nobody says anything for a while, so that what happens by time alone is the newest that there is at a crash.
fn be_silent(sim: &mut Sim) -> Result<(), WalError> {
    sim.sync()?;
    for _ in 0..=sim.random.below(8) {
        let span = sim.random.below(3000);
        sim.turn(span)?;
        sim.sync()?;
    }
    look_at_a_crash(sim);
    Ok(())
}

/// The disk has room again, and no sync will fail.
fn mend_disk(sim: &Sim) {
    sim.device.limit_space(None);
    sim.device.fail_sync(u64::MAX, u64::MAX);
}

fn cut_power(sim: &mut Sim) {
    let mut random = sim.random.fork(sim.now.0);
    let image = sim.device.crash_with(&mut |end| random.below(end));
    sim.reopen(image);
}

/// A sync has failed, and the process is gone: the disk works again, or the machine was started anew.
fn start_again(sim: &mut Sim, error: &WalError) {
    assert!(matches!(error, WalError::Io { .. }), "{error}");
    sim.failed_syncs += 1;
    mend_disk(sim);
    if sim.random.one_in(2) {
        let same = sim.device.clone();
        sim.reopen(same);
    } else {
        cut_power(sim);
    }
}

fn turn(sim: &mut Sim) -> Result<(), WalError> {
    sim.step()?;
    disaster(sim)
}

/// What a run has come to.
fn figures(sim: &Sim) -> [(&'static str, u64); 10] {
    [
        ("cancelled with others", sim.history.truth.cascades),
        ("waits answered", sim.waits_answered),
        ("refused, paused", sim.paused),
        ("refused, over the depth", sim.over_full),
        ("refused, the disk was full", sim.full),
        ("asked again", sim.net.asked_again),
        ("silent workers", sim.net.silenced),
        ("syncs that failed", sim.failed_syncs),
        ("followed from others", sim.told.follow_ups),
        ("batches that nobody ended", sim.filling.abandoned),
    ]
}

#[test]
fn whoever_meddles_waits_and_reads_is_told_what_is_so() {
    let turns = size("FQ_SIM_TURNS", 200);
    let seeds = size("FQ_SIM_SEEDS", 200);
    let never = Mutex::new(EVENTS.into_iter().collect::<BTreeSet<_>>());
    let sums = Mutex::new(BTreeMap::new());
    each_seed("meddling", "whoever_meddles", 200, |seed| {
        let mut sim = begun(seed);
        for _ in 0..turns {
            if let Err(error) = turn(&mut sim) {
                start_again(&mut sim, &error);
            }
        }
        mend_disk(&sim);
        // What a snapshot's sync has come to may be told late.
        if let Err(error) = sim.rest() {
            start_again(&mut sim, &error);
            sim.rest().expect("the disk works");
        }
        sim.history.truth.holds_ticks(sim.now, sim.master.queues());
        never.lock().expect("no test fails with it").retain(|event| !sim.history.events.contains_key(event));
        let mut sums = sums.lock().expect("no test fails with it");
        for (name, count) in figures(&sim) {
            *sums.entry(name).or_default() += count;
        }
    });
    let (never, sums) = (never.into_inner().expect("none failed"), sums.into_inner().expect("none failed"));
    eprintln!("{seeds} runs: {sums:?}");
    // One seed alone need not come to everything.
    let rare = sums.iter().filter(|(_, count): &(_, &u64)| **count < seeds / 20).count();
    assert!(seeds < 20 || never.is_empty() && rare == 0, "never in any run: {never:?}");
    assert!(seeds < 20 || sums["waits answered"] >= 4 * seeds && sums["refused, paused"] > seeds, "{sums:?}");
}
