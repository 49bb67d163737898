//! Batches: begun, sealed, looked at and waited for, called off.

use super::super::Master;
use super::super::answers::{Answer, Decided, Unanswered};
use super::super::journal::Journal;
use super::super::parked::Wish;
use super::looks::figures;
use super::rules::done;
use super::waits::{Waited, caller};
use crate::ids::{BatchId, SessionId};
use crate::limits::{BATCHES_MAX, RECORD_OVERHEAD_BYTES_MAX};
use crate::planted::{Bug, is_planted};
use crate::protocol::{
    BatchFacts, BatchRow, BeginBatch, BeginBatchOk, CancelBatch, EndBatch, ErrorCode, Figure, Header, List,
    ListBatches, ListBatchesOk, Refusal, Reply, Request, ShowBatch, Submit,
};
use crate::queue::events::{Begin, CallOff, End};
use crate::queue::{Batch, Event};
use crate::time::Timestamp;
use crate::wal::WalError;

impl Master {
    pub(super) fn batches<'s>(
        &mut self,
        (id, header): (SessionId, &Header),
        request: &Request<'_>,
        now: Timestamp,
        written: &'s mut Vec<u8>,
    ) -> Decided<'s> {
        let by = self.sessions.session(id).map(|session| session.name.to_string()).unwrap_or_default();
        match request {
            Request::BeginBatch(BeginBatch { batch }) => {
                let members = self.begin_batch(batch, (id, &by), now)?;
                Ok(Answer::told::<BeginBatch<'_>>(&BeginBatchOk { members }, written))
            }
            Request::EndBatch(EndBatch { batch }) => {
                let batch = known(&self.journal, batch)?;
                if self.journal.queues.batch(batch).is_some_and(|batch| batch.is_called_off) {
                    return Err(called_off(&self.journal, batch).into());
                }
                if self.journal.queues.batch(batch).is_some_and(|batch| !batch.is_sealed) {
                    self.seal(now, batch, &End { batch, by: Some(&by) }.into())?;
                }
                Ok(done::<EndBatch<'_>>(written))
            }
            Request::CancelBatch(CancelBatch { batch }) => {
                let batch = known(&self.journal, batch)?;
                self.cancel_batch(batch, &by, now)?;
                Ok(done::<CancelBatch<'_>>(written))
            }
            Request::ShowBatch(show) => {
                let waited = self.show_batch((id, header), show, now, written)?;
                Ok(self.waited(id, waited))
            }
            Request::ListBatches(list) => Ok(self.list_batches(*list, written)),
            other => unreachable!("{} is decided before", other.kind()),
        }
    }

    /// Begins a batch, or goes on with an open one; says how many members it has.
    fn begin_batch(&mut self, name: &str, (id, by): (SessionId, &str), now: Timestamp) -> Result<u64, Unanswered> {
        let queues = &self.journal.queues;
        if let Some(batch) = queues.batch_named(name) {
            let members = is_open(&self.journal, batch)?.members;
            self.fillers.fills(id, batch);
            return Ok(members);
        }
        if queues.batches() >= BATCHES_MAX {
            let text = format!(
                "{BATCHES_MAX} batches are known, and no more may be; one is forgotten when it is over and the key \
                 window has passed"
            );
            return Err(Refusal::new(ErrorCode::TooManyBatches, text).into());
        }
        // Its own, and what is then kept to seal it or to call it off.
        if !self.journal.has_room(4 * RECORD_OVERHEAD_BYTES_MAX, 0, now)? {
            let text = "no room in the log: no log segment can be made; jobs go on";
            return Err(Refusal::new(ErrorCode::StorageFull, text).into());
        }
        let batch = BatchId(self.journal.queues.newest_batch().0 + 1);
        let known_ms = self.config.key_window.0;
        self.journal.record_alone(now, &Begin { batch, name, known_ms, by: Some(by) }.into())?;
        self.fillers.fills(id, batch);
        Ok(0)
    }

    /// Writes that a batch takes no members any more. Its room was kept when it was begun.
    fn seal(&mut self, now: Timestamp, batch: BatchId, event: &Event<'_>) -> Result<(), WalError> {
        self.journal.record_alone(now, event)?;
        self.fillers.sealed(batch);
        Ok(())
    }

    fn cancel_batch(&mut self, batch: BatchId, by: &str, now: Timestamp) -> Result<(), Unanswered> {
        let Some(known) = self.journal.queues.batch(batch) else { return Ok(()) };
        if known.is_called_off {
            return Ok(());
        }
        if known.is_over() {
            let text = format!("batch {:?} is over: all its members have ended", known.name);
            return Err(Refusal::new(ErrorCode::WrongState, text).into());
        }
        Ok(self.seal(now, batch, &CallOff { batch, by: Some(by) }.into())?)
    }

    /// Calls off the batches that nobody fills any more.
    pub(in super::super) fn call_off_abandoned(&mut self, now: Timestamp) -> Result<(), WalError> {
        while let Some(batch) = self.fillers.first_due(now).filter(|_| !is_planted(Bug::BatchKeptOpen)) {
            log::warn!("batch {batch} is called off: nobody filled it any more, and it was not ended");
            self.seal(now, batch, &CallOff { batch, by: None }.into())?;
        }
        Ok(())
    }

    /// Answers with how far a batch is, once it is over or the wait is.
    fn show_batch<'s>(
        &mut self,
        (id, header): (SessionId, &Header),
        show: &ShowBatch<'_>,
        now: Timestamp,
        written: &'s mut Vec<u8>,
    ) -> Result<Waited<'s>, Refusal> {
        let batch = known(&self.journal, show.batch)?;
        let batch = self.journal.queues.batch(batch).filter(|batch| batch.is_over() || show.wait_ms == 0);
        if let Some(batch) = batch {
            let figures = figures(&batch.counters);
            return Ok(Waited::Answered(Answer::told::<ShowBatch<'_>>(&facts(batch, &figures), written)));
        }
        let number = self.parked.park(caller(id, header, show.wait_ms, now), Wish::Idle, &[]);
        self.parked.waits.add_batch(number, show.batch);
        Ok(Waited::Parked(number))
    }

    fn list_batches<'s>(&self, list: ListBatches<'_>, written: &'s mut Vec<u8>) -> Answer<'s> {
        let limit = usize::from(list.limit);
        let found = self.journal.queues.batches_behind(list.behind, limit + 1);
        let rows: Vec<BatchRow<'_>> = found.iter().take(limit).map(|batch| row(batch)).collect();
        let reply = ListBatchesOk { batches: List::lent(&rows), more: found.len() > limit };
        Answer::told::<ListBatches<'_>>(&reply, written)
    }
}

/// What is told of a batch that was waited for.
pub(super) fn batch_reply<R>(journal: &Journal, name: &str, told: impl FnOnce(&Reply<'_>) -> R) -> R {
    let batch = journal.queues.batch_named(name).and_then(|id| journal.queues.batch(id));
    let Some(batch) = batch else { return told(&Reply::Error(no_batch(name))) };
    let figures = figures(&batch.counters);
    told(&Reply::ShowBatchOk(facts(batch, &figures)))
}

fn facts<'b>(batch: &'b Batch, figures: &'b [Figure<'b>]) -> BatchFacts<'b> {
    BatchFacts {
        name: &batch.name,
        sealed: batch.is_sealed,
        called_off: batch.is_called_off,
        members: batch.members,
        left: batch.open(),
        figures: List::lent(figures),
    }
}

