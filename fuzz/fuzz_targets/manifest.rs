//! Any bytes as a manifest: refused in one line, or names and entry points that are safe to use.
#![no_main]

use std::sync::LazyLock;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use libfuzzer_sys::fuzz_target;
use par_apkg::manifest::Manifest;
use par_apkg::requirement::Requirement;
use par_fuzz::{assert_presentable, seeds};

/// A package with the modules that seeds name.
static PACKAGE: LazyLock<(tempfile::TempDir, Dir)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let handle = Dir::open_ambient_dir(directory.path(), ambient_authority()).expect("its handle");
    handle.create_dir_all("src/rest").expect("a directory");
    handle.create_dir("ui").expect("a directory");
    for file in ["main.py", "src/main.py", "src/rest/index.py", "ui/index.html"] {
        handle.write(file, "def create_service(): pass\n").expect("a file");
    }
    (directory, handle)
});

fuzz_target!(init: seeds::plant(seeds::manifests), |bytes: &[u8]| {
    let (_, package) = &*PACKAGE;
    match Manifest::parse(bytes, package) {
        Ok(manifest) => {
            for name in [manifest.name.as_str(), manifest.version.as_str()] {
                assert!(!name.is_empty() && !name.contains(['/', '\\', '\0', '\n']) && !name.contains(".."));
            }
            for entry in manifest.entry_points() {
                let file = entry.module().replace('.', "/");
                let roots = manifest.python_path.iter();
                let mut candidates = roots.flat_map(|root| {
                    let prefix = if root.is_empty() { String::new() } else { format!("{root}/") };
                    [format!("{prefix}{file}.py"), format!("{prefix}{file}/__init__.py")]
                });
                assert!(candidates.any(|path| package.is_file(path)), "{entry}");
            }
            for requirement in &manifest.dependencies {
                let text = requirement.to_string();
                let again: Requirement = text.parse().expect("it reads again");
                assert_eq!(again.to_string(), text);
            }
        }
        Err(error) => {
            assert_presentable(&error);
            if let Some(hint) = error.hint() {
                assert_presentable(&hint);
            }
        }
    }
});
