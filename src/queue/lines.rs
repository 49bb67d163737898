//! The pending jobs of one queue that are in no group: a line for each of 256 priorities, linked through the entries,
//! and a bitmap that tells which lines have anyone. Everything here is O(1), but for jobs that are given back: such a
//! one passes those that were given back before it and stood before it, unless they come in order.

use super::deadlines::NIL;
use super::table::Table;

/// A first and a last entry, or none.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    head: u32,
    tail: u32,
}

#[derive(Debug, Default)]
pub struct Lines {
    /// By priority; none before the first job, since most queues of a crowd never have one.
    lines: Box<[Line]>,
    occupied: [u64; 4],
    /// The entry that was given back last, if it still waits here: many are given back in order.
    given_back: Option<u32>,
}

impl Line {
    pub const EMPTY: Line = Line { head: NIL, tail: NIL };

    pub fn front(self) -> Option<u32> {
        (self.head != NIL).then_some(self.head)
    }

    /// Puts an entry where its order says: nearly always at the end. One that was given back stood before all that were
    /// never handed out, so that it is looked for from the front, behind the one that was given back last.
    pub fn insert(&mut self, table: &mut Table, slot: u32, given_back: &mut Option<u32>) {
        let entry = &table[slot];
        let (priority, order) = (entry.settings.priority, entry.order());
        let Line { head, tail } = *self;
        if tail != NIL && table[tail].order() < order {
            self.tail = slot;
            table[tail].next = slot;
            let entry = &mut table[slot];
            (entry.prev, entry.next) = (tail, NIL);
            return;
        }
        let from = given_back.filter(|before| {
            let before = &table[*before];
            before.settings.priority == priority && before.order() < order
        });
        *given_back = (tail != NIL).then_some(slot);
        let before = last_below(table, from.map_or((NIL, head), |from| (from, table[from].next)), order);
        let next = if before == NIL { head } else { table[before].next };
        (table[slot].prev, table[slot].next) = (before, next);
        if before == NIL {
            self.head = slot;
        } else {
            table[before].next = slot;
        }
        if next == NIL {
            self.tail = slot;
        } else {
            table[next].prev = slot;
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, table: &mut Table, slot: u32, given_back: &mut Option<u32>) {
        if *given_back == Some(slot) {
            *given_back = None;
        }
        let entry = &mut table[slot];
        let (prev, next) = (std::mem::replace(&mut entry.prev, NIL), std::mem::replace(&mut entry.next, NIL));
        if prev == NIL {
            self.head = next;
        } else {
            table[prev].next = next;
        }
        if next == NIL {
            self.tail = prev;
        } else {
            table[next].prev = prev;
        }
    }

    /// The entries from the first on.
    pub fn iter(self, table: &Table) -> impl Iterator<Item = u32> + use<'_> {
        std::iter::successors(self.front(), move |slot| Some(table[*slot].next).filter(|next| *next != NIL))
    }

    /// Whether links and orders agree, and all have this priority.
    pub fn check(self, table: &Table, priority: u8) {
        assert_eq!(self.head == NIL, self.tail == NIL, "both ends of priority {priority}");
        let mut before = NIL;
        for slot in self.iter(table) {
            assert_eq!(table[slot].prev, before, "back link of job {}", table[slot].id);
            assert_eq!(table[slot].settings.priority, priority, "line of job {}", table[slot].id);
            let is_later = before == NIL || table[before].order() < table[slot].order();
            assert!(is_later, "order of job {}", table[slot].id);
            before = slot;
        }
        assert_eq!(self.tail, before, "tail of priority {priority}");
    }
}

impl Lines {
    /// Memory of the lines of a queue that had a job.
    pub const BYTES: usize = 256 * size_of::<Line>();

    /// The first entry of the most urgent line.
    pub fn front(&self) -> Option<u32> {
        let word = self.occupied.iter().position(|word| *word != 0)?;
        let priority = word * 64 + self.occupied[word].trailing_zeros() as usize;
        Some(self.lines[priority].head)
    }

    /// The first entry of each line that has one.
    pub fn fronts(&self) -> impl Iterator<Item = u32> {
        self.occupied().filter_map(Line::front)
    }

