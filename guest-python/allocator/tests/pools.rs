//! The pools, as CPython uses them: any order of taking, changing and giving back.

use std::alloc::{Layout, alloc};
use std::cell::Cell;
use std::ptr::null_mut;

use _par_allocator::pools::{LARGEST, Pools, STEP, Source};
use proptest::prelude::*;

const MIB: usize = 1 << 20;

/// Of memory a test may use: the first half in arenas, the second in blocks of the source.
const REGION: usize = 256 * MIB;

/// Before each block of the source, its size.
const HEADER: usize = 16;

thread_local! {
    static REGION_START: Cell<*mut u8> = const { Cell::new(null_mut()) };
    static ARENAS: Cell<usize> = const { Cell::new(0) };
    static MOST_ARENAS: Cell<usize> = const { Cell::new(usize::MAX) };
    static BLOCK_BYTES: Cell<usize> = const { Cell::new(0) };
    static BLOCKS: Cell<isize> = const { Cell::new(0) };
}

/// One region, because the map of arenas is for addresses of 32 bits.
struct Region;

fn region() -> *mut u8 {
    if REGION_START.get().is_null() {
        // SAFETY: of a size. Never given back: a test is a process, or nearly.
        REGION_START.set(unsafe { alloc(Layout::from_size_align(REGION, 4 * MIB).unwrap()) });
    }
    REGION_START.get()
}

impl Source for Region {
    fn arena(align: usize, size: usize) -> *mut u8 {
        if ARENAS.get() == MOST_ARENAS.get() {
            return null_mut();
        }
        assert!(size < align, "arenas lie side by side");
        let place = ARENAS.get() * align;
        assert!(place + size <= REGION / 2);
        ARENAS.set(ARENAS.get() + 1);
        region().wrapping_add(place)
    }

    fn malloc(size: usize) -> *mut u8 {
        let place = REGION / 2 + BLOCK_BYTES.get();
        BLOCK_BYTES.set(BLOCK_BYTES.get() + (size + HEADER).next_multiple_of(HEADER));
        assert!(BLOCK_BYTES.get() <= REGION / 2);
        BLOCKS.set(BLOCKS.get() + 1);
        let block = region().wrapping_add(place);
        // SAFETY: inside the region.
        unsafe { block.cast::<usize>().write(size) };
        block.wrapping_add(HEADER)
    }

    unsafe fn realloc(block: *mut u8, size: usize) -> *mut u8 {
        // SAFETY: a block of `malloc`.
        let old = unsafe { block.wrapping_sub(HEADER).cast::<usize>().read() };
        let moved = Self::malloc(size);
        // SAFETY: both have room for as much.
        unsafe { block.copy_to(moved, old.min(size)) };
        BLOCKS.set(BLOCKS.get() - 1);
        moved
    }

    unsafe fn free(block: *mut u8) {
        if !block.is_null() {
            assert!(block >= region().wrapping_add(REGION / 2), "a block of an arena given to the source");
            BLOCKS.set(BLOCKS.get() - 1);
        }
    }
}

fn start() -> Box<Pools<Region>> {
    ARENAS.set(0);
    MOST_ARENAS.set(usize::MAX);
    BLOCK_BYTES.set(0);
    BLOCKS.set(0);
    Box::new(Pools::new())
}

/// A block in use, all of whose bytes are `mark`.
struct Held {
    block: *mut u8,
    size: usize,
    mark: u8,
}

impl Held {
    fn fill(block: *mut u8, size: usize, mark: u8) -> Self {
        assert!(!block.is_null());
        assert_eq!(block.addr() % STEP, 0, "not aligned");
        // SAFETY: a block of that size.
        unsafe { block.write_bytes(mark, size) };
        Self { block, size, mark }
    }

