//! The extension module `_par_allocator`: once it is imported, CPython takes its small blocks from [`pools`].
//!
//! It is imported while the guest is built, before any library, and stays.

pub mod pools;

#[cfg(target_family = "wasm")]
mod python;
