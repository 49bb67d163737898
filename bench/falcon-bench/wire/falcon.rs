//! FalconQueue's frames, as `protocol.md` has them. Each request's correlation is its kind.

use std::collections::BTreeMap;

use super::bytes::{Fields, shown};
use super::{Batch, POLL_WAIT_MS, Seen, Wire};

const HELLO: u16 = 1;
const SUBMIT: u16 = 2;
const POLL: u16 = 3;
const ACK: u16 = 4;
const STATS: u16 = 8;
/// Asks for a snapshot; its body is empty.
pub const SNAPSHOT: u16 = 9;
const REPLY_BIT: u16 = 0x8000;
const HEADER_BYTES: usize = 16;
const LEASE_MS: u32 = 600_000;
const PRIORITY: u8 = 128;
const ACK_ITEM_BYTES: usize = 8 + 8 + 1 + 4;
/// No extras follow.
const NO_EXTRAS: u8 = 0;
/// The extra of a Job that names its group.
const GROUP: u8 = 5;

pub struct Falcon {
    queue: &'static str,
    jobs_max: u16,
    /// Jobs are spread over so many; 0 for none.
    groups: u64,
    /// Jobs and leases that are not acked yet.
    held: Vec<(u64, u64)>,
}

impl Falcon {
    pub fn new(queue: &'static str, jobs_max: u32, groups: u64) -> Falcon {
        Falcon { queue, jobs_max: u16::try_from(jobs_max).expect("a batch is small"), groups, held: Vec::new() }
    }

    fn reply(&mut self, kind: u16, body: &[u8], seen: &mut Seen) -> Result<(), String> {
        let mut fields = Fields(body);
        match kind ^ REPLY_BIT {
            HELLO => {
                seen.ready = true;
                return Ok(());
            }
            SUBMIT => {
                for _ in 0..fields.u16()? {
                    fields.u64()?;
                    if fields.u8()? != 0 {
                        return Err("a submit without a key was taken for a duplicate".into());
                    }
                    fields.skip_extras()?;
                }
                seen.submits += 1;
            }
            POLL => {
                for _ in 0..fields.u16()? {
                    self.delivery(&mut fields, seen)?;
                }
                seen.polls += 1;
            }
            ACK => {
                for _ in 0..fields.u16()? {
                    let (job, status) = (fields.u64()?, fields.u16()?);
                    fields.skip_extras()?;
                    if status != 0 {
                        return Err(format!("the ack of job {job} has status {status}"));
                    }
                    seen.acks += 1;
                }
            }
            _ => return Err(format!("reply of kind {kind:#06x}: {}", shown(body))),
        }
        fields.skip_extras()?;
        fields.end()
    }

    /// The extras of the job with this number.
    fn put_group(&self, number: u64, out: &mut Vec<u8>) {
        if self.groups == 0 {
            out.push(NO_EXTRAS);
            return;
        }
        let name = format!("g{}", number % self.groups);
        out.extend_from_slice(&[1, GROUP]);
        out.extend_from_slice(&(2 + name.len() as u16).to_le_bytes());
        put_text(name.as_bytes(), out);
    }

    fn delivery(&mut self, fields: &mut Fields<'_>, seen: &mut Seen) -> Result<(), String> {
        self.held.push((fields.u64()?, fields.u64()?));
        fields.text()?;
        fields.text()?;
        // The settings: priority, attempts, time-out.
        fields.bytes(1 + 2 + 4)?;
        let attempt = fields.u16()?;
        if attempt != 1 {
            return Err(format!("a job came for the time number {attempt}"));
        }
        // How long the lease is, and how long the poll waited.
        fields.bytes(4 + 4)?;
        fields.skip_extras()?;
        let payload_bytes = fields.u32()?;
        seen.deliver(fields.bytes(payload_bytes as usize)?)
    }
}

fn header(body_bytes: usize, kind: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&(body_bytes as u32).to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&u64::from(kind).to_le_bytes());
}

fn put_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text);
}

/// Hello and a request without fields.
pub fn request(kind: u16) -> Vec<u8> {
    let mut out = Vec::new();
    Falcon::new("", 1, 0).greet(&mut out);
    header(1, kind, &mut out);
    out.push(NO_EXTRAS);
    out
}

/// What a master tells of itself, by name.
pub type Told = BTreeMap<String, u64>;

