//! A reliable queue of Redis lists: LPUSH, BLMOVE to a list of the worker's own, LREM from there.

use std::collections::VecDeque;

use super::resp::{Value, array, bulk, command, parse};
use super::{Batch, Seen, Wire};

/// What a reply answers; Redis answers in order.
enum Open {
    Ping,
    Submit,
    Poll,
    Ack,
}

pub struct RedisList {
    queue: &'static str,
    /// The worker's own list.
    taken: String,
    open: VecDeque<Open>,
    /// Payloads to be removed: LREM wants them again.
    held: Vec<Vec<u8>>,
    /// Room of payloads that were removed.
    spare: Vec<Vec<u8>>,
}

impl RedisList {
    pub fn new(number: usize, queue: &'static str) -> RedisList {
        let taken = format!("taken:{number}");
        RedisList { queue, taken, open: VecDeque::new(), held: Vec::new(), spare: Vec::new() }
    }

    fn reply(&mut self, value: &Value<'_>, seen: &mut Seen) -> Result<(), String> {
        match (self.open.pop_front().ok_or("a reply to nothing")?, value) {
            (Open::Ping, Value::Simple(b"PONG")) => seen.ready = true,
            (Open::Submit, Value::Int(1..)) => seen.submits += 1,
            (Open::Ack, Value::Int(1)) => seen.acks += 1,
            (Open::Poll, Value::Nil) => seen.polls += 1,
            (Open::Poll, Value::Bulk(payload)) => {
                seen.polls += 1;
                seen.deliver(payload)?;
                let mut kept = self.spare.pop().unwrap_or_default();
                kept.clear();
                kept.extend_from_slice(payload);
                self.held.push(kept);
            }
            (_, other) => return Err(other.unexpected()),
        }
        Ok(())
    }
}

impl Wire for RedisList {
    fn greet(&mut self, out: &mut Vec<u8>) {
        self.open.push_back(Open::Ping);
        command(&[b"PING"], out);
    }

    fn submit(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        self.open.push_back(Open::Submit);
        array(3, out);
        for word in ["LPUSH", self.queue] {
            bulk(word.len(), out);
            out.extend_from_slice(word.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        bulk(batch.payload_bytes, out);
        batch.put(batch.only(), out);
        out.extend_from_slice(b"\r\n");
    }

    fn poll(&mut self, out: &mut Vec<u8>) {
        self.open.push_back(Open::Poll);
        let (queue, taken) = (self.queue.as_bytes(), self.taken.as_bytes());
        command(&[b"BLMOVE", queue, taken, b"RIGHT", b"LEFT", b"1"], out);
    }

    fn ack(&mut self, out: &mut Vec<u8>) {
        for payload in self.held.drain(..) {
            self.open.push_back(Open::Ack);
            command(&[b"LREM", self.taken.as_bytes(), b"-1", &payload], out);
            self.spare.push(payload);
        }
    }

    fn decode(&mut self, input: &[u8], seen: &mut Seen, _out: &mut Vec<u8>) -> Result<usize, String> {
        let mut used = 0;
        while let Some((value, bytes)) = parse(&input[used..])? {
            self.reply(&value, seen)?;
            used += bytes;
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::decoded;
    use super::*;

    fn asked() -> Box<dyn Wire> {
        let mut wire = RedisList::new(3, "q");
        let mut out = Vec::new();
        wire.greet(&mut out);
        wire.submit(&Batch { first: 1, count: 1, stamp_ns: 2, payload_bytes: 16 }, &mut out);
        wire.poll(&mut out);
        wire.poll(&mut out);
        Box::new(wire)
    }

    #[test]
    fn a_job_goes_its_way() {
        let mut bytes = b"+PONG\r\n:1\r\n$16\r\n".to_vec();
        Batch { first: 1, count: 1, stamp_ns: 2, payload_bytes: 16 }.put(1, &mut bytes);
        bytes.extend_from_slice(b"\r\n*-1\r\n");
        let (seen, _) = decoded(asked, &bytes);
        assert!(seen.ready);
        assert_eq!((seen.submits, seen.polls, seen.delivered.len()), (1, 2, 1));
        assert_eq!((seen.delivered[0].number, seen.delivered[0].stamp_ns), (1, 2));

        let (mut wire, mut out) = (asked(), Vec::new());
        wire.decode(&bytes, &mut Seen::default(), &mut out).unwrap();
        wire.ack(&mut out);
        assert!(out.starts_with(b"*4\r\n$4\r\nLREM\r\n$7\r\ntaken:3\r\n$2\r\n-1\r\n$16\r\n\x01\0"));
        let mut seen = Seen::default();
        wire.decode(b":1\r\n", &mut seen, &mut out).unwrap();
        assert_eq!(seen.acks, 1);
    }

    #[test]
    fn a_job_that_was_not_there_to_remove_is_an_error() {
        let mut wire = RedisList::new(3, "q");
        wire.held.push(b"x".to_vec());
        let mut out = Vec::new();
        wire.ack(&mut out);
        assert!(wire.decode(b":0\r\n", &mut Seen::default(), &mut out).is_err());
        assert!(asked().decode(b"-ERR no\r\n", &mut Seen::default(), &mut out).unwrap_err().contains("ERR no"));
    }
}
