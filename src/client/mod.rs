//! The blocking client: one request at a time over a link that is opened again when it broke.
//!
//! Promises:
//! - Every call ends, by an answer, an error or its time-out.
//! - An error says whether the request may have been carried out ([`ClientError::is_safe_to_retry`]).
//! - After an error the next call opens a fresh link.
//!
//! It does not try a request again by itself, or run jobs: the worker does.

#![warn(missing_docs)]

mod boot;
mod error;
mod link;
mod stopper;
mod token;

use std::io;
use std::time::{Duration, Instant};

pub use boot::BootTime;
pub use error::ClientError;
pub use link::{Ender, Frame, Link, TcpLink, check_address};
pub use stopper::Stopper;
pub use token::read_token;

use crate::ids::{JobId, LeaseId};
use crate::protocol::{
    Ack, AckItem, Backup, BackupFile, Call, Delivery, ErrorCode, Fail, FailItem, Header, Heartbeat, HeldLease,
    ItemStatus, LeaseStatus, List, Poll, Read, Release, ReleaseItem, Reply, Reported, Request, Snapshot, SnapshotOk,
    Stats, StatsOk, Submit, SubmitJob, Submitted,
};

/// How long a call may take unless the client is told otherwise, beyond what the request itself asks to wait.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How much longer a snapshot may take: all of the state is written and read back.
const SNAPSHOT_WAIT: Duration = Duration::from_mins(10);

/// A file that a backup copies, read by its number in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its name in the data directory.
    pub name: String,
    /// Bytes from its beginning that are to be read.
    pub bytes: u32,
    /// Size that the copy has to have; zeros follow what was read.
    pub size: u32,
}

/// A client of one master. Its calls fail as [`ClientError`] says.
pub struct Client {
    link: Box<dyn Link>,
    /// The frame of the last answer, which the reply borrows from.
    answer: Frame,
    last_correlation: u64,
    /// Requests whose answers nobody waits for, and which have not come yet.
    unawaited: Vec<u64>,
    timeout: Duration,
    stop: Stopper,
}

/// One attempt at a job, as it was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The job.
    pub id: JobId,
    /// The lease under which it may be run.
    pub lease: LeaseId,
    /// Its queue.
    pub queue: String,
    /// Its key, or empty.
    pub key: String,
    /// Its priority.
    pub priority: u8,
    /// 1 for the first delivery.
    pub attempt: u16,
    /// How many there may be.
    pub max_attempts: u16,
    /// The attempt may run this long; `None` for no bound.
    pub timeout: Option<Duration>,
    /// How long the lease is.
    pub lease_length: Duration,
    /// Until when it certainly lives, unless it is extended.
    pub lease_ends_at: BootTime,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Job {
    /// A job that came in answer to a poll which was sent then: the lease began when the poll had waited.
    fn delivered(delivery: &Delivery<'_>, polled_at: BootTime) -> Job {
        let millis = |count: u32| Duration::from_millis(u64::from(count));
        let lease_length = millis(delivery.lease_ms);
        Job {
            id: delivery.job,
            lease: delivery.lease,
            queue: delivery.queue.to_owned(),
            key: delivery.key.to_owned(),
            priority: delivery.settings.priority,
            attempt: delivery.attempt,
            max_attempts: delivery.settings.max_attempts,
            timeout: (delivery.settings.timeout_ms > 0).then(|| millis(delivery.settings.timeout_ms)),
            lease_length,
            lease_ends_at: polled_at.plus(millis(delivery.waited_ms) + lease_length),
            payload: delivery.payload.to_owned(),
        }
    }
}

impl Client {
    /// A client; its link is opened by the first call.
    pub fn new(link: impl Link + 'static) -> Client {
        Client {
            link: Box::new(link),
            answer: Frame::default(),
            last_correlation: 0,
            unawaited: Vec::new(),
            timeout: CALL_TIMEOUT,
            stop: Stopper::default(),
        }
    }

    /// From now on a call may take this long, connecting included, beyond what its request asks to wait.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// What stops this client.
    pub fn stopper(&self) -> Stopper {
        self.stop.clone()
    }

