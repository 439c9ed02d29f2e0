//! The only reader of hostile bytes in PAR: archives, manifests and what they declare.
//!
//! Nothing here has network or an engine within reach.
#![forbid(unsafe_code)]

pub mod archive;
pub mod digest;
mod quote;

pub use quote::Quoted;
