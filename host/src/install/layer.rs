//! Deps layers on disk: named by their digest, complete or absent.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fs_err as fs;
use par_apkg::digest::{Hasher, Sha256};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::InstallError;
use super::settings::{PYTHON_VERSION, RULE_VERSION};

/// The file that says what a layer is; written last, so a layer without it is not one.
const MARKER: &str = ".pixell_venv_metadata.json";

const BUILDING: &str = ".building-";

/// The unpacked dependencies of an agent: a read-only directory in the shape of a virtual environment.
///
/// Its name is the digest of what went into it, so two packages with the same dependencies
/// share one. The digest does not cover `__pycache__`, which may be added later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepsLayer {
    directory: PathBuf,
    digest: Sha256,
    tree: Sha256,
    distributions: Vec<Distribution>,
}

impl DepsLayer {
    /// The root, with `pyvenv.cfg`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What goes on the path of the agent, and is mounted at `/deps`.
    #[must_use]
    pub fn site_packages(&self) -> PathBuf {
        self.directory.join(site_packages())
    }

    /// The name of the layer.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// The digest of its files, without bytecode. Equal wherever the same was installed.
    #[must_use]
    pub fn tree(&self) -> Sha256 {
        self.tree
    }

    /// What it holds, sorted by name.
    #[must_use]
    pub fn distributions(&self) -> &[Distribution] {
        &self.distributions
    }
}

/// One distribution of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// Normalised name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Digest of the wheel it was unpacked from.
    pub sha256: Sha256,
}

/// The digest of a layer with these distributions, sorted by name, for one guest.
pub(super) fn digest_of(distributions: &[Distribution], guest: Sha256) -> Sha256 {
    let mut hasher = Hasher::default();
    hasher.update(format!("deps layer, rule {RULE_VERSION}, python {PYTHON_VERSION}\n"));
    hasher.update(guest.as_bytes());
    for distribution in distributions {
        hasher.update(format!("{}=={} {}\n", distribution.name, distribution.version, distribution.sha256));
    }
    hasher.finish()
}

/// What the marker file records. The first four keys are the ones earlier runtimes wrote.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    /// The package the layer was first built for; others may share it.
    package_id: String,
    requirements_sha256: String,
    created_at: String,
    python_version: String,
    digest: Sha256,
    tree: Sha256,
    distributions: Vec<Distribution>,
}

/// What a finished layer is said to be.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub(super) package: &'a str,
    pub(super) requirements: Sha256,
    pub(super) digest: Sha256,
    pub(super) tree: Sha256,
    pub(super) distributions: Vec<Distribution>,
}

/// `<cache>/deps`: one directory a layer, and an index from requirements to layers.
#[derive(Debug)]
pub(super) struct LayerStore {
    root: PathBuf,
}

impl LayerStore {
    pub(super) fn open(cache: &Path) -> Result<Self, InstallError> {
        let root = cache.join("deps");
        fs::create_dir_all(root.join("index")).map_err(InstallError::cache)?;
        Ok(Self { root })
    }

    /// The layer of this digest, if it is complete.
    pub(super) fn find(&self, digest: Sha256) -> Option<DepsLayer> {
        let directory = self.root.join(digest.to_hex());
        let marker: Marker = serde_json::from_slice(&fs::read(directory.join(MARKER)).ok()?).ok()?;
        let Marker { tree, distributions, .. } = marker;
        (marker.digest == digest).then_some(DepsLayer { directory, digest, tree, distributions })
    }

    /// The layer these requirements led to before. `Some(None)` when they led to none.
    #[expect(clippy::option_option, reason = "known to need no layer is not the same as unknown")]
    pub(super) fn known(&self, key: Sha256) -> Option<Option<DepsLayer>> {
        let text = fs::read_to_string(self.index_file(key)).ok()?;
        match text.trim() {
            NO_LAYER => Some(None),
            digest => self.find(digest.parse().ok()?).map(Some),
        }
    }

    /// Remembers which layer, if any, requirements lead to.
    pub(super) fn remember(&self, key: Sha256, digest: Option<Sha256>, desk: &Desk) -> Result<(), InstallError> {
        let text = digest.map_or_else(|| NO_LAYER.to_owned(), |digest| digest.to_hex());
        let file = tempfile::NamedTempFile::new_in(desk.scratch()).map_err(InstallError::cache)?;
        fs::write(file.path(), text).map_err(InstallError::cache)?;
        file.as_file().sync_all().map_err(InstallError::cache)?;
        file.persist(self.index_file(key)).map_err(|error| InstallError::cache(error.error))?;
        Ok(())
    }

