//! What the guest already carries, as far as installing is concerned.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use par_apkg::digest::{Hasher, Sha256};

use super::InstallError;
use super::choose::WheelName;
use par_apkg::requirement::ProjectName;

/// The distributions of the guest directory, and a key that changes when they do.
#[derive(Debug, Clone)]
pub struct GuestFiles {
    key: Sha256,
    carried: BTreeMap<ProjectName, String>,
    wheels: BTreeMap<ProjectName, Vec<(WheelName, PathBuf)>>,
    index: Option<PathBuf>,
    tied: BTreeSet<ProjectName>,
    metadata: BTreeMap<ProjectName, PathBuf>,
}

impl GuestFiles {
    /// Reads `guest.json`, `constraints.txt` and `wheels/` of a guest directory.
    ///
    /// `constraints.txt` holds `name==version` lines, one for each distribution that is mounted
    /// ready-made; `wheels/` holds the wheels whose native code is linked into the guest. `index/`
    /// is a package index of the distributions that have no other releases for the sandbox.
    ///
    /// # Errors
    /// [`InstallError::Guest`] when a file is missing or not in that form.
    pub fn read(directory: &Path) -> Result<Self, InstallError> {
        let unreadable = |source| InstallError::Guest { reason: "cannot be read".to_owned(), source: Some(source) };
        let malformed = |reason: String| InstallError::Guest { reason, source: None };

        let about = fs::read(directory.join("guest.json")).map_err(unreadable)?;
        let constraints = fs::read_to_string(directory.join("constraints.txt")).map_err(unreadable)?;
        let mut carried = BTreeMap::new();
        for (index, line) in constraints.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let parsed = line
                .split_once("==")
                .and_then(|(name, version)| Some((ProjectName::parse(name.trim())?, version.trim())));
            let Some((name, version)) = parsed.filter(|(_, version)| is_version(version)) else {
                return Err(malformed(format!(
                    "has `{line}` in `constraints.txt` line {}, expected `name==version`",
                    index + 1
                )));
            };
            carried.insert(name, version.to_owned());
        }

        let mut key = Hasher::default();
        key.update(Sha256::of(&about).as_bytes());
        key.update(Sha256::of(&constraints).as_bytes());

        let mut wheels = BTreeMap::new();
        for path in wheel_files(&directory.join("wheels")).map_err(unreadable)? {
            let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(name) = WheelName::parse(file) else {
                return Err(malformed(format!("has `wheels/{file}`, which is not the name of a wheel")));
            };
            key.update(Sha256::of(file).as_bytes());
            // Length instead of content: this runs at every boot, and `guest.json` changes with each build.
            key.update(fs::metadata(&path).map_err(unreadable)?.len().to_le_bytes());
            wheels.entry(name.distribution().clone()).or_insert_with(Vec::new).push((name, path));
        }

        let index = Some(directory.join("index")).filter(|index| index.is_dir());
        let mut tied = BTreeSet::new();
        for entry in index.iter().flat_map(fs::read_dir).flatten() {
            let name = entry.map_err(unreadable)?.file_name();
            let Some(name) = name.to_str().and_then(ProjectName::parse) else {
                return Err(malformed(format!("has `index/{}`, which is not a name", name.display())));
            };
            tied.insert(name);
        }
        let metadata = metadata_files(&directory.join("platform")).map_err(unreadable)?;
        Ok(Self { key: key.finish(), carried, wheels, index, tied, metadata })
    }

    /// Changes whenever a layer made for this guest might not fit another one.
    #[must_use]
    pub fn key(&self) -> Sha256 {
        self.key
    }

    /// The version of a distribution that is mounted ready-made.
    #[must_use]
    pub fn carried(&self, name: &ProjectName) -> Option<&str> {
        self.carried.get(name).map(String::as_str)
    }

    /// Whether the guest has this version, mounted ready-made or as a wheel.
    #[must_use]
    pub fn has(&self, name: &ProjectName, version: &str) -> bool {
        self.versions(name).any(|own| is_same(own, version))
    }

    /// The wheel of this version that was built for the guest.
    #[must_use]
    pub fn wheel(&self, name: &ProjectName, version: &str) -> Option<(&WheelName, &Path)> {
        let mut built = self.wheels.get(name).into_iter().flatten();
        built.find(|(file, _)| is_same(file.version(), version)).map(|(file, path)| (file, path.as_path()))
    }

    /// The newest wheel that was built for the guest.
    #[must_use]
    pub fn newest_wheel(&self, name: &ProjectName) -> Option<&WheelName> {
        self.wheels.get(name)?.last().map(|(file, _)| file)
    }

    /// A directory in the form of a package index, with the releases of [`GuestFiles::tied`].
    pub(super) fn index(&self) -> Option<&Path> {
        self.index.as_deref()
    }

    /// The releases there are for the sandbox, of a distribution that is nothing without its native
    /// code, as `name==1, 2`. `None` for one of which any release will do.
    pub(super) fn tied(&self, name: &ProjectName) -> Option<String> {
        let versions: BTreeSet<&str> = self.versions(name).collect();
        let versions: Vec<&str> = versions.into_iter().collect();
        self.tied.contains(name).then(|| format!("{name}=={}", versions.join(", ")))
    }

    /// The names [`GuestFiles::tied`] answers for.
    pub(super) fn all_tied(&self) -> impl Iterator<Item = &ProjectName> {
        self.tied.iter()
    }

    /// What is mounted ready-made, by name.
    pub(super) fn all_carried(&self) -> impl Iterator<Item = (&ProjectName, &str)> {
        self.carried.iter().map(|(name, version)| (name, version.as_str()))
    }

    /// What a distribution that is mounted ready-made says about itself.
    pub(super) fn metadata(&self, name: &ProjectName) -> Option<&Path> {
        self.metadata.get(name).map(PathBuf::as_path)
    }

    /// Every wheel that was built for the guest.
    pub(super) fn all_wheels(&self) -> impl Iterator<Item = (&WheelName, &Path)> {
        self.wheels.values().flatten().map(|(name, path)| (name, path.as_path()))
    }

    /// The version of everything the guest has that a resolution should lead to if it may.
    pub(super) fn preferred(&self) -> BTreeMap<&ProjectName, &str> {
        let built = self.wheels.keys().filter_map(|name| Some((name, self.newest_wheel(name)?.version())));
        built.chain(self.all_carried()).collect()
    }

    fn versions(&self, name: &ProjectName) -> impl Iterator<Item = &str> {
        let built = self.wheels.get(name).into_iter().flatten().map(|(file, _)| file.version());
        built.chain(self.carried(name))
    }
}

