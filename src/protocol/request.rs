//! What a client asks. Decoding yields values that borrow from the frame; `check` holds them against
//! the bounds, so that the master decides only about values that are possible.

use std::fmt;

use bytes::BufMut;

use super::list::{Item, List};
use super::{ErrorCode, MAGIC, Refusal, frame, kind};
use crate::codec::{DecodeError, Fault, PutExt, Reader};
use crate::ids::{JobId, LeaseId, check_client_name, check_key, check_queue_name};
use crate::limits::{
    ATTEMPTS_MAX, DELAY_MS_MAX, ERROR_TEXT_BYTES_MAX, ITEMS_MAX, LEASE_MS_MAX, LEASE_MS_MIN,
    PAYLOAD_BYTES_MAX, POLL_QUEUES_MAX, READ_BYTES_MAX, RESULT_BYTES_MAX, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN,
    TOKEN_BYTES_MAX, WAIT_MS_MAX,
};

/// A request of a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request<'a> {
    /// The first exchange.
    Hello(Hello<'a>),
    /// Hands jobs in, all or none.
    Submit(List<'a, SubmitJob<'a>>),
    /// Asks for jobs.
    Poll(Poll<'a>),
    /// Reports attempts that did their work.
    Ack(List<'a, AckItem<'a>>),
    /// Reports attempts that did not.
    Fail(List<'a, FailItem<'a>>),
    /// Gives jobs back unharmed.
    Release(List<'a, ReleaseItem>),
    /// Extends leases.
    Heartbeat(List<'a, HeldLease>),
    /// Asks for figures.
    Stats,
    /// Asks for a snapshot of the state, to be on disk.
    Snapshot,
    /// Begins a backup: which files make up the log.
    Backup,
    /// Reads a piece of a file of the backup.
    Read(ReadFile),
}

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// Version of the protocol.
    pub version: u16,
    /// Who this is.
    pub name: &'a str,
    /// The token, or nothing.
    pub token: &'a [u8],
}

/// A job to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmitJob<'a> {
    /// Its queue.
    pub queue: &'a str,
    /// Its key, or empty.
    pub key: &'a str,
    /// 0 is the most urgent.
    pub priority: u8,
    /// 0 for the master's default.
    pub max_attempts: u16,
    /// Not delivered before this has passed.
    pub delay_ms: u64,
    /// An attempt may run this long; 0 for no bound.
    pub timeout_ms: u64,
    /// Opaque bytes.
    pub payload: &'a [u8],
}

/// A request for jobs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Poll<'a> {
    /// Queues, the preferred one first.
    pub queues: List<'a, &'a str>,
    /// At most this many jobs.
    pub jobs_max: u16,
    /// How long to wait for the first.
    pub wait_ms: u32,
    /// Length of each job's lease.
    pub lease_ms: u32,
}

/// An attempt that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckItem<'a> {
    /// The job.
    pub job: JobId,
    /// The lease under which it was run.
    pub lease: LeaseId,
    /// What came of it.
    pub result: &'a [u8],
}

/// An attempt that did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailItem<'a> {
    /// The job.
    pub job: JobId,
    /// The lease under which it was run.
    pub lease: LeaseId,
    /// Whether further attempts are pointless.
    pub for_good: bool,
    /// What went wrong.
    pub error: &'a str,
}

/// A job given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseItem {
    /// The job.
    pub job: JobId,
    /// The lease under which it was held.
    pub lease: LeaseId,
    /// Not delivered again before this has passed.
    pub delay_ms: u64,
}

/// A lease that a worker still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLease {
    /// The job.
    pub job: JobId,
    /// Its lease.
    pub lease: LeaseId,
}

/// A piece of a file of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadFile {
    /// The file's number in the list, from 0.
    pub file: u16,
    /// Where the piece begins.
    pub offset: u32,
    /// How long it is at most.
    pub bytes: u32,
}

impl ReadFile {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(ReadFile { file: reader.u16("file")?, offset: reader.u32("offset")?, bytes: reader.u32("bytes")? })
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.put_u16_le(self.file);
        out.put_u32_le(self.offset);
        out.put_u32_le(self.bytes);
    }
}

impl<'a> Request<'a> {
    /// The kind of the frame that carries this request.
    #[must_use]
    pub fn kind(&self) -> u16 {
        match self {
            Request::Hello(_) => kind::HELLO,
            Request::Submit(_) => kind::SUBMIT,
            Request::Poll(_) => kind::POLL,
            Request::Ack(_) => kind::ACK,
            Request::Fail(_) => kind::FAIL,
            Request::Release(_) => kind::RELEASE,
            Request::Heartbeat(_) => kind::HEARTBEAT,
            Request::Stats => kind::STATS,
            Request::Snapshot => kind::SNAPSHOT,
            Request::Backup => kind::BACKUP,
            Request::Read(_) => kind::READ,
        }
    }

