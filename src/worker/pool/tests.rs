//! A pool over a master that hands out one job.

use super::super::{Cancel, Outcome};
use super::*;
use crate::client::{ClientError, Connector, Job, Link, WorkerFacts};
use crate::ids::JobId;
use crate::protocol::frame::next_in;
use crate::protocol::{
    Delivery, ErrorCode, FrameBuffer, HeartbeatOk, LeaseStatus, List, PollOk, Refusal, Reply, Reported, Request,
};
use crate::worker::remote;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// The answer to a poll comes when such a lease is over by the worker's clock.
const SHORT_LEASE_MS: u32 = 40;
const SHORT_LEASE: Duration = Duration::from_millis(SHORT_LEASE_MS as u64);

/// It does not want to hear of leases any more.
const REFUSES: u8 = 9;

/// A master that hands out one job, and answers no poll after that; tells what was reported.
#[derive(Clone)]
struct OneJob {
    left: Arc<AtomicBool>,
    reports: Sender<String>,
    lease_ms: u32,
    want: u8,
    answers: Arc<(Mutex<Vec<u8>>, Condvar)>,
}

impl OneJob {
    fn tell<'r>(&self, what: String) -> Reported<'r> {
        self.reports.send(what).unwrap();
        Reported::default()
    }

    fn answer(&self, request: &Request<'_>, correlation: u64) {
        let job = [Delivery { job: JobId(1), queue: "q", lease_ms: self.lease_ms, ..Delivery::default() }];
        let status = [LeaseStatus { job: JobId(1), want: self.want, remaining_ms: 60_000 }];
        let reply = match request {
            Request::Poll(_) if self.left.swap(false, Ordering::Relaxed) => {
                std::thread::sleep(if self.lease_ms == SHORT_LEASE_MS { SHORT_LEASE * 2 } else { Duration::ZERO });
                Reply::PollOk(PollOk { jobs: List::lent(&job) })
            }
            Request::Ack(_) => Reply::AckOk(self.tell("ack".to_owned())),
            Request::Fail(fail) => {
                let error = fail.items.iter().next().unwrap().error;
                Reply::FailOk(self.tell(format!("fail {error}")))
            }
            Request::Release(_) => Reply::ReleaseOk(self.tell("release".to_owned())),
            Request::Heartbeat(_) if self.want == REFUSES => {
                Reply::Error(Refusal::new(ErrorCode::Unauthorized, "the token was changed"))
            }
            Request::Heartbeat(_) => {
                Reply::HeartbeatOk(HeartbeatOk { leases: List::lent(&status), ..HeartbeatOk::default() })
            }
            _ => return,
        };
        reply.encode(correlation, &mut self.answers.0.lock().unwrap());
        self.answers.1.notify_all();
    }
}

impl Connector for OneJob {
    fn connect(&self, _: &WorkerFacts, _: Instant) -> Result<Box<dyn Link>, ClientError> {
        Ok(Box::new(OneJob { answers: Arc::default(), ..self.clone() }))
    }
}

impl Link for OneJob {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some((header, frame_bytes)) = next_in(rest, usize::MAX).unwrap() {
            let body = &rest[frame_bytes - header.body_bytes..frame_bytes];
            self.answer(&Request::decode(header.kind, body).unwrap(), header.correlation);
            rest = &rest[frame_bytes..];
        }
        Ok(bytes.len())
    }

    fn receive(&self, into: &mut FrameBuffer, deadline: Instant) -> io::Result<()> {
        let (answers, came) = &*self.answers;
        let left = deadline.saturating_duration_since(Instant::now());
        let mut bytes = came.wait_timeout_while(answers.lock().unwrap(), left, |bytes| bytes.is_empty()).unwrap().0;
        into.push(&std::mem::take(&mut *bytes));
        if into.is_empty() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    fn end(&self, _: Shutdown) {
        // Polls are answered when it ends, by a frame that ends the link.
        self.answers.0.lock().unwrap().extend_from_slice(&[0; 16]);
        self.answers.1.notify_all();
    }
}

type Act = fn() -> Outcome;

struct Run(Act);

impl Handler for Run {
    fn run(&self, _: &Job, _: &Cancel) -> Outcome {
        (self.0)()
    }
}

fn config() -> PoolConfig {
    PoolConfig { lease: Duration::from_mins(1), shutdown_limit: Duration::ZERO, ..PoolConfig::new(["q"]) }
}

