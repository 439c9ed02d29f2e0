//! From a package to a running agent.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use par_apkg::Package;
use par_apkg::archive::ArchiveLimits;
use par_apkg::manifest::{A2aEntry, Manifest, RestEntry, UiSource};
use par_policy::policy::{Confinement, Policy};
use par_policy::{AuditEvent, Capability, Grants, Mode};
use par_sandbox::{
    AgentDescription, AgentSpec, AuditRecord, AuditSink, Engine, Guest, NoAudit, OutboundSetup, Sandbox, SandboxSpec,
    StartError,
};

use super::console::Console;
use super::error::BootError;
use super::installing::{self, Reporter, Tools};
use crate::audit::Audit;
use crate::backend::Backend;
use crate::backend::choice::{self, Because, Choice};
use crate::boot::{BootClock, BootPhase};
use crate::cache;
use crate::config::Config;
use crate::fetch::{self, PackageSource, VerifiedPackage};
use crate::grants::{self, GrantError, Prepared};
use crate::install::{self, DepsLayer, Venv};
use crate::locked::Scratch;
use crate::native::{Native, NativeSpec, Program};
use crate::surfaces::rest::Surfaces;
use crate::telemetry::events;

/// Where compiled code is kept, below the cache directory.
pub(super) const COMPILED: &str = "compiled";

/// Where unpacked packages go; the name operators know from earlier runtimes.
const SCRATCH_PREFIX: &str = "pixell_apkg_";

/// An agent that was loaded. Dropping it removes what was unpacked.
pub(super) struct Agent {
    pub(super) package: Package,
    pub(super) description: AgentDescription,
    pub(super) served: Surfaces,
    pub(super) backend: Arc<Backend>,
    /// Why it runs outside the sandbox, where it does.
    pub(super) because: Option<String>,
    pub(super) log_lines_per_second: u32,
    /// What it runs with; not removed from the cache meanwhile.
    pub(super) layer: Option<DepsLayer>,
    /// The same outside the sandbox.
    pub(super) venv: Option<(Venv, Program)>,
    /// The package as it is kept; not removed from the cache meanwhile.
    _kept: Option<File>,
    _scratch: Scratch,
}

/// Why no clock stands and no random numbers repeat outside the sandbox.
const NOT_FIXED: &str = "a process asks the kernel, and nothing stands between";

impl Agent {
    /// Removes what was unpacked.
    pub(super) fn remove(self) {
        if self.package.extracted.is_some() {
            tracing::info!("{}", events::PACKAGE_REMOVED);
        }
        drop(self);
    }
}

