//! Deadlines: a hierarchical timing wheel over nodes that live elsewhere.
//!
//! Inserting, removing and finding the next deadline cost the same however many entries there are and
//! however far off they lie (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987,
//! scheme 7): eight levels of 64 cells, a cell of level `n` covering `64^n` ms. An entry lies at the level of
//! the highest 6-bit digit in which its moment differs from the wheel's, so each level's occupied cells are
//! all ahead of the wheel, and an entry moves at most seven times on its way down.
//!
//! The links lie in the entries themselves (`Nodes`), so the wheel allocates nothing.
//! It does not order entries that become due together: the caller sorts them where the order matters.

use crate::time::Timestamp;

/// No node.
pub const NIL: u32 = u32::MAX;

/// The cell of a node that is in no wheel.
pub const NO_CELL: u16 = u16::MAX;

const LEVELS: u32 = 8;
const DIGIT_BITS: u32 = 6;
const CELLS: u32 = 1 << DIGIT_BITS;
const MOMENT_END: u64 = 1 << (LEVELS * DIGIT_BITS);

/// What the wheel keeps in each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// When it is due.
    pub at: Timestamp,
    /// The node before it in its cell.
    pub prev: u32,
    /// The node after it.
    pub next: u32,
    pub cell: u16,
}

/// A store of nodes, addressed by number.
pub trait Nodes {
    fn node(&self, index: u32) -> Node;
    /// Changes its links and cell; `at` is never changed by the wheel.
    fn set_links(&mut self, index: u32, prev: u32, next: u32, cell: u16);
}

#[derive(Clone, Debug)]
pub struct Wheel {
    now: u64,
    heads: Box<[u32]>,
    occupied: [u64; LEVELS as usize],
    count: usize,
}

impl Default for Wheel {
    fn default() -> Self {
        Wheel {
            now: 0,
            heads: vec![NIL; (LEVELS * CELLS) as usize].into_boxed_slice(),
            occupied: [0; LEVELS as usize],
            count: 0,
        }
    }
}

impl Wheel {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an entry. One that is due already comes out at the next `advance` that moves the wheel
    /// or stands at its moment.
    pub fn insert(&mut self, nodes: &mut impl Nodes, index: u32) {
        debug_assert_eq!(nodes.node(index).cell, NO_CELL, "the entry is in no wheel");
        self.count += 1;
        self.link(nodes, index);
    }

    /// Removes an entry; nothing happens if it is in no cell.
    pub fn remove(&mut self, nodes: &mut impl Nodes, index: u32) {
        let node = nodes.node(index);
        if node.cell == NO_CELL {
            return;
        }
        self.count -= 1;
        if node.prev == NIL {
            self.set_head(node.cell, node.next);
        } else {
            let before = nodes.node(node.prev);
            nodes.set_links(node.prev, before.prev, node.next, before.cell);
        }
        if node.next != NIL {
            let after = nodes.node(node.next);
            nodes.set_links(node.next, node.prev, after.next, after.cell);
        }
        nodes.set_links(index, NIL, NIL, NO_CELL);
    }

    /// Moves the wheel to `now` and takes out every entry that is due by then, in no particular order.
    pub fn advance(&mut self, nodes: &mut impl Nodes, now: Timestamp, due: &mut Vec<u32>) {
        let now = now.0.min(MOMENT_END - 1);
        while let Some((level, cell, starts_at)) = self.first_cell() {
            if starts_at > now {
                break;
            }
            self.now = self.now.max(starts_at);
            let mut index = self.heads[cell_number(level, cell)];
            self.set_head(u16::try_from(cell_number(level, cell)).expect("512 cells"), NIL);
            while index != NIL {
                let node = nodes.node(index);
                nodes.set_links(index, NIL, NIL, NO_CELL);
                if node.at.0 <= now {
                    self.count -= 1;
                    due.push(index);
                } else {
                    self.link(nodes, index);
                }
                index = node.next;
            }
        }
        self.now = self.now.max(now);
    }

