//! Wheels as files: `<cache>/wheels/sha256/<digest>`, verified whenever they are opened.

use std::collections::HashMap;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use fs_err as fs;
use par_apkg::digest::{Hasher, Sha256};
use reqwest::{Client, RequestBuilder, StatusCode, Url, redirect};
use tempfile::NamedTempFile;

use super::InstallError;
use super::choose::WheelName;
use super::lock::LockedWheel;
use super::settings::InstallSettings;
use crate::cache::trim;
use crate::redact::RedactedUrl;

/// How often one wheel is asked for. Only what may pass by itself is asked for again.
const ATTEMPTS: u32 = 3;

/// Longest silence of a server. The time for everything is [`InstallSettings::timeout`].
const IDLE: Duration = Duration::from_secs(30);

/// The wheels of this machine, and the way to get more.
#[derive(Debug, Clone)]
pub(super) struct WheelStore {
    directory: PathBuf,
    /// What the wheels were called.
    names: PathBuf,
    /// Where a wheel is until all of it is here: on the same file system.
    scratch: PathBuf,
    /// Made when something has to be fetched: reading the authorities takes longer than reading a wheel.
    client: Arc<OnceLock<Client>>,
    /// Wheels this installation has written and hashed itself, still open: they need not be read again.
    verified: Arc<Mutex<HashMap<Sha256, fs::File>>>,
    index: Option<RedactedUrl>,
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
            client: Arc::default(),
            verified: Arc::default(),
            index: settings.index.clone(),
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
        if !is_trusted_transport(url, self.index.as_ref().is_some_and(|index| is_plain_loopback(index.expose()))) {
            return Err(failed(&wheel.file, "its URL is not `https`"));
        }
        let mut attempt = 1;
        loop {
            match self.attempt(wheel, url, &progress).await {
                Err(Failure::Passing(_)) if attempt < ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(300) * 2_u32.pow(attempt - 1)).await;
                    attempt += 1;
                }
                Err(Failure::Passing(because)) => {
                    return Err(failed(&wheel.file, &format!("{because} (after {attempt} attempts)")));
                }
                Err(Failure::Final(error)) => return Err(error),
                Ok(file) => return Ok(file),
            }
        }
    }

    async fn attempt(
        &self,
        wheel: &LockedWheel,
        url: &Url,
        progress: &impl Fn(u64, Option<u64>),
    ) -> Result<fs::File, Failure> {
        let request = self.request(url)?;
        let mut response = request.send().await.map_err(|error| Failure::of(wheel, error))?;
        let status = response.status();
        if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
            return Err(Failure::Passing(format!("the index answered {status}")));
        }
        if !status.is_success() {
            return Err(Failure::Final(failed(&wheel.file, &format!("the index answered {status}"))));
        }
        let total = response.content_length();
        let mut incoming = Incoming::begin(self, &wheel.file)?;
        while let Some(chunk) = response.chunk().await.map_err(|error| Failure::of(wheel, error))? {
            incoming.add(&chunk)?;
            progress(incoming.size, total);
        }
        Ok(incoming.keep(Some(wheel.digest))?.0)
    }
}

impl WheelStore {
    fn client(&self) -> Result<&Client, InstallError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let is_local = self.index.as_ref().is_some_and(|index| is_plain_loopback(index.expose()));
        #[expect(
            clippy::disallowed_methods,
            reason = "wheels come from an index the operator chose, with limits of their own"
        )]
        let client = Client::builder()
            .user_agent(concat!("par/", env!("CARGO_PKG_VERSION")))
            .referer(false)
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(IDLE)
            .redirect(redirect::Policy::custom(move |attempt| {
                if attempt.previous().len() > 5 {
                    attempt.error("too many redirects")
                } else if is_trusted_transport(attempt.url(), is_local) {
                    attempt.follow()
                } else {
                    attempt.error("a redirect away from https")
                }
            }))
            .build()
            .map_err(|error| InstallError::cache(std::io::Error::other(error)))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// A request that carries the credentials of the index to the index, and to nobody else.
    fn request(&self, url: &Url) -> Result<RequestBuilder, InstallError> {
        let request = self.client()?.get(url.clone());
        let index = self.index.as_ref().map(RedactedUrl::expose);
        Ok(match index.filter(|index| index.origin() == url.origin() && !index.username().is_empty()) {
            Some(index) => request.basic_auth(index.username(), index.password()),
            None => request,
        })
    }

    /// Up to `largest` bytes of a page or a file of the index.
    pub(super) async fn fetch(&self, url: &Url, largest: u64) -> Result<Vec<u8>, String> {
        let is_local = self.index.as_ref().is_some_and(|index| is_plain_loopback(index.expose()));
        if !is_trusted_transport(url, is_local) {
            return Err("its URL is not `https`".to_owned());
        }
        let request = self.request(url).map_err(|error| error.to_string())?;
        let mut response = request.send().await.map_err(|error| chain(&error.without_url()))?;
        if !response.status().is_success() {
            return Err(format!("the index answered {}", response.status()));
        }
        let mut content = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error.without_url()))? {
            content.extend_from_slice(&chunk);
            if content.len() as u64 > largest {
                return Err(format!("it is larger than {} MiB", largest >> 20));
            }
        }
        Ok(content)
    }
}

enum Failure {
    Passing(String),
    Final(InstallError),
}

impl Failure {
    /// Transport errors may pass; where a server sends us will not change. The URL is not shown: it may hold a token.
    fn of(wheel: &LockedWheel, error: reqwest::Error) -> Self {
        let is_final = error.is_redirect();
        let text = chain(&error.without_url());
        if is_final { Self::Final(failed(&wheel.file, &text)) } else { Self::Passing(text) }
    }
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Self {
        Self::Final(error)
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

    fn add(&mut self, bytes: &[u8]) -> Result<(), InstallError> {
        self.size += bytes.len() as u64;
        if self.size > self.store.largest {
            return Err(failed(self.wheel, &format!("it is larger than {} MiB", self.store.largest >> 20)));
        }
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

/// Whether a wheel or an index may come from this URL: `https` always; plain `http` only where it
/// stays on this machine, and only if the index the operator chose does.
pub(crate) fn is_trusted_transport(url: &Url, index_is_local: bool) -> bool {
    url.scheme() == "https" || (index_is_local && is_plain_loopback(url))
}

fn is_plain_loopback(url: &Url) -> bool {
    let is_loopback = match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        None => false,
    };
    url.scheme() == "http" && is_loopback
}

fn is_inside(path: &Path, directory: &Path) -> std::io::Result<bool> {
    Ok(fs::canonicalize(path)?.starts_with(fs::canonicalize(directory)?))
}
