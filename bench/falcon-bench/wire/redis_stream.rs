//! A Redis stream with one consumer group: XADD, XREADGROUP, XACK, XDEL.

use std::collections::VecDeque;

use super::resp::{Value, array, bulk, command, parse};
use super::{Batch, Seen, Wire};

enum Open {
    Ping,
    Submit,
    Poll,
    /// XACK; the XDEL behind it counts.
    Ack,
    Delete,
}

pub struct RedisStream {
    /// The consumer's name.
    name: String,
    open: VecDeque<Open>,
    /// Ids of entries that are not acked yet.
    held: Vec<Vec<u8>>,
}

/// Makes the group that all workers read in.
pub fn create_group() -> Vec<u8> {
    let mut out = Vec::new();
    command(&[b"XGROUP", b"CREATE", b"q", b"g", b"$", b"MKSTREAM"], &mut out);
    out
}

impl RedisStream {
    pub fn new(number: usize) -> RedisStream {
        RedisStream { name: format!("worker:{number}"), open: VecDeque::new(), held: Vec::new() }
    }

    fn reply(&mut self, value: &Value<'_>, seen: &mut Seen) -> Result<(), String> {
        match (self.open.pop_front().ok_or("a reply to nothing")?, value) {
            (Open::Ping, Value::Simple(b"PONG")) => seen.ready = true,
            (Open::Submit, Value::Bulk(_)) => seen.submits += 1,
            (Open::Ack, Value::Int(1)) => {}
            (Open::Delete, Value::Int(1)) => seen.acks += 1,
            (Open::Poll, Value::Nil) => seen.polls += 1,
            (Open::Poll, Value::Array(_)) => {
                seen.polls += 1;
                // One stream: its name and its entries; one entry: its id and its fields.
                let entries = &value.items(1)?[0].items(2)?[1];
                let entry = entries.items(1)?[0].items(2)?;
                self.held.push(entry[0].bulk()?.to_vec());
                seen.deliver(entry[1].items(2)?[1].bulk()?)?;
            }
            (_, other) => return Err(other.unexpected()),
        }
        Ok(())
    }
}

impl Wire for RedisStream {
    fn greet(&mut self, out: &mut Vec<u8>) {
        self.open.push_back(Open::Ping);
        command(&[b"PING"], out);
    }

    fn submit(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        self.open.push_back(Open::Submit);
        array(5, out);
        out.extend_from_slice(b"$4\r\nXADD\r\n$1\r\nq\r\n$1\r\n*\r\n$1\r\np\r\n");
        bulk(batch.payload_bytes, out);
        batch.put(batch.only(), out);
        out.extend_from_slice(b"\r\n");
    }

    fn poll(&mut self, out: &mut Vec<u8>) {
        self.open.push_back(Open::Poll);
        let name = self.name.as_bytes();
        let words: [&[u8]; 10] =
            [b"XREADGROUP", b"GROUP", b"g", name, b"COUNT", b"1", b"BLOCK", b"1000", b"STREAMS", b"q"];
        array(words.len() + 1, out);
        let mut whole = Vec::new();
        command(&words, &mut whole);
        out.extend_from_slice(&whole[b"*10\r\n".len()..]);
        out.extend_from_slice(b"$1\r\n>\r\n");
    }

    fn ack(&mut self, out: &mut Vec<u8>) {
        for id in self.held.drain(..) {
            self.open.extend([Open::Ack, Open::Delete]);
            command(&[b"XACK", b"q", b"g", &id], out);
            command(&[b"XDEL", b"q", &id], out);
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

    #[test]
    fn a_job_goes_its_way() {
        let make = || -> Box<dyn Wire> {
            let mut wire = RedisStream::new(3);
            let mut out = Vec::new();
            wire.submit(&Batch { first: 1, count: 1, stamp_ns: 2, payload_bytes: 16 }, &mut out);
            wire.poll(&mut out);
            Box::new(wire)
        };
        let mut bytes =
            b"$3\r\n1-0\r\n*1\r\n*2\r\n$1\r\nq\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\np\r\n$16\r\n".to_vec();
        Batch { first: 1, count: 1, stamp_ns: 2, payload_bytes: 16 }.put(1, &mut bytes);
        bytes.extend_from_slice(b"\r\n");
        let (seen, _) = decoded(make, &bytes);
        assert_eq!((seen.submits, seen.polls, seen.delivered[0].number), (1, 1, 1));

        let (mut wire, mut out, mut seen) = (make(), Vec::new(), Seen::default());
        wire.decode(&bytes, &mut seen, &mut out).unwrap();
        wire.ack(&mut out);
        let expected = "*4\r\n$4\r\nXACK\r\n$1\r\nq\r\n$1\r\ng\r\n$3\r\n1-0\r\n\
                        *3\r\n$4\r\nXDEL\r\n$1\r\nq\r\n$3\r\n1-0\r\n";
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        wire.decode(b":1\r\n", &mut seen, &mut out).unwrap();
        assert_eq!(seen.acks, 0);
        wire.decode(b":1\r\n", &mut seen, &mut out).unwrap();
        assert_eq!(seen.acks, 1);
    }

    #[test]
    fn polls_are_whole_commands() {
        let mut out = Vec::new();
        RedisStream::new(3).poll(&mut out);
        let mut words = out.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"$"));
        assert_eq!(words.next(), Some(&b"*11\r"[..]));
        assert_eq!(words.filter(|word| !word.is_empty()).count(), 11);
    }
}
