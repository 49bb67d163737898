//! Events: everything that changes a job, decided once by the master and written to the log.
//!
//! An event carries what was decided (ids, moments, the retry moment with its jitter already drawn),
//! so that replay needs no policy, no clock and no randomness. The names are those of `falcon-cli wal dump`.
//!
//! Bodies, little-endian; the last field takes the rest of the record:
//!
//! | kind | event | body |
//! | ---: | --- | --- |
//! | 1 | ENQUEUE | job u64, queue text8, key text8 (empty: none), priority u8, `max_attempts` u16, `due_at` u64 (0: at once), `timeout_ms` u32, payload |
//! | 2 | DISPATCH | job u64, `lease_ms` u32, attempt u16, worker text8 |
//! | 3 | ACK | job u64, lease u64, `key_until` u64 (0: no key), result |
//! | 4 | RETRY | job u64, lease u64, `retry_at` u64, error |
//! | 5 | TIMEOUT | job u64, lease u64, `retry_at` u64 |
//! | 6 | DEAD | job u64, lease u64, reason u8 (1 attempts used up, 2 failed for good, 3 last lease ran out), error |
//! | 7 | RELEASE | job u64, lease u64, `due_at` u64 (0: at once) |
//! | 13 | MOVE | job u64, payload |
//!
//! Kinds 8 to 12 are kept for CANCEL, REQUEUE, PURGE, PAUSE and RESUME.

use bytes::BufMut;

use crate::codec::{DecodeError, Fault, PutExt, Reader};
use crate::ids::{JobId, LeaseId};
use crate::time::Timestamp;

/// Something that happened to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A job was accepted.
    Enqueue(Enqueue<'a>),
    /// A job was handed to a worker's poll; its lease id is the LSN of this record.
    Dispatch {
        /// The job.
        job: JobId,
        /// Full length of the lease.
        lease_ms: u32,
        /// 1 for the first delivery.
        attempt: u16,
        /// Who the worker said it is.
        worker: &'a str,
    },
    /// The attempt did its work.
    Ack {
        /// The job.
        job: JobId,
        /// The lease under which it was run.
        lease: LeaseId,
        /// Its key is remembered until then; 0 if it has none.
        key_until: Timestamp,
        /// What came of it.
        result: &'a [u8],
    },
    /// The attempt failed; there will be another.
    Retry {
        /// The job.
        job: JobId,
        /// The lease under which it was run.
        lease: LeaseId,
        /// When it may be delivered again.
        retry_at: Timestamp,
        /// What went wrong.
        error: &'a str,
    },
    /// The lease ran out; there will be another attempt.
    Timeout {
        /// The job.
        job: JobId,
        /// The lease that ran out.
        lease: LeaseId,
        /// When it may be delivered again.
        retry_at: Timestamp,
    },
    /// There will be no further attempt.
    Dead {
        /// The job.
        job: JobId,
        /// The lease of the last attempt.
        lease: LeaseId,
        /// Why.
        reason: DeathReason,
        /// What went wrong last.
        error: &'a str,
    },
    /// The worker gave the job back; the attempt is not counted.
    Release {
        /// The job.
        job: JobId,
        /// The lease under which it was held.
        lease: LeaseId,
        /// When it may be delivered again; 0 for at once.
        due_at: Timestamp,
    },
    /// The job's payload lies in this record from now on; nothing else about it changed.
    Move {
        /// The job.
        job: JobId,
        /// Its payload, as it was.
        payload: &'a [u8],
    },
}

/// A job as it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enqueue<'a> {
    /// Its id.
    pub job: JobId,
    /// Its queue.
    pub queue: &'a str,
    /// Its key, or empty.
    pub key: &'a str,
    /// 0 is the most urgent.
    pub priority: u8,
    /// How many attempts it gets.
    pub max_attempts: u16,
    /// Not delivered before this; 0 for at once.
    pub due_at: Timestamp,
    /// An attempt may run this long; 0 for no bound.
    pub timeout_ms: u32,
    /// Opaque bytes.
    pub payload: &'a [u8],
}

