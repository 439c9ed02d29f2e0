//! Layers made end to end, with wheels built here and a resolver that answers from a file.

mod downloads;
mod layers;
mod locks;
mod pinned;
mod refusals;
mod resolver;
mod settling;
mod wheels;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use fs_err as fs;
use par_apkg::digest::Sha256;
use par_apkg::requirement::{DependencySource, Requirements};
use tempfile::TempDir;

use super::{DepsLayer, GuestFiles, InstallError, InstallSettings, Installer, Progress, UV_VERSION};
use wheels::Wheel;

/// A cache, a guest, a wheelhouse and a resolver, all in one temporary directory.
struct Bench {
    directory: TempDir,
    settings: InstallSettings,
    constraints: String,
    told: Mutex<Vec<String>>,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["cache", "guest/wheels", "wheelhouse"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::write(root.join("guest/guest.json"), "{}").unwrap();
        let mut settings = InstallSettings::new(root.join("cache"));
        settings.uv = Some(root.join("uv"));
        settings.wheelhouse = Some(root.join("wheelhouse"));
        let bench = Self { directory, settings, constraints: String::new(), told: Mutex::default() };
        bench.resolver("exit 9");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces the resolver by a program that knows its version and otherwise does `body`.
    fn resolver(&self, body: &str) {
        let script =
            format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo \"uv {UV_VERSION} (test)\"; exit 0; fi\n{body}\n");
        program(&self.path("uv"), &script);
    }

    /// Puts wheels into the wheelhouse and lets the resolver choose exactly them.
    fn resolving_to(self, wheels: &[Wheel]) -> Self {
        let mut lock = String::from("lock-version = \"1.0\"\ncreated-by = \"uv\"\npackages = []\n");
        if !wheels.is_empty() {
            lock.truncate(lock.len() - "packages = []\n".len());
        }
        for wheel in wheels {
            let bytes = wheel.bytes();
            let path = self.path("wheelhouse").join(wheel.file());
            fs::write(&path, &bytes).unwrap();
            lock += &entry(wheel, &format!("file://{}", path.display()), Sha256::of(&bytes));
        }
        self.lock(&lock);
        self
    }

    fn lock(&self, text: &str) {
        let path = self.path("pylock.toml");
        fs::write(&path, text).unwrap();
        self.resolver(&format!("/bin/cat {}", path.display()));
    }

    fn guest(&self) -> GuestFiles {
        fs::write(self.path("guest/constraints.txt"), &self.constraints).unwrap();
        GuestFiles::read(&self.path("guest")).unwrap()
    }

    async fn install(&self, lines: &[&str]) -> Result<Option<DepsLayer>, InstallError> {
        self.install_all(&requirements(lines)).await
    }

    /// Installs the requirements as a package with this `pylock.toml`.
    async fn install_locked(&self, lines: &[&str], lock: &str) -> Result<Option<DepsLayer>, InstallError> {
        self.install_all(&Requirements { lock: Some(lock.to_owned()), ..requirements(lines) }).await
    }

    async fn install_all(&self, requirements: &Requirements) -> Result<Option<DepsLayer>, InstallError> {
        let tell = |progress: Progress<'_>| self.told.lock().unwrap().push(format!("{progress:?}"));
        let guest = self.guest();
        let installer = Installer { guest: &guest, settings: &self.settings, jobs: None, progress: &tell };
        installer.layer("weather", requirements).await
    }

    /// What `par lock` writes for the requirements.
    async fn make_lock(&self, lines: &[&str]) -> Result<String, InstallError> {
        let guest = self.guest();
        let installer = Installer { guest: &guest, settings: &self.settings, jobs: None, progress: &|_| {} };
        installer.lock("weather", &requirements(lines)).await
    }

    /// Forgets layers and wheels, as on another machine.
    fn forget(&self) {
        fs::remove_dir_all(self.path("cache")).unwrap();
        fs::create_dir(self.path("cache")).unwrap();
    }

    /// Installs something for the first wheel and returns the error's sentence.
    async fn refusal(&self) -> String {
        let error = self.install(&["thing==1.0"]).await.expect_err("it should have been refused");
        assert!(self.is_clean(), "something was left behind");
        error.to_string()
    }

    fn told(&self, what: &str) -> bool {
        self.told.lock().unwrap().iter().any(|line| line.contains(what))
    }

    /// Whether the cache holds nothing that is unfinished.
    fn is_clean(&self) -> bool {
        let names = |path: &str| match fs::read_dir(self.path(path)) {
            Ok(entries) => entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect(),
            Err(_) => Vec::new(),
        };
        let layers_are_whole =
            names("cache/deps").iter().all(|name| name.len() == 64 || name == "index" || name == ".gate");
        let wheels_are_whole = names("cache/wheels/sha256").iter().all(|name| name.len() == 64);
        layers_are_whole && wheels_are_whole
    }
}

fn entry(wheel: &Wheel, url: &str, digest: Sha256) -> String {
    format!(
        "[[packages]]\nname = \"{}\"\nversion = \"{}\"\nwheels = [{{ url = \"{url}\", hashes = {{ sha256 = \"{}\" }} }}]\n",
        wheel.name,
        wheel.version,
        digest.to_hex()
    )
}

fn requirements(lines: &[&str]) -> Requirements {
    let list = lines.iter().map(|line| line.parse().unwrap()).collect();
    Requirements { source: DependencySource::RequirementsTxt, list, lock: None, notices: Vec::new() }
}

fn program(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
