//! Requirements -> [`Venv`]: for the native backend, by the same pinned `uv`, from wheels alone. Where there is no `uv`,
//! the `pip` of the interpreter does it: `tool.rs`.
//!
//! Nothing of a wheel runs while it is installed: there is no build, and the interpreter that runs the agent later
//! reads no `.pth` files. A venv is named by the digest of its lock, complete or absent, and found by an index of
//! requirements, so that a package that was installed once starts without resolver and network.

mod tool;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use par_apkg::digest::{Hasher, Sha256};
use par_apkg::requirement::{ProjectName, Requirements};
use serde::{Deserialize, Serialize};

use tool::{Failed, Making, Tool};

use super::error::Unresolvable;
use super::host_python::HostPython;
use super::judge::Runs;
use super::pins::Pins;
use super::resolve::Wanted;
use super::{Install, InstallError, Installer, explain, requirements_digest, wanted};
use crate::cache::trim;

/// Where venvs lie below the cache directory.
const PLACE: &str = "venvs";

/// Written last, so a venv without it is not one.
const MARKER: &str = ".pixell_venv_metadata.json";

/// There once all of it has bytecode, and locked by who makes that.
const COMPILED: &str = ".compiled";
const COMPILING: &str = ".compiling";

const MAKING: &str = ".making-";

/// Raised whenever the same lock would become another venv.
const RULE: u32 = 1;

/// How venvs lie in the cache, for whoever trims it.
pub const VENVS: trim::Shelf =
    trim::Shelf { place: PLACE, kind: trim::Kind::Directories { marker: MARKER, going: MAKING }, companion: None };

/// Why an agent cannot run in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Normalised name of the distribution.
    pub distribution: String,
    /// Its version, where one was found.
    pub version: String,
    /// The file that decided, where it was one.
    pub file: String,
    /// Why, as the rest of the sentence.
    pub because: String,
}

/// A virtual environment of the host's CPython, complete and held.
#[derive(Debug, Clone)]
pub struct Venv {
    directory: PathBuf,
    python: HostPython,
    distributions: usize,
    /// Keeps it from being removed.
    _lease: Arc<fs::File>,
}

impl Venv {
    /// The root, with `pyvenv.cfg`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its programs.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.directory.join("bin")
    }

    /// The interpreter it belongs to.
    #[must_use]
    pub fn python(&self) -> &HostPython {
        &self.python
    }

    /// What was installed.
    #[must_use]
    pub fn site_packages(&self) -> PathBuf {
        self.directory.join("lib").join(format!("python{}", self.python.series)).join("site-packages")
    }

    /// The right to compile it, which one process at a time has, and only once; held as long as the result is open.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn begin_compiling(&self) -> io::Result<Option<fs::File>> {
        if self.directory.join(COMPILED).exists() {
            return Ok(None);
        }
        let lock = fs::File::create(self.directory.join(COMPILING))?;
        Ok(lock.file().try_lock().is_ok().then_some(lock))
    }

    /// Notes that it is compiled, once that is on disk. Blocks.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn complete_compiling(&self, alone: &fs::File) -> io::Result<()> {
        rustix::fs::syncfs(alone.file())?;
        fs::write(self.directory.join(COMPILED), "")
    }

    /// How many distributions it has.
    #[must_use]
    pub fn distributions(&self) -> usize {
        self.distributions
    }
}

/// The marker file; the names are those of earlier runtimes.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    package_id: String,
    requirements_sha256: String,
    created_at: String,
    python_version: String,
    lock_sha256: String,
    distributions: usize,
}

