//! What the master answers.

use bytes::BufMut;

use super::list::{Item, List};
use super::{ErrorCode, REPLY_BIT, Refusal, frame, kind};
use crate::codec::{DecodeError, PutExt, Reader, text_head};
use crate::ids::{JobId, LeaseId, SessionId};

/// The answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply<'a> {
    /// The connection may be used.
    HelloOk(HelloOk<'a>),
    /// The jobs are there.
    SubmitOk(List<'a, Submitted>),
    /// Jobs to run, or none when the wait ran out.
    PollOk(List<'a, Delivery<'a>>),
    /// What became of each item of an Ack.
    AckOk(List<'a, ItemStatus>),
    /// What became of each item of a Fail.
    FailOk(List<'a, ItemStatus>),
    /// What became of each item of a Release.
    ReleaseOk(List<'a, ItemStatus>),
    /// What the master wants of each lease.
    HeartbeatOk(List<'a, LeaseStatus>),
    /// Figures.
    StatsOk(Stats<'a>),
    /// A snapshot is on disk.
    SnapshotOk {
        /// Newest LSN that it holds.
        lsn: u64,
        /// Size of its file.
        bytes: u64,
    },
    /// The files that make up the log.
    BackupOk(List<'a, BackupFile<'a>>),
    /// A piece of a file.
    ReadOk(&'a [u8]),
    /// The request was refused.
    Error(Refusal),
}

/// The master's side of the first exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloOk<'a> {
    /// Version of the protocol.
    pub version: u16,
    /// Number of this connection in the master's logs.
    pub session: SessionId,
    /// Name and version of the master.
    pub software: &'a str,
    /// The longest body that it takes.
    pub body_bytes_max: u32,
    /// The longest payload that it takes.
    pub payload_bytes_max: u32,
    /// The most items in a list of a request.
    pub items_max: u16,
}

/// A job that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Its id.
    pub job: JobId,
    /// Whether this is the first job of a key that is still remembered.
    pub duplicate: bool,
}

/// One attempt, handed to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The job.
    pub job: JobId,
    /// The lease under which it may be run.
    pub lease: LeaseId,
    /// Its queue.
    pub queue: &'a str,
    /// Its key, or empty.
    pub key: &'a str,
    /// Its priority.
    pub priority: u8,
    /// 1 for the first delivery.
    pub attempt: u16,
    /// How many there may be.
    pub max_attempts: u16,
    /// The attempt may run this long; 0 for no bound.
    pub timeout_ms: u64,
    /// The lease ends this long after the dispatch.
    pub lease_ms: u32,
    /// The payload.
    pub payload: &'a [u8],
}

/// What became of one item of an Ack, Fail or Release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemStatus {
    /// The job.
    pub job: JobId,
    /// `None` when it was done.
    pub refused: Option<ErrorCode>,
}

/// What the master wants of one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    /// The job.
    pub job: JobId,
    /// Whether the worker has to stop: the lease is lost.
    pub stop: bool,
    /// What is left of the lease.
    pub remaining_ms: u32,
}

/// Jobs by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counts {
    pub pending: u64,
    pub delayed: u64,
    pub in_flight: u64,
    pub completed: u64,
    pub dead: u64,
    pub cancelled: u64,
}

/// The jobs of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueCounts<'a> {
    /// The queue.
    pub name: &'a str,
    /// Its jobs.
    pub counts: Counts,
}

/// The master's figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats<'a> {
    /// Since the master began to serve.
    pub uptime_ms: u64,
    /// Open connections.
    pub connections: u32,
    /// Polls that wait.
    pub waiting_polls: u32,
    /// Records in the log.
    pub records: u64,
    /// Times that the log was made durable.
    pub syncs: u64,
    /// Newest durable LSN.
    pub durable_lsn: u64,
    /// Log segments.
    pub segments: u32,
    /// Their bytes.
    pub log_bytes: u64,
    /// All jobs.
    pub totals: Counts,
    /// The jobs of each queue, in the order of names.
    pub queues: List<'a, QueueCounts<'a>>,
}

impl<'a> Reply<'a> {
    /// The kind of the frame that carries this reply.
    #[must_use]
    pub fn kind(&self) -> u16 {
        match self {
            Reply::HelloOk(_) => REPLY_BIT | kind::HELLO,
            Reply::SubmitOk(_) => REPLY_BIT | kind::SUBMIT,
            Reply::PollOk(_) => REPLY_BIT | kind::POLL,
            Reply::AckOk(_) => REPLY_BIT | kind::ACK,
            Reply::FailOk(_) => REPLY_BIT | kind::FAIL,
            Reply::ReleaseOk(_) => REPLY_BIT | kind::RELEASE,
            Reply::HeartbeatOk(_) => REPLY_BIT | kind::HEARTBEAT,
            Reply::StatsOk(_) => REPLY_BIT | kind::STATS,
            Reply::SnapshotOk { .. } => REPLY_BIT | kind::SNAPSHOT,
            Reply::BackupOk(_) => REPLY_BIT | kind::BACKUP,
            Reply::ReadOk(_) => REPLY_BIT | kind::READ,
            Reply::Error(_) => kind::ERROR,
        }
    }