/// `1.0` and `1.0.0` are one version.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

fn plain(version: &str) -> &str {
    let mut plain = version;
    while let Some(shorter) = plain.strip_suffix(".0") {
        plain = shorter;
    }
    plain
}

fn is_version(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+!-_".contains(&byte))
}

/// `<name>-<version>.dist-info/METADATA` below a directory, which may be missing.
fn metadata_files(directory: &Path) -> std::io::Result<BTreeMap<ProjectName, PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let stem = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".dist-info"));
        let name = stem.and_then(|stem| ProjectName::parse(stem.split_once('-')?.0));
        found.extend(name.map(|name| (name, path.join("METADATA"))));
    }
    Ok(found)
}

fn wheel_files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "whl"));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(constraints: &str, wheels: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("guest.json"), "{}").unwrap();
        fs::write(directory.path().join("constraints.txt"), constraints).unwrap();
        fs::create_dir(directory.path().join("wheels")).unwrap();
        for wheel in wheels {
            fs::write(directory.path().join("wheels").join(wheel), wheel).unwrap();
        }
        directory
    }

    #[test]
    fn what_is_carried_and_what_was_built_is_preferred_and_only_ties_are_binding() {
        let directory = guest(
            "# made by the build\nFastAPI==0.165.0\npydantic_core==2.50.4  # wasm\n",
            &[
                "markupsafe-3.0.4-cp314-cp314-wasi_wasm32.whl",
                "pydantic_core-2.41.5-cp314-cp314-wasi_wasm32.whl",
                "pydantic_core-2.50.4-cp314-cp314-wasi_wasm32.whl",
            ],
        );
        fs::create_dir_all(directory.path().join("index/pydantic-core")).unwrap();

        let guest = GuestFiles::read(directory.path()).unwrap();

        let lines: Vec<String> = guest.preferred().iter().map(|(name, version)| format!("{name}=={version}")).collect();
        assert_eq!(lines, ["fastapi==0.165.0", "markupsafe==3.0.4", "pydantic-core==2.50.4"]);
        let name = |text: &str| ProjectName::parse(text).unwrap();
        assert_eq!(guest.tied(&name("pydantic-core")).unwrap(), "pydantic-core==2.41.5, 2.50.4");
        assert_eq!(guest.tied(&name("fastapi")), None);
        assert_eq!(guest.tied(&name("markupsafe")), None);
        assert!(guest.has(&name("pydantic-core"), "2.41.5") && !guest.has(&name("pydantic-core"), "2.41.4"));
        assert!(guest.has(&name("fastapi"), "0.165"));
        assert!(guest.wheel(&name("pydantic-core"), "2.41.5").is_some());
        assert!(guest.wheel(&name("fastapi"), "0.165.0").is_none());
    }

    #[test]
    fn the_key_changes_with_every_file_that_matters() {
        let key =
            |constraints: &str, wheels: &[&str]| GuestFiles::read(guest(constraints, wheels).path()).unwrap().key();
        let plain = key("a==1\n", &[]);
        assert_eq!(key("a==1\n", &[]), plain);
        assert_ne!(key("a==2\n", &[]), plain);
        assert_ne!(key("a==1\n", &["b-1-py3-none-any.whl"]), plain);
    }

    #[test]
    fn a_constraint_that_is_no_exact_version_is_refused_with_its_line() {
        let error = GuestFiles::read(guest("a==1\nb>=2\n", &[]).path()).unwrap_err();
        assert_eq!(error.to_string(), "the guest has `b>=2` in `constraints.txt` line 2, expected `name==version`");
    }
}
