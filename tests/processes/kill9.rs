//! `kill -9` of a master under load, again and again: whatever its clients asked and heard must fit the promises.
//!
//! `FALCON_KILLS` says how often, `FALCON_SEED` what clients ask for and when the master dies. Threads and disk
//! take their own time, so a seed gives the same load, not the same history: on failure the history is kept.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::dice::Dice;
use crate::harness::*;
use crate::history::mutate::{ALL, Scene};
use crate::history::*;
use crate::load::{Followed, Load, any_seed, keep, left, number_of};

const KILLS: u64 = 100;

/// A master serves at most this long before it is killed. A lease that a master finds at its start runs anew, so now
/// and then one has to live longer, or no silent worker's job would come again before the drain.
const SERVES_MS_MAX: u64 = 150;
const SERVES_LONG_MS: u64 = 500;

/// Jobs for each life of a master, and for all of them: the log is read at each start.
const LIFE_JOBS_MAX: i64 = 200;
const ALL_JOBS: i64 = 10_000;

const DRAIN_LIMIT: Duration = Duration::from_secs(90);

/// A run, and what is left of it.
struct Run9 {
    seed: u64,
    kills: u64,
    place: PathBuf,
    /// Of the log, in the end.
    segments: u32,
    followed: Followed,
    drained_after: Duration,
}

#[test]
fn every_promise_holds_across_kill_9() {
    let (seed, kills) = (number_of("FALCON_SEED").unwrap_or_else(any_seed), number_of("FALCON_KILLS"));
    let begun = Instant::now();
    let (run, history, left) = run(seed, kills.unwrap_or(KILLS));
    let found = check(&history, &left);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run.followed.holds(&history))) {
        run.fails(&history, panic);
    }
    println!("{}, in {:.1?}", report(&run, &history, &left), begun.elapsed());
    println!("answered OK, refused, unknown: {:?}", meddled(&history));
    if !found.is_empty() {
        run.keep(&history, &found);
        panic!("{} violations, the first of which is {:#?}", found.len(), found[0]);
    }
    fs::remove_dir_all(&run.place).expect("the directory of the test");
}

/// The judge has teeth for what a real master leaves, too.
#[test]
fn a_recorded_history_is_flagged_once_it_is_spoiled() {
    let seed = number_of("FALCON_SEED").unwrap_or_else(any_seed);
    let (run, history, left) = run(seed, 6);
    let found = check(&history, &left);
    if !found.is_empty() {
        run.keep(&history, &found);
        panic!("{found:#?}");
    }
    let mut spoiled = 0;
    for mutation in ALL {
        let mut scene = Scene::new(&history, &left, Dice::new(seed));
        if (mutation.spoil)(&mut scene).is_some() {
            spoiled += 1;
            let rules: BTreeSet<Rule> = check(&scene.history, &scene.left).iter().map(|v| v.rule).collect();
            if !rules.contains(&mutation.rule) {
                run.keep(&scene.history, &[]);
                panic!("{}: {rules:?}", mutation.name);
            }
        }
    }
    println!("{spoiled} of {} mutations found a victim", ALL.len());
    assert!(spoiled * 4 >= ALL.len() * 3, "{spoiled} of {}", ALL.len());
    fs::remove_dir_all(&run.place).expect("the directory of the test");
}

/// Kills a master so many times under load, lets the last one drain, and gives what clients saw.
fn run(seed: u64, kills: u64) -> (Run9, History, Left) {
    let place = scratch().keep();
    let mut run =
        Run9 { seed, kills, place, segments: 0, followed: Followed::default(), drained_after: Duration::ZERO };
    let (dice, port) = (Dice::new(seed), Port::reserve());
    let mut load = Load::start(&port.address, dice.fork(0));
    let master = catch_unwind(AssertUnwindSafe(|| run.lives(&port, &mut load, dice)));
    let history = load.finish();
    match master.and_then(|master| catch_unwind(AssertUnwindSafe(|| run.left(master)))) {
        Ok(left) => (run, history, left),
        Err(panic) => run.fails(&history, panic),
    }
}

impl Run9 {
    fn data(&self) -> PathBuf {
        self.place.join("data")
    }

    fn master(&self, port: &Port) -> Master {
        let master = Master::start_at(&self.data(), &port.address, &[]);
        assert_eq!(master.address, port.address);
        master
    }

