//! From requests to events and replies: what the master decides about each request.

use std::collections::HashMap;

use super::backoff::backoff;
use super::waiters::Waiter;
use super::{Master, SOFTWARE};
use crate::ids::{JobId, LeaseId, SessionId};
use crate::limits::{
    ATTEMPTS_DEFAULT, FRAME_BODY_BYTES_MAX, ITEMS_MAX, PAYLOAD_BYTES_MAX, QUEUES_MAX,
    RECORD_OVERHEAD_BYTES_MAX,
};
use crate::planted::{Bug, is_planted};
use crate::protocol::list::Item;
use crate::protocol::{
    AckItem, ErrorCode, FailItem, Header, HeldLease, Hello, HelloOk, ItemStatus, LeaseStatus, List, Poll,
    Refusal, ReleaseItem, Reply, Request, SubmitJob, Submitted, VERSION, kind,
};
use crate::queue::LeaseView;
use crate::queue::{DeathReason, Enqueue, Event};
use crate::time::{Millis, Timestamp};
use crate::wal::WalError;

/// A request may be refused, which is an answer; or the log fails, which is the end.
pub(super) enum Stop {
    Refused(Refusal),
    Fatal(WalError),
}

impl From<WalError> for Stop {
    fn from(error: WalError) -> Self {
        Stop::Fatal(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(refusal)
    }
}

impl Master {
    /// Takes one frame of a session.
    ///
    /// # Errors
    /// When the log takes no more records.
    pub fn receive(
        &mut self,
        id: SessionId,
        header: &Header,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), WalError> {
        let Some(session) = self.sessions.session(id) else { return Ok(()) };
        if session.closing {
            return Ok(());
        }
        let greeted = session.greeted;
        match self.decide(id, greeted, header, body, now) {
            Ok(()) => Ok(()),
            Err(Stop::Refused(refusal)) => {
                log::debug!("session {id}: refused: {refusal}");
                self.refuse(id, header.correlation, refusal);
                Ok(())
            }
            Err(Stop::Fatal(error)) => Err(error),
        }
    }

    fn decide(
        &mut self,
        id: SessionId,
        greeted: bool,
        header: &Header,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Stop> {
        if !greeted && header.kind != kind::HELLO {
            let text = "the first request has to be Hello";
            return Err(Refusal::new(ErrorCode::HelloNeeded, text).into());
        }
        let request = Request::decode_checked(header.kind, body)?;
        if let Request::Hello(hello) = request {
            return self.hello(id, greeted, header.correlation, &hello);
        }
        let correlation = header.correlation;
        match request {
            Request::Hello(_) => Ok(()),
            Request::Submit(jobs) => self.submit(id, correlation, jobs, now),
            Request::Poll(poll) => self.poll(id, correlation, &poll, now),
            Request::Ack(items) => self.report(id, correlation, items, now),
            Request::Fail(items) => self.report(id, correlation, items, now),
            Request::Release(items) => self.report(id, correlation, items, now),
            Request::Heartbeat(leases) => {
                self.heartbeat(id, correlation, leases, now);
                Ok(())
            }
            Request::Stats => {
                self.stats(id, correlation, now);
                Ok(())
            }
            Request::Snapshot => {
                self.snapshot_asked(id, correlation);
                Ok(())
            }
            Request::Backup => self.begin_backup(id, correlation, now),
            Request::Read(read) => self.read_file(id, correlation, read, now),
        }
    }

    fn hello(
        &mut self,
        id: SessionId,
        greeted: bool,
        correlation: u64,
        hello: &Hello<'_>,
    ) -> Result<(), Stop> {
        if greeted {
            return Err(Refusal::new(ErrorCode::Malformed, "malformed frame: a second Hello").into());
        }
        if hello.version != VERSION {
            let text = format!(
                "this master speaks version {VERSION} of the protocol, the client version {}",
                hello.version
            );
            return Err(Refusal::new(ErrorCode::VersionMismatch, text).into());
        }
        if let Some(token) = &self.config.token
            && !equal_in_constant_time(token, hello.token)
        {
            let text = if hello.token.is_empty() {
                "this master wants a token; name its file with --token-file"
            } else {
                "the token is not the one of this master"
            };
            log::warn!("session {id}: {text}");
            return Err(Refusal::new(ErrorCode::Unauthorized, text).into());
        }
        Request::Hello(*hello).check()?;
        if let Some(session) = self.sessions.session_mut(id) {
            session.greeted = true;
            session.name = hello.name.into();
        }
        log::debug!("session {id} is {:?}", hello.name);
        let reply = Reply::HelloOk(HelloOk {
            version: VERSION,
            session: id,
            software: SOFTWARE,
            body_bytes_max: FRAME_BODY_BYTES_MAX as u32,
            payload_bytes_max: PAYLOAD_BYTES_MAX as u32,
            items_max: ITEMS_MAX as u16,
        });
        self.reply_at_once(id, correlation, &reply);
        Ok(())
    }

    fn submit(
        &mut self,
        id: SessionId,
        correlation: u64,
        jobs: List<'_, SubmitJob<'_>>,
        now: Timestamp,
    ) -> Result<(), Stop> {
        if self.stopping {
            return Err(
                Refusal::new(ErrorCode::ShuttingDown, "the master is stopping; try again soon").into()
            );
        }
        let mut submitted = std::mem::take(&mut self.scratch.submitted);
        submitted.clear();
        let outcome = self.plan_submit(jobs, &mut submitted, now);
        let outcome = outcome.and_then(|new| self.carry_out_submit(jobs, &submitted, new, now));
        if outcome.is_ok() {
            self.reply(id, correlation, &Reply::SubmitOk(List::lent(&submitted)));
        } else {
            self.forget_queues(jobs.iter().map(|job| job.queue));
        }
        self.scratch.submitted = submitted;
        outcome
    }

    /// Forgets those of these queues that nobody uses after all.
    fn forget_queues<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            if let Some(queue) = self.queues.queue(name) {
                self.forget_if_idle(queue);
            }
        }
    }

