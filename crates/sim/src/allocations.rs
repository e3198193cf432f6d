//! Counts what a thread allocates: a measure of work that does not depend on the machine or its load, so a test can
//! say that something does not grow with the number of machines.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counted. A test binary makes it its own:
/// `#[global_allocator] static ALLOCATOR: CountingAllocator = CountingAllocator;`
#[derive(Debug)]
pub struct CountingAllocator;

impl CountingAllocator {
    /// Bytes that this thread has allocated since it began, freed ones included.
    #[must_use]
    pub fn allocated() -> u64 {
        BYTES.get()
    }

    fn count(bytes: usize) {
        // A thread that ends may allocate after its counter is gone.
        let _ = BYTES.try_with(|sum| sum.set(sum.get().saturating_add(bytes as u64)));
    }
}

// SAFETY: every call goes to the system's allocator as it came; counting touches a thread-local integer and allocates
// nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size.saturating_sub(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