    fn index_file(&self, key: Sha256) -> PathBuf {
        self.root.join("index").join(key.to_hex())
    }

    /// Makes room for one installation, and removes what dead processes left behind.
    pub(super) fn begin(&self) -> Result<Desk, InstallError> {
        // Held only while directories are created and swept, so that a new one is never taken for a dead one.
        let gate = fs::File::create(self.root.join(".gate")).map_err(InstallError::cache)?;
        gate.file().lock().map_err(InstallError::cache)?;
        self.sweep()?;
        let temporary =
            tempfile::Builder::new().prefix(BUILDING).tempdir_in(&self.root).map_err(InstallError::cache)?;
        let alive = fs::File::open(temporary.path()).map_err(InstallError::cache)?;
        alive.file().lock().map_err(InstallError::cache)?;
        fs::create_dir_all(temporary.path().join("layer").join(site_packages())).map_err(InstallError::cache)?;
        Ok(Desk { root: self.root.clone(), temporary, alive })
    }

    /// Removes desks whose process no longer holds their lock.
    fn sweep(&self) -> Result<(), InstallError> {
        for entry in fs::read_dir(&self.root).map_err(InstallError::cache)? {
            let entry = entry.map_err(InstallError::cache)?;
            if !entry.file_name().to_string_lossy().starts_with(BUILDING) {
                continue;
            }
            let is_dead = fs::File::open(entry.path()).is_ok_and(|directory| directory.file().try_lock().is_ok());
            if is_dead {
                fs::remove_dir_all(entry.path()).map_err(InstallError::cache)?;
            }
        }
        Ok(())
    }
}

/// In the index: these requirements need nothing beyond what the guest carries.
const NO_LAYER: &str = "none";

fn site_packages() -> PathBuf {
    Path::new("lib").join(format!("python{PYTHON_VERSION}")).join("site-packages")
}

/// Where one installation works. Everything unfinished is here, so dropping it leaves nothing,
/// and what a killed process leaves is one directory that the next one sweeps.
#[derive(Debug)]
pub(super) struct Desk {
    root: PathBuf,
    temporary: TempDir,
    /// Locked for as long as this process works on the directory.
    alive: fs::File,
}

impl Desk {
    /// For anything temporary: on the file system of the cache, outside the layer.
    pub(super) fn scratch(&self) -> &Path {
        self.temporary.path()
    }

    /// The layer as far as it is made.
    pub(super) fn layer(&self) -> PathBuf {
        self.temporary.path().join("layer")
    }

    pub(super) fn site_packages(&self) -> PathBuf {
        self.temporary.path().join("layer").join(site_packages())
    }

