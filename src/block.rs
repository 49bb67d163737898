//! A block of equal values in a mapping of its own.
//!
//! Promise: its memory goes back to the system when it is dropped, whatever lives beside it. With a large block from
//! the allocator that is not sure: once larger blocks were freed, glibc serves it from its heap. The heap only shrinks
//! at its end, so one small block there keeps all before it: after 300,000 jobs were drained, not one byte had gone
//! back. It is not for small things: a block takes whole pages, and one of the system's mappings (65,530 on Linux
//! unless `vm.max_map_count` says otherwise) where no other block lies beside it.
//!
//! This file and `wal::device::mapped` are the only ones with `unsafe` in them.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// The smallest page of a system, to which a mapping is aligned at least.
const PAGE_BYTES: usize = 4096;

/// Values in a mapping of their own.
#[derive(Debug)]
pub struct Block<T> {
    map: MmapMut,
    length: usize,
    values: PhantomData<[T]>,
}

impl<T: Clone> Block<T> {
    const FITS: () = assert!(
        align_of::<T>() <= PAGE_BYTES && size_of::<T>() > 0 && !std::mem::needs_drop::<T>(),
        "values stand where a page begins, and may be given up without a word"
    );

    /// `length` times this value. When there is no memory the process ends, as with any other allocation.
    pub fn filled(value: &T, length: usize) -> Block<T> {
        let () = Self::FITS;
        let layout = Layout::array::<T>(length).expect("a block fits into the address space");
        let Ok(mut map) = MmapMut::map_anon(layout.size().max(1)) else { handle_alloc_error(layout) };
        let first = map.as_mut_ptr().cast::<T>();
        for index in 0..length {
            // SAFETY: the mapping has room for `length` values, is aligned to a page and thus to a value, and nobody
            // else knows of it yet.
            unsafe { first.add(index).write(value.clone()) };
        }
        Block { map, length, values: PhantomData }
    }
}

impl<T> Deref for Block<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `filled` has written all `length` values, at an address that is aligned for them; they are borrowed
        // as long as the mapping is, and it never moves.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast::<T>(), self.length) }
    }
}

impl<T> DerefMut for Block<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the mapping is private and borrowed for this caller alone.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast::<T>(), self.length) }
    }
}

/// From now on every allocation of 1 MiB or more has a mapping of its own, which goes back to the system when it is
/// freed, and so does what is free at the heap's end. By itself glibc serves larger and larger blocks from its heap
/// once one was freed, and keeps twice as much at its end: frames of 4 MiB left 8 MiB behind.
#[cfg(all(feature = "daemon", target_env = "gnu"))]
pub fn give_large_allocations_back() {
    const BYTES: i32 = 1 << 20;
    for setting in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: `mallopt` sets a number of the allocator, and may be called at any time.
        if unsafe { libc::mallopt(setting, BYTES) } != 1 {
            log::debug!("the allocator keeps a bound of its own");
        }
    }
}

/// Other allocators have bounds of their own.
#[cfg(all(feature = "daemon", not(target_env = "gnu")))]
pub fn give_large_allocations_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were_written() {
        let mut block = Block::filled(&(7_u64, 'x'), 5000);
        assert_eq!(block.len(), 5000);
        assert!(block.iter().all(|value| *value == (7, 'x')));
        block[4999] = (8, 'y');
        assert_eq!((block[0], block[4998], block[4999]), ((7, 'x'), (7, 'x'), (8, 'y')));
        assert!(Block::filled(&1_u8, 0).is_empty());
    }

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn there_is_nothing_behind_the_last_value() {
        let _ = Block::filled(&0_u32, 10)[10];
    }
}