/// Why a job is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeathReason {
    /// Its last attempt failed.
    Attempts,
    /// The worker said that further attempts are pointless.
    ForGood,
    /// The lease of its last attempt ran out.
    Lease,
}

impl DeathReason {
    /// The word for it in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DeathReason::Attempts => "attempts",
            DeathReason::ForGood => "for_good",
            DeathReason::Lease => "lease",
        }
    }

    fn code(self) -> u8 {
        match self {
            DeathReason::Attempts => 1,
            DeathReason::ForGood => 2,
            DeathReason::Lease => 3,
        }
    }
}

impl<'a> Event<'a> {
    /// The number of this event's kind in the log.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Event::Enqueue(_) => 1,
            Event::Dispatch { .. } => 2,
            Event::Ack { .. } => 3,
            Event::Retry { .. } => 4,
            Event::Timeout { .. } => 5,
            Event::Dead { .. } => 6,
            Event::Release { .. } => 7,
            Event::Move { .. } => 13,
        }
    }

    /// The name of this event's kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Event::Enqueue(_) => "ENQUEUE",
            Event::Dispatch { .. } => "DISPATCH",
            Event::Ack { .. } => "ACK",
            Event::Retry { .. } => "RETRY",
            Event::Timeout { .. } => "TIMEOUT",
            Event::Dead { .. } => "DEAD",
            Event::Release { .. } => "RELEASE",
            Event::Move { .. } => "MOVE",
        }
    }

    /// The job that it changes.
    #[must_use]
    pub fn job(&self) -> JobId {
        match *self {
            Event::Enqueue(Enqueue { job, .. })
            | Event::Dispatch { job, .. }
            | Event::Ack { job, .. }
            | Event::Retry { job, .. }
            | Event::Timeout { job, .. }
            | Event::Dead { job, .. }
            | Event::Release { job, .. }
            | Event::Move { job, .. } => job,
        }
    }

    /// The payload that its record holds, if it holds one.
    #[must_use]
    pub fn payload(&self) -> Option<&'a [u8]> {
        match *self {
            Event::Enqueue(Enqueue { payload, .. }) | Event::Move { payload, .. } => Some(payload),
            _ => None,
        }
    }

    /// Writes the body up to its last field, and returns that field's bytes: the log copies them
    /// straight to their place, so a payload is copied once.
    pub fn encode_head(&self, out: &mut Vec<u8>) -> &'a [u8] {
        out.put_u64_le(self.job().0);
        match *self {
            Event::Enqueue(job) => {
                out.put_text8(job.queue);
                out.put_text8(job.key);
                out.put_u8(job.priority);
                out.put_u16_le(job.max_attempts);
                out.put_u64_le(job.due_at.0);
                out.put_u32_le(job.timeout_ms);
                job.payload
            }
            Event::Dispatch { lease_ms, attempt, worker, .. } => {
                out.put_u32_le(lease_ms);
                out.put_u16_le(attempt);
                out.put_text8(worker);
                &[]
            }
            Event::Ack { lease, key_until, result, .. } => {
                out.put_u64_le(lease.0);
                out.put_u64_le(key_until.0);
                result
            }
            Event::Retry { lease, retry_at, error, .. } => {
                out.put_u64_le(lease.0);
                out.put_u64_le(retry_at.0);
                error.as_bytes()
            }
            Event::Timeout { lease, retry_at: at, .. } | Event::Release { lease, due_at: at, .. } => {
                out.put_u64_le(lease.0);
                out.put_u64_le(at.0);
                &[]
            }
            Event::Dead { lease, reason, error, .. } => {
                out.put_u64_le(lease.0);
                out.put_u8(reason.code());
                error.as_bytes()
            }
            Event::Move { payload, .. } => payload,
        }
    }

    /// Reads the body of a record of this kind.
    ///
    /// # Errors
    /// The field that was wrong; `kind` if there is no such event.
    pub fn decode(kind: u8, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let job = JobId(reader.u64("job")?);
        let lease = |reader: &mut Reader<'a>| reader.u64("lease").map(LeaseId);
        let moment = |reader: &mut Reader<'a>, field| reader.u64(field).map(Timestamp);
        let event = match kind {
            1 => Event::Enqueue(Enqueue {
                job,
                queue: reader.text8("queue")?,
                key: reader.text8("key")?,
                priority: reader.u8("priority")?,
                max_attempts: reader.u16("max_attempts")?,
                due_at: moment(&mut reader, "due_at")?,
                timeout_ms: reader.u32("timeout_ms")?,
                payload: reader.take_rest(),
            }),
            2 => Event::Dispatch {
                job,
                lease_ms: reader.u32("lease_ms")?,
                attempt: reader.u16("attempt")?,
                worker: reader.text8("worker")?,
            },
            3 => Event::Ack {
                job,
                lease: lease(&mut reader)?,
                key_until: moment(&mut reader, "key_until")?,
                result: reader.take_rest(),
            },
            4 => Event::Retry {
                job,
                lease: lease(&mut reader)?,
                retry_at: moment(&mut reader, "retry_at")?,
                error: rest_as_text(&mut reader)?,
            },
            5 => {
                Event::Timeout { job, lease: lease(&mut reader)?, retry_at: moment(&mut reader, "retry_at")? }
            }
            6 => Event::Dead {
                job,
                lease: lease(&mut reader)?,
                reason: decode_reason(&mut reader)?,
                error: rest_as_text(&mut reader)?,
            },
            7 => Event::Release { job, lease: lease(&mut reader)?, due_at: moment(&mut reader, "due_at")? },
            13 => Event::Move { job, payload: reader.take_rest() },
            _ => return Err(DecodeError { field: "kind", fault: Fault::Undefined }),
        };
        reader.finish()?;
        Ok(event)
    }
}