/// Reads, installs and loads an agent.
pub(super) async fn load(
    config: &Config,
    policy: &Policy,
    audit: &Audit,
    source: PackageSource,
    clock: &mut BootClock,
    console: &Console,
) -> Result<Agent, BootError> {
    tracing::info!("{}", events::PACKAGE_LOADING);
    console.phase(BootPhase::Download, "looking for the package");
    let verified = clock.time(BootPhase::Download, fetched(config, source, console)).await?;
    if let VerifiedPackage::Archive { name, .. } = &verified {
        console.done(BootPhase::Download, name, clock);
    }

    let kept = verified.held();
    let limits = ArchiveLimits::package(config.package.fetch.demands.max_bytes);
    console.phase(BootPhase::Extract, "reading the package");
    let (package, scratch) = clock.time(BootPhase::Extract, blocking(move || open(verified, limits))).await?;
    let manifest = &package.manifest;
    let package_id = format!("{}@{}", manifest.name, manifest.version);
    console.done(BootPhase::Extract, &package_id, clock);
    for notice in package.notices() {
        tracing::warn!(remark = %notice, "Package remark");
    }
    for remark in not_served(manifest) {
        tracing::warn!(remark, "Package remark");
    }
    let served = served(manifest);
    let jobs = console.record(audit, Backend::SANDBOX);
    let prepared = grants(config, policy, &package).await;
    if let Err(BootError::Grants(GrantError::AbovePolicy { differences, .. })) = &prepared {
        for difference in &differences.differences {
            jobs.record(AuditRecord::at_once(AuditEvent::above_policy(difference), None));
        }
    }
    let Prepared { grants, secrets, notices, events } = prepared?;
    for notice in &notices {
        tracing::warn!(remark = %notice, "Package remark");
    }
    log_grants(&grants);

    console.phase(BootPhase::Install, "preparing dependencies");
    let choice = clock.time(BootPhase::Install, dependencies(config, &package, policy, &jobs, console)).await?;
    let sink = console.record(audit, choice.word());
    for event in events {
        let fixed = matches!(event.capability, Capability::Clock | Capability::Random);
        let holds = !(fixed && matches!(choice, Choice::Native { .. }));
        let part = event.capability.as_str();
        sink.record(AuditRecord::at_once(if holds { event } else { event.not_fixed() }, None));
        if !holds && config.confinement == Confinement::Strict {
            return Err(StartError::Unconfined { part, because: NOT_FIXED.to_owned() }.into());
        }
    }
    let distributions = match &choice {
        Choice::Sandbox(layer) => layer.as_ref().map_or(0, |layer| layer.distributions().len()),
        Choice::Native { venv, .. } => venv.distributions(),
    };
    let installed =
        if distributions == 0 { "nothing to install".to_owned() } else { format!("{distributions} distributions") };
    console.done(BootPhase::Install, &installed, clock);

    console.phase(BootPhase::Load, "loading the agent");
    let log_lines_per_second = grants.limits().log_lines_per_second;
    let instances = grants.limits().instances.get();
    let outbound = OutboundSetup { roots: config.roots.clone(), secrets, ..OutboundSetup::default() };
    let (because, layer) = match &choice {
        Choice::Sandbox(layer) => (None, layer.clone()),
        Choice::Native { because, .. } => (Some(because.to_string()), None),
    };
    let mut venv = None;
    let (backend, description) = match choice {
        Choice::Sandbox(layer) => {
            let spec = sandbox_spec(config, &package, layer, grants, scratch.path(), console);
            let spec = SandboxSpec { outbound, audit: sink, ..spec };
            clock.time(BootPhase::Load, start(spec)).await?
        }
        Choice::Native { venv: made, because } => {
            log_native(&because, &made, &sink);
            let spec = native_spec(config, &package, made, grants, scratch.path(), sink)?;
            let spec = NativeSpec { outbound, ..spec };
            venv = Some((spec.venv.clone(), spec.program.clone()));
            clock.time(BootPhase::Load, start_native(spec)).await?
        }
    };
    for warning in &description.warnings {
        tracing::warn!(remark = warning.as_str(), "Agent remark");
    }
    console.done(BootPhase::Load, &format!("{} modules", description.modules), clock);
    tracing::info!(
        package_id,
        surfaces.rest = served.rest,
        surfaces.a2a = served.a2a,
        surfaces.ui = served.ui,
        actions = description.actions.len(),
        distributions,
        modules = description.modules,
        instances,
        backend = backend.word(),
        "{}",
        events::PACKAGE_LOADED
    );
    let backend = Arc::new(backend);
    Ok(Agent {
        package,
        description,
        served,
        backend,
        because,
        log_lines_per_second,
        layer,
        venv,
        _kept: kept,
        _scratch: scratch,
    })
}

/// Which surfaces of the package are served.
fn served(manifest: &Manifest) -> Surfaces {
    Surfaces { rest: manifest.rest.is_some(), a2a: manifest.a2a.is_some(), ui: manifest.ui.is_some() }
}

/// What the package has and nobody will reach. Said aloud: a missing surface must not look like
/// one that works.
fn not_served(manifest: &Manifest) -> impl Iterator<Item = &'static str> {
    (!manifest.exports.is_empty()).then_some("`exports` in `agent.yaml` are not served by this version").into_iter()
}

