//! Pure decisions of PAR: what an agent was granted, and how much of it. No I/O.
//!
//! A package asks ([`policy::Requested`]), the operator decides ([`policy::Policy`]), and
//! [`Grants::resolve`] brings both together or says why it cannot.
#![forbid(unsafe_code)]

mod audit;
pub mod compare;
mod denial;
mod granted;
mod grants;
mod limits;
mod mode;
pub mod name;
pub mod outbound;
pub mod policy;
mod resolve;
pub mod secret;

pub use audit::{AuditEvent, Capability, Decision};
pub use denial::{Denial, DenialCode};
pub use granted::{Granted, Origin, RuleId};
pub use grants::{GrantedVariable, Grants, Precedence};
pub use limits::{CpuShare, InstanceCount, LimitKey, LimitSettings, Limits, MemoryLimit, OutOfRange, RequestTimeout};
pub use mode::Mode;
pub use resolve::{AbovePolicy, Difference};
