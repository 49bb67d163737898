//! The table of jobs: entries in chunks that never move, and the way from a job id to its entry.
//!
//! Ids are dense, so the way is a paged array and not a hash map. Chunks and pages that hold nothing are
//! given back, so that memory shrinks after a drain. Nothing is allocated per job, and one empty chunk and page are
//! kept, so that nothing is where as many jobs come as go.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

use super::deadlines::{NIL, Node, Nodes};
use super::entry::Entry;
use crate::block::Block;
use crate::ids::JobId;

const CHUNK_ENTRIES: u32 = 4096;
const PAGE_IDS: u64 = 4096;

/// All jobs that have an entry.
#[derive(Debug, Default)]
pub struct Table {
    chunks: Vec<Option<Box<Chunk>>>,
    /// Chunks with a free entry, each once; the last one is used first. May still name one that is gone:
    /// such a name is dropped when it is met, and always before a chunk is made.
    with_room: Vec<u32>,
    /// Numbers of chunks that were given back.
    gone: Vec<u32>,
    /// The one empty chunk that is kept, so that a queue that runs empty again and again does not
    /// allocate each time.
    kept_empty: Option<u32>,
    pages: VecDeque<Option<Box<Page>>>,
    /// The one empty page that is kept for the ids to come.
    kept_page: Option<Box<Page>>,
    first_page: u64,
    count: usize,
}

#[derive(Debug)]
struct Chunk {
    entries: Block<Entry>,
    free_head: u32,
    used: u32,
}

#[derive(Debug)]
struct Page {
    slots: Block<u32>,
    used: u32,
}

impl Index<u32> for Table {
    type Output = Entry;

    fn index(&self, slot: u32) -> &Entry {
        let chunk = self.chunks[(slot / CHUNK_ENTRIES) as usize].as_ref();
        &chunk.expect("the slot is in use").entries[(slot % CHUNK_ENTRIES) as usize]
    }
}

impl IndexMut<u32> for Table {
    fn index_mut(&mut self, slot: u32) -> &mut Entry {
        let chunk = self.chunks[(slot / CHUNK_ENTRIES) as usize].as_mut();
        &mut chunk.expect("the slot is in use").entries[(slot % CHUNK_ENTRIES) as usize]
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
        let slot = self.take_free();
        self[slot] = entry;
        let page = self.page_made(id.0 / PAGE_IDS);
        page.slots[(id.0 % PAGE_IDS) as usize] = slot;
        page.used += 1;
        self.count += 1;
        slot
    }

    pub fn remove(&mut self, slot: u32) {
        self.forget_id(self[slot].id);
        let chunk_number = slot / CHUNK_ENTRIES;
        let place = &mut self.chunks[chunk_number as usize];
        let chunk = place.as_mut().expect("the slot is in use");
        let was_full = chunk.free_head == NIL;
        let entry = &mut chunk.entries[(slot % CHUNK_ENTRIES) as usize];
        *entry = Entry::vacant();
        entry.next = chunk.free_head;
        chunk.free_head = slot;
        chunk.used -= 1;
        let empty = chunk.used == 0;
        if empty && self.kept_empty.is_some() {
            *place = None;
            self.gone.push(chunk_number);
        } else if empty {
            self.kept_empty = Some(chunk_number);
        }
        if was_full {
            self.with_room.push(chunk_number);
        }
        self.count -= 1;
    }

    /// The slot after the last that may be in use.
    pub fn slots_end(&self) -> u32 {
        u32::try_from(self.chunks.len()).expect("slots are 32 bits wide") * CHUNK_ENTRIES
    }

    /// The entry of a slot, if that is in use.
    pub fn visit(&self, slot: u32) -> Option<&Entry> {
        let chunk = self.chunks.get((slot / CHUNK_ENTRIES) as usize)?.as_ref()?;
        Some(&chunk.entries[(slot % CHUNK_ENTRIES) as usize]).filter(|entry| entry.id != JobId(0))
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// The slots in use, in no order that means anything.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        let pages = self.pages.iter().flatten();
        pages.flat_map(|page| page.slots.iter().copied().filter(|slot| *slot != NIL))
    }

    fn take_free(&mut self) -> u32 {
        while let Some(number) = self.with_room.last().copied() {
            if let Some(chunk) = self.chunks[number as usize].as_mut()
                && chunk.free_head != NIL
            {
                let slot = chunk.free_head;
                chunk.free_head = chunk.entries[(slot % CHUNK_ENTRIES) as usize].next;
                chunk.used += 1;
                if self.kept_empty == Some(number) {
                    self.kept_empty = None;
                }
                if chunk.free_head == NIL {
                    self.with_room.pop();
                }
                return slot;
            }
            self.with_room.pop();
        }
        self.make_chunk();
        self.take_free()
    }

    fn make_chunk(&mut self) {
        let number = self.gone.pop().unwrap_or_else(|| {
            self.chunks.push(None);
            u32::try_from(self.chunks.len() - 1).expect("slots are 32 bits wide")
        });
        let first = number * CHUNK_ENTRIES;
        let mut entries = Block::filled(&Entry::vacant(), CHUNK_ENTRIES as usize);
        for (entry, next) in entries.iter_mut().zip(first + 1..first + CHUNK_ENTRIES) {
            entry.next = next;
        }
        self.kept_empty = Some(number);
        self.chunks[number as usize] = Some(Box::new(Chunk { entries, free_head: first, used: 0 }));
        self.with_room.push(number);
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
        assert_eq!(table.chunks.iter().flatten().count(), 1, "all chunks but one were given back");
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
        assert_eq!(table.chunks.len(), 1);
        assert_eq!(table.slots().count(), 1);
        assert!(table.with_room.len() <= 2);
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
    fn a_chunk_at_the_edge_of_full_is_named_once() {
        let mut table = Table::default();
        for id in 1..=u64::from(CHUNK_ENTRIES) {
            table.insert(entry(id));
        }
        for id in 5000..6000 {
            table.remove(0);
            assert_eq!(table.insert(entry(id)), 0);
        }
        assert_eq!((table.with_room.len(), table.chunks.len()), (0, 1));
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
