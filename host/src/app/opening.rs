//! The package a command is given: a path, or a URL as `PACKAGE_URL` has it.

use std::io::Read as _;
use std::path::Path;

use par_apkg::Package;
use par_apkg::archive::ArchiveLimits;
use par_apkg::digest::Sha256;

use super::error::BootError;
use super::locking::runtime;
use crate::cache;
use crate::fetch::{self, FetchSettings, PackageSource, PackageUrl, VerifiedPackage};

/// Opens it, below `scratch` if it has to be unpacked, within the size the operator accepts.
///
/// One from elsewhere meets what the operator demands of it, a digest and a signature, as for a start.
pub(super) fn open(what: &Path, settings: &FetchSettings, scratch: &Path) -> Result<Package, BootError> {
    let limits = ArchiveLimits::package(settings.demands.max_bytes);
    match fetched(what, settings)? {
        Some(VerifiedPackage::Archive { file, name }) => Ok(Package::open_archive(file, &name, scratch, limits)?),
        Some(VerifiedPackage::Directory(path)) => Ok(Package::open(&path, scratch, limits)?),
        None => Ok(Package::open(what, scratch, limits)?),
    }
}

/// Opens it as [`open`] does, and says which file it was: its name and its digest, which a directory has not.
pub(super) fn open_with_digest(
    what: &Path,
    settings: &FetchSettings,
    scratch: &Path,
) -> Result<(Package, String, Option<Sha256>), BootError> {
    let limits = ArchiveLimits::package(settings.demands.max_bytes);
    let (mut file, name) = match fetched(what, settings)? {
        Some(VerifiedPackage::Archive { file, name }) => (file, name),
        Some(VerifiedPackage::Directory(path)) => {
            return Ok((Package::open(&path, scratch, limits)?, name_of(&path), None));
        }
        None if what.is_file() => (fs_err::File::open(what).map_err(BootError::System)?.into_parts().0, name_of(what)),
        None => return Ok((Package::open(what, scratch, limits)?, name_of(what), None)),
    };
    // What is hashed is what is opened, whatever lies at the path by then.
    let digest = Sha256::of_reader((&mut file).take(limits.archive_bytes + 1)).map_err(BootError::System)?;
    Ok((Package::open_archive(file, &name, scratch, limits)?, name, Some(digest)))
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned()
}

/// What a URL leads to; nothing for a path.
fn fetched(what: &Path, settings: &FetchSettings) -> Result<Option<VerifiedPackage>, BootError> {
    let Some(url) = url(what)? else { return Ok(None) };
    cache::prepare(&settings.cache).map_err(|source| BootError::Cache { path: settings.cache.clone(), source })?;
    Ok(Some(runtime()?.block_on(fetch::fetch(PackageSource::Url(url), settings, &|_| {}))?))
}

/// Whether what was typed is meant as a URL.
pub(super) fn is_url(what: &Path) -> bool {
    let scheme = what.to_str().and_then(|text| text.split_once("://")).map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// What was typed, if it is meant as a URL.
fn url(what: &Path) -> Result<Option<PackageUrl>, BootError> {
    match what.to_str().filter(|_| is_url(what)) {
        Some(text) => PackageUrl::parse(text).map(Some).map_err(BootError::NotAUrl),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_path_and_a_url_is_one_packages_come_from() {
        assert!(url(Path::new("weather-1.0.apkg")).unwrap().is_none());
        assert!(url(Path::new("./https:/odd")).unwrap().is_none());
        assert!(url(Path::new("https://host.example/a.apkg")).unwrap().is_some());
        assert!(url(Path::new("s3://bucket/a.apkg")).unwrap().is_some());
        assert!(matches!(url(Path::new("ftp://host.example/a.apkg")), Err(BootError::NotAUrl(_))));
    }
}