    /// Decides which jobs are new and which ids they get, and whether there is room; nothing durable changes.
    /// Returns how many are new.
    fn plan_submit(
        &mut self,
        jobs: List<'_, SubmitJob<'_>>,
        submitted: &mut Vec<Submitted>,
        now: Timestamp,
    ) -> Result<usize, Stop> {
        let mut keys_here: HashMap<&str, JobId> = HashMap::new();
        let mut next_job = self.queues.next_job();
        let mut group_bytes = 0;
        let mut new = 0;
        for job in jobs.iter() {
            let known = match job.key {
                "" => None,
                key => self.queues.job_of_key(key).or_else(|| keys_here.get(key).copied()),
            };
            if let Some(job) = known {
                submitted.push(Submitted { job, duplicate: true });
                continue;
            }
            if self.queues.queue_made(job.queue).is_err() {
                let text =
                    format!("there are {QUEUES_MAX} queues already; queue {:?} would be one more", job.queue);
                return Err(Refusal::new(ErrorCode::TooManyQueues, text).into());
            }
            if !job.key.is_empty() && jobs.len() > 1 {
                keys_here.insert(job.key, next_job);
            }
            submitted.push(Submitted { job: next_job, duplicate: false });
            next_job = JobId(next_job.0 + 1);
            group_bytes += RECORD_OVERHEAD_BYTES_MAX + job.queue.len() + job.key.len() + job.payload.len();
            new += 1;
        }
        if new == 0 {
            return Ok(0);
        }
        if !self.has_room(group_bytes, new, now)? {
            let text = "no room for more jobs: no log segment can be made; polls and acks go on";
            return Err(Refusal::new(ErrorCode::StorageFull, text).into());
        }
        self.wal.begin_group(group_bytes)?;
        Ok(new)
    }

    fn carry_out_submit(
        &mut self,
        jobs: List<'_, SubmitJob<'_>>,
        submitted: &[Submitted],
        mut new: usize,
        now: Timestamp,
    ) -> Result<(), Stop> {
        for (job, outcome) in jobs.iter().zip(submitted) {
            if outcome.duplicate {
                continue;
            }
            new -= 1;
            let due_at = match job.delay_ms {
                0 => Timestamp(0),
                delay_ms => now.plus(Millis(delay_ms)),
            };
            let event = Event::Enqueue(Enqueue {
                job: outcome.job,
                queue: job.queue,
                key: job.key,
                priority: job.priority,
                max_attempts: if job.max_attempts == 0 { ATTEMPTS_DEFAULT } else { job.max_attempts },
                due_at,
                timeout_ms: u32::try_from(job.timeout_ms).expect("checked against its bound"),
                payload: job.payload,
            });
            self.record(now, &event, new > 0)?;
        }
        Ok(())
    }

