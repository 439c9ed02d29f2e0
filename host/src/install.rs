//! Requirements -> [`DepsLayer`]: resolved by `uv`, everything else by our own code.
//!
//! No code of a dependency runs here: wheels only, unpacked by the archive reader that also
//! reads packages. What has to run hostile code, compiling and building, is given to the sandbox
//! ([`GuestJobs`]). Data moves one way: `resolve` or `pins` -> [`Lock`] -> `choose` -> `download` ->
//! `unpack` -> `layer`, and `settle` when nobody waits any more. A layer that exists is found by an index of requirements, so a
//! package that was installed once starts without resolver and network.
//!
//! One file although it is long: its steps share the one `Installer`, and each step's own work is in a module below.

mod choose;
pub mod classify;
mod download;
mod error;
mod explain;
mod export;
mod guest;
mod host_python;
pub mod jobs;
mod judge;
mod layer;
mod locate;
mod lock;
mod names;
mod pins;
mod placeholder;
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

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fs_err as fs;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use par_apkg::archive::ArchiveLimits;
use par_apkg::digest::{Hasher, Sha256};
use par_apkg::requirement::{ProjectName, Requirements};
use tokio::sync::mpsc;

pub use choose::WheelName;
pub(crate) use download::is_trusted_transport;
pub use error::{InstallError, Needed, Unresolvable, WheelFault};
pub use guest::GuestFiles;
pub use host_python::HostPython;
pub use jobs::GuestJobs;
pub use judge::{Judged, Runs};
pub use layer::{DepsLayer, Distribution, LAYERS};
pub use lock::{Lock, LockError, Locked, LockedWheel};
pub use resolve::RESOLVER_CACHE;
pub use settings::{InstallSettings, PASSED_TO_RESOLVER, PYTHON_VERSION, UV_VERSION};
pub use settle::Settled;
pub use standin::{DISPENSABLE, STAND_INS, StandIn};
pub use venv::{Reason, VENVS, Venv};

use classify::Origin;
use download::WheelStore;
use guest::is_same;
use layer::{About, Desk, LayerStore};
use pins::Pins;
use resolve::{Detail, Wanted};
use unpack::{Event, Files, Job, Ready};

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
    /// The package says itself what is installed; nothing is resolved.
    Locked {
        /// Distributions it names.
        distributions: usize,
    },
    /// The lock was made by another release, so its tree is not compared; its wheels are.
    TreeNotCompared,
    /// A source distribution is built in the sandbox.
    Building {
        /// Its file name.
        sdist: &'a str,
    },
    /// The guest compiles the files of the layer. Nobody waits for it.
    Compiling {
        /// How many.
        files: usize,
    },
    /// All of them have bytecode that can have it.
    Compiled {
        /// What was done.
        settled: Settled,
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
        /// How long it took.
        spent: Duration,
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
    /// A wheel was unpacked.
    Unpacking {
        /// File name of the wheel.
        wheel: &'a str,
        /// What all wheels so far unpacked to. Unit: bytes.
        bytes: u64,
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
        /// How long it took to make.
        times: Times,
        /// Size of its wheels, wherever they came from. Unit: bytes.
        fetched: u64,
        /// Size of its files. Unit: bytes.
        unpacked: u64,
    },
}

/// How long the parts of an installation took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Resolving, or finding what is pinned.
    pub decide: Duration,
    /// Fetching and verifying the wheels.
    pub obtain: Duration,
    /// Checking and unpacking them.
    pub unpack: Duration,
    /// Giving the layer its name.
    pub finish: Duration,
}

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

/// One installation.
struct Install<'a> {
    package: &'a str,
    wanted: Vec<Wanted>,
    pins: Option<Pins>,
    /// The text of the package's lock, for the index of layers.
    lock_text: &'a str,
    installer: Installer<'a>,
}

/// A clock of several hands: each lap begins where the last one ended.
struct Stages(Instant);

