//! The only crate of PAR that names the WebAssembly engine.
//!
//! A [`Sandbox`] is one agent in as many instances as its limits say. Each instance is a
//! store of its own, built by one function from [`par_policy::Grants`], and serves many calls
//! at once. An instance that traps or holds a call past its deadline is replaced.
//!
//! What does not depend on the engine is for every backend: calls, their heads, the [`Pool`] of instances
//! with its limits, the record.

mod alarm;
mod audit;
mod bindings;
mod body;
mod breaker;
pub mod call;
mod compiled;
mod component;
mod convert;
mod drive;
mod engine;
mod files;
mod fixed;
mod flight;
pub mod head;
mod imports;
mod instance;
mod interruption;
mod memory;
mod outbound;
mod output;
mod pool;
mod replaced;
mod sandbox;
mod share;
mod store;
pub mod trace;
mod turnstile;
mod ways_out;

pub use audit::{AuditRecord, AuditSink, NoAudit};
pub use breaker::Breaker;
pub use component::Guest;
pub use engine::{Engine, TICK};
pub use flight::Flight;
pub use instance::{Job, Lost, Request, Shared, hand_back};
pub use interruption::INTERRUPTIBLE;
pub use outbound::{
    Answer, Asked, AskedBody, Exchange, Failure, Outbound, OutboundSetup, Reason, Resolve, Roots, SystemResolver,
    Unseen, UnseenRecord,
};
pub use pool::{Counts, Mold, Pool};
pub use sandbox::{AgentDescription, AgentSpec, RestEntry, Sandbox, SandboxSpec, StartError};
pub use store::Mount;

use sandbox::describe;