    /// Parks a poll. It is answered at the end of the turn at the earliest, so that polls which came before it
    /// are answered before it.
    fn poll(&mut self, id: SessionId, correlation: u64, poll: &Poll<'_>, now: Timestamp) -> Result<(), Stop> {
        if self.stopping {
            return Err(
                Refusal::new(ErrorCode::ShuttingDown, "the master is stopping; try again soon").into()
            );
        }
        let mut queues = std::mem::take(&mut self.scratch.queues);
        queues.clear();
        for name in poll.queues.iter() {
            if let Ok(queue) = self.queues.queue_made(name) {
                queues.push(queue);
            } else {
                self.forget_queues(poll.queues.iter());
                let text = format!("there are {QUEUES_MAX} queues already; queue {name:?} would be one more");
                return Err(Refusal::new(ErrorCode::TooManyQueues, text).into());
            }
        }
        let waiter = Waiter {
            session: id,
            correlation,
            jobs_max: poll.jobs_max,
            lease_ms: poll.lease_ms,
            deadline: now.plus(Millis(u64::from(poll.wait_ms))),
        };
        let number = self.waiters.park(waiter, &queues);
        self.to_serve.extend_from_slice(&queues);
        self.scratch.queues = queues;
        if let Some(session) = self.sessions.session_mut(id) {
            session.polls.push(number);
        }
        Ok(())
    }

    /// Takes an Ack, Fail or Release: each item whose lease is live is done, the others are refused one by one.
    fn report<'a, T: Report<'a>>(
        &mut self,
        id: SessionId,
        correlation: u64,
        items: List<'a, T>,
        now: Timestamp,
    ) -> Result<(), Stop> {
        // Room is taken for what will be written, not for what was claimed.
        let live = items.iter().filter(|item| self.is_live(item.held()));
        let (count, text_bytes) =
            live.fold((0, 0), |(count, bytes), item| (count + 1, bytes + item.text_bytes()));
        let group_bytes = count * RECORD_OVERHEAD_BYTES_MAX + text_bytes;
        // For an end without words there is always room: it was kept when the job was accepted.
        let is_kept = T::ENDS && text_bytes == 0;
        if count > 0 && !is_kept && !self.has_room(group_bytes, if T::ENDS { 0 } else { count }, now)? {
            let text =
                "no room in the log for this report: no log segment can be made; acks without results go on";
            return Err(Refusal::new(ErrorCode::StorageFull, text).into());
        }
        self.wal.begin_group(group_bytes)?;
        let mut statuses = std::mem::take(&mut self.scratch.statuses);
        statuses.clear();
        // Each event is written when the next one is known, so that the last is marked as the group's end.
        let mut waiting: Option<Event<'a>> = None;
        for item in items.iter() {
            let HeldLease { job, lease } = item.held();
            let twice = waiting.is_some_and(|event| event.job() == job);
            let live = self
                .queues
                .live_lease(job)
                .filter(|live| (live.id == lease || is_planted(Bug::NoFence)) && !twice);
            let refused = if live.is_none() { Some(ErrorCode::LeaseLost) } else { None };
            statuses.push(ItemStatus { job, refused });
            let Some(live) = live else { continue };
            let event = item.decide(self, &live, now);
            if let Some(before) = waiting.replace(event) {
                self.record(now, &before, true)?;
            }
        }
        if let Some(last) = waiting {
            self.record(now, &last, false)?;
        }
        self.reply(id, correlation, &T::reply(List::lent(&statuses)));
        self.scratch.statuses = statuses;
        Ok(())
    }

    fn is_live(&self, held: HeldLease) -> bool {
        self.queues.live_lease(held.job).is_some_and(|live| live.id == held.lease)
    }