/// Hello and Stats, and what reads the answers, or nothing yet.
#[allow(clippy::type_complexity)] // A request and its reader; a name for the pair would say no more.
pub fn stats() -> (Vec<u8>, fn(&[u8]) -> Result<Option<Told>, String>) {
    (request(STATS), |mut input| {
        while let Some(frame) = whole_frame(input)? {
            let mut fields = Fields(frame.body);
            if frame.kind == STATS | REPLY_BIT {
                let mut told = Told::new();
                for _ in 0..fields.u16()? {
                    told.insert(String::from_utf8_lossy(fields.text()?).into_owned(), fields.u64()?);
                    fields.skip_extras()?;
                }
                return Ok(Some(told));
            }
            input = &input[frame.bytes..];
        }
        Ok(None)
    })
}

struct Frame<'b> {
    kind: u16,
    body: &'b [u8],
    bytes: usize,
}

fn whole_frame(input: &[u8]) -> Result<Option<Frame<'_>>, String> {
    if input.len() < HEADER_BYTES {
        return Ok(None);
    }
    let mut fields = Fields(input);
    let body_bytes = fields.u32()? as usize;
    let kind = fields.u16()?;
    if kind & REPLY_BIT == 0 {
        return Err(format!("a frame of kind {kind:#06x} is no reply"));
    }
    let bytes = HEADER_BYTES + body_bytes;
    Ok(input.get(HEADER_BYTES..bytes).map(|body| Frame { kind, body, bytes }))
}

impl Wire for Falcon {
    fn greet(&mut self, out: &mut Vec<u8>) {
        let name = b"bench";
        header(4 + 2 + 2 + 2 + name.len() + 4 + 8 + 1, HELLO, out);
        out.extend_from_slice(b"FLCN\x01\x00\x01\x00");
        put_text(name, out);
        // No token, no instance.
        out.extend_from_slice(&[0; 4 + 8]);
        out.push(NO_EXTRAS);
    }

    fn submit(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let begun_at = out.len();
        header(0, SUBMIT, out);
        out.extend_from_slice(&(batch.count as u16).to_le_bytes());
        for number in batch.numbers() {
            put_text(self.queue.as_bytes(), out);
            put_text(b"", out);
            out.push(PRIORITY);
            // Attempts, time-out and delay.
            out.extend_from_slice(&[0; 2 + 4 + 8]);
            self.put_group(number, out);
            out.extend_from_slice(&(batch.payload_bytes as u32).to_le_bytes());
            batch.put(number, out);
        }
        out.push(NO_EXTRAS);
        let body_bytes = (out.len() - begun_at - HEADER_BYTES) as u32;
        out[begun_at..begun_at + 4].copy_from_slice(&body_bytes.to_le_bytes());
    }

    fn poll(&mut self, out: &mut Vec<u8>) {
        header(2 + 2 + self.queue.len() + 2 + 4 + 4 + 1, POLL, out);
        out.extend_from_slice(&[1, 0]);
        put_text(self.queue.as_bytes(), out);
        out.extend_from_slice(&self.jobs_max.to_le_bytes());
        out.extend_from_slice(&POLL_WAIT_MS.to_le_bytes());
        out.extend_from_slice(&LEASE_MS.to_le_bytes());
        out.push(NO_EXTRAS);
    }

    fn ack(&mut self, out: &mut Vec<u8>) {
        if self.held.is_empty() {
            return;
        }
        header(2 + self.held.len() * ACK_ITEM_BYTES + 1, ACK, out);
        out.extend_from_slice(&(self.held.len() as u16).to_le_bytes());
        for (job, lease) in self.held.drain(..) {
            out.extend_from_slice(&job.to_le_bytes());
            out.extend_from_slice(&lease.to_le_bytes());
            out.push(NO_EXTRAS);
            out.extend_from_slice(&[0; 4]);
        }
        out.push(NO_EXTRAS);
    }

