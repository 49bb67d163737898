//! Requests that wait for something to happen: one structure, one set of deadlines.
//!
//! A poll has a place in the line of every queue that it names, in the order in which polls came; being answered
//! takes it out of all of them. A request for a snapshot waits for one that holds all that happened before it; one
//! whose answer lies in the log waits until that was read; and a client waits for a job's end. Nothing is allocated per
//! poll once the tables have grown to the number of those that wait.

use slab::Slab;

use super::waits::Waits;
use crate::ids::{Lsn, QueueId, SessionId};
use crate::queue::deadlines::{NIL, NO_CELL, Node, Nodes, Wheel};
use crate::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub session: SessionId,
    /// What its reply carries.
    pub correlation: u64,
    pub since: Timestamp,
    /// When it is told that its wait is over.
    pub deadline: Timestamp,
}

/// The jobs that a poll waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobsWish {
    /// How many can be begun at once.
    pub free: u16,
    /// How many more it would hold.
    pub extra: u16,
    pub payload_bytes_max: u32,
    pub lease_ms: u32,
}

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Jobs of the queues that it named.
    Jobs(JobsWish),
    /// A snapshot that holds at least this LSN.
    Snapshot(Lsn),
    /// The ends of jobs, see [`Waits`].
    Ends,
    /// That nothing is to run, see [`Waits`].
    Idle,
    /// The end of a [`Scan`](super::scans::Scan).
    Scan,
    /// What is read from the log for it.
    Reading,
}

#[derive(Debug)]
struct Waiting {
    caller: Caller,
    wish: Wish,
    first_place: u32,
    prev: u32,
    next: u32,
    cell: u16,
}

/// A waiting poll's place in the line of one queue.
#[derive(Clone, Copy, Debug)]
struct Place {
    waiting: u32,
    line: u32,
    prev: u32,
    next: u32,
    /// The same poll's place in the line of the next queue that it named.
    sibling: u32,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    head: u32,
    tail: u32,
}

/// In which of a queue's lines a poll stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    /// It can begin a job.
    Free = 0,
    /// It would only hold one.
    Holding = 1,
    /// It is handed nothing for now: its connection leaves replies unread.
    Aside = 2,
}

#[derive(Debug, Default)]
pub struct Parked {
    waiting: Slab<Waiting>,
    places: Slab<Place>,
    /// Three of each queue, see [`Rank`].
    lines: Vec<Line>,
    wheel: Wheel,
    /// Requests for a snapshot, in the order in which they came.
    snapshots: Vec<u32>,
    pub waits: Waits,
    /// How many wait for a scan, or for what is read.
    readings: usize,
}

impl Nodes for Slab<Waiting> {
    fn node(&self, index: u32) -> Node {
        let waiting = &self[index as usize];
        Node { at: waiting.caller.deadline, prev: waiting.prev, next: waiting.next, cell: waiting.cell }
    }

    fn set_links(&mut self, index: u32, prev: u32, next: u32, cell: u16) {
        let waiting = &mut self[index as usize];
        (waiting.prev, waiting.next, waiting.cell) = (prev, next, cell);
    }
}

impl Parked {
    pub fn polls(&self) -> usize {
        self.waiting.len() - self.snapshots.len() - self.waits.len() - self.readings
    }

