//! The native backend: the same `par_guest` on the host's own CPython, for agents whose dependencies have native
//! code nobody built for the sandbox.
//!
//! Data moves one way: a venv and the grants become a [`Launch`], which becomes a process that speaks over one
//! socket.

pub mod confinement;
pub mod launch;
pub mod outbound;

pub use launch::{Launch, Launched};
