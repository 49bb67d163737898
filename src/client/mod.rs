//! The client: calls to one master from any number of threads, over a link that is opened again when it broke.
//!
//! Promises:
//! - Every call ends, by an answer, an error or its time-out.
//! - An error says whether the request may have been carried out ([`ClientError::is_safe_to_retry`]).
//! - Many calls may be open at once: clones of a client share its link, and each call waits for its own answer.
//! - After a link broke the next call opens a fresh one.
//!
//! It does not try a request again by itself, or run jobs: the worker does. It starts no thread.
//!
//! ```no_run
//! use falconqueue::client::{Client, Remote, SubmitJob};
//!
//! # fn main() -> Result<(), falconqueue::client::ClientError> {
//! let client = Client::new(Remote::new("127.0.0.1:3252", "shop", b""));
//! let mail = SubmitJob::new("mail", b"to: ada@example.org").with_key("order-17");
//! println!("job {}", client.submit(&[mail])?[0].job);
//! // Many requests may be under way.
//! let first = client.submit_begin(&[SubmitJob::new("mail", b"one")])?;
//! let second = client.submit_begin(&[SubmitJob::new("mail", b"two")])?;
//! println!("jobs {} and {}", first.wait()?[0].job, second.wait()?[0].job);
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod alive;
mod backup;
mod batcher;
mod boot;
mod channel;
mod error;
mod follow_ups;
mod job;
mod link;
mod log;
mod operate;
mod socket;
mod token;
mod worker;

use std::fmt;
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use crate::protocol::{
    After, Change, Demand, Filter, ItemStatus, JobEnd, Missing, Poll, PutChange, ScheduleRun, Stage, SubmitJob, Updated,
};
pub use crate::rules::{GroupSettings, QueueSettings, Rate, Way};
pub use backup::LogFile;
pub use batcher::Batcher;
pub use boot::BootTime;
pub use error::ClientError;
pub use follow_ups::{EarlierResult, FollowUps};
pub use job::{Job, KeyHolder, Submitted};
pub use link::{Connector, Link, Remote};
pub use log::{LogEvent, LogPage};
pub use operate::{
    BatchState, CountPage, ErrorKind, GroupState, GroupsPage, Happened, Histogram, Idleness, JobsPage, ListedBatch,
    ListedJob, ListedSchedule, Measures, MendPage, QueueMeasures, QueueState, QueueStop, RecentPage, ScheduleMeasures,
    ScheduleSpec, ScheduleState, Segment, Storage, StoredSnapshot, Why, headers,
};
pub use token::{is_readable_by_others, read_token, read_tokens};
pub use worker::{TakeOrder, WorkerFacts};

use channel::{Awaited, Channel, Frame, NoAnswer};

use crate::limits::{FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES};
use crate::protocol::{
    Ack, AckItem, Call, ErrorCode, Fail, FailItem, List, Refusal, Release, ReleaseItem, Reply, Reported, Request,
    Stats, Submit,
};

/// How long a call may take unless the client is told otherwise, beyond what the request itself asks to wait.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Ten years.
const FAR: Duration = Duration::from_hours(10 * 365 * 24);

/// A client of one master. Its calls fail as [`ClientError`] says. Clones share its link.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    timeout: Duration,
}

struct Shared {
    connector: Box<dyn Connector>,
    line: Mutex<Line>,
    opened: Condvar,
}

/// The link of a client, as it is now.
#[derive(Default)]
struct Line {
    channel: Option<Arc<Channel>>,
    is_opening: bool,
    stopped: bool,
    /// It takes no jobs for now.
    quiet: bool,
    /// What is said of it over each link, and who takes what the master tells it to do.
    facts: WorkerFacts,
    orders: Option<TakeOrder>,
    /// Polls that wait, and over which link the newest of them does.
    polls: usize,
    polling: Option<Arc<Channel>>,
}

/// An answer of the master, of whatever kind.
#[derive(Debug)]
pub struct Answer(Frame);

