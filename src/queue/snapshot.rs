//! State to bytes and back: a snapshot is taken in slices while the state goes on changing, and holds it exactly as
//! it was when the snapshot was begun.
//!
//! Jobs are visited slot by slot. One that is about to change before its slot was visited is written first, as it is
//! (copy on update; Cao et al., "Fast Checkpoint Recovery Algorithms for Frequently Consistent Applications", SIGMOD
//! 2011); one that came later has a higher id and is left out. So a replay goes on right behind the snapshot, and
//! need not know what a job has already seen. Queues and their counts are written when the snapshot is begun.
//!
//! Blocks, little-endian; "v" is a variable-length number, "d" such a number as the difference from the same field
//! of the job before in the block (from 0 for the first):
//!
//! | kind | block | body |
//! | ---: | --- | --- |
//! | 2 | queues | [`Head`], then a [`QueueState`] for each id of a queue |
//! | 3 | jobs | for each the parts below, those without a flag always |
//! | 4 | keys | a [`EndedKey`] for each key of a job that is gone |
//! | 5 | groups | a [`GroupState`] for each group |
//! | 6 | settings | a [`GroupRule`] for each group that has settings of its own |
//! | 7 | tombstones | a [`Tombstone`](super::after::Tombstone) for each |
//! | 8, 11 | batches, their members | see `batches`; before those of jobs |
//! | 10 | schedules | see `schedules`; before those of jobs |
//!
//! | part of a job | fields |
//! | --- | --- |
//! | always | flags v, id d, queue v (its place among the queues), submitted at d |
//! | `GROUPED` | group v (the number of its [`GroupState`]) |
//! | `TRIED` | attempts v |
//! | `SET` | priority u8, `max_attempts` v, `timeout_ms` v |
//! | `PAYLOAD` | epoch d, offset d, bytes v |
//! | it is pending | order d |
//! | it is delayed | `due_at` d |
//! | it waits for others | its delay in ms v |
//! | it is leased | lease d, `lease_ms` v, given at d, order d, worker text |
//! | `KEY` | key text, digest u64, how long it is held u8, until when v (0 before that is known) |
//! | `PAST` | ended at d, ending u8 or 0, epoch d, offset d, bytes v of the story or the result |
//! | it has ended | kept until v, 0 for until somebody acts |
//! | `KEEP` | how long it wants to be kept, in seconds v |
//! | `RARE` | headers' epoch, offset, bytes v; first and longest backoff in ms v (0: none); expires at v (0: never) |
//! | `AFTER` | how many it waits or has waited for v, each u64; if one fails u8; whether it wants results u8 |
//!
//! Flags: bits 0 to 3 where the job stands, then `TRIED`, `SET`, `PAYLOAD`, `KEY`, `PAST`, `KEEP`, `RARE`,
//! `CANCELLED` for a job in flight that somebody cancelled, `GROUPED` and `AFTER`. A bit or a kind that is not here is
//! of a later version, and refused.

mod jobs;

use super::Queues;
use super::counters::Tally;
use super::deadlines::NIL;
use super::groups::LevelState;
use super::keys::HeldKey;
use super::registry::Queue;
use super::ruling::Paused;
use crate::codec::Field;
use crate::codec::message;
use crate::ids::{BatchId, JobId};
use crate::planted::{Bug, is_planted};
use crate::rules::{GroupSettings, QueueSettings};
use crate::time::Timestamp;

pub(super) const KIND_QUEUES: u32 = 2;
pub(super) const KIND_JOBS: u32 = 3;
pub(super) const KIND_KEYS: u32 = 4;
pub(super) const KIND_GROUPS: u32 = 5;
pub(super) const KIND_GROUP_RULES: u32 = 6;
pub(super) const KIND_TOMBSTONES: u32 = 7;

