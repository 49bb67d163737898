//! Clients that do everything wrong at random, beside honest ones: what these asked and heard must fit the promises as
//! ever, all of their jobs end, and the master takes no more memory than it may and stops in order.
//!
//! `FALCON_CHAOS_SECONDS` says for how long, `FALCON_SEED` what clients do. Threads take their own time, so a seed
//! gives the same misdeeds, not the same history: on failure the history is kept.
//!
//! What the master answers to whom is wrong is not judged here, but for two things: a report by one who does not have
//! the lease is refused, and one ack counts once.

mod client;
mod mending;
mod rough;
mod ways;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::harness::wire::{Counts, Stats, Wire};
use crate::harness::*;
use crate::history::{Ending, History, Outcome, What, check};
use crate::load::{CLIENTS, Load, QUEUES, any_seed, keep, left, number_of};
use client::{Done, Scene, Wrong};

const SECONDS: u64 = 5;

/// Clients that are wrong.
const WRONG: usize = 6;

/// Honest jobs for each while between two looks; fewer in a long run, whose history has to fit into memory.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const JOBS_A_LOOK: i64 = 40;
const JOBS_IN_ALL: i64 = 100_000;

const DRAIN_LIMIT: Duration = Duration::from_mins(1);

/// Memory of its own that the master may have: about 100 connections stay open, each with half a frame of 128 KiB or up
/// to 1 MiB of replies; a few half frames are longer; and jobs that are left behind need little.
const ANONYMOUS_BYTES_MAX: u64 = 128 << 20;

#[test]
fn honest_clients_notice_nothing_of_those_that_do_everything_wrong() {
    let seed = number_of("FALCON_SEED").unwrap_or_else(any_seed);
    let seconds = number_of("FALCON_CHAOS_SECONDS").unwrap_or(SECONDS);
    // Whatever fails below, this line says how to run it again.
    let again = format!("FALCON_SEED={seed} FALCON_CHAOS_SECONDS={seconds} cargo test --test processes chaos");
    println!("{again}");
    let mut chaos = Chaos::begin(seed);
    chaos.watch(Duration::from_secs(seconds));
    let peak = chaos.peak;
    let (history, stats, done, place) = chaos.end();
    let data = place.join("data");
    let found = check(&history, &left(&stats, &data));
    println!("{}; peak memory {} MiB", report(&history, &done), peak >> 20);
    if !found.is_empty() {
        keep(&place, &history, &found, &again);
        panic!("{} violations, the first of which is {:#?}", found.len(), found[0]);
    }
    assert!(done.iter().any(|done| done.refused > 0), "some reports were tried without a lease");
    fs::remove_dir_all(place).expect("the directory of the test");
}

struct Chaos {
    place: PathBuf,
    master: Master,
    wire: Wire,
    load: Load,
    scene: Arc<Scene>,
    wrong: Vec<JoinHandle<Done>>,
    /// The most memory that the master was seen with.
    peak: u64,
}

impl Chaos {
    fn begin(seed: u64) -> Chaos {
        let (place, dice) = (scratch().keep(), Dice::new(seed));
        let master = Master::start(&place.join("data"), &[]);
        // The honest ones come first: later there may be no place.
        let mut wire = master.connect();
        let load = Load::start(&master.address, dice.fork(0));
        wait_until("the honest clients", SOON, || {
            load.allow(JOBS_A_LOOK, 0);
            wire.stats().connections == 1 + CLIENTS as u64
        });
        let (going, newest_job) = (AtomicBool::new(true), AtomicU64::new(0));
        let scene = Arc::new(Scene { address: master.address.clone(), load: load.shared(), going, newest_job });
        let wrong = (0..WRONG).map(|number| {
            let (scene, dice) = (scene.clone(), dice.fork(100 + number as u64));
            thread::spawn(move || Wrong::run(1000 + number, scene, dice))
        });
        Chaos { place, master, wire, load, wrong: wrong.collect(), scene, peak: 0 }
    }

    /// Lets all of them go on, and looks at the master now and then.
    fn watch(&mut self, span: Duration) {
        let (begun, mut looked) = (Instant::now(), Instant::now());
        let looks = (span.as_millis() / LOOK_EVERY.as_millis()).max(1) as i64;
        let jobs = JOBS_A_LOOK.min((JOBS_IN_ALL / looks).max(4));
        wait_until("the end of the chaos", span + SOON, || {
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                let open = honest(&self.wire.stats());
                self.load.allow(jobs, open.pending + open.delayed);
                self.peak = self.peak.max(self.master.anonymous_bytes());
                assert!(self.peak <= ANONYMOUS_BYTES_MAX, "{} MiB", self.peak >> 20);
                assert!(!self.wrong.iter().any(JoinHandle::is_finished), "a client has found what may not be");
            }
            begun.elapsed() >= span
        });
    }

    /// The wrong ones end, the honest ones drain what there is, and the master stops in order.
    fn end(mut self) -> (History, Stats, Vec<Done>, PathBuf) {
        self.scene.going.store(false, Ordering::Relaxed);
        let mut done: Vec<Done> = self.wrong.into_iter().map(|wrong| wrong.join().expect("a client")).collect();
        self.load.settle();
        wait_until("the end of the drain", DRAIN_LIMIT, || {
            let open = honest(&self.wire.stats());
            open.pending + open.delayed + open.in_flight == 0
        });
        let mut history = self.load.finish();
        history.ops.extend(done.iter_mut().flat_map(|done| done.ops.drain(..)));
        history.ops.sort_by_key(|op| (op.start, op.end));
        let stats = self.wire.stats();
        self.master.stop();
        (history, stats, done, self.place)
    }
}

/// All jobs in the queues of the honest clients.
fn honest(stats: &Stats) -> Counts {
    let mut sum = Counts::default();
    for (_, counts) in stats.queues.iter().filter(|(name, _)| QUEUES.contains(&name.as_str())) {
        sum.pending += counts.pending;
        sum.delayed += counts.delayed;
        sum.in_flight += counts.in_flight;
    }
    sum
}

fn report(history: &History, done: &[Done]) -> String {
    let count = |fits: fn(&What) -> bool| history.ops.iter().filter(|op| fits(&op.what)).count();
    let submits = count(|what| matches!(what, What::Submit(_, Outcome::Ok(_))));
    let acks = count(|what| matches!(what, What::End(Ending::Ack, _, Outcome::Ok(()))));
    let broken = count(|what| matches!(what, What::Submit(_, Outcome::Unknown) | What::End(_, _, Outcome::Unknown)));
    let mut turns: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in done.iter().flat_map(|done| &done.turns) {
        *turns.entry(name).or_default() += count;
    }
    let refused: u64 = done.iter().map(|done| done.refused).sum();
    format!(
        "honest: {submits} submits and {acks} acks OK, {broken} without an answer; wrong: {turns:?}, \
         {refused} reports without a lease refused"
    )
}
