//! Pins -> [`Lock`]: which of the files a package allows is taken, and where it is. And versions -> [`Lock`], where a
//! wheelhouse is all there is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use fs_err as fs;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use par_apkg::digest::Sha256;
use par_apkg::requirement::ProjectName;

use super::choose::WheelName;
use super::download::WheelStore;
use super::guest::GuestFiles;
use super::lock::{Lock, Locked, LockedWheel};
use super::page::PageFile;
use super::pins::{Pin, Pins};
use super::settings::InstallSettings;
use super::standin::stand_in;
use super::{DOWNLOADS, InstallError};

/// Finds a wheel for every pin: in the cache, in the wheelhouse, else on the operator's index.
pub(super) async fn locate(
    pins: &Pins,
    guest: &GuestFiles,
    settings: &InstallSettings,
    store: &WheelStore,
) -> Result<Lock, InstallError> {
    let mut distributions = Vec::new();
    for pin in &pins.list {
        if stand_in(pin.name.as_str()).is_some() {
            continue;
        }
        let wheels = if guest.has(&pin.name, &pin.version) { Vec::new() } else { candidates(pin, settings, store)? };
        distributions.push(Locked { name: pin.name.clone(), version: pin.version.clone(), wheels });
    }
    // What the guest has as a wheel of its own is installed from there.
    for (name, version) in pins.seal.iter().flat_map(|seal| &seal.carried) {
        if guest.wheel(name, version).is_some() && distributions.iter().all(|locked| locked.name != *name) {
            distributions.push(Locked { name: name.clone(), version: version.clone(), wheels: Vec::new() });
        }
    }
    distributions.sort_by(|one, other| one.name.cmp(&other.name));

    let is_decided = |locked: &Locked| guest.has(&locked.name, &locked.version);
    let mut missing = Vec::new();
    for locked in distributions.iter().filter(|locked| !is_decided(locked)) {
        match super::choose::choose(locked) {
            Some(wheel) if store.is_here(wheel)? => {}
            _ => missing.push((locked.name.clone(), locked.version.clone())),
        }
    }
    if !missing.is_empty() {
        if settings.offline {
            let which = missing.iter().map(|(name, version)| format!("{name}=={version}")).collect();
            return Err(InstallError::NotFound { which, reason: String::new() });
        }
        let is_missing = |pin: &&Pin| missing.iter().any(|(name, _)| *name == pin.name);
        let found: Vec<(&Pin, Vec<LockedWheel>)> = stream::iter(pins.list.iter().filter(is_missing))
            .map(|pin| async move { Ok::<_, InstallError>((pin, on_index(pin, store).await?)) })
            .buffered(DOWNLOADS)
            .try_collect()
            .await?;
        for (pin, wheels) in found {
            if let Some(locked) = distributions.iter_mut().find(|locked| locked.name == pin.name) {
                locked.wheels = wheels;
            }
        }
    }
    match distributions.iter().find(|locked| !is_decided(locked) && locked.wheels.is_empty()) {
        None => Ok(Lock { distributions }),
        Some(locked) => Err(InstallError::NotFound {
            which: vec![format!("{}=={}", locked.name, locked.version)],
            reason: "no wheel with a digest the package names fits".to_owned(),
        }),
    }
}

/// Gives each version of a resolution its wheel of the wheelhouse, which is taken and hashed on the way. `None` when one
/// is not there under the very version: its file may spell it in another way.
pub(super) async fn take(
    mut lock: Lock,
    guest: &GuestFiles,
    settings: &InstallSettings,
    store: &WheelStore,
) -> Result<Option<Lock>, InstallError> {
    let mut there: HashMap<ProjectName, Vec<WheelName>> = HashMap::new();
    for name in settings.wheelhouse.iter().flat_map(fs::read_dir).flatten().flatten() {
        if let Some(name) = name.file_name().to_str().and_then(WheelName::parse).filter(WheelName::is_candidate) {
            there.entry(name.distribution().clone()).or_default().push(name);
        }
    }
    let mut wanted = Vec::new();
    for locked in lock.distributions.iter().filter(|locked| !guest.has(&locked.name, &locked.version)) {
        let fitting = there.get(&locked.name).into_iter().flatten().filter(|name| name.version() == locked.version);
        let Some(best) = fitting.min_by_key(|name| name.preference()) else { return Ok(None) };
        wanted.push(best.clone());
    }
    let taken: Vec<LockedWheel> = stream::iter(wanted.into_iter().map(|name| {
        let store = store.clone();
        async move {
            let taken = tokio::task::spawn_blocking(move || store.take(&name)).await;
            taken.map_err(|error| InstallError::cache(std::io::Error::other(error)))?
        }
    }))
    .buffered(DOWNLOADS)
    .try_collect()
    .await?;
    for wheel in taken {
        if let Some(locked) = lock.distributions.iter_mut().find(|locked| locked.name == *wheel.file.distribution()) {
            locked.wheels = vec![wheel];
        }
    }
    Ok(Some(lock))
}

