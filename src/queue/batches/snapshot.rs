//! Batches in a snapshot: what is written of them, and the way back.
//!
//! When a snapshot is begun it takes hold of all batches as they are, which copies none of them; they are written
//! before the jobs, which are counted in them as they come back.

use std::sync::Arc;

use super::super::counters::{Counters, Tally};
use super::super::{Queues, Slice};
use super::Batch;
use crate::codec::{DecodeError, Fault, Field, Reader, message};
use crate::ids::{BatchId, JobId};
use crate::time::Timestamp;

/// The kinds of their blocks.
pub const KIND_BATCHES: u32 = 8;
pub const KIND_RUNS: u32 = 11;

/// Bytes after which a block is handed out.
const BLOCK_BYTES: usize = 64 << 10;

message! {
    /// One batch.
    BatchState<'a> {
        batch: BatchId;
        name: &'a str;
        since: JobId;
        known_ms: u64;
        sealed: bool;
        called_off: bool;
        admitted: JobId;
        tally: Tally;
        /// Until when it is known, if it is over.
        until: Timestamp;
    }
}

message! {
    /// Members whose ids follow one another.
    RunState {
        batch: BatchId;
        first: JobId;
        last: JobId;
    }
}

/// What a snapshot has still to write of batches, the first one last.
#[derive(Debug)]
pub struct BatchesLeft {
    states: Vec<(BatchId, Arc<Batch>)>,
    runs: Vec<(BatchId, Arc<Batch>)>,
    /// Runs of the last one that are written.
    written: usize,
}

impl BatchesLeft {
    /// The next block, if any is left.
    pub fn next_block(&mut self) -> Option<Slice> {
        let mut body = Vec::new();
        while body.len() < BLOCK_BYTES
            && let Some((id, batch)) = self.states.pop()
        {
            write(id, &batch, &mut body);
        }
        if !body.is_empty() {
            return Some(Slice::Block(KIND_BATCHES, body));
        }
        while body.len() < BLOCK_BYTES
            && let Some((id, batch)) = self.runs.last()
        {
            if let Some((first, last)) = batch.runs.get(self.written) {
                RunState { batch: *id, first: *first, last: *last }.write(&mut body);
                self.written += 1;
            } else {
                self.runs.pop();
                self.written = 0;
            }
        }
        (!body.is_empty()).then_some(Slice::Block(KIND_RUNS, body))
    }
}

fn write(id: BatchId, batch: &Batch, out: &mut Vec<u8>) {
    let state = BatchState {
        batch: id,
        name: &batch.name,
        since: batch.since,
        known_ms: batch.known_ms,
        sealed: batch.is_sealed,
        called_off: batch.is_called_off,
        admitted: batch.admitted,
        tally: batch.counters.tally(),
        until: batch.until.unwrap_or_default(),
    };
    state.write(out);
}

impl Queues {
    /// Takes hold of all batches as they are.
    pub(in super::super) fn hold_batches(&self) -> BatchesLeft {
        let all = self.batches.by_id.iter().rev();
        let states: Vec<_> = all.map(|(id, batch)| (*id, Arc::clone(batch))).collect();
        BatchesLeft { runs: states.clone(), states, written: 0 }
    }
}

impl Queues {
    /// Whether one is told to be over that is not, or the other way round.
    pub(in super::super) fn are_batches_torn(&self) -> bool {
        let ended = |batch: &Batch| {
            let Counters { completed, cancelled, expired, purged, dead, .. } = batch.counters;
            completed + cancelled + expired + purged + dead
        };
        let is_torn = |batch: &Batch| ended(batch) > batch.members || batch.until.is_some() != batch.is_over();
        self.batches.by_id.values().any(|batch| is_torn(batch))
    }
}

fn undefined(field: &'static str) -> DecodeError {
    DecodeError::new(field, Fault::Undefined)
}

/// Takes a block of batches in.
pub fn take_batches(queues: &mut Queues, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    while !reader.rest().is_empty() {
        let BatchState { batch: id, name, since, known_ms, sealed, called_off, admitted, tally, until } =
            BatchState::read(reader, "batch")?;
        let is_known = queues.batches.find(name).is_some() || queues.batches.get(id).is_some();
        if is_known || name.is_empty() || id > queues.batches.newest || (called_off && !sealed) {
            return Err(undefined("batch"));
        }
        let until = (until != Timestamp(0)).then_some(until);
        let batch = Batch {
            name: name.into(),
            since,
            known_ms,
            is_sealed: sealed,
            is_called_off: called_off,
            members: 0,
            counters: Counters::default().with_tally(tally),
            admitted,
            until,
            runs: Vec::new(),
        };
        queues.batches.ending.extend(until.map(|until| (until, id)));
        queues.batches.unfinished += usize::from(until.is_none());
        queues.batches.by_name.insert(name.into(), id);
        queues.batches.by_id.insert(id, batch.into());
    }
    Ok(())
}

/// Takes a block of runs of members in.
pub fn take_runs(queues: &mut Queues, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    while !reader.rest().is_empty() {
        let RunState { batch: id, first, last } = RunState::read(reader, "run")?;
        let is_taken =
            queues.batches.of(first).is_some() || queues.batches.runs.range(first..=last.max(first)).next().is_some();
        if first.0 == 0 || last < first || last >= queues.next_job || is_taken {
            return Err(undefined("run"));
        }
        let batch = queues.batches.get_mut(id).filter(|batch| batch.last() < first).ok_or_else(|| undefined("run"))?;
        batch.members += last.0 - first.0 + 1;
        batch.runs.push((first, last));
        queues.batches.runs.insert(first, (last, id));
    }
    Ok(())
}
