//! Polls that wait: in line at each of their queues, in the order in which they came, and with a time-out.
//!
//! A waiting poll has a place in the line of every queue that it names; being answered takes it out of all of them.
//! Nothing is allocated per poll once the tables have grown to the number of polls that wait.

use slab::Slab;

use crate::ids::{QueueId, SessionId};
use crate::queue::deadlines::{NIL, NO_CELL, Node, Nodes, Wheel};
use crate::time::Timestamp;

/// A poll that waits.
#[derive(Clone, Debug)]
pub struct Waiter {
    /// Whose poll it is.
    pub session: SessionId,
    /// What its reply carries.
    pub correlation: u64,
    /// At most this many jobs.
    pub jobs_max: u16,
    /// Length of each job's lease.
    pub lease_ms: u32,
    /// When it is answered without a job.
    pub deadline: Timestamp,
}

#[derive(Debug)]
struct Waiting {
    waiter: Waiter,
    first_place: u32,
    prev: u32,
    next: u32,
    cell: u16,
}

/// A waiter's place in the line of one queue.
#[derive(Debug)]
struct Place {
    waiter: u32,
    queue: QueueId,
    prev: u32,
    next: u32,
    /// The same waiter's place in the line of the next queue that it named.
    sibling: u32,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    head: u32,
    tail: u32,
}

/// All polls that wait.
#[derive(Debug, Default)]
pub struct Waiters {
    waiting: Slab<Waiting>,
    places: Slab<Place>,
    /// By queue.
    lines: Vec<Line>,
    wheel: Wheel,
}

impl Nodes for Slab<Waiting> {
    fn node(&self, index: u32) -> Node {
        let waiting = &self[index as usize];
        Node { at: waiting.waiter.deadline, prev: waiting.prev, next: waiting.next, cell: waiting.cell }
    }

    fn set_links(&mut self, index: u32, prev: u32, next: u32, cell: u16) {
        let waiting = &mut self[index as usize];
        (waiting.prev, waiting.next, waiting.cell) = (prev, next, cell);
    }
}

impl Waiters {
    /// How many polls wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// A moment at or before the next time-out.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.wheel.next_deadline()
    }

    /// Puts a poll at the end of the line of each of these queues, the preferred one first. Returns its number.
    pub fn park(&mut self, waiter: Waiter, queues: &[QueueId]) -> u32 {
        let waiting = Waiting { waiter, first_place: NIL, prev: NIL, next: NIL, cell: NO_CELL };
        let number = index(self.waiting.insert(waiting));
        self.wheel.insert(&mut self.waiting, number);
        let mut sibling = NIL;
        for queue in queues.iter().rev() {
            sibling = self.line_up(number, *queue, sibling);
        }
        self.waiting[number as usize].first_place = sibling;
        number
    }

    /// The poll that is first in this queue's line.
    pub fn first(&self, queue: QueueId) -> Option<u32> {
        let head = self.lines.get(queue.0 as usize)?.head;
        (head != NIL).then(|| self.places[head as usize].waiter)
    }

    /// Takes a poll out of every line; the queues that it named are put into `queues`, the preferred one first.
    pub fn take(&mut self, number: u32, queues: &mut Vec<QueueId>) -> Waiter {
        self.wheel.remove(&mut self.waiting, number);
        let waiting = self.waiting.remove(number as usize);
        queues.clear();
        let mut place = waiting.first_place;
        while place != NIL {
            let Place { queue, prev, next, sibling, .. } = self.places.remove(place as usize);
            queues.push(queue);
            let line = &mut self.lines[queue.0 as usize];
            if prev == NIL {
                line.head = next;
            } else {
                self.places[prev as usize].next = next;
            }
            if next == NIL {
                line.tail = prev;
            } else {
                self.places[next as usize].prev = prev;
            }
            place = sibling;
        }
        waiting.waiter
    }

    /// The polls whose wait is over by `now`, the one that has waited longest past its time first.
    /// The caller takes each.
    pub fn run_out(&mut self, now: Timestamp, due: &mut Vec<u32>) {
        due.clear();
        self.wheel.advance(&mut self.waiting, now, due);
        due.sort_unstable_by_key(|number| {
            let waiter = &self.waiting[*number as usize].waiter;
            (waiter.deadline, waiter.session, waiter.correlation)
        });
    }

    fn line_up(&mut self, waiter: u32, queue: QueueId, sibling: u32) -> u32 {
        let at = queue.0 as usize;
        if self.lines.len() <= at {
            self.lines.resize(at + 1, Line { head: NIL, tail: NIL });
        }
        let last = self.lines[at].tail;
        let place = index(self.places.insert(Place { waiter, queue, prev: last, next: NIL, sibling }));
        self.lines[at].tail = place;
        if last == NIL {
            self.lines[at].head = place;
        } else {
            self.places[last as usize].next = place;
        }
        place
    }
}

fn index(key: usize) -> u32 {
    u32::try_from(key).expect("fewer waiting polls than 2^32")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(session: u64, deadline: u64) -> Waiter {
        Waiter {
            session: SessionId(session),
            correlation: 0,
            jobs_max: 1,
            lease_ms: 1000,
            deadline: Timestamp(deadline),
        }
    }

    #[test]
    fn polls_are_first_in_the_order_in_which_they_came() {
        let (a, b) = (QueueId(0), QueueId(3));
        let mut waiters = Waiters::default();
        let first = waiters.park(waiter(1, 10), &[a, b]);
        let second = waiters.park(waiter(2, 10), &[b]);
        let third = waiters.park(waiter(3, 10), &[b, a]);
        assert_eq!((waiters.first(a), waiters.first(b)), (Some(first), Some(first)));
        let mut queues = Vec::new();
        assert_eq!(waiters.take(first, &mut queues).session, SessionId(1));
        assert_eq!(queues, [a, b], "the preferred one first");
        assert_eq!((waiters.first(a), waiters.first(b)), (Some(third), Some(second)));
        waiters.take(third, &mut queues);
        assert_eq!((waiters.first(a), waiters.first(b)), (None, Some(second)));
        waiters.take(second, &mut queues);
        assert_eq!((waiters.len(), waiters.first(b), waiters.places.len()), (0, None, 0));
    }

    #[test]
    fn polls_run_out_at_their_deadline() {
        let mut waiters = Waiters::default();
        let late = waiters.park(waiter(1, 20), &[QueueId(0)]);
        let early = waiters.park(waiter(2, 10), &[QueueId(0)]);
        let mut due = Vec::new();
        waiters.run_out(Timestamp(9), &mut due);
        assert!(due.is_empty());
        waiters.run_out(Timestamp(25), &mut due);
        assert_eq!(due, [early, late]);
        for number in due {
            waiters.take(number, &mut Vec::new());
        }
        assert_eq!((waiters.len(), waiters.next_deadline()), (0, None));
    }
}
