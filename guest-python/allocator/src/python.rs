//! Makes the pools CPython's allocator.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_int, c_void};
use core::ptr::null_mut;

use pyo3_ffi::PyMemAllocatorDomain::{PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ, PYMEM_DOMAIN_RAW};
use pyo3_ffi::{
    PyErr_SetString, PyExc_ImportError, PyMem_GetAllocator, PyMem_SetAllocator, PyMemAllocatorDomain, PyMemAllocatorEx,
    PyModule_Create, PyModuleDef, PyModuleDef_HEAD_INIT, PyObject,
};

use crate::pools::{Pools, Source};

mod libc {
    use super::c_int;

    unsafe extern "C" {
        pub safe fn malloc(size: usize) -> *mut u8;
        pub fn realloc(block: *mut u8, size: usize) -> *mut u8;
        pub fn free(block: *mut u8);
        pub fn posix_memalign(place: *mut *mut u8, align: usize, size: usize) -> c_int;
    }
}

/// The C library of the guest.
struct Libc;

impl Source for Libc {
    fn arena(align: usize, size: usize) -> *mut u8 {
        let mut place = null_mut();
        // SAFETY: writes a pointer to where one may be written.
        if unsafe { libc::posix_memalign(&raw mut place, align, size) } == 0 { place } else { null_mut() }
    }

    fn malloc(size: usize) -> *mut u8 {
        libc::malloc(size)
    }

    unsafe fn realloc(block: *mut u8, size: usize) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { libc::realloc(block, size) }
    }

    unsafe fn free(block: *mut u8) {
        // SAFETY: the caller's.
        unsafe { libc::free(block) }
    }
}

/// The guest has one thread.
struct OneThread(UnsafeCell<Pools<Libc>>);

// SAFETY: there is no second thread.
unsafe impl Sync for OneThread {}

static POOLS: OneThread = OneThread(UnsafeCell::new(Pools::new()));

fn pools() -> &'static mut Pools<Libc> {
    // SAFETY: none of its functions calls back, so no two of these references are in use at once.
    unsafe { &mut *POOLS.0.get() }
}

extern "C" fn malloc(_: *mut c_void, size: usize) -> *mut c_void {
    pools().malloc(size).cast()
}

extern "C" fn calloc(_: *mut c_void, count: usize, size: usize) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else { return null_mut() };
    let block = pools().malloc(bytes);
    if !block.is_null() {
        // SAFETY: the block has room for as many.
        unsafe { block.write_bytes(0, bytes) };
    }
    block.cast()
}

extern "C" fn realloc(_: *mut c_void, block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: CPython passes blocks of this domain. Those it took before are of the C library.
    unsafe { pools().realloc(block.cast(), size) }.cast()
}

extern "C" fn free(_: *mut c_void, block: *mut c_void) {
    // SAFETY: as for `realloc`.
    unsafe { pools().free(block.cast()) };
}

fn allocator_of(domain: PyMemAllocatorDomain) -> PyMemAllocatorEx {
    let mut allocator = PyMemAllocatorEx { ctx: null_mut(), malloc: None, calloc: None, realloc: None, free: None };
    // SAFETY: fills in the structure.
    unsafe { PyMem_GetAllocator(domain, &raw mut allocator) };
    allocator
}

const NAME: &CStr = c"_par_allocator";

const NOT_THE_C_LIBRARY: &CStr = c"CPython already has an allocator for small blocks: the guest needs no other";

struct Definition(UnsafeCell<PyModuleDef>);

// SAFETY: there is no second thread.
unsafe impl Sync for Definition {}

static DEFINITION: Definition = Definition(UnsafeCell::new(PyModuleDef {
    m_base: PyModuleDef_HEAD_INIT,
    m_name: NAME.as_ptr(),
    m_doc: core::ptr::null(),
    m_size: -1,
    m_methods: null_mut(),
    m_slots: null_mut(),
    m_traverse: None,
    m_clear: None,
    m_free: None,
}));

/// Called by CPython for `import _par_allocator`: an empty module whose import is what it is for.
///
/// # Safety
/// Called by CPython, as for every extension module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit__par_allocator() -> *mut PyObject {
    let ours = PyMemAllocatorEx {
        ctx: null_mut(),
        malloc: Some(malloc),
        calloc: Some(calloc),
        realloc: Some(realloc),
        free: Some(free),
    };
    let raw = allocator_of(PYMEM_DOMAIN_RAW).free.map(|function| function as usize);
    for domain in [PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ] {
        // Blocks that are in use now will come back to us. We can give them to the C library, to nobody else.
        let free_now = allocator_of(domain).free.map(|function| function as usize);
        if free_now != raw && free_now != Some(free as *const () as usize) {
            // SAFETY: an exception and its text, which CPython copies.
            unsafe { PyErr_SetString(PyExc_ImportError, NOT_THE_C_LIBRARY.as_ptr()) };
            return null_mut();
        }
    }
    for domain in [PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ] {
        let mut ours = PyMemAllocatorEx { ..ours };
        // SAFETY: a complete allocator, whose structure CPython copies.
        unsafe { PyMem_SetAllocator(domain, &raw mut ours) };
    }
    // SAFETY: a definition that lives as long as the guest.
    unsafe { PyModule_Create(DEFINITION.0.get()) }
}
