//! From where a package is to bytes whose digest was checked.
//!
//! Only files and directories of this machine so far; `s3` and `https` are refused by name.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use par_apkg::digest::Sha256;

use crate::redact::RedactedUrl;

/// Where a package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageSource {
    /// A file or directory of this machine.
    Path(PathBuf),
    /// Somewhere else.
    Url(RedactedUrl),
}

/// What a package must be before anybody reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demands {
    /// Its digest.
    pub digest: Option<Sha256>,
    /// Most bytes of its file.
    pub max_bytes: u64,
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

/// A package that cannot be had, or is not the one that was demanded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// It would have to be fetched.
    #[error("cannot fetch `{url}`: fetching from URLs is not available in this version")]
    NotAvailable {
        /// Where it is.
        url: RedactedUrl,
    },
    /// It cannot be opened or read.
    #[error("cannot open package `{name}`")]
    Open {
        /// Its name.
        name: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Its file is too large.
    #[error("`{name}` has {bytes} bytes, more than the {limit} of `MAX_PACKAGE_SIZE_MB`")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// It is another package.
    #[error("digest mismatch for `{name}`: expected {expected}, got {got}")]
    Digest {
        /// Its name.
        name: String,
        /// The digest that was demanded.
        expected: Sha256,
        /// The one it has.
        got: Sha256,
    },
    /// A digest was demanded of something that has none.
    #[error("`{name}` is a directory and cannot have the digest {expected}")]
    NoDigest {
        /// Its name.
        name: String,
        /// The digest that was demanded.
        expected: Sha256,
    },
}

impl FetchError {
    /// A way out.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotAvailable { .. } => Some("put the package into the image and set `AGENT_PACKAGE_PATH`"),
            Self::NoDigest { .. } => Some("unset `PACKAGE_SHA256`, or run a package file"),
            Self::TooLarge { .. } => Some("raise `MAX_PACKAGE_SIZE_MB` if the package is meant to be this large"),
            Self::Open { .. } | Self::Digest { .. } => None,
        }
    }
}

/// Has a package at hand. Blocks; call it off the async threads.
///
/// # Errors
/// [`FetchError`] when it cannot be had or does not meet the demands.
pub fn fetch(source: &PackageSource, demands: Demands) -> Result<VerifiedPackage, FetchError> {
    match source {
        PackageSource::Path(path) => local(path, demands),
        PackageSource::Url(url) => Err(FetchError::NotAvailable { url: url.clone() }),
    }
}

fn local(path: &Path, demands: Demands) -> Result<VerifiedPackage, FetchError> {
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned();
    let cannot_open = |source| FetchError::Open { name: name.clone(), source };
    #[expect(clippy::disallowed_methods, reason = "the error names the package, and never its path on this machine")]
    let mut file = File::open(path).map_err(cannot_open)?;
    let metadata = file.metadata().map_err(cannot_open)?;
    if metadata.is_dir() {
        return match demands.digest {
            Some(expected) => Err(FetchError::NoDigest { name, expected }),
            None => Ok(VerifiedPackage::Directory(path.to_owned())),
        };
    }
    if metadata.len() > demands.max_bytes {
        return Err(FetchError::TooLarge { name, bytes: metadata.len(), limit: demands.max_bytes });
    }
    if let Some(expected) = demands.digest {
        let got = Sha256::of_reader(&file).map_err(cannot_open)?;
        if got != expected {
            return Err(FetchError::Digest { name, expected, got });
        }
        file.seek(SeekFrom::Start(0)).map_err(cannot_open)?;
    }
    Ok(VerifiedPackage::Archive { file, name })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    const ANYTHING: Demands = Demands { digest: None, max_bytes: 1 << 20 };

    fn package(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().prefix("weather").suffix(".apkg").tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn from(path: &Path, demands: Demands) -> Result<VerifiedPackage, FetchError> {
        fetch(&PackageSource::Path(path.to_owned()), demands)
    }

    #[test]
    fn a_file_with_the_demanded_digest_is_read_from_its_beginning() {
        let package = package(b"bytes");
        let demands = Demands { digest: Some(Sha256::of(b"bytes")), ..ANYTHING };

        let VerifiedPackage::Archive { mut file, .. } = from(package.path(), demands).unwrap() else {
            panic!("not a file")
        };

        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert_eq!(content, b"bytes");
    }

    #[test]
    fn a_file_with_another_digest_is_refused_with_both() {
        let package = package(b"other bytes");
        let demands = Demands { digest: Some(Sha256::of(b"bytes")), ..ANYTHING };

        let error = from(package.path(), demands).unwrap_err().to_string();

        assert!(error.contains(&Sha256::of(b"bytes").to_string()), "{error}");
        assert!(error.contains(&Sha256::of(b"other bytes").to_string()), "{error}");
    }

    #[test]
    fn a_file_above_the_limit_is_refused_and_one_at_the_limit_is_not() {
        let package = package(&[0; 11]);

        assert!(matches!(
            from(package.path(), Demands { max_bytes: 10, ..ANYTHING }),
            Err(FetchError::TooLarge { bytes: 11, .. })
        ));
        assert!(from(package.path(), Demands { max_bytes: 11, ..ANYTHING }).is_ok());
    }

    #[test]
    fn a_directory_is_taken_as_it_is_unless_a_digest_is_demanded() {
        let directory = tempfile::tempdir().unwrap();

        assert!(matches!(from(directory.path(), ANYTHING), Ok(VerifiedPackage::Directory(_))));
        let demands = Demands { digest: Some(Sha256::of(b"")), ..ANYTHING };
        assert!(matches!(from(directory.path(), demands), Err(FetchError::NoDigest { .. })));
    }

    #[test]
    fn a_missing_file_is_named_without_its_directory() {
        let directory = tempfile::tempdir().unwrap();

        let error = from(&directory.path().join("weather.apkg"), ANYTHING).unwrap_err();

        assert_eq!(error.to_string(), "cannot open package `weather.apkg`");
    }

    #[test]
    fn a_url_is_refused_without_its_signature() {
        let url = RedactedUrl::parse("https://host/weather.apkg?sig=5ec4e7").unwrap();

        let error = fetch(&PackageSource::Url(url), ANYTHING).unwrap_err().to_string();

        assert_eq!(
            error,
            "cannot fetch `https://host/weather.apkg`: fetching from URLs is not available in this version"
        );
    }
}