    /// A moment at or before the earliest deadline, and after the wheel's own moment unless something
    /// is due now: advancing to it makes progress.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.first_cell().map(|(_, _, starts_at)| Timestamp(starts_at))
    }

    fn link(&mut self, nodes: &mut impl Nodes, index: u32) {
        let at = nodes.node(index).at.0.clamp(self.now, MOMENT_END - 1);
        let differing = (at ^ self.now) | 1;
        let level = differing.ilog2() / DIGIT_BITS;
        let cell = (at >> (level * DIGIT_BITS)) as u32 % CELLS;
        let number = cell_number(level, cell);
        let head = self.heads[number];
        let number = u16::try_from(number).expect("512 cells");
        nodes.set_links(index, NIL, head, number);
        if head != NIL {
            let after = nodes.node(head);
            nodes.set_links(head, index, after.next, after.cell);
        }
        self.set_head(number, index);
    }

    fn set_head(&mut self, number: u16, head: u32) {
        self.heads[usize::from(number)] = head;
        let level = usize::from(number) / CELLS as usize;
        let bit = 1u64 << (u32::from(number) % CELLS);
        if head == NIL {
            self.occupied[level] &= !bit;
        } else {
            self.occupied[level] |= bit;
        }
    }

    /// The occupied cell that starts first: its level, its number there, its first moment.
    fn first_cell(&self) -> Option<(u32, u32, u64)> {
        let level = (0..LEVELS).find(|level| self.occupied[*level as usize] != 0)?;
        let cell = self.occupied[level as usize].trailing_zeros();
        let digits_below = level * DIGIT_BITS;
        let above = self.now >> (digits_below + DIGIT_BITS) << (digits_below + DIGIT_BITS);
        Some((level, cell, above | (u64::from(cell) << digits_below)))
    }
}

fn cell_number(level: u32, cell: u32) -> usize {
    (level * CELLS + cell) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Nodes for Vec<Node> {
        fn node(&self, index: u32) -> Node {
            self[index as usize]
        }

        fn set_links(&mut self, index: u32, prev: u32, next: u32, cell: u16) {
            let at = self[index as usize].at;
            self[index as usize] = Node { at, prev, next, cell };
        }
    }

    const NONE: [u32; 0] = [];

    fn at(moment: u64) -> Node {
        Node { at: Timestamp(moment), prev: NIL, next: NIL, cell: NO_CELL }
    }

    fn due(wheel: &mut Wheel, nodes: &mut Vec<Node>, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.advance(nodes, Timestamp(now), &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn entries_come_out_at_their_moment_and_not_before() {
        let mut nodes = vec![at(5), at(5), at(64), at(5000), at(1 << 40)];
        let mut wheel = Wheel::default();
        for index in 0..5 {
            wheel.insert(&mut nodes, index);
        }
        assert_eq!(due(&mut wheel, &mut nodes, 4), NONE);
        assert_eq!(due(&mut wheel, &mut nodes, 5), [0, 1]);
        wheel.remove(&mut nodes, 3);
        assert_eq!(due(&mut wheel, &mut nodes, 100_000), [2]);
        assert_eq!(due(&mut wheel, &mut nodes, (1 << 40) - 1), NONE);
        assert_eq!(due(&mut wheel, &mut nodes, 1 << 40), [4]);
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn an_entry_that_is_late_already_is_due_at_once() {
        let mut nodes = vec![at(3)];
        let mut wheel = Wheel::default();
        due(&mut wheel, &mut nodes, 1000);
        wheel.insert(&mut nodes, 0);
        assert_eq!(wheel.next_deadline(), Some(Timestamp(1000)));
        assert_eq!(due(&mut wheel, &mut nodes, 1000), [0]);
    }

    #[test]
    fn the_last_moment_of_all_does_not_break_it() {
        let mut nodes = vec![at(u64::MAX)];
        let mut wheel = Wheel::default();
        wheel.insert(&mut nodes, 0);
        assert_eq!(due(&mut wheel, &mut nodes, 1 << 47), NONE);
        assert!(wheel.next_deadline().is_some());
        wheel.remove(&mut nodes, 0);
        assert!(wheel.is_empty());
    }

    proptest! {
        /// Against a plain list: what is due comes out exactly when it is, under any mix of steps.
        #[test]
        fn it_agrees_with_a_list(steps in prop::collection::vec((0u64..200_000, 0u8..4, 0usize..50), 1..200)) {
            let mut nodes: Vec<Node> = Vec::new();
            let mut waiting: Vec<u32> = Vec::new();
            let mut wheel = Wheel::default();
            let mut now = 0;
            for (span, what, pick) in steps {
                match what {
                    0 | 1 => {
                        let index = u32::try_from(nodes.len()).unwrap();
                        nodes.push(at(now + span));
                        wheel.insert(&mut nodes, index);
                        waiting.push(index);
                    }
                    2 if !waiting.is_empty() => {
                        let index = waiting.swap_remove(pick % waiting.len());
                        wheel.remove(&mut nodes, index);
                    }
                    _ => {
                        now += span / 7;
                        let mut expected: Vec<u32> =
                            waiting.iter().copied().filter(|index| nodes[*index as usize].at.0 <= now).collect();
                        expected.sort_unstable();
                        prop_assert_eq!(due(&mut wheel, &mut nodes, now), expected);
                        waiting.retain(|index| nodes[*index as usize].at.0 > now);
                    }
                }
                prop_assert_eq!(wheel.len(), waiting.len());
                let earliest = waiting.iter().map(|index| nodes[*index as usize].at).min();
                match (wheel.next_deadline(), earliest) {
                    (None, None) => {}
                    (Some(next), Some(earliest)) => prop_assert!(next <= earliest.max(Timestamp(now))),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }
}