/// The files a pin allows that fit, without asking the index.
fn candidates(pin: &Pin, settings: &InstallSettings, store: &WheelStore) -> Result<Vec<LockedWheel>, InstallError> {
    let mut named: BTreeMap<Sha256, WheelName> = BTreeMap::new();
    for file in &pin.files {
        if let Some(name) = file.name.clone().or_else(|| store.name_of(file.digest)) {
            named.insert(file.digest, name);
        }
    }
    if pin.files.iter().any(|file| file.name.is_none())
        && let Some(directory) = &settings.wheelhouse
    {
        let mut other = None;
        for (name, digest) in in_wheelhouse(directory, pin) {
            if pin.files.iter().any(|file| file.digest == digest) {
                named.insert(digest, name);
            } else {
                other = Some((name, digest));
            }
        }
        // The file is there and is not the one: to look elsewhere would hide that.
        if let Some((wheel, got)) = other.filter(|_| named.is_empty())
            && let [file] = pin.files.as_slice()
        {
            return Err(InstallError::Digest { wheel: wheel.to_string(), expected: file.digest, got });
        }
    }
    let wheels = named.into_iter().filter(|(_, name)| name.is_candidate());
    Ok(wheels.map(|(digest, file)| LockedWheel { file, url: None, digest }).collect())
}

/// The files a pin allows that fit, where the operator's index has them. The package says which bytes, the index where
/// they are: it need not know their digests, but what it says of them must be the same.
async fn on_index(pin: &Pin, store: &WheelStore) -> Result<Vec<LockedWheel>, InstallError> {
    let Some(files) = store.index().files(&pin.name).await? else {
        let which = vec![format!("{}=={}", pin.name, pin.version)];
        return Err(InstallError::NotFound { which, reason: "the package index does not have it".to_owned() });
    };
    let (mut wheels, mut other) = (Vec::new(), None);
    for PageFile { name, url, digest, .. } in files {
        let Some(file) = WheelName::parse(&name).filter(|file| *file.distribution() == pin.name) else { continue };
        let named = pin.files.iter().find(|pinned| pinned.name.as_ref() == Some(&file));
        let pinned = match digest {
            Some(digest) => pin.files.iter().find(|pinned| pinned.digest == digest),
            None => named,
        };
        match (pinned, named, digest) {
            (Some(pinned), ..) if file.is_candidate() => {
                wheels.push(LockedWheel { file, url: Some(url), digest: pinned.digest });
            }
            (None, Some(named), Some(got)) => other = Some((name, named.digest, got)),
            _ => {}
        }
    }
    match other {
        // The file is there and is not the one.
        Some((wheel, expected, got)) if wheels.is_empty() => Err(InstallError::Digest { wheel, expected, got }),
        _ => Ok(wheels),
    }
}

/// Wheels of the version in the wheelhouse, with what they really are.
fn in_wheelhouse(directory: &Path, pin: &Pin) -> Vec<(WheelName, Sha256)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.filter_map(|entry| WheelName::parse(entry.ok()?.file_name().to_str()?));
    let fitting = names.filter(|name| *name.distribution() == pin.name && name.version() == pin.version);
    fitting
        .filter_map(|name| {
            let file = fs::File::open(directory.join(name.to_string())).ok()?;
            Some((name, Sha256::of_reader(file).ok()?))
        })
        .collect()
}
