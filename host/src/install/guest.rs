//! What the guest already carries, as far as installing is concerned.

use std::collections::BTreeMap;
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
    wheels: BTreeMap<ProjectName, (WheelName, PathBuf)>,
}

impl GuestFiles {
    /// Reads `guest.json`, `constraints.txt` and `wheels/` of a guest directory.
    ///
    /// `constraints.txt` holds `name==version` lines, one for each distribution that is mounted
    /// ready-made; `wheels/` holds native wheels built for the guest that are not.
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
            if !carried.contains_key(name.distribution()) {
                wheels.insert(name.distribution().clone(), (name, path));
            }
        }
        Ok(Self { key: key.finish(), carried, wheels })
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

    /// The wheel built for the guest, for a distribution that is not mounted ready-made.
    #[must_use]
    pub fn wheel(&self, name: &ProjectName) -> Option<(&WheelName, &Path)> {
        self.wheels.get(name).map(|(file, path)| (file, path.as_path()))
    }

    /// `name==version` for everything whose version the guest decides, sorted.
    pub(crate) fn constraints(&self) -> BTreeMap<&ProjectName, &str> {
        let built = self.wheels.iter().map(|(name, (file, _))| (name, file.version()));
        built.chain(self.carried.iter().map(|(name, version)| (name, version.as_str()))).collect()
    }
}

fn is_version(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+!-_".contains(&byte))
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
    fn carried_distributions_and_built_wheels_both_constrain() {
        let directory = guest(
            "# made by the build\nFastAPI==0.165.0\npydantic_core==2.50.4  # wasm\n",
            &["orjson-3.13.0-cp314-cp314-wasi_wasm32.whl", "pydantic_core-2.50.4-cp314-cp314-wasi_wasm32.whl"],
        );

        let guest = GuestFiles::read(directory.path()).unwrap();

        let lines: Vec<String> =
            guest.constraints().iter().map(|(name, version)| format!("{name}=={version}")).collect();
        assert_eq!(lines, ["fastapi==0.165.0", "orjson==3.13.0", "pydantic-core==2.50.4"]);
        assert!(guest.wheel(&ProjectName::parse("orjson").unwrap()).is_some());
        assert!(
            guest.wheel(&ProjectName::parse("pydantic-core").unwrap()).is_none(),
            "mounted, so never unpacked again"
        );
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
