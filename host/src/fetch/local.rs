//! A package that is on this machine already.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use par_apkg::digest::Sha256;

use super::VerifiedPackage;
use super::error::FetchError;
use super::settings::{Demands, FetchSettings};
use super::signature::{LARGEST_SIGNATURE, Trust};

/// Opens a file or a directory and checks what can be checked. Blocks.
pub(super) fn open(path: &Path, settings: &FetchSettings) -> Result<VerifiedPackage, FetchError> {
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned();
    let cannot_open = |source| FetchError::Open { name: name.clone(), source };
    #[expect(clippy::disallowed_methods, reason = "the error names the package, and never its path on this machine")]
    let mut file = File::open(path).map_err(cannot_open)?;
    let metadata = file.metadata().map_err(cannot_open)?;
    let Demands { digest, max_bytes } = settings.demands;
    if metadata.is_dir() {
        return match (digest, &settings.trust) {
            (Some(expected), _) => Err(FetchError::NoDigest { name, expected }),
            (None, Some(_)) => Err(unsigned(&name, path, None)),
            (None, None) => Ok(VerifiedPackage::Directory(path.to_owned())),
        };
    }
    if metadata.len() > max_bytes {
        return Err(FetchError::TooLarge { name, bytes: metadata.len(), limit: max_bytes });
    }
    if let Some(expected) = digest {
        let got = Sha256::of_reader(&file).map_err(cannot_open)?;
        if got != expected {
            return Err(FetchError::Digest { name, expected, got });
        }
        file.seek(SeekFrom::Start(0)).map_err(cannot_open)?;
    }
    if let Some(trust) = &settings.trust {
        let signature = beside(trust, &name, path)?;
        super::check_signature(trust, &signature, &name, &file)?;
        file.seek(SeekFrom::Start(0)).map_err(cannot_open)?;
    }
    Ok(VerifiedPackage::Archive { file, name })
}

/// The signature the operator gave, or the one beside the package.
fn beside(trust: &Trust, name: &str, path: &Path) -> Result<String, FetchError> {
    if let Some(signature) = &trust.signature {
        return Ok(signature.clone());
    }
    let mut place = path.as_os_str().to_owned();
    place.push(".minisig");
    let mut text = String::new();
    fs_err::File::open(&place)
        .and_then(|file| file.take(LARGEST_SIGNATURE).read_to_string(&mut text))
        .map_err(|source| unsigned(name, path, Some(FetchError::Open { name: format!("{name}.minisig"), source })))?;
    Ok(text)
}

fn unsigned(name: &str, path: &Path, source: Option<FetchError>) -> FetchError {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    FetchError::Unsigned { name: name.to_owned(), place: format!("{file}.minisig"), source: source.map(Box::new) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::fetch::tests::settings;

    const ANYTHING: Demands = Demands { digest: None, max_bytes: 1 << 20 };

    fn package(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().prefix("weather").suffix(".apkg").tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn from(path: &Path, demands: Demands) -> Result<VerifiedPackage, FetchError> {
        open(path, &FetchSettings { demands, ..settings(Path::new("/nonexistent")) })
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

    /// Hostile 18: the file is exchanged after it was hashed.
    #[test]
    fn the_bytes_that_were_hashed_are_read_whatever_lies_at_the_path_by_then() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weather.apkg");
        fs_err::write(&path, b"bytes").unwrap();
        let demands = Demands { digest: Some(Sha256::of(b"bytes")), ..ANYTHING };
        let VerifiedPackage::Archive { mut file, .. } = from(&path, demands).unwrap() else { panic!("not a file") };

        fs_err::write(directory.path().join("other"), b"other").unwrap();
        fs_err::rename(directory.path().join("other"), &path).unwrap();

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
}
