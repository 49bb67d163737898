//! Groups: names inside a queue that jobs may carry, by which turns, limits and rates go.
//!
//! Promises: a group costs memory only while it has jobs or a bucket that is not full, and all that is done for one job
//! costs the same however many groups there are. Which group may hand out a job is settled when something changes, not
//! when somebody asks: those that may stand in the ring of their queue, see [`turns`].
//! It does not hold the lines of jobs that are in no group: these are their queue's own.

mod apply;
mod bucket;
mod lines;
mod look;
mod restore;
mod snapshot;
mod turns;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::chunks::{Chunks, Slot};
use super::deadlines::NIL;
use crate::ids::QueueId;
use crate::limits::GROUP_WEIGHT_DEFAULT;

pub use bucket::{Buckets, Level, Owner};
pub use look::GroupView;
pub use restore::{TakingGroups, take_group_rules};
use snapshot::Copying;
pub use snapshot::LevelState;
pub use turns::Turns;

use lines::GroupLine;

/// Where a job lines up: in its queue's own lines, or in those of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Home(u32);

/// Set in the home of a job that is in a group.
const IN_GROUP: u32 = 1 << 31;

impl Home {
    pub fn of_queue(queue: QueueId) -> Home {
        Home(queue.0)
    }

    pub fn of_group(group: u32) -> Home {
        Home(group | IN_GROUP)
    }

    pub fn group(self) -> Option<u32> {
        (self.0 & IN_GROUP != 0).then_some(self.0 & !IN_GROUP)
    }

    /// A number that no other home has.
    pub fn number(self) -> u32 {
        self.0
    }
}

#[derive(Clone, Debug)]
pub struct Group {
    /// Grows with each place that is given at the end of a ring; 0 outside of it.
    turn: u64,
    pub queue: QueueId,
    /// The line of its most urgent jobs.
    first_line: u32,
    prev: u32,
    next: u32,
    /// Its jobs that are there, whatever became of them.
    pub jobs: u32,
    pub in_flight: u32,
    /// How many of them wait for another attempt.
    pub retrying: u32,
    /// How many may be in flight.
    pub running_max: u32,
    bucket: u32,
    /// The entry that was given back last, if it still waits.
    given_back: u32,
    /// How many more jobs are handed out in this turn.
    credit: u16,
    weight: u16,
    in_turn: bool,
}

const _: () = assert!(size_of::<Group>() <= 56, "a group costs 200 bytes");

/// The line of free places goes by `next`.
impl Slot for Group {
    fn vacant() -> Group {
        Group {
            turn: 0,
            queue: QueueId(u32::MAX),
            first_line: NIL,
            prev: NIL,
            next: NIL,
            jobs: 0,
            in_flight: 0,
            retrying: 0,
            running_max: u32::MAX,
            bucket: NIL,
            given_back: NIL,
            credit: 0,
            weight: GROUP_WEIGHT_DEFAULT,
            in_turn: false,
        }
    }

    fn next_free(&self) -> u32 {
        self.next
    }

    fn set_next_free(&mut self, next: u32) {
        self.next = next;
    }
}

/// All groups of all queues.
#[derive(Debug, Default)]
pub struct Groups {
    groups: Chunks<Group>,
    /// By the numbers of groups; empty for the one of the jobs that are in none, and where there is no group.
    names: Vec<Box<str>>,
    by_name: HashTable<u32>,
    hasher: RandomState,
    lines: Chunks<GroupLine>,
    pub(super) buckets: Buckets,
    pub(super) newest_turn: u64,
    copying: Option<Box<Copying>>,
    /// A group whose job is being changed, and which keeps its place in the ring meanwhile.
    pub(super) held: Option<u32>,
}

impl Groups {
    pub fn group(&self, number: u32) -> &Group {
        &self.groups[number]
    }

    /// Empty for the group of the jobs that are in none.
    pub fn name_of(&self, number: u32) -> &str {
        &self.names[number as usize]
    }

    /// The queue of a job's home.
    pub fn queue_of(&self, home: Home) -> QueueId {
        home.group().map_or(QueueId(home.0), |group| self.groups[group].queue)
    }

    /// How many there are with a name.
    pub fn named(&self) -> usize {
        self.by_name.len()
    }

    pub fn find(&self, queue: QueueId, name: &str) -> Option<u32> {
        let is_it = |number: &u32| self.groups[*number].queue == queue && self.name_of(*number) == name;
        self.by_name.find(self.hash(queue, name), is_it).copied()
    }

    /// Adds a group that is not there. One without a name is found by no name.
    pub(super) fn add(&mut self, queue: QueueId, name: &str) -> u32 {
        let number = self.groups.insert(Group { queue, ..Group::vacant() });
        self.pass_over(number);
        if self.names.len() <= number as usize {
            self.names.resize_with(number as usize + 1, Box::default);
        }
        self.name(number, name);
        number
    }

    /// Gives a group its name.
    pub(super) fn name(&mut self, number: u32, name: &str) {
        self.names[number as usize] = name.into();
        if name.is_empty() {
            return;
        }
        let hash = self.hash(self.groups[number].queue, name);
        let (groups, names, hasher) = (&self.groups, &self.names, &self.hasher);
        let hash_of = |number: &u32| hasher.hash_one((groups[*number].queue, &*names[*number as usize]));
        self.by_name.insert_unique(hash, number, hash_of);
    }

    /// Takes a group out that stands in no ring.
    pub(super) fn remove(&mut self, number: u32) {
        self.preserve(number);
        let Group { queue, bucket, .. } = self.groups[number];
        let hash = self.hash(queue, self.name_of(number));
        if let Ok(found) = self.by_name.find_entry(hash, |other| *other == number) {
            found.remove();
        }
        if bucket != NIL {
            self.buckets.remove(bucket);
        }
        self.groups.remove(number);
        self.names[number as usize] = Box::default();
        if self.groups.len() == 0 {
            self.names = Vec::new();
        }
    }

    /// The groups of a queue, with and without a name, in no order that means anything. Looks at all there are.
    pub(super) fn of_queue(&self, queue: QueueId) -> impl Iterator<Item = u32> {
        let is_of_queue = move |slot: &u32| self.groups.look(*slot).is_some_and(|group| group.queue == queue);
        (0..self.groups.slots_end()).filter(is_of_queue)
    }

    fn hash(&self, queue: QueueId, name: &str) -> u64 {
        self.hasher.hash_one((queue, name))
    }
}
