//! The one door: the only place where a job leaves `pending` for `in-flight`, and only to answer a poll that waits.

use bytes::BufMut;

use super::decisions::hold;
use super::dispatch::Dispatch;
use super::journal::Journal;
use super::outbox::Stream;
use super::parked::{Caller, JobsWish, Wish};
use super::sessions::Session;
use super::{Master, Timestamp};
use crate::ids::{LeaseId, QueueId, SessionId};
use crate::job::{BeforeList, HeadersText};
use crate::limits::{FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES, ITEMS_MAX, RECORD_OVERHEAD_BYTES_MAX};
use crate::planted::{Bug, is_planted};
use crate::protocol::{Call, Delivery, ErrorCode, List, Poll, PollOk, REPLY_BIT, Refusal, Reply, frame};
use crate::queue::JobView;
use crate::queue::events;
use crate::time::Millis;
use crate::wal::WalError;

/// A reply to a poll that is being written: a `PollOk`, job by job.
struct Writing {
    /// Where its frame begins in the stream.
    start: usize,
    count: u16,
    payload_bytes: u64,
    spliced_bytes: usize,
    /// Of the first job.
    first_lease: LeaseId,
}

impl Writing {
    fn begin(stream: &mut Stream, correlation: u64, first_lease: LeaseId) -> Writing {
        let start = frame::begin_frame(&mut stream.bytes, REPLY_BIT | Poll::KIND, correlation);
        stream.bytes.put_u16_le(0);
        Writing { start, count: 0, payload_bytes: 0, spliced_bytes: 0, first_lease }
    }

    /// Whether so many bytes of payload may be added.
    fn has_room(&self, payload_bytes: u32, payload_bytes_max: u32) -> bool {
        self.count == 0 || self.payload_bytes + u64::from(payload_bytes) <= u64::from(payload_bytes_max)
    }

    /// Writes a delivery; says whether it fitted.
    fn add(
        &mut self,
        stream: &mut Stream,
        delivery: &Delivery<'_>,
        job: &JobView<'_>,
        journal: &Journal,
    ) -> Result<bool, WalError> {
        let before = stream.bytes.len();
        delivery.write_up_to_payload(job.payload_bytes, &mut stream.bytes);
        let payload_bytes = job.payload_bytes as usize;
        // The extras of the whole reply come last.
        let body_bytes = stream.bytes.len() - self.start - FRAME_HEADER_BYTES + self.spliced_bytes + 1;
        if body_bytes + payload_bytes > FRAME_BODY_BYTES_MAX {
            stream.bytes.truncate(before);
            return Ok(false);
        }
        if let Some(payload) = journal.wal.fresh_payload(job.payload_at, job.payload_bytes) {
            stream.bytes.extend_from_slice(payload);
        } else if job.payload_bytes > 0 {
            stream.splice(journal.wal.payload(job.payload_at, job.payload_bytes)?);
            self.spliced_bytes += payload_bytes;
        }
        self.count += 1;
        self.payload_bytes += u64::from(job.payload_bytes);
        Ok(true)
    }

    fn finish(self, stream: &mut Stream) {
        stream.bytes.put_u8(0);
        let count_at = self.start + FRAME_HEADER_BYTES;
        stream.bytes[count_at..count_at + 2].copy_from_slice(&self.count.to_le_bytes());
        // Leases are the LSNs of their DISPATCHes, which were written one after the other.
        let first = self.first_lease.0;
        (first..first + u64::from(self.count)).for_each(|lease| stream.tells(LeaseId(lease)));
        frame::finish_frame(&mut stream.bytes, self.start, self.spliced_bytes);
    }
}

