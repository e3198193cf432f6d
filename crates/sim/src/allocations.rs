//! Counts what a thread allocates: a measure of work that does not depend on the machine or its load, so a test can
//! say that something does not grow with the number of machines. And what a process holds, so that a benchmark can say what
//! of its memory belongs to what.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

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

static COUNTS: AtomicBool = AtomicBool::new(false);
static HELD: AtomicI64 = AtomicI64::new(0);

/// Another allocator, with what the process holds counted.
#[derive(Debug)]
pub struct HoldingAllocator<A>(pub A);

/// Begins to count. Nothing is counted before, because threads that count together slow each other down.
pub fn count_held_bytes() {
    COUNTS.store(true, Ordering::Relaxed);
}

/// Bytes that were allocated and not freed since the process began to count.
#[must_use]
pub fn held_bytes() -> i64 {
    HELD.load(Ordering::Relaxed)
}

fn hold(bytes: usize, sign: i64) {
    if COUNTS.load(Ordering::Relaxed) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        HELD.fetch_add(bytes.wrapping_mul(sign), Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the inner allocator as it came; counting touches two atomics and allocates nothing.
unsafe impl<A: GlobalAlloc> GlobalAlloc for HoldingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        hold(layout.size(), 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        hold(layout.size(), 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        hold(layout.size(), -1);
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        hold(size, 1);
        hold(layout.size(), -1);
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.realloc(pointer, layout, size) }
    }
}
