//! Packages as files and as directories, opened the way the program opens them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use par_apkg::archive::{ArchiveError, ArchiveLimits, Refusal};
use par_apkg::requirement::{DependencySource, InstallMetadata};
use par_apkg::{Package, PackageError};
use tempfile::TempDir;

const MANIFEST: &str = "name: weather\nversion: \"0.3.0\"\nrest:\n  entry: routes:mount\n";

/// Names and contents of files.
type Files<'a> = &'a [(&'a str, &'a str)];

struct Place {
    directory: TempDir,
    scratch: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), scratch: tempfile::tempdir().unwrap() }
    }

    fn archive(&self, files: Files<'_>) -> PathBuf {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        let path = self.directory.path().join("weather-0.3.0.apkg");
        fs_err::write(&path, writer.finish().unwrap().into_inner()).unwrap();
        path
    }

    fn write(&self, files: Files<'_>) -> &Path {
        for (name, content) in files {
            let path = self.directory.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        self.directory.path()
    }

    fn open(&self, path: &Path) -> Result<Package, PackageError> {
        Package::open(path, self.scratch.path(), ArchiveLimits::PACKAGE)
    }

    fn left_in_scratch(&self) -> usize {
        fs_err::read_dir(self.scratch.path()).unwrap().count()
    }
}

#[test]
fn an_archive_is_unpacked_and_gone_with_the_package() {
    let place = Place::new();
    let path = place.archive(&[("agent.yaml", MANIFEST), ("routes.py", "print(1)")]);

    let package = place.open(&path).unwrap();

    assert_eq!(package.manifest.name.as_str(), "weather");
    assert_eq!(package.root.read_to_string("routes.py").unwrap(), "print(1)");
    assert_eq!(fs_err::read_to_string(package.path().join("routes.py")).unwrap(), "print(1)");
    assert_eq!(package.extracted.as_ref().unwrap().files.len(), 2);
    assert_eq!(place.left_in_scratch(), 1);
    drop(package);
    assert_eq!(place.left_in_scratch(), 0);
}

#[test]
fn a_directory_is_used_in_place_and_left_as_it_was() {
    let place = Place::new();
    let path = place.write(&[("agent.yaml", MANIFEST), ("routes.py", "print(1)")]);

    let package = place.open(path).unwrap();

    assert_eq!(package.path(), path);
    assert_eq!(package.extracted, None);
    assert_eq!(place.left_in_scratch(), 0);
    drop(package);
    assert_eq!(fs_err::read_dir(path).unwrap().count(), 2);
}