    /// A moment at or before the next time-out.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.wheel.next_deadline()
    }

    /// Puts a request at the end of the line of each of these queues, the preferred one first. Returns its number.
    pub fn park(&mut self, caller: Caller, wish: Wish, queues: &[QueueId]) -> u32 {
        let waiting = Waiting { caller, wish, first_place: NIL, prev: NIL, next: NIL, cell: NO_CELL };
        let number = index(self.waiting.insert(waiting));
        self.wheel.insert(&mut self.waiting, number);
        let rank = rank_of(&wish);
        let mut sibling = NIL;
        for queue in queues.iter().rev() {
            let line = line_of(*queue, rank);
            let place = Place { waiting: number, line, prev: NIL, next: NIL, sibling };
            sibling = index(self.places.insert(place));
            self.append(sibling, line);
        }
        self.waiting[number as usize].first_place = sibling;
        match wish {
            Wish::Jobs(_) | Wish::Ends | Wish::Idle => {}
            Wish::Snapshot(_) => self.snapshots.push(number),
            Wish::Reading | Wish::Scan => self.readings += 1,
        }
        number
    }

    pub fn snapshots(&self) -> usize {
        self.snapshots.len()
    }

    pub fn all(&self) -> Vec<u32> {
        self.waiting.iter().map(|(key, _)| index(key)).collect()
    }

    /// Whether a request's wait ends when its session sends nothing more: a poll's, whose jobs nobody would run.
    pub fn ends_with_input(&self, number: u32) -> bool {
        matches!(self.waiting[number as usize].wish, Wish::Jobs(_))
    }

    /// Whether a request waits for the ends of jobs, or until nothing is to run.
    pub fn is_wait(&self, number: u32) -> bool {
        matches!(self.waiting[number as usize].wish, Wish::Ends | Wish::Idle)
    }

    /// Whether a request waits for what a scan comes to.
    pub fn is_scan(&self, number: u32) -> bool {
        self.waiting[number as usize].wish == Wish::Scan
    }

    /// The first request that waits for a snapshot which holds no more than `held`.
    pub fn first_for_snapshot(&self, held: Lsn) -> Option<u32> {
        let is_met =
            |number: &&u32| matches!(self.waiting[**number as usize].wish, Wish::Snapshot(wanted) if wanted <= held);
        self.snapshots.iter().find(is_met).copied()
    }

    /// The poll that is to be served first with a job of this queue: one that can begin it, if there is any.
    pub fn first(&self, queue: QueueId) -> Option<u32> {
        let first = self.first_in(line_of(queue, Rank::Free));
        first.or_else(|| self.first_in(line_of(queue, Rank::Holding)))
    }

    /// Whether a poll names this queue.
    pub fn is_polled(&self, queue: QueueId) -> bool {
        self.first(queue).is_some() || self.first_in(line_of(queue, Rank::Aside)).is_some()
    }

    pub fn caller(&self, number: u32) -> &Caller {
        &self.waiting[number as usize].caller
    }

    /// Hands a poll nothing more until it is lined up again.
    pub fn set_aside(&mut self, number: u32) {
        self.move_places(number, Rank::Aside);
    }

    /// Puts a poll that was set aside at the end of its lines, and the queues that it named into `queues`. Nothing of
    /// the kind happens to others.
    pub fn line_up_again(&mut self, number: u32, queues: &mut Vec<QueueId>) {
        let Waiting { first_place, wish, .. } = &self.waiting[number as usize];
        let (mut place, rank) = (*first_place, rank_of(wish));
        if self.places.get(place as usize).is_none_or(|place| place.line % 3 != Rank::Aside as u32) {
            return;
        }
        self.move_places(number, rank);
        while place != NIL {
            let Place { line, sibling, .. } = self.places[place as usize];
            queues.push(QueueId(line / 3));
            place = sibling;
        }
    }

    fn move_places(&mut self, number: u32, rank: Rank) {
        let mut place = self.waiting[number as usize].first_place;
        while place != NIL {
            let Place { line, prev, next, sibling, .. } = self.places[place as usize];
            self.unlink(line, prev, next);
            self.append(place, line_of(QueueId(line / 3), rank));
            place = sibling;
        }
    }

    /// The first of those that can begin a job of this queue.
    pub fn first_free(&self, queue: QueueId) -> Option<u32> {
        self.first_in(line_of(queue, Rank::Free))
    }

    /// Whether a poll waits that can begin a job of this queue.
    pub fn has_free(&self, queue: QueueId) -> bool {
        self.first_free(queue).is_some()
    }

    fn first_in(&self, line: u32) -> Option<u32> {
        let head = self.lines.get(line as usize)?.head;
        (head != NIL).then(|| self.places[head as usize].waiting)
    }

    /// Takes a request out; the queues that it named are put into `queues`, the preferred one first.
    pub fn take(&mut self, number: u32, queues: &mut Vec<QueueId>) -> (Caller, Wish) {
        self.wheel.remove(&mut self.waiting, number);
        let waiting = self.waiting.remove(number as usize);
        match waiting.wish {
            Wish::Jobs(_) => {}
            Wish::Snapshot(_) => self.snapshots.retain(|waits| *waits != number),
            Wish::Ends | Wish::Idle => drop(self.waits.remove(number)),
            Wish::Reading | Wish::Scan => self.readings -= 1,
        }
        queues.clear();
        let mut place = waiting.first_place;
        while place != NIL {
            let Place { line, prev, next, sibling, .. } = self.places.remove(place as usize);
            queues.push(QueueId(line / 3));
            self.unlink(line, prev, next);
            place = sibling;
        }
        (waiting.caller, waiting.wish)
    }

    /// The requests whose wait is over by `now`, the one that has waited longest past its time first.
    /// The caller takes each.
    pub fn run_out(&mut self, now: Timestamp, due: &mut Vec<u32>) {
        due.clear();
        self.wheel.advance(&mut self.waiting, now, due);
        due.sort_unstable_by_key(|number| {
            let caller = &self.waiting[*number as usize].caller;
            (caller.deadline, caller.session, caller.correlation)
        });
    }

    /// Puts a place that stands in no line at the end of one.
    fn append(&mut self, place: u32, line: u32) {
        let at = line as usize;
        if self.lines.len() <= at {
            self.lines.resize(at + 1, Line { head: NIL, tail: NIL });
        }
        let last = std::mem::replace(&mut self.lines[at].tail, place);
        let moved = &mut self.places[place as usize];
        (moved.line, moved.prev, moved.next) = (line, last, NIL);
        if last == NIL {
            self.lines[at].head = place;
        } else {
            self.places[last as usize].next = place;
        }
    }

    /// Closes the gap that a place between these two leaves.
    fn unlink(&mut self, line: u32, prev: u32, next: u32) {
        let line = &mut self.lines[line as usize];
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
    }
}

