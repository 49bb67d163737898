//! NATS with streams: a publish with a reply to a stream, one pull for each job, `+ACK`.
//!
//! `+ACK` has no answer. It is counted when a later pull of its connection is answered, and the end of each run asks
//! the server how many messages are left.

use std::io::Write;

use super::bytes::{line, number, shown};
use super::{Batch, POLL_WAIT_MS, Seen, Wire};

/// Name of the stream.
pub const STREAM: &str = "S";
const CONNECT: &str = "CONNECT \
    {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1}\r\n";
const SUBMIT_SID: &[u8] = b"1";
const POLL_SID: &[u8] = b"2";

pub struct Nats {
    number: usize,
    /// Reply subjects of messages that are not acked yet.
    held: Vec<Vec<u8>>,
    /// Acks that were sent and not counted yet.
    sent_acks: u32,
}

fn call(subject: &str, body: &str) -> Vec<u8> {
    let mut out = CONNECT.as_bytes().to_vec();
    write!(out, "SUB _C 1\r\nPUB {subject} _C {}\r\n{body}\r\n", body.len()).expect("memory takes it");
    out
}

/// Makes the stream: a work queue in files.
pub fn create_stream() -> Vec<u8> {
    let body = "{\"name\":\"S\",\"subjects\":[\"q\"],\"retention\":\"workqueue\",\
                \"storage\":\"file\",\"num_replicas\":1}";
    call("$JS.API.STREAM.CREATE.S", body)
}

/// Makes the consumer that all workers pull from.
pub fn create_consumer() -> Vec<u8> {
    let body = "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"C\",\"ack_policy\":\"explicit\",\
        \"deliver_policy\":\"all\",\"replay_policy\":\"instant\",\"ack_wait\":600000000000,\
        \"max_ack_pending\":1000000,\"max_waiting\":100000}}";
    call("$JS.API.CONSUMER.DURABLE.CREATE.S.C", body)
}

impl Nats {
    pub fn new(number: usize) -> Nats {
        Nats { number, held: Vec::new(), sent_acks: 0 }
    }

    fn message(&mut self, sid: &[u8], reply: Option<&[u8]>, body: &[u8], seen: &mut Seen) -> Result<(), String> {
        if sid == SUBMIT_SID {
            if !body.starts_with(b"{\"stream\":\"S\"") {
                return Err(format!("a publish was answered by {}", shown(body)));
            }
            seen.submits += 1;
            return Ok(());
        }
        self.held.push(reply.ok_or("a message without a reply subject")?.to_vec());
        seen.deliver(body)?;
        self.polled(seen);
        Ok(())
    }

    fn polled(&mut self, seen: &mut Seen) {
        seen.polls += 1;
        seen.acks += std::mem::take(&mut self.sent_acks);
    }

    /// A message with headers: here only the status of a pull that brought nothing.
    fn status(&mut self, body: &[u8], seen: &mut Seen) -> Result<(), String> {
        let (status, _) = line(body).unwrap_or((body, 0));
        if status.starts_with(b"NATS/1.0 408") || status.starts_with(b"NATS/1.0 404") {
            self.polled(seen);
            return Ok(());
        }
        Err(format!("a pull was answered by {}", shown(status)))
    }

    /// One operation with this first line; returns the bytes of its body, or nothing if that is not whole yet.
    fn operation(
        &mut self,
        text: &[u8],
        rest: &[u8],
        seen: &mut Seen,
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, String> {
        let words: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
        let body_of = |bytes: usize| rest.get(..bytes + 2).map(|body| &body[..bytes]);
        match words[..] {
            [b"INFO", ..] => {}
            [b"PONG"] => seen.ready = true,
            [b"PING"] => out.extend_from_slice(b"PONG\r\n"),
            [b"MSG", _, sid, ref reply @ .., bytes] if reply.len() < 2 => {
                let Some(body) = body_of(number(bytes)?) else { return Ok(None) };
                self.message(sid, reply.first().copied(), body, seen)?;
                return Ok(Some(body.len() + 2));
            }
            [b"HMSG", _, POLL_SID, .., bytes] => {
                let Some(body) = body_of(number(bytes)?) else { return Ok(None) };
                self.status(body, seen)?;
                return Ok(Some(body.len() + 2));
            }
            _ => return Err(format!("unexpected: {}", shown(text))),
        }
        Ok(Some(0))
    }
}

impl Wire for Nats {
    fn greet(&mut self, out: &mut Vec<u8>) {
        let number = self.number;
        write!(out, "{CONNECT}SUB _I.{number}.s 1\r\nSUB _I.{number}.p 2\r\nPING\r\n").expect("memory takes it");
    }