    /// Reads the body of a frame of this kind.
    ///
    /// # Errors
    /// `UnknownRequest` for another kind, `Malformed` for a body that is not of this kind.
    pub fn decode(frame_kind: u16, body: &'a [u8]) -> Result<Self, Refusal> {
        let mut reader = Reader::new(body);
        let request = match frame_kind {
            kind::HELLO => Request::Hello(Hello::decode(&mut reader)?),
            kind::SUBMIT => Request::Submit(List::decode16(&mut reader, "jobs")?),
            kind::POLL => Request::Poll(Poll::decode(&mut reader)?),
            kind::ACK => Request::Ack(List::decode16(&mut reader, "items")?),
            kind::FAIL => Request::Fail(List::decode16(&mut reader, "items")?),
            kind::RELEASE => Request::Release(List::decode16(&mut reader, "items")?),
            kind::HEARTBEAT => Request::Heartbeat(List::decode16(&mut reader, "leases")?),
            kind::STATS => Request::Stats,
            kind::SNAPSHOT => Request::Snapshot,
            kind::BACKUP => Request::Backup,
            kind::READ => Request::Read(ReadFile::decode(&mut reader)?),
            other => {
                let text = format!("unknown request kind {other:#06x}; this master speaks version 1");
                return Err(Refusal::new(ErrorCode::UnknownRequest, text));
            }
        };
        reader.finish()?;
        Ok(request)
    }

    /// The same, and holds every value against its bounds, see [`Request::check`]; of a Hello only its form, since what it may
    /// hold depends on its version. The jobs of a Submit are walked once for both.
    ///
    /// # Errors
    /// Those of `decode`, and then those of `check`.
    pub fn decode_checked(frame_kind: u16, body: &'a [u8]) -> Result<Self, Refusal> {
        if frame_kind != kind::SUBMIT {
            let request = Request::decode(frame_kind, body)?;
            return match request {
                Request::Hello(_) => Ok(request),
                _ => request.check().map(|()| request),
            };
        }
        let mut reader = Reader::new(body);
        let mut checked = Ok(());
        let jobs = List::decode16_each(&mut reader, "jobs", |job: &SubmitJob<'_>| {
            if checked.is_ok() {
                checked = job.check();
            }
        })?;
        reader.finish()?;
        check_count("jobs", jobs.len(), ITEMS_MAX)?;
        checked.map(|()| Request::Submit(jobs))
    }

    /// Writes the whole frame.
    pub fn encode(&self, correlation: u64, out: &mut Vec<u8>) {
        let start = frame::begin_frame(out, self.kind(), correlation);
        match self {
            Request::Hello(hello) => hello.encode(out),
            Request::Submit(jobs) => jobs.encode16(out),
            Request::Poll(poll) => poll.encode(out),
            Request::Ack(items) => items.encode16(out),
            Request::Fail(items) => items.encode16(out),
            Request::Release(items) => items.encode16(out),
            Request::Heartbeat(leases) => leases.encode16(out),
            Request::Stats | Request::Snapshot | Request::Backup => {}
            Request::Read(read) => read.encode(out),
        }
        frame::finish_frame(out, start, 0);
    }

    /// Holds every value against its bounds.
    ///
    /// # Errors
    /// The first value that is out of bounds, named, with its bounds.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Request::Hello(hello) => hello.check(),
            Request::Submit(jobs) => check_count("jobs", jobs.len(), ITEMS_MAX)
                .and_then(|()| jobs.iter().try_for_each(|job| job.check())),
            Request::Poll(poll) => poll.check(),
            Request::Ack(items) => check_count("items", items.len(), ITEMS_MAX).and_then(|()| {
                items.iter().try_for_each(|item| {
                    check_range("result bytes", item.result.len() as u64, 0, RESULT_BYTES_MAX as u64)
                })
            }),
            Request::Fail(items) => check_count("items", items.len(), ITEMS_MAX).and_then(|()| {
                items.iter().try_for_each(|item| {
                    check_range("error bytes", item.error.len() as u64, 0, ERROR_TEXT_BYTES_MAX as u64)
                })
            }),
            Request::Release(items) => check_count("items", items.len(), ITEMS_MAX).and_then(|()| {
                items.iter().try_for_each(|item| check_range("delay_ms", item.delay_ms, 0, DELAY_MS_MAX))
            }),
            Request::Heartbeat(leases) => check_count("leases", leases.len(), ITEMS_MAX),
            Request::Stats | Request::Snapshot | Request::Backup => Ok(()),
            Request::Read(read) => check_range("bytes", u64::from(read.bytes), 1, u64::from(READ_BYTES_MAX)),
        }
    }
}

fn check_range(field: impl fmt::Display, value: u64, min: u64, max: u64) -> Result<(), Refusal> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::BadValue, format!("{field} is {value}; it takes {min} to {max}")))
}

fn check_count(field: &str, count: usize, max: usize) -> Result<(), Refusal> {
    check_range(format_args!("number of {field}"), count as u64, 1, max as u64)
}

