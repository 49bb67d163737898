//! Decisions: one function a request. It looks at the state, decides events, and gives an answer back; it knows no
//! bytes and no sockets. Each takes the parts of the master that it needs, and no others.

mod admit;
mod batches;
mod explain;
mod explain_group;
mod follow_ups;
mod hello;
mod leases;
mod looks;
mod measures;
mod mend;
mod operate;
mod poll;
mod readings;
mod recent;
mod reports;
mod rules;
mod scans;
mod schedules;
mod storage;
mod stories;
mod submit;
mod upkeep;
mod waits;
mod workers;

pub(super) use hello::let_in;
pub(super) use leases::hold;
pub(super) use mend::Changing;
pub(super) use readings::answer_read;
pub(super) use reports::{cancelled, failed_until, kept_until};
pub(super) use stories::{story_bytes_max, write_story};
pub(super) use submit::{enqueue, forget_idle};

use super::answers::{Answer, Decided, Unanswered};
use super::sessions::Session;
use super::{Input, Master};
use crate::ids::{JobId, SessionId};
use crate::protocol::{
    Ack, Call, ErrorCode, Fail, Header, ItemStatus, LeaseStatus, List, Poll, Refusal, Release, Reported, Request,
    Submit, Submitted,
};
use crate::time::Timestamp;
use crate::wal::WalError;

/// Memory of answers and events, used again at each request.
#[derive(Debug, Default)]
pub struct Scratch {
    submitted: Vec<Submitted<'static>>,
    jobs: Vec<JobId>,
    statuses: Vec<ItemStatus>,
    leases: Vec<LeaseStatus>,
    /// Stories, the ones that are read and the ones that are written.
    pub(super) story_before: Vec<u8>,
    pub(super) story: Vec<u8>,
    /// A reply that borrows from the state, written.
    written: Vec<u8>,
}

impl Master {
    /// Takes what a session says.
    pub fn take(&mut self, id: SessionId, input: Input<'_>, now: Timestamp) -> Result<(), WalError> {
        match input {
            Input::Frame(header, body) => return self.receive(id, header, body, now),
            Input::BadHeader(bad) => self.refuse(id, bad.correlation, bad.refusal.clone()),
            Input::NoHello => {
                let is_silent = |session: &Session| !session.greeted && !session.closing;
                if self.sessions.session(id).is_some_and(is_silent) {
                    self.refuse(id, 0, Refusal::new(ErrorCode::HelloNeeded, "no Hello came in time"));
                }
            }
            Input::TooSlow(why) => {
                log::debug!("session {id}: {why}");
                self.refuse(id, 0, Refusal::new(ErrorCode::TooSlow, why));
            }
            Input::Ending => {
                if self.sessions.session(id).is_some_and(|session| !session.parked.is_empty()) {
                    self.ended.push(id);
                }
            }
            Input::Ended => {
                if let Some(session) = self.sessions.session_mut(id) {
                    session.closing = true;
                    self.ended.push(id);
                }
            }
            Input::Gone => self.disconnected(id, now),
        }
        Ok(())
    }

    /// Takes one frame of a session.
    #[inline]
    pub fn receive(&mut self, id: SessionId, header: &Header, body: &[u8], now: Timestamp) -> Result<(), WalError> {
        let Some(session) = self.sessions.session(id) else { return Ok(()) };
        if session.closing {
            return Ok(());
        }
        if let Some(worker) = session.worker {
            self.workers.heard(worker, now);
        }
        let mut scratch = self.scratch.take().expect("one request is decided at a time");
        let decided = self.decide(id, header, body, now, &mut scratch);
        let outcome = match decided {
            Ok(answer) => {
                answer.send(&mut self.sessions, id, header.correlation, self.journal.gate());
                Ok(())
            }
            Err(Unanswered::Refused(refusal)) => {
                log::debug!("session {id}: refused: {refusal}");
                self.refuse(id, header.correlation, refusal);
                Ok(())
            }
            Err(Unanswered::Fatal(error)) => Err(error),
        };
        self.scratch = Some(scratch);
        outcome
    }

