//! Groups in a snapshot: visited slot by slot while they go on changing, and written as they were when it was begun, as
//! jobs are (see the snapshot of the queues).

use super::{Groups, Level, Turns};
use crate::codec::{Field, message};
use crate::ids::QueueId;
use crate::queue::deadlines::NIL;
use crate::time::Timestamp;

message! {
    /// A group, which jobs of the snapshot name by its number.
    GroupState<'a> {
        number: u32;
        /// Its place among the queues.
        queue: u32;
        /// Empty for the jobs that are in none.
        name: &'a str;
        /// The lower it is, the sooner it has its turn; 0 if it has none.
        turn: u64;
        /// How many more jobs are handed out in this turn.
        credit: u16;
    } extras {
        /// Of a bucket that is not full.
        1 level: LevelState;
    }
}

message! {
    /// When a bucket is full.
    LevelState {
        full_at: Timestamp;
        /// Parts of a millisecond more, as many as the rate has tokens.
        fraction: u32;
    }
}

impl From<Level> for LevelState {
    fn from(Level { full_at, fraction }: Level) -> LevelState {
        LevelState { full_at, fraction }
    }
}

impl From<LevelState> for Level {
    fn from(LevelState { full_at, fraction }: LevelState) -> Level {
        Level { full_at, fraction }
    }
}

/// The groups of a snapshot that is being taken.
#[derive(Debug)]
pub struct Copying {
    /// The next slot to visit, and the one after the last.
    slot: u32,
    slots_end: u32,
    /// Slots that were written before they were visited, or came later.
    passed: Vec<u64>,
    block: Vec<u8>,
}

impl Copying {
    fn is_passed(&self, slot: u32) -> bool {
        slot < self.slot || slot >= self.slots_end || self.passed[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    fn pass(&mut self, slot: u32) {
        self.passed[slot as usize / 64] |= 1 << (slot % 64);
    }
}

impl Groups {
    /// Begins to copy all groups as they are now.
    pub(in crate::queue) fn begin_copy(&mut self) {
        let slots_end = self.groups.slots_end();
        let passed = vec![0; slots_end.div_ceil(64) as usize];
        self.copying = Some(Box::new(Copying { slot: 0, slots_end, passed, block: Vec::new() }));
    }

    pub(in crate::queue) fn give_up_copy(&mut self) {
        self.copying = None;
    }

    /// Visits about `slots_max` further groups; gives a block once it has so many bytes, or all are visited. Says
    /// whether that was all.
    pub(in crate::queue) fn copy_slice(&mut self, slots_max: u32, block_bytes: usize) -> (Option<Vec<u8>>, bool) {
        let Some(mut copying) = self.copying.take() else { return (None, true) };
        let end = copying.slots_end.min(copying.slot + slots_max);
        while copying.slot < end && copying.block.len() < block_bytes {
            let slot = copying.slot;
            if !copying.is_passed(slot) {
                self.write_group(slot, &mut copying.block);
            }
            copying.slot += 1;
        }
        let is_done = copying.slot == copying.slots_end;
        let is_whole = is_done || copying.block.len() >= block_bytes;
        let block = is_whole.then(|| std::mem::take(&mut copying.block)).filter(|block| !block.is_empty());
        if !is_done {
            self.copying = Some(copying);
        }
        (block, is_done)
    }

    /// What was written ahead of the visit, once it is much.
    pub(in crate::queue) fn copied_ahead(&mut self, block_bytes: usize) -> Option<Vec<u8>> {
        let copying = self.copying.as_mut().filter(|copying| copying.block.len() >= block_bytes)?;
        Some(std::mem::take(&mut copying.block))
    }

    /// Writes a group that is about to change as it is, if the snapshot has not visited it yet.
    pub(super) fn preserve(&mut self, number: u32) {
        if self.copying.as_ref().is_none_or(|copying| copying.is_passed(number)) {
            return;
        }
        if let Some(mut copying) = self.copying.take() {
            copying.pass(number);
            self.write_group(number, &mut copying.block);
            self.copying = Some(copying);
        }
    }

    /// A group that came later than the snapshot was begun is not in it.
    pub(super) fn pass_over(&mut self, number: u32) {
        if let Some(copying) = self.copying.as_mut().filter(|copying| !copying.is_passed(number)) {
            copying.pass(number);
        }
    }

    fn write_group(&self, number: u32, out: &mut Vec<u8>) {
        let Some(group) = self.groups.look(number).filter(|group| group.queue != QueueId(u32::MAX)) else { return };
        let level = (group.bucket != NIL).then(|| self.buckets.bucket(group.bucket).level.into());
        let (queue, name) = (group.queue.0, self.name_of(number));
        GroupState { number, queue, name, turn: group.turn, credit: group.credit, level }.write(out);
    }

    /// Puts a group that has a turn behind those that got theirs before, as a snapshot tells; says whether it has one.
    pub(in crate::queue) fn give_turn(&mut self, turns: &mut Turns, number: u32, (turn, credit): (u64, u16)) -> bool {
        if !self.groups[number].in_turn {
            return false;
        }
        self.unlink(turns, number);
        self.append(turns, number);
        let group = &mut self.groups[number];
        (group.turn, group.credit) = (turn, credit);
        true
    }
}