fn row(batch: &Batch) -> BatchRow<'_> {
    BatchRow {
        name: &batch.name,
        sealed: batch.is_sealed,
        called_off: batch.is_called_off,
        members: batch.members,
        left: batch.open(),
        failed: batch.failed_for_good() + batch.counters.dead,
    }
}

fn no_batch(name: &str) -> Refusal {
    let text = format!(
        "there is no batch {name:?}: it was not begun, or is over and forgotten; `falcon-cli batch list` shows all"
    );
    Refusal::new(ErrorCode::NotFound, text)
}

pub(super) fn known(journal: &Journal, name: &str) -> Result<BatchId, Refusal> {
    journal.queues.batch_named(name).ok_or_else(|| no_batch(name))
}

fn called_off(journal: &Journal, batch: BatchId) -> Refusal {
    let name = journal.queues.batch(batch).map(|batch| &*batch.name).unwrap_or_default();
    let text =
        format!("batch {name:?} is cancelled: by somebody, or since nobody filled it for 60 s; take another name");
    Refusal::new(ErrorCode::WrongState, text)
}

fn is_open(journal: &Journal, id: BatchId) -> Result<&Batch, Refusal> {
    match journal.queues.batch(id) {
        Some(batch) if batch.is_called_off => Err(called_off(journal, id)),
        Some(batch) if batch.is_sealed => {
            let text = format!("batch {:?} has ended and takes no more jobs; take another name", batch.name);
            Err(Refusal::new(ErrorCode::WrongState, text))
        }
        Some(batch) => Ok(batch),
        None => Err(no_batch("")),
    }
}

/// Refuses jobs of a batch that takes none.
pub(super) fn hold_against_batch(journal: &Journal, submit: &Submit<'_>) -> Result<(), Refusal> {
    let Some(name) = submit.batch else { return Ok(()) };
    let id = known(journal, name)?;
    is_open(journal, id).map(drop)
}