impl Master {
    /// Hands jobs to waiting polls until no queue has both.
    pub(super) fn serve_polls(&mut self, now: Timestamp) -> Result<(), WalError> {
        self.line_up_aside();
        let mut named = std::mem::take(&mut self.named);
        while let Some(number) = self.dispatch.next(&mut self.journal.queues, &self.parked) {
            if self.sets_aside(number) {
                continue;
            }
            let (caller, wish) = self.parked.take(number, &mut named);
            if let Some(session) = self.sessions.session_mut(caller.session) {
                session.parked.retain(|parked| *parked != number);
            }
            if let Wish::Jobs(wish) = wish {
                self.deliver(&caller, &wish, &named, now)?;
            }
            self.drop_unpolled(&named);
        }
        self.named = named;
        Ok(())
    }

    /// Sets a poll aside whose connection does not read what it was handed before; says whether it did.
    fn sets_aside(&mut self, number: u32) -> bool {
        let session = self.sessions.session_mut(self.parked.caller(number).session);
        let Some(session) = session.filter(|session| session.is_full() && !is_planted(Bug::PouredOut)) else {
            return false;
        };
        if !self.dispatch.aside.contains(&session.id()) {
            self.dispatch.aside.push(session.id());
        }
        self.parked.set_aside(number);
        true
    }

    /// Whether a session has read enough that its polls may be handed jobs again.
    pub(super) fn has_read(&self) -> bool {
        let is_full = |id: &SessionId| self.sessions.session(*id).is_some_and(Session::is_full);
        !self.dispatch.aside.iter().all(is_full)
    }

    /// Lines up again the polls of sessions that have read what they were handed.
    fn line_up_aside(&mut self) {
        let mut aside = std::mem::take(&mut self.dispatch.aside);
        aside.retain(|id| {
            let Some(session) = self.sessions.session(*id) else { return false };
            if session.is_full() {
                return true;
            }
            for number in &session.parked {
                self.named.clear();
                self.parked.line_up_again(*number, &mut self.named);
                self.dispatch.parked(&self.named);
            }
            false
        });
        self.dispatch.aside = aside;
    }

    /// Writes the DISPATCH of a job that the reply tells of, and holds the job for the session.
    fn record_delivery(
        &mut self,
        (session, says_begun): (SessionId, bool),
        event: events::Dispatch<'_>,
        lease: LeaseId,
        now: Timestamp,
    ) -> Result<(), WalError> {
        let job = event.job;
        self.journal.begin_group(RECORD_OVERHEAD_BYTES_MAX)?;
        self.journal.record(now, &event.into(), false)?;
        self.journal.queues.hold_newest(session, says_begun);
        hold(&self.journal, &mut self.sessions, session, job, lease);
        Ok(())
    }

    /// Answers a poll with jobs of these queues, each by a DISPATCH.
    fn deliver(&mut self, caller: &Caller, wish: &JobsWish, named: &[QueueId], now: Timestamp) -> Result<(), WalError> {
        let Some(session) = self.sessions.session_mut(caller.session) else { return Ok(()) };
        // Lent to the records; an error is the log's last.
        let worker = std::mem::take(&mut session.name);
        let holder = (caller.session, session.says_begun);
        // Every reply here tells of a DISPATCH that is about to be written.
        let held = self.journal.will_gate();
        let Some(stream) = self.sessions.stream(caller.session, held) else { return Ok(()) };
        let mut headers = Vec::new();
        let mut writing = Writing::begin(stream, caller.correlation, LeaseId(self.journal.wal.next_lsn().0));
        let jobs_max = (wish.free + wish.extra).min(ITEMS_MAX as u16);
        while writing.count < jobs_max
            && let begins = writing.count < wish.free
            && let Some(job) = Dispatch::pick(&self.journal.queues, &self.parked, named, begins)
            && writing.has_room(job.payload_bytes, wish.payload_bytes_max)
            && let Some(stream) = self.sessions.stream(caller.session, held)
        {
            let lease = LeaseId(self.journal.wal.next_lsn().0);
            let delivery = delivery(&job, lease, wish.lease_ms, now.since(caller.since));
            let delivery = Delivery { headers: headers_of(&job, &self.journal, &mut headers), ..delivery };
            if !writing.add(stream, &delivery, &job, &self.journal)? {
                break;
            }
            let event =
                events::Dispatch { job: job.id, attempt: delivery.attempt, lease_ms: wish.lease_ms, worker: &worker };
            self.record_delivery(holder, event, lease, now)?;
        }
        if let Some(stream) = self.sessions.stream(caller.session, held) {
            writing.finish(stream);
        }
        if let Some(session) = self.sessions.session_mut(caller.session) {
            session.name = worker;
        }
        let gate = held.then(|| self.journal.wal.last_lsn());
        self.sessions.close_gate(gate, caller.session);
        Ok(())
    }

