//! A connection to a master that may die at any moment, and the client that keeps a record of all that it asked
//! and heard through such connections.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Shared;
use crate::dice::Dice;
use crate::harness::wire::{Reply, Request, Wire};
use crate::history::{Ns, Op, Outcome, What};

/// A master answers within this, or its connection is broken.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What came of a request.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
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

/// One thread's connection and its record.
pub struct Client {
    pub number: usize,
    pub shared: Arc<Shared>,
    pub dice: Dice,
    pub ops: Vec<Op>,
    link: Option<Wire>,
}

impl Client {
    pub fn new(number: usize, shared: Arc<Shared>) -> Client {
        let dice = shared.dice.fork(number as u64 + 1);
        Client { number, shared, dice, ops: Vec::new(), link: None }
    }

    /// Connected, after one try and a short rest if it failed.
    pub fn connected(&mut self) -> bool {
        if self.link.is_none() {
            self.link = Wire::try_greeted(&self.shared.address, ANSWER_LIMIT).ok();
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
        let Some(link) = &mut self.link else { unreachable!("asked while connected") };
        let first = link.next_correlation();
        // What was answered before the connection broke can still be read.
        link.try_send_all(requests).ok();
        for _ in requests {
            let (correlation, reply) = match link.try_receive() {
                Ok(Some(heard)) => heard,
                end => {
                    self.link = None;
                    let silent = end.is_err_and(|error| is_silence(&error));
                    self.leave(&mut answers, silent);
                    break;
                }
            };
            let answer = &mut answers[usize::try_from(correlation - first).expect("an index")];
            assert!(answer.end == 0, "one reply for each request");
            (answer.end, answer.heard) = (self.shared.now(), Heard::Reply(reply));
        }
        answers
    }

    /// No more answers come.
    fn leave(&self, answers: &mut [Answer], silent: bool) {
        let end = self.shared.now();
        for answer in answers.iter_mut().filter(|answer| answer.end == 0) {
            answer.end = end;
            answer.heard = if silent { Heard::Silence } else { Heard::Broken };
        }
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
