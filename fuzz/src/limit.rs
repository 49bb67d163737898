//! An allocator that refuses what is too large for any input here: nothing is allocated from a length that was not
//! checked. A refusal ends the process, which the engine takes for a crash.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

/// The longest body of a frame, and as much again: nothing that is read or written here needs more at once.
const BYTES_MAX: usize = 16 << 20;

struct Limited;

#[global_allocator]
static LIMITED: Limited = Limited;

// SAFETY: every call is passed on as it came, or refused by a null pointer, as the trait allows.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > BYTES_MAX {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the same.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > BYTES_MAX {
            return ptr::null_mut();
        }
        // SAFETY: the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if bytes > BYTES_MAX {
            return ptr::null_mut();
        }
        // SAFETY: the same.
        unsafe { System.realloc(block, layout, bytes) }
    }
}
