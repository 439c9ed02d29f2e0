//! Pure decisions of PAR: what an agent was granted, and how much of it. No I/O.
#![forbid(unsafe_code)]

mod grants;
mod limits;

pub use grants::Grants;
pub use limits::{InstanceCount, Limits, MemoryLimit, OutOfRange, RequestTimeout};
