//! The only reader of hostile bytes in PAR: archives, manifests and what they declare.
//!
//! Nothing here has network or an engine within reach. What comes out are types that cannot
//! be wrong: [`Package`] and everything it is made of.
#![forbid(unsafe_code)]

pub mod archive;
mod capabilities;
pub mod digest;
pub mod environment;
pub mod manifest;
mod notice;
mod package;
mod quote;
pub mod requirement;
pub mod wheel;
mod yaml;

pub use capabilities::{PolicyError, line_of, parse_policy};
pub use notice::Notice;
pub use package::{Package, PackageError};
pub use quote::{Quoted, escaped};