    /// Ends the wait of a parked request without what it waited for.
    pub(super) fn answer_empty(&mut self, number: u32) {
        if self.parked.is_wait(number) {
            return self.answer_wait(number);
        }
        if self.parked.is_scan(number) {
            return self.end_scan(number);
        }
        let (caller, wish) = self.unpark(number);
        let reply = match wish {
            Wish::Scan | Wish::Ends | Wish::Idle => unreachable!("they were answered"),
            Wish::Jobs(_) => Reply::PollOk(PollOk::default()),
            Wish::Snapshot(_) => {
                Reply::Error(Refusal::new(ErrorCode::Unavailable, "no snapshot was made in time; try again later"))
            }
            Wish::Reading => {
                Reply::Error(Refusal::new(ErrorCode::Unavailable, "the log was not read in time; try again later"))
            }
        };
        self.sessions.write(caller.session, caller.correlation, None, &reply);
    }

    /// Takes a request out of all lines; a queue that nobody uses any more is let go.
    pub(super) fn unpark(&mut self, number: u32) -> (Caller, Wish) {
        let mut named = std::mem::take(&mut self.named);
        let (caller, wish) = self.parked.take(number, &mut named);
        self.drop_unpolled(&named);
        self.named = named;
        if wish == Wish::Scan {
            self.scans.forget(number);
        }
        if matches!(wish, Wish::Reading | Wish::Scan) {
            self.reading.forget(caller.session, number);
        }
        if let Some(session) = self.sessions.session_mut(caller.session) {
            session.parked.retain(|parked| *parked != number);
        }
        (caller, wish)
    }

    /// Lets those of these queues go that were only polled, and are no more.
    pub(super) fn drop_unpolled(&mut self, named: &[QueueId]) {
        for queue in named {
            self.journal.queues.note_polled(*queue);
            if !self.parked.is_polled(*queue) {
                self.journal.queues.unpolled(*queue);
            }
        }
    }
}

/// The headers of a job, read into `headers`, if it has any. They are an extra: where they cannot be read the job goes
/// without them, and the log says so.
fn headers_of<'h>(job: &JobView<'_>, journal: &Journal, headers: &'h mut Vec<u8>) -> Option<HeadersText<'h>> {
    let (at, bytes) = job.headers?;
    headers.clear();
    if let Some(fresh) = journal.wal.fresh_payload(at, bytes) {
        headers.extend_from_slice(fresh);
    } else if let Err(error) = journal.read(at, bytes, headers) {
        log::warn!("job {}: delivered without its headers: {error}", job.id);
        return None;
    }
    Some(HeadersText(headers))
}

fn delivery<'j>(job: &JobView<'j>, lease: LeaseId, lease_ms: u32, waited: Millis) -> Delivery<'j> {
    Delivery {
        job: job.id,
        lease,
        queue: job.queue,
        key: job.key,
        settings: job.settings,
        attempt: job.attempts + 1,
        lease_ms,
        waited_ms: u32::try_from(waited.0).unwrap_or(u32::MAX),
        headers: None,
        group: Some(job.group).filter(|group| !group.is_empty()),
        results_of: job.results_of.map(|before| BeforeList(List::lent(before))),
        payload: &[],
    }
}
