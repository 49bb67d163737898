//! State to bytes and back: a snapshot is taken in slices while the state goes on changing, and holds it exactly as it was
//! when the snapshot was begun.
//!
//! Jobs are visited slot by slot. One that is about to change before its slot was visited is written first, as it is
//! (copy on update; Cao et al., "Fast Checkpoint Recovery Algorithms for Frequently Consistent Applications", SIGMOD
//! 2011); one that came later has a higher id and is left out. So a replay goes on right behind the snapshot, and need not
//! know what a job has already seen. Queues and their counts are written when the snapshot is begun.
//!
//! Blocks, little-endian; "v" is a variable-length number, "d" such a number as the difference from the same field of the
//! job before in the block (from 0 for the first):
//!
//! | kind | block | body |
//! | ---: | --- | --- |
//! | 2 | queues | now u64, `next_job` u64, `back` u64, `front` u64, then for each queue: name text8 (empty: none), completed u64, cancelled u64 |
//! | 3 | jobs | for each: flags u8, id d, queue v; if `TRIED` attempts v; if `SET` priority u8, `max_attempts` v, `timeout_ms` v; if `PAYLOAD` epoch d, offset d, bytes v; if pending its order d; if delayed `due_at` d; if in flight lease d, `lease_ms` v, `last_deadline` v (0: none); if `KEY` text8; if `ERROR` text16 |
//! | 4 | keys | of ended jobs, for each: until u64, job u64, key text8 |
//!
//! Flags: bits 0 and 1 the state (0 pending, 1 delayed, 2 in flight, 3 dead), 4 `TRIED`, 8 `SET`, 16 `PAYLOAD`, 32 `KEY`, 64 `ERROR`.

use bytes::BufMut;

use super::Queues;
use super::counters::Counters;
use super::job::{Entry, State};
use crate::codec::PutExt;
use crate::ids::JobId;
use crate::limits::{ATTEMPTS_DEFAULT, PRIORITY_DEFAULT};
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

pub(super) const KIND_QUEUES: u32 = 2;
pub(super) const KIND_JOBS: u32 = 3;
pub(super) const KIND_KEYS: u32 = 4;

pub(super) const TRIED: u8 = 4;
pub(super) const SET: u8 = 8;
pub(super) const PAYLOAD: u8 = 16;
pub(super) const KEY: u8 = 32;
pub(super) const ERROR: u8 = 64;

/// Bytes after which a block of jobs is handed out.
const BLOCK_BYTES: usize = 64 << 10;

/// A part of a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub enum Slice {
    /// A block of this kind.
    Block(u32, Vec<u8>),
    /// Nothing to hand out yet; there is more to visit.
    Nothing,
    /// That was all.
    Done,
}

/// A snapshot that is being taken.
#[derive(Debug)]
pub struct Taking {
    /// Jobs from this one on came later.
    next_job: JobId,
    /// The next slot to visit, and the one after the last.
    slot: u32,
    slots_end: u32,
    /// Slots that were written before they were visited.
    written: Vec<u64>,
    /// Where the visit to the keys of ended jobs goes on.
    keys_from: (Timestamp, JobId),
    block: Vec<u8>,
    before: Before,
}

/// Fields of the job before, which the next one's are told by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    pub(super) id: u64,
    pub(super) epoch: u64,
    pub(super) offset: u64,
    pub(super) order: u64,
    pub(super) due_at: u64,
    pub(super) lease: u64,
}

