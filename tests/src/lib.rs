//! What the integration tests of PAR are made of: the program `par` as a child process, agent
//! packages from literal files, and clients for its surfaces.
//!
//! A test reads `TestHost::agent(Package::example("stdlib")).start().await` and then talks to
//! the returned [`RunningHost`]. Every process it starts ends with it, every line it logs is
//! checked against the schema of the log, and every wait has a deadline and says what was
//! logged when it passed.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod a2a;
pub mod audit;
mod browser;
mod built;
mod collector;
mod command;
pub mod compat;
pub mod frames;
mod host;
mod index;
mod inside;
mod log;
mod nginx;
mod package;
mod ports;
mod raw;
mod reply;
mod sarif;
mod servers;
mod terminal;
mod upstream;

pub use a2a::{A2aMessage, ActionRequest, ActionResult, AgentClient, Capabilities, HealthStatus, Pong, WrongRequest};
pub use browser::Browser;
pub use built::{guest, package_index, par as par_program, repository};
pub use collector::{Attributes, Collector, TakenRecord, TakenSpan};
pub use command::{Said, par};
pub use host::{PATIENCE, RunningHost, TestHost};
pub use index::{PackageIndex, Release};
pub use inside::{Inside, RunningInside};
pub use log::Line;
pub use nginx::LoadBalancer;
pub use package::Package;
pub use ports::free_port;
pub use raw::RawReply;
pub use reply::Reply;
pub use sarif::SarifSchema;
pub use servers::{Answer, Authority, Fault, ObjectFault, ObjectStore, PackageServer, Request};
pub use terminal::Terminal;
pub use upstream::{Seen, Upstream, VOCABULARY};