    /// Reads the body of a frame of this kind.
    ///
    /// # Errors
    /// `Malformed` for an unknown kind or a body that is not of this kind.
    pub fn decode(frame_kind: u16, body: &'a [u8]) -> Result<Self, Refusal> {
        const ITEMS: &str = "items";
        let mut reader = Reader::new(body);
        let reply = match frame_kind {
            kind::ERROR => Reply::Error(decode_error(&mut reader)?),
            other => match other ^ REPLY_BIT {
                kind::HELLO => Reply::HelloOk(HelloOk::decode(&mut reader)?),
                kind::SUBMIT => Reply::SubmitOk(List::decode16(&mut reader, "jobs")?),
                kind::POLL => Reply::PollOk(List::decode16(&mut reader, "jobs")?),
                kind::ACK => Reply::AckOk(List::decode16(&mut reader, ITEMS)?),
                kind::FAIL => Reply::FailOk(List::decode16(&mut reader, ITEMS)?),
                kind::RELEASE => Reply::ReleaseOk(List::decode16(&mut reader, ITEMS)?),
                kind::HEARTBEAT => Reply::HeartbeatOk(List::decode16(&mut reader, "leases")?),
                kind::STATS => Reply::StatsOk(Stats::decode(&mut reader)?),
                kind::SNAPSHOT => Reply::SnapshotOk { lsn: reader.u64("lsn")?, bytes: reader.u64("bytes")? },
                kind::BACKUP => Reply::BackupOk(List::decode16(&mut reader, "files")?),
                kind::READ => Reply::ReadOk(reader.bytes32("piece")?),
                _ => {
                    let text = format!("malformed frame: unknown reply kind {other:#06x}");
                    return Err(Refusal::new(ErrorCode::Malformed, text));
                }
            },
        };
        reader.finish()?;
        Ok(reply)
    }

    /// Writes the whole frame.
    pub fn encode(&self, correlation: u64, out: &mut Vec<u8>) {
        let start = frame::begin_frame(out, self.kind(), correlation);
        match self {
            Reply::HelloOk(hello) => hello.encode(out),
            Reply::SubmitOk(jobs) => jobs.encode16(out),
            Reply::PollOk(jobs) => jobs.encode16(out),
            Reply::AckOk(items) | Reply::FailOk(items) | Reply::ReleaseOk(items) => items.encode16(out),
            Reply::HeartbeatOk(leases) => leases.encode16(out),
            Reply::StatsOk(stats) => stats.encode(out),
            Reply::SnapshotOk { lsn, bytes } => {
                out.put_u64_le(*lsn);
                out.put_u64_le(*bytes);
            }
            Reply::BackupOk(files) => files.encode16(out),
            Reply::ReadOk(piece) => out.put_bytes32(piece),
            Reply::Error(refusal) => encode_error(refusal, out),
        }
        frame::finish_frame(out, start, 0);
    }
}

fn decode_error(reader: &mut Reader<'_>) -> Result<Refusal, DecodeError> {
    let code = ErrorCode::from_code(reader.u16("code")?);
    // The code tells it already; the byte is for clients that do not know the code.
    let _retry = reader.bool("retry")?;
    Ok(Refusal::new(code, reader.text16("text")?))
}

fn encode_error(refusal: &Refusal, out: &mut Vec<u8>) {
    out.put_u16_le(refusal.code.code());
    out.put_u8(u8::from(refusal.code.retry_may_help()));
    out.put_text16(text_head(&refusal.text, 1000));
}

impl<'a> HelloOk<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(HelloOk {
            version: reader.u16("version")?,
            session: SessionId(reader.u64("session")?),
            software: reader.text8("software")?,
            body_bytes_max: reader.u32("body_bytes_max")?,
            payload_bytes_max: reader.u32("payload_bytes_max")?,
            items_max: reader.u16("items_max")?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16_le(self.version);
        out.put_u64_le(self.session.0);
        out.put_text8(self.software);
        out.put_u32_le(self.body_bytes_max);
        out.put_u32_le(self.payload_bytes_max);
        out.put_u16_le(self.items_max);
    }
}

