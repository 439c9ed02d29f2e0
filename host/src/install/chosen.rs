//! Where the wheel of each distribution comes from: the guest, or outside.

use std::path::Path;

use fs_err as fs;
use par_apkg::digest::Sha256;

use super::guest::{GuestFiles, is_same};
use super::{Distribution, InstallError, Lock, Locked, LockedWheel, choose};

/// Where the wheel of a distribution comes from.
pub(super) enum Source<'a> {
    Guest(&'a Path),
    Outside(&'a LockedWheel),
}

/// The one wheel of a distribution that is installed.
pub(super) struct Chosen<'a> {
    pub(super) locked: &'a Locked,
    pub(super) source: Source<'a>,
    /// Its file name.
    pub(super) wheel: String,
    pub(super) digest: Sha256,
}

/// One wheel for each distribution the guest does not carry ready-made.
pub(super) fn choose<'a>(lock: &'a Lock, guest: &'a GuestFiles) -> Result<Vec<Chosen<'a>>, InstallError> {
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

impl Chosen<'_> {
    pub(super) fn distribution(&self) -> Distribution {
        Distribution { name: self.locked.name.to_string(), version: self.locked.version.clone(), sha256: self.digest }
    }
}
