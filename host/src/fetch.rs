//! From where a package is to bytes that were checked: digest, size, signature.
//!
//! A package of this machine is opened, one of another is streamed to disk while it is hashed
//! (`transfer`). One whose digest is known is kept, and found again without the network
//! (`store`). What leaves this module is an open file: the bytes that were checked are the
//! bytes that are unpacked, whatever happens to any path meanwhile.

mod address;
mod attempt;
mod client;
mod credentials;
mod error;
mod https;
mod local;
mod s3;
mod settings;
mod signature;
mod sink;
mod store;
mod transfer;
mod transport;
mod url;

use std::fs::File;
use std::path::PathBuf;

use par_apkg::digest::Sha256;

pub use address::AddressRefused;
pub(crate) use address::{Addresses, canonical_host, refusal};
pub(crate) use attempt::is_about_certificates;
pub use credentials::{Authorization, CredentialSource};
pub use error::{FetchError, RedirectFault, SignatureFault};
pub use settings::{ATTEMPTS, Demands, FetchSettings, MOST_REDIRECTS, Patience, S3Settings};
pub use signature::{NotKeys, Trust, TrustedKeys};
pub use transfer::Progress;
pub use url::{NotAPackageUrl, PackageUrl, S3Object, is_bucket};

use https::Https;
use s3::S3;
use signature::LARGEST_SIGNATURE;
use sink::Sink;
use store::{Incoming, Store};
use transfer::{Origin, Received, Transfer};

use crate::cache::trim;
use crate::telemetry::events;

/// Where a package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageSource {
    /// A file or directory of this machine.
    Path(PathBuf),
    /// Somewhere else.
    Url(PackageUrl),
}

/// A package that meets the demands.
#[derive(Debug)]
pub enum VerifiedPackage {
    /// An open file, at its beginning: what was checked is what will be read.
    Archive {
        /// The file.
        file: File,
        /// What messages call it.
        name: String,
    },
    /// A directory, for development. It has no digest.
    Directory(PathBuf),
}

impl VerifiedPackage {
    /// What keeps the package in the cache while it is open, if it is there.
    #[must_use]
    pub fn held(&self) -> Option<File> {
        match self {
            Self::Archive { file, .. } => file.try_clone().ok(),
            Self::Directory(_) => None,
        }
    }
}

/// Has a package at hand. `progress` hears how many bytes of it are here.
///
/// # Errors
/// [`FetchError`] when it cannot be had or does not meet the demands. Nothing is left behind.
pub async fn fetch(
    source: PackageSource,
    settings: &FetchSettings,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<VerifiedPackage, FetchError> {
    match source {
        PackageSource::Path(path) => {
            let settings = settings.clone();
            blocking(path.to_string_lossy().into_owned(), move || local::open(&path, &settings)).await
        }
        PackageSource::Url(url) => {
            let remote = Remote { name: url.name(), url: &url, settings, progress };
            let outcome = match tokio::time::timeout(settings.patience.total, remote.obtain()).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    Err(FetchError::TimedOut { url: url.to_string(), seconds: settings.patience.total.as_secs_f64() })
                }
            };
            if let Err(error) = &outcome {
                tracing::error!(url = %url, error = error as &dyn std::error::Error, "{}", events::PACKAGE_DOWNLOAD_FAILED);
            }
            outcome
        }
    }
}

