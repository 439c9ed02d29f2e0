//! PAR, the Pixell Agent Runtime: fetch one agent package, check it, sandbox it, serve it.

pub mod app;
pub mod audit;
pub mod backend;
pub mod boot;
pub mod cache;
pub mod cli;
pub mod config;
pub mod exit;
pub mod failures;
pub mod fetch;
pub mod grants;
pub mod health;
pub mod install;
pub mod jobs;
pub mod lifecycle;
pub mod locked;
pub mod memory;
pub mod native;
pub mod process;
pub mod progress;
pub mod redact;
pub mod review;
pub mod signals;
pub mod surfaces;
pub mod telemetry;
pub mod watch;