fn decode_reason(reader: &mut Reader<'_>) -> Result<DeathReason, DecodeError> {
    match reader.u8("reason")? {
        1 => Ok(DeathReason::Attempts),
        2 => Ok(DeathReason::ForGood),
        3 => Ok(DeathReason::Lease),
        _ => Err(DecodeError { field: "reason", fault: Fault::Undefined }),
    }
}

fn rest_as_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let count = reader.rest().len();
    reader.text("error", count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Event<'static>> {
        let (job, lease, at) = (JobId(7), LeaseId(9), Timestamp(11));
        vec![
            Event::Enqueue(Enqueue {
                job,
                queue: "mail",
                key: "k",
                priority: 3,
                max_attempts: 5,
                due_at: at,
                timeout_ms: 100,
                payload: b"payload",
            }),
            Event::Dispatch { job, lease_ms: 10_000, attempt: 2, worker: "w" },
            Event::Ack { job, lease, key_until: at, result: b"done" },
            Event::Retry { job, lease, retry_at: at, error: "no" },
            Event::Timeout { job, lease, retry_at: at },
            Event::Dead { job, lease, reason: DeathReason::ForGood, error: "never" },
            Event::Release { job, lease, due_at: at },
            Event::Move { job, payload: b"payload" },
        ]
    }

    #[test]
    fn every_event_comes_back_as_it_was_written() {
        for event in samples() {
            let mut body = Vec::new();
            let tail = event.encode_head(&mut body);
            body.extend_from_slice(tail);
            assert_eq!(Event::decode(event.kind(), &body), Ok(event));
        }
    }

    #[test]
    fn no_event_is_decoded_from_a_cut_head() {
        for event in samples() {
            let mut head = Vec::new();
            event.encode_head(&mut head);
            for length in 0..head.len() {
                assert!(Event::decode(event.kind(), &head[..length]).is_err(), "{event:?} at {length}");
            }
        }
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        assert_eq!(Event::decode(200, &[0; 64]).unwrap_err().field, "kind");
    }
}