#[test]
fn a_refused_package_leaves_nothing_behind() {
    let place = Place::new();
    let cases: [(Files<'_>, &str); 4] = [
        (&[("weather/agent.yaml", MANIFEST)], "`weather-0.3.0.apkg` has no `agent.yaml` at its root"),
        (
            &[("agent.yaml", MANIFEST)],
            "invalid `rest.entry` in `agent.yaml` line 4: the package has no module `routes`",
        ),
        (
            &[("agent.yaml", MANIFEST), ("../../etc/cron.d/x", "")],
            "`weather-0.3.0.apkg` has an entry outside the package: `../../etc/cron.d/x` (entry 2)",
        ),
        (
            &[("agent.yaml", MANIFEST), ("routes.py", ""), ("requirements.txt", "-e .")],
            "`requirements.txt` line 1 has the option `-e`; only requirements are accepted",
        ),
    ];
    for (files, expected) in cases {
        let path = place.archive(files);
        assert_eq!(place.open(&path).unwrap_err().to_string(), expected);
        assert_eq!(place.left_in_scratch(), 0);
    }
}

#[test]
fn a_package_that_is_not_there_is_named_without_its_place() {
    let place = Place::new();

    let error = place.open(&place.directory.path().join("gone.apkg")).unwrap_err();

    assert_eq!(error.to_string(), "cannot open package `gone.apkg`");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn links_out_of_a_directory_are_not_followed() {
    let place = Place::new();
    let outside = tempfile::tempdir().unwrap();
    fs_err::write(outside.path().join("agent.yaml"), MANIFEST).unwrap();
    fs_err::write(outside.path().join("index.html"), "secret").unwrap();
    fs_err::write(outside.path().join("routes.py"), "").unwrap();
    let link = |name: &str, target: &Path| {
        std::os::unix::fs::symlink(target, place.directory.path().join(name)).unwrap();
    };

    link("agent.yaml", &outside.path().join("agent.yaml"));
    let error = place.open(place.directory.path()).unwrap_err();
    assert!(matches!(error, PackageError::Read { file: "agent.yaml", .. }), "{error}");

    fs_err::remove_file(place.directory.path().join("agent.yaml")).unwrap();
    link("routes.py", &outside.path().join("routes.py"));
    let error = place.open(place.write(&[("agent.yaml", MANIFEST)])).unwrap_err();
    assert!(error.to_string().ends_with("the package has no module `routes`"), "{error}");

    link("ui", outside.path());
    let ui = "name: weather\nversion: \"1\"\nui:\n  path: ui\n";
    let error = place.open(place.write(&[("agent.yaml", ui)])).unwrap_err();
    assert!(error.to_string().ends_with("`ui` has no `index.html` in the package"), "{error}");

    fs_err::remove_file(place.directory.path().join("ui")).unwrap();
    place.write(&[("pages/index.html", "page")]);
    link("ui", Path::new("pages"));
    place.open(place.directory.path()).unwrap();
}

#[test]
fn install_metadata_is_recognised_whichever_file_has_it() {
    let setup = "from setuptools import setup\nraise SystemExit('never run')\nsetup(install_requires=['httpx'])\n";
    let none = InstallMetadata::default();
    let cases: [(Files<'_>, InstallMetadata, DependencySource, usize); 5] = [
        (&[], none, DependencySource::Nothing, 0),
        (&[("setup.py", setup)], InstallMetadata { setup: true, ..none }, DependencySource::SetupPy, 1),
        (
            &[("requirements.txt", "httpx\nredis\n")],
            InstallMetadata { requirements: true, ..none },
            DependencySource::RequirementsTxt,
            2,
        ),
        (
            &[("setup.py", setup), ("requirements.txt", "# none\n")],
            InstallMetadata { setup: true, requirements: true, ..none },
            DependencySource::RequirementsTxt,
            0,
        ),
        (
            &[("pyproject.toml", "[project]\ndependencies = ['httpx']\n"), ("requirements.txt", "a\nb\n")],
            InstallMetadata { pyproject: true, requirements: true, ..none },
            DependencySource::Pyproject,
            1,
        ),
    ];
    for (files, metadata, source, count) in cases {
        let place = Place::new();
        let files = [&[("agent.yaml", MANIFEST), ("routes.py", "")], files].concat();
        let package = place.open(&place.archive(&files)).unwrap();
        assert_eq!(package.install_metadata, metadata);
        assert_eq!((package.requirements.source, package.requirements.list.len()), (source, count));
    }
}

#[test]
fn a_manifest_larger_than_any_real_one_is_not_read() {
    let place = Place::new();
    let huge = format!("{MANIFEST}description: \"{}\"\n", "x".repeat(300 * 1024));

    let error = place.open(place.write(&[("agent.yaml", &huge), ("routes.py", "")])).unwrap_err();

    assert!(error.to_string().starts_with("`agent.yaml` in `"), "{error}");
    assert!(error.to_string().ends_with("` is larger than 256 KiB"), "{error}");
}

/// R202, hostile 24: the limits of a package are those it is opened with, also above the usual ones.
#[test]
fn the_operator_decides_how_large_a_package_may_be() {
    let limits = ArchiveLimits::package(300 << 20);
    assert_eq!((limits.archive_bytes, limits.unpacked_bytes), (300 << 20, 600 << 20));
    let limits = ArchiveLimits::package(1 << 20);
    assert_eq!((limits.archive_bytes, limits.unpacked_bytes), (1 << 20, 256 << 20));

    let place = Place::new();
    let path = place.archive(&[("agent.yaml", MANIFEST), ("routes.py", "print(1)")]);
    let size = fs_err::metadata(&path).unwrap().len();
    let open = |bytes| Package::open(&path, place.scratch.path(), ArchiveLimits::package(bytes));

    assert!(open(size).is_ok());
    let error = open(size - 1).unwrap_err();
    let PackageError::Archive(ArchiveError { refusal: Refusal::ArchiveBytes { limit }, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(limit, size - 1);
    assert_eq!(place.left_in_scratch(), 0);
}
