//! Files as an instance sees them: wasmtime's, with a quota on what it may write.
//!
//! The only directory an instance can write to is its scratch directory, which nobody else
//! sees. [`quota::Quota`] counts what is in it, [`view`] asks before anything grows.

mod places;
mod quota;
mod stream;
mod view;

pub(crate) use places::{Places, Root};
pub(crate) use quota::Quota;
pub(crate) use view::{Files, FilesView, OpenScratchFile};
