//! Servers that packages are fetched from, started by the tests themselves: TLS with a
//! certificate authority of their own, and an S3-compatible store.

mod authority;
mod objects;
mod web;

pub use authority::{Authority, Fault};
pub use objects::{ObjectFault, ObjectStore};
pub use web::{Answer, PackageServer, Request};
