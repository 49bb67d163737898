//! Frames by hand: lines of text to frames and frames to lines, to talk to a master through `nc`.
//!
//! ```sh
//! cargo build --example frame && PATH=$PATH:target/debug/examples
//! printf 'hello\nsubmit q hi\npoll q 1000\nstats\n' | frame encode | nc -N 127.0.0.1 3252 | frame decode
//! ```
//!
//! | line | request |
//! | --- | --- |
//! | `hello [TOKEN]` | Hello |
//! | `submit QUEUE PAYLOAD…` | Submit of one job |
//! | `poll QUEUE [WAIT_MS]` | Poll for one job, with a lease of 30 s |
//! | `ack JOB LEASE [RESULT…]` | Ack |
//! | `fail JOB LEASE ERROR…` | Fail |
//! | `release JOB LEASE` | Release |
//! | `heartbeat JOB LEASE` | Heartbeat |
//! | `stats` | Stats |
//!
//! Each request's correlation is the number of its line.

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

use falconqueue::ids::{JobId, LeaseId};
use falconqueue::protocol::frame::next_in;
use falconqueue::protocol::{
    Ack, AckItem, Fail, FailItem, Heartbeat, HeldLease, Hello, List, Poll, Release, ReleaseItem, Reply, Request, Stage,
    Stats, Submit, SubmitJob,
};

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("encode") => encode(),
        Some("decode") => decode(),
        _ => Err("usage: frame encode | frame decode; both read stdin and write stdout".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("frame: {text}");
            ExitCode::from(2)
        }
    }
}

fn told(error: io::Error) -> String {
    error.to_string()
}

fn encode() -> Result<(), String> {
    let mut frames = Vec::new();
    for (number, line) in (1..).zip(io::stdin().lock().lines()) {
        let line = line.map_err(told)?;
        encode_line(&line, number, &mut frames).map_err(|why| format!("line {number}, {line:?}: {why}"))?;
    }
    io::stdout().write_all(&frames).map_err(told)
}

fn encode_line(line: &str, correlation: u64, out: &mut Vec<u8>) -> Result<(), String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (first, after_first) = rest.split_once(' ').unwrap_or((rest, ""));
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is not a number"));
    let mut put = |request: Request<'_>| {
        request.encode(correlation, out);
        Ok(())
    };
    match word {
        "hello" => put(Hello::new("frame", rest.as_bytes()).into()),
        "stats" => put(Stats {}.into()),
        "submit" => {
            let (queue, payload) = (first, after_first.as_bytes());
            put(Submit::of(&[SubmitJob { queue, payload, ..SubmitJob::default() }]).into())
        }
        "poll" => {
            let wait_ms = if after_first.is_empty() { 0 } else { number(after_first)? };
            let wait_ms = u32::try_from(wait_ms).map_err(|error| error.to_string())?;
            put(Poll { queues: List::lent(&[first]), free: 1, wait_ms, lease_ms: 30_000, ..Poll::default() }.into())
        }
        _ => {
            let (lease, text) = after_first.split_once(' ').unwrap_or((after_first, ""));
            let known = ["ack", "fail", "release", "heartbeat"].contains(&word);
            let (job, lease) = if known {
                (JobId(number(first)?), LeaseId(number(lease)?))
            } else {
                return Err(format!("{word:?} is not a request"));
            };
            match word {
                "ack" => {
                    let item = AckItem { job, lease, result: text.as_bytes(), ..AckItem::default() };
                    put(Ack { items: List::lent(&[item]) }.into())
                }
                "fail" => {
                    let item = FailItem { job, lease, error: text, ..FailItem::default() };
                    put(Fail { items: List::lent(&[item]) }.into())
                }
                "release" => put(Release { items: List::lent(&[ReleaseItem { job, lease, delay_ms: 0 }]) }.into()),
                _ => {
                    let held = HeldLease { job, lease, stage: Stage::Begun };
                    put(Heartbeat { leases: List::lent(&[held]), ..Heartbeat::default() }.into())
                }
            }
        }
    }
}

/// Writes each frame on a line of its own as soon as it is there.
fn decode() -> Result<(), String> {
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    let mut waiting = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let came = stdin.read(&mut buffer).map_err(told)?;
        if came == 0 {
            let cut = waiting.len();
            return if cut == 0 { Ok(()) } else { Err(format!("{cut} bytes of a cut frame are left over")) };
        }
        waiting.extend_from_slice(&buffer[..came]);
        while let Some((header, bytes)) = next_in(&waiting, usize::MAX).map_err(|bad| bad.refusal.text)? {
            let body = &waiting[bytes - header.body_bytes..bytes];
            let correlation = header.correlation;
            let line = match Reply::decode(header.kind, body) {
                Ok(reply) => format!("{correlation}: {reply:?}"),
                Err(refusal) => format!("{correlation}: kind {:#06x}: {refusal}", header.kind),
            };
            writeln!(stdout, "{line}").map_err(told)?;
            waiting.drain(..bytes);
        }
    }
}
