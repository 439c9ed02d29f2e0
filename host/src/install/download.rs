//! Wheels as files: `<cache>/wheels/sha256/<digest>`, verified whenever they are opened.

use std::collections::HashMap;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fs_err as fs;
use par_apkg::digest::{Hasher, Sha256};
use reqwest::Url;
use reqwest::header::HeaderMap;
use tempfile::NamedTempFile;

use super::InstallError;
use super::choose::WheelName;
use super::index::{Attempts, Failure, Index, What};
use super::lock::LockedWheel;
use super::settings::InstallSettings;
use crate::cache::trim;

/// The wheels of this machine, and the way to get more.
#[derive(Debug, Clone)]
pub(super) struct WheelStore {
    directory: PathBuf,
    /// What the wheels were called.
    names: PathBuf,
    /// Where a wheel is until all of it is here: on the same file system.
    scratch: PathBuf,
    index: Arc<Index>,
    /// Wheels this installation has written and hashed itself, still open: they need not be read again.
    verified: Arc<Mutex<HashMap<Sha256, fs::File>>>,
    wheelhouse: Option<PathBuf>,
    largest: u64,
}

impl WheelStore {
    pub(super) fn open(settings: &InstallSettings, scratch: &Path) -> Result<Self, InstallError> {
        let directory = settings.cache.join("wheels").join("sha256");
        let names = settings.cache.join("wheels").join("names");
        for directory in [&directory, &names] {
            fs::create_dir_all(directory).map_err(InstallError::cache)?;
        }
        Ok(Self {
            directory,
            names,
            scratch: scratch.to_owned(),
            index: Arc::new(Index::new(settings)),
            verified: Arc::default(),
            wheelhouse: settings.wheelhouse.clone(),
            largest: settings.max_wheel_bytes,
        })
    }

    /// The file of a wheel, opened and verified; fetched first if it is not here.
    ///
    /// `progress` hears how many bytes there are so far, and of how many.
    pub(super) async fn obtain(
        &self,
        wheel: &LockedWheel,
        progress: impl Fn(u64, Option<u64>),
    ) -> Result<fs::File, InstallError> {
        let (store, wanted) = (self.clone(), wheel.clone());
        let local = tokio::task::spawn_blocking(move || store.local(&wanted));
        match (local.await.map_err(|error| InstallError::cache(std::io::Error::other(error)))??, &wheel.url) {
            (Some(file), _) => Ok(file),
            (None, Some(url)) => self.download(wheel, url, progress).await,
            (None, None) => Err(failed(&wheel.file, "it is neither in the cache nor in the wheelhouse")),
        }
    }

    /// The file of a wheel that is on this machine. Blocks.
    fn local(&self, wheel: &LockedWheel) -> Result<Option<fs::File>, InstallError> {
        if let Some(file) = self.verified().remove(&wheel.digest) {
            return Ok(Some(file));
        }
        if let Some(file) = self.cached(wheel.digest)? {
            return Ok(Some(file));
        }
        let path = match &wheel.url {
            Some(url) if url.scheme() == "file" => {
                Some(url.to_file_path().map_err(|()| failed(&wheel.file, "its URL is no path"))?)
            }
            Some(_) => None,
            None => self.in_wheelhouse(wheel),
        };
        path.map(|path| self.copy(&wheel.file, &path, Some(wheel.digest)).map(|(file, _)| file)).transpose()
    }

    /// Takes a wheel of the wheelhouse as it is, and says what it is. Blocks.
    pub(super) fn take(&self, file: &WheelName) -> Result<LockedWheel, InstallError> {
        let directory = self.wheelhouse.as_ref().ok_or_else(|| failed(file, "there is no wheelhouse"))?;
        let (opened, digest) = self.copy(file, &directory.join(file.to_string()), None)?;
        self.verified().insert(digest, opened);
        Ok(LockedWheel { file: file.clone(), url: None, digest })
    }

    /// The index wheels come from.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, HashMap<Sha256, fs::File>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a wheel can be had without the index.
    pub(super) fn is_here(&self, wheel: &LockedWheel) -> Result<bool, InstallError> {
        Ok(self.in_wheelhouse(wheel).is_some() || self.cached(wheel.digest)?.is_some())
    }

    /// The file name under which a wheel of this digest was kept.
    pub(super) fn name_of(&self, digest: Sha256) -> Option<WheelName> {
        WheelName::parse(fs::read_to_string(self.name_file(digest)).ok()?.trim())
    }

    /// Keeps a wheel that was built here.
    pub(super) fn keep(&self, wheel: &LockedWheel, content: &[u8]) -> Result<(), InstallError> {
        let mut incoming = Incoming::begin(self, &wheel.file)?;
        incoming.add(content)?;
        incoming.keep(Some(wheel.digest)).map(drop)
    }

    fn name_file(&self, digest: Sha256) -> PathBuf {
        self.names.join(digest.to_hex())
    }

    fn in_wheelhouse(&self, wheel: &LockedWheel) -> Option<PathBuf> {
        let path = self.wheelhouse.as_ref()?.join(wheel.file.to_string());
        path.is_file().then_some(path)
    }

