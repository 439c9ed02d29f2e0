//! What every command needs that installs: the guest, the cache, the sandbox for jobs, the log.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use par_policy::Limits;
use par_sandbox::{AuditSink, Guest};

use super::agent::{COMPILED, blocking};
use super::error::BootError;
use crate::boot::{BootPhase, milliseconds};
use crate::cache;
use crate::install::Settled;
use crate::install::{GuestFiles, InstallSettings, Installer, Progress};
use crate::jobs::SandboxJobs;
use crate::progress::{self, Meter};
use crate::telemetry::events;

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

    /// The sandbox for jobs.
    pub(super) const fn jobs(&self) -> &SandboxJobs {
        &self.jobs
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
        Progress::Resolving { requirements } => {
            tracing::info!(phase = INSTALL, requirements, "{}", events::RESOLVING);
        }
        Progress::Resolved { distributions, carried, spent } => {
            let spent_ms = milliseconds(*spent);
            tracing::info!(phase = INSTALL, distributions, carried, spent_ms, "{}", events::RESOLVED);
        }
        Progress::Compiling { files } => tracing::info!(files, "Compiling dependencies"),
        Progress::Compiled { settled: Settled { compiled, refused, written, spent } } => {
            let (write_ms, compile_ms) = (milliseconds(*written), milliseconds(*spent));
            tracing::info!(compiled, refused, write_ms, compile_ms, "{}", events::DEPENDENCIES_COMPILED);
        }
        Progress::Ready { layer, times, fetched, unpacked } => {
            let ms = milliseconds;
            tracing::info!(
                distributions = layer.distributions().len(),
                layer = layer.digest().to_hex(),
                tree = %layer.tree(),
                decide_ms = ms(times.decide),
                fetch_ms = ms(times.obtain),
                unpack_ms = ms(times.unpack),
                finish_ms = ms(times.finish),
                fetched_bytes = fetched,
                fetched_bytes_per_second = progress::rate(*fetched, times.obtain),
                unpacked_bytes = unpacked,
                unpacked_bytes_per_second = progress::rate(*unpacked, times.unpack),
                "{}",
                events::DEPENDENCIES_INSTALLED
            );
        }
        Progress::Building { sdist } => tracing::info!(sdist, "Building in the sandbox"),
        _ => {}
    }
}

const INSTALL: &str = BootPhase::Install.as_str();

/// How far the downloads of an installation are, all wheels together: for a log that nobody reads line by
/// line, and for a person.
pub(super) struct Reporter {
    fetching: Meter,
    unpacking: Meter,
    wheels: Mutex<HashMap<String, (u64, Option<u64>)>>,
}

/// Bytes of all wheels that were begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Downloads {
    /// Wheels.
    pub(super) wheels: usize,
    /// Bytes that are here.
    pub(super) bytes: u64,
    /// Of how many, if the servers say it.
    pub(super) total: Option<u64>,
    /// Bytes a second, so far.
    pub(super) rate: u64,
}

impl Reporter {
    pub(super) fn new() -> Self {
        let meter = || Meter::new(BootPhase::Install);
        Self { fetching: meter(), unpacking: meter(), wheels: Mutex::default() }
    }

    /// Hears of a step; says how far the downloads are, if it is of one.
    pub(super) fn hear(&self, step: &Progress<'_>) -> Option<Downloads> {
        match step {
            Progress::Downloading { wheel, bytes, total } => {
                let downloads = self.add(wheel, *bytes, *total);
                self.fetching.log("wheels", downloads.bytes, downloads.total);
                Some(downloads)
            }
            Progress::Unpacking { bytes, .. } => {
                self.unpacking.log("unpacked wheels", *bytes, None);
                None
            }
            _ => None,
        }
    }

    fn add(&self, wheel: &str, bytes: u64, total: Option<u64>) -> Downloads {
        let mut wheels = self.wheels.lock().unwrap_or_else(PoisonError::into_inner);
        wheels.insert(wheel.to_owned(), (bytes, total));
        let bytes = wheels.values().map(|(bytes, _)| bytes).sum();
        let total = wheels.values().map(|(_, total)| *total).sum();
        Downloads { wheels: wheels.len(), bytes, total, rate: self.fetching.rate(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_are_told_together_and_their_total_only_when_all_are_known() {
        let reporter = Reporter::new();
        let hear = |wheel, bytes, total| reporter.hear(&Progress::Downloading { wheel, bytes, total }).unwrap();

        hear("a.whl", 10, Some(100));
        let both = hear("b.whl", 5, Some(50));
        assert_eq!((both.wheels, both.bytes, both.total), (2, 15, Some(150)));
        let later = hear("a.whl", 100, Some(100));
        assert_eq!((later.wheels, later.bytes, later.total), (2, 105, Some(150)));
        assert_eq!(hear("c.whl", 1, None).total, None);

        assert_eq!(reporter.hear(&Progress::Unpacking { wheel: "a.whl", bytes: 7 }), None);
    }
}
