//! Wheels with metadata alone: what the resolver may choose and nobody installs.

use std::io::{Cursor, Write as _};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use fs_err as fs;
use par_apkg::archive::{Archive, ArchiveLimits};
use par_apkg::requirement::ProjectName;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::InstallError;
use super::guest::GuestFiles;

/// Below the scratch directory: what the guest carries, for a resolver that has no index to ask about it.
pub(super) const CARRIED: &str = "carried";

/// The file name of the placeholder of a version.
pub(super) fn file(project: &ProjectName, version: &str) -> String {
    format!("{}-{version}-py3-none-any.whl", project.as_str().replace('-', "_"))
}

/// A placeholder with this `METADATA`.
pub(super) fn wheel(project: &ProjectName, version: &str, metadata: &[u8]) -> Result<Vec<u8>, InstallError> {
    let stem = format!("{}-{version}.dist-info", project.as_str().replace('-', "_"));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let parts: [(&str, &[u8]); 3] = [
        ("METADATA", metadata),
        ("WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        ("RECORD", b""),
    ];
    let broken = |error: zip::result::ZipError| InstallError::cache(std::io::Error::other(error));
    for (file, content) in parts {
        zip.start_file(format!("{stem}/{file}"), SimpleFileOptions::default()).map_err(broken)?;
        zip.write_all(content).map_err(InstallError::cache)?;
    }
    Ok(zip.finish().map_err(broken)?.into_inner())
}

/// Writes a placeholder for everything the guest carries into [`CARRIED`] below `scratch`. What is tied to the guest is in
/// its own index.
pub(super) fn write_carried(guest: &GuestFiles, scratch: &Path) -> Result<(), InstallError> {
    let directory = scratch.join(CARRIED);
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir(&directory).map_err(InstallError::cache)?;
    let write = |name: &ProjectName, version: &str, metadata: &[u8]| {
        fs::write(directory.join(file(name, version)), wheel(name, version, metadata)?).map_err(InstallError::cache)
    };
    for (name, version) in guest.all_carried().filter(|(name, _)| guest.tied(name).is_none()) {
        if let Some(metadata) = guest.metadata(name) {
            write(name, version, &fs::read(metadata).map_err(InstallError::cache)?)?;
        }
    }
    let place = Dir::open_ambient_dir(scratch, ambient_authority()).map_err(InstallError::cache)?;
    for (name, path) in guest.all_wheels().filter(|(name, _)| guest.tied(name.distribution()).is_none()) {
        let opened =
            Archive::open(fs::File::open(path).map_err(InstallError::cache)?, &name.to_string(), ArchiveLimits::WHEEL)?;
        let (unpacked, extracted) = opened.extract_to_new_dir(&place, "carried-wheel")?;
        let metadata = extracted.files.iter().map(|file| file.path.as_str()).find(|path| is_metadata(path));
        if let Some(metadata) = metadata {
            write(name.distribution(), name.version(), &unpacked.read(metadata).map_err(InstallError::cache)?)?;
        }
        place.remove_dir_all("carried-wheel").map_err(InstallError::cache)?;
    }
    Ok(())
}

fn is_metadata(path: &str) -> bool {
    path.split_once('/').is_some_and(|(top, file)| top.ends_with(".dist-info") && file == "METADATA")
}
