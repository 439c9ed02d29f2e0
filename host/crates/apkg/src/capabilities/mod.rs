//! The language of capabilities: what a package asks for under `sandbox:`, and the operator's
//! policy. Both have the same keys, read by the same functions.
//!
//! `docs/capabilities.md` is the manual.

mod entries;
mod error;
mod place;
mod policy;
mod request;

pub use error::PolicyError;
pub use place::line_of;
pub use policy::parse_policy;
pub(crate) use request::{PAK_FILE, parse_pak, requested};
