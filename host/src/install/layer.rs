//! Deps layers on disk: named by their digest, complete or absent.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use par_apkg::digest::{Hasher, Sha256};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::InstallError;
use super::settings::{PYTHON_VERSION, RULE_VERSION};
use crate::cache::trim;

/// The file that says what a layer is; written last, so a layer without it is not one.
const MARKER: &str = ".pixell_venv_metadata.json";

/// There once everything but bytecode is on disk, and not in the memory of the system alone.
const SETTLED: &str = ".settled";

/// What is known of the bytecode: [`COMPLETE`], or the boot of the machine in which it was begun.
const BYTECODE: &str = ".bytecode";

/// Locked by the process that compiles the layer.
const COMPILING: &str = ".compiling";

const COMPLETE: &str = "complete";

const BUILDING: &str = ".building-";

/// How layers lie in the cache, for whoever trims it.
pub const LAYERS: trim::Kind = trim::Kind::Directories { marker: MARKER, going: BUILDING };

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
    lease: Lease,
}

/// Keeps a layer from being removed, for as long as one of its copies lives.
#[derive(Debug, Clone)]
struct Lease(Arc<fs::File>);

impl PartialEq for Lease {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Lease {}

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

    /// Whether its bytecode is complete.
    pub(super) fn is_compiled(&self) -> bool {
        fs::read_to_string(self.directory.join(BYTECODE)).is_ok_and(|text| text == COMPLETE)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.directory.join(SETTLED).exists()
    }

    /// Has everything written to disk. Blocks.
    pub(super) fn settle(&self) -> io::Result<()> {
        // One call for the file system instead of one for each of thousands of files.
        rustix::fs::syncfs(self.lease.0.file())?;
        fs::write(self.directory.join(SETTLED), "")?;
        self.lease.0.sync_all()
    }

    /// Notes that bytecode is about to be written, before any is. Should the machine fail, what
    /// is there may be half there, and is removed.
    pub(super) fn begin_bytecode(&self, scratch: &Path) -> io::Result<()> {
        self.note_bytecode(&boot_id().unwrap_or_default(), scratch)
    }

    /// Notes that all bytecode is there, once it is on disk. Blocks.
    pub(super) fn complete_bytecode(&self, scratch: &Path) -> io::Result<()> {
        rustix::fs::syncfs(self.lease.0.file())?;
        self.note_bytecode(COMPLETE, scratch)
    }

    /// The right to compile it, which one process at a time has: held as long as the result is open.
    pub(super) fn compile_alone(&self) -> io::Result<Option<fs::File>> {
        let lock = fs::File::create(self.directory.join(COMPILING))?;
        Ok(lock.file().try_lock().is_ok().then_some(lock))
    }

    /// Removes bytecode that an earlier boot of this machine did not finish: it is compiled again.
    fn drop_doubtful_bytecode(&self) {
        let begun = fs::read_to_string(self.directory.join(BYTECODE)).ok();
        let Some(begun) = begun.filter(|begun| begun != COMPLETE && Some(begun) != boot_id().as_ref()) else { return };
        // On a machine that shares the directory, somebody may be compiling.
        let Ok(Some(_alone)) = self.compile_alone() else { return };
        tracing::info!(begun, "Removing bytecode of an earlier boot of this machine");
        let mut ahead = vec![self.site_packages()];
        while let Some(directory) = ahead.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_directory && entry.file_name() == "__pycache__" {
                    // What stays is half a file at worst, and refused by who imports it.
                    let _ = fs::remove_dir_all(entry.path());
                } else if is_directory {
                    ahead.push(entry.path());
                }
            }
        }
        let _ = fs::remove_file(self.directory.join(BYTECODE));
    }

    fn note_bytecode(&self, text: &str, scratch: &Path) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(scratch)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(self.directory.join(BYTECODE)).map_err(|error| error.error)?;
        self.lease.0.sync_all()
    }
}

