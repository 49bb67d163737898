//! What the clients send and hear.

use falconqueue::ids::{JobId, LeaseId, SessionId};
use falconqueue::master::WalError;
use falconqueue::protocol::{Change, List, Request, Submit, SubmitJob};
use falconqueue::time::Timestamp;

use crate::frames::{Reply, STORAGE_FULL};
use crate::session::{heard, tell};

use super::mending::Asked;
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
    /// With what was sent as its result, and when.
    Ack(Vec<Held>, Sentence),
    Fail(Vec<Held>),
    Release(Vec<Held>),
    /// With whether the result must be there.
    Read(JobId, bool),
    Mend(Change, Vec<JobId>),
    Wait(Asked),
    /// Of a queue.
    Order,
    Other,
}

/// What was sent with an ack.
#[derive(Clone, Debug)]
pub struct Sentence {
    pub result: Vec<u8>,
    /// It may have been dropped.
    pub is_optional: bool,
    pub at: Timestamp,
}

impl Sim {
    /// Sends a request; nothing else happens.
    pub fn send(&mut self, session: SessionId, request: &Request<'_>, what: What) -> Result<u64, WalError> {
        self.correlation += 1;
        self.sent.insert(self.correlation, Sent { session, what });
        self.is_turned = false;
        let outcome = tell(&mut self.master, session, self.correlation, request, self.now);
        self.follow_closely();
        outcome.map(|()| self.correlation)
    }

    pub fn send_submit(&mut self, jobs: Vec<Submission>) -> Result<u64, WalError> {
        let copies = jobs.clone();
        let lent: Vec<SubmitJob<'_>> = copies.iter().map(Submission::lent).collect();
        self.send(self.producer, &Request::Submit(Submit { jobs: List::lent(&lent) }), What::Submit(jobs))
    }

    /// Takes in every reply that may leave.
    pub fn hear(&mut self) {
        if self.looks {
            self.hold_images();
        }
        // What was given before a cancel is heard before the answer to that.
        for session in [self.workers[0], self.workers[1], self.producer, self.watcher] {
            for (correlation, reply) in heard(&mut self.master, session) {
                let sent = self.sent.remove(&correlation);
                assert!(sent.is_some() || session != self.watcher, "a second answer: {reply:?}");
                let Some(sent) = sent else { continue };
                self.take_in(sent.what, reply);
            }
        }
    }

    fn take_in(&mut self, what: What, reply: Reply) {
        match (what, reply) {
            (What::Submit(jobs), Reply::SubmitOk(items)) => {
                assert_eq!(jobs.len(), items.len());
                for (job, item) in jobs.into_iter().zip(items) {
                    self.told.submitted(job, JobId(item.job), item.duplicate == 1);
                }
            }
            (What::Poll, Reply::PollOk(jobs)) => {
                for got in jobs {
                    self.told.delivered(&got);
                    self.held.push(Held { job: JobId(got.job), lease: LeaseId(got.lease) });
                }
            }
            (What::Ack(held, said), Reply::Done(_, items)) => {
                assert_eq!(held.len(), items.len());
                for (job, status) in items {
                    self.told.ended(JobId(job), (status == 0).then_some(&said));
                }
            }
            (What::Submit(_), Reply::Error { code, .. }) => self.submit_refused(code),
            (What::Ack(held, _), Reply::Error { code, .. }) => {
                for held in &held {
                    self.told.ended(held.job, None);
                }
                self.still_held(held, code);
            }
            (What::Fail(held) | What::Release(held), Reply::Error { code, .. }) => {
                self.still_held(held, code);
            }
            (What::Other, Reply::HeartbeatOk(leases)) => {
                let is_lost = |held: &Held| leases.iter().any(|(job, want, _)| *job == held.job.0 && *want == 1);
                self.held.retain(|held| !is_lost(held));
            }
            (What::Fail(_) | What::Release(_), Reply::Done(..)) | (What::Other, _) => {}
            (what, reply) => self.take_in_mending(what, reply),
        }
    }

    /// A report was refused.
    fn still_held(&mut self, held: Vec<Held>, code: u16) {
        self.refused(code);
        self.held.extend(held);
    }

    pub fn refused(&mut self, code: u16) {
        assert_eq!(code, STORAGE_FULL);
        self.full += 1;
    }
}
