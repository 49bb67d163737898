//! Questions beside the load: a connection that blocks, one exchange, done.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::wire::{self, Told, Value, WireKind};

const ANSWER_MAX: Duration = Duration::from_mins(5);

/// Sends bytes, reads until `whole` finds an answer in all that came.
pub fn exchange<T>(
    address: SocketAddr,
    request: &[u8],
    whole: impl Fn(&[u8]) -> Result<Option<T>, String>,
) -> Result<T, String> {
    let mut stream = TcpStream::connect(address).map_err(|error| format!("cannot connect: {error}"))?;
    let told = |error: std::io::Error| format!("no answer: {error}");
    stream.set_read_timeout(Some(ANSWER_MAX)).map_err(told)?;
    stream.write_all(request).map_err(told)?;
    let (mut input, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        if let Some(answer) = whole(&input)? {
            return Ok(answer);
        }
        let bytes = stream.read(&mut buffer).map_err(told)?;
        if bytes == 0 {
            return Err("the server closed the connection".into());
        }
        input.extend_from_slice(&buffer[..bytes]);
    }
}

fn redis(address: SocketAddr, words: &[&[u8]]) -> Result<i64, String> {
    let mut request = Vec::new();
    wire::command(words, &mut request);
    exchange(address, &request, |input| match wire::parse_resp(input)? {
        None => Ok(None),
        Some((Value::Int(number), _)) => Ok(Some(number)),
        Some((Value::Simple(_), _)) => Ok(Some(0)),
        Some((other, _)) => Err(other.unexpected()),
    })
}

/// The number behind `name` in a text, once the text goes on behind it.
fn number_behind(input: &[u8], name: &str) -> Option<u64> {
    let text = String::from_utf8_lossy(input);
    let rest = text.split_once(name)?.1.trim_start();
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..digits].parse().ok()
}

fn nats(address: SocketAddr, request: &[u8], name: &str) -> Result<u64, String> {
    exchange(address, request, |input| {
        let text = String::from_utf8_lossy(input);
        let answer = text.split_once("MSG _C ").map_or("", |(_, answer)| answer);
        if answer.contains("\"error\"") {
            return Err(answer.chars().take(300).collect());
        }
        Ok(number_behind(answer.as_bytes(), name))
    })
}

/// What has to be made in a server before jobs can be.
pub fn prepare(wire: WireKind, address: SocketAddr) -> Result<(), String> {
    match wire {
        WireKind::RedisStream => exchange(address, &wire::create_group(), |input| match input {
            [] => Ok(None),
            [b'+', ..] => Ok(Some(())),
            _ => Err(String::from_utf8_lossy(input).into_owned()),
        }),
        WireKind::Nats => {
            nats(address, &wire::create_stream(), "\"num_replicas\":")?;
            nats(address, &wire::create_consumer(), "\"max_ack_pending\":").map(|_| ())
        }
        _ => Ok(()),
    }
}

/// Jobs that the server has, waiting or in flight; it fails while the server is not ready to work.
pub fn jobs(wire: WireKind, address: SocketAddr) -> Result<u64, String> {
    let count = |number: i64| u64::try_from(number).map_err(|error| error.to_string());
    match wire {
        WireKind::Falcon => {
            let told = falcon(address)?;
            Ok(["pending", "delayed", "in_flight"].iter().map(|name| told[*name]).sum())
        }
        WireKind::RedisList => redis(address, &[b"LLEN", b"q"]).and_then(count),
        WireKind::RedisStream => redis(address, &[b"XLEN", b"q"]).and_then(count),
        WireKind::Beanstalk => exchange(address, b"stats\r\n", |input| {
            let waiting = number_behind(input, "current-jobs-ready:");
            let reserved = number_behind(input, "current-jobs-reserved:");
            Ok(waiting.zip(reserved).map(|(waiting, reserved)| waiting + reserved))
        }),
        WireKind::Nats => nats(address, &nats_info(), "\"messages\":"),
        WireKind::Echo => Ok(0),
    }
}

fn nats_info() -> Vec<u8> {
    format!("CONNECT {{\"verbose\":false}}\r\nSUB _C 1\r\nPUB $JS.API.STREAM.INFO.{} _C 0\r\n\r\n", wire::NATS_STREAM)
        .into_bytes()
}

/// What FalconQueue tells of itself.
pub fn falcon(address: SocketAddr) -> Result<Told, String> {
    let (request, read) = wire::falcon_stats();
    exchange(address, &request, read)
}

/// Asks for a snapshot, or what a peer has in its place, and waits for the answer.
pub fn snapshot(wire: WireKind, address: SocketAddr) -> Result<(), String> {
    match wire {
        WireKind::Falcon => {
            // HelloOk and SnapshotOk: two frames, of which the second is 16 bytes and its header.
            let request = wire::falcon_request(wire::SNAPSHOT);
            let done = (0x8000 | wire::SNAPSHOT).to_le_bytes();
            exchange(address, &request, move |input| {
                let hello_bytes = input.first_chunk().map_or(0, |bytes| 16 + u32::from_le_bytes(*bytes) as usize);
                match input.get(hello_bytes + 4..hello_bytes + 6) {
                    Some(kind) if hello_bytes > 0 && kind == done => Ok(Some(())),
                    Some(_) if hello_bytes > 0 => Err("the snapshot was refused".into()),
                    _ => Ok(None),
                }
            })
        }
        WireKind::RedisList | WireKind::RedisStream => redis(address, &[b"BGREWRITEAOF"]).map(|_| ()),
        _ => Err("it has no snapshots".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_once_it_is_whole() {
        assert_eq!(number_behind(b"a: 1\nready: 123\n", "ready:"), Some(123));
        assert_eq!(number_behind(b"a: 1\nready: 123", "ready:"), None);
        assert_eq!(number_behind(b"a: 1\n", "ready:"), None);
    }
}
