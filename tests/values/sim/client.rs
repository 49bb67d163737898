//! What the clients send and hear.

use falconqueue::ids::{JobId, LeaseId, SessionId};
use falconqueue::master::WalError;
use falconqueue::protocol::{Change, Request, Submit, SubmitJob};
use falconqueue::rules::QueueSettings;
use falconqueue::time::Timestamp;

use crate::frames::{Delivery, LEASE_LOST, Reply, STORAGE_FULL, Submitted};
use crate::session::{heard, tell};
use crate::truth::batches::Seen;
use crate::truth::print;

use super::batches::AskedOf;
use super::follow_ups::Then;
use super::mending::Asked;
use super::orders::order_told;
use super::rules::Setting;
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
    /// With the batch that they are to be members of, and what is known of it.
    Submit(Vec<Submission>, Option<Joining>),
    Poll,
    /// With what was sent as its result, and when.
    Ack(Vec<Held>, Sentence),
    /// With jobs that follow.
    AckThen(Then),
    Fail(Vec<Held>),
    Release(Vec<Held>),
    /// With whether the result must be there.
    Read(JobId, bool),
    Mend(Change, Vec<JobId>),
    Wait(Asked),
    OfBatch(AskedOf),
    /// Of a queue.
    Order,
    Set(Setting),
    SetGroup,
    /// With what must be shown.
    Show(QueueSettings),
    Drain,
    /// To workers, with how many there are.
    Tell(u32),
    /// With what must be told to the worker, and the leases that it named.
    Beat(Option<u8>, Vec<Held>),
}

/// The batch of a submit, as it was when that was sent.
#[derive(Debug)]
pub struct Joining {
    pub name: &'static str,
    pub seen: Option<Seen>,
}

