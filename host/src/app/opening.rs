//! The package a command is given: a path, or a URL as `PACKAGE_URL` has it.

use std::path::Path;

use par_apkg::Package;
use par_apkg::archive::ArchiveLimits;

use super::error::BootError;
use super::locking::runtime;
use crate::cache;
use crate::config::Installing;
use crate::fetch::{self, PackageSource, PackageUrl, VerifiedPackage};

/// Opens it, below `scratch` if it has to be unpacked, within the size the operator accepts.
///
/// One from elsewhere meets what the operator demands of it, a digest and a signature, as for a start.
pub(super) fn open(what: &Path, config: &Installing, scratch: &Path) -> Result<Package, BootError> {
    let limits = ArchiveLimits::package(config.fetch.demands.max_bytes);
    let Some(url) = url(what)? else { return Ok(Package::open(what, scratch, limits)?) };
    cache::prepare(&config.cache_dir).map_err(|source| BootError::Cache { path: config.cache_dir.clone(), source })?;
    let source = PackageSource::Url(url);
    match runtime()?.block_on(fetch::fetch(source, &config.fetch, &|_| {}))? {
        VerifiedPackage::Archive { file, name } => Ok(Package::open_archive(file, &name, scratch, limits)?),
        VerifiedPackage::Directory(path) => Ok(Package::open(&path, scratch, limits)?),
    }
}

/// What was typed, if it is meant as a URL.
fn url(what: &Path) -> Result<Option<PackageUrl>, BootError> {
    match what.to_str().filter(|text| text.contains("://")) {
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