/// A package of another machine.
struct Remote<'a> {
    url: &'a PackageUrl,
    name: String,
    settings: &'a FetchSettings,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Remote<'_> {
    async fn obtain(&self) -> Result<VerifiedPackage, FetchError> {
        self.announce();
        let store = self.store().await?;
        if let Some(digest) = self.settings.demands.digest
            && let Some(package) = self.kept(&store, digest).await?
        {
            return Ok(package);
        }
        let origin = self.origin().await?;
        let signature = self.signature(&origin).await?;
        let incoming = self.begin(&store).await?;
        let received = self.transfer(&origin, &incoming).await?;
        self.check_digest(received.digest)?;
        let file = incoming.reopen().map_err(|source| self.cannot_write(source))?;
        let file = self.check_signature(signature.clone(), file).await?;
        self.keep(store, incoming, received.digest, signature, &file);
        Ok(VerifiedPackage::Archive { file, name: self.name.clone() })
    }

    fn announce(&self) {
        let bucket = &self.settings.s3.bucket;
        tracing::info!(url = %self.url, "{}", events::PACKAGE_FETCHING);
        if let Some(digest) = self.settings.demands.digest {
            tracing::info!(expected = %digest, "{}", events::DIGEST_DEMANDED);
        }
        if let PackageUrl::S3(object) = self.url
            && object.bucket != *bucket
        {
            tracing::warn!(bucket = object.bucket, expected = bucket, "{}", events::OTHER_BUCKET);
        }
    }

    async fn store(&self) -> Result<Store, FetchError> {
        let (name, cache) = (self.name.clone(), self.settings.cache.clone());
        blocking(name.clone(), move || Store::open(&cache).map_err(|source| FetchError::Write { name, source })).await
    }

    async fn origin(&self) -> Result<Origin, FetchError> {
        match self.url {
            PackageUrl::Https(url) => {
                // Reading the certificates of the system takes a while.
                let settings = self.settings.clone();
                let https = blocking(self.name.clone(), move || Https::new(&settings)).await?;
                Ok(Origin::Https(https, url.clone()))
            }
            PackageUrl::S3(object) => {
                Ok(Origin::S3(S3::new(self.settings, &self.url.to_string()).await?, object.clone()))
            }
        }
    }

    /// The package as it was kept by an earlier start, if its signature is there too.
    async fn kept(&self, store: &Store, digest: Sha256) -> Result<Option<VerifiedPackage>, FetchError> {
        let (name, store) = (self.name.clone(), store.clone());
        let limit = self.settings.demands.max_bytes;
        let trust = self.settings.trust.clone();
        blocking(name.clone(), move || {
            let cannot_open = |source| FetchError::Open { name: name.clone(), source };
            let Some(mut file) = store.find(digest).map_err(cannot_open)? else { return Ok(None) };
            let bytes = file.metadata().map_err(cannot_open)?.len();
            if bytes > limit {
                return Err(FetchError::TooLarge { name, bytes, limit });
            }
            if let Some(trust) = trust {
                // Another signature may be at the URL by now; the one that was kept is a
                // matter of speed.
                let Some(signature) = trust.signature.clone().or_else(|| store.signature(digest)) else {
                    return Ok(None);
                };
                let is_kept = trust.signature.is_none();
                match check_signature(&trust, &signature, &name, &file) {
                    Err(FetchError::Signature { .. }) if is_kept => return Ok(None),
                    checked => checked?,
                }
                std::io::Seek::rewind(&mut file).map_err(cannot_open)?;
            }
            tracing::info!(digest = %digest, bytes, "{}", events::PACKAGE_KEPT_FOUND);
            Ok(Some(VerifiedPackage::Archive { file, name }))
        })
        .await
    }

    /// The signature, where one is demanded: given by the operator, or from beside the package.
    async fn signature(&self, origin: &Origin) -> Result<Option<String>, FetchError> {
        let Some(trust) = &self.settings.trust else { return Ok(None) };
        if let Some(signature) = &trust.signature {
            return Ok(Some(signature.clone()));
        }
        let beside = origin.signature();
        let place = beside.to_string();
        let unsigned = |source: FetchError| FetchError::Unsigned {
            name: self.name.clone(),
            place: place.clone(),
            source: Some(Box::new(source)),
        };
        let file = tempfile::tempfile().map_err(|source| self.cannot_write(source))?;
        let mut text = file.try_clone().map_err(|source| self.cannot_write(source))?;
        let transfer = Transfer {
            origin: &beside,
            name: &format!("{}.minisig", self.name),
            patience: self.settings.patience,
            max_bytes: LARGEST_SIGNATURE,
            progress: &|_| {},
        };
        transfer.run(Sink::new(file)).await.map_err(&unsigned)?;
        read_text(&mut text).map(Some).map_err(|source| self.cannot_write(source))
    }

    async fn begin(&self, store: &Store) -> Result<Incoming, FetchError> {
        let (name, store) = (self.name.clone(), store.clone());
        blocking(name.clone(), move || store.begin().map_err(|source| FetchError::Write { name, source })).await
    }

    async fn transfer(&self, origin: &Origin, incoming: &Incoming) -> Result<Received, FetchError> {
        let file = incoming.file().map_err(|source| self.cannot_write(source))?;
        let transfer = Transfer {
            origin,
            name: &self.name,
            patience: self.settings.patience,
            max_bytes: self.settings.demands.max_bytes,
            progress: self.progress,
        };
        let begun = std::time::Instant::now();
        let received = transfer.run(Sink::new(file)).await?;
        tracing::info!(
            digest = %received.digest,
            bytes = received.bytes,
            attempts = received.attempts,
            bytes_per_second = crate::progress::rate(received.bytes, begun.elapsed()),
            "{}",
            events::PACKAGE_DOWNLOADED
        );
        Ok(received)
    }

    fn check_digest(&self, got: Sha256) -> Result<(), FetchError> {
        match self.settings.demands.digest {
            Some(expected) if expected != got => Err(FetchError::Digest { name: self.name.clone(), expected, got }),
            _ => Ok(()),
        }
    }

    async fn check_signature(&self, signature: Option<String>, file: File) -> Result<File, FetchError> {
        let (Some(trust), Some(signature)) = (self.settings.trust.clone(), signature) else { return Ok(file) };
        let name = self.name.clone();
        blocking(name.clone(), move || {
            let mut file = file;
            check_signature(&trust, &signature, &name, &file)?;
            std::io::Seek::rewind(&mut file).map_err(|source| FetchError::Open { name, source })?;
            Ok(file)
        })
        .await
    }

    /// Keeps a package whose digest was demanded, for the next start. Nothing waits for it: the
    /// file that is unpacked is open already.
    fn keep(&self, store: Store, incoming: Incoming, digest: Sha256, signature: Option<String>, file: &File) {
        if self.settings.demands.digest.is_none() {
            return;
        }
        let open = file.try_clone();
        tokio::task::spawn_blocking(move || match store.keep(incoming, digest, signature.as_deref()) {
            Ok(()) => {
                // In use, for as long as whoever unpacks it keeps it open.
                let _ = open.and_then(|file| trim::hold(&file));
                tracing::info!(digest = %digest, "{}", events::PACKAGE_KEPT);
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "The package cannot be kept for the next start"
                );
            }
        });
    }

    fn cannot_write(&self, source: std::io::Error) -> FetchError {
        FetchError::Write { name: self.name.clone(), source }
    }
}