impl Answer {
    /// The reply to a request of type `R`.
    pub fn read<'c, R: Call<'c>>(&'c self) -> Result<R::Reply, ClientError> {
        match Reply::decode(self.0.header.kind, &self.0.body) {
            Ok(Reply::Error(refusal)) if refusal.code != ErrorCode::Malformed => Err(ClientError::Refused(refusal)),
            Ok(Reply::Error(refusal)) | Err(refusal) => Err(ClientError::NotTheProtocol { why: refusal.text }),
            Ok(reply) => R::reply(&reply).ok_or_else(|| {
                let why = format!("a reply of another kind ({:#06x})", reply.kind());
                ClientError::NotTheProtocol { why }
            }),
        }
    }
}

/// A request that is under way. Dropping it leaves it under way; its answer is not looked at.
#[must_use = "what came of the request is told by `wait`"]
pub struct Pending {
    channel: Arc<Channel>,
    correlation: u64,
    deadline: Instant,
    limit: Duration,
}

impl Pending {
    /// Waits for its answer.
    pub fn wait(self) -> Result<Answer, ClientError> {
        let answer = self.channel.wait(self.correlation, self.deadline);
        answer.map(Answer).map_err(|none| match none {
            NoAnswer::TimedOut => ClientError::TimedOut { waited: self.limit },
            NoAnswer::Broken(source) if source.kind() == std::io::ErrorKind::InvalidData => {
                ClientError::NotTheProtocol { why: source.to_string() }
            }
            NoAnswer::Broken(source) => ClientError::Broken { source },
            NoAnswer::Ended(refusal) => ClientError::Refused(refusal),
        })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.channel.forget(self.correlation);
    }
}

/// A Submit that is under way.
#[must_use = "whether the jobs were taken is told by `wait`"]
pub struct PendingSubmit(Pending);

impl PendingSubmit {
    /// Waits until the jobs are taken: what became of each, in order.
    pub fn wait(self) -> Result<Vec<Submitted>, ClientError> {
        Ok(self.0.wait()?.read::<Submit<'_>>()?.jobs.iter().map(Submitted::from).collect())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Client {
    /// A client; its link is opened by the first call.
    pub fn new(connector: impl Connector + 'static) -> Client {
        let shared = Shared { connector: Box::new(connector), line: Mutex::default(), opened: Condvar::new() };
        Client { shared: Arc::new(shared), timeout: CALL_TIMEOUT }
    }

    /// From now on a call by this clone may take this long, connecting included, beyond what its request asks to wait.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Takes no more jobs, by any clone: polls that wait are answered at once, without losing a job that was handed out
    /// at that moment. Reports of jobs that are held still go through.
    pub fn stop(&self) {
        let mut line = self.shared.locked();
        line.stopped = true;
        line.end_polls();
    }

    /// Ends polls that wait although the client was stopped: the master does not answer.
    pub fn abort(&self) {
        if let Some(channel) = &self.shared.locked().polling {
            channel.end(Shutdown::Both);
        }
    }

    /// Ends its link, for all clones: calls that are open fail as `Broken`. The next one opens a fresh link.
    pub fn disconnect(&self) {
        if let Some(channel) = self.shared.locked().channel.take() {
            channel.end(Shutdown::Both);
        }
    }

    /// Asks for anything.
    pub fn ask<'r>(&self, request: impl Into<Request<'r>>) -> Result<Answer, ClientError> {
        self.begin(request, Duration::ZERO)?.wait()
    }

    /// Sends a request that may be answered `wait` later than others.
    pub fn begin<'r>(&self, request: impl Into<Request<'r>>, wait: Duration) -> Result<Pending, ClientError> {
        self.begin_as(&request.into(), wait, Awaited::Yes)
    }