impl Joining {
    pub fn is_open(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| !seen.is_sealed)
    }
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
        if self.net.is_broken(session) {
            return Ok(self.correlation);
        }
        self.net.heard(session, self.now);
        if let (What::Poll, Some(worker)) = (&self.sent[&self.correlation].what, self.crew.workers.get_mut(&session)) {
            worker.has_polled = true;
        }
        let outcome = tell(&mut self.master, session, self.correlation, request, self.now);
        self.follow_closely();
        outcome.map(|()| self.correlation)
    }

    pub fn send_submit(&mut self, jobs: Vec<Submission>) -> Result<u64, WalError> {
        self.submit_to(jobs, None)
    }

    /// Submits jobs as members of this batch.
    pub fn submit_to(&mut self, jobs: Vec<Submission>, batch: Option<&'static str>) -> Result<u64, WalError> {
        let into = batch.map(|name| Joining { name, seen: self.see_batch(name) });
        let seen = into.as_ref().and_then(|into| into.seen.clone());
        self.told.submitting(&jobs);
        let copies = jobs.clone();
        let lent: Vec<SubmitJob<'_>> = copies.iter().map(Submission::lent).collect();
        if self.settled.is_draining && !self.net.is_broken(self.producer) {
            self.settled.drained.insert(self.correlation + 1);
        }
        let submit = Request::Submit(Submit { batch, ..Submit::of(&lent) });
        let number = self.send(self.producer, &submit, What::Submit(jobs, into))?;
        if let Some(name) = batch.filter(|_| !self.net.is_broken(self.producer)) {
            self.has_filled(self.producer, name, seen.as_ref());
        }
        Ok(number)
    }

    /// Takes in every reply that may leave.
    pub fn hear(&mut self) {
        if self.looks {
            self.hold_images();
        }
        // What was given before a cancel is heard before the answer to that.
        for session in [self.workers[0], self.workers[1], self.producer, self.watcher] {
            if !self.net.is_there(session) {
                continue;
            }
            let is_late = self.net.late.remove(&session);
            for (correlation, reply) in heard(&mut self.master, session) {
                let sent = self.sent.remove(&correlation);
                assert!(sent.is_some() || session != self.watcher, "a second answer: {reply:?}");
                let Some(sent) = sent else { continue };
                let is_taken = matches!(reply, Reply::SubmitOk(_));
                assert!(!(self.settled.drained.remove(&correlation) && is_taken), "jobs were taken in a drain");
                self.take_in(session, sent.what, reply, is_late);
            }
        }
    }

    fn take_in(&mut self, session: SessionId, what: What, reply: Reply, is_late: bool) {
        match (what, reply) {
            (What::Submit(jobs, into), Reply::SubmitOk(items)) => self.are_submitted(jobs, into.as_ref(), items),
            (What::Poll, Reply::PollOk(jobs)) => {
                for got in jobs {
                    self.told.delivered(&got, is_late);
                    self.is_given(&got);
                    self.held.push(Held { job: JobId(got.job), lease: LeaseId(got.lease) });
                }
            }
            (What::Ack(held, said), Reply::Done(_, items)) => {
                assert_eq!(held.len(), items.len());
                self.is_reported(&held, &items);
                for (job, status) in items {
                    self.told.ended(JobId(job), (status == 0).then_some(&said));
                }
            }
            (What::Submit(jobs, into), Reply::Error { code, .. }) => {
                self.submit_refused(&jobs, (into.as_ref(), code));
            }
            (What::AckThen(then), reply) => self.told_of_then(then, reply),
            (What::OfBatch(asked), reply) => self.told_of_batch(&asked, reply),
            (What::Ack(held, _), Reply::Error { code, .. }) => {
                for held in &held {
                    self.told.ended(held.job, None);
                }
                self.still_held(held, code);
            }
            (What::Fail(held) | What::Release(held), Reply::Error { code, .. }) => {
                self.still_held(held, code);
            }
            (What::Beat(order, held), reply) => self.take_in_beat(session, &held, order, reply),
            (What::Fail(held) | What::Release(held), Reply::Done(_, items)) => self.is_reported(&held, &items),
            (what @ (What::Set(_) | What::SetGroup | What::Show(_) | What::Drain), reply) => {
                self.take_in_rule(what, reply);
            }
            (What::Tell(count), reply) => order_told(count, &reply),
            (what, reply) => self.take_in_mending(what, reply),
        }
    }

    fn are_submitted(&mut self, jobs: Vec<Submission>, into: Option<&Joining>, items: Vec<Submitted>) {
        assert!(into.is_none_or(Joining::is_open), "jobs were taken into {into:?}");
        assert_eq!(jobs.len(), items.len());
        for (job, item) in jobs.into_iter().zip(items) {
            let (id, duplicate) = (JobId(item.job), item.duplicate == 1);
            self.told.submitted(job.clone(), id, duplicate);
            self.accepted_as_asked(&job, id, duplicate);
        }
    }

    /// A job is only given as the log says.
    fn is_given(&self, got: &Delivery) {
        let Some(fate) = self.history.truth.of(got.job) else { return };
        let payload = fate.leases.get(&LeaseId(got.lease));
        assert!(payload.is_some(), "job {} was given without a DISPATCH", got.job);
        assert_eq!(payload, Some(&print(&got.payload)), "the payload of job {} is another one", got.job);
        assert_eq!((&*got.queue, &*got.group, got.attempt > 0), (&*fate.queue, &*fate.group, true));
    }

    /// A lease is told to be lost only when it is, and an end to be done only under its lease.
    pub fn is_reported(&self, held: &[Held], items: &[(u64, u16)]) {
        for (held, (job, status)) in held.iter().zip(items) {
            assert_eq!(held.job.0, *job);
            let Some(fate) = self.history.truth.of(*job) else { continue };
            assert!(*status != LEASE_LOST || fate.lease != Some(held.lease), "job {job} is told to be lost: {fate:?}");
            assert!(*status != 0 || fate.lease != Some(held.lease), "job {job} was reported, and goes on: {fate:?}");
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
