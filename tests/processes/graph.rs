//! Jobs that wait for jobs, in a random graph while masters and workers are killed, and in a long chain.
//!
//! `FALCON_GRAPH_JOBS` says how many jobs the graph has, `FALCON_SEED` what it looks like and who is killed when;
//! `FALCON_CHAIN_JOBS` says how long the chain is. Processes take their own time, so a seed gives the same graph, not
//! the same run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use falconqueue::client::{After, Client, Job, Remote, SubmitJob};
use falconqueue::ids::JobId;
use falconqueue::worker::{Cancel, Handler, Outcome, Pool, PoolConfig, remote};

use crate::dice::Dice;
use crate::harness::*;
use crate::load::{any_seed, number_of};

const JOBS: u64 = 1200;
const JOBS_BEFORE_MAX: u64 = 4;

/// Jobs of one request, and how long after one the next is sent.
const REQUEST_JOBS: std::ops::Range<u64> = 20..150;
const REQUEST_PAUSE_MS: u64 = 600;

/// How long a master serves. A lease that it finds at its start runs anew, so now and then one has to live longer than
/// that, or no killed worker's job would come again.
const LIFE_MS: std::ops::Range<u64> = 150..700;
const LIFE_LONG_MS: u64 = 1500;

const CHAIN_JOBS: u64 = 1000;

/// How a job names one that it waits for.
#[derive(Clone, Copy)]
enum Name {
    Key,
    Place,
    Id,
}

/// Whom each job waits for, by number, and how the jobs are cut into requests.
struct Graph {
    before: Vec<Vec<(usize, Name)>>,
    requests: Vec<std::ops::Range<usize>>,
}

impl Graph {
    fn draw(jobs: u64, dice: &mut Dice) -> Graph {
        let (mut before, mut requests) = (Vec::new(), Vec::new());
        while (before.len() as u64) < jobs {
            let first = before.len();
            let end = (first as u64 + dice.within(REQUEST_JOBS)).min(jobs) as usize;
            before.extend((first..end).map(|job| Graph::draw_before(job, first, dice)));
            requests.push(first..end);
        }
        Graph { before, requests }
    }

    fn draw_before(job: usize, first_of_request: usize, dice: &mut Dice) -> Vec<(usize, Name)> {
        let wanted = dice.below(JOBS_BEFORE_MAX + 1).min(job as u64);
        let mut before = BTreeSet::new();
        while (before.len() as u64) < wanted {
            before.insert(dice.index(job));
        }
        let name = |other: usize, dice: &mut Dice| match dice.one_in(2) {
            true => Name::Key,
            false if other < first_of_request => Name::Id,
            false => Name::Place,
        };
        before.into_iter().map(|other| (other, name(other, dice))).collect()
    }

    /// Submits all, each request until it is answered, and some again as if the answer had been lost. Gives the ids.
    fn submit(&self, address: &str, mut dice: Dice) -> Vec<u64> {
        let client = Client::new(Remote::new(address, "producer", b""));
        let keys: Vec<String> = (0..self.before.len()).map(|job| format!("node-{job}")).collect();
        let mut ids: Vec<u64> = Vec::new();
        for request in &self.requests {
            thread::sleep(Duration::from_millis(dice.below(REQUEST_PAUSE_MS)));
            let told = self.submit_one(&client, request.clone(), &keys, &ids);
            if dice.one_in(3) {
                assert_eq!(self.submit_one(&client, request.clone(), &keys, &ids), told, "the same jobs");
            }
            ids.extend(told);
        }
        ids
    }

    fn submit_one(&self, client: &Client, jobs: std::ops::Range<usize>, keys: &[String], ids: &[u64]) -> Vec<u64> {
        let named = |(job, name): &(usize, Name)| match name {
            Name::Key => After::key(&keys[*job]),
            Name::Place => After::item(job - jobs.start),
            Name::Id => After::job(JobId(ids[*job])),
        };
        let after: Vec<Vec<After<'_>>> = jobs.clone().map(|job| self.before[job].iter().map(named).collect()).collect();
        let one = |job: usize, after| SubmitJob::new("q", b"").with_key(keys[job].as_str()).with_after(after);
        let items: Vec<SubmitJob<'_>> =
            jobs.clone().zip(&after).map(|(job, after)| one(job, after).with_max_attempts(1000)).collect();
        let told = wait_for("an answer", 3 * SOON, || match client.submit(&items) {
            Ok(told) => Some(told),
            Err(error) if error.may_pass() => None,
            Err(error) => panic!("{error}"),
        });
        told.iter().map(|told| told.job.0).collect()
    }
}

