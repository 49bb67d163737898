//! What few jobs have beside their entry: a past, a time to be kept, settings of their own that a plain job does not
//! need. Memory is used only for jobs that have them.
//!
//! A side takes 24 bytes, so that a job which is kept costs at most 96 with its entry and its place among the ids. What
//! even fewer have (headers, a backoff, a time to be begun by) lies in a rare of its own.

use super::chunks::{Chunks, Slot};
use super::deadlines::{NIL, NO_CELL, Node, Nodes, Wheel};
use super::entry::{Entry, Text};
use crate::job::{Backoff, Ending};
use crate::time::{PackedTimestamp, Timestamp};

/// Never.
pub const NEVER: Timestamp = Timestamp(u64::MAX);

/// Where `more` is the number of a rare, and not a time to be kept.
const IS_RARE: u32 = 1 << 31;

/// `more` of a job that says nothing of how long it is kept.
const NOT_SAID: u32 = IS_RARE - 1;

/// What a job has beside its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its attempts and why the last one failed; of a completed job, its result.
    pub text: Text,
    /// For how many seconds it wants to be kept, or the number of its rare, which then says so.
    more: u32,
    /// When its last attempt ended that counts, or the job itself.
    ended_at: PackedTimestamp,
    /// How that attempt ended.
    pub ending: Option<Ending>,
    /// Whether somebody cancelled it while it was in flight.
    pub is_cancelled: bool,
}

const _: () = assert!(size_of::<Side>() <= 24, "a kept job costs 96 bytes");

impl Side {
    pub fn ended_at(&self) -> Timestamp {
        self.ended_at.into()
    }

    pub fn set_ended_at(&mut self, at: Timestamp) {
        self.ended_at = at.into();
    }

    fn rare(&self) -> Option<u32> {
        (self.more & IS_RARE != 0).then_some(self.more & !IS_RARE)
    }
}

/// The line of free places goes by the text's length.
impl Slot for Side {
    fn vacant() -> Side {
        Side {
            text: Text::default(),
            more: NOT_SAID,
            ended_at: PackedTimestamp::default(),
            ending: None,
            is_cancelled: false,
        }
    }

    fn next_free(&self) -> u32 {
        self.text.bytes
    }

    fn set_next_free(&mut self, next: u32) {
        self.text.bytes = next;
    }
}

/// What very few jobs have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rare {
    pub headers: Text,
    pub backoff: Option<Backoff>,
    /// If it was not begun by then, it ends.
    pub expires_at: Timestamp,
    keep_s: u32,
    /// Its job, while it waits for that moment.
    slot: u32,
    prev: u32,
    next: u32,
    cell: u16,
}

impl Slot for Rare {
    fn vacant() -> Rare {
        Rare {
            headers: Text::default(),
            backoff: None,
            expires_at: NEVER,
            keep_s: NOT_SAID,
            slot: NIL,
            prev: NIL,
            next: NIL,
            cell: NO_CELL,
        }
    }

    fn next_free(&self) -> u32 {
        self.next
    }

    fn set_next_free(&mut self, next: u32) {
        self.next = next;
    }
}

impl Nodes for Chunks<Rare> {
    fn node(&self, index: u32) -> Node {
        let rare = &self[index];
        Node { at: rare.expires_at, prev: rare.prev, next: rare.next, cell: rare.cell }
    }

    fn set_links(&mut self, index: u32, prev: u32, next: u32, cell: u16) {
        let rare = &mut self[index];
        (rare.prev, rare.next, rare.cell) = (prev, next, cell);
    }
}

/// The sides of all jobs that have one.
#[derive(Debug, Default)]
pub struct Sides {
    sides: Chunks<Side>,
    rares: Chunks<Rare>,
    /// Jobs that wait and were never begun, by when they expire.
    expiring: Wheel,
}

impl Sides {
    pub fn side(&self, entry: &Entry) -> Option<&Side> {
        (entry.side != NIL).then(|| &self.sides[entry.side])
    }

    /// The same, made if it is not there.
    pub fn made(&mut self, entry: &mut Entry) -> &mut Side {
        if entry.side == NIL {
            entry.side = self.sides.insert(Side::vacant());
        }
        &mut self.sides[entry.side]
    }

    pub fn rare(&self, entry: &Entry) -> Option<&Rare> {
        self.side(entry)?.rare().map(|rare| &self.rares[rare])
    }

    /// The same, made if it is not there; it must not wait in the wheel while its moment is changed.
    pub fn rare_made(&mut self, entry: &mut Entry) -> &mut Rare {
        let Side { more: keep_s, .. } = *self.made(entry);
        let rare =
            self.sides[entry.side].rare().unwrap_or_else(|| self.rares.insert(Rare { keep_s, ..Rare::vacant() }));
        self.sides[entry.side].more = IS_RARE | rare;
        &mut self.rares[rare]
    }

