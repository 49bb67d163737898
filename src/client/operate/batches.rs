//! Batches: named sets of jobs that are handed out once all of them are there.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::{Client, ClientError, Submitted};
use crate::limits::{BATCHES_TOLD_MAX, WAIT_MS_MAX};
use crate::protocol::{BatchFacts, BeginBatch, CancelBatch, EndBatch, List, ListBatches, ShowBatch, Submit, SubmitJob};

/// How far a batch is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchState {
    /// Its name.
    pub name: String,
    /// Whether all its members are there.
    pub sealed: bool,
    /// Whether it was cancelled, or nobody filled it any more.
    pub called_off: bool,
    /// How many jobs it has, or had.
    pub members: u64,
    /// How many of them have not ended.
    pub left: u64,
    /// Its members by where they stand (`pending`, `in_flight`, …), and what they came to (`completed`, `cancelled`,
    /// …).
    pub figures: BTreeMap<String, u64>,
}

impl BatchState {
    /// Whether all its members are there and have ended.
    pub fn is_over(&self) -> bool {
        self.sealed && self.left == 0
    }

    /// How many members have ended and did not complete.
    pub fn failed(&self) -> u64 {
        let count = |name: &str| self.figures.get(name).copied().unwrap_or(0);
        count("dead") + count("cancelled") + count("expired") + count("purged")
    }
}

/// What a list tells of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBatch {
    /// Its name.
    pub name: String,
    /// Whether all its members are there.
    pub sealed: bool,
    /// Whether it was cancelled, or nobody filled it any more.
    pub called_off: bool,
    /// How many jobs it has, or had.
    pub members: u64,
    /// How many of them have not ended.
    pub left: u64,
    /// How many have, and did not complete.
    pub failed: u64,
}

impl Client {
    /// Begins a batch, or goes on filling one that is open; says how many members it has. Once no connection that
    /// filled it is there for 60 s, it is cancelled. `Refused` by `WrongState` if it has ended.
    pub fn begin_batch(&self, batch: &str) -> Result<u64, ClientError> {
        Ok(self.ask(BeginBatch { batch })?.read::<BeginBatch<'_>>()?.members)
    }

    /// Submits jobs, all or none, as members of an open batch: they wait until it is ended. Jobs whose keys others hold
    /// are no members.
    pub fn submit_to_batch(&self, batch: &str, jobs: &[SubmitJob<'_>]) -> Result<Vec<Submitted>, ClientError> {
        let answer = self.ask(Submit { jobs: List::lent(jobs), batch: Some(batch) })?;
        Ok(answer.read::<Submit<'_>>()?.jobs.iter().map(Into::into).collect())
    }

    /// All members are there: they may be handed out from now on.
    pub fn end_batch(&self, batch: &str) -> Result<(), ClientError> {
        self.ask(EndBatch { batch })?.read::<EndBatch<'_>>().map(drop)
    }

    /// How far a batch is. `Refused` by `NotFound` if it was not begun, or is over and forgotten.
    pub fn batch(&self, batch: &str) -> Result<BatchState, ClientError> {
        self.wait_for_batch(batch, Duration::ZERO)
    }

    /// The same once it is over, or after this wait, of up to 5 minutes.
    pub fn wait_for_batch(&self, batch: &str, wait: Duration) -> Result<BatchState, ClientError> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).min(WAIT_MS_MAX);
        let answer = self.begin(ShowBatch { batch, wait_ms }, wait)?.wait()?;
        let BatchFacts { name, sealed, called_off, members, left, figures } = answer.read::<ShowBatch<'_>>()?;
        let figures = figures.iter().map(|figure| (figure.name.to_owned(), figure.value)).collect();
        Ok(BatchState { name: name.to_owned(), sealed, called_off, members, left, figures })
    }

    /// Cancels all members of a batch that have not ended.
    pub fn cancel_batch(&self, batch: &str) -> Result<(), ClientError> {
        self.ask(CancelBatch { batch })?.read::<CancelBatch<'_>>().map(drop)
    }

    /// Batches behind this name (empty for all), in the order of their names, and whether there are more.
    pub fn list_batches(&self, behind: &str) -> Result<(Vec<ListedBatch>, bool), ClientError> {
        let answer = self.ask(ListBatches { behind, limit: BATCHES_TOLD_MAX as u16 })?;
        let page = answer.read::<ListBatches<'_>>()?;
        let rows = page.batches.iter().map(|row| ListedBatch {
            name: row.name.to_owned(),
            sealed: row.sealed,
            called_off: row.called_off,
            members: row.members,
            left: row.left,
            failed: row.failed,
        });
        Ok((rows.collect(), page.more))
    }
}
