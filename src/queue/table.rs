//! The table of jobs: their entries, and the way from a job id to its entry.
//!
//! Ids are dense, so the way is a paged array and not a hash map. Pages that hold nothing are given back, so that
//! memory shrinks after a drain; one empty page is kept, so that nothing is allocated where as many jobs come as go.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

use super::chunks::{Chunks, Slot};
use super::deadlines::{NIL, Node, Nodes};
use super::entry::Entry;
use crate::block::Block;
use crate::ids::JobId;

/// Ids of one page.
pub const PAGE_IDS: u64 = 4096;

/// All jobs that have an entry.
#[derive(Debug, Default)]
pub struct Table {
    entries: Chunks<Entry>,
    pages: VecDeque<Option<Box<Page>>>,
    /// The one empty page that is kept for the ids to come.
    kept_page: Option<Box<Page>>,
    first_page: u64,
}

#[derive(Debug)]
struct Page {
    slots: Block<u32>,
    used: u32,
}

/// The line of free places goes by `next`.
impl Slot for Entry {
    fn vacant() -> Entry {
        Entry::vacant()
    }

    fn next_free(&self) -> u32 {
        self.next
    }

    fn set_next_free(&mut self, next: u32) {
        self.next = next;
    }
}

impl Index<u32> for Table {
    type Output = Entry;

    fn index(&self, slot: u32) -> &Entry {
        &self.entries[slot]
    }
}

impl IndexMut<u32> for Table {
    fn index_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.entries[slot]
    }
}

impl Table {
    pub fn slot(&self, id: JobId) -> Option<u32> {
        let page = (id.0 / PAGE_IDS).checked_sub(self.first_page)?;
        let page = self.pages.get(usize::try_from(page).ok()?)?.as_ref()?;
        let slot = page.slots[(id.0 % PAGE_IDS) as usize];
        (slot != NIL).then_some(slot)
    }

    /// Adds a job; its id must be above all that were added before, or on a page that is still there.
    pub fn insert(&mut self, entry: Entry) -> u32 {
        let id = entry.id;
        let slot = self.entries.insert(entry);
        let page = self.page_made(id.0 / PAGE_IDS);
        page.slots[(id.0 % PAGE_IDS) as usize] = slot;
        page.used += 1;
        slot
    }

    pub fn remove(&mut self, slot: u32) {
        self.forget_id(self[slot].id);
        self.entries.remove(slot);
    }

    /// The slot after the last that may be in use.
    pub fn slots_end(&self) -> u32 {
        self.entries.slots_end()
    }

    /// The entry of a slot, if that is in use.
    pub fn visit(&self, slot: u32) -> Option<&Entry> {
        self.entries.look(slot).filter(|entry| entry.id != JobId(0))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The slots in use, in no order that means anything.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        let pages = self.pages.iter().flatten();
        pages.flat_map(|page| page.slots.iter().copied().filter(|slot| *slot != NIL))
    }

    /// The page that has this id, or the next one that is there in this direction, with the first id to look at there.
    pub fn page_of(&self, id: JobId, downwards: bool) -> Option<(JobId, &[u32])> {
        let (wanted, count) = (id.0 / PAGE_IDS, self.pages.len());
        let index = |page: u64| usize::try_from(page.saturating_sub(self.first_page)).map_or(count, |at| at.min(count));
        let is_there = |index: &usize| self.pages[*index].is_some();
        let found = if downwards {
            let end = if wanted < self.first_page { 0 } else { index(wanted + 1) };
            (0..end).rev().find(is_there)?
        } else {
            (index(wanted)..count).find(is_there)?
        };
        let number = self.first_page + found as u64;
        let page = self.pages[found].as_ref()?;
        let id = match (number == wanted, downwards) {
            (true, _) => id,
            (false, true) => JobId(number * PAGE_IDS + PAGE_IDS - 1),
            (false, false) => JobId(number * PAGE_IDS),
        };
        Some((id, &page.slots))
    }

