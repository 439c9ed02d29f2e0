//! Small blocks, in pages that hold one size each.
//!
//! A page knows which of its blocks are free as a list through the blocks themselves, so that to
//! allocate and to free is to move two pointers. Pages are cut from arenas; a page nobody uses
//! serves another size, an arena stays for as long as the guest. What is no small block, or finds
//! no page, is left to the [`Source`].

use core::marker::PhantomData;
use core::ptr::{self, null_mut};

/// The largest block that is kept in a page, in bytes.
pub const LARGEST: usize = 512;

/// Blocks are multiples of this many bytes, at multiples of it: what CPython asks for where a
/// pointer has four bytes.
pub const STEP: usize = 8;

const SIZES: usize = LARGEST / STEP;

const PAGE_BYTES: usize = 16 << 10;

const ARENA_SHIFT: u32 = 18;
const ARENA_BYTES: usize = 1 << ARENA_SHIFT;

/// At the end of an arena, for the header of the block that follows it: so the C library can lay
/// arenas side by side. With whole ones every other 256 KiB would be lost.
const ARENA_GAP: usize = 16;

/// How many arenas the address space of the guest has room for.
const ARENAS: usize = 1 << (32 - ARENA_SHIFT);

/// Where memory comes from that is not handed out in small blocks.
pub trait Source {
    /// Takes `size` bytes at a multiple of `align`, for good. Null when there are none.
    fn arena(align: usize, size: usize) -> *mut u8;

    /// Takes a block. Null when there is none.
    fn malloc(size: usize) -> *mut u8;

    /// Changes the size of a block of [`malloc`](Self::malloc). Null, and nothing else, when that cannot be.
    ///
    /// # Safety
    /// `block` is one of this source, and in use.
    unsafe fn realloc(block: *mut u8, size: usize) -> *mut u8;

    /// Gives a block back.
    ///
    /// # Safety
    /// `block` is one of this source, and in use; or null.
    unsafe fn free(block: *mut u8);
}

/// The first bytes of a block that is free.
struct Free {
    next: *mut Free,
}

/// The first bytes of a page.
struct Page {
    free: *mut Free,
    /// Blocks in use.
    used: u32,
    /// Index into [`Pools::pages`].
    size: u32,
    /// Whether it is in the list of pages that may have a block to give.
    listed: bool,
    next: *mut Page,
    previous: *mut Page,
    /// The first of the blocks that were never handed out, and where they end.
    fresh: *mut u8,
    end: *mut u8,
}

const FIRST_BLOCK: usize = size_of::<Page>().next_multiple_of(STEP);

/// The allocator. There is one, and one thread uses it.
pub struct Pools<S> {
    /// For each size the pages that may have a block; blocks are taken from the first.
    pages: [*mut Page; SIZES],
    /// Pages nobody uses.
    unused: *mut Page,
    /// What is left of the newest arena.
    rest: *mut u8,
    rest_pages: usize,
    /// Which parts of the address space are arenas.
    arenas: [bool; ARENAS],
    source: PhantomData<S>,
}

