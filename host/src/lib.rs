//! PAR, the Pixell Agent Runtime: fetch one agent package, check it, sandbox it, serve it.

pub mod backend;
pub mod config;
pub mod redact;
pub mod telemetry;