/// A master and two workers that are killed and started again.
struct Scene {
    place: PathBuf,
    port: Port,
    master: Option<Master>,
    workers: Vec<Process>,
    kills: u64,
    workers_killed: u64,
}

impl Scene {
    fn begin(place: PathBuf) -> Scene {
        let port = Port::reserve();
        let mut scene = Scene { place, port, master: None, workers: Vec::new(), kills: 0, workers_killed: 0 };
        scene.start_master();
        scene.workers = (0..2).map(|_| scene.worker()).collect();
        scene
    }

    fn data(&self) -> PathBuf {
        self.place.join("data")
    }

    fn notes(&self) -> PathBuf {
        self.place.join("notes")
    }

    fn start_master(&mut self) {
        self.master = Some(Master::start_at(&self.data(), &self.port.address, &[]));
    }

    /// Each run notes its begin and its end, each by one write to the end of the file: a kill takes neither back.
    fn worker(&self) -> Process {
        let notes = self.notes();
        let line = "$FALCON_JOB_ID $FALCON_LEASE_ID";
        let notes = notes.display();
        let script = format!("echo \"B {line}\" >> '{notes}' && echo \"E {line}\" >> '{notes}'");
        worker(&self.port.address, &["--queue", "q", "--concurrency", "4", "--lease", "1s"], &["sh", "-c", &script])
    }

    /// Kills until each job has been run to its end.
    fn kill_until_all_ran(&mut self, jobs: u64, dice: &mut Dice) {
        let limit = Instant::now() + Duration::from_mins(1) + Duration::from_millis(50 * jobs);
        while read_notes(&self.notes()).ended.len() < jobs as usize {
            assert!(Instant::now() < limit, "too slow");
            // The moment is drawn, not waited for: anything may be going on in it.
            let longer = if dice.one_in(5) { LIFE_LONG_MS } else { 0 };
            thread::sleep(Duration::from_millis(longer + dice.within(LIFE_MS)));
            self.master.take().expect("a master").kill();
            self.kills += 1;
            if dice.one_in(2) {
                self.workers.remove(dice.index(2)).kill();
                self.workers.push(self.worker());
                self.workers_killed += 1;
            }
            self.start_master();
        }
    }

    fn drain(&mut self, jobs: u64) -> Dump {
        let master = self.master.take().expect("a master");
        wait_until("all to be completed", 3 * SOON, || master.stats().totals.completed == jobs);
        let run = master.cli(&["--output", "json", "stats"]).expect(0);
        let totals = &run.json()[0]["totals"];
        assert_eq!(number(totals, "completed"), jobs, "{totals}");
        for open in ["waiting", "pending", "delayed", "in_flight", "dead", "cancelled"] {
            assert_eq!(number(totals, open), 0, "{open}: {totals}");
        }
        self.workers.clear();
        master.stop();
        dump(&self.data())
    }
}

/// What the runs of jobs have noted, in the order in which they did.
#[derive(Default)]
struct Notes {
    /// Of each job, where its first run began, and how many there were.
    begun: BTreeMap<u64, (usize, usize)>,
    /// Of each job, where which runs ended: by their leases.
    ended: BTreeMap<u64, BTreeMap<u64, usize>>,
}

fn read_notes(path: &Path) -> Notes {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut notes = Notes::default();
    for (place, line) in text.lines().enumerate() {
        let mut words = line.split(' ');
        let what = words.next();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).expect("a number");
        let (job, lease) = (number(), number());
        if what == Some("B") {
            notes.begun.entry(job).or_insert((place, 0)).1 += 1;
        } else {
            notes.ended.entry(job).or_default().insert(lease, place);
        }
    }
    notes
}

/// Holds what was noted and logged against the graph.
fn judge(graph: &Graph, ids: &[u64], notes: &Notes, log: &Dump) {
    let jobs = ids.len();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), jobs, "each has an id of its own");
    let acked: BTreeMap<u64, (u64, u64)> =
        log.of("ACK").into_iter().map(|ack| (number(ack, "job"), (number(ack, "lease"), number(ack, "lsn")))).collect();
    assert_eq!((log.count("ENQUEUE"), log.count("ACK"), acked.len()), (jobs, jobs, jobs), "each once");
    let waiting = graph.before.iter().filter(|before| !before.is_empty()).count();
    assert!(log.count("READY") <= waiting, "{waiting} wait");
    for dispatch in log.of("DISPATCH") {
        assert!(number(dispatch, "lsn") < acked[&number(dispatch, "job")].1, "handed out after its ack: {dispatch}");
    }
    // Whoever ran was acked for a run that was noted to its end.
    let end = |job: usize| {
        let id = ids[job];
        *notes.ended[&id].get(&acked[&id].0).unwrap_or_else(|| panic!("job {id} was acked before its end"))
    };
    for (job, before) in graph.before.iter().enumerate() {
        let begun = notes.begun[&ids[job]].0;
        for (other, _) in before {
            assert!(end(*other) < begun, "job {} began before {} had ended", ids[job], ids[*other]);
        }
    }
}

