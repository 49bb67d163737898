//! The pending jobs of a group: a line for each priority that is in use, the most urgent one first.
//!
//! Most groups use one priority, so the lines are a list and not an array: 16 bytes each. To find a line costs as many
//! steps as there are more urgent ones in use, 255 at most.

use super::Groups;
use crate::queue::chunks::Slot;
use crate::queue::deadlines::NIL;
use crate::queue::lines::Line;
use crate::queue::table::Table;

/// The line of one priority.
#[derive(Clone, Debug)]
pub struct GroupLine {
    line: Line,
    /// The line of the next priority that is in use.
    next: u32,
    priority: u8,
}

const _: () = assert!(size_of::<GroupLine>() <= 16, "a group costs 16 bytes for each further priority");

/// The line of free places goes by `next`.
impl Slot for GroupLine {
    fn vacant() -> GroupLine {
        GroupLine { line: Line::EMPTY, next: NIL, priority: 0 }
    }

    fn next_free(&self) -> u32 {
        self.next
    }

    fn set_next_free(&mut self, next: u32) {
        self.next = next;
    }
}

fn some(slot: u32) -> Option<u32> {
    (slot != NIL).then_some(slot)
}

impl Groups {
    /// The first entry of a group's most urgent line.
    pub fn front(&self, number: u32) -> Option<u32> {
        some(self.groups[number].first_line).and_then(|line| self.lines[line].line.front())
    }

    /// The first entry of each line of a group.
    pub fn fronts(&self, number: u32) -> impl Iterator<Item = u32> {
        self.lines_of(number).filter_map(|line| self.lines[line].line.front())
    }

    /// Puts an entry into the lines of a group.
    pub fn line_up(&mut self, number: u32, table: &mut Table, slot: u32) {
        let priority = table[slot].settings.priority;
        let (before, line) = self.find_line(number, priority);
        let line = some(line).filter(|line| self.lines[*line].priority == priority);
        let line = line.unwrap_or_else(|| self.add_line(number, before, priority));
        let mut given_back = some(self.groups[number].given_back);
        self.lines[line].line.insert(table, slot, &mut given_back);
        self.groups[number].given_back = given_back.unwrap_or(NIL);
    }

    /// Takes an entry out of the lines of a group.
    pub fn leave_line(&mut self, number: u32, table: &mut Table, slot: u32) {
        let (before, line) = self.find_line(number, table[slot].settings.priority);
        let mut given_back = some(self.groups[number].given_back);
        self.lines[line].line.remove(table, slot, &mut given_back);
        self.groups[number].given_back = given_back.unwrap_or(NIL);
        if self.lines[line].line.front().is_none() {
            let next = self.lines[line].next;
            self.set_next(number, before, next);
            self.lines.remove(line);
        }
    }

    /// The entries of a group in the order in which they would leave.
    pub fn entries<'t>(&'t self, number: u32, table: &'t Table) -> impl Iterator<Item = u32> + 't {
        self.lines_of(number).flat_map(move |line| self.lines[line].line.iter(table))
    }

    /// Whether the lines of a group agree with its jobs.
    pub fn check_lines(&self, number: u32, table: &Table) {
        let mut before = None;
        for line in self.lines_of(number) {
            let GroupLine { line, priority, .. } = &self.lines[line];
            assert!(before < Some(*priority) && line.front().is_some(), "lines of group {number}");
            line.check(table, *priority);
            before = Some(*priority);
        }
    }

    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    pub fn lines_of(&self, number: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(some(self.groups[number].first_line), |line| some(self.lines[*line].next))
    }

    /// The first line of a group that is not more urgent than this, and the one before it; none where there is none.
    fn find_line(&self, number: u32, priority: u8) -> (u32, u32) {
        let (mut before, mut line) = (NIL, self.groups[number].first_line);
        while line != NIL && self.lines[line].priority < priority {
            (before, line) = (line, self.lines[line].next);
        }
        (before, line)
    }

    fn add_line(&mut self, number: u32, before: u32, priority: u8) -> u32 {
        let next = some(before).map_or(self.groups[number].first_line, |before| self.lines[before].next);
        let line = self.lines.insert(GroupLine { line: Line::EMPTY, next, priority });
        self.set_next(number, before, line);
        line
    }

    fn set_next(&mut self, number: u32, before: u32, next: u32) {
        match some(before) {
            Some(before) => self.lines[before].next = next,
            None => self.groups[number].first_line = next,
        }
    }
}