    /// Submits jobs, all or none. What became of each, in order.
    pub fn submit(&self, jobs: &[SubmitJob<'_>]) -> Result<Vec<Submitted>, ClientError> {
        self.submit_begin(jobs)?.wait()
    }

    /// Begins to submit jobs, all or none. They have been sent, or soon will be.
    pub fn submit_begin(&self, jobs: &[SubmitJob<'_>]) -> Result<PendingSubmit, ClientError> {
        self.begin(Submit::of(jobs), Duration::ZERO).map(PendingSubmit)
    }

    /// Asks for jobs, and waits for the first. `Stopped` once this client was stopped, or while it is quiet, and no job
    /// had been handed out.
    pub fn poll(&self, poll: &Poll<'_>) -> Result<Vec<Job>, ClientError> {
        let request = Request::from(*poll);
        let wait = Duration::from_millis(u64::from(poll.wait_ms));
        let frame = frame_of(&request)?;
        let deadline = moment_after(self.timeout.saturating_add(wait));
        let (pending, polled_at) = self.begin_poll(&frame, deadline)?;
        let polled = pending.wait();
        let jobs = polled.and_then(|answer| {
            let jobs = answer.read::<Poll<'_>>()?.jobs;
            Ok(jobs.iter().map(|delivery| Job::delivered(&delivery, polled_at, self)).collect::<Vec<_>>())
        });
        if !self.shared.end_poll() {
            return jobs;
        }
        jobs.ok().filter(|jobs| !jobs.is_empty()).ok_or(ClientError::Stopped)
    }

    /// Reports attempts that did their work.
    pub fn ack(&self, items: &[AckItem<'_>]) -> Result<Vec<ItemStatus>, ClientError> {
        self.ask(Ack { items: List::lent(items) })?.read::<Ack<'_>>().map(statuses)
    }

    /// Reports attempts that did not.
    pub fn fail(&self, items: &[FailItem<'_>]) -> Result<Vec<ItemStatus>, ClientError> {
        self.ask(Fail { items: List::lent(items) })?.read::<Fail<'_>>().map(statuses)
    }

    /// Gives jobs back unharmed.
    pub fn release(&self, items: &[ReleaseItem]) -> Result<Vec<ItemStatus>, ClientError> {
        self.ask(Release { items: List::lent(items) })?.read::<Release<'_>>().map(statuses)
    }

    /// The master's figures; read them as the reply to [`Stats`].
    pub fn stats(&self) -> Result<Answer, ClientError> {
        self.ask(Stats {})
    }

    fn begin_as(&self, request: &Request<'_>, wait: Duration, awaited: Awaited) -> Result<Pending, ClientError> {
        let frame = frame_of(request)?;
        let limit = self.timeout.saturating_add(wait);
        let deadline = moment_after(limit);
        loop {
            let channel = self.open(deadline)?;
            if let Some(correlation) = channel.begin(&frame, awaited, deadline) {
                return Ok(Pending { channel, correlation, deadline, limit });
            }
        }
    }

    fn begin_poll(&self, frame: &[u8], deadline: Instant) -> Result<(Pending, BootTime), ClientError> {
        let limit = deadline.saturating_duration_since(Instant::now());
        if self.shared.locked().takes_no_jobs() {
            return Err(ClientError::Stopped);
        }
        loop {
            let channel = self.open(deadline)?;
            self.shared.begin_poll(&channel)?;
            let polled_at = BootTime::now();
            if let Some(correlation) = channel.begin(frame, Awaited::Yes, deadline) {
                return Ok((Pending { channel, correlation, deadline, limit }, polled_at));
            }
            self.shared.end_poll();
        }
    }

    /// The link, opened if none is open.
    fn open(&self, deadline: Instant) -> Result<Arc<Channel>, ClientError> {
        let mut line = self.shared.locked();
        loop {
            if let Some(channel) = line.channel.as_ref().filter(|channel| channel.takes_calls()) {
                return Ok(Arc::clone(channel));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !line.is_opening {
                break;
            }
            if left.is_zero() {
                // It says that the time is over, and where the master should be.
                return self.shared.connect(&line.facts, None, deadline);
            }
            line = self.shared.opened.wait_timeout(line, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        line.channel = None;
        line.is_opening = true;
        let (facts, orders) = (line.facts.clone(), line.orders.clone());
        drop(line);
        let outcome = self.shared.connect(&facts, orders, deadline);
        let mut line = self.shared.locked();
        line.is_opening = false;
        line.channel = outcome.as_ref().ok().cloned();
        self.shared.opened.notify_all();
        outcome
    }
}

impl Line {
    /// Whether polls are over, for good or for now.
    fn takes_no_jobs(&self) -> bool {
        self.stopped || self.quiet
    }

    /// Ends the sending side of the link over which polls wait, so that they are answered; other calls open a fresh
    /// one.
    fn end_polls(&mut self) {
        let Some(channel) = self.polling.clone() else { return };
        if self.channel.as_ref().is_some_and(|open| Arc::ptr_eq(open, &channel)) {
            self.channel = None;
        }
        channel.end(Shutdown::Write);
    }
}

impl Shared {
    fn connect(
        &self,
        facts: &WorkerFacts,
        orders: Option<TakeOrder>,
        deadline: Instant,
    ) -> Result<Arc<Channel>, ClientError> {
        self.connector.connect(facts, deadline).map(|link| Arc::new(Channel::new(link, orders)))
    }

    /// A poll begins over this link, which `stop` ends.
    fn begin_poll(&self, channel: &Arc<Channel>) -> Result<(), ClientError> {
        let mut line = self.locked();
        if line.takes_no_jobs() {
            return Err(ClientError::Stopped);
        }
        line.polls += 1;
        line.polling = Some(Arc::clone(channel));
        Ok(())
    }

    /// A poll has ended. Says whether the client was stopped meanwhile, or is quiet.
    fn end_poll(&self) -> bool {
        let mut line = self.locked();
        line.polls -= 1;
        if line.polls == 0 {
            line.polling = None;
        }
        line.takes_no_jobs()
    }

    fn locked(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request as it is sent. What is too long for a frame is refused here: the master would end the link for it.
fn frame_of(request: &Request<'_>) -> Result<Vec<u8>, ClientError> {
    request.check().map_err(ClientError::Refused)?;
    let mut frame = Vec::new();
    request.encode(0, &mut frame);
    let bytes = frame.len() - FRAME_HEADER_BYTES;
    if bytes <= FRAME_BODY_BYTES_MAX {
        return Ok(frame);
    }
    let text = format!("a request of {bytes} bytes; it takes at most {FRAME_BODY_BYTES_MAX}, send it in parts");
    Err(ClientError::Refused(Refusal::new(ErrorCode::FrameTooLarge, text)))
}

/// The moment so much later, or one that nobody will see.
fn moment_after(span: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(span).unwrap_or_else(|| now + FAR)
}

fn statuses(reported: Reported<'_>) -> Vec<ItemStatus> {
    reported.items.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_was_stopped_takes_no_job() {
        let client = Client::new(Remote::new("127.0.0.1:1", "test", b""));
        let poll = Poll { queues: List::lent(&["q"]), free: 1, lease_ms: 1000, ..Poll::default() };
        assert!(matches!(client.poll(&poll), Err(ClientError::Unreachable { .. })));
        client.clone().stop();
        assert!(matches!(client.poll(&poll), Err(ClientError::Stopped)));
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_before_anything_is_sent() {
        let client = Client::new(Remote::new("127.0.0.1:1", "test", b""));
        let job = SubmitJob::new("q", b"").with_timeout(Duration::from_millis(1));
        assert!(matches!(client.submit(&[job]), Err(ClientError::Refused(_))));
        let payload = vec![0; 1 << 20];
        let long = SubmitJob::new("q", &payload);
        let refused = client.submit(&[long; 9]).unwrap_err();
        assert!(matches!(refused, ClientError::Refused(refusal) if refusal.code == ErrorCode::FrameTooLarge));
    }
}
