//! A connection to a master that may die at any moment, and the client that keeps a record of all that it asked
//! and heard through such connections.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Shared;
use crate::common::frames::{Reply, Request, decode, decode_header, hello};
use crate::history::dice::Dice;
use crate::history::{Ns, Op, Outcome, What};

/// A master answers within this, or its connection is broken.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What came of a request.
#[derive(Debug)]
pub enum Heard {
    Reply(Reply),
    Broken,
    Silence,
}

impl Heard {
    /// The outcome, by a function that reads the reply.
    pub fn outcome<T>(&self, read: impl FnOnce(&Reply) -> Outcome<T>) -> Outcome<T> {
        match self {
            Heard::Reply(Reply::Error { code, .. }) => Outcome::Refused(*code),
            Heard::Reply(reply) => read(reply),
            Heard::Broken => Outcome::Unknown,
            Heard::Silence => Outcome::Silence,
        }
    }
}

/// When a request began, when its answer came, and what it was.
pub struct Answer {
    pub start: Ns,
    pub end: Ns,
    pub heard: Heard,
}

/// The master is still reading its log.
const STARTING: u16 = 16;

struct Link {
    stream: TcpStream,
    next_correlation: u64,
}

impl Link {
    fn connect(address: &str) -> io::Result<Link> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        let mut link = Link { stream, next_correlation: 1 };
        link.stream.write_all(&hello(b"").frame(0))?;
        match link.receive()? {
            (0, Reply::HelloOk { .. }) => Ok(link),
            (0, Reply::Error { code: STARTING, .. }) => Err(ErrorKind::ConnectionRefused.into()),
            other => panic!("a HelloOk, not {other:?}"),
        }
    }

    fn receive(&mut self) -> io::Result<(u64, Reply)> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head)?;
        let (body_bytes, kind, correlation) = decode_header(&head);
        let mut body = vec![0; body_bytes];
        self.stream.read_exact(&mut body)?;
        Ok((correlation, decode(kind, &body)))
    }

    fn silent(error: &io::Error) -> bool {
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
    }
}

/// One thread's connection and its record.
pub struct Client {
    pub number: usize,
    pub shared: Arc<Shared>,
    pub dice: Dice,
    pub ops: Vec<Op>,
    link: Option<Link>,
}

impl Client {
    pub fn new(number: usize, shared: Arc<Shared>) -> Client {
        let dice = shared.dice.fork(number as u64 + 1);
        Client { number, shared, dice, ops: Vec::new(), link: None }
    }

    /// Connected, after one try and a short rest if it failed.
    pub fn connected(&mut self) -> bool {
        if self.link.is_none() {
            self.link = Link::connect(&self.shared.address).ok();
        }
        if self.link.is_none() {
            self.rest(2..12);
        }
        self.link.is_some()
    }

    pub fn rest(&mut self, ms: std::ops::Range<u64>) {
        thread::sleep(Duration::from_millis(self.dice.within(ms)));
    }

    pub fn record(&mut self, answer: &Answer, what: What) {
        self.ops.push(Op { client: self.number, start: answer.start, end: answer.end, what });
    }

    pub fn ask(&mut self, request: &Request) -> Answer {
        self.ask_all(std::slice::from_ref(request)).remove(0)
    }

    /// Sends all requests at once; gives their answers in the same order. A connection that breaks leaves the
    /// rest without one.
    pub fn ask_all(&mut self, requests: &[Request]) -> Vec<Answer> {
        let start = self.shared.now();
        let mut answers: Vec<Answer> =
            requests.iter().map(|_| Answer { start, end: 0, heard: Heard::Broken }).collect();
        let mut open = requests.len();
        let Some(link) = &mut self.link else { unreachable!("asked while connected") };
        let first = link.next_correlation;
        link.next_correlation += requests.len() as u64;
        let frames = (first..).zip(requests).flat_map(|(n, request)| request.frame(n));
        // What was answered before the connection broke can still be read.
        link.stream.write_all(&frames.collect::<Vec<u8>>()).ok();
        let mut silent = false;
        while open > 0 {
            match link.receive() {
                Ok((correlation, reply)) => {
                    let answer = &mut answers[usize::try_from(correlation - first).expect("an index")];
                    assert!(answer.end == 0, "one reply for each request");
                    (answer.end, answer.heard) = (self.shared.now(), Heard::Reply(reply));
                    open -= 1;
                }
                Err(e) => {
                    silent = Link::silent(&e);
                    break;
                }
            }
        }
        if open > 0 {
            self.link = None;
            let end = self.shared.now();
            for answer in answers.iter_mut().filter(|answer| answer.end == 0) {
                answer.end = end;
                answer.heard = if silent { Heard::Silence } else { Heard::Broken };
            }
        }
        answers
    }
}