    /// A wheel that is here. One whose content no longer has its digest is removed.
    fn cached(&self, digest: Sha256) -> Result<Option<fs::File>, InstallError> {
        let path = self.directory.join(digest.to_hex());
        let mut file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(InstallError::cache(error)),
        };
        if Sha256::of_reader(&mut file).map_err(InstallError::cache)? != digest {
            fs::remove_file(&path).map_err(InstallError::cache)?;
            return Ok(None);
        }
        file.seek(SeekFrom::Start(0)).map_err(InstallError::cache)?;
        trim::touch(file.file());
        Ok(Some(file))
    }

    /// Takes a wheel from the wheelhouse, which is the only directory a lock may point to.
    fn copy(
        &self,
        wheel: &WheelName,
        path: &Path,
        expected: Option<Sha256>,
    ) -> Result<(fs::File, Sha256), InstallError> {
        let inside = match &self.wheelhouse {
            Some(wheelhouse) => is_inside(path, wheelhouse).map_err(|error| failed(wheel, &error.to_string()))?,
            None => false,
        };
        if !inside {
            return Err(failed(wheel, "it is a file outside the wheelhouse"));
        }
        let mut source = fs::File::open(path).map_err(|error| failed(wheel, &error.to_string()))?;
        let mut incoming = Incoming::begin(self, wheel)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let count =
                std::io::Read::read(&mut source, &mut buffer).map_err(|error| failed(wheel, &error.to_string()))?;
            if count == 0 {
                return incoming.keep(expected);
            }
            incoming.add(&buffer[..count])?;
        }
    }

    async fn download(
        &self,
        wheel: &LockedWheel,
        url: &Url,
        progress: impl Fn(u64, Option<u64>),
    ) -> Result<fs::File, InstallError> {
        let (mut attempts, name) = (Attempts::default(), wheel.file.to_string());
        loop {
            match self.attempt(wheel, url, &progress).await {
                Ok(file) => return Ok(file),
                Err(failure) => attempts.after(failure, What::File(&name)).await?,
            }
        }
    }

    async fn attempt(
        &self,
        wheel: &LockedWheel,
        url: &Url,
        progress: &impl Fn(u64, Option<u64>),
    ) -> Result<fs::File, Failure> {
        let mut response = self.index.ask(url, HeaderMap::new()).await?;
        let total = response.content_length();
        let mut incoming = Incoming::begin(self, &wheel.file)?;
        incoming.expect(total.unwrap_or_default())?;
        while let Some(chunk) = response.chunk().await.map_err(Failure::of)? {
            incoming.add(&chunk)?;
            progress(incoming.size, total);
        }
        Ok(incoming.keep(Some(wheel.digest))?.0)
    }
}

/// A wheel on its way into the store.
struct Incoming<'a> {
    store: &'a WheelStore,
    wheel: &'a WheelName,
    file: NamedTempFile,
    hasher: Hasher,
    size: u64,
}

impl<'a> Incoming<'a> {
    fn begin(store: &'a WheelStore, wheel: &'a WheelName) -> Result<Self, InstallError> {
        let file = NamedTempFile::new_in(&store.scratch).map_err(InstallError::cache)?;
        Ok(Self { store, wheel, file, hasher: Hasher::default(), size: 0 })
    }

    /// Refuses a wheel of this size, or of more, if no wheel is that large. Unit: bytes.
    fn expect(&self, size: u64) -> Result<(), InstallError> {
        if size > self.store.largest {
            return Err(failed(self.wheel, &format!("it is larger than {} MiB", self.store.largest >> 20)));
        }
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), InstallError> {
        self.size += bytes.len() as u64;
        self.expect(self.size)?;
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(InstallError::cache)
    }

    /// Moves the file to its name, if it has the digest it should have. Returns it, at its beginning, and its digest:
    /// what was written is what was hashed, so it need not be read again.
    fn keep(self, expected: Option<Sha256>) -> Result<(fs::File, Sha256), InstallError> {
        let got = self.hasher.finish();
        if let Some(expected) = expected.filter(|expected| *expected != got) {
            return Err(InstallError::Digest { wheel: self.wheel.to_string(), expected, got });
        }
        // Not synchronised: a file the disk lost is noticed by its digest, and fetched again.
        fs::write(self.store.name_file(got), self.wheel.to_string()).map_err(InstallError::cache)?;
        let path = self.store.directory.join(got.to_hex());
        let mut file = self.file.persist(&path).map_err(|error| InstallError::cache(error.error))?;
        file.seek(SeekFrom::Start(0)).map_err(InstallError::cache)?;
        Ok((fs::File::from_parts(file, path), got))
    }
}

fn failed(wheel: &WheelName, because: &str) -> InstallError {
    InstallError::Download { wheel: wheel.to_string(), because: because.to_owned() }
}

fn is_inside(path: &Path, directory: &Path) -> std::io::Result<bool> {
    Ok(fs::canonicalize(path)?.starts_with(fs::canonicalize(directory)?))
}