pub(super) const STANDING: u64 = 15;
pub(super) const TRIED: u64 = 16;
pub(super) const SET: u64 = 32;
pub(super) const PAYLOAD: u64 = 64;
pub(super) const KEY: u64 = 128;
pub(super) const PAST: u64 = 256;
pub(super) const KEEP: u64 = 512;
pub(super) const RARE: u64 = 1024;
pub(super) const CANCELLED: u64 = 2048;
pub(super) const GROUPED: u64 = 4096;
pub(super) const AFTER: u64 = 8192;
pub(super) const FLAGS_KNOWN: u64 =
    STANDING | TRIED | SET | PAYLOAD | KEY | PAST | KEEP | RARE | CANCELLED | GROUPED | AFTER;

message! {
    /// What belongs to no queue.
    Head {
        now: Timestamp;
        next_job: JobId;
        /// The newest place given at the back of a line.
        back: u64;
        /// The newest place given at the front of one.
        front: u64;
        /// The newest place given at the end of a ring of groups.
        newest_turn: u64;
        /// Of queues that were forgotten.
        forgotten: Tally;
        newest_batch: BatchId;
    }
}

message! {
    /// A queue that has or had jobs, or no name for an id that none such has.
    QueueState<'a> {
        name: &'a str;
        tally: Tally;
        used_at: Timestamp;
    } extras {
        1 settings: QueueSettings;
        2 pause_in: PauseState<'a>;
        3 pause_out: PauseState<'a>;
        /// Of a bucket that is not full.
        4 level: LevelState;
    }
}

message! {
    /// A group that has settings of its own.
    GroupRule<'a> {
        /// The place of its queue among the queues.
        queue: u32;
        group: &'a str;
        settings: GroupSettings;
    }
}

message! {
    /// A pause of a queue.
    PauseState<'a> {
        until: Timestamp;
        reason: &'a str;
    }
}

message! {
    /// The key of a job that is gone.
    EndedKey<'a> {
        until: Timestamp;
        job: JobId;
        key: &'a str;
        queue: &'a str;
        digest: u64;
    }
}

/// Bytes after which a block of jobs is handed out.
const BLOCK_BYTES: usize = 64 << 10;

/// As how many slots a job with a key counts: it is looked up in two tables, and neither is in a cache when there are
/// many.
const SLOTS_OF_A_KEY: u32 = 16;

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
    /// The block of the settings of groups, until it is handed out.
    group_rules: Vec<u8>,
    /// Where the visit to the keys of jobs that are gone goes on.
    keys_from: (Timestamp, JobId),
    schedules: super::schedules::SchedulesLeft,
    batches: super::batches::BatchesLeft,
    block: Vec<u8>,
    before: Before,
}