    fn heartbeat(&mut self, id: SessionId, correlation: u64, leases: List<'_, HeldLease>, now: Timestamp) {
        let mut statuses = std::mem::take(&mut self.scratch.held);
        statuses.clear();
        let mut lost = false;
        for HeldLease { job, lease } in leases.iter() {
            let held_before = self.queues.live_lease(job).is_some_and(|live| live.holder == id);
            let remaining = self.queues.extend(job, lease, id, now);
            if remaining.is_some() && !held_before {
                self.hold(id, job, lease);
            }
            lost |= remaining.is_none();
            let remaining_ms = remaining.map_or(0, |rest| u32::try_from(rest.0).unwrap_or(u32::MAX));
            statuses.push(LeaseStatus { job, stop: remaining.is_none(), remaining_ms });
        }
        let reply = Reply::HeartbeatOk(List::lent(&statuses));
        // That a lease is lost is told of the state; that one was extended is not in the log at all.
        if lost {
            self.reply(id, correlation, &reply);
        } else {
            self.reply_at_once(id, correlation, &reply);
        }
        self.scratch.held = statuses;
    }
}

/// An item of an Ack, Fail or Release.
trait Report<'a>: Item<'a> {
    /// Whether it always ends its job.
    const ENDS: bool;
    /// The job and lease that it names.
    fn held(&self) -> HeldLease;
    /// Bytes of its text, which go into the log.
    fn text_bytes(&self) -> usize;
    /// The event that it becomes, given its live lease.
    fn decide(&self, master: &mut Master, live: &LeaseView, now: Timestamp) -> Event<'a>;
    /// The reply that carries what became of the items.
    fn reply(statuses: List<'_, ItemStatus>) -> Reply<'_>;
}

impl<'a> Report<'a> for AckItem<'a> {
    const ENDS: bool = true;

    fn held(&self) -> HeldLease {
        HeldLease { job: self.job, lease: self.lease }
    }

    fn text_bytes(&self) -> usize {
        self.result.len()
    }

    fn decide(&self, master: &mut Master, live: &LeaseView, now: Timestamp) -> Event<'a> {
        let key_until = if live.has_key { now.plus(master.config.key_window) } else { Timestamp(0) };
        Event::Ack { job: self.job, lease: self.lease, key_until, result: self.result }
    }

    fn reply(statuses: List<'_, ItemStatus>) -> Reply<'_> {
        Reply::AckOk(statuses)
    }
}

impl<'a> Report<'a> for FailItem<'a> {
    const ENDS: bool = false;

    fn held(&self) -> HeldLease {
        HeldLease { job: self.job, lease: self.lease }
    }

    fn text_bytes(&self) -> usize {
        self.error.len()
    }

    fn decide(&self, master: &mut Master, live: &LeaseView, now: Timestamp) -> Event<'a> {
        let FailItem { job, lease, for_good, error } = *self;
        if for_good {
            return Event::Dead { job, lease, reason: DeathReason::ForGood, error };
        }
        if live.attempts >= live.max_attempts {
            return Event::Dead { job, lease, reason: DeathReason::Attempts, error };
        }
        let retry_at = now.plus(backoff(live.attempts, &mut master.random));
        Event::Retry { job, lease, retry_at, error }
    }

    fn reply(statuses: List<'_, ItemStatus>) -> Reply<'_> {
        Reply::FailOk(statuses)
    }
}

impl<'a> Report<'a> for ReleaseItem {
    const ENDS: bool = false;

    fn held(&self) -> HeldLease {
        HeldLease { job: self.job, lease: self.lease }
    }

    fn text_bytes(&self) -> usize {
        0
    }

    fn decide(&self, _master: &mut Master, _live: &LeaseView, now: Timestamp) -> Event<'a> {
        let due_at = match self.delay_ms {
            0 => Timestamp(0),
            delay_ms => now.plus(Millis(delay_ms)),
        };
        Event::Release { job: self.job, lease: LeaseId(self.lease.0), due_at }
    }

    fn reply(statuses: List<'_, ItemStatus>) -> Reply<'_> {
        Reply::ReleaseOk(statuses)
    }
}

/// Compares in a time that does not depend on where the first difference is.
fn equal_in_constant_time(ours: &[u8], theirs: &[u8]) -> bool {
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}
