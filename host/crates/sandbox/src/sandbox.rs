//! The sandbox as the rest of PAR sees it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use par_policy::Grants;

use crate::audit::AuditSink;
use crate::bindings::exports::pixell::agent::lifecycle as world;
use crate::breaker::Breaker;
use crate::call::{ActionCall, CallError, HttpCall, HttpReply};
use crate::component::{self, Guest};
use crate::drive::SandboxMold;
use crate::engine::Engine;
use crate::outbound::{Outbound, OutboundSetup};
use crate::pool::{Counts, Pool};
use crate::store::Mount;

/// Where the guest finds the package, its dependencies, the standard library and the
/// platform libraries. The last two are fixed when the guest is built.
const AGENT: &str = "/agent";
const DEPENDENCIES: &str = "/deps";
const PYTHON: &str = "/python";
const PLATFORM: &str = "/platform";

/// Where the guest of a build finds the one directory it may write to.
const BUILD: &str = "/build";

/// Why an agent could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine refused the component, or the guest trapped while it loaded the agent.
    #[error("the sandbox could not be started")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The guest's code has no safepoints, so that nothing could stop it.
    #[error("the guest cannot be interrupted; expected one that `par-link` wrote")]
    Uninterruptible,
    /// The thread that counts the ticks could not be started.
    #[error("the thread that interrupts guests could not be started")]
    Thread(#[source] std::io::Error),
    /// There is no readable guest.
    #[error("cannot read the guest `{path}`")]
    ReadGuest {
        /// The precompiled component.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The precompiled component could have been written by somebody else.
    #[error("the guest `{path}` may be written by other users than this one and root")]
    UntrustedGuest {
        /// The precompiled component.
        path: PathBuf,
    },
    /// What was compiled cannot be written down.
    #[error("cannot write the compiled guest `{path}`")]
    WriteGuest {
        /// Where it should be kept.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A directory of the package or of the guest cannot be mounted.
    #[error("cannot mount `{path}`")]
    Mount {
        /// The directory on the host.
        path: PathBuf,
        /// What the file system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The agent itself failed: a missing module or attribute, an exception at import, a
    /// startup hook.
    #[error("{message}")]
    Agent {
        /// A stable word for the kind of failure.
        reason: &'static str,
        /// A sentence about the package.
        message: String,
        /// The traceback, for the log only.
        traceback: String,
    },
    /// A part of what confines a native agent cannot be applied, and the policy wants all of it.
    #[error("the confinement of native agents is strict, and `{part}` cannot be applied: {because}")]
    Unconfined {
        /// The part.
        part: &'static str,
        /// What the system said.
        because: String,
    },
    /// A process of the agent could not be started.
    #[error("a process of the agent could not be started")]
    Process(#[source] std::io::Error),
    /// The instance ended before it said whether it started.
    #[error("the instance ended while it loaded the agent")]
    Lost,
}

impl StartError {
    pub(crate) fn engine(error: wasmtime::Error) -> Self {
        Self::Engine(error.into())
    }
}

/// How the REST entry of the manifest is used; see `wit/lifecycle.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestEntry {
    /// `module:attribute`: an application, or a factory of one.
    Application(String),
    /// `module:function`: called with a router.
    Mount(String),
}

/// What to load from the package; see `wit/lifecycle.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSpec {
    /// `name` of the manifest.
    pub name: String,
    /// `version` of the manifest.
    pub version: String,
    /// `description` of the manifest.
    pub description: String,
    /// Directories of the package that hold modules, relative to its root; `""` is the root.
    pub python_path: Vec<String>,
    /// The REST surface.
    pub rest: Option<RestEntry>,
    /// The function that returns the action handlers.
    pub actions: Option<String>,
    /// The application that renders the UI.
    pub ui: Option<String>,
    /// The application that speaks A2A over HTTP, and the port it is served on.
    pub a2a: Option<(String, u16)>,
    /// The prefix under which the agent is served, `""` at the root.
    pub base_path: String,
}

/// What loading found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentDescription {
    /// `asgi`, `wsgi`, `router` or empty.
    pub rest: String,
    /// `asgi`, `wsgi` or empty.
    pub ui: String,
    /// How A2A over HTTP is served: `asgi`, `wsgi` or empty.
    pub a2a: String,
    /// Names of the registered actions.
    pub actions: Vec<String>,
    /// Imported modules.
    pub modules: u32,
    /// Remarks for the log.
    pub warnings: Vec<String>,
}

/// Everything a sandbox is made of.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    /// The guest to run.
    pub guest: Guest,
    /// The root of the package, mounted read-only at `/agent`.
    pub package: PathBuf,
    /// The deps layer, a directory with the layout of a virtual environment, mounted read-only
    /// at `/deps`.
    pub dependencies: Option<PathBuf>,
    /// What the agent may touch.
    pub grants: Grants,
    /// What to load.
    pub agent: AgentSpec,
    /// A directory of the host where those the agent may write to are made.
    pub scratch: PathBuf,
    /// What its outbound requests are made with.
    pub outbound: OutboundSetup,
    /// Where every use and every denial is written down.
    pub audit: Arc<dyn AuditSink>,
}