    /// Completes the layer and gives it its name; if another process was first, takes that one.
    pub(super) fn finish(&self, about: About<'_>) -> Result<DepsLayer, InstallError> {
        let layer = self.temporary.path().join("layer");
        // The interpreter is the guest's; its standard library is mounted there.
        let config = format!("home = /python\ninclude-system-site-packages = false\nversion = {PYTHON_VERSION}\n");
        fs::write(layer.join("pyvenv.cfg"), config).map_err(InstallError::cache)?;
        let marker = Marker {
            package_id: about.package.to_owned(),
            requirements_sha256: about.requirements.to_hex(),
            created_at: jiff::Timestamp::now().to_string(),
            python_version: PYTHON_VERSION.to_owned(),
            digest: about.digest,
            tree: about.tree,
            distributions: about.distributions,
        };
        let text = serde_json::to_vec_pretty(&marker).map_err(InstallError::cache)?;
        fs::write(layer.join(MARKER), text).map_err(InstallError::cache)?;

        // One call for the file system instead of one for each of thousands of files.
        rustix::fs::syncfs(self.alive.file()).map_err(InstallError::cache)?;
        let named = self.root.join(about.digest.to_hex());
        if let Err(error) = fs::rename(&layer, &named)
            && !matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists)
        {
            return Err(InstallError::cache(error));
        }
        fs::File::open(&self.root).and_then(|root| root.sync_all()).map_err(InstallError::cache)?;
        LayerStore { root: self.root.clone() }.find(about.digest).ok_or_else(|| {
            InstallError::cache(std::io::Error::other(format!("`{}` is there and is no layer", named.display())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(digest: Sha256) -> About<'static> {
        let distributions =
            vec![Distribution { name: "a".to_owned(), version: "1".to_owned(), sha256: Sha256::of("a") }];
        About { package: "weather@1.0", requirements: Sha256::of("a==1"), digest, tree: Sha256::of("t"), distributions }
    }

    fn unfinished(root: &Path) -> usize {
        let entries = fs::read_dir(root.join("deps")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(BUILDING)).count()
    }

    #[test]
    fn a_finished_layer_has_the_shape_of_a_virtual_environment_and_is_found_again() {
        let cache = tempfile::tempdir().unwrap();
        let store = LayerStore::open(cache.path()).unwrap();
        let digest = Sha256::of("layer");
        assert_eq!(store.find(digest), None);

        let layer = store.begin().unwrap().finish(about(digest)).unwrap();

        assert_eq!(layer.directory().file_name().unwrap().to_str().unwrap(), digest.to_hex());
        assert!(layer.site_packages().ends_with("lib/python3.14/site-packages") && layer.site_packages().is_dir());
        assert!(layer.directory().join("pyvenv.cfg").is_file());
        let marker: serde_json::Value =
            serde_json::from_slice(&fs::read(layer.directory().join(MARKER)).unwrap()).unwrap();
        assert_eq!(marker["package_id"], "weather@1.0");
        assert_eq!(marker["requirements_sha256"], Sha256::of("a==1").to_hex());
        assert_eq!(marker["python_version"], "3.14");
        assert!(marker["created_at"].as_str().unwrap().ends_with('Z'));
        assert_eq!(store.find(digest), Some(layer));
        assert_eq!(unfinished(cache.path()), 0);
    }

    #[test]
    fn the_second_of_two_builders_takes_the_layer_of_the_first() {
        let cache = tempfile::tempdir().unwrap();
        let (one, two) = (LayerStore::open(cache.path()).unwrap(), LayerStore::open(cache.path()).unwrap());
        let digest = Sha256::of("layer");
        let (first, second) = (one.begin().unwrap(), two.begin().unwrap());
        fs::write(first.site_packages().join("first.py"), "").unwrap();

        let layers = [first.finish(about(digest)).unwrap(), second.finish(about(digest)).unwrap()];
        drop((first, second));

        assert_eq!(layers[0], layers[1]);
        assert!(layers[1].site_packages().join("first.py").is_file());
        assert_eq!(unfinished(cache.path()), 0);
    }

    #[test]
    fn what_a_dead_process_left_is_swept_and_what_a_living_one_builds_is_not() {
        let cache = tempfile::tempdir().unwrap();
        let store = LayerStore::open(cache.path()).unwrap();
        fs::create_dir_all(cache.path().join("deps/.building-dead/layer/lib")).unwrap();
        let living = store.begin().unwrap();

        let another = store.begin().unwrap();

        assert!(!cache.path().join("deps/.building-dead").exists());
        assert!(living.scratch().is_dir() && another.scratch().is_dir());
    }

    #[test]
    fn an_unfinished_layer_under_its_final_name_is_not_a_layer() {
        let cache = tempfile::tempdir().unwrap();
        let store = LayerStore::open(cache.path()).unwrap();
        let digest = Sha256::of("layer");
        fs::create_dir_all(cache.path().join("deps").join(digest.to_hex()).join("lib")).unwrap();

        assert_eq!(store.find(digest), None);
    }

    #[test]
    fn the_index_forgets_a_layer_that_was_removed() {
        let cache = tempfile::tempdir().unwrap();
        let store = LayerStore::open(cache.path()).unwrap();
        let (key, digest) = (Sha256::of("key"), Sha256::of("layer"));
        let layer = store.begin().unwrap().finish(about(digest)).unwrap();
        store.remember(key, Some(digest), &store.begin().unwrap()).unwrap();
        assert_eq!(store.known(key), Some(Some(layer.clone())));

        fs::remove_dir_all(layer.directory()).unwrap();

        assert_eq!(store.known(key), None);
        store.remember(key, None, &store.begin().unwrap()).unwrap();
        assert_eq!(store.known(key), Some(None));
    }

    #[test]
    fn the_digest_changes_with_every_part() {
        let parts = |name: &str, version: &str, wheel: &str| {
            [Distribution { name: name.to_owned(), version: version.to_owned(), sha256: Sha256::of(wheel) }]
        };
        let plain = digest_of(&parts("a", "1", "w"), Sha256::of("g"));
        assert_eq!(digest_of(&parts("a", "1", "w"), Sha256::of("g")), plain);
        for other in [
            digest_of(&parts("b", "1", "w"), Sha256::of("g")),
            digest_of(&parts("a", "2", "w"), Sha256::of("g")),
            digest_of(&parts("a", "1", "x"), Sha256::of("g")),
            digest_of(&parts("a", "1", "w"), Sha256::of("h")),
        ] {
            assert_ne!(other, plain);
        }
    }
}
