//! Packages on this machine: `<cache>/packages/sha256/<digest>`, verified whenever they are
//! opened.
//!
//! A package is written beside the others under another name, with a lock on it, and gets its
//! name when it is complete and on disk. Whoever is killed meanwhile leaves an unlocked file,
//! which the next start removes.

use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use par_apkg::digest::Sha256;
use tempfile::{NamedTempFile, TempPath};

use crate::cache::trim;
use crate::locked;

/// Beginning of the names of packages that are not complete.
const INCOMING: &str = "incoming-";

/// Ending of the name of the signature of a package.
const SIGNATURE: &str = ".minisig";

/// The packages of this machine.
#[derive(Debug, Clone)]
pub(super) struct Store {
    directory: PathBuf,
}

/// A package on its way into the store. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Incoming {
    path: TempPath,
    /// Holds the lock.
    file: std::fs::File,
}

impl Store {
    /// Makes the directory and removes what was left incomplete. Blocks.
    pub(super) fn open(cache: &Path) -> io::Result<Self> {
        let directory = Self::below(cache);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let left = locked::sweep(&directory, INCOMING)?;
        if left > 0 {
            tracing::info!(files = left, "Removed what an interrupted fetch left behind");
        }
        Ok(Self { directory })
    }

    fn below(cache: &Path) -> PathBuf {
        cache.join("packages").join("sha256")
    }

    /// The package with this digest, at its beginning. One that no longer has it is removed.
    pub(super) fn find(&self, digest: Sha256) -> io::Result<Option<std::fs::File>> {
        let path = self.path(digest);
        let Some(mut file) = open_regular(&path)? else { return Ok(None) };
        if Sha256::of_reader(&mut file)? != digest {
            tracing::warn!(digest = %digest, "A kept package no longer has its digest and is fetched again");
            fs::remove_file(&path)?;
            return Ok(None);
        }
        file.seek(SeekFrom::Start(0))?;
        trim::touch(&file);
        // One that is being removed can be read all the same.
        let _ = trim::hold(&file);
        Ok(Some(file))
    }

    /// The signature that was kept with a package.
    pub(super) fn signature(&self, digest: Sha256) -> Option<String> {
        fs::read_to_string(self.signature_path(digest)).ok()
    }

    /// A new file for a package.
    pub(super) fn begin(&self) -> io::Result<Incoming> {
        locked::create(|| {
            let file = tempfile::Builder::new().prefix(INCOMING).tempfile_in(&self.directory)?;
            Ok(file.into_parts())
        })
        .map(|(file, path)| Incoming { path, file })
    }

    /// Gives a complete package its name. Blocks until it is on disk.
    pub(super) fn keep(&self, incoming: Incoming, digest: Sha256, signature: Option<&str>) -> io::Result<()> {
        incoming.file.sync_all()?;
        if let Some(signature) = signature {
            let mut file = NamedTempFile::with_prefix_in(INCOMING, &self.directory)?;
            io::Write::write_all(&mut file, signature.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(self.signature_path(digest)).map_err(|error| error.error)?;
        }
        incoming.path.persist(self.path(digest)).map_err(|error| error.error)?;
        fs::File::open(&self.directory)?.sync_all()
    }

    fn path(&self, digest: Sha256) -> PathBuf {
        self.directory.join(digest.to_hex())
    }

    fn signature_path(&self, digest: Sha256) -> PathBuf {
        self.directory.join(format!("{}{SIGNATURE}", digest.to_hex()))
    }
}

impl Incoming {
    /// The file, for the one who writes it.
    pub(super) fn file(&self) -> io::Result<std::fs::File> {
        self.file.try_clone()
    }

    /// The same file with a position of its own, at its beginning.
    pub(super) fn reopen(&self) -> io::Result<std::fs::File> {
        #[expect(clippy::disallowed_methods, reason = "the caller names the package, and never its path")]
        let again = std::fs::File::open(&self.path)?;
        let (one, other) = (self.file.metadata()?, again.metadata()?);
        if (one.dev(), one.ino()) == (other.dev(), other.ino()) {
            return Ok(again);
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "the file was replaced while it was written"))
    }
}

/// Opens a file, unless it is a link or something else that is not a file.
fn open_regular(path: &Path) -> io::Result<Option<std::fs::File>> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits() | rustix::fs::OFlags::NONBLOCK.bits();
    let opened = fs::OpenOptions::new().read(true).custom_flags(nofollow.cast_signed()).open(path);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file.into_file())),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory.join("packages/sha256"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn content(mut file: std::fs::File) -> String {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    fn put(store: &Store, text: &str) -> Sha256 {
        let incoming = store.begin().unwrap();
        incoming.file().unwrap().write_all(text.as_bytes()).unwrap();
        store.keep(incoming, Sha256::of(text), Some("signed")).unwrap();
        Sha256::of(text)
    }

    #[test]
    fn a_package_is_found_by_its_digest_with_its_signature() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();

        let digest = put(&store, "bytes");

        assert_eq!(content(store.find(digest).unwrap().unwrap()), "bytes");
        assert_eq!(store.signature(digest).as_deref(), Some("signed"));
        assert!(store.find(Sha256::of("others")).unwrap().is_none());
        let hex = digest.to_hex();
        assert_eq!(names(cache.path()), [hex.clone(), format!("{hex}.minisig")]);
    }

    #[test]
    fn a_package_that_changed_on_disk_is_removed() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let digest = put(&store, "bytes");
        fs::write(store.path(digest), "bytez").unwrap();

        assert!(store.find(digest).unwrap().is_none());

        assert!(!store.path(digest).exists());
    }

    #[test]
    fn a_link_in_the_place_of_a_package_is_not_followed() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let digest = Sha256::of("bytes");
        fs::write(cache.path().join("elsewhere"), "bytes").unwrap();
        fs::os::unix::fs::symlink(cache.path().join("elsewhere"), store.path(digest)).unwrap();

        assert!(store.find(digest).is_err());
    }

    #[test]
    fn what_is_dropped_leaves_nothing_and_what_a_killed_process_left_is_removed() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        drop(store.begin().unwrap());
        assert_eq!(names(cache.path()), Vec::<String>::new());
        let living = store.begin().unwrap();
        fs::write(store.directory.join("incoming-left"), "half").unwrap();

        Store::open(cache.path()).unwrap();

        assert_eq!(names(cache.path()).len(), 1, "the one that is being written stays");
        drop(living);
        assert_eq!(names(cache.path()), Vec::<String>::new());
    }

    /// Hostile 186, for packages: two processes that fetch the same one.
    #[test]
    fn two_that_keep_the_same_package_both_succeed() {
        let cache = tempfile::tempdir().unwrap();
        let stores = [Store::open(cache.path()).unwrap(), Store::open(cache.path()).unwrap()];

        for store in &stores {
            put(store, "bytes");
        }

        assert_eq!(content(stores[0].find(Sha256::of("bytes")).unwrap().unwrap()), "bytes");
    }
}