/// `now`, and remembers it as `before`; returns what is written.
fn difference(before: &mut u64, now: u64) -> u64 {
    let difference = now.wrapping_sub(*before).cast_signed();
    *before = now;
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

/// The way back.
pub(super) fn sum(before: &mut u64, difference: u64) -> u64 {
    let signed = (difference >> 1).cast_signed() ^ -((difference & 1).cast_signed());
    *before = before.wrapping_add(signed.cast_unsigned());
    *before
}

impl Taking {
    fn is_written(&self, slot: u32) -> bool {
        self.written[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    fn take_block(&mut self) -> Slice {
        self.before = Before::default();
        Slice::Block(KIND_JOBS, std::mem::take(&mut self.block))
    }
}

impl Queues {
    /// Begins a snapshot of the state as it is now; returns its first block. One that is under way is given up.
    pub fn begin_snapshot(&mut self) -> Slice {
        let slots_end = self.table.slots_end();
        self.taking = Some(Box::new(Taking {
            next_job: self.next_job,
            slot: 0,
            slots_end,
            written: vec![0; slots_end.div_ceil(64) as usize],
            keys_from: (Timestamp(0), JobId(0)),
            block: Vec::new(),
            before: Before::default(),
        }));
        let mut body = Vec::new();
        for number in [self.now.0, self.next_job.0, self.back, self.front] {
            body.put_u64_le(number);
        }
        for (index, queue) in (0u32..).zip(&self.queues) {
            let is_known = self.by_name.get(&queue.name).is_some_and(|id| id.0 == index);
            // One that was only polled is volatile: no job names it.
            let is_used = is_known && queue.counters != Counters::default();
            body.put_text8(if is_used { &queue.name } else { "" });
            body.put_u64_le(queue.counters.completed);
            body.put_u64_le(queue.counters.cancelled);
        }
        Slice::Block(KIND_QUEUES, body)
    }

    /// Visits about `slots_max` further jobs or keys.
    ///
    /// # Panics
    /// When no snapshot is under way.
    pub fn snapshot_slice(&mut self, slots_max: u32) -> Slice {
        let mut taking = self.taking.take().expect("a snapshot is under way");
        let slice = self.next_slice(&mut taking, slots_max);
        if slice != Slice::Done {
            self.taking = Some(taking);
        }
        slice
    }

    /// Gives up the snapshot that is under way, if one is.
    pub fn give_up_snapshot(&mut self) {
        self.taking = None;
    }

    fn next_slice(&self, taking: &mut Taking, slots_max: u32) -> Slice {
        if taking.slot < taking.slots_end {
            let end = taking.slots_end.min(taking.slot + slots_max);
            while taking.slot < end && taking.block.len() < BLOCK_BYTES {
                let slot = taking.slot;
                if let Some(entry) = self.table.visit(slot)
                    && entry.id < taking.next_job
                    && !taking.is_written(slot)
                {
                    self.encode_job(entry, &mut taking.before, &mut taking.block);
                }
                taking.slot += 1;
            }
            let full = taking.block.len() >= BLOCK_BYTES || taking.slot == taking.slots_end;
            return if full && !taking.block.is_empty() { taking.take_block() } else { Slice::Nothing };
        }
        let mut body = Vec::new();
        for ((until, job), key) in self.keys.ended_from(taking.keys_from).take(slots_max as usize) {
            taking.keys_from = (until, JobId(job.0 + 1));
            // The key of a job that came later, or has ended since, is told by the replay.
            if job < taking.next_job {
                body.put_u64_le(until.0);
                body.put_u64_le(job.0);
                body.put_text8(key);
            }
        }
        if !body.is_empty() {
            return Slice::Block(KIND_KEYS, body);
        }
        if self.keys.ended_from(taking.keys_from).next().is_some() { Slice::Nothing } else { Slice::Done }
    }

    /// Writes a job that is about to change into the snapshot, as it is, if that has not visited it yet.
    pub(super) fn preserve(&mut self, slot: u32) {
        let Some(taking) = &self.taking else { return };
        let is_past = slot < taking.slot || slot >= taking.slots_end || taking.is_written(slot);
        if is_past || self.table[slot].id >= taking.next_job || is_planted(Bug::SnapshotSmeared) {
            return;
        }
        let Some(mut taking) = self.taking.take() else { return };
        taking.written[slot as usize / 64] |= 1 << (slot % 64);
        self.encode_job(&self.table[slot], &mut taking.before, &mut taking.block);
        self.taking = Some(taking);
    }

    fn encode_job(&self, entry: &Entry, before: &mut Before, out: &mut Vec<u8>) {
        let key = self.keys.key(entry.id);
        let error = self.errors.get(&entry.id);
        let plain = (PRIORITY_DEFAULT, ATTEMPTS_DEFAULT, 0);
        let is_plain = (entry.priority, entry.max_attempts, entry.timeout_ms) == plain;
        let flag = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
        out.put_u8(
            state_code(entry.state)
                | flag(TRIED, entry.attempts > 0)
                | flag(SET, !is_plain)
                | flag(PAYLOAD, entry.payload_bytes > 0)
                | flag(KEY, key.is_some())
                | flag(ERROR, error.is_some()),
        );
        out.put_varint(difference(&mut before.id, entry.id.0));
        out.put_varint(u64::from(entry.queue.0));
        if entry.attempts > 0 {
            out.put_varint(u64::from(entry.attempts));
        }
        if !is_plain {
            out.put_u8(entry.priority);
            out.put_varint(u64::from(entry.max_attempts));
            out.put_varint(u64::from(entry.timeout_ms));
        }
        if entry.payload_bytes > 0 {
            out.put_varint(difference(&mut before.epoch, u64::from(entry.payload_at.epoch)));
            out.put_varint(difference(&mut before.offset, u64::from(entry.payload_at.offset)));
            out.put_varint(u64::from(entry.payload_bytes));
        }
        match entry.state {
            State::Pending => out.put_varint(difference(&mut before.order, entry.order)),
            State::Delayed => out.put_varint(difference(&mut before.due_at, entry.due_at.0)),
            State::InFlight => {
                let lease = self.leases.lease(entry.lease);
                out.put_varint(difference(&mut before.lease, lease.id.0));
                out.put_varint(u64::from(lease.lease_ms));
                let has_end = lease.last_deadline < Timestamp(u64::MAX);
                out.put_varint(if has_end { lease.last_deadline.0 } else { 0 });
            }
            State::Dead => {}
        }
        if let Some(key) = key {
            out.put_text8(key);
        }
        if let Some(error) = error {
            out.put_text16(error);
        }
    }
}

fn state_code(state: State) -> u8 {
    match state {
        State::Pending => 0,
        State::Delayed => 1,
        State::InFlight => 2,
        State::Dead => 3,
    }
}
