//! A master inside a process that is killed at any moment: what was answered is there when the directory is opened
//! again, and what was acked never comes back.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use falconqueue::client::{Batcher, Client, ClientError, Job, Poll, SubmitJob};
use falconqueue::embedded::{Embedded, EmbeddedConfig};
use falconqueue::ids::{JobId, Lsn};
use falconqueue::protocol::{ErrorCode, Get, ItemStatus, KnownWorker, Workers};
use falconqueue::worker::{Cancel, Handler, Outcome, Pool, PoolConfig};

use crate::dice::Dice;
use crate::harness::*;

const KILLS: usize = 12;
const DIR: &str = "FALCON_TEST_EMBEDDED_DIR";

fn poll(client: &Client, jobs_max: u16) -> Result<Vec<Job>, ClientError> {
    client.poll(&Poll::of(&["q"]).with_free(jobs_max).with_lease(Duration::from_secs(1)))
}

fn ack(client: &Client, job: &Job) -> Vec<ItemStatus> {
    client.ack(&[job.done(b"")]).expect("an answer")
}

fn open(dir: &Path) -> Embedded {
    Embedded::open(EmbeddedConfig::new(dir)).expect("the directory is opened")
}

/// The process that is killed: it says on stdout what it was answered.
#[test]
#[ignore = "is run by the test below"]
fn child() {
    let dir = std::env::var(DIR).expect("the test below says where");
    let queue = open(Path::new(&dir));
    let client = queue.client("child");
    loop {
        let taken = client.submit(&[SubmitJob::new("q", b"x"); 3]).expect("the jobs are taken");
        for taken in taken {
            println!("submitted {}", taken.job);
        }
        for job in poll(&client, 2).expect("jobs") {
            println!("acking {}", job.id);
            assert_eq!(ack(&client, &job)[0].refused(), None);
            println!("acked {}", job.id);
        }
    }
}

/// Runs the child for so long; gives what it said of each: submitted, acking, acked.
fn killed_after(dir: &Path, span: Duration) -> Vec<(String, u64)> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "embedded::child", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test runs itself");
    let stdout = child.stdout.take().expect("it is piped");
    let reading = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let said = |line: String| {
            let (what, job) = line.split_once(' ')?;
            Some((what.to_owned(), job.parse().ok()?))
        };
        lines.filter_map(said).collect::<Vec<(String, u64)>>()
    });
    std::thread::sleep(span);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    reading.join().expect("its words are read")
}