    /// The lines that have an entry, the most urgent first; the others are not touched, since none is in a cache.
    fn occupied(&self) -> impl Iterator<Item = Line> {
        (0..).zip(self.occupied).flat_map(move |(word, mut bits): (usize, u64)| {
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits.checked_sub(1)?;
                Some(self.lines[word * 64 + bit])
            })
        })
    }

    /// Puts an entry where its priority and its order say.
    pub fn insert(&mut self, table: &mut Table, slot: u32) {
        if self.lines.is_empty() {
            self.lines = vec![Line::EMPTY; 256].into_boxed_slice();
        }
        let priority = table[slot].settings.priority;
        self.lines[usize::from(priority)].insert(table, slot, &mut self.given_back);
        self.occupied[usize::from(priority / 64)] |= 1 << (priority % 64);
    }

    /// Takes an entry out of its line.
    pub fn remove(&mut self, table: &mut Table, slot: u32) {
        let priority = table[slot].settings.priority;
        let line = &mut self.lines[usize::from(priority)];
        line.remove(table, slot, &mut self.given_back);
        if line.head == NIL {
            self.occupied[usize::from(priority / 64)] &= !(1 << (priority % 64));
        }
    }

    /// The entries in the order in which they would leave.
    pub fn iter<'t>(&'t self, table: &'t Table) -> impl Iterator<Item = u32> + 't {
        self.occupied().flat_map(move |line| line.iter(table))
    }

    /// Whether links and bitmap agree.
    pub fn check(&self, table: &Table) {
        for (priority, line) in (0..=u8::MAX).zip(&self.lines) {
            let marked = self.occupied[usize::from(priority / 64)] >> (priority % 64) & 1 == 1;
            assert_eq!(marked, line.head != NIL, "bitmap of priority {priority}");
            line.check(table, priority);
        }
    }
}

/// The last entry whose order is below this one, from an entry (or none) and its next on.
fn last_below(table: &Table, (mut before, mut next): (u32, u32), order: u64) -> u32 {
    while next != NIL && table[next].order() < order {
        (before, next) = (next, table[next].next);
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;
    use crate::job::Settings;
    use crate::queue::entry::Entry;

    fn line_up(priorities: &[u8]) -> (Table, Lines, Vec<u32>) {
        let (mut table, mut lines) = (Table::default(), Lines::default());
        let mut slots = Vec::new();
        for (id, priority) in (1..).zip(priorities) {
            let settings = Settings { priority: *priority, ..Settings::default() };
            let mut entry = Entry { id: JobId(id), settings, ..Entry::vacant() };
            entry.set_order(id);
            let slot = table.insert(entry);
            lines.insert(&mut table, slot);
            slots.push(slot);
        }
        (table, lines, slots)
    }

    fn order(table: &Table, lines: &Lines) -> Vec<u64> {
        lines.check(table);
        lines.iter(table).map(|slot| table[slot].id.0).collect()
    }

    #[test]
    fn the_most_urgent_leaves_first_and_equals_keep_their_order() {
        let (table, lines, slots) = line_up(&[128, 255, 0, 128, 0]);
        assert_eq!(order(&table, &lines), [3, 5, 1, 4, 2]);
        assert_eq!(lines.front(), Some(slots[2]));
    }

    #[test]
    fn entries_leave_from_anywhere() {
        let (mut table, mut lines, slots) = line_up(&[1, 1, 1, 1]);
        for (slot, left) in [(1, vec![1, 3, 4]), (0, vec![3, 4]), (3, vec![3]), (2, vec![])] {
            lines.remove(&mut table, slots[slot]);
            assert_eq!(order(&table, &lines), left);
        }
        assert_eq!(lines.front(), None);
    }

    #[test]
    fn what_is_given_back_stands_where_it_stood() {
        for back in [[0, 1, 3, 2], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let (mut table, mut lines, slots) = line_up(&[1, 1, 1, 1, 1, 0]);
            slots[..4].iter().for_each(|slot| lines.remove(&mut table, *slot));
            let mut there = vec![6, 5];
            for index in back {
                lines.insert(&mut table, slots[index]);
                there.push(index as u64 + 1);
                there[1..].sort_unstable();
                assert_eq!(order(&table, &lines), there);
            }
            lines.remove(&mut table, slots[back[3]]);
            lines.insert(&mut table, slots[back[3]]);
            assert_eq!(order(&table, &lines), [6, 1, 2, 3, 4, 5]);
        }
    }
}
