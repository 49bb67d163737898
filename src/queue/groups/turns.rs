//! Turns: which group of a queue is served next. Deficit round robin (Shreedhar and Varghese, "Efficient Fair Queuing
//! Using Deficit Round-Robin", SIGCOMM 1995) where each job costs one: a group that may hand out a job stands in a
//! ring; the first of it is served, as many jobs as its weight says, and goes to the end. One that has nothing more to
//! hand out leaves the ring, and comes to its end anew. So a group waits for one turn of each other, however many jobs
//! they have.

use super::Groups;
use crate::planted::{Bug, is_planted};
use crate::queue::deadlines::NIL;

/// The ring of one queue's groups.
#[derive(Debug)]
pub struct Turns {
    head: u32,
    tail: u32,
    /// How many groups stand in it.
    pub count: u32,
    /// The group of the jobs that are in none: their lines are the queue's own.
    pub nameless: u32,
    /// How many groups with a name the queue has.
    pub named: u32,
}

impl Turns {
    pub fn new(nameless: u32) -> Turns {
        Turns { head: NIL, tail: NIL, count: 0, nameless, named: 0 }
    }

    /// The group whose turn it is.
    pub fn first(&self) -> Option<u32> {
        (self.head != NIL).then_some(self.head)
    }
}

impl Groups {
    /// Puts a group at the end of the ring, with all the jobs of a turn before it.
    pub fn append(&mut self, turns: &mut Turns, number: u32) {
        self.preserve(number);
        self.newest_turn += 1;
        let group = &mut self.groups[number];
        (group.turn, group.credit, group.in_turn) = (self.newest_turn, group.weight, true);
        (group.prev, group.next) = (turns.tail, NIL);
        if turns.tail == NIL {
            turns.head = number;
        } else {
            self.groups[turns.tail].next = number;
        }
        turns.tail = number;
        turns.count += 1;
    }

    /// Takes a group out of the ring.
    pub fn unlink(&mut self, turns: &mut Turns, number: u32) {
        self.preserve(number);
        let group = &mut self.groups[number];
        (group.turn, group.credit, group.in_turn) = (0, 0, false);
        let (prev, next) = (group.prev, group.next);
        if prev == NIL {
            turns.head = next;
        } else {
            self.groups[prev].next = next;
        }
        if next == NIL {
            turns.tail = prev;
        } else {
            self.groups[next].prev = prev;
        }
        turns.count -= 1;
    }

    /// From now on a group gets so many jobs in each turn. One that is under way starts over with them: so it does not
    /// matter whether the queue had turns before.
    pub fn weigh(&mut self, number: u32, weight: u16) {
        if self.groups[number].weight == weight {
            return;
        }
        self.preserve(number);
        let group = &mut self.groups[number];
        group.weight = weight;
        if group.in_turn {
            group.credit = weight;
        }
    }

    /// A job of this group was handed out: after as many as its weight says another group is next.
    pub fn count_turn(&mut self, turns: &mut Turns, number: u32) {
        if !self.groups[number].in_turn {
            return;
        }
        self.preserve(number);
        let group = &mut self.groups[number];
        group.credit = group.credit.saturating_sub(1);
        if group.credit == 0 && is_planted(Bug::TurnKept) {
            group.credit = group.weight;
        } else if group.credit == 0 {
            self.unlink(turns, number);
            self.append(turns, number);
        }
    }

    /// The groups of a ring, the one whose turn it is first.
    pub fn ring(&self, turns: &Turns) -> impl Iterator<Item = u32> {
        let next = |number: &u32| Some(self.groups[*number].next).filter(|next| *next != NIL);
        std::iter::successors(turns.first(), next)
    }
}
