//! The native backend: the same `par_guest` on the host's own CPython, for agents whose dependencies have native
//! code nobody built for the sandbox.
//!
//! Data moves one way: a venv and the grants become a [`Launch`], which becomes a process that speaks frames over
//! one socket. Places among the requests, deadlines, replacement and the record are those of the sandbox: its
//! [`Pool`] drives processes as it drives instances.

mod calls;
mod compile;
pub mod confinement;
mod control_group;
mod drive;
mod frames;
pub mod launch;
mod measured;
pub mod outbound;
mod output;
mod process;
mod program;
mod report;
mod spec;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use par_sandbox::call::{ActionCall, CallError, HttpCall, HttpReply};
use par_sandbox::{AgentDescription, Breaker, Counts, Outbound, Pool, StartError};

use tokio::sync::watch;

pub use compile::compile;
use control_group::ControlGroups;
use drive::NativeMold;
pub use launch::{Launch, Launched};
use outbound::{Authority, NativeOutbound};
pub use program::Program;
pub use spec::NativeSpec;

/// Writes down whom the processes trust: the operator's authorities, where they speak TLS with a host themselves, and
/// the one of PAR, where it answers.
fn trust(spec: &NativeSpec, authority: &Authority) -> io::Result<PathBuf> {
    let path = spec.scratch.join("authorities.pem");
    fs_err::write(&path, spec.outbound.roots.to_pem() + authority.certificate())?;
    Ok(path)
}

/// One agent in processes of the host's CPython.
#[derive(Debug)]
pub struct Native {
    pool: Arc<Pool<NativeMold>>,
    way_out: Arc<NativeOutbound>,
}

impl Native {
    /// Starts the first process and loads the agent; further processes follow.
    ///
    /// # Errors
    /// [`StartError`] when the process or the agent does not start.
    pub async fn start(spec: NativeSpec) -> Result<(Self, AgentDescription), StartError> {
        process::adopt_orphans().map_err(StartError::Process)?;
        let authority = Authority::new().map_err(io::Error::other).map_err(StartError::Process)?;
        let trusted = trust(&spec, &authority).map_err(StartError::Process)?;
        let outbound = Outbound::new(&spec.grants, spec.outbound.clone(), Arc::clone(&spec.audit));
        let way_out = Arc::new(NativeOutbound::new(outbound, authority));
        let groups = tokio::task::spawn_blocking(ControlGroups::divide);
        let groups = groups.await.map_err(io::Error::other).map_err(StartError::Process)?;
        if let Err(because) = &groups {
            tracing::info!(%because, "Processes of the agent share the control group of PAR");
        }
        let group_limits = spec.group_limits();
        let breaker = Breaker::default();
        let mold = NativeMold { spec, breaker, way_out: Arc::clone(&way_out), trusted, groups, group_limits };
        let (pool, description) = Pool::start(mold).await?;
        Ok((Self { pool, way_out }, description))
    }

    /// Serves one HTTP request.
    ///
    /// # Errors
    /// [`CallError`] when there is no response.
    pub async fn http(&self, call: HttpCall) -> Result<HttpReply, CallError> {
        self.pool.http(call).await
    }

    /// Runs one action and returns `str()` of its result.
    ///
    /// # Errors
    /// [`CallError`] when there is no result.
    pub async fn act(&self, call: ActionCall) -> Result<String, CallError> {
        self.pool.act(call).await
    }

    /// Processes that may be called now.
    #[must_use]
    pub fn ready_instances(&self) -> usize {
        self.pool.ready()
    }

    /// The processes in numbers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.pool.counts()
    }

    /// How many processes may be called, and when that changes.
    #[must_use]
    pub fn count(&self) -> watch::Receiver<usize> {
        self.pool.count()
    }

    /// Returns with the reason when the agent cannot be started any more.
    pub async fn failed(&self) -> Arc<str> {
        self.pool.failed().await
    }

    /// Runs the shutdown hooks of every process and ends it, at the latest at `deadline`.
    pub async fn stop(&self, deadline: Instant) {
        self.pool.stop(deadline).await;
        self.way_out.recorded().await;
    }
}