fn check_queue(name: &str) -> Result<(), Refusal> {
    check_queue_name(name).map_err(|error| Refusal::new(ErrorCode::BadQueueName, error.to_string()))
}

impl<'a> Hello<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if reader.u32("magic")? != MAGIC {
            return Err(DecodeError { field: "magic", fault: Fault::Undefined });
        }
        Ok(Hello {
            version: reader.u16("version")?,
            name: reader.text8("name")?,
            token: reader.bytes16("token")?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32_le(MAGIC);
        out.put_u16_le(self.version);
        out.put_text8(self.name);
        out.put_bytes16(self.token);
    }

    fn check(&self) -> Result<(), Refusal> {
        check_client_name(self.name)?;
        check_range("token bytes", self.token.len() as u64, 0, TOKEN_BYTES_MAX as u64)
    }
}

impl SubmitJob<'_> {
    /// Holds the job against the bounds; the client does so before it sends.
    ///
    /// # Errors
    /// The first value that is out of bounds, named, with its bounds.
    pub fn check(&self) -> Result<(), Refusal> {
        check_queue(self.queue)?;
        if !self.key.is_empty() {
            check_key(self.key)?;
        }
        check_range("delay_ms", self.delay_ms, 0, DELAY_MS_MAX)?;
        if self.timeout_ms != 0 {
            check_range("timeout_ms", self.timeout_ms, TIMEOUT_MS_MIN, TIMEOUT_MS_MAX)?;
        }
        check_range("max_attempts", u64::from(self.max_attempts), 0, u64::from(ATTEMPTS_MAX))?;
        if self.payload.len() > PAYLOAD_BYTES_MAX {
            let bytes = self.payload.len();
            let text = format!("the payload has {bytes} bytes; it takes at most {PAYLOAD_BYTES_MAX}");
            return Err(Refusal::new(ErrorCode::PayloadTooLarge, text));
        }
        Ok(())
    }
}

impl<'a> Poll<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Poll {
            queues: List::decode8(reader, "queues")?,
            jobs_max: reader.u16("jobs_max")?,
            wait_ms: reader.u32("wait_ms")?,
            lease_ms: reader.u32("lease_ms")?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.queues.encode8(out);
        out.put_u16_le(self.jobs_max);
        out.put_u32_le(self.wait_ms);
        out.put_u32_le(self.lease_ms);
    }

    fn check(&self) -> Result<(), Refusal> {
        check_count("queues", self.queues.len(), POLL_QUEUES_MAX)?;
        self.queues.iter().try_for_each(check_queue)?;
        check_range("jobs_max", u64::from(self.jobs_max), 1, ITEMS_MAX as u64)?;
        check_range("wait_ms", u64::from(self.wait_ms), 0, u64::from(WAIT_MS_MAX))?;
        check_range("lease_ms", u64::from(self.lease_ms), u64::from(LEASE_MS_MIN), u64::from(LEASE_MS_MAX))
    }
}

impl<'a> Item<'a> for &'a str {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        reader.text8("queue")
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text8(self);
    }
}

impl<'a> Item<'a> for SubmitJob<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(SubmitJob {
            queue: reader.text8("queue")?,
            key: reader.text8("key")?,
            priority: reader.u8("priority")?,
            max_attempts: reader.u16("max_attempts")?,
            delay_ms: reader.u64("delay_ms")?,
            timeout_ms: reader.u64("timeout_ms")?,
            payload: reader.bytes32("payload")?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text8(self.queue);
        out.put_text8(self.key);
        out.put_u8(self.priority);
        out.put_u16_le(self.max_attempts);
        out.put_u64_le(self.delay_ms);
        out.put_u64_le(self.timeout_ms);
        out.put_bytes32(self.payload);
    }
}

impl<'a> Item<'a> for HeldLease {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(HeldLease { job: JobId(reader.u64("job")?), lease: LeaseId(reader.u64("lease")?) })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.job.0);
        out.put_u64_le(self.lease.0);
    }
}

impl<'a> Item<'a> for AckItem<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let HeldLease { job, lease } = HeldLease::decode(reader)?;
        Ok(AckItem { job, lease, result: reader.bytes32("result")? })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        HeldLease { job: self.job, lease: self.lease }.encode(out);
        out.put_bytes32(self.result);
    }
}

impl<'a> Item<'a> for FailItem<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let HeldLease { job, lease } = HeldLease::decode(reader)?;
        Ok(FailItem { job, lease, for_good: reader.bool("for_good")?, error: reader.text16("error")? })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        HeldLease { job: self.job, lease: self.lease }.encode(out);
        out.put_u8(u8::from(self.for_good));
        out.put_text16(self.error);
    }
}

impl<'a> Item<'a> for ReleaseItem {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let HeldLease { job, lease } = HeldLease::decode(reader)?;
        Ok(ReleaseItem { job, lease, delay_ms: reader.u64("delay_ms")? })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        HeldLease { job: self.job, lease: self.lease }.encode(out);
        out.put_u64_le(self.delay_ms);
    }
}