impl<'a> Item<'a> for Submitted {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Submitted { job: JobId(reader.u64("job")?), duplicate: reader.bool("duplicate")? })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.job.0);
        out.put_u8(u8::from(self.duplicate));
    }
}

impl Delivery<'_> {
    /// Writes everything up to the payload's bytes, which the caller sends after it.
    pub fn encode_head(&self, payload_bytes: u32, out: &mut Vec<u8>) {
        out.put_u64_le(self.job.0);
        out.put_u64_le(self.lease.0);
        out.put_text8(self.queue);
        out.put_text8(self.key);
        out.put_u8(self.priority);
        out.put_u16_le(self.attempt);
        out.put_u16_le(self.max_attempts);
        out.put_u64_le(self.timeout_ms);
        out.put_u32_le(self.lease_ms);
        out.put_u32_le(payload_bytes);
    }

    /// Bytes of a delivery with these texts and this payload, in a frame.
    #[must_use]
    pub fn encoded_bytes(queue: &str, key: &str, payload_bytes: usize) -> usize {
        8 + 8 + 1 + queue.len() + 1 + key.len() + 1 + 2 + 2 + 8 + 4 + 4 + payload_bytes
    }
}

impl<'a> Item<'a> for Delivery<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Delivery {
            job: JobId(reader.u64("job")?),
            lease: LeaseId(reader.u64("lease")?),
            queue: reader.text8("queue")?,
            key: reader.text8("key")?,
            priority: reader.u8("priority")?,
            attempt: reader.u16("attempt")?,
            max_attempts: reader.u16("max_attempts")?,
            timeout_ms: reader.u64("timeout_ms")?,
            lease_ms: reader.u32("lease_ms")?,
            payload: reader.bytes32("payload")?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let payload_bytes = u32::try_from(self.payload.len()).expect("a payload is within its limit");
        self.encode_head(payload_bytes, out);
        out.put_slice(self.payload);
    }
}

impl<'a> Item<'a> for ItemStatus {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let job = JobId(reader.u64("job")?);
        let status = reader.u16("status")?;
        Ok(ItemStatus { job, refused: (status != 0).then(|| ErrorCode::from_code(status)) })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.job.0);
        out.put_u16_le(self.refused.map_or(0, ErrorCode::code));
    }
}

/// A file of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupFile<'a> {
    /// Its name in the data directory.
    pub name: &'a str,
    /// Bytes from its beginning that are to be read.
    pub bytes: u32,
    /// Size that the copy has to have; zeros follow what was read.
    pub size: u32,
}

impl<'a> Item<'a> for BackupFile<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(BackupFile { name: reader.text8("name")?, bytes: reader.u32("bytes")?, size: reader.u32("size")? })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text8(self.name);
        out.put_u32_le(self.bytes);
        out.put_u32_le(self.size);
    }
}

impl<'a> Item<'a> for LeaseStatus {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(LeaseStatus {
            job: JobId(reader.u64("job")?),
            stop: reader.u8("want")? != 0,
            remaining_ms: reader.u32("remaining_ms")?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.job.0);
        out.put_u8(u8::from(self.stop));
        out.put_u32_le(self.remaining_ms);
    }
}

impl Counts {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Counts {
            pending: reader.u64("pending")?,
            delayed: reader.u64("delayed")?,
            in_flight: reader.u64("in_flight")?,
            completed: reader.u64("completed")?,
            dead: reader.u64("dead")?,
            cancelled: reader.u64("cancelled")?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for count in [self.pending, self.delayed, self.in_flight, self.completed, self.dead, self.cancelled] {
            out.put_u64_le(count);
        }
    }
}

impl<'a> Item<'a> for QueueCounts<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(QueueCounts { name: reader.text8("name")?, counts: Counts::decode(reader)? })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text8(self.name);
        self.counts.encode(out);
    }
}

impl<'a> Stats<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Stats {
            uptime_ms: reader.u64("uptime_ms")?,
            connections: reader.u32("connections")?,
            waiting_polls: reader.u32("waiting_polls")?,
            records: reader.u64("records")?,
            syncs: reader.u64("syncs")?,
            durable_lsn: reader.u64("durable_lsn")?,
            segments: reader.u32("segments")?,
            log_bytes: reader.u64("log_bytes")?,
            totals: Counts::decode(reader)?,
            queues: List::decode32(reader, "queues")?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.uptime_ms);
        out.put_u32_le(self.connections);
        out.put_u32_le(self.waiting_polls);
        out.put_u64_le(self.records);
        out.put_u64_le(self.syncs);
        out.put_u64_le(self.durable_lsn);
        out.put_u32_le(self.segments);
        out.put_u64_le(self.log_bytes);
        self.totals.encode(out);
        self.queues.encode32(out);
    }
}
