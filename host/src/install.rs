//! Requirements -> [`DepsLayer`]: resolved by `uv`, everything else by our own code.
//!
//! No code of a dependency runs here: wheels only, unpacked by the archive reader that also
//! reads packages. Data moves one way: `resolve` -> [`Lock`] -> `choose` -> `download` -> `unpack` ->
//! `layer`. A layer that exists is found by an index of requirements, so a package that was
//! installed once starts without resolver and network.

mod choose;
pub mod classify;
mod download;
mod error;
mod explain;
mod guest;
mod layer;
mod lock;
mod names;
mod resolve;
mod settings;
mod standin;
#[cfg(test)]
mod tests;
mod unpack;
mod wheel;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fs_err as fs;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use par_apkg::archive::ArchiveLimits;
use par_apkg::digest::{Hasher, Sha256};
use par_apkg::requirement::{ProjectName, Requirements};
use tokio::sync::mpsc;

pub use choose::WheelName;
pub(crate) use download::is_trusted_transport;
pub use error::{InstallError, Unresolvable, WheelFault};
pub use guest::GuestFiles;
pub use layer::{DepsLayer, Distribution};
pub use lock::{Lock, LockError, Locked, LockedWheel};
pub use settings::{InstallSettings, PASSED_TO_RESOLVER, PYTHON_VERSION, UV_VERSION};
pub use standin::{STAND_INS, StandIn};

use classify::Origin;
use download::WheelStore;
use layer::{About, Desk, LayerStore};
use resolve::Wanted;
use unpack::{Event, Job, Ready};

/// How many wheels are downloaded at once.
const DOWNLOADS: usize = 8;

/// What happens while a layer is made, for a progress bar or a log.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The layer exists already; nothing else happens.
    Reused {
        /// It.
        layer: &'a DepsLayer,
    },
    /// A requirement is met by the platform instead of a distribution.
    StandIn {
        /// The distribution.
        name: &'a str,
        /// What takes its place.
        because: &'static str,
    },
    /// The wheelhouse is not there; the index alone is asked.
    NoWheelhouse {
        /// Where it was said to be.
        directory: &'a Path,
    },
    /// The resolver runs.
    Resolving {
        /// How many requirements the package has.
        requirements: usize,
    },
    /// The resolver is done.
    Resolved {
        /// Distributions to unpack.
        distributions: usize,
        /// Distributions the guest carries ready-made.
        carried: usize,
    },
    /// Bytes of a wheel arrived.
    Downloading {
        /// File name of the wheel.
        wheel: &'a str,
        /// So far.
        bytes: u64,
        /// Of how many, if the server says.
        total: Option<u64>,
    },
    /// A wheel is being unpacked.
    Unpacking {
        /// File name of the wheel.
        wheel: &'a str,
    },
    /// A file of a wheel is not installed.
    LeftOut {
        /// File name of the wheel.
        wheel: &'a str,
        /// The file.
        path: &'a str,
        /// Why.
        because: &'static str,
    },
    /// The layer is complete.
    Ready {
        /// It.
        layer: &'a DepsLayer,
    },
}