impl Stages {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.0, now))
    }
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
        let store = LayerStore::open(&self.settings().cache)?;
        let key = self.key();
        if let Some(known) = store.known(key) {
            if let Some(layer) = &known {
                (self.installer.progress)(Progress::Reused { layer });
            }
            return Ok(known);
        }
        let desk = Arc::new(store.begin()?);
        let wheels = WheelStore::open(self.settings(), desk.scratch())?;
        let mut clock = Stages::start();
        let lock = self.decide(&desk, &wheels).await?;
        let layer = self.install(&store, &wheels, &lock, &desk, &mut clock).await?;
        store.remember(key, layer.as_ref().map(DepsLayer::digest), &desk)?;
        Ok(layer)
    }

    async fn make_lock(self) -> Result<String, InstallError> {
        let store = LayerStore::open(&self.settings().cache)?;
        let desk = Arc::new(store.begin()?);
        let wheels = WheelStore::open(self.settings(), desk.scratch())?;
        let mut clock = Stages::start();
        let lock = self.decide(&desk, &wheels).await?;
        let layer = self.install(&store, &wheels, &lock, &desk, &mut clock).await?;
        if let Some(layer) = &layer {
            // Somebody who locks waits anyway, and may be making the layer of an image.
            self.installer.settle(layer).await?;
        }
        let tree = layer.as_ref().map_or_else(|| tree::digest([]), DepsLayer::tree);
        let chosen = self.choose(&lock)?;
        let outside = chosen.iter().filter_map(|chosen| match chosen.source {
            Source::Outside(wheel) => Some((chosen.locked, wheel)),
            Source::Guest(_) => None,
        });
        Ok(export::lock(outside, self.installer.guest, &lock, requirements_digest(&self.wanted), tree))
    }

    async fn fetch(self) -> Result<Vec<(WheelName, fs::File)>, InstallError> {
        let store = LayerStore::open(&self.settings().cache)?;
        let desk = Arc::new(store.begin()?);
        let wheels = WheelStore::open(self.settings(), desk.scratch())?;
        let lock = self.decide(&desk, &wheels).await?;
        let chosen = self.choose(&lock)?;
        let outside: Vec<Chosen<'_>> =
            chosen.into_iter().filter(|chosen| matches!(chosen.source, Source::Outside(_))).collect();
        let wheels = self.obtain(&outside, &wheels).await?;
        let names = outside.iter().filter_map(|chosen| WheelName::parse(&chosen.wheel));
        Ok(names.zip(wheels.into_iter().map(|ready| ready.file)).collect())
    }

    /// Which distributions are installed: what the package pins, else what the resolver finds,
    /// without what nobody misses.
    async fn decide(&self, desk: &Desk, wheels: &WheelStore) -> Result<Lock, InstallError> {
        let mut lock = self.resolve(desk, wheels).await?;
        lock.distributions.retain(|locked| {
            let is_own = self.wanted.iter().any(|wanted| wanted.name == locked.name);
            let is_there = self.installer.guest.has(&locked.name, &locked.version);
            match standin::dispensable(locked.name.as_str()) {
                Some(StandIn { name, because }) if !is_own && !is_there => {
                    (self.installer.progress)(Progress::StandIn { name, because });
                    false
                }
                _ => true,
            }
        });
        Ok(lock)
    }

    async fn resolve(&self, desk: &Desk, wheels: &WheelStore) -> Result<Lock, InstallError> {
        for wanted in &self.wanted {
            if let Some(stand_in) = standin::stand_in(wanted.name.as_str()) {
                (self.installer.progress)(Progress::StandIn { name: stand_in.name, because: stand_in.because });
            }
        }
        let wheelhouse = self.settings().wheelhouse.as_ref();
        if let Some(directory) = wheelhouse.filter(|directory| !resolve::is_readable(directory)) {
            (self.installer.progress)(Progress::NoWheelhouse { directory });
        }
        if let Some(pins) = &self.pins {
            (self.installer.progress)(Progress::Locked { distributions: pins.list.len() });
            return locate::locate(pins, self.installer.guest, self.settings(), wheels, desk.scratch()).await;
        }
        (self.installer.progress)(Progress::Resolving { requirements: self.wanted.len() });
        if self.settings().offline
            && let Some(lock) = self.resolve_offline(desk, wheels).await?
        {
            return Ok(lock);
        }
        source::resolve(self.package, &self.wanted, self.installer, desk).await
    }

    /// Resolves where the wheelhouse is all there is: the resolver says versions, the wheels are found and hashed here.
    /// `None` when that does not come to an end and there is another way.
    async fn resolve_offline(&self, desk: &Desk, wheels: &WheelStore) -> Result<Option<Lock>, InstallError> {
        let (guest, settings) = (self.installer.guest, self.settings());
        let resolved =
            resolve::resolve(self.package, &self.wanted, guest, settings, desk.scratch(), &[], Detail::Version);
        match resolved.await {
            Ok(lock) => locate::take(lock, guest, settings, wheels).await,
            // What has no wheel may be built.
            Err(InstallError::Unresolvable { .. }) if settings.build_from_source => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn install(
        &self,
        store: &LayerStore,
        wheels: &WheelStore,
        lock: &Lock,
        desk: &Arc<Desk>,
        clock: &mut Stages,
    ) -> Result<Option<DepsLayer>, InstallError> {
        let mut times = Times { decide: clock.lap(), ..Times::default() };
        let deadline = Instant::now() + self.settings().timeout;
        let chosen = self.choose(lock)?;
        let carried = lock.distributions.len() - chosen.len();
        (self.installer.progress)(Progress::Resolved { distributions: chosen.len(), carried, spent: times.decide });
        if chosen.is_empty() {
            return Ok(None);
        }
        let distributions: Vec<Distribution> = chosen.iter().map(Chosen::distribution).collect();
        let digest = layer::digest_of(&distributions, self.installer.guest.key());
        if let Some(layer) = store.find(digest) {
            self.compare(layer.tree())?;
            (self.installer.progress)(Progress::Reused { layer: &layer });
            return Ok(Some(layer));
        }
        let wheels = self.obtain(&chosen, wheels).await?;
        times.obtain = clock.lap();
        let fetched = wheels.iter().filter_map(|ready| Some(ready.file.metadata().ok()?.len())).sum();
        let files = match self.unpack(wheels, deadline, desk).await {
            Err(error) => return Err(self.with_requirers(error, desk).await),
            Ok(files) => files,
        };
        self.compare(files.tree)?;
        times.unpack = clock.lap();
        let (package, requirements) = (self.package.to_owned(), requirements_digest(&self.wanted));
        let (desk, tree) = (Arc::clone(desk), files.tree);
        let finish = move || desk.finish(About { package: &package, requirements, digest, tree, distributions });
        let layer = tokio::task::spawn_blocking(finish)
            .await
            .map_err(|error| InstallError::cache(std::io::Error::other(error)))??;
        times.finish = clock.lap();
        (self.installer.progress)(Progress::Ready { layer: &layer, times, fetched, unpacked: files.bytes });
        Ok(Some(layer))
    }

    /// Compares what was unpacked to the tree of the lock, if the lock was made under the same
    /// rules. Its wheels are the right ones in any case.
    fn compare(&self, got: Sha256) -> Result<(), InstallError> {
        let Some(pins) = self.pins.as_ref().filter(|pins| pins.seal.is_some()) else { return Ok(()) };
        match pins.tree(self.installer.guest) {
            None => (self.installer.progress)(Progress::TreeNotCompared),
            Some(expected) if expected != got => {
                return Err(InstallError::Tree { package: self.package.to_owned(), expected, got });
            }
            Some(_) => {}
        }
        Ok(())
    }

    const fn settings(&self) -> &InstallSettings {
        self.installer.settings
    }

    /// Equal when nothing that could lead to another layer has changed.
    fn key(&self) -> Sha256 {
        let mut hasher = Hasher::default();
        hasher.update(format!("rule {}\n", settings::RULE_VERSION));
        hasher.update(self.installer.guest.key().as_bytes());
        match &self.pins {
            // Pinned files are the same files wherever they come from.
            Some(pins) => {
                hasher.update(Sha256::of(self.lock_text).as_bytes());
                for (pin, file) in pins.list.iter().flat_map(|pin| pin.files.iter().map(move |file| (pin, file))) {
                    hasher.update(format!("{}=={} {}\n", pin.name, pin.version, file.digest));
                }
            }
            None => {
                let settings = self.settings();
                let index = settings.index.as_ref().map(|index| index.expose().to_string());
                let wheelhouse = settings.wheelhouse.as_ref().map(|path| path.display().to_string());
                for place in [index, wheelhouse] {
                    hasher.update(Sha256::of(place.unwrap_or_default()).as_bytes());
                }
                hasher.update([u8::from(settings.offline), u8::from(settings.build_from_source)]);
            }
        }
        hasher.update(requirements_digest(&self.wanted).as_bytes());
        hasher.finish()
    }

    /// Adds to an error about a distribution the agent may not have heard of where it comes from.
    async fn with_requirers(&self, mut error: InstallError, desk: &Desk) -> InstallError {
        if let InstallError::NativeCode { distribution, needs, .. } = &mut error
            && self.pins.is_none()
        {
            let name = distribution.split("==").next().and_then(ProjectName::parse);
            if let Some(name) = name.filter(|name| self.wanted.iter().all(|wanted| wanted.name != *name)) {
                let (guest, settings) = (self.installer.guest, self.settings());
                *needs = resolve::requirers(&name, &self.wanted, guest, settings, desk.scratch()).await;
            }
        }
        error
    }

    /// One wheel for each distribution the guest does not carry ready-made.
    fn choose<'a>(&'a self, lock: &'a Lock) -> Result<Vec<Chosen<'a>>, InstallError> {
        let guest = self.installer.guest;
        let mut all = Vec::new();
        for locked in &lock.distributions {
            if guest.carried(&locked.name).is_some_and(|own| is_same(own, &locked.version)) {
                continue;
            }
            let chosen = if let Some((name, path)) = guest.wheel(&locked.name, &locked.version) {
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

    async fn obtain(&self, chosen: &[Chosen<'_>], store: &WheelStore) -> Result<Vec<Ready>, InstallError> {
        stream::iter(chosen.iter().map(|chosen| async move {
            let (file, origin) = match chosen.source {
                Source::Guest(path) => (fs::File::open(path).map_err(InstallError::cache)?, Origin::Guest),
                Source::Outside(wheel) => {
                    let progress = self.installer.progress;
                    let report = |bytes, total| progress(Progress::Downloading { wheel: &chosen.wheel, bytes, total });
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
    async fn unpack(&self, wheels: Vec<Ready>, deadline: Instant, desk: &Arc<Desk>) -> Result<Files, InstallError> {
        let settings = self.settings();
        let limits = ArchiveLimits { archive_bytes: settings.max_wheel_bytes, ..ArchiveLimits::WHEEL };
        let package = self.package.to_owned();
        let job = Job { package, wheels, limits, layer_bytes: settings.max_layer_bytes, deadline };
        let desk = Arc::clone(desk);
        let (sender, mut events) = mpsc::unbounded_channel();
        let building = tokio::task::spawn_blocking(move || {
            // The receiver is gone only when nobody waits for the layer any more.
            unpack::build(job, &desk, |event| drop(sender.send(event)))
        });
        while let Some(event) = events.recv().await {
            (self.installer.progress)(match &event {
                Event::Unpacking { wheel, bytes } => Progress::Unpacking { wheel, bytes: *bytes },
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