/// Checks that a trusted key signed the file, from where it is read.
fn check_signature(trust: &Trust, signature: &str, name: &str, file: &File) -> Result<(), FetchError> {
    let cannot_open = |source| FetchError::Open { name: name.to_owned(), source };
    let comment = trust
        .keys
        .verify(signature, file)
        .map_err(cannot_open)?
        .map_err(|fault| FetchError::Signature { name: name.to_owned(), fault })?;
    tracing::info!(package = name, comment, "{}", events::SIGNATURE_VERIFIED);
    Ok(())
}

fn read_text(file: &mut File) -> std::io::Result<String> {
    use std::io::{Read as _, Seek as _};
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Work that blocks, off the async threads.
async fn blocking<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(FetchError::Open { name, source: std::io::Error::other(error) }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    /// Settings that demand nothing, for a cache directory.
    pub(super) fn settings(cache: &Path) -> FetchSettings {
        FetchSettings {
            demands: Demands { digest: None, max_bytes: 1 << 20 },
            trust: None,
            cache: cache.to_owned(),
            patience: Patience::new(Duration::from_secs(60), Duration::from_secs(10)),
            internal_hosts: Vec::new(),
            s3: S3Settings {
                region: "us-east-2".to_owned(),
                endpoint: None,
                bucket: "pixell-agent-packages".to_owned(),
                bucket_owner: None,
                credentials: CredentialSource::None,
                ca_bundle: None,
            },
        }
    }
}
