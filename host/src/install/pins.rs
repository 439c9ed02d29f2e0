//! What a package itself decides: its `pylock.toml`, or requirements that all have hashes.
//!
//! Such a package is installed as it says, and no resolver runs. It says which files, by their
//! digests; where they are found is never its business.

use std::collections::BTreeMap;

use par_apkg::Quoted;
use par_apkg::digest::Sha256;
use par_apkg::requirement::{MOST_REQUIREMENTS, ProjectName, Requirement, Requirements, marker_holds};

use super::choose::WheelName;
use super::guest::{GuestFiles, is_same};
use super::lock::{LockError, RawLock, RawPackage};
use super::settings::RULE_VERSION;
use super::standin::stand_in;
use super::{InstallError, Unresolvable};

/// The distributions a package names, with the files it allows for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pins {
    /// Sorted by name.
    pub(super) list: Vec<Pin>,
    /// What `par lock` added.
    pub(super) seal: Option<Seal>,
}

/// One distribution at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) name: ProjectName,
    pub(super) version: String,
    pub(super) files: Vec<PinnedFile>,
}

/// One file that may be installed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PinnedFile {
    /// Hashed requirements do not say.
    pub(super) name: Option<WheelName>,
    pub(super) digest: Sha256,
}

/// `[tool.par]`: what `par lock` knew beyond the wheels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seal {
    /// The digest of the requirements the lock was made for.
    pub(super) requirements: Sha256,
    /// The digest of the files the wheels unpacked to.
    pub(super) tree: Sha256,
    /// The rules they were unpacked by.
    pub(super) rule: u32,
    /// What the agent needs of the guest: no file is pinned for it.
    pub(super) carried: BTreeMap<ProjectName, String>,
}

impl Pins {
    /// What the package pins; `None` for one that leaves versions to the resolver.
    pub(super) fn of(package: &str, requirements: &Requirements) -> Result<Option<Self>, InstallError> {
        if let Some(text) = &requirements.lock {
            return Ok(Some(Self::parse(text).map_err(|source| InstallError::PackageLock { source })?));
        }
        let wanted = || requirements.list.iter().filter(|requirement| is_installed(requirement));
        if wanted().all(|requirement| requirement.hashes.is_empty()) {
            return Ok(None);
        }
        let mut list = BTreeMap::new();
        for requirement in wanted() {
            let Some(version) = requirement.pin().filter(|_| !requirement.hashes.is_empty()) else {
                return Err(InstallError::PartlyHashed {
                    package: package.to_owned(),
                    requirement: requirement.to_string(),
                });
            };
            let files = requirement.hashes.iter().map(|digest| PinnedFile { name: None, digest: *digest }).collect();
            let pin = Pin { name: requirement.name.clone(), version: version.to_owned(), files };
            if let Some(first) = list.insert(pin.name.clone(), pin) {
                let source = LockError::Twice(first.name.to_string());
                return Err(InstallError::PackageLock { source });
            }
        }
        Ok(Some(Self { list: list.into_values().collect(), seal: None }))
    }

    /// Reads a `pylock.toml` of any tool.
    pub(super) fn parse(text: &str) -> Result<Self, LockError> {
        let raw = RawLock::parse(text)?;
        if raw.packages.len() > MOST_REQUIREMENTS {
            return Err(LockError::TooMany);
        }
        let mut list = BTreeMap::new();
        for package in raw.packages {
            if let Some(marker) = &package.marker {
                match marker_holds(marker) {
                    Some(true) => {}
                    Some(false) => continue,
                    None => return Err(LockError::Marker(package.name)),
                }
            }
            let pin = Pin::try_from(package)?;
            if let Some(first) = list.insert(pin.name.clone(), pin) {
                return Err(LockError::Twice(first.name.to_string()));
            }
        }
        let seal = raw.tool.get("par").map(Seal::read).transpose()?;
        Ok(Self { list: list.into_values().collect(), seal })
    }

