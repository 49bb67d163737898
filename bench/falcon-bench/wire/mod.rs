//! What the load generator says to a server and hears from it: one encoder and decoder for each, without any input or
//! output of its own, and none of them shared with the server that it measures.

mod beanstalk;
mod bytes;
mod echo;
mod falcon;
mod nats;
mod redis_list;
mod redis_stream;
mod resp;

pub use falcon::{SNAPSHOT, Told, request as falcon_request, stats as falcon_stats};
pub use nats::{STREAM as NATS_STREAM, create_consumer, create_stream};
pub use redis_stream::create_group;
pub use resp::{Value, command, parse as parse_resp};

use crate::load::Load;

/// How long a poll may wait for a job. Short enough that the end of a run is not long, rare enough not to be work.
const POLL_WAIT_MS: u32 = 1000;

/// The queue that workers take from.
pub const QUEUE: &str = "q";

/// A queue that nobody takes from.
pub const COLD_QUEUE: &str = "cold";

/// The head of each payload: the job's number, then the nanosecond at which it was (to be) sent.
pub const PAYLOAD_HEAD_BYTES: usize = 16;

/// The rest of a payload.
static FILLER: [u8; 1 << 20] = [b'x'; 1 << 20];

/// One request's jobs: consecutive numbers, one time, one size.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    pub first: u64,
    pub count: u32,
    pub stamp_ns: u64,
    pub payload_bytes: usize,
}

impl Batch {
    /// Writes the payload of the job with this number.
    pub fn put(&self, number: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&self.stamp_ns.to_le_bytes());
        out.extend_from_slice(&FILLER[..self.payload_bytes - PAYLOAD_HEAD_BYTES]);
    }

    pub fn numbers(&self) -> std::ops::Range<u64> {
        self.first..self.first + u64::from(self.count)
    }

    /// The number of a request's only job, for servers that take one at a time.
    pub fn only(&self) -> u64 {
        assert!(self.count == 1, "this server takes one job a request");
        self.first
    }
}

/// A job as a worker got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub number: u64,
    pub stamp_ns: u64,
    pub payload_bytes: usize,
}

/// What a decoder found in the bytes of a server.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The greeting was answered; requests may follow.
    pub ready: bool,
    /// Submit requests that were answered.
    pub submits: u32,
    /// Polls that were answered, with jobs or without.
    pub polls: u32,
    /// Jobs whose acks are known to be done.
    pub acks: u32,
    pub delivered: Vec<Delivered>,
}

impl Seen {
    pub fn clear(&mut self) {
        self.ready = false;
        (self.submits, self.polls, self.acks) = (0, 0, 0);
        self.delivered.clear();
    }

    fn deliver(&mut self, payload: &[u8]) -> Result<(), String> {
        let (Some(number), Some(stamp)) = (payload.first_chunk::<8>(), payload[8.min(payload.len())..].first_chunk())
        else {
            return Err(format!("a delivered payload has {} bytes", payload.len()));
        };
        let (number, stamp_ns) = (u64::from_le_bytes(*number), u64::from_le_bytes(*stamp));
        self.delivered.push(Delivered { number, stamp_ns, payload_bytes: payload.len() });
        Ok(())
    }
}

/// One connection's side of a protocol.
pub trait Wire {
    /// Says what has to be said first; `Seen::ready` tells that it was answered.
    fn greet(&mut self, out: &mut Vec<u8>);

    /// Asks to take these jobs; answered by one of `Seen::submits`.
    fn submit(&mut self, batch: &Batch, out: &mut Vec<u8>);

    /// Asks for jobs; answered by one of `Seen::polls`.
    fn poll(&mut self, out: &mut Vec<u8>);

    /// Acks all that was delivered since the last ack.
    fn ack(&mut self, out: &mut Vec<u8>);

    /// Reads whole replies and returns how many bytes they had. What the server must hear at once goes to `out`. Any
    /// reply that is not the one hoped for is an error.
    fn decode(&mut self, input: &[u8], seen: &mut Seen, out: &mut Vec<u8>) -> Result<usize, String>;
}

/// Which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WireKind {
    Falcon,
    RedisList,
    RedisStream,
    Beanstalk,
    Nats,
    Echo,
}

impl WireKind {
    /// The side of connection `number`; its polls ask for as many jobs as a request has, where the protocol can.
    pub fn wire(self, number: usize, load: &Load) -> Box<dyn Wire> {
        let Load { queue, batch, groups, .. } = *load;
        match self {
            WireKind::Falcon => Box::new(falcon::Falcon::new(queue, batch, groups)),
            WireKind::RedisList => Box::new(redis_list::RedisList::new(number, queue)),
            WireKind::RedisStream => Box::new(redis_stream::RedisStream::new(number)),
            WireKind::Beanstalk => Box::new(beanstalk::Beanstalk::default()),
            WireKind::Nats => Box::new(nats::Nats::new(number)),
            WireKind::Echo => Box::new(echo::Echo::default()),
        }
    }

    /// Whether a request may hold several jobs; with the others requests are pipelined instead.
    pub fn has_batches(self) -> bool {
        self == WireKind::Falcon
    }

    /// Whether a job may be in a group.
    pub fn has_groups(self) -> bool {
        self == WireKind::Falcon
    }
}

#[cfg(test)]
pub mod testing {
    use super::{Seen, Wire};

    /// Feeds the bytes whole and cut at every place; both ways must see the same.
    pub fn decoded(make: impl Fn() -> Box<dyn Wire>, bytes: &[u8]) -> (Seen, Vec<u8>) {
        let (mut seen, mut out) = (Seen::default(), Vec::new());
        assert_eq!(make().decode(bytes, &mut seen, &mut out).unwrap(), bytes.len());
        for cut in 0..bytes.len() {
            let (mut wire, mut cut_seen, mut cut_out) = (make(), Seen::default(), Vec::new());
            let used = wire.decode(&bytes[..cut], &mut cut_seen, &mut cut_out).unwrap();
            let rest = wire.decode(&bytes[used..], &mut cut_seen, &mut cut_out).unwrap();
            assert_eq!((used + rest, &cut_seen, &cut_out), (bytes.len(), &seen, &out), "cut at {cut}");
        }
        (seen, out)
    }
}