/// Makes the layer that meets the requirements of a package, or finds the one that does.
///
/// `package` is what errors and the marker file call the package. `None` when the guest carries
/// everything that is required.
///
/// # Errors
/// [`InstallError`]; nothing is left behind but wheels that were verified.
pub async fn deps_layer(
    package: &str,
    requirements: &Requirements,
    guest: &GuestFiles,
    settings: &InstallSettings,
    progress: &(dyn Fn(Progress<'_>) + Send + Sync),
) -> Result<Option<DepsLayer>, InstallError> {
    let wanted = wanted(requirements);
    if wanted.is_empty() {
        return Ok(None);
    }
    let install = Install { package, wanted, guest, settings, progress };
    match tokio::time::timeout(settings.timeout, install.run()).await {
        Ok(outcome) => outcome,
        Err(_) => Err(InstallError::TimedOut { package: package.to_owned(), seconds: settings.timeout.as_secs() }),
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

struct Install<'a> {
    package: &'a str,
    wanted: Vec<Wanted>,
    guest: &'a GuestFiles,
    settings: &'a InstallSettings,
    progress: &'a (dyn Fn(Progress<'_>) + Send + Sync),
}

/// Where the wheel of a distribution comes from.
enum Source<'a> {
    Guest(&'a Path),
    Outside(&'a LockedWheel),
}

struct Chosen<'a> {
    locked: &'a Locked,
    source: Source<'a>,
    wheel: String,
    digest: Sha256,
}

impl Install<'_> {
    async fn run(self) -> Result<Option<DepsLayer>, InstallError> {
        let deadline = Instant::now() + self.settings.timeout;
        let store = LayerStore::open(&self.settings.cache)?;
        let key = self.key();
        if let Some(known) = store.known(key) {
            if let Some(layer) = &known {
                (self.progress)(Progress::Reused { layer });
            }
            return Ok(known);
        }

        let desk = Arc::new(store.begin()?);
        let lock = self.resolve(&desk).await?;
        let chosen = self.choose(&lock)?;
        let carried = lock.distributions.len() - chosen.len();
        (self.progress)(Progress::Resolved { distributions: chosen.len(), carried });
        if chosen.is_empty() {
            store.remember(key, None, &desk)?;
            return Ok(None);
        }

        let distributions: Vec<Distribution> = chosen.iter().map(Chosen::distribution).collect();
        let digest = layer::digest_of(&distributions, self.guest.key());
        let layer = match store.find(digest) {
            Some(layer) => {
                (self.progress)(Progress::Reused { layer: &layer });
                layer
            }
            None => {
                let wheels = self.obtain(&chosen, &desk).await?;
                let layer = match self.build(wheels, &digest, distributions, deadline, &desk).await {
                    Err(error) => return Err(self.with_requirers(error, &desk).await),
                    Ok(layer) => layer,
                };
                (self.progress)(Progress::Ready { layer: &layer });
                layer
            }
        };
        store.remember(key, Some(digest), &desk)?;
        Ok(Some(layer))
    }

    /// Equal when nothing that could lead to another layer has changed.
    fn key(&self) -> Sha256 {
        let mut hasher = Hasher::default();
        hasher.update(format!("rule {}\n", settings::RULE_VERSION));
        hasher.update(self.guest.key().as_bytes());
        for place in [
            self.settings.index.as_ref().map(|index| index.expose().to_string()),
            self.settings.wheelhouse.as_ref().map(|path| path.display().to_string()),
        ] {
            hasher.update(Sha256::of(place.unwrap_or_default()).as_bytes());
        }
        hasher.update(self.requirements_digest().as_bytes());
        hasher.finish()
    }

    fn requirements_digest(&self) -> Sha256 {
        let mut hasher = Hasher::default();
        for wanted in &self.wanted {
            hasher.update(&wanted.line);
            hasher.update("\n");
        }
        hasher.finish()
    }

    async fn resolve(&self, desk: &Desk) -> Result<Lock, InstallError> {
        for wanted in &self.wanted {
            if let Some(stand_in) = standin::stand_in(wanted.name.as_str()) {
                (self.progress)(Progress::StandIn { name: stand_in.name, because: stand_in.because });
            }
        }
        if let Some(directory) = self.settings.wheelhouse.as_ref().filter(|directory| !directory.is_dir()) {
            (self.progress)(Progress::NoWheelhouse { directory });
        }
        (self.progress)(Progress::Resolving { requirements: self.wanted.len() });
        resolve::resolve(self.package, &self.wanted, self.guest, self.settings, desk.scratch()).await
    }

    /// Adds to an error about a distribution the agent may not have heard of where it comes from.
    async fn with_requirers(&self, mut error: InstallError, desk: &Desk) -> InstallError {
        if let InstallError::NativeCode { distribution, needs, .. } = &mut error {
            let name = distribution.split("==").next().and_then(ProjectName::parse);
            if let Some(name) = name.filter(|name| self.wanted.iter().all(|wanted| wanted.name != *name)) {
                *needs = resolve::requirers(&name, &self.wanted, self.settings, desk.scratch()).await;
            }
        }
        error
    }

    /// One wheel for each distribution the guest does not carry ready-made.
    fn choose<'a>(&'a self, lock: &'a Lock) -> Result<Vec<Chosen<'a>>, InstallError> {
        let mut all = Vec::new();
        for locked in &lock.distributions {
            if self.guest.carried(&locked.name).is_some() {
                continue;
            }
            let chosen = if let Some((name, path)) = self.guest.wheel(&locked.name) {
                let file = fs::File::open(path).map_err(InstallError::cache)?;
                let digest = Sha256::of_reader(file).map_err(InstallError::cache)?;
                Chosen { locked, source: Source::Guest(path), wheel: name.to_string(), digest }
            } else if let Some(wheel) = choose::choose(locked) {
                Chosen { locked, source: Source::Outside(wheel), wheel: wheel.file.to_string(), digest: wheel.digest }
            } else {
                continue;
            };
            all.push(chosen);
        }
        Ok(all)
    }

    async fn obtain(&self, chosen: &[Chosen<'_>], desk: &Desk) -> Result<Vec<Ready>, InstallError> {
        let store = WheelStore::open(self.settings, desk.scratch())?;
        let store = &store;
        stream::iter(chosen.iter().map(|chosen| async move {
            let (file, origin) = match chosen.source {
                Source::Guest(path) => (fs::File::open(path).map_err(InstallError::cache)?, Origin::Guest),
                Source::Outside(wheel) => {
                    let report =
                        |bytes, total| (self.progress)(Progress::Downloading { wheel: &chosen.wheel, bytes, total });
                    (store.obtain(wheel, report).await?, Origin::Outside)
                }
            };
            let (name, version) = (chosen.locked.name.clone(), chosen.locked.version.clone());
            Ok(Ready { name, version, wheel: chosen.wheel.clone(), origin, file })
        }))
        .buffered(DOWNLOADS)
        .try_collect()
        .await
    }

    /// Unpacks on a thread that may block, and passes on what it tells.
    async fn build(
        &self,
        wheels: Vec<Ready>,
        digest: &Sha256,
        distributions: Vec<Distribution>,
        deadline: Instant,
        desk: &Arc<Desk>,
    ) -> Result<DepsLayer, InstallError> {
        let limits = ArchiveLimits { archive_bytes: self.settings.max_wheel_bytes, ..ArchiveLimits::WHEEL };
        let job = Job { wheels, limits, layer_bytes: self.settings.max_layer_bytes, deadline };
        let (package, desk) = (self.package.to_owned(), Arc::clone(desk));
        let (requirements, digest) = (self.requirements_digest(), *digest);
        let (sender, mut events) = mpsc::unbounded_channel();
        let building = tokio::task::spawn_blocking(move || {
            let about = About { package: &package, requirements, digest, distributions };
            // The receiver is gone only when nobody waits for the layer any more.
            unpack::build(job, &desk, about, |event| drop(sender.send(event)))
        });
        while let Some(event) = events.recv().await {
            (self.progress)(match &event {
                Event::Unpacking { wheel } => Progress::Unpacking { wheel },
                Event::LeftOut { wheel, path, because } => Progress::LeftOut { wheel, path, because },
            });
        }
        building.await.map_err(|error| InstallError::cache(std::io::Error::other(error)))?
    }
}

impl Chosen<'_> {
    fn distribution(&self) -> Distribution {
        Distribution { name: self.locked.name.to_string(), version: self.locked.version.clone(), sha256: self.digest }
    }
}
