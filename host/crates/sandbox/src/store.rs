//! The one door to a store: what a guest can touch is decided here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use par_policy::{AuditEvent, Capability, Denial, DenialCode, Grants};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, StoreLimitsBuilder};
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::StartError;
use crate::audit::{Accounted, AuditSink};
use crate::drive::SandboxMold;
use crate::files::{FilesView, OpenScratchFile, Places, Quota, Root};
use crate::fixed::{RepeatedRandom, StandingClock};
use crate::imports::HostState;
use crate::interruption::Turn;
use crate::memory::{Limiter, Memory};
use crate::output::OutputLog;

/// Core instances, memories and tables a component of CPython and its extensions needs.
const INSTANCES: usize = 256;
const MEMORIES: usize = 8;
const TABLES: usize = 16;

/// Handles for WASI resources one instance may hold at a time, files above all.
const RESOURCES: usize = 16 * 1024;

/// Most random bytes one call may ask for.
const RANDOM_BYTES: u64 = 1 << 20;

/// Most bytes a build may keep in its directory, 4096 for each file and directory included. What real
/// build backends write is a few times the source.
const BUILD_BYTES: u64 = 512 << 20;

/// A directory of the host that a guest sees.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Where it lies on the host.
    pub host: PathBuf,
    /// Where the guest finds it.
    pub guest: String,
    access: Access,
}

/// What the guest may do in a mount.
#[derive(Debug, Clone, Copy)]
enum Access {
    Read,
    /// Only ever the directory of a build; see [`Mount::build_directory`].
    Write,
}

impl Mount {
    /// Mounts `host` at `guest`.
    #[must_use]
    pub fn read_only(host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        Self { host: host.into(), guest: guest.into(), access: Access::Read }
    }

    /// Mounts the directory in which a source distribution is built. It has the room of
    /// [`BUILD_BYTES`].
    pub(crate) fn build_directory(host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        Self { host: host.into(), guest: guest.into(), access: Access::Write }
    }
}

/// Everything that belongs to one instance.
pub(crate) struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: Limiter,
    quota: Option<Quota>,
    open_scratch_files: HashMap<u32, OpenScratchFile>,
    places: Places,
    pub(crate) turn: Turn,
    pub(crate) host: HostState,
}

impl State {
    pub(crate) fn files(&mut self) -> FilesView<'_> {
        FilesView {
            inner: WasiFilesystemCtxView { ctx: self.wasi.filesystem(), table: &mut self.table },
            quota: self.quota.as_ref(),
            open: &mut self.open_scratch_files,
            places: &mut self.places,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Builds the store of one instance: nothing but the grants and mounts of its mold is in it.
/// `scratch` is the directory it may write to, if it was granted one.
pub(crate) fn build_store(
    mold: &SandboxMold,
    scratch: Option<&Path>,
    memory: Arc<Memory>,
) -> Result<Store<State>, StartError> {
    let SandboxMold { engine, grants, mounts, audit, nothing, .. } = mold;
    let account = Accounted::new(Arc::clone(audit));
    let host = HostState::new(Arc::clone(&mold.outbound), Arc::clone(&account));
    let audit: Arc<dyn AuditSink> = account;
    let mut wasi = WasiCtxBuilder::new();
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    // Imports read hundreds of small files from a local disk; a thread switch for each costs
    // more than the read.
    wasi.allow_blocking_current_thread(true);
    wasi.max_random_size(RANDOM_BYTES);
    wasi.stdout(OutputLog::stdout()).stderr(OutputLog::stderr());
    for (name, value) in grants.environment() {
        wasi.env(name, value);
    }
    wasi.preopened_dir(nothing.path(), "/", FsPerms::ReadOnly).map_err(|source| unreadable(nothing.path(), source))?;
    let mut roots = vec![Root::nothing()];
    let mut quota = None;
    for Mount { host, guest, access } in mounts {
        let perms = match access {
            Access::Read => FsPerms::ReadOnly,
            Access::Write => {
                let denial = Denial::new(DenialCode::ScratchFull, "the directory of the build is full");
                let full = AuditEvent::denied(Capability::Files, guest, &denial);
                quota = Some(Quota::new(BUILD_BYTES, full, Arc::clone(&audit)));
                FsPerms::ReadWrite
            }
        };
        roots.push(Root::own(guest, matches!(access, Access::Write)));
        wasi.preopened_dir(host, guest, perms).map_err(|source| unreadable(host, source))?;
    }
    for (name, directory) in grants.data() {
        let host = Path::new(directory.value.as_str());
        let mounted = wasi.preopened_dir(host, name.guest_path(), FsPerms::ReadOnly);
        mounted.map_err(|source| unreadable(host, source))?;
        roots.push(Root::granted(&name.guest_path(), directory, false));
    }
    if let (Some(limit), Some(directory)) = (grants.scratch(), scratch) {
        let mounted = wasi.preopened_dir(directory, Grants::scratch_path(), FsPerms::ReadWrite);
        mounted.map_err(|source| unreadable(directory, source))?;
        let denial = Denial::by_rule(DenialCode::ScratchFull, "the scratch directory is full", limit.rule.clone());
        let full = AuditEvent::denied(Capability::Files, Grants::scratch_path(), &denial);
        roots.push(Root::granted(Grants::scratch_path(), limit, true));
        quota = Some(Quota::new(limit.value.bytes(), full, Arc::clone(&audit)));
    }
    if let Some(clock) = grants.clock() {
        wasi.wall_clock(StandingClock(clock.value));
    }
    if let Some(seed) = grants.random() {
        wasi.secure_random(RepeatedRandom::new(seed.value));
        wasi.insecure_random(RepeatedRandom::new(seed.value));
        wasi.insecure_random_seed(u128::from(seed.value.0));
    }

    let limits = StoreLimitsBuilder::new()
        .memory_size(grants.limits().memory.bytes())
        .instances(INSTANCES)
        .memories(MEMORIES)
        .tables(TABLES)
        .build();
    let limits = Limiter::new(limits, memory, Arc::clone(&audit));
    let places = Places::new(roots, grants.limits().open_files, audit);
    let mut table = ResourceTable::new();
    table.set_max_capacity(RESOURCES);
    let state = State {
        wasi: wasi.build(),
        table,
        limits,
        quota,
        open_scratch_files: HashMap::new(),
        places,
        turn: engine.turn(),
        host,
    };
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| &mut state.limits);
    Ok(store)
}

fn unreadable(path: &Path, source: wasmtime::Error) -> StartError {
    StartError::Mount { path: path.to_owned(), source: format!("{source:#}").into() }
}