/// One agent in its sandbox.
#[derive(Clone)]
pub struct Sandbox {
    pool: Arc<Pool<SandboxMold>>,
    outbound: Arc<Outbound>,
}

impl Sandbox {
    /// Starts the first instance and loads the agent; further instances follow.
    ///
    /// # Errors
    /// [`StartError`] when guest, package or agent cannot be loaded.
    pub async fn start(engine: &Engine, spec: SandboxSpec) -> Result<(Self, AgentDescription), StartError> {
        Self::start_with(engine, spec, None).await
    }

    /// As [`Sandbox::start`], for a guest that builds a source distribution: `directory` is
    /// mounted at `/build`, the only place the guest may write to, and as much as 512 MiB.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub async fn start_build(
        engine: &Engine,
        spec: SandboxSpec,
        directory: PathBuf,
    ) -> Result<(Self, AgentDescription), StartError> {
        Self::start_with(engine, spec, Some(Mount::build_directory(directory, BUILD))).await
    }

    async fn start_with(
        engine: &Engine,
        spec: SandboxSpec,
        build: Option<Mount>,
    ) -> Result<(Self, AgentDescription), StartError> {
        let SandboxSpec { guest, package, dependencies, grants, agent, scratch, outbound, audit } = spec;
        let component = component::load(engine, &guest).await?;
        let mut mounts = vec![
            Mount::read_only(guest.python(), PYTHON),
            Mount::read_only(guest.platform(), PLATFORM),
            Mount::read_only(package, AGENT),
        ];
        mounts.extend(dependencies.map(|layer| Mount::read_only(layer, DEPENDENCIES)));
        mounts.extend(build);
        let outbound = Arc::new(Outbound::new(&grants, outbound, Arc::clone(&audit)));
        let spec = world_spec(agent);
        let nothing = tempfile::Builder::new().prefix("nothing-").tempdir_in(&scratch);
        let nothing = nothing.map_err(|source| StartError::Mount { path: scratch.clone(), source: source.into() })?;
        let mold = SandboxMold {
            engine: engine.clone(),
            component,
            grants,
            mounts,
            spec,
            scratch,
            outbound: Arc::clone(&outbound),
            audit,
            breaker: Breaker::default(),
            nothing,
        };
        let (pool, description) = Pool::start(mold).await?;
        Ok((Self { pool, outbound }, description))
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

    /// The instances in numbers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.pool.counts()
    }

    /// Instances that may be called now.
    #[must_use]
    pub fn ready_instances(&self) -> usize {
        self.pool.ready()
    }

    /// Returns with the reason when the agent cannot be restarted any more.
    pub async fn failed(&self) -> Arc<str> {
        self.pool.failed().await
    }

    /// Runs the shutdown hooks of every instance and ends it, at the latest at `deadline`.
    pub async fn stop(&self, deadline: Instant) {
        self.pool.stop(deadline).await;
        self.outbound.recorded().await;
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("ready_instances", &self.ready_instances()).finish_non_exhaustive()
    }
}

fn world_spec(agent: AgentSpec) -> world::AgentSpec {
    world::AgentSpec {
        name: agent.name,
        version: agent.version,
        description: agent.description,
        python_path: agent.python_path.iter().map(|path| guest_path(path)).collect(),
        rest: agent.rest.map(|entry| match entry {
            RestEntry::Application(entry) => world::RestEntry::Application(entry),
            RestEntry::Mount(entry) => world::RestEntry::Mount(entry),
        }),
        actions: agent.actions,
        ui: agent.ui,
        a2a: agent.a2a.map(|(entry, port)| world::A2aApplication { entry, port }),
        base_path: agent.base_path,
    }
}

fn guest_path(relative: &str) -> String {
    if relative.is_empty() { AGENT.to_owned() } else { format!("{AGENT}/{relative}") }
}

pub(crate) fn describe(found: world::AgentDescription) -> AgentDescription {
    let world::AgentDescription { rest, ui, a2a, actions, lifespan: _, modules, warnings } = found;
    AgentDescription { rest, ui, a2a, actions, modules, warnings }
}