    fn check(&self, size: usize) {
        // SAFETY: a block of that size, all of which was written.
        let bytes = unsafe { std::slice::from_raw_parts(self.block, size.min(self.size)) };
        assert!(bytes.iter().all(|byte| *byte == self.mark), "another block was written to this one");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take(usize),
    GiveBack(usize),
    Change(usize, usize),
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..=64_usize, 4 => 0..=LARGEST, 1 => LARGEST..4 * LARGEST]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => size().prop_map(Step::Take),
        4 => any::<usize>().prop_map(Step::GiveBack),
        1 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Change(which, size)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is taken keeps its contents until it is given back.
    #[test]
    fn blocks_in_use_never_overlap(steps in prop::collection::vec(step(), 0..3000), most in prop_oneof![Just(usize::MAX), 0..4_usize]) {
        let mut pools = start();
        MOST_ARENAS.set(most);
        let mut held: Vec<Held> = Vec::new();
        for (mark, step) in steps.into_iter().enumerate() {
            let mark = mark as u8;
            match step {
                Step::Take(size) => held.push(Held::fill(pools.malloc(size), size, mark)),
                Step::GiveBack(which) if !held.is_empty() => {
                    let one = held.swap_remove(which % held.len());
                    one.check(one.size);
                    // SAFETY: in use until now.
                    unsafe { pools.free(one.block) };
                }
                Step::Change(which, size) if !held.is_empty() => {
                    let one = held.swap_remove(which % held.len());
                    // SAFETY: in use until now.
                    let block = unsafe { pools.realloc(one.block, size) };
                    let moved = Held { block, size: one.size, mark: one.mark };
                    moved.check(size);
                    held.push(Held::fill(block, size, mark));
                }
                Step::GiveBack(_) | Step::Change(..) => {}
            }
        }
        for one in held {
            one.check(one.size);
            // SAFETY: in use until now.
            unsafe { pools.free(one.block) };
        }
        prop_assert_eq!(BLOCKS.get(), 0, "blocks of the source that were never given back");
    }
}

/// Memory that held blocks of one size serves another one.
#[test]
fn pages_nobody_uses_serve_other_sizes() {
    let mut pools = start();
    let mut arenas = 0;
    for size in [16, 48, 500, 8, 256, 16] {
        let blocks: Vec<_> = (0..4 * MIB / size).map(|_| pools.malloc(size)).collect();
        if size == 16 && arenas == 0 {
            arenas = ARENAS.get();
        }
        for block in blocks {
            // SAFETY: in use until now.
            unsafe { pools.free(block) };
        }
    }

    assert!(((4 * MIB) >> 18..20).contains(&arenas), "{arenas}");
    // A page of each size stays, and sizes do not all fill a page to its end.
    assert!(ARENAS.get() <= arenas + 2, "{} arenas, {arenas} for the first size", ARENAS.get());
    assert_eq!(BLOCKS.get(), 0);
}

/// Blocks of one size need little more than their bytes.
#[test]
fn small_blocks_are_small() {
    for size in [8, 16, 24, 56, 64, 120, 512] {
        let mut pools = start();
        for _ in 0..8 * MIB / size {
            pools.malloc(size);
        }
        let taken = ARENAS.get() << 18;
        assert!(taken <= 8 * MIB * 17 / 16, "{taken} bytes for 8 MiB in blocks of {size}");
    }
}

/// Large blocks, and blocks when no arena is left, are the source's; both find their way back.
#[test]
fn what_has_no_page_is_the_sources() {
    let mut pools = start();
    let large = pools.malloc(LARGEST + 1);
    assert_eq!(BLOCKS.get(), 1);
    let small = pools.malloc(LARGEST);
    assert_eq!(BLOCKS.get(), 1);
    let mut later = start();
    MOST_ARENAS.set(0);
    let homeless = later.malloc(1);
    assert_eq!(BLOCKS.get(), 1);
    // SAFETY: all in use, the last of another allocator with the same source.
    unsafe {
        later.free(homeless);
        pools.free(large);
        pools.free(small);
        pools.free(null_mut());
    }
    assert_eq!(BLOCKS.get(), -1);
}

/// A block of CPython's that was taken before the pools were there.
#[test]
fn blocks_from_before_go_back_where_they_came_from() {
    let mut pools = start();
    let before = Held::fill(Region::malloc(100), 100, 7);
    // SAFETY: in use.
    let block = unsafe { pools.realloc(before.block, 200) };
    Held { block, ..before }.check(100);
    assert_eq!(BLOCKS.get(), 1);
    // SAFETY: in use until now.
    unsafe { pools.free(block) };
    assert_eq!(BLOCKS.get(), 0);
}

/// `realloc` moves a block only when it grows out of its room, or shrinks a lot.
#[test]
fn a_block_that_changes_little_stays() {
    let mut pools = start();
    let block = pools.malloc(60);
    // SAFETY: in use.
    unsafe {
        assert_eq!(pools.realloc(block, 64), block);
        assert_eq!(pools.realloc(block, 50), block);
        let smaller = pools.realloc(block, 8);
        assert_ne!(smaller, block);
        assert_ne!(pools.realloc(smaller, 9), smaller);
    }
}