#[test]
fn a_random_graph_of_jobs_runs_in_order_across_kills_of_masters_and_workers() {
    let seed = number_of("FALCON_SEED").unwrap_or_else(any_seed);
    let jobs = number_of("FALCON_GRAPH_JOBS").unwrap_or(JOBS);
    println!("FALCON_SEED={seed} FALCON_GRAPH_JOBS={jobs} cargo test --test processes graph");
    let (mut dice, begun) = (Dice::new(seed), Instant::now());
    let graph = Graph::draw(jobs, &mut dice);
    let place = scratch().keep();
    println!("the log and what runs have noted: {}", place.display());
    let mut scene = Scene::begin(place);
    let address = scene.port.address.clone();
    let ids = thread::scope(|scope| {
        let producer = scope.spawn(|| graph.submit(&address, dice.fork(1)));
        scene.kill_until_all_ran(jobs, &mut dice.fork(2));
        producer.join().expect("the producer")
    });
    let log = scene.drain(jobs);
    let notes = read_notes(&scene.notes());
    judge(&graph, &ids, &notes, &log);
    let edges: usize = graph.before.iter().map(Vec::len).sum();
    let again = notes.begun.values().filter(|(_, runs)| *runs > 1).count();
    println!(
        "{jobs} jobs, {edges} waits, {} requests; {} kills of the master, {} of workers; {again} jobs ran more than \
         once; in {:.1?}",
        graph.requests.len(),
        scene.kills,
        scene.workers_killed,
        begun.elapsed(),
    );
    fs::remove_dir_all(&scene.place).expect("the directory of the test");
}

/// Runs jobs that are numbered, and holds their order.
struct Count(Arc<AtomicU64>);

impl Handler for Count {
    fn run(&self, job: &Job, _: &Cancel) -> Outcome {
        let number: u64 = String::from_utf8_lossy(&job.payload).parse().expect("a number");
        assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), number, "one after the other");
        Outcome::Done(Vec::new())
    }
}

/// Submits a chain of jobs, each of which waits for the one before.
fn submit_chain(client: &Client, jobs: u64) {
    let (mut sent, mut last) = (0, None);
    while sent < jobs {
        let count = 1000.min(jobs - sent) as usize;
        let payloads: Vec<String> = (sent..).take(count).map(|number| number.to_string()).collect();
        let after: Vec<Vec<After<'_>>> = (0..count)
            .map(|place| match place {
                0 => last.into_iter().map(After::job).collect(),
                _ => vec![After::item(place - 1)],
            })
            .collect();
        let one = |place: usize| SubmitJob::new("q", payloads[place].as_bytes()).with_after(&after[place]);
        let items: Vec<SubmitJob<'_>> = (0..count).map(one).collect();
        last = client.submit(&items).expect("they are taken").last().map(|told| told.job);
        sent += count as u64;
    }
}

#[test]
fn a_long_chain_runs_one_after_the_other_in_bounded_memory() {
    let jobs = number_of("FALCON_CHAIN_JOBS").unwrap_or(CHAIN_JOBS);
    let master = Master::fresh(&[]);
    let begun = Instant::now();
    let before = master.anonymous_bytes();
    submit_chain(&Client::new(Remote::new(&master.address, "producer", b"")), jobs);
    let (submitted, mut peak) = (begun.elapsed(), master.anonymous_bytes());
    let waiting = peak.saturating_sub(before) / jobs;
    let run = Arc::new(AtomicU64::new(0));
    let pool = Pool::start(PoolConfig::new(["q"]), remote(&master.address, "pool", b""), Count(run.clone()));
    let pool = pool.expect("a pool");
    wait_until("the end of the chain", Duration::from_mins(10), || {
        peak = peak.max(master.anonymous_bytes());
        run.load(Ordering::SeqCst) == jobs
    });
    master.wait_completed(jobs);
    println!(
        "a chain of {jobs}: submitted in {submitted:.1?}, done in {:.1?}; {waiting} bytes each while they wait, \
         at most {} KiB in all",
        begun.elapsed(),
        peak / 1024
    );
    assert!(peak <= before + jobs * 300 + (16 << 20), "{} KiB", peak / 1024);
    pool.stopper().stop();
    pool.join().expect("it leaves in order");
    master.stop();
}