impl Installer<'_> {
    /// What says that an agent cannot run in the sandbox: every distribution with native code that was not built for
    /// it. `error` is what the attempt to make a layer came to. `None` when another backend would not help.
    ///
    /// # Errors
    /// As [`Installer::judge`].
    pub async fn reasons(
        &self,
        package: &str,
        requirements: &Requirements,
        error: &InstallError,
    ) -> Result<Option<Vec<Reason>>, InstallError> {
        match error {
            InstallError::NativeCode { .. } => {}
            InstallError::Unresolvable { unresolvable, .. } => return Ok(unresolvable_reason(unresolvable)),
            _ => return Ok(None),
        }
        let judged = self.judge(package, requirements).await?;
        let native = judged.into_iter().filter(|one| one.runs == Runs::Native).map(|one| Reason {
            distribution: one.name,
            version: one.version,
            file: one.file.unwrap_or_default(),
            because: one.because,
        });
        let reasons: Vec<Reason> = native.collect();
        self.remember_reasons(package, requirements, &reasons)?;
        Ok(Some(reasons))
    }

    /// The reasons of an earlier start with the same requirements and settings.
    ///
    /// # Errors
    /// When the lock of the package cannot be read.
    pub fn known_reasons(
        &self,
        package: &str,
        requirements: &Requirements,
    ) -> Result<Option<Vec<Reason>>, InstallError> {
        let path = self.reasons_path(package, requirements)?;
        let reasons = fs::read(path).ok().and_then(|text| serde_json::from_slice::<Vec<Reason>>(&text).ok());
        Ok(reasons.filter(|reasons| !reasons.is_empty()))
    }

    fn remember_reasons(
        &self,
        package: &str,
        requirements: &Requirements,
        reasons: &[Reason],
    ) -> Result<(), InstallError> {
        let path = self.reasons_path(package, requirements)?;
        let text = serde_json::to_string(reasons).map_err(|error| InstallError::cache(io::Error::other(error)))?;
        write(&path, &text).map_err(InstallError::cache)
    }

    fn reasons_path(&self, package: &str, requirements: &Requirements) -> Result<PathBuf, InstallError> {
        let pins = Pins::of(package, requirements)?;
        let lock_text = requirements.lock.as_deref().unwrap_or_default();
        let install = Install { package, wanted: wanted(requirements), pins, lock_text, installer: *self };
        Ok(self.settings.cache.join(PLACE).join("reasons").join(install.key().to_hex()))
    }

    /// The host's Python, where it can have everything a package requires and the sandbox cannot, as `error` says.
    /// `extra` is as for [`Installer::venv`]. Resolves, and installs nothing.
    ///
    /// # Errors
    /// When the lock of the package cannot be read.
    pub async fn elsewhere(
        &self,
        package: &str,
        requirements: &Requirements,
        extra: &[&str],
        error: &InstallError,
    ) -> Result<Option<HostPython>, InstallError> {
        if !matches!(error, InstallError::Unresolvable { unresolvable, .. } if unresolvable_reason(unresolvable).is_some())
        {
            return Ok(None);
        }
        let Ok(python) = HostPython::find(self.settings).await else { return Ok(None) };
        let building = self.building(package, requirements, extra, python.clone())?;
        let found = self.in_time(package, building.solve()).await;
        Ok(found.is_ok().then_some(python))
    }

    /// Makes the venv that meets the requirements of a package, or finds the one that does. `extra` is what the
    /// backend needs itself where the package does not say a version.
    ///
    /// # Errors
    /// [`InstallError`]; nothing is left behind.
    pub async fn venv(
        &self,
        package: &str,
        requirements: &Requirements,
        extra: &[&str],
        python: HostPython,
    ) -> Result<Venv, InstallError> {
        let building = self.building(package, requirements, extra, python)?;
        self.in_time(package, building.run()).await
    }

    fn building<'a>(
        &'a self,
        package: &'a str,
        requirements: &Requirements,
        extra: &[&str],
        python: HostPython,
    ) -> Result<Building<'a>, InstallError> {
        let mut wanted = wanted(requirements);
        for name in extra.iter().filter_map(|name| ProjectName::parse(name)) {
            if wanted.iter().all(|wanted| wanted.name != name) {
                wanted.push(Wanted { line: name.to_string(), name });
            }
        }
        let pins = Pins::of(package, requirements)?;
        Ok(Building { package, wanted, pins, python, installer: *self })
    }
}

fn unresolvable_reason(unresolvable: &Unresolvable) -> Option<Vec<Reason>> {
    let (which, because) = match unresolvable {
        Unresolvable::ContradictsGuest { carried, .. } => (carried, "the sandbox has no other version of it"),
        Unresolvable::NoWheel { which, .. } => (which, "it has no wheel for the Python of the sandbox"),
        _ => return None,
    };
    let (name, version) = which.split_once("==").unwrap_or((which, ""));
    let (distribution, version) = (name.to_owned(), version.to_owned());
    Some(vec![Reason { distribution, version, file: String::new(), because: because.to_owned() }])
}

/// One venv that is made.
struct Building<'a> {
    package: &'a str,
    wanted: Vec<Wanted>,
    pins: Option<Pins>,
    python: HostPython,
    installer: Installer<'a>,
}

