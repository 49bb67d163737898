//! What the clients send and hear.

use falconqueue::ids::{JobId, LeaseId, SessionId};
use falconqueue::master::WalError;
use falconqueue::protocol::{List, Request, Submit, SubmitJob};

use crate::frames::{Reply, STORAGE_FULL};
use crate::session::{heard, tell};

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

impl Sim {
    /// Sends a request; nothing else happens.
    pub fn send(&mut self, session: SessionId, request: &Request<'_>, what: What) -> Result<u64, WalError> {
        self.correlation += 1;
        self.sent.insert(self.correlation, Sent { session, what });
        let outcome = tell(&mut self.master, session, self.correlation, request, self.now);
        self.follow();
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
        for session in [self.producer, self.workers[0], self.workers[1]] {
            for (correlation, reply) in heard(&mut self.master, session) {
                let Some(sent) = self.sent.remove(&correlation) else { continue };
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
            (What::Ack(held), Reply::Done(_, items)) => {
                assert_eq!(held.len(), items.len());
                for (job, status) in items {
                    self.told.ended(JobId(job), status == 0);
                }
            }
            (What::Submit(_), Reply::Error { code, .. }) => self.refused(code),
            (What::Ack(held), Reply::Error { code, .. }) => {
                for held in &held {
                    self.told.ended(held.job, false);
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
            (what, reply) => panic!("{what:?} was answered by {reply:?}"),
        }
    }

    /// A report was refused.
    fn still_held(&mut self, held: Vec<Held>, code: u16) {
        self.refused(code);
        self.held.extend(held);
    }

    fn refused(&mut self, code: u16) {
        assert_eq!(code, STORAGE_FULL);
        self.full += 1;
    }
}