async fn fetched(config: &Config, source: PackageSource, console: &Console) -> Result<VerifiedPackage, BootError> {
    let cache_dir = config.cache_dir.clone();
    blocking(move || cache::prepare(&cache_dir).map_err(|source| BootError::Cache { path: cache_dir, source })).await?;
    let display = console.download();
    Ok(fetch::fetch(source, &config.package.fetch, &|progress| display.show(progress)).await?)
}

fn open(verified: VerifiedPackage, limits: ArchiveLimits) -> Result<(Package, Scratch), BootError> {
    let scratch =
        Scratch::new(SCRATCH_PREFIX).map_err(|source| BootError::Temporary { path: std::env::temp_dir(), source })?;
    let package = match verified {
        VerifiedPackage::Archive { file, name } => Package::open_archive(file, &name, scratch.path(), limits)?,
        VerifiedPackage::Directory(path) => Package::open(&path, scratch.path(), limits)?,
    };
    Ok((package, scratch))
}

async fn dependencies(
    config: &Config,
    package: &Package,
    policy: &Policy,
    audit: &Arc<dyn AuditSink>,
    console: &Console,
) -> Result<Choice, BootError> {
    let tools = Tools::open(&config.cache_dir, &config.guest_dir, config.limits, Arc::clone(audit)).await?;
    let reporter = Reporter::new();
    let progress = |step: install::Progress<'_>| {
        installing::log(&step);
        console.install(&step, reporter.hear(&step));
    };
    let installer = tools.installer(&config.install, &progress);
    Ok(choice::choose(&installer, package, &policy.native).await?)
}

async fn start(spec: SandboxSpec) -> Result<(Backend, AgentDescription), BootError> {
    let engine = Engine::new()?;
    let (sandbox, description) = Sandbox::start(&engine, spec).await?;
    Ok((Backend::Sandbox(sandbox), description))
}

async fn start_native(spec: NativeSpec) -> Result<(Backend, AgentDescription), BootError> {
    let (native, description) = Native::start(spec).await?;
    Ok((Backend::Native(native), description))
}

/// Says where the agent runs and why, in the log and on the record.
fn log_native(because: &Because, venv: &Venv, audit: &Arc<dyn AuditSink>) {
    let python = venv.python();
    tracing::warn!(
        backend = Backend::NATIVE,
        because = %because,
        python = python.version,
        interpreter = %python.executable.display(),
        "{}",
        events::OUTSIDE_SANDBOX
    );
    let reason = because.to_string();
    audit.record(AuditRecord::at_once(AuditEvent::outside_sandbox(reason, because.origin()), None));
}

fn native_spec(
    config: &Config,
    package: &Package,
    venv: Venv,
    grants: Grants,
    scratch: &Path,
    audit: Arc<dyn AuditSink>,
) -> Result<NativeSpec, BootError> {
    let program = Program::prepare(&config.cache_dir)
        .map_err(|source| BootError::Cache { path: config.cache_dir.clone(), source })?;
    Ok(NativeSpec {
        venv,
        program,
        // The process starts elsewhere.
        package: fs_err::canonicalize(package.path()).map_err(BootError::System)?,
        grants,
        agent: agent_spec(config, &package.manifest),
        scratch: scratch.to_owned(),
        outbound: OutboundSetup::default(),
        confinement: config.confinement,
        without: config.confinement_without.clone(),
        audit,
    })
}

fn sandbox_spec(
    config: &Config,
    package: &Package,
    layer: Option<DepsLayer>,
    grants: Grants,
    scratch: &Path,
    console: &Console,
) -> SandboxSpec {
    SandboxSpec {
        guest: Guest::at(&config.guest_dir).compiled_in(config.cache_dir.join(COMPILED), console.compiling()),
        package: package.path().to_owned(),
        dependencies: layer.map(|layer| layer.directory().to_owned()),
        grants,
        agent: agent_spec(config, &package.manifest),
        scratch: scratch.to_owned(),
        outbound: OutboundSetup::default(),
        audit: Arc::new(NoAudit),
    }
}