    /// Checks that these pins are for this package, whose requirements are `digest`, and for
    /// this guest.
    pub(super) fn check(
        &self,
        package: &str,
        requirements: &[Requirement],
        digest: Sha256,
        guest: &GuestFiles,
    ) -> Result<(), InstallError> {
        let stale = |because: String| InstallError::StaleLock { package: package.to_owned(), because };
        let contradicts = |name: &ProjectName, version: &str, own: String| InstallError::Unresolvable {
            package: package.to_owned(),
            unresolvable: Unresolvable::ContradictsGuest {
                needs: vec![format!("{name}=={version}")],
                carried: own,
                because: None,
            },
        };
        for pin in &self.list {
            if let Some(own) = guest.tied(&pin.name).filter(|_| !guest.has(&pin.name, &pin.version)) {
                return Err(contradicts(&pin.name, &pin.version, own));
            }
        }
        let carried = || self.seal.iter().flat_map(|seal| &seal.carried);
        let preferred = guest.preferred();
        if let Some((name, version)) = carried().find(|(name, version)| !guest.has(name, version)) {
            return Err(match guest.tied(name).or_else(|| Some(format!("{name}=={}", preferred.get(name)?))) {
                Some(own) => contradicts(name, version, own),
                None => stale(format!("was made for a guest that carries `{name}`")),
            });
        }
        if self.seal.as_ref().is_some_and(|seal| seal.requirements != digest) {
            return Err(stale("was made for other requirements".to_owned()));
        }
        for requirement in requirements.iter().filter(|requirement| is_installed(requirement)) {
            let name = &requirement.name;
            let version = self.list.iter().find(|pin| pin.name == *name).map(|pin| pin.version.as_str());
            let of_seal = carried().find(|(carried, _)| *carried == name).map(|(_, version)| version.as_str());
            let version = version.or(of_seal).or_else(|| preferred.get(name).copied());
            let Some(version) = version else { return Err(stale(format!("does not name `{name}`"))) };
            if requirement.pin().is_some_and(|pin| !is_same(pin, version)) {
                return Err(stale(format!("has `{name}=={}` where `{requirement}` is required", Quoted(version))));
            }
        }
        Ok(())
    }
}

/// Whether anything is installed for a requirement.
fn is_installed(requirement: &Requirement) -> bool {
    requirement.applies() && stand_in(requirement.name.as_str()).is_none()
}

impl Pins {
    /// The tree these pins must unpack to here; `None` when the lock was made under other rules,
    /// or the guest brings files of its own.
    pub(super) fn tree(&self, guest: &GuestFiles) -> Option<Sha256> {
        let seal = self.seal.as_ref().filter(|seal| seal.rule == RULE_VERSION)?;
        let is_carried = |(name, version): (_, &String)| guest.carried(name).is_some_and(|own| is_same(own, version));
        let is_ours =
            self.list.iter().all(|pin| !guest.has(&pin.name, &pin.version)) && seal.carried.iter().all(is_carried);
        is_ours.then_some(seal.tree)
    }
}

impl TryFrom<RawPackage> for Pin {
    type Error = LockError;

    fn try_from(raw: RawPackage) -> Result<Self, LockError> {
        let name = ProjectName::parse(&raw.name).ok_or_else(|| LockError::NotAWheel(raw.name.clone()))?;
        let others = [
            (&raw.vcs, "a repository"),
            (&raw.directory, "a directory"),
            (&raw.archive, "an archive"),
            (&raw.sdist, "a source distribution"),
        ];
        if raw.wheels.is_empty()
            && let Some((_, from)) = others.into_iter().find(|(entry, _)| entry.is_some())
        {
            return Err(LockError::From { name: raw.name, from });
        }
        let is_version = |version: &String| {
            version.len() <= 64 && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+!-_".contains(&byte))
        };
        let Some(version) = raw.version.filter(|version| is_version(version) && !raw.wheels.is_empty()) else {
            return Err(LockError::NotAWheel(raw.name));
        };
        let read = |wheel: &super::lock::RawWheel| {
            let name = Some(wheel.file(&name)?);
            Ok(PinnedFile { name, digest: wheel.digest()? })
        };
        let files = raw
            .wheels
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|reason| LockError::Wheel { distribution: name.to_string(), reason })?;
        Ok(Self { name, version, files })
    }
}

impl Seal {
    fn read(table: &toml::Value) -> Result<Self, LockError> {
        let digest = |key: &'static str| {
            table.get(key).and_then(toml::Value::as_str).and_then(|text| text.parse().ok()).ok_or(LockError::Seal(key))
        };
        let rule = table.get("rule").and_then(toml::Value::as_integer).and_then(|rule| u32::try_from(rule).ok());
        let carried = match table.get("carried") {
            None => Some(BTreeMap::new()),
            Some(carried) => carried.as_table().and_then(|carried| {
                carried
                    .iter()
                    .map(|(name, version)| Some((ProjectName::parse(name)?, version.as_str()?.to_owned())))
                    .collect()
            }),
        };
        Ok(Self {
            requirements: digest("requirements")?,
            tree: digest("tree")?,
            rule: rule.ok_or(LockError::Seal("rule"))?,
            carried: carried.ok_or(LockError::Seal("carried"))?,
        })
    }
}
