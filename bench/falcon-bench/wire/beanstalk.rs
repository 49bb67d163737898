//! beanstalkd: put, reserve, delete, in the tube that a connection begins with.

use std::collections::VecDeque;
use std::io::Write;

use super::bytes::{line, number, shown};
use super::{Batch, POLL_WAIT_MS, Seen, Wire};

enum Open {
    Greeting,
    Submit,
    Poll,
    Ack,
}

#[derive(Default)]
pub struct Beanstalk {
    open: VecDeque<Open>,
    /// Ids of reserved jobs that are not deleted yet.
    held: Vec<u64>,
}

impl Beanstalk {
    /// One reply with this first line; returns the bytes that it took, or nothing if its body is not whole yet.
    fn reply(&mut self, text: &[u8], rest: &[u8], seen: &mut Seen) -> Result<Option<usize>, String> {
        let mut body_bytes = 0;
        match (self.open.front().ok_or("a reply to nothing")?, text) {
            (Open::Greeting, b"USING default") => seen.ready = true,
            (Open::Submit, text) if text.starts_with(b"INSERTED ") => seen.submits += 1,
            (Open::Ack, b"DELETED") => seen.acks += 1,
            (Open::Poll, b"TIMED_OUT") => seen.polls += 1,
            (Open::Poll, text) if text.starts_with(b"RESERVED ") => {
                let mut words = text.split(|byte| *byte == b' ').skip(1);
                let id = number(words.next().unwrap_or_default())?;
                let bytes = number(words.next().unwrap_or_default())?;
                let Some(payload) = rest.get(..bytes + 2) else { return Ok(None) };
                seen.deliver(&payload[..bytes])?;
                seen.polls += 1;
                self.held.push(id as u64);
                body_bytes = bytes + 2;
            }
            _ => return Err(format!("unexpected reply: {}", shown(text))),
        }
        self.open.pop_front();
        Ok(Some(body_bytes))
    }
}

impl Wire for Beanstalk {
    fn greet(&mut self, out: &mut Vec<u8>) {
        self.open.push_back(Open::Greeting);
        out.extend_from_slice(b"use default\r\n");
    }

    fn submit(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        self.open.push_back(Open::Submit);
        write!(out, "put 128 0 600 {}\r\n", batch.payload_bytes).expect("memory takes it");
        batch.put(batch.only(), out);
        out.extend_from_slice(b"\r\n");
    }

    fn poll(&mut self, out: &mut Vec<u8>) {
        self.open.push_back(Open::Poll);
        write!(out, "reserve-with-timeout {}\r\n", POLL_WAIT_MS / 1000).expect("memory takes it");
    }

    fn ack(&mut self, out: &mut Vec<u8>) {
        for id in self.held.drain(..) {
            self.open.push_back(Open::Ack);
            write!(out, "delete {id}\r\n").expect("memory takes it");
        }
    }

    fn decode(&mut self, input: &[u8], seen: &mut Seen, _out: &mut Vec<u8>) -> Result<usize, String> {
        let mut used = 0;
        while let Some((text, head)) = line(&input[used..]) {
            let Some(body_bytes) = self.reply(text, &input[used + head..], seen)? else { break };
            used += head + body_bytes;
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::decoded;
    use super::*;

    fn asked() -> Box<dyn Wire> {
        let mut wire = Beanstalk::default();
        let mut out = Vec::new();
        wire.greet(&mut out);
        wire.submit(&Batch { first: 10, count: 1, stamp_ns: 2, payload_bytes: 16 }, &mut out);
        wire.poll(&mut out);
        wire.poll(&mut out);
        assert!(out.starts_with(b"use default\r\nput 128 0 600 16\r\n\x0a\0"));
        assert!(out.ends_with(b"\r\nreserve-with-timeout 1\r\nreserve-with-timeout 1\r\n"));
        Box::new(wire)
    }

    #[test]
    fn a_job_goes_its_way() {
        let mut bytes = b"USING default\r\nINSERTED 7\r\nRESERVED 7 16\r\n".to_vec();
        // The number 10 is a line end: bodies are taken by their length.
        Batch { first: 10, count: 1, stamp_ns: 2, payload_bytes: 16 }.put(10, &mut bytes);
        bytes.extend_from_slice(b"\r\nTIMED_OUT\r\n");
        let (seen, _) = decoded(asked, &bytes);
        assert!(seen.ready);
        assert_eq!((seen.submits, seen.polls, seen.delivered[0].number), (1, 2, 10));

        let (mut wire, mut out, mut seen) = (asked(), Vec::new(), Seen::default());
        wire.decode(&bytes, &mut seen, &mut out).unwrap();
        wire.ack(&mut out);
        assert_eq!(out, b"delete 7\r\n");
        wire.decode(b"DELETED\r\n", &mut seen, &mut out).unwrap();
        assert_eq!(seen.acks, 1);
    }

    #[test]
    fn anything_but_success_is_an_error() {
        let greeted = b"USING default\r\n".to_vec();
        for reply in ["BURIED 7\r\n", "JOB_TOO_BIG\r\n", "OUT_OF_MEMORY\r\n", "DELETED\r\n"] {
            let bytes = [&greeted, reply.as_bytes()].concat();
            assert!(asked().decode(&bytes, &mut Seen::default(), &mut Vec::new()).is_err(), "{reply}");
        }
    }
}