impl Building<'_> {
    async fn run(self) -> Result<Venv, InstallError> {
        let cache = std::path::absolute(&self.installer.settings.cache).map_err(InstallError::cache)?;
        let place = cache.join(PLACE);
        fs::create_dir_all(&place).map_err(InstallError::cache)?;
        let index = place.join("index").join(self.key().to_hex());
        if let Some(venv) = fs::read_to_string(&index).ok().and_then(|name| self.find(&place, name.trim())) {
            tracing::info!(venv = %venv.directory.display(), "Virtual environment reused");
            return Ok(venv);
        }
        let making = tempfile::Builder::new().prefix(MAKING).tempdir_in(&place).map_err(InstallError::cache)?;
        let settings = self.installer.settings;
        let tool = Tool::find(settings, &self.python, &place).await?;
        let with = Making { tool: &tool, python: &self.python, settings, scratch: making.path() };
        let lock = self.lock(&with).await?;
        let digest = self.digest(&lock).to_hex();
        let venv = match self.find(&place, &digest) {
            Some(venv) => venv,
            None => self.make(with, &place, &lock, &digest).await?,
        };
        write(&index, &digest).map_err(InstallError::cache)?;
        Ok(venv)
    }

    /// Whether there is a lock.
    async fn solve(self) -> Result<(), InstallError> {
        let settings = self.installer.settings;
        let place = std::path::absolute(&settings.cache).map_err(InstallError::cache)?.join(PLACE);
        fs::create_dir_all(&place).map_err(InstallError::cache)?;
        let making = tempfile::Builder::new().prefix(MAKING).tempdir_in(&place).map_err(InstallError::cache)?;
        let tool = Tool::find(settings, &self.python, &place).await?;
        let with = Making { tool: &tool, python: &self.python, settings, scratch: making.path() };
        self.lock(&with).await.map(drop)
    }

    /// What the resolver or the package says is installed.
    async fn lock(&self, with: &Making<'_>) -> Result<String, InstallError> {
        if let Some(pins) = &self.pins {
            return Ok(hashed(pins));
        }
        let requirements: String = self.wanted.iter().map(|wanted| format!("{}\n", wanted.line)).collect();
        with.resolve(&requirements).await.map_err(|failed| self.failed(failed))
    }

    /// A venv that is there, complete, and not being removed.
    fn find(&self, place: &Path, name: &str) -> Option<Venv> {
        let is_name = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let directory = is_name.then(|| place.join(name))?;
        let mut file = fs::File::open(directory.join(MARKER)).ok()?;
        trim::hold(file.file()).ok()?;
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let marker: Marker = serde_json::from_str(&text).ok()?;
        if marker.lock_sha256 != name || marker.python_version != self.python.version {
            return None;
        }
        trim::touch(file.file());
        let python = self.python.clone();
        Some(Venv { directory, python, distributions: marker.distributions, _lease: Arc::new(file) })
    }

    #[expect(clippy::disallowed_methods, reason = "the marker says when it was made")]
    async fn make(&self, with: Making<'_>, place: &Path, lock: &str, digest: &str) -> Result<Venv, InstallError> {
        let directory = with.install(lock).await.map_err(|failed| self.failed(failed))?;
        let marker = Marker {
            package_id: self.package.to_owned(),
            requirements_sha256: requirements_digest(&self.wanted).to_hex(),
            created_at: jiff::Timestamp::now().to_string(),
            python_version: self.python.version.clone(),
            lock_sha256: digest.to_owned(),
            distributions: lock.lines().filter(|line| line.contains("==")).count(),
        };
        let text =
            serde_json::to_string_pretty(&marker).map_err(|error| InstallError::cache(io::Error::other(error)))?;
        fs::write(directory.join(MARKER), text).map_err(InstallError::cache)?;
        let target = place.join(digest);
        if target.exists() && self.find(place, digest).is_none() {
            // What is left of one that was half removed.
            fs::remove_dir_all(&target).map_err(InstallError::cache)?;
        }
        match fs::rename(&directory, &target) {
            // Another process was faster, and made the same.
            Err(_) if target.exists() => {}
            other => other.map_err(InstallError::cache)?,
        }
        let gone = || InstallError::cache(io::Error::other("the virtual environment that was made is gone"));
        let venv = self.find(place, digest).ok_or_else(gone)?;
        tracing::info!(
            venv = %venv.directory.display(),
            distributions = venv.distributions,
            python = self.python.version,
            "Virtual environment created"
        );
        Ok(venv)
    }

    fn failed(&self, failed: Failed) -> InstallError {
        match failed {
            Failed::Tool(error) => error,
            Failed::Said(printed) => {
                let reason = explain::reason(&String::from_utf8_lossy(&printed));
                InstallError::ResolverFailed { package: self.package.to_owned(), reason }
            }
        }
    }

    /// Equal when nothing that could lead to another lock has changed.
    fn key(&self) -> Sha256 {
        let mut hasher = Hasher::default();
        hasher.update(format!("venv {RULE}\n"));
        hasher.update(self.python_identity());
        match &self.pins {
            Some(pins) => hasher.update(hashed(pins)),
            None => {
                let settings = self.installer.settings;
                let index = settings.index.as_ref().map(|index| index.expose().to_string());
                let wheelhouse = settings.wheelhouse.as_ref().map(|path| path.display().to_string());
                for place in [index, wheelhouse] {
                    hasher.update(Sha256::of(place.unwrap_or_default()).as_bytes());
                }
                hasher.update([u8::from(settings.offline)]);
            }
        }
        hasher.update(requirements_digest(&self.wanted).as_bytes());
        hasher.finish()
    }

    fn digest(&self, lock: &str) -> Sha256 {
        let mut hasher = Hasher::default();
        hasher.update(format!("venv {RULE}\n{}", self.python_identity()));
        hasher.update(lock);
        hasher.finish()
    }

    fn python_identity(&self) -> String {
        let HostPython { executable, version, platform, .. } = &self.python;
        format!("{} {version} {platform}\n", executable.display())
    }
}

/// Requirements with the digests a package pins.
fn hashed(pins: &Pins) -> String {
    let line = |pin: &super::pins::Pin| {
        let hashes: String = pin.files.iter().map(|file| format!(" --hash=sha256:{}", file.digest.to_hex())).collect();
        format!("{}=={}{hashes}\n", pin.name, pin.version)
    };
    pins.list.iter().map(line).collect()
}

/// Writes a file in one step.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;

    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}
