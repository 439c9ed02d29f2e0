//! Requirements -> [`DepsLayer`]: resolved by `uv`, everything else by our own code.
//!
//! No code of a dependency runs here: wheels only, unpacked by the archive reader that also
//! reads packages. What has to run hostile code, compiling and building, is given to the sandbox
//! ([`GuestJobs`]). Data moves one way: `resolve` or `pins` -> [`Lock`] -> `choose` -> `download` ->
//! `unpack` -> `layer`, and `settle` when nobody waits any more. A layer that exists is found by an index of requirements, so a
//! package that was installed once starts without resolver and network.
//!
//! `installation.rs` has the steps in their order; each step's own work is in a module beside it.

mod choose;
mod chosen;
pub mod classify;
mod download;
mod error;
mod explain;
mod export;
mod guest;
mod host_python;
mod index;
mod installation;
pub mod jobs;
mod judge;
mod layer;
mod locate;
mod lock;
mod names;
mod page;
mod pins;
mod placeholder;
mod progress;
mod project;
mod resolve;
mod settings;
mod settle;
mod source;
mod standin;
#[cfg(test)]
mod tests;
mod tree;
mod unpack;
mod venv;
mod wheel;
pub mod wheelhouse;

use fs_err as fs;
use par_apkg::digest::{Hasher, Sha256};
use par_apkg::requirement::Requirements;

pub use choose::WheelName;
pub use error::{InstallError, Needed, Unresolvable, WheelFault};
pub use guest::GuestFiles;
pub use host_python::HostPython;
pub(crate) use index::is_trusted_transport;
pub use jobs::GuestJobs;
pub use judge::{Judged, Runs};
pub use layer::{DepsLayer, Distribution, LAYERS};
pub use lock::{Lock, LockError, Locked, LockedWheel};
pub use progress::{Progress, Times};
pub use resolve::RESOLVER_CACHE;
pub use settings::{InstallSettings, PASSED_TO_RESOLVER, PYTHON_VERSION, UV_VERSION};
pub use settle::Settled;
pub use standin::{DISPENSABLE, STAND_INS, StandIn};
pub use venv::{Reason, VENVS, Venv};

use installation::{DOWNLOADS, Install};
use layer::LayerStore;
use pins::Pins;
use resolve::Wanted;

/// What installing needs beside the requirements.
#[derive(Clone, Copy)]
pub struct Installer<'a> {
    /// What the guest carries.
    pub guest: &'a GuestFiles,
    /// What the operator decided.
    pub settings: &'a InstallSettings,
    /// The sandbox for what has to run there. Without it nothing is compiled and nothing built.
    pub jobs: Option<&'a dyn GuestJobs>,
    /// Hears what happens.
    pub progress: &'a (dyn Fn(Progress<'_>) + Send + Sync),
}

impl std::fmt::Debug for Installer<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Installer").field("settings", self.settings).finish_non_exhaustive()
    }
}

impl Installer<'_> {
    /// Makes the layer that meets the requirements of a package, or finds the one that does.
    ///
    /// `package` is what errors and the marker file call the package. `None` when the guest
    /// carries everything that is required.
    ///
    /// # Errors
    /// [`InstallError`]; nothing is left behind but wheels that were verified.
    pub async fn layer(&self, package: &str, requirements: &Requirements) -> Result<Option<DepsLayer>, InstallError> {
        let pins = Pins::of(package, requirements)?;
        let wanted = wanted(requirements);
        if wanted.is_empty() && pins.is_none() {
            return Ok(None);
        }
        if let Some(pins) = &pins {
            pins.check(package, &requirements.list, requirements_digest(&wanted), self.guest)?;
        }
        let lock_text = requirements.lock.as_deref().unwrap_or_default();
        let install = Install { package, wanted, pins, lock_text, installer: *self };
        self.in_time(package, install.run()).await
    }

    /// Puts a layer on disk for good, and compiles it. Takes long and may be stopped at any time: an
    /// agent can use the layer before, during and after.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub async fn settle(&self, layer: &DepsLayer) -> Result<Option<Settled>, InstallError> {
        if layer.is_settled() && (layer.is_compiled() || self.jobs.is_none()) {
            return Ok(None);
        }
        let desk = LayerStore::open(&self.settings.cache)?.begin()?;
        let announce = |files| (self.progress)(Progress::Compiling { files });
        let settled = settle::settle(layer, self.jobs, &desk, announce).await?;
        drop(desk);
        if let Some(settled) = settled {
            (self.progress)(Progress::Compiled { settled });
        }
        Ok(settled)
    }

    /// Installs what a package requires, whatever its lock says, and returns the lock that
    /// leads to the same.
    ///
    /// # Errors
    /// As [`Installer::layer`].
    pub async fn lock(&self, package: &str, requirements: &Requirements) -> Result<String, InstallError> {
        let wanted = wanted(requirements);
        let install = Install { package, wanted, pins: None, lock_text: "", installer: *self };
        self.in_time(package, install.make_lock()).await
    }

    /// The wheels that requirements lead to, fetched and verified, with their file names. Those of
    /// the guest are not among them.
    ///
    /// # Errors
    /// As [`Installer::layer`].
    pub async fn wheels(
        &self,
        package: &str,
        requirements: &Requirements,
    ) -> Result<Vec<(WheelName, fs::File)>, InstallError> {
        let pins = Pins::of(package, requirements)?;
        let install = Install { package, wanted: wanted(requirements), pins, lock_text: "", installer: *self };
        self.in_time(package, install.fetch()).await
    }

    async fn in_time<T>(
        &self,
        package: &str,
        work: impl Future<Output = Result<T, InstallError>>,
    ) -> Result<T, InstallError> {
        match tokio::time::timeout(self.settings.timeout, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(InstallError::TimedOut { package: package.to_owned(), seconds: self.settings.timeout.as_secs() })
            }
        }
    }
}

fn wanted(requirements: &Requirements) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = requirements
        .list
        .iter()
        .map(|requirement| Wanted { name: requirement.name.clone(), line: requirement.to_string() })
        .collect();
    wanted.sort_by(|one, other| one.line.cmp(&other.line));
    wanted.dedup();
    wanted
}

/// The digest of requirements, in whatever order they were written.
fn requirements_digest(wanted: &[Wanted]) -> Sha256 {
    let mut hasher = Hasher::default();
    for wanted in wanted {
        hasher.update(&wanted.line);
        hasher.update("\n");
    }
    hasher.finish()
}
