//! One installation, step by step: decide, choose, obtain, unpack, finish.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fs_err as fs;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use par_apkg::archive::ArchiveLimits;
use par_apkg::digest::{Hasher, Sha256};
use par_apkg::requirement::ProjectName;
use tokio::sync::mpsc;

use super::chosen::{self, Chosen, Source};
use super::classify::Origin;
use super::download::WheelStore;
use super::layer::{About, Desk, LayerStore};
use super::pins::Pins;
use super::resolve::{Detail, Wanted};
use super::unpack::{Event, Files, Job, Ready};
use super::{
    DepsLayer, Distribution, InstallError, InstallSettings, Installer, Lock, Progress, StandIn, Times, WheelName,
    export, layer, locate, requirements_digest, resolve, settings, source, standin, tree, unpack,
};

/// How many wheels are downloaded at once.
pub(super) const DOWNLOADS: usize = 8;

/// One installation.
pub(super) struct Install<'a> {
    pub(super) package: &'a str,
    pub(super) wanted: Vec<Wanted>,
    pub(super) pins: Option<Pins>,
    /// The text of the package's lock, for the index of layers.
    pub(super) lock_text: &'a str,
    pub(super) installer: Installer<'a>,
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

impl Install<'_> {
    pub(super) async fn run(self) -> Result<Option<DepsLayer>, InstallError> {
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

    pub(super) async fn make_lock(self) -> Result<String, InstallError> {
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

    pub(super) async fn fetch(self) -> Result<Vec<(WheelName, fs::File)>, InstallError> {
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
    pub(super) async fn decide(&self, desk: &Desk, wheels: &WheelStore) -> Result<Lock, InstallError> {
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
            return locate::locate(pins, self.installer.guest, self.settings(), wheels).await;
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

    pub(super) const fn settings(&self) -> &InstallSettings {
        self.installer.settings
    }

    /// Equal when nothing that could lead to another layer has changed.
    pub(super) fn key(&self) -> Sha256 {
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
    pub(super) async fn with_requirers(&self, mut error: InstallError, desk: &Desk) -> InstallError {
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
    pub(super) fn choose<'a>(&'a self, lock: &'a Lock) -> Result<Vec<Chosen<'a>>, InstallError> {
        chosen::choose(lock, self.installer.guest)
    }

    pub(super) async fn obtain(&self, chosen: &[Chosen<'_>], store: &WheelStore) -> Result<Vec<Ready>, InstallError> {
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
    pub(super) async fn unpack(
        &self,
        wheels: Vec<Ready>,
        deadline: Instant,
        desk: &Arc<Desk>,
    ) -> Result<Files, InstallError> {
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
