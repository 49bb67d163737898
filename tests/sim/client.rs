//! What the clients send and hear.

use std::io::IoSlice;

use falconqueue::ids::{JobId, LeaseId, SessionId};
use falconqueue::master::{Master, WalError};
use falconqueue::protocol::frame::split_frame;
use falconqueue::protocol::{ErrorCode, Poll, Reply, Request};
use falconqueue::protocol::{List, SubmitJob};

use super::told::Submission;
use super::{Held, Sim};

/// A request that was not answered yet.
#[derive(Debug)]
pub struct Sent {
    pub session: SessionId,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    Submit(Vec<Submission>),
    Poll,
    Ack(Vec<Held>),
    Fail(Vec<Held>),
    Release(Vec<Held>),
    Other,
}

/// A delivery that owns its parts.
#[derive(Clone, Debug)]
pub struct Got {
    pub job: JobId,
    pub lease: LeaseId,
    pub key: String,
    pub payload: Vec<u8>,
}

/// A reply that owns what is looked at.
#[derive(Debug)]
pub enum Heard {
    Submitted(Vec<(JobId, bool)>),
    Jobs(Vec<Got>),
    Items(Vec<(JobId, Option<ErrorCode>)>),
    Leases(Vec<(JobId, bool)>),
    Records(u64),
    Error(ErrorCode),
    Other,
}

/// All that may leave to a client now, with the correlations.
pub fn heard(master: &mut Master, id: SessionId) -> Vec<(u64, Heard)> {
    while master.next_ready().is_some() {}
    let Some(outbox) = master.outbox(id) else { return Vec::new() };
    let mut bytes = Vec::new();
    while outbox.ready_bytes() > 0 {
        let mut pieces = [IoSlice::new(&[]); 8];
        let count = outbox.fill(&mut pieces);
        let before = bytes.len();
        pieces[..count].iter().for_each(|piece| bytes.extend_from_slice(piece));
        outbox.consume(bytes.len() - before);
    }
    let mut rest = &bytes[..];
    let mut all = Vec::new();
    while !rest.is_empty() {
        let length = 16 + u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        let (frame, after) = rest.split_at(length);
        let (header, body) = split_frame(frame).unwrap();
        all.push((header.correlation, owned(&Reply::decode(header.kind, body).unwrap())));
        rest = after;
    }
    all
}

fn owned(reply: &Reply<'_>) -> Heard {
    match reply {
        Reply::SubmitOk(jobs) => {
            Heard::Submitted(jobs.iter().map(|item| (item.job, item.duplicate)).collect())
        }
        Reply::PollOk(jobs) => Heard::Jobs(
            jobs.iter()
                .map(|got| Got {
                    job: got.job,
                    lease: got.lease,
                    key: got.key.to_owned(),
                    payload: got.payload.to_owned(),
                })
                .collect(),
        ),
        Reply::AckOk(items) | Reply::FailOk(items) | Reply::ReleaseOk(items) => {
            Heard::Items(items.iter().map(|item| (item.job, item.refused)).collect())
        }
        Reply::HeartbeatOk(leases) => {
            Heard::Leases(leases.iter().map(|item| (item.job, item.stop)).collect())
        }
        Reply::StatsOk(stats) => Heard::Records(stats.records),
        Reply::Error(refusal) => Heard::Error(refusal.code),
        _ => Heard::Other,
    }
}

pub fn poll<'a>(queues: &'a [&'a str], jobs_max: u16, wait_ms: u32) -> Request<'a> {
    Request::Poll(Poll { queues: List::lent(queues), jobs_max, wait_ms, lease_ms: 10_000 })
}

impl Sim {
    /// Sends a request; nothing else happens.
    pub fn send(&mut self, session: SessionId, request: &Request<'_>, what: What) -> Result<u64, WalError> {
        self.correlation += 1;
        let mut bytes = Vec::new();
        request.encode(self.correlation, &mut bytes);
        let (header, body) = split_frame(&bytes).unwrap();
        self.sent.insert(self.correlation, Sent { session, what });
        let outcome = self.master.receive(session, &header, body, self.now);
        self.follow();
        outcome.map(|()| self.correlation)
    }

    pub fn send_submit(&mut self, jobs: Vec<Submission>) -> Result<u64, WalError> {
        let lent: Vec<SubmitJob<'_>> = jobs
            .iter()
            .map(|job| SubmitJob {
                queue: job.queue,
                key: &job.key,
                priority: job.priority,
                max_attempts: job.max_attempts,
                delay_ms: job.delay_ms,
                timeout_ms: 0,
                payload: &job.payload,
            })
            .collect();
        let mut bytes = Vec::new();
        self.correlation += 1;
        Request::Submit(List::lent(&lent)).encode(self.correlation, &mut bytes);
        let (header, body) = split_frame(&bytes).unwrap();
        let sent = Sent { session: self.producer, what: What::Submit(jobs) };
        self.sent.insert(self.correlation, sent);
        let outcome = self.master.receive(self.producer, &header, body, self.now);
        self.follow();
        outcome.map(|()| self.correlation)
    }

    /// Takes in every reply that may leave.
    pub fn hear(&mut self) {
        if self.looks {
            self.hold_images();
        }
        for session in [self.producer, self.workers[0], self.workers[1]] {
            for (correlation, reply) in heard(&mut self.master, session) {
                let Some(sent) = self.sent.remove(&correlation) else { continue };
                self.take_in(sent.what, reply);
            }
        }
    }

    fn take_in(&mut self, what: What, reply: Heard) {
        match (what, reply) {
            (What::Submit(jobs), Heard::Submitted(items)) => {
                assert_eq!(jobs.len(), items.len());
                for (job, (id, duplicate)) in jobs.into_iter().zip(items) {
                    self.told.submitted(job, id, duplicate);
                }
            }
            (What::Poll, Heard::Jobs(jobs)) => {
                for got in jobs {
                    self.told.delivered(&got);
                    self.held.push(Held { job: got.job, lease: got.lease });
                }
            }
            (What::Ack(held), Heard::Items(items)) => {
                assert_eq!(held.len(), items.len());
                for (job, refused) in items {
                    self.told.ended(job, refused.is_none());
                }
            }
            (What::Submit(_), Heard::Error(code)) => self.refused(code),
            (What::Ack(held), Heard::Error(code)) => {
                self.refused(code);
                for held in &held {
                    self.told.ended(held.job, false);
                }
                self.held.extend(held);
            }
            (What::Fail(held) | What::Release(held), Heard::Error(code)) => {
                self.refused(code);
                self.held.extend(held);
            }
            (What::Other, Heard::Leases(leases)) => {
                self.held.retain(|held| !leases.contains(&(held.job, true)));
            }
            (What::Fail(_) | What::Release(_), Heard::Items(_)) | (What::Other, _) => {}
            (what, reply) => panic!("{what:?} was answered by {reply:?}"),
        }
    }

    fn refused(&mut self, code: ErrorCode) {
        assert_eq!(code, ErrorCode::StorageFull);
        self.full += 1;
    }
}