    /// Asks for anything; gives the reply of that request's type.
    pub fn call<'c, R: Call<'c>>(&'c mut self, request: R) -> Result<R::Reply, ClientError> {
        self.call_waiting::<R>(request, Duration::ZERO)
    }

    /// The same, of a request that may be answered this much later than others.
    fn call_waiting<'c, R: Call<'c>>(&'c mut self, request: R, wait: Duration) -> Result<R::Reply, ClientError> {
        self.answer = self.exchange(&request.into(), wait)?;
        let reply = decoded(&self.answer)?;
        R::reply(&reply).ok_or_else(|| unexpected(&reply))
    }

    /// Submits jobs, all or none.
    pub fn submit(&mut self, jobs: &[SubmitJob<'_>]) -> Result<Vec<Submitted>, ClientError> {
        Ok(self.call(Submit { jobs: List::lent(jobs) })?.jobs.iter().collect())
    }

    /// Asks for up to `jobs_max` jobs of these queues, and waits for the first.
    /// `Stopped` once this client was stopped and no job had been handed out.
    pub fn poll(
        &mut self,
        queues: &[&str],
        jobs_max: u16,
        wait: Duration,
        lease: Duration,
    ) -> Result<Vec<Job>, ClientError> {
        let millis = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
        let request = Poll { queues: List::lent(queues), jobs_max, wait_ms: millis(wait), lease_ms: millis(lease) };
        self.stop.check()?;
        self.open(Instant::now() + self.timeout)?;
        self.stop.begin_poll(self.link.ender().map_err(|source| ClientError::System { source })?)?;
        let polled_at = BootTime::now();
        let polled = self.call_waiting(request, wait);
        let jobs = polled.map(|polled| {
            let jobs = polled.jobs.iter();
            jobs.map(|delivery| Job::delivered(&delivery, polled_at)).collect::<Vec<_>>()
        });
        // The jobs were copied; their payloads need not be here twice while they run.
        self.answer = Frame::default();
        if !self.stop.end_poll() {
            return jobs;
        }
        self.link.close();
        jobs.ok().filter(|jobs| !jobs.is_empty()).ok_or(ClientError::Stopped)
    }

    /// Reports attempts that did their work.
    pub fn ack(&mut self, items: &[AckItem<'_>]) -> Result<Vec<ItemStatus>, ClientError> {
        self.call(Ack { items: List::lent(items) }).map(statuses)
    }

    /// Reports attempts that did not.
    pub fn fail(&mut self, items: &[FailItem<'_>]) -> Result<Vec<ItemStatus>, ClientError> {
        self.call(Fail { items: List::lent(items) }).map(statuses)
    }

    /// Gives jobs back unharmed.
    pub fn release(&mut self, items: &[ReleaseItem]) -> Result<Vec<ItemStatus>, ClientError> {
        self.call(Release { items: List::lent(items) }).map(statuses)
    }

    /// Extends leases.
    pub fn heartbeat(&mut self, leases: &[HeldLease]) -> Result<Vec<LeaseStatus>, ClientError> {
        Ok(self.call(Heartbeat { leases: List::lent(leases) })?.leases.iter().collect())
    }

    /// Says how far the jobs of these leases are, over the link that is open, and does not wait for the answer. A
    /// master counts an attempt from `Stage::Begun` on, if the link promised to say it.
    pub fn say(&mut self, leases: &[HeldLease]) -> Result<(), ClientError> {
        let request = Request::from(Heartbeat { leases: List::lent(leases) });
        request.check().map_err(ClientError::Refused)?;
        let deadline = Instant::now() + self.timeout;
        self.open(deadline)?;
        self.send(&request, deadline).map_err(|source| self.broken(source, self.timeout))?;
        self.unawaited.push(self.last_correlation);
        Ok(())
    }

    /// The master's figures.
    pub fn stats(&mut self) -> Result<StatsOk<'_>, ClientError> {
        self.call(Stats {})
    }

    /// Asks for a snapshot of the state, and waits until it is on the master's disk.
    pub fn snapshot(&mut self) -> Result<SnapshotOk, ClientError> {
        self.call_waiting(Snapshot {}, SNAPSHOT_WAIT)
    }

    /// Begins a backup: the files that make up the log now. They can be read until this client's link breaks.
    pub fn backup(&mut self) -> Result<Vec<LogFile>, ClientError> {
        let owned = |BackupFile { name, bytes, size }| LogFile { name: str::to_owned(name), bytes, size };
        Ok(self.call(Backup {})?.files.iter().map(owned).collect())
    }

    /// Reads a piece of a file of the backup: fewer bytes than asked for only at its end.
    /// `NotFound` when no backup was begun on this link, or it has no such file.
    pub fn read(&mut self, file: u16, offset: u32, bytes: u32) -> Result<Vec<u8>, ClientError> {
        Ok(self.call(Read { file, offset, bytes })?.piece.to_owned())
    }

    fn open(&mut self, deadline: Instant) -> Result<(), ClientError> {
        if self.link.is_open() {
            return Ok(());
        }
        self.unawaited.clear();
        self.link.open(deadline)
    }

    fn send(&mut self, request: &Request<'_>, deadline: Instant) -> io::Result<()> {
        self.last_correlation += 1;
        let mut frame = Vec::new();
        request.encode(self.last_correlation, &mut frame);
        self.link.send(frame, deadline)
    }

    fn broken(&mut self, source: io::Error, waited: Duration) -> ClientError {
        self.link.close();
        match source.kind() {
            io::ErrorKind::TimedOut => ClientError::TimedOut { waited },
            io::ErrorKind::InvalidData => ClientError::NotTheProtocol { why: source.to_string() },
            _ => ClientError::Broken { source },
        }
    }

    /// Sends a request and waits for its answer, `wait` longer than a call may take anyway.
    fn exchange(&mut self, request: &Request<'_>, wait: Duration) -> Result<Frame, ClientError> {
        request.check().map_err(ClientError::Refused)?;
        let waited = self.timeout + wait;
        let deadline = Instant::now() + waited;
        self.open(deadline)?;
        let outcome = self.send(request, deadline).and_then(|()| self.receive(deadline));
        outcome.map_err(|source| self.broken(source, waited))
    }

    fn receive(&mut self, deadline: Instant) -> io::Result<Frame> {
        loop {
            let frame = self.link.receive(deadline)?;
            let Header { correlation, .. } = frame.header;
            if correlation == self.last_correlation || correlation == 0 {
                return Ok(frame);
            }
            let Some(place) = self.unawaited.iter().position(|unawaited| *unawaited == correlation) else {
                let text = format!("an answer to request {correlation} came for {}", self.last_correlation);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            };
            self.unawaited.remove(place);
        }
    }
}

fn decoded(frame: &Frame) -> Result<Reply<'_>, ClientError> {
    match Reply::decode(frame.header.kind, &frame.body) {
        Ok(Reply::Error(refusal)) if refusal.code != ErrorCode::Malformed => Err(ClientError::Refused(refusal)),
        Ok(Reply::Error(refusal)) | Err(refusal) => Err(ClientError::NotTheProtocol { why: refusal.text }),
        Ok(reply) => Ok(reply),
    }
}

fn statuses(reported: Reported<'_>) -> Vec<ItemStatus> {
    reported.items.iter().collect()
}

fn unexpected(reply: &Reply<'_>) -> ClientError {
    ClientError::NotTheProtocol { why: format!("a reply of another kind ({:#06x})", reply.kind()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Settings;

    #[test]
    fn a_client_that_was_stopped_takes_no_job() {
        let mut client = Client::new(TcpLink::new("127.0.0.1:1", "test", b""));
        let poll = |client: &mut Client| client.poll(&["q"], 1, Duration::ZERO, Duration::from_secs(1));
        assert!(matches!(poll(&mut client), Err(ClientError::Unreachable { .. })));
        client.stopper().stop();
        assert!(matches!(poll(&mut client), Err(ClientError::Stopped)));
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_before_anything_is_sent() {
        let mut client = Client::new(TcpLink::new("127.0.0.1:1", "test", b""));
        let settings = Settings { timeout_ms: 1, ..Settings::default() };
        let job = SubmitJob { queue: "q", settings, ..SubmitJob::default() };
        assert!(matches!(client.submit(&[job]), Err(ClientError::Refused(_))));
    }
}