    /// All lives of the master: the last one drains what is there.
    fn lives(&mut self, port: &Port, load: &mut Load, mut dice: Dice) -> Master {
        let life_jobs = LIFE_JOBS_MAX.min(ALL_JOBS / self.kills.max(1).cast_signed());
        for _ in 0..self.kills {
            let master = self.master(port);
            let totals = master.stats().totals;
            load.allow(life_jobs, totals.pending + totals.delayed);
            // The moment is drawn, not waited for: anything may be going on in it.
            let longest = if dice.percent(6) { SERVES_LONG_MS } else { 0 };
            thread::sleep(Duration::from_millis(longest + dice.within(0..SERVES_MS_MAX)));
            master.kill();
            self.followed.follow(&self.data());
        }
        let master = self.master(port);
        load.settle();
        let (mut wire, begun) = (master.connect(), Instant::now());
        wait_until("the end of the drain", DRAIN_LIMIT, || {
            let totals = wire.stats().totals;
            totals.pending + totals.delayed + totals.in_flight == 0
        });
        self.drained_after = begun.elapsed();
        master
    }

    /// What the master counts, also after one more restart, and who is dead.
    fn left(&mut self, master: Master) -> Left {
        let before = master.stats();
        master.stop();
        self.followed.follow(&self.data());
        let master = Master::start(&self.data(), &[]);
        let stats = master.stats();
        assert_eq!(stats.queues, before.queues, "the state after a restart");
        master.stop();
        self.segments = u32::try_from(stats.segments).expect("a small log");
        left(&stats, &self.data())
    }

    /// Keeps all there is to look into, and says how to do it again.
    fn keep(&self, history: &History, found: &[Violation]) {
        let (seed, kills) = (self.seed, self.kills);
        let again = format!("FALCON_SEED={seed} FALCON_KILLS={kills} cargo test --test processes kill9");
        keep(&self.place, history, found, &again);
    }

    fn fails(&self, history: &History, panic: Box<dyn Any + Send>) -> ! {
        self.keep(history, &[]);
        resume_unwind(panic)
    }
}

fn report(run: &Run9, history: &History, left: &Left) -> String {
    let count = |fits: &dyn Fn(&What) -> bool| history.ops.iter().filter(|op| fits(&op.what)).count();
    let submitted = |duplicate| {
        count(&move |what| matches!(what, What::Submit(_, Outcome::Ok(answer)) if answer.duplicate == duplicate))
    };
    let unheard = |what: &What| matches!(what, What::Submit(_, Outcome::Unknown));
    let acked = |what: &What| matches!(what, What::End(Ending::Ack, _, Outcome::Ok(())));
    let acks_unheard = |what: &What| matches!(what, What::End(Ending::Ack, _, Outcome::Unknown));
    let refused = |what: &What| matches!(what, What::End(_, _, Outcome::Refused(_)));
    let blind = |what: &What| matches!(what, What::Poll(_, Outcome::Unknown));
    let given = history.ops.iter().filter_map(|op| match &op.what {
        What::Poll(_, Outcome::Ok(given)) => Some(given.len()),
        _ => None,
    });
    let completed: u64 = left.queues.values().map(|counts| counts.completed).sum();
    let dead: u64 = left.queues.values().map(|counts| counts.dead).sum();
    format!(
        "seed {}: {} kills, {} segments; submits: {} OK, {} duplicates, {} unknown; {} deliveries, {} unknown \
         polls; acks: {} OK, {} unknown; {} reports refused; {completed} completed, {dead} dead; drained in {:.1?}",
        run.seed,
        run.kills,
        run.segments,
        submitted(false),
        submitted(true),
        count(&unheard),
        given.sum::<usize>(),
        count(&blind),
        count(&acked),
        count(&acks_unheard),
        count(&refused),
        run.drained_after,
    )
}

/// What was done beside the work: how often it was answered OK, refused, and not answered.
fn meddled(history: &History) -> BTreeMap<&'static str, [u64; 3]> {
    let mut all = BTreeMap::<_, [u64; 3]>::new();
    for op in &history.ops {
        let (name, is_ok, is_refused) = match &op.what {
            What::Mend(change, _, outcome) => {
                let name = match change {
                    Change::Cancel => "cancel",
                    Change::CancelNow => "cancel now",
                    Change::Requeue => "requeue",
                    Change::Purge => "purge",
                    Change::Update(_) => "update",
                };
                (name, outcome.ok().is_some(), !outcome.possible())
            }
            What::Gate(gate, outcome) => {
                (if gate.closes() { "pause" } else { "resume" }, outcome.ok().is_some(), !outcome.possible())
            }
            What::Keep(_, outcome) => ("keep", outcome.ok().is_some(), !outcome.possible()),
            What::Read(_, outcome) => ("read", outcome.ok().is_some(), !outcome.possible()),
            What::Wait(_, outcome) => ("wait", outcome.ok().is_some(), !outcome.possible()),
            _ => continue,
        };
        let which = if is_ok { 0 } else { 2 - usize::from(is_refused) };
        all.entry(name).or_default()[which] += 1;
    }
    all
}
