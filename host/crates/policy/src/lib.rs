//! Pure decisions of PAR: what an agent was granted, and how much of it. No I/O.
#![forbid(unsafe_code)]

mod audit;
mod denial;
mod granted;
mod grants;
mod limits;
pub mod outbound;
pub mod secret;

pub use audit::{AuditEvent, Capability, Decision};
pub use denial::{Denial, DenialCode};
pub use granted::{Granted, Origin, RuleId};
pub use grants::{Grants, Mode};
pub use limits::{InstanceCount, Limits, MemoryLimit, OutOfRange, RequestTimeout};