/// Fields of the job before, which the next one's are told by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    pub(super) id: u64,
    pub(super) submitted_at: u64,
    pub(super) epoch: u64,
    pub(super) offset: u64,
    pub(super) order: u64,
    pub(super) due_at: u64,
    pub(super) lease: u64,
    pub(super) given_at: u64,
    pub(super) ended_at: u64,
    pub(super) story_epoch: u64,
    pub(super) story_offset: u64,
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
            group_rules: self.encode_group_rules(),
            keys_from: (Timestamp(0), JobId(0)),
            schedules: self.hold_schedules(),
            batches: self.hold_batches(),
            block: Vec::new(),
            before: Before::default(),
        }));
        self.groups.begin_copy();
        self.after.tombstones.begin_copy();
        let mut body = Vec::new();
        let head = Head {
            now: self.now,
            next_job: self.next_job,
            back: self.back,
            front: self.front,
            newest_turn: self.groups.newest_turn,
            forgotten: self.registry.forgotten().tally(),
            newest_batch: self.batches.newest,
        };
        head.write(&mut body);
        for queue in self.registry.by_id() {
            queue.map_or(QueueState::default(), |queue| self.queue_state(queue)).write(&mut body);
        }
        Slice::Block(KIND_QUEUES, body)
    }

    /// Visits about `slots_max` further jobs or keys; fewer where jobs hold keys.
    ///
    /// # Panics
    /// When no snapshot is under way.
    pub fn snapshot_slice(&mut self, slots_max: u32) -> Slice {
        let mut taking = self.taking.take().expect("a snapshot is under way");
        if !taking.group_rules.is_empty() {
            let block = std::mem::take(&mut taking.group_rules);
            self.taking = Some(taking);
            return Slice::Block(KIND_GROUP_RULES, block);
        }
        let block = if taking.slot < taking.slots_end {
            self.groups.copied_ahead(BLOCK_BYTES)
        } else {
            let (block, is_done) = self.groups.copy_slice(slots_max, BLOCK_BYTES);
            if block.is_none() && !is_done {
                self.taking = Some(taking);
                return Slice::Nothing;
            }
            block
        };
        if let Some(block) = block {
            self.taking = Some(taking);
            return Slice::Block(KIND_GROUPS, block);
        }
        let first = taking.schedules.next_block().or_else(|| taking.batches.next_block());
        let slice = first.unwrap_or_else(|| self.next_slice(&mut taking, slots_max));
        if slice != Slice::Done {
            self.taking = Some(taking);
        }
        slice
    }

    /// Gives up the snapshot that is under way, if one is.
    pub fn give_up_snapshot(&mut self) {
        self.groups.give_up_copy();
        self.after.tombstones.give_up_copy();
        self.taking = None;
    }

    fn next_slice(&mut self, taking: &mut Taking, slots_max: u32) -> Slice {
        if taking.slot < taking.slots_end {
            let mut left = slots_max;
            while taking.slot < taking.slots_end && left > 0 && taking.block.len() < BLOCK_BYTES {
                let slot = taking.slot;
                let has_key = self.table.visit(slot).is_some_and(|entry| {
                    entry.id < taking.next_job
                        && !taking.is_written(slot)
                        && self.encode_job(entry, &mut taking.before, &mut taking.block)
                });
                left = left.saturating_sub(if has_key { SLOTS_OF_A_KEY } else { 1 });
                taking.slot += 1;
            }
            let full = taking.block.len() >= BLOCK_BYTES || taking.slot == taking.slots_end;
            return if full && !taking.block.is_empty() { taking.take_block() } else { Slice::Nothing };
        }
        let mut body = Vec::new();
        for ((until, job), key) in self.keys.ended_from(taking.keys_from).take(slots_max as usize) {
            taking.keys_from = (until, JobId(job.0 + 1));
            // A dead job's key is told with it, and that of a job which came later by the replay.
            if let Some(HeldKey { key, digest, queue, .. }) = key.filter(|_| job < taking.next_job) {
                let queue = queue.as_deref().unwrap_or_default();
                EndedKey { until, job, key, queue, digest: *digest }.write(&mut body);
            }
        }
        if !body.is_empty() {
            return Slice::Block(KIND_KEYS, body);
        }
        if self.keys.ended_from(taking.keys_from).next().is_some() {
            return Slice::Nothing;
        }
        let Some(stones) = self.after.tombstones.copy_slice(slots_max as usize) else { return Slice::Done };
        for stone in &stones {
            stone.write(&mut body);
        }
        if body.is_empty() { Slice::Nothing } else { Slice::Block(KIND_TOMBSTONES, body) }
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

    fn queue_state<'q>(&self, queue: &'q Queue) -> QueueState<'q> {
        let state = QueueState {
            name: &queue.name,
            tally: queue.counters.tally(),
            used_at: queue.used_at,
            level: (queue.bucket != NIL).then(|| self.groups.buckets.bucket(queue.bucket).level.into()),
            ..QueueState::default()
        };
        let Some(rules) = queue.rules.as_deref() else { return state };
        QueueState {
            settings: Some(rules.settings),
            pause_in: rules.pause_in.as_ref().map(pause_state),
            pause_out: rules.pause_out.as_ref().map(pause_state),
            ..state
        }
    }

    fn encode_group_rules(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for id in &self.ruled {
            let groups = self.registry.queue(*id).rules.iter().flat_map(|rules| &rules.groups);
            for (group, settings) in groups {
                GroupRule { queue: id.0, group, settings: *settings }.write(&mut body);
            }
        }
        body
    }
}

fn pause_state(paused: &Paused) -> PauseState<'_> {
    PauseState { until: paused.until, reason: &paused.reason }
}