fn rank_of(wish: &Wish) -> Rank {
    if matches!(wish, Wish::Jobs(JobsWish { free: 1.., .. })) { Rank::Free } else { Rank::Holding }
}

fn line_of(queue: QueueId, rank: Rank) -> u32 {
    3 * queue.0 + rank as u32
}

fn index(key: usize) -> u32 {
    u32::try_from(key).expect("fewer waiting polls than 2^32")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(session: u64, deadline: u64) -> Caller {
        let (session, deadline) = (SessionId(session), Timestamp(deadline));
        Caller { session, correlation: 0, since: Timestamp(0), deadline }
    }

    const JOBS: Wish = Wish::Jobs(JobsWish { free: 1, extra: 0, payload_bytes_max: u32::MAX, lease_ms: 1000 });
    const EXTRA: Wish = Wish::Jobs(JobsWish { free: 0, extra: 9, payload_bytes_max: u32::MAX, lease_ms: 1000 });

    #[test]
    fn polls_are_first_in_the_order_in_which_they_came() {
        let (a, b) = (QueueId(0), QueueId(3));
        let mut parked = Parked::default();
        let first = parked.park(caller(1, 10), JOBS, &[a, b]);
        let second = parked.park(caller(2, 10), JOBS, &[b]);
        let third = parked.park(caller(3, 10), JOBS, &[b, a]);
        assert_eq!((parked.first(a), parked.first(b)), (Some(first), Some(first)));
        let mut queues = Vec::new();
        assert_eq!(parked.take(first, &mut queues).0.session, SessionId(1));
        assert_eq!(queues, [a, b], "the preferred one first");
        assert_eq!((parked.first(a), parked.first(b)), (Some(third), Some(second)));
        parked.take(third, &mut queues);
        assert_eq!((parked.first(a), parked.first(b)), (None, Some(second)));
        parked.take(second, &mut queues);
        assert_eq!((parked.polls(), parked.first(b), parked.places.len()), (0, None, 0));
    }

    #[test]
    fn a_poll_that_would_only_hold_a_job_comes_after_all_that_can_begin_it() {
        let queue = QueueId(1);
        let mut parked = Parked::default();
        let holds = parked.park(caller(1, 10), EXTRA, &[queue]);
        assert_eq!((parked.first(queue), parked.has_free(queue)), (Some(holds), false));
        let begins = parked.park(caller(2, 10), JOBS, &[queue]);
        assert_eq!((parked.first(queue), parked.has_free(queue)), (Some(begins), true));
        let mut queues = Vec::new();
        parked.take(begins, &mut queues);
        assert_eq!((parked.first(queue), queues.as_slice()), (Some(holds), &[queue][..]));
        parked.take(holds, &mut queues);
        assert_eq!((parked.first(queue), queues.as_slice()), (None, &[queue][..]));
    }

    #[test]
    fn polls_run_out_at_their_deadline() {
        let mut parked = Parked::default();
        let late = parked.park(caller(1, 20), JOBS, &[QueueId(0)]);
        let early = parked.park(caller(2, 10), JOBS, &[QueueId(0)]);
        let mut due = Vec::new();
        parked.run_out(Timestamp(9), &mut due);
        assert!(due.is_empty());
        parked.run_out(Timestamp(25), &mut due);
        assert_eq!(due, [early, late]);
        for number in due {
            parked.take(number, &mut Vec::new());
        }
        assert_eq!((parked.polls(), parked.next_deadline()), (0, None));
    }

    #[test]
    fn a_request_for_a_snapshot_is_met_by_one_that_holds_enough() {
        let mut parked = Parked::default();
        let early = parked.park(caller(1, 10), Wish::Snapshot(Lsn(5)), &[]);
        let late = parked.park(caller(2, 10), Wish::Snapshot(Lsn(9)), &[]);
        assert_eq!((parked.polls(), parked.first_for_snapshot(Lsn(4))), (0, None));
        assert_eq!(parked.first_for_snapshot(Lsn(8)), Some(early));
        parked.take(early, &mut Vec::new());
        assert_eq!((parked.first_for_snapshot(Lsn(8)), parked.first_for_snapshot(Lsn(9))), (None, Some(late)));
    }

    #[test]
    fn a_request_that_waits_for_the_log_to_be_read_is_no_poll() {
        let mut parked = Parked::default();
        let number = parked.park(caller(1, 10), Wish::Reading, &[]);
        assert_eq!((parked.polls(), parked.snapshots(), parked.ends_with_input(number)), (0, 0, false));
        parked.take(number, &mut Vec::new());
        parked.park(caller(2, 10), JOBS, &[QueueId(0)]);
        assert_eq!(parked.polls(), 1);
    }
}
