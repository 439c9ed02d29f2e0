//! Outbound HTTP: which requests may leave, decided without any I/O.
//!
//! A request passes two judges. [`Outbound::judge`] sees the [`OutboundTarget`] before any name
//! is resolved. [`Outbound::judge_address`] sees each address that resolution found, and the
//! address that is dialled is one of those. A redirect is a new target and passes both again.

mod address;
mod host;
mod judge;
mod limits;
mod method;
mod path;
mod range;
mod rule;
mod target;
#[cfg(test)]
mod tests;

pub use host::Host;
pub use judge::Outbound;
pub use limits::OutboundLimits;
pub use method::Method;
pub use range::{AddressRange, NotARange};
pub use rule::{HostPattern, NotARule, OutboundRule};
pub use target::{OutboundTarget, Scheme};
