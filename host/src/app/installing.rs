//! What every command needs that installs: the guest, the cache, the sandbox for jobs, the log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use par_policy::Limits;
use par_sandbox::{AuditSink, Guest};

use super::agent::{COMPILED, blocking};
use super::error::BootError;
use crate::cache;
use crate::install::{GuestFiles, InstallSettings, Installer, Progress};
use crate::jobs::SandboxJobs;

/// The guest, as far as installing is concerned.
pub(super) struct Tools {
    guest: GuestFiles,
    jobs: SandboxJobs,
}

impl Tools {
    /// Reads the guest, and makes sure of the cache. `audit` hears what jobs try.
    pub(super) async fn open(
        cache: &Path,
        guest: &Path,
        limits: Limits,
        audit: Arc<dyn AuditSink>,
    ) -> Result<Self, BootError> {
        let (cache, directory) = (cache.to_owned(), guest.to_owned());
        let compiled = cache.join(COMPILED);
        let files = blocking(move || {
            cache::prepare(&cache).map_err(|source| BootError::Cache { path: cache, source })?;
            Ok(GuestFiles::read(&directory)?)
        })
        .await?;
        let guest = Guest::at(guest).compiled_in(compiled, || {});
        Ok(Self { guest: files, jobs: SandboxJobs::new(guest, limits, audit) })
    }

    pub(super) fn installer<'a>(
        &'a self,
        settings: &'a InstallSettings,
        progress: &'a (dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Installer<'a> {
        Installer { guest: &self.guest, settings, jobs: Some(&self.jobs), progress }
    }
}

/// Writes to the log what an operator may want to know later: what was not installed, what was
/// built, and what could not be used.
pub(super) fn log(step: &Progress<'_>) {
    match step {
        Progress::StandIn { name, because } => {
            tracing::info!(distribution = name, because, "Dependency not installed");
        }
        Progress::NoWheelhouse { directory } => {
            tracing::warn!(directory = %directory.display(), "Wheelhouse unavailable");
        }
        Progress::LeftOut { wheel, path, because } => {
            tracing::info!(wheel, path, because, "Dependency file left out");
        }
        Progress::TreeNotCompared => {
            let remark =
                "the lock was made for another release of PAR; its wheels are checked, its tree is not compared";
            tracing::warn!(remark, "Package remark");
        }
        Progress::Ready { layer, times } => {
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            tracing::info!(
                distributions = layer.distributions().len(),
                layer = layer.digest().to_hex(),
                tree = %layer.tree(),
                decide_ms = ms(times.decide),
                fetch_ms = ms(times.obtain),
                unpack_ms = ms(times.unpack),
                compile_ms = ms(times.compile),
                finish_ms = ms(times.finish),
                "Dependencies installed"
            );
        }
        Progress::Building { sdist } => tracing::info!(sdist, "Building in the sandbox"),
        _ => {}
    }
}
