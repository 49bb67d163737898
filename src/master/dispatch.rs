//! The one door: the only place where a job leaves `pending` for `in-flight`, and only to answer a poll that waits.

use super::Master;
use super::waiters::Waiter;
use crate::ids::{JobId, LeaseId, QueueId, SessionId};
use crate::limits::{FRAME_BODY_BYTES_MAX, RECORD_OVERHEAD_BYTES_MAX};
use crate::protocol::{Delivery, List, REPLY_BIT, Reply, frame, kind};
use crate::queue::Event;
use crate::time::Timestamp;
use crate::wal::WalError;

/// A reply to a poll that is being written.
struct Writing {
    /// Where its frame begins in the stream.
    start: usize,
    count: u16,
    spliced_bytes: usize,
    body_bytes: usize,
}

impl Master {
    /// Hands jobs to waiting polls until no queue has both.
    pub(super) fn serve_polls(&mut self, now: Timestamp) -> Result<(), WalError> {
        while let Some(queue) = self.to_serve.pop().or_else(|| self.queues.take_woken()) {
            while self.queues.has_pending(queue)
                && let Some(number) = self.waiters.first(queue)
            {
                let mut queues = std::mem::take(&mut self.scratch.queues);
                let waiter = self.waiters.take(number, &mut queues);
                let outcome = self.dispatch(number, &waiter, &queues, now);
                queues.drain(..).for_each(|queue| self.forget_if_idle(queue));
                self.scratch.queues = queues;
                outcome?;
            }
        }
        Ok(())
    }

    /// Answers a poll with jobs of its queues, the preferred one first, each by a DISPATCH.
    fn dispatch(
        &mut self,
        number: u32,
        waiter: &Waiter,
        queues: &[QueueId],
        now: Timestamp,
    ) -> Result<(), WalError> {
        let Some(session) = self.sessions.session_mut(waiter.session) else { return Ok(()) };
        session.polls.retain(|poll| *poll != number);
        // Lent to the records; an error is the log's last.
        let worker = std::mem::take(&mut session.name);
        // Every reply here tells of a DISPATCH that is about to be written, so there is always something to wait for.
        let held = self.config.sync == super::SyncMode::Always;
        let bytes = &mut session.outbox.stream(held).bytes;
        let start = frame::begin_frame(bytes, REPLY_BIT | kind::POLL, waiter.correlation);
        bytes.extend_from_slice(&[0, 0]);
        let mut writing = Writing { start, count: 0, spliced_bytes: 0, body_bytes: 2 };
        for queue in queues {
            while writing.count < waiter.jobs_max
                && let Some((job, attempt)) = self.deliver(*queue, waiter, held, &mut writing)?
            {
                let event = Event::Dispatch { job, lease_ms: waiter.lease_ms, attempt, worker: &worker };
                self.wal.begin_group(RECORD_OVERHEAD_BYTES_MAX)?;
                let lsn = self.record(now, &event, false)?;
                self.hold(waiter.session, job, LeaseId(lsn.0));
            }
        }
        if let Some(session) = self.sessions.session_mut(waiter.session) {
            session.name = worker;
            let bytes = &mut session.outbox.stream(held).bytes;
            let count_at = writing.start + crate::limits::FRAME_HEADER_BYTES;
            bytes[count_at..count_at + 2].copy_from_slice(&writing.count.to_le_bytes());
            frame::finish_frame(bytes, writing.start, writing.spliced_bytes);
        }
        let gate = held.then(|| self.wal.last_lsn());
        self.close_gate(gate, waiter.session);
        Ok(())
    }

    /// Writes the job at the front of a queue into a reply, if there is one and it fits; says which job and which attempt
    /// of it. Its DISPATCH has to be the next record.
    fn deliver(
        &mut self,
        queue: QueueId,
        waiter: &Waiter,
        held: bool,
        writing: &mut Writing,
    ) -> Result<Option<(JobId, u16)>, WalError> {
        let Some(job) = self.queues.front(queue) else { return Ok(None) };
        let payload_bytes = job.payload_bytes as usize;
        let delivery_bytes = Delivery::encoded_bytes(job.queue, job.key, payload_bytes);
        if writing.body_bytes + delivery_bytes > FRAME_BODY_BYTES_MAX {
            return Ok(None);
        }
        let Some(session) = self.sessions.session_mut(waiter.session) else { return Ok(None) };
        let stream = session.outbox.stream(held);
        let attempt = job.attempts + 1;
        let delivery = Delivery {
            job: job.id,
            lease: LeaseId(self.wal.next_lsn().0),
            queue: job.queue,
            key: job.key,
            priority: job.priority,
            attempt,
            max_attempts: job.max_attempts,
            timeout_ms: u64::from(job.timeout_ms),
            lease_ms: waiter.lease_ms,
            payload: &[],
        };
        delivery.encode_head(job.payload_bytes, &mut stream.bytes);
        if let Some(payload) = self.wal.fresh_payload(job.payload_at, job.payload_bytes) {
            stream.bytes.extend_from_slice(payload);
        } else if job.payload_bytes > 0 {
            stream.splice(self.wal.payload(job.payload_at, job.payload_bytes)?);
            writing.spliced_bytes += payload_bytes;
        }
        writing.count += 1;
        writing.body_bytes += delivery_bytes;
        Ok(Some((job.id, attempt)))
    }

    /// Answers a waiting poll without a job.
    pub(super) fn answer_empty(&mut self, number: u32) {
        let waiter = self.take_waiter(number);
        self.forget_poll(waiter.session, number);
        self.reply_at_once(waiter.session, waiter.correlation, &Reply::PollOk(List::lent(&[])));
    }

    fn forget_poll(&mut self, id: SessionId, number: u32) {
        if let Some(session) = self.sessions.session_mut(id) {
            session.polls.retain(|poll| *poll != number);
        }
    }
}