    fn page_made(&mut self, page: u64) -> &mut Page {
        if self.pages.is_empty() {
            self.first_page = page;
        }
        while page < self.first_page {
            self.pages.push_front(None);
            self.first_page -= 1;
        }
        let index = usize::try_from(page - self.first_page).expect("pages fit into memory");
        if self.pages.len() <= index {
            self.pages.resize_with(index + 1, || None);
            self.drop_empty_pages();
            return self.page_made(page);
        }
        let kept = &mut self.kept_page;
        self.pages[index].get_or_insert_with(|| {
            let fresh = || Box::new(Page { slots: Block::filled(&NIL, PAGE_IDS as usize), used: 0 });
            kept.take().unwrap_or_else(fresh)
        })
    }

    fn forget_id(&mut self, id: JobId) {
        let index = usize::try_from(id.0 / PAGE_IDS - self.first_page).expect("pages fit into memory");
        let page = self.pages[index].as_mut().expect("the job's page is there");
        page.slots[(id.0 % PAGE_IDS) as usize] = NIL;
        page.used -= 1;
        // The newest page stays: the next job lands on it.
        if page.used == 0 && index + 1 < self.pages.len() {
            self.kept_page = self.pages[index].take();
            self.drop_empty_pages();
        }
    }

    /// Drops the pages before the first one that is in use; the newest stays.
    fn drop_empty_pages(&mut self) {
        while self.pages.len() > 1
            && self.pages.front().is_some_and(|page| page.as_ref().is_none_or(|page| page.used == 0))
        {
            if let Some(Some(empty)) = self.pages.pop_front() {
                self.kept_page = Some(empty);
            }
            self.first_page += 1;
        }
    }
}

/// The wheel of delayed jobs links the entries themselves.
impl Nodes for Table {
    fn node(&self, index: u32) -> Node {
        let entry = &self[index];
        Node { at: entry.due_at(), prev: entry.prev, next: entry.next, cell: entry.cell }
    }

    fn set_links(&mut self, index: u32, prev: u32, next: u32, cell: u16) {
        let entry = &mut self[index];
        (entry.prev, entry.next, entry.cell) = (prev, next, cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64) -> Entry {
        Entry { id: JobId(id), ..Entry::vacant() }
    }

    #[test]
    fn ids_lead_to_their_entries_and_memory_comes_back_after_a_drain() {
        let mut table = Table::default();
        for id in 1..=20_000 {
            table.insert(entry(id));
        }
        for id in 1..=20_000 {
            let slot = table.slot(JobId(id)).unwrap();
            assert_eq!(table[slot].id, JobId(id));
        }
        for id in 1..=20_000 {
            let slot = table.slot(JobId(id)).unwrap();
            table.remove(slot);
            assert_eq!(table.slot(JobId(id)), None);
        }
        assert_eq!(table.slots().count(), 0);
        assert_eq!(table.pages.len(), 1, "all pages but the newest were given back");
    }

    #[test]
    fn slots_are_used_again() {
        let mut table = Table::default();
        table.insert(entry(1));
        for id in 2..100_000 {
            table.insert(entry(id));
            let slot = table.slot(JobId(id)).unwrap();
            table.remove(slot);
        }
        assert_eq!((table.slots_end(), table.slots().count()), (4096, 1));
    }

    #[test]
    fn a_queue_that_runs_empty_again_and_again_keeps_no_pages() {
        let mut table = Table::default();
        for id in 1..100_000 {
            let slot = table.insert(entry(id));
            table.remove(slot);
        }
        assert_eq!(table.pages.len(), 1);
        table.insert(entry(1_000_000));
        assert!(table.pages.len() <= 2 && table.slot(JobId(1_000_000)).is_some());
    }

    #[test]
    fn an_unknown_id_has_no_slot() {
        let mut table = Table::default();
        table.insert(entry(10_000));
        for id in [0, 1, 9_999, 10_001, u64::MAX] {
            assert_eq!(table.slot(JobId(id)), None);
        }
    }
}
