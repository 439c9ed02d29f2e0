//! The guest on disk: the precompiled component and the directories it was built with.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::component::{Component, InstancePre, Linker};

use crate::bindings::AgentPre;
use crate::compiled::Compiled;
use crate::engine::Engine;
use crate::store::State;
use crate::{StartError, imports};

/// Where a guest built by `just guest` lies.
#[derive(Debug, Clone)]
pub struct Guest {
    directory: PathBuf,
    compiled: Option<Compiled>,
}

impl Guest {
    /// Names the directory of a guest; nothing is read yet.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), compiled: None }
    }

    /// Lets the guest be compiled again where its machine code cannot be used, and keeps the
    /// result in `directory`. `announce` is called before: it takes seconds.
    #[must_use]
    pub fn compiled_in(self, directory: impl Into<PathBuf>, announce: impl Fn() + Send + Sync + 'static) -> Self {
        Self { compiled: Some(Compiled { directory: directory.into(), announce: Arc::new(announce) }), ..self }
    }

    /// The precompiled component.
    #[must_use]
    pub fn component(&self) -> PathBuf {
        self.directory.join("agent.cwasm")
    }

    /// The component as it was linked, for any machine.
    fn wasm(&self) -> PathBuf {
        self.directory.join("agent.wasm")
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

pub(crate) async fn load(engine: &Engine, guest: &Guest) -> Result<AgentPre<State>, StartError> {
    let component = match precompiled(engine, &guest.component(), Owner::ThisUserOrRoot) {
        Ok(component) => component,
        Err(unusable) => compiled(engine, guest, unusable).await?,
    };
    let instance_pre = link(engine, &component)?;
    AgentPre::new(instance_pre).map_err(StartError::engine)
}

/// Machine code from a file, if it can be trusted and was made for this engine and machine.
pub(crate) fn precompiled(engine: &Engine, path: &Path, owner: Owner) -> Result<Component, StartError> {
    deserialize(engine, &open_trusted(path, owner)?)
}

/// What this process compiles, or compiled earlier, in place of code it cannot use.
async fn compiled(engine: &Engine, guest: &Guest, unusable: StartError) -> Result<Component, StartError> {
    let Some(compiled) = guest.compiled.clone().filter(|_| guest.wasm().is_file()) else { return Err(unusable) };
    tracing::info!(reason = &unusable as &dyn std::error::Error, "The machine code of the guest cannot be used here");
    let (engine, wasm) = (engine.clone(), guest.wasm());
    let compiling = tokio::task::spawn_blocking(move || compiled.of(&engine, &wasm));
    compiling.await.unwrap_or_else(|error| Err(StartError::Engine(error.into())))
}

fn link(engine: &Engine, component: &Component) -> Result<InstancePre<State>, StartError> {
    let mut linker = Linker::new(engine.wasmtime());
    imports::add_to_linker(&mut linker).map_err(StartError::engine)?;
    linker.instantiate_pre(component).map_err(StartError::engine)
}

/// Who may have written machine code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Who installed PAR.
    ThisUserOrRoot,
    /// This process, or an earlier one like it.
    ThisUser,
}

/// Opens a component, unless somebody else could have written it.
///
/// A precompiled component is machine code, so whoever can write it owns the process. It
/// must belong to this user or to root, and be writable by nobody else. The open file is
/// judged and not its path: a path may lead elsewhere a moment later.
fn open_trusted(path: &Path, wanted: Owner) -> Result<File, StartError> {
    let unreadable = |source| StartError::ReadGuest { path: path.to_owned(), source };
    #[expect(clippy::disallowed_methods, reason = "`StartError::ReadGuest` names the path")]
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let owner = metadata.uid();
    let trusted = owner == rustix::process::geteuid().as_raw() || (wanted == Owner::ThisUserOrRoot && owner == 0);
    if trusted && metadata.permissions().mode() & WRITABLE_BY_OTHERS == 0 {
        return Ok(file);
    }
    Err(StartError::UntrustedGuest { path: path.to_owned() })
}

/// Write permission of the group and of everybody.
const WRITABLE_BY_OTHERS: u32 = 0o022;

#[expect(unsafe_code, reason = "docs/adr/0006-precompiled-guest.md")]
fn deserialize(engine: &Engine, file: &File) -> Result<Component, StartError> {
    // wasmtime maps files by path; this path is the open file and no other.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: the file holds machine code that wasmtime trusts. `open_trusted` has made sure
    // that only this user or root can have written it, and wasmtime refuses files of another
    // version or configuration.
    unsafe { Component::deserialize_file(engine.wasmtime(), path) }.map_err(StartError::engine)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file others may or may not write to.
    fn guest(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.cwasm");
        let file = File::options().create_new(true).write(true).open(&path).unwrap();
        file.set_permissions(PermissionsExt::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_guest_only_this_user_can_write_is_trusted() {
        for mode in [0o400, 0o644, 0o755] {
            let (_directory, path) = guest(mode);
            assert!(open_trusted(&path, Owner::ThisUserOrRoot).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn a_guest_others_can_write_is_refused() {
        for mode in [0o664, 0o646, 0o666, 0o620] {
            let (_directory, path) = guest(mode);
            assert!(
                matches!(open_trusted(&path, Owner::ThisUserOrRoot), Err(StartError::UntrustedGuest { .. })),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn a_guest_is_judged_where_a_link_leads() {
        let (directory, path) = guest(0o666);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(path, &link).unwrap();
        assert!(matches!(open_trusted(&link, Owner::ThisUserOrRoot), Err(StartError::UntrustedGuest { .. })));
    }

    #[test]
    fn what_is_no_component_is_an_error() {
        let (_directory, path) = guest(0o644);
        let engine = Engine::new().unwrap();
        let refused = deserialize(&engine, &open_trusted(&path, Owner::ThisUserOrRoot).unwrap());
        assert!(matches!(refused, Err(StartError::Engine(_))));
    }
}
