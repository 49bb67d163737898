//! Values in chunks that never move, each by a number of 32 bits.
//!
//! Promises: nothing is allocated per value; a chunk that holds nothing is given back to the system, so that memory
//! shrinks after a drain; one empty chunk is kept, so that nothing is allocated where as many values come as go.

use std::ops::{Index, IndexMut};

use super::deadlines::NIL;
use crate::block::Block;

const CHUNK_VALUES: u32 = 4096;

/// A value of a chunk. Where none is there, it holds the number of the next such place.
pub trait Slot: Clone {
    fn vacant() -> Self;
    fn next_free(&self) -> u32;
    fn set_next_free(&mut self, next: u32);
}

#[derive(Debug)]
pub struct Chunks<T> {
    chunks: Vec<Option<Box<Chunk<T>>>>,
    /// Chunks with a free place, each once; the last one is used first. May still name one that is gone: such a name
    /// is dropped when it is met, and always before a chunk is made.
    with_room: Vec<u32>,
    /// Numbers of chunks that were given back.
    gone: Vec<u32>,
    /// The one empty chunk that is kept.
    kept_empty: Option<u32>,
    count: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    values: Block<T>,
    free_head: u32,
    used: u32,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Chunks { chunks: Vec::new(), with_room: Vec::new(), gone: Vec::new(), kept_empty: None, count: 0 }
    }
}

impl<T> Index<u32> for Chunks<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        let chunk = self.chunks[(slot / CHUNK_VALUES) as usize].as_ref();
        &chunk.expect("the slot is in use").values[(slot % CHUNK_VALUES) as usize]
    }
}

impl<T> IndexMut<u32> for Chunks<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        let chunk = self.chunks[(slot / CHUNK_VALUES) as usize].as_mut();
        &mut chunk.expect("the slot is in use").values[(slot % CHUNK_VALUES) as usize]
    }
}

impl<T: Slot> Chunks<T> {
    pub fn insert(&mut self, value: T) -> u32 {
        let slot = self.take_free();
        self[slot] = value;
        self.count += 1;
        slot
    }

    /// Takes a value out.
    pub fn remove(&mut self, slot: u32) -> T {
        let number = slot / CHUNK_VALUES;
        let place = &mut self.chunks[number as usize];
        let chunk = place.as_mut().expect("the slot is in use");
        let was_full = chunk.free_head == NIL;
        let value = std::mem::replace(&mut chunk.values[(slot % CHUNK_VALUES) as usize], T::vacant());
        chunk.values[(slot % CHUNK_VALUES) as usize].set_next_free(chunk.free_head);
        chunk.free_head = slot;
        chunk.used -= 1;
        let empty = chunk.used == 0;
        if empty && self.kept_empty.is_some() {
            *place = None;
            self.gone.push(number);
        } else if empty {
            self.kept_empty = Some(number);
        }
        if was_full {
            self.with_room.push(number);
        }
        self.count -= 1;
        value
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// The slot after the last that may be in use.
    pub fn slots_end(&self) -> u32 {
        u32::try_from(self.chunks.len()).expect("slots are 32 bits wide") * CHUNK_VALUES
    }

    /// What is at a slot, be it a value or a vacant place, if its chunk is there.
    pub fn look(&self, slot: u32) -> Option<&T> {
        let chunk = self.chunks.get((slot / CHUNK_VALUES) as usize)?.as_ref()?;
        Some(&chunk.values[(slot % CHUNK_VALUES) as usize])
    }

    fn take_free(&mut self) -> u32 {
        while let Some(number) = self.with_room.last().copied() {
            if let Some(chunk) = self.chunks[number as usize].as_mut()
                && chunk.free_head != NIL
            {
                let slot = chunk.free_head;
                chunk.free_head = chunk.values[(slot % CHUNK_VALUES) as usize].next_free();
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
        let first = number * CHUNK_VALUES;
        let mut values = Block::filled(&T::vacant(), CHUNK_VALUES as usize);
        for (value, next) in values.iter_mut().zip(first + 1..first + CHUNK_VALUES) {
            value.set_next_free(next);
        }
        if let Some(last) = values.last_mut() {
            last.set_next_free(NIL);
        }
        self.kept_empty = Some(number);
        self.chunks[number as usize] = Some(Box::new(Chunk { values, free_head: first, used: 0 }));
        self.with_room.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Slot for u64 {
        fn vacant() -> u64 {
            u64::MAX
        }

        fn next_free(&self) -> u32 {
            *self as u32
        }

        fn set_next_free(&mut self, next: u32) {
            *self = u64::from(next);
        }
    }

    #[test]
    fn values_stay_where_they_are_and_empty_chunks_are_given_back() {
        let mut chunks: Chunks<u64> = Chunks::default();
        let slots: Vec<u32> = (0..20_000).map(|value| chunks.insert(1000 + value)).collect();
        for (value, slot) in (0..).zip(&slots).filter(|(value, _)| value % 5 == 0) {
            assert_eq!(chunks.remove(*slot), 1000 + value);
        }
        for (value, slot) in (0..).zip(&slots).filter(|(value, _)| value % 5 != 0) {
            assert_eq!(chunks[*slot], 1000 + value);
        }
        let again: Vec<u32> = (0..4_000).map(|value| chunks.insert(value)).collect();
        assert_eq!((chunks.len(), chunks.slots_end()), (20_000, 5 * CHUNK_VALUES));
        for slot in again.iter().chain(slots.iter().enumerate().filter(|(at, _)| at % 5 != 0).map(|(_, slot)| slot)) {
            chunks.remove(*slot);
        }
        assert_eq!((chunks.len(), chunks.chunks.iter().flatten().count()), (0, 1));
        assert!(chunks.with_room.len() <= 6);
    }

    #[test]
    fn a_chunk_at_the_edge_of_full_is_named_once() {
        let mut chunks: Chunks<u64> = Chunks::default();
        for value in 0..u64::from(CHUNK_VALUES) {
            chunks.insert(value);
        }
        for value in 5000..6000 {
            chunks.remove(0);
            assert_eq!(chunks.insert(value), 0);
        }
        assert_eq!((chunks.with_room.len(), chunks.chunks.len()), (0, 1));
    }
}