    fn decode(&mut self, input: &[u8], seen: &mut Seen, _out: &mut Vec<u8>) -> Result<usize, String> {
        let mut used = 0;
        while let Some(frame) = whole_frame(&input[used..])? {
            self.reply(frame.kind, frame.body, seen)?;
            used += frame.bytes;
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use falconqueue::ids::{JobId, LeaseId};
    use falconqueue::job::Settings;
    use falconqueue::protocol::frame::split_frame;
    use falconqueue::protocol::{Ack, AckItem, Figure, List, Poll, Reply, Request, StatsOk, Submit, SubmitJob};

    use super::super::Delivered;
    use super::super::testing::decoded;
    use super::*;

    /// The frame as FalconQueue's own encoder writes it.
    fn encoded(request: &Request<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        request.encode(u64::from(request.kind()), &mut out);
        out
    }

    #[test]
    fn requests_are_those_of_the_protocol() {
        let mut wire = Falcon::new("mail", 7, 0);
        let batch = Batch { first: 5, count: 2, stamp_ns: 6, payload_bytes: 20 };
        let (mut out, mut payloads) = (Vec::new(), [Vec::new(), Vec::new()]);
        wire.submit(&batch, &mut out);
        for (payload, number) in payloads.iter_mut().zip(batch.numbers()) {
            batch.put(number, payload);
        }
        let settings = Settings { max_attempts: 0, ..Settings::default() };
        let jobs: Vec<_> = payloads
            .iter()
            .map(|payload| SubmitJob { queue: "mail", settings, payload, ..SubmitJob::default() })
            .collect();
        assert_eq!(out, encoded(&Submit::of(&jobs).into()));
        out.clear();
        Falcon::new("mail", 7, 3).submit(&batch, &mut out);
        let jobs = [SubmitJob { group: Some("g2"), ..jobs[0] }, SubmitJob { group: Some("g0"), ..jobs[1] }];
        assert_eq!(out, encoded(&Submit::of(&jobs).into()));

        out.clear();
        wire.poll(&mut out);
        let poll = Poll {
            queues: List::lent(&["mail"]),
            free: 7,
            wait_ms: POLL_WAIT_MS,
            lease_ms: LEASE_MS,
            ..Poll::default()
        };
        assert_eq!(out, encoded(&poll.into()));

        out.clear();
        wire.held.push((3, 4));
        wire.ack(&mut out);
        let item = AckItem { job: JobId(3), lease: LeaseId(4), ..AckItem::default() };
        assert_eq!(out, encoded(&Ack { items: List::lent(&[item]) }.into()));

        let mut hello = Vec::new();
        wire.greet(&mut hello);
        let (header, body) = split_frame(&hello).expect("a whole frame");
        assert!(matches!(Request::decode(header.kind, body), Ok(Request::Hello(_))));
    }

    /// A job with an extra that nobody needs here.
    fn poll_ok(attempt: u8) -> Vec<u8> {
        let mut body = vec![1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, b'q', 0, 0];
        body.extend_from_slice(&[128, 5, 0, 0, 0, 0, 0, attempt, 0]);
        body.extend_from_slice(&[0; 4 + 4]);
        body.extend_from_slice(&[1, 2, 3, 0, 1, 0, b'g']);
        body.extend_from_slice(&[17, 0, 0, 0]);
        Batch { first: 11, count: 1, stamp_ns: 12, payload_bytes: 17 }.put(11, &mut body);
        body.push(NO_EXTRAS);
        let mut out = Vec::new();
        header(body.len(), POLL | REPLY_BIT, &mut out);
        out.extend_from_slice(&body);
        out
    }

    #[test]
    fn replies_are_counted_and_jobs_are_read() {
        let mut bytes = Vec::new();
        header(2, HELLO | REPLY_BIT, &mut bytes);
        bytes.extend_from_slice(&[1, 0]);
        header(2 + 10 + 1, SUBMIT | REPLY_BIT, &mut bytes);
        bytes.extend_from_slice(&[1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&poll_ok(1));
        header(2 + 11 + 1, ACK | REPLY_BIT, &mut bytes);
        bytes.extend_from_slice(&[1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let (seen, _) = decoded(|| Box::new(Falcon::new("q", 1, 0)), &bytes);
        let delivered = vec![Delivered { number: 11, stamp_ns: 12, payload_bytes: 17 }];
        assert_eq!(seen, Seen { ready: true, submits: 1, polls: 1, acks: 1, delivered });
    }

    #[test]
    fn anything_but_success_is_an_error() {
        let decode = |bytes: &[u8]| {
            Falcon::new("q", 1, 0).decode(bytes, &mut Seen::default(), &mut Vec::new()).expect_err("it is refused")
        };
        let mut lost = Vec::new();
        header(2 + 11 + 1, ACK | REPLY_BIT, &mut lost);
        lost.extend_from_slice(&[1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0]);
        assert!(decode(&lost).contains("status 10"));
        assert!(decode(&poll_ok(2)).contains("number 2"));
        let mut error = Vec::new();
        header(5, 0x80ff, &mut error);
        error.extend_from_slice(&[12, 0, 1, 0, 0]);
        assert!(decode(&error).contains("0x80ff"));
    }

    #[test]
    fn stats_are_read_by_name() {
        let (_, read) = stats();
        let named = [("pending", 1), ("syncs", 12)];
        let figures = named.map(|(name, value)| Figure { name, value });
        let mut bytes = Vec::new();
        let stats = StatsOk { figures: List::lent(&figures), ..StatsOk::default() };
        Reply::StatsOk(stats).encode(8, &mut bytes);
        let told = named.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(read(&bytes), Ok(Some(told.into())));
        assert_eq!(read(&bytes[..30]), Ok(None));
    }
}
