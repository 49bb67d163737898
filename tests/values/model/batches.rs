//! What is asked of batches, held against the lists.

use super::Run;
use crate::frames::*;
use crate::lists::Batch;

/// Names of batches.
pub const BATCHES: [&str; 2] = ["one", "two"];

impl Run {
    fn of_batches(&mut self, request: &Request) -> Result<OfBatches, u16> {
        match self.hand.ask_frame(self.clients[0], request) {
            Reply::OfBatches(reply) => Ok(reply),
            Reply::Error { code, .. } => Err(code),
            other => panic!("{other:?}"),
        }
    }

    pub fn begin_batch(&mut self, name: usize) {
        let told = self.of_batches(&begin_batch(BATCHES[name]));
        let Some(known) = self.model.batch_named(name) else {
            let there = self.model.jobs.keys().next_back().copied().unwrap_or(0);
            self.model.batches.push(Batch { name, there, ..Batch::default() });
            return assert_eq!(told, Ok(OfBatches::Begun(0)));
        };
        let batch = &mut self.model.batches[known];
        if batch.is_sealed {
            return assert_eq!(told, Err(WRONG_STATE));
        }
        batch.alone_until = None;
        assert_eq!(told, Ok(OfBatches::Begun(batch.members.len() as u64)));
    }

    pub fn end_batch(&mut self, name: usize) {
        let told = self.of_batches(&end_batch(BATCHES[name]));
        let Some(known) = self.model.batch_named(name) else { return assert_eq!(told, Err(NOT_FOUND)) };
        let batch = &self.model.batches[known];
        if batch.is_called_off {
            return assert_eq!(told, Err(WRONG_STATE));
        }
        if !batch.is_sealed {
            self.model.seal(known);
        }
        assert_eq!(told, Ok(OfBatches::Done));
    }

    pub fn cancel_batch(&mut self, name: usize) {
        let told = self.of_batches(&cancel_batch(BATCHES[name]));
        let Some(known) = self.model.batch_named(name) else { return assert_eq!(told, Err(NOT_FOUND)) };
        let is_called_off = self.model.batches[known].is_called_off;
        if !is_called_off && self.model.is_batch_over(known) {
            return assert_eq!(told, Err(WRONG_STATE));
        }
        if !is_called_off {
            self.model.call_off(known);
        }
        assert_eq!(told, Ok(OfBatches::Done));
    }

    pub fn show_batch(&mut self, name: usize) {
        let told = self.of_batches(&show_batch(BATCHES[name], 0));
        let Some(known) = self.model.batch_named(name) else { return assert_eq!(told, Err(NOT_FOUND)) };
        let Ok(OfBatches::Show(facts)) = told else { panic!("{told:?}") };
        let batch = &self.model.batches[known];
        let (left, dead, failed) = self.model.counts_of(known);
        let state = (facts.sealed, facts.called_off, facts.members, facts.left);
        assert_eq!(state, (batch.is_sealed, batch.is_called_off, batch.members.len() as u64, left as u64));
        let failures = ["cancelled", "expired", "purged"].map(|name| facts.figure(name)).iter().sum::<u64>();
        assert_eq!((failures, facts.figure("dead")), (failed as u64, dead as u64));
        assert_eq!(facts.figure("completed"), facts.members - facts.left - failures - facts.figure("dead"));
    }

    /// The batch that jobs are submitted to, if one is named, and why it takes none, if so.
    pub fn batch_for(&self, name: Option<usize>) -> (Option<usize>, Option<u16>) {
        let Some(name) = name else { return (None, None) };
        match self.model.batch_named(name) {
            None => (None, Some(NOT_FOUND)),
            Some(known) if self.model.batches[known].is_sealed => (Some(known), Some(WRONG_STATE)),
            known => (known, None),
        }
    }
}