    /// For how many seconds the job wants to be kept, if it says so.
    pub fn keep_s(&self, entry: &Entry) -> Option<u32> {
        let side = self.side(entry)?;
        let keep_s = side.rare().map_or(side.more, |rare| self.rares[rare].keep_s);
        (keep_s != NOT_SAID).then_some(keep_s)
    }

    pub fn set_keep_s(&mut self, entry: &mut Entry, keep_s: u32) {
        let side = self.made(entry);
        let keep_s = keep_s.min(NOT_SAID - 1);
        match side.rare() {
            Some(rare) => self.rares[rare].keep_s = keep_s,
            None => side.more = keep_s,
        }
    }

    /// Takes out all that a job has here; its texts are returned.
    pub fn remove(&mut self, entry: &Entry) -> [Text; 2] {
        if entry.side == NIL {
            return [Text::default(); 2];
        }
        self.leave_wheel(entry);
        let side = self.sides.remove(entry.side);
        let headers = side.rare().map(|rare| self.rares.remove(rare).headers);
        [side.text, headers.unwrap_or_default()]
    }

    /// A job begins to wait that was never begun: it expires at its moment, if it has one.
    pub fn enter_wheel(&mut self, entry: &Entry, slot: u32) {
        let rare = self.side(entry).and_then(Side::rare);
        if let Some(rare) = rare.filter(|rare| self.rares[*rare].expires_at != NEVER) {
            self.rares[rare].slot = slot;
            self.expiring.insert(&mut self.rares, rare);
        }
    }

    /// It waits no more, or was begun.
    pub fn leave_wheel(&mut self, entry: &Entry) {
        if let Some(rare) = self.side(entry).and_then(Side::rare) {
            self.expiring.remove(&mut self.rares, rare);
        }
    }

    /// A moment at or before the next one at which a job expires.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.expiring.next_deadline()
    }

    /// The slots of the jobs that expire by `now`, in no order that means anything. The caller ends each.
    pub fn take_expired(&mut self, now: Timestamp, due: &mut Vec<u32>) {
        self.expiring.advance(&mut self.rares, now, due);
        for rare in due.iter_mut() {
            *rare = self.rares[*rare].slot;
        }
    }

    /// How many have a side.
    pub fn len(&self) -> usize {
        self.sides.len()
    }

    /// Bytes of all that is here, but for free places.
    pub fn memory_bytes(&self) -> u64 {
        (self.sides.len() * size_of::<Side>() + self.rares.len() * size_of::<Rare>()) as u64
    }

    /// How many wait to expire, and how many have a rare.
    pub fn rares(&self) -> (usize, usize) {
        (self.expiring.len(), self.rares.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, Location};

    fn text(bytes: u32) -> Text {
        Text { at: Location { epoch: 1, offset: 8 }, bytes }
    }

    #[test]
    fn a_plain_job_has_none_and_a_time_to_be_kept_needs_no_rare() {
        let (mut sides, mut entry) = (Sides::default(), Entry { id: JobId(1), ..Entry::vacant() });
        assert_eq!((sides.keep_s(&entry), sides.remove(&entry)), (None, [Text::default(); 2]));
        sides.set_keep_s(&mut entry, 60);
        assert_eq!((sides.keep_s(&entry), sides.len(), sides.rares()), (Some(60), 1, (0, 0)));
        sides.rare_made(&mut entry).headers = text(9);
        assert_eq!((sides.keep_s(&entry), sides.rares()), (Some(60), (0, 1)), "it says so from there");
        sides.set_keep_s(&mut entry, u32::MAX);
        assert_eq!(sides.keep_s(&entry), Some(NOT_SAID - 1), "68 years");
        sides.made(&mut entry).text = text(7);
        assert_eq!((sides.remove(&entry), sides.len(), sides.rares()), ([text(7), text(9)], 0, (0, 0)));
    }

    #[test]
    fn a_job_expires_at_its_moment_unless_it_left_the_wheel() {
        let mut sides = Sides::default();
        let mut entries = [(); 3].map(|()| Entry { id: JobId(1), ..Entry::vacant() });
        for (slot, at) in [(0, 10), (1, 20), (2, u64::MAX)] {
            sides.rare_made(&mut entries[slot]).expires_at = Timestamp(at);
            sides.enter_wheel(&entries[slot], slot as u32);
        }
        assert_eq!(sides.rares(), (2, 3));
        sides.leave_wheel(&entries[1]);
        let mut due = Vec::new();
        sides.take_expired(Timestamp(9), &mut due);
        assert!(due.is_empty());
        sides.take_expired(Timestamp(30), &mut due);
        assert_eq!((due.as_slice(), sides.next_deadline()), (&[0][..], None));
    }
}