/// Libraries look for their configuration at home; there is one, and nothing in it is ours.
const HOME: &str = "/agent";

/// The variables by which an agent knows who it is.
fn identity(config: &Config) -> impl Iterator<Item = (String, String)> {
    let identity = &config.identity;
    let known = [
        ("HOME", HOME.to_owned()),
        ("AGENT_APP_ID", identity.app_id.clone()),
        ("BASE_PATH", config.base_path.to_string()),
    ];
    let deployment = identity.deployment_id.clone().map(|id| ("DEPLOYMENT_ID", id));
    known.into_iter().chain(deployment).map(|(name, value)| (name.to_owned(), value))
}

/// Brings what the package asks for and the policy together.
async fn grants(config: &Config, policy: &Policy, package: &Package) -> Result<Prepared, BootError> {
    // Secrets and directories are looked up: a few small files, at most.
    tokio::task::block_in_place(|| Ok(grants::prepare(package, policy, config.limits, identity(config))?))
}

/// Says what the agent got, by count; `par grants` says it by name.
fn log_grants(grants: &Grants) {
    tracing::info!(
        outbound = grants.outbound().rules().len(),
        outbound_addresses = grants.outbound().addresses().len(),
        secrets = grants.secrets().iter().count(),
        variables = grants.variables().len(),
        data = grants.data().len(),
        scratch_mib = grants.scratch().map_or(0, |limit| limit.value.mib()),
        memory_bytes = grants.limits().memory.bytes(),
        request_timeout_seconds = grants.limits().request_timeout.duration().as_secs_f64(),
        instances = grants.limits().instances.get(),
        "{}",
        events::CAPABILITIES_GRANTED
    );
    if grants.mode() == Mode::Observe {
        tracing::warn!("{}", events::OBSERVING);
    }
}

fn agent_spec(config: &Config, manifest: &Manifest) -> AgentSpec {
    let rest = manifest.rest.as_ref().map(|rest| match rest {
        RestEntry::Application(entry) => par_sandbox::RestEntry::Application(entry.to_string()),
        RestEntry::Mount(entry) => par_sandbox::RestEntry::Mount(entry.to_string()),
    });
    let actions = match &manifest.a2a {
        Some(A2aEntry::Service(entry)) => Some(entry.to_string()),
        Some(A2aEntry::HttpServer(_) | A2aEntry::WithoutActions) | None => None,
    };
    let a2a = match &manifest.a2a {
        Some(A2aEntry::HttpServer(entry)) => Some((entry.to_string(), config.ports.a2a.get())),
        Some(A2aEntry::Service(_) | A2aEntry::WithoutActions) | None => None,
    };
    let ui = match manifest.ui.as_ref().map(|ui| &ui.source) {
        Some(UiSource::Application(entry)) => Some(entry.to_string()),
        Some(UiSource::Files(_)) | None => None,
    };
    AgentSpec {
        name: manifest.name.to_string(),
        version: manifest.version.to_string(),
        description: manifest.description.clone(),
        python_path: manifest.python_path.iter().map(|path| (*path).to_owned()).collect(),
        rest,
        actions,
        ui,
        a2a,
        base_path: config.base_path.prefix().to_string(),
    }
}

/// Work that blocks, off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BootError> + Send + 'static,
) -> Result<T, BootError> {
    tokio::task::spawn_blocking(work).await.map_err(BootError::Broke)?
}

/// Where the package comes from: what was typed, then `AGENT_PACKAGE_PATH`, then `PACKAGE_URL`.
pub(super) fn source(typed: Option<PathBuf>, config: &Config) -> Result<PackageSource, BootError> {
    let path = typed.or_else(|| config.package.path.clone()).map(PackageSource::Path);
    path.or_else(|| config.package.url.clone().map(PackageSource::Url)).ok_or(BootError::NoPackage)
}
