//! REST, A2A and UI: a request comes in, a call goes to the [`Backend`](crate::backend::Backend),
//! its reply goes back.
//!
//! Surfaces know nothing of engines, packages or the environment: everything they need is in
//! their constructors. Which path means what is decided in [`route`], on the decoded path.

pub mod a2a;
mod agent;
mod builtin;
mod cors;
mod intake;
pub mod measured;
pub mod paths;
mod payload;
mod reply;
mod request_id;
pub mod rest;
pub mod route;
pub mod scraped;
pub mod serve;
mod spans;
pub mod ui;

pub use payload::{Aborted, Payload};

#[cfg(test)]
mod testing;