#[test]
fn every_outcome_is_reported_in_its_way() {
    let outcomes: [(Act, &str); 4] = [
        (|| Outcome::Done(Vec::new()), "ack"),
        (|| Outcome::failed("no"), "fail no"),
        (|| Outcome::Stopped, "release"),
        (|| panic!("at the disco"), "fail the handler panicked: at the disco"),
    ];
    for (run, expected) in outcomes {
        assert_eq!(first_report(run, 60_000, LeaseStatus::GO_ON).as_deref(), Some(expected));
    }
}

/// What a pool reports of a job with such a lease, where a Heartbeat is answered so; nothing for a while is none.
fn first_report(run: Act, lease_ms: u32, want: u8) -> Option<String> {
    let (reports, reported) = channel();
    let left = Arc::new(AtomicBool::new(true));
    let master = OneJob { left, reports, lease_ms, want, answers: Arc::default() };
    let pool = Pool::start(config(), || Client::new(master.clone()), Run(run)).unwrap();
    let limit = if want == LeaseStatus::GO_ON { Duration::from_secs(20) } else { Duration::from_millis(300) };
    let report = reported.recv_timeout(limit).ok();
    pool.stopper().stop();
    pool.join().unwrap();
    report
}

#[test]
fn a_job_is_begun_only_under_a_lease_that_lives() {
    let done: Act = || Outcome::Done(Vec::new());
    assert_eq!(
        first_report(done, SHORT_LEASE_MS, LeaseStatus::GO_ON).as_deref(),
        Some("ack"),
        "it asked, and was told to go on"
    );
    let never: Act = || panic!("it is begun");
    assert_eq!(first_report(never, SHORT_LEASE_MS, LeaseStatus::STOP), None, "it asked, and another one has it");
    let report = first_report(never, SHORT_LEASE_MS, LeaseStatus::CANCELLED);
    assert_eq!(report.as_deref(), Some("release"), "it asked, and nobody wants it any more");
}

/// Says that it runs; and once it may end, whether it was hurried.
struct Slow(Sender<Option<StopReason>>, Mutex<Receiver<()>>);

impl Handler for Slow {
    fn run(&self, _: &Job, cancel: &Cancel) -> Outcome {
        self.0.send(None).unwrap();
        self.1.lock().unwrap().recv().unwrap();
        self.0.send(cancel.reason()).unwrap();
        Outcome::Done(Vec::new())
    }
}

#[test]
fn an_order_to_stop_that_comes_again_hurries_nobody() {
    let (reports, _reported) = channel();
    let ((says, said), (go, waits)) = (channel(), channel());
    let left = Arc::new(AtomicBool::new(true));
    let master = OneJob { left, reports, lease_ms: 60_000, want: LeaseStatus::GO_ON, answers: Arc::default() };
    let config = PoolConfig { shutdown_limit: Duration::from_mins(1), ..config() };
    let pool = Pool::start(config, || Client::new(master.clone()), Slow(says, Mutex::new(waits))).unwrap();
    assert_eq!(said.recv(), Ok(None));
    (0..2).for_each(|_| pool.shared.obey_master(Demand::Stop));
    go.send(()).unwrap();
    assert_eq!(said.recv(), Ok(None));
    pool.join().unwrap();
}

#[test]
fn a_master_that_refuses_for_good_while_it_is_asked_about_a_lease_ends_the_pool() {
    let (reports, _reported) = channel();
    let left = Arc::new(AtomicBool::new(true));
    let master = OneJob { left, reports, lease_ms: SHORT_LEASE_MS, want: REFUSES, answers: Arc::default() };
    let pool = Pool::start(config(), || Client::new(master.clone()), Run(|| panic!("it is begun"))).unwrap();
    assert!(matches!(pool.join(), Err(PoolError::Refused(_))));
}

#[test]
fn settings_out_of_bounds_are_refused_before_anything_is_started() {
    let never = || -> Client { panic!("nobody connects") };
    let bad = [
        PoolConfig { concurrency: 0, ..config() },
        PoolConfig { concurrency: 1025, ..config() },
        PoolConfig { lease: Duration::from_millis(1), ..config() },
        PoolConfig { prefetch: Some(1025), ..config() },
        PoolConfig { weights: vec![1, 1], ..config() },
        PoolConfig { weights: vec![0], ..config() },
        PoolConfig::new(["no such name!"]),
        PoolConfig::new(Vec::<String>::new()),
    ];
    for config in bad {
        let error = Pool::start(config, never, Run(|| Outcome::Stopped)).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}

#[test]
fn a_pool_without_a_master_stops_when_it_is_told() {
    let make = remote("127.0.0.1:1", "test", b"");
    let pool = Pool::start(config(), make, Run(|| Outcome::Stopped)).unwrap();
    pool.stopper().stop();
    pool.join().unwrap();
}