/// What tells one running of this machine from the next: data that was written in this one and is
/// not on disk yet is in memory, complete; that of an earlier one may be lost.
fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
    (!id.is_empty()).then_some(id)
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
    /// The boot of the machine in which it was made, where it was not on disk when it got its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
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

    /// The layer of this digest, if it is complete. It is not removed while the result lives.
    pub(super) fn find(&self, digest: Sha256) -> Option<DepsLayer> {
        let directory = self.root.join(digest.to_hex());
        let opened = fs::File::open(&directory).ok()?;
        let marker: Marker = serde_json::from_slice(&fs::read(directory.join(MARKER)).ok()?).ok()?;
        let is_whole = marker.boot.is_none()
            || directory.join(SETTLED).exists()
            || marker.boot == boot_id()
            // On a machine that shares the directory, somebody who is alive uses it.
            || opened.file().try_lock().is_err();
        if marker.digest != digest || !is_whole {
            return None;
        }
        trim::hold(opened.file()).ok()?;
        // It may have been removed, and even made again, before it was held.
        let (held, there) = (opened.metadata().ok()?, fs::metadata(&directory).ok()?);
        if (held.dev(), held.ino()) != (there.dev(), there.ino()) {
            return None;
        }
        if let Ok(marker) = fs::File::open(directory.join(MARKER)) {
            trim::touch(marker.file());
        }
        let Marker { tree, distributions, .. } = marker;
        let layer = DepsLayer { directory, digest, tree, distributions, lease: Lease(Arc::new(opened)) };
        layer.drop_doubtful_bytecode();
        Some(layer)
    }

    /// The layer these requirements led to before. `Some(None)` when they led to none.
    #[expect(clippy::option_option, reason = "known to need no layer is not the same as unknown")]
    pub(super) fn known(&self, key: Sha256) -> Option<Option<DepsLayer>> {
        let mut text = String::new();
        let mut entry = fs::File::open(self.index_file(key)).ok()?;
        entry.read_to_string(&mut text).ok()?;
        trim::touch(entry.file());
        match text.trim() {
            NO_LAYER => Some(None),
            digest => self.find(digest.parse().ok()?).map(Some),
        }
    }

    /// Remembers which layer, if any, requirements lead to.
    pub(super) fn remember(&self, key: Sha256, digest: Option<Sha256>, desk: &Desk) -> Result<(), InstallError> {
        let text = digest.map_or_else(|| NO_LAYER.to_owned(), |digest| digest.to_hex());
        let file = tempfile::NamedTempFile::new_in(desk.scratch()).map_err(InstallError::cache)?;
        // Not synchronised: what the disk lost is no digest, and is looked for again.
        fs::write(file.path(), text).map_err(InstallError::cache)?;
        file.persist(self.index_file(key)).map_err(|error| InstallError::cache(error.error))?;
        Ok(())
    }

    fn index_file(&self, key: Sha256) -> PathBuf {
        self.root.join("index").join(key.to_hex())
    }

    /// Makes room for one installation, and removes what dead processes left behind.
    pub(super) fn begin(&self) -> Result<Desk, InstallError> {
        let _gate = self.gate()?;
        self.sweep()?;
        let temporary =
            tempfile::Builder::new().prefix(BUILDING).tempdir_in(&self.root).map_err(InstallError::cache)?;
        let alive = fs::File::open(temporary.path()).map_err(InstallError::cache)?;
        alive.file().lock().map_err(InstallError::cache)?;
        fs::create_dir_all(temporary.path().join("layer").join(site_packages())).map_err(InstallError::cache)?;
        Ok(Desk { root: self.root.clone(), temporary, alive })
    }

    /// Held only while directories are made, swept or named, so that a new one is never taken for a dead one.
    fn gate(&self) -> Result<fs::File, InstallError> {
        let gate = fs::File::create(self.root.join(".gate")).map_err(InstallError::cache)?;
        gate.file().lock().map_err(InstallError::cache)?;
        Ok(gate)
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
    ///
    /// The disk may not have all of it yet: see [`DepsLayer::settle`].
    #[expect(clippy::disallowed_methods, reason = "the marker says when it was made")]
    pub(super) fn finish(&self, about: About<'_>) -> Result<DepsLayer, InstallError> {
        let layer = self.layer();
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
            boot: boot_id(),
        };
        let text = serde_json::to_vec_pretty(&marker).map_err(InstallError::cache)?;
        fs::write(layer.join(MARKER), text).map_err(InstallError::cache)?;

        if marker.boot.is_none() {
            // Nothing tells the next boot of this machine from this one.
            rustix::fs::syncfs(self.alive.file()).map_err(InstallError::cache)?;
        }
        let store = LayerStore { root: self.root.clone() };
        let named = self.root.join(about.digest.to_hex());
        let _gate = store.gate()?;
        if let Some(first) = store.find(about.digest) {
            return Ok(first);
        }
        // Anything of this name that is no layer is what a machine left that failed.
        match fs::rename(&named, self.scratch().join("failed")) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(InstallError::cache(error)),
            _ => {}
        }
        fs::rename(&layer, &named).map_err(InstallError::cache)?;
        store.find(about.digest).ok_or_else(|| {
            InstallError::cache(io::Error::other(format!("`{}` disappeared from the cache", named.display())))
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