    /// What a session asks for, if it may.
    #[inline]
    fn understood<'b>(&self, id: SessionId, header: &Header, body: &'b [u8]) -> Result<Request<'b>, Refusal> {
        let greeted = self.sessions.session(id).filter(|session| session.greeted);
        hello::first_look(greeted.is_some(), header.kind, body)?;
        let request = Request::decode(header.kind, body)?;
        greeted.map_or(Ok(()), |session| hello::hold_against_role(session, &request))?;
        Ok(request)
    }

    fn decide<'s>(
        &mut self,
        id: SessionId,
        header: &Header,
        body: &[u8],
        now: Timestamp,
        scratch: &'s mut Scratch,
    ) -> Decided<'s> {
        let request = self.understood(id, header, body)?;
        let journal = &mut self.journal;
        match request {
            Request::Hello(hello) => {
                let present = (&mut self.sessions, &mut self.workers);
                hello::hello(&self.config, present, id, &hello, now, &mut scratch.written)
            }
            Request::Submit(_) | Request::Poll(_) if self.stopping => Err(stopping().into()),
            Request::Submit(submit) => self.submit(id, &submit, now, scratch),
            Request::Poll(poll) => self.poll(id, header, &poll, now),
            Request::AckThen(then) => self.ack_then(id, &then, now, scratch),
            Request::Ack(Ack { items }) => self.report::<Ack<'_>, _>(items, now, scratch),
            Request::Fail(Fail { items }) => self.report::<Fail<'_>, _>(items, now, scratch),
            Request::Release(Release { items }) => self.report::<Release<'_>, _>(items, now, scratch),
            Request::Heartbeat(beat) => {
                let present = (&mut self.sessions, &mut self.workers);
                Ok(leases::heartbeat(journal, present, id, &beat, now, scratch))
            }
            figures @ (Request::Stats(_) | Request::Measure(_) | Request::Storage(_) | Request::Recent(_)) => {
                Ok(self.figures(&figures, now, &mut scratch.written))
            }
            Request::Snapshot(_) => self.snapshot(id, header, now),
            Request::Backup(_) => upkeep::backup(journal, &mut self.keeping, id, now, &mut scratch.written),
            Request::Read(read) => upkeep::read(&mut self.keeping, id, &read, now),
            Request::Get(get) => self.get(id, header, get, now, &mut scratch.written),
            Request::Log(log) => self.log(id, header, log, now),
            Request::Progress(progress) => {
                leases::progress((journal, &mut self.parked.waits), &progress, now, &mut scratch.written)
            }
            other => self.operate((id, header), &other, now, scratch),
        }
    }

    /// What is told of the master as a whole.
    fn figures<'s>(&mut self, asked: &Request<'_>, now: Timestamp, written: &'s mut Vec<u8>) -> Answer<'s> {
        match asked {
            Request::Recent(ask) => recent::recent(&mut self.journal, *ask, now, written),
            Request::Measure(_) => measures::measure(self, now, written),
            Request::Storage(_) => storage::storage(self, written),
            _ => looks::stats(self, now, written),
        }
    }

    fn snapshot(&mut self, id: SessionId, header: &Header, now: Timestamp) -> Decided<'static> {
        let number = upkeep::snapshot(&self.journal, &mut self.parked, &mut self.keeping, id, header, now)?;
        Ok(self.park(id, number))
    }

    fn submit<'s>(
        &mut self,
        id: SessionId,
        submit: &Submit<'_>,
        now: Timestamp,
        scratch: &'s mut Scratch,
    ) -> Decided<'s> {
        let held_back = self.admit(submit, now)?;
        if let Some(batch) = submit.batch.and_then(|name| self.journal.queues.batch_named(name)) {
            self.fillers.fills(id, batch);
        }
        submit::submit(&mut self.journal, &self.config, (submit, held_back), now, scratch)
    }

    /// Refuses jobs that the master, or their queue, does not take now; gives how many will be held back.
    pub(super) fn admit(&mut self, submit: &Submit<'_>, now: Timestamp) -> Result<usize, Unanswered> {
        if self.draining {
            let text = "the master drains and takes no jobs; `falcon-cli drain --off` ends it";
            return Err(Refusal::new(ErrorCode::QueuePaused, text).into());
        }
        self.admit_while_draining(submit, now)
    }

    /// The same of jobs that are taken while the master drains: those that follow from one that is there.
    fn admit_while_draining(&mut self, submit: &Submit<'_>, now: Timestamp) -> Result<usize, Unanswered> {
        if self.config.memory_max.is_some_and(|max| self.memory.own_bytes >= max) {
            let text = "no memory for more jobs (--memory-max); polls and reports go on, try again later";
            return Err(Refusal::new(ErrorCode::MemoryFull, text).into());
        }
        batches::hold_against_batch(&self.journal, submit)?;
        let held_back = admit::hold_against(&self.journal, submit)?;
        submit::make_room_for_names(&mut self.journal, &self.parked, submit, now)?;
        Ok(held_back)
    }

    fn poll(&mut self, id: SessionId, header: &Header, poll: &Poll<'_>, now: Timestamp) -> Decided<'static> {
        let lines = (&mut self.parked, &mut self.dispatch);
        let number = poll::poll(&mut self.journal, lines, id, header, poll, now, &mut self.named)?;
        let queues = &self.journal.queues;
        workers::note_poll(&mut self.workers, &mut self.sessions, id, queues, &self.named, now);
        Ok(self.park(id, number))
    }

    fn park(&mut self, id: SessionId, number: u32) -> Answer<'static> {
        if let Some(session) = self.sessions.session_mut(id) {
            session.parked.push(number);
        }
        Answer::Parked
    }

    /// Takes a report, the items of a request of type `R`.
    fn report<'s, 'a, R, T>(&mut self, items: List<'a, T>, now: Timestamp, scratch: &'s mut Scratch) -> Decided<'s>
    where
        R: Call<'s, Reply = Reported<'s>>,
        T: reports::Item<'a>,
    {
        let policy = reports::Policy { random: &mut self.random, key_window: self.config.key_window, now };
        reports::Reporting { journal: &mut self.journal, policy }.report(items, scratch)?;
        let Scratch { statuses, written, .. } = scratch;
        Ok(Answer::told::<R>(&Reported { items: List::lent(statuses) }, written))
    }
}

pub(super) fn stopping() -> Refusal {
    Refusal::new(ErrorCode::ShuttingDown, "the master is stopping; try again soon")
}