impl<S: Source> Default for Pools<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Source> Pools<S> {
    /// An allocator that has taken nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pages: [null_mut(); SIZES],
            unused: null_mut(),
            rest: null_mut(),
            rest_pages: 0,
            arenas: [false; ARENAS],
            source: PhantomData,
        }
    }

    /// Takes a block of at least `size` bytes; null when there is no memory.
    #[inline]
    pub fn malloc(&mut self, size: usize) -> *mut u8 {
        // No bytes wrap around and are no index.
        let index = size.wrapping_sub(1) / STEP;
        if let Some(&page) = self.pages.get(index)
            && !page.is_null()
        {
            // SAFETY: a listed page is one of ours, and nothing else refers to it.
            if let Some(block) = unsafe { (*page).take_freed() } {
                return block;
            }
        }
        self.malloc_slowly(size)
    }

    #[cold]
    #[inline(never)]
    fn malloc_slowly(&mut self, size: usize) -> *mut u8 {
        let size = size.max(1);
        let index = (size - 1) / STEP;
        if index >= SIZES {
            return S::malloc(size);
        }
        loop {
            let page = self.pages[index];
            if page.is_null() {
                if !self.add_page(index) {
                    return S::malloc(size);
                }
                continue;
            }
            // SAFETY: as above.
            let page = unsafe { &mut *page };
            if let Some(block) = page.take_freed().or_else(|| page.take_fresh()) {
                return block;
            }
            self.unlist(page);
        }
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// `block` came from this allocator or its source, and is in use; or it is null.
    #[inline]
    pub unsafe fn free(&mut self, block: *mut u8) {
        if !self.is_ours(block) {
            // SAFETY: what is in no arena is the source's.
            unsafe { S::free(block) };
            return;
        }
        // SAFETY: every block of an arena is in a page, which begins at a multiple of its size.
        let page = unsafe { &mut *page_of(block) };
        debug_assert!(page.used > 0, "a block was given back twice");
        let free: *mut Free = block.cast();
        // SAFETY: the caller no longer uses the block, which has room for a pointer.
        unsafe { (*free).next = page.free };
        page.free = free;
        page.used -= 1;
        if page.used == 0 || !page.listed {
            self.freed_slowly(page);
        }
    }

    #[cold]
    #[inline(never)]
    fn freed_slowly(&mut self, page: &mut Page) {
        if !page.listed {
            self.list(page);
        }
        // The first page stays, or one block taken and given back again would set it up each time.
        if page.used == 0 && self.pages[page.size as usize] != ptr::from_mut(page) {
            self.unlist(page);
            page.next = self.unused;
            self.unused = page;
        }
    }

    /// Changes the size of a block. Null, and the block is as it was, when there is no memory.
    ///
    /// # Safety
    /// As for [`free`](Self::free).
    pub unsafe fn realloc(&mut self, block: *mut u8, size: usize) -> *mut u8 {
        if block.is_null() {
            return self.malloc(size);
        }
        if !self.is_ours(block) {
            // SAFETY: what is in no arena is the source's.
            return unsafe { S::realloc(block, size.max(1)) };
        }
        // SAFETY: as in `free`.
        let room = unsafe { (*page_of(block)).block_bytes() };
        // A block that shrinks a little stays where it is.
        if size <= room && size > room / 4 * 3 {
            return block;
        }
        let moved = self.malloc(size);
        if !moved.is_null() {
            // SAFETY: two blocks in use, and as much as both have room for.
            unsafe {
                ptr::copy_nonoverlapping(block, moved, room.min(size));
                self.free(block);
            }
        }
        moved
    }

    fn is_ours(&self, block: *mut u8) -> bool {
        self.arenas[(block.addr() >> ARENA_SHIFT) % ARENAS]
    }

    /// Adds an empty page for blocks of one size.
    fn add_page(&mut self, index: usize) -> bool {
        let place: *mut u8 = if !self.unused.is_null() {
            let page = self.unused;
            // SAFETY: a page in this list is nowhere else.
            self.unused = unsafe { (*page).next };
            page.cast()
        } else if let Some(place) = self.cut_page() {
            place
        } else {
            return false;
        };
        let last = (place.addr() + PAGE_BYTES).is_multiple_of(ARENA_BYTES);
        let page: *mut Page = place.cast();
        // SAFETY: a page nobody uses, all of which is inside its arena.
        let page = unsafe {
            page.write(Page {
                free: null_mut(),
                used: 0,
                size: index as u32,
                listed: false,
                next: null_mut(),
                previous: null_mut(),
                fresh: place.add(FIRST_BLOCK),
                end: place.add(if last { PAGE_BYTES - ARENA_GAP } else { PAGE_BYTES }),
            });
            &mut *page
        };
        self.list(page);
        true
    }

    /// Takes the next page of the newest arena, or of another one.
    fn cut_page(&mut self) -> Option<*mut u8> {
        if self.rest_pages == 0 {
            let arena = S::arena(ARENA_BYTES, ARENA_BYTES - ARENA_GAP);
            if arena.is_null() {
                return None;
            }
            self.arenas[(arena.addr() >> ARENA_SHIFT) % ARENAS] = true;
            self.rest = arena;
            self.rest_pages = ARENA_BYTES / PAGE_BYTES;
        }
        let place = self.rest;
        self.rest_pages -= 1;
        // The last page is shorter: one past it is no place to point to.
        self.rest = place.wrapping_add(PAGE_BYTES);
        Some(place)
    }

    /// Puts a page behind the first one of its size, which is the one in use.
    fn list(&mut self, page: &mut Page) {
        let first = self.pages[page.size as usize];
        page.listed = true;
        page.previous = first;
        if first.is_null() {
            page.next = null_mut();
            self.pages[page.size as usize] = page;
            return;
        }
        // SAFETY: pages of the list, which are ours and in no other.
        unsafe {
            page.next = (*first).next;
            if !page.next.is_null() {
                (*page.next).previous = page;
            }
            (*first).next = page;
        }
    }

    fn unlist(&mut self, page: &mut Page) {
        page.listed = false;
        // SAFETY: the neighbours in the list, which are ours and in no other.
        unsafe {
            if page.previous.is_null() {
                self.pages[page.size as usize] = page.next;
            } else {
                (*page.previous).next = page.next;
            }
            if !page.next.is_null() {
                (*page.next).previous = page.previous;
            }
        }
    }
}

impl Page {
    fn block_bytes(&self) -> usize {
        (self.size as usize + 1) * STEP
    }

    #[inline]
    fn take_freed(&mut self) -> Option<*mut u8> {
        let block = self.free;
        if block.is_null() {
            return None;
        }
        // SAFETY: a free block begins with the place of the next one.
        self.free = unsafe { (*block).next };
        self.used += 1;
        Some(block.cast())
    }

    fn take_fresh(&mut self) -> Option<*mut u8> {
        let block = self.fresh;
        let bytes = self.block_bytes();
        if self.end.addr() - block.addr() < bytes {
            return None;
        }
        self.fresh = block.wrapping_add(bytes);
        self.used += 1;
        Some(block)
    }
}

fn page_of(block: *mut u8) -> *mut Page {
    block.map_addr(|address| address & !(PAGE_BYTES - 1)).cast()
}