    fn submit(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        write!(out, "PUB q _I.{}.s {}\r\n", self.number, batch.payload_bytes).expect("memory takes it");
        batch.put(batch.only(), out);
        out.extend_from_slice(b"\r\n");
    }

    fn poll(&mut self, out: &mut Vec<u8>) {
        let body = format!("{{\"batch\":1,\"expires\":{POLL_WAIT_MS}000000}}");
        let number = self.number;
        write!(out, "PUB $JS.API.CONSUMER.MSG.NEXT.S.C _I.{number}.p {}\r\n{body}\r\n", body.len())
            .expect("memory takes it");
    }

    fn ack(&mut self, out: &mut Vec<u8>) {
        for subject in self.held.drain(..) {
            out.extend_from_slice(b"PUB ");
            out.extend_from_slice(&subject);
            out.extend_from_slice(b" 4\r\n+ACK\r\n");
            self.sent_acks += 1;
        }
    }

    fn decode(&mut self, input: &[u8], seen: &mut Seen, out: &mut Vec<u8>) -> Result<usize, String> {
        let mut used = 0;
        while let Some((text, head)) = line(&input[used..]) {
            let Some(body_bytes) = self.operation(text, &input[used + head..], seen, out)? else { break };
            used += head + body_bytes;
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::decoded;
    use super::*;

    #[test]
    fn a_job_goes_its_way() {
        let mut bytes = b"INFO {}\r\nPONG\r\nPING\r\nMSG _I.3.s 1 22\r\n{\"stream\":\"S\",\"seq\":1}\r\n".to_vec();
        bytes.extend_from_slice(b"MSG q 2 $JS.ACK.S.C.1.1.1.5.0 16\r\n");
        Batch { first: 10, count: 1, stamp_ns: 2, payload_bytes: 16 }.put(10, &mut bytes);
        bytes.extend_from_slice(b"\r\n");
        let (seen, out) = decoded(|| Box::new(Nats::new(3)), &bytes);
        assert_eq!(out, b"PONG\r\n");
        assert!(seen.ready);
        assert_eq!((seen.submits, seen.polls, seen.acks, seen.delivered[0].number), (1, 1, 0, 10));

        let (mut wire, mut out, mut seen) = (Nats::new(3), Vec::new(), Seen::default());
        wire.decode(&bytes, &mut seen, &mut out).unwrap();
        out.clear();
        wire.ack(&mut out);
        assert_eq!(out, b"PUB $JS.ACK.S.C.1.1.1.5.0 4\r\n+ACK\r\n");
        let expired = b"HMSG _I.3.p 2 32 32\r\nNATS/1.0 408 Request Timeout\r\n\r\n\r\n";
        let used = wire.decode(expired, &mut seen, &mut out).unwrap();
        assert_eq!((used, seen.acks, seen.polls), (expired.len(), 1, 2));
    }

    #[test]
    fn anything_but_success_is_an_error() {
        for reply in [
            "-ERR 'Maximum Payload Violation'\r\n",
            "HMSG _I.3.p 2 25 25\r\nNATS/1.0 409 Too Many\r\n\r\n\r\n",
            "HMSG _I.3.s 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
            "MSG _I.3.s 1 12\r\n{\"error\":{}}\r\n",
        ] {
            let error = Nats::new(3).decode(reply.as_bytes(), &mut Seen::default(), &mut Vec::new());
            assert!(error.is_err(), "{reply}");
        }
    }
}