#[test]
fn what_was_answered_before_a_kill_is_there_after_it() {
    let dir = scratch();
    let mut dice = Dice::new(19);
    let (mut submitted, mut acking, mut acked) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..KILLS {
        for (what, job) in killed_after(dir.path(), Duration::from_millis(dice.within(50..250))) {
            match what.as_str() {
                "submitted" => assert!(submitted.insert(job), "ids are never used again"),
                "acking" => assert!(acking.insert(job)),
                "acked" => assert!(acked.insert(job)),
                _ => {}
            }
        }
    }
    assert!(submitted.len() > 100, "{} jobs", submitted.len());
    let queue = open(dir.path());
    let client = queue.client("after");
    let mut left = BTreeSet::new();
    // Leases of the killed process have to run out first, and a backoff after them.
    let until = Instant::now() + Duration::from_mins(1);
    let has_all = |left: &BTreeSet<u64>| submitted.difference(&acking).all(|job| left.contains(job));
    while !has_all(&left) && Instant::now() < until {
        for job in poll(&client, 1024).expect("jobs") {
            ack(&client, &job);
            left.insert(job.id.0);
        }
    }
    assert_eq!(acked.intersection(&left).count(), 0, "an acked job came again");
    let lost: Vec<_> = submitted.difference(&acking).filter(|job| !left.contains(job)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    queue.close().expect("it ends in order");
}

#[test]
fn a_second_opener_is_refused_and_a_falcond_finds_everything_later() {
    let dir = scratch();
    let queue = open(dir.path());
    let id = queue.client("first").submit(&[SubmitJob::new("q", b"kept")]).unwrap()[0].job.0;
    let second = Embedded::open(EmbeddedConfig::new(dir.path())).expect_err("the directory is taken");
    assert!(second.to_string().contains(&std::process::id().to_string()), "{second}");
    queue.close().unwrap();
    let master = Master::start(dir.path(), &[]);
    let job = master.connect().take("q");
    assert_eq!((job.job, job.payload.as_slice()), (id, &b"kept"[..]));
    master.stop();
}

/// Says what it got.
struct Echo;

impl Handler for Echo {
    fn run(&self, job: &Job, _: &Cancel) -> Outcome {
        Outcome::Done(job.payload.clone())
    }
}

#[test]
fn threads_share_a_client_a_batcher_and_a_pool_of_the_master_in_their_process() {
    let dir = scratch();
    let queue = open(dir.path());
    let batcher = Batcher::new(queue.client("producer"), Duration::ZERO);
    let mut config = PoolConfig::new(["q"]);
    config.concurrency = 4;
    let pool = Pool::start(config, queue.workers("pool"), Echo).unwrap();
    let ids: BTreeSet<u64> = std::thread::scope(|scope| {
        let submits = |thread: usize| {
            let batcher = &batcher;
            move || {
                let one = |n: usize| batcher.submit(&SubmitJob::new("q", format!("{thread}.{n}").as_bytes())).unwrap();
                (0..100).map(|n| one(n).job.0).collect::<Vec<u64>>()
            }
        };
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(submits(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 800, "each has an id of its own");
    let client = queue.client("looks");
    let completed = || client.stats().unwrap().read::<falconqueue::protocol::Stats>().unwrap().figure("completed");
    wait_until("all to be done", SOON, || completed() == 800);
    pool.stopper().stop();
    pool.join().unwrap();
    queue.close().unwrap();
    assert!(client.stats().is_err(), "it is gone");
}

/// Says how far it is, and when that was answered waits until it is told to stop.
struct Halfway;

impl Handler for Halfway {
    fn run(&self, job: &Job, cancel: &Cancel) -> Outcome {
        job.progress(50, "halfway").expect("it is noted");
        wait_until("the pool to leave", SOON, || cancel.reason().is_some());
        Outcome::Stopped
    }
}

#[test]
fn a_pool_in_this_process_is_a_worker_that_can_be_quiet_and_its_jobs_tell_how_far_they_are() {
    let dir = scratch();
    let queue = open(dir.path());
    let client = queue.client("looks");
    let mut config = PoolConfig::new(["q"]);
    (config.concurrency, config.shutdown_limit) = (2, Duration::ZERO);
    let pool = Pool::start(config, queue.workers("pool"), Halfway).unwrap();
    let known = |look: fn(&KnownWorker<'_>) -> bool| {
        let answer = client.workers("").unwrap();
        answer.read::<Workers<'_>>().unwrap().workers.iter().any(|worker| look(&worker))
    };
    wait_until("it to poll", SOON, || known(|worker| worker.polls && worker.concurrency == 2));
    let first = client.submit(&[SubmitJob::new("q", b"")]).unwrap()[0].job;
    let told = |job| {
        let answer = client.ask(Get { job }).unwrap();
        let progress = answer.read::<Get>().unwrap().progress;
        progress.map(|told| (told.percent, told.text.to_owned()))
    };
    wait_until("its word", SOON, || told(first) == Some((50, "halfway".to_owned())));
    let stopper = pool.stopper();
    stopper.be_quiet();
    wait_until("it to be quiet", SOON, || known(|worker| worker.quiet && !worker.polls && worker.begun == 1));
    let second = client.submit(&[SubmitJob::new("q", b"")]).unwrap()[0].job;
    assert_eq!(told(second), None);
    stopper.resume();
    wait_until("it to take the other one", SOON, || told(second).is_some());
    stopper.stop();
    pool.join().unwrap();
    queue.close().unwrap();
}

#[test]
fn what_happened_to_a_job_is_told_within_the_process() {
    let dir = scratch();
    let queue = open(dir.path());
    let client = queue.client("looks");
    let id = client.submit(&[SubmitJob::new("q", b"x")]).unwrap()[0].job;
    ack(&client, &poll(&client, 1).unwrap()[0]);
    let page = client.log(id, Lsn(0)).unwrap();
    let kinds: Vec<u8> = page.events.iter().map(|event| event.kind).collect();
    assert_eq!((kinds.as_slice(), page.next, page.missing.len()), (&[1, 2, 3][..], None, 0));
    let never = client.log(JobId(id.0 + 1), Lsn(0));
    assert!(matches!(never, Err(ClientError::Refused(refusal)) if refusal.code == ErrorCode::NotFound));
    queue.close().unwrap();
}

#[test]
fn a_batch_that_is_refused_harms_no_job_that_is_not_at_fault() {
    let dir = scratch();
    let queue = open(dir.path());
    let batcher = Batcher::new(queue.client("producer"), Duration::from_millis(50));
    std::thread::scope(|scope| {
        let good = scope.spawn(|| batcher.submit(&SubmitJob::new("q", b"good")));
        let bad = scope.spawn(|| batcher.submit(&SubmitJob::new("no such name!", b"bad")));
        assert!(matches!(bad.join().unwrap(), Err(ClientError::Refused(_))));
        good.join().unwrap().unwrap();
    });
    queue.close().unwrap();
}
