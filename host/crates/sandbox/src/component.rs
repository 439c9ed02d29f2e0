//! The guest on disk: the precompiled component and the directories it was built with.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use wasmtime::component::{Component, InstancePre, Linker};

use crate::bindings::AgentPre;
use crate::engine::Engine;
use crate::store::State;
use crate::{StartError, imports};

/// Where a guest built by `just guest` lies.
#[derive(Debug, Clone)]
pub struct Guest {
    directory: PathBuf,
}

impl Guest {
    /// Names the directory of a guest; nothing is read yet.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The precompiled component.
    #[must_use]
    pub fn component(&self) -> PathBuf {
        self.directory.join("agent.cwasm")
    }

    /// The standard library, mounted at `/python`.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.directory.join("python")
    }

    /// The platform libraries, mounted at `/platform`.
    #[must_use]
    pub fn platform(&self) -> PathBuf {
        self.directory.join("platform")
    }
}

pub(crate) fn load(engine: &Engine, guest: &Guest) -> Result<AgentPre<State>, StartError> {
    let path = guest.component();
    check_owner(&path)?;
    let component = deserialize(engine, &path)?;
    let instance_pre = link(engine, &component)?;
    AgentPre::new(instance_pre).map_err(StartError::engine)
}

fn link(engine: &Engine, component: &Component) -> Result<InstancePre<State>, StartError> {
    let mut linker = Linker::new(engine.wasmtime());
    imports::add_to_linker(&mut linker).map_err(StartError::engine)?;
    linker.instantiate_pre(component).map_err(StartError::engine)
}

/// Refuses a component somebody else could have written.
///
/// A precompiled component is machine code, so whoever can write it owns the process. It
/// must belong to this user or to root, and be writable by nobody else.
fn check_owner(path: &Path) -> Result<(), StartError> {
    #[expect(clippy::disallowed_methods, reason = "`StartError::ReadGuest` names the path")]
    let metadata = std::fs::metadata(path).map_err(|source| StartError::ReadGuest { path: path.to_owned(), source })?;
    let owner = metadata.uid();
    let trusted = owner == 0 || owner == rustix::process::geteuid().as_raw();
    if trusted && metadata.permissions().mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(StartError::UntrustedGuest { path: path.to_owned() })
}

#[expect(unsafe_code, reason = "docs/adr/0005-precompiled-guest.md")]
fn deserialize(engine: &Engine, path: &Path) -> Result<Component, StartError> {
    // SAFETY: the file holds machine code that wasmtime trusts. `check_owner` has made sure
    // that only this user or root can have written it, and wasmtime refuses files of another
    // version or configuration.
    unsafe { Component::deserialize_file(engine.wasmtime(), path) }.map_err(StartError::engine)
}
