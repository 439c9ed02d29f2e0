//! What fills a venv: `uv`, or where there is none the `pip` that comes with the interpreter.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use par_apkg::digest::Sha256;
use serde::Deserialize;
use tokio::process::Command;

use super::super::host_python::HostPython;
use super::super::{InstallError, InstallSettings, resolve};

/// Where the `pip` of an interpreter lies below the place of venvs, in a venv of its own: neither the system nor an
/// agent has it.
const PIPS: &str = "pips";

/// What is asked for, in the directory everything is made in.
const WANTED: &str = "requirements.in";

/// What `pip` would install.
const REPORT: &str = "report.json";

/// A program that resolves and installs.
#[derive(Debug)]
pub(super) enum Tool {
    /// `uv`.
    Uv(PathBuf),
    /// An interpreter that has `pip`.
    Pip(PathBuf),
}

/// How a program failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// It, or what surrounds it, is not there.
    Tool(InstallError),
    /// It ran, and printed this.
    Said(Vec<u8>),
}

impl<E: Into<InstallError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Tool(error.into())
    }
}

/// One venv that is being made, and with what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) tool: &'a Tool,
    pub(super) python: &'a HostPython,
    pub(super) settings: &'a InstallSettings,
    /// An empty directory for all of it.
    pub(super) scratch: &'a Path,
}

impl Tool {
    /// `uv` in the version PAR was tested with; without one, the `pip` of the interpreter. `place` is where venvs lie.
    ///
    /// # Errors
    /// [`InstallError::UvVersion`] for another version, [`InstallError::NoUv`] when the operator named one that is not
    /// there, and [`InstallError::NoPip`] when there is neither.
    pub(super) async fn find(
        settings: &InstallSettings,
        python: &HostPython,
        place: &Path,
    ) -> Result<Self, InstallError> {
        match resolve::find(settings) {
            Ok(uv) => {
                resolve::check_version(&uv, settings).await?;
                Ok(Self::Uv(uv))
            }
            Err(InstallError::NoUv { asked: None, .. }) => Ok(Self::Pip(pip(settings, python, place).await?)),
            Err(other) => Err(other),
        }
    }

    fn program(&self) -> &Path {
        let (Self::Uv(program) | Self::Pip(program)) = self;
        program
    }
}

/// The interpreter with `pip`, made once.
async fn pip(settings: &InstallSettings, python: &HostPython, place: &Path) -> Result<PathBuf, InstallError> {
    let identity = format!("{} {}", python.executable.display(), python.version);
    let kept = place.join(PIPS).join(Sha256::of(identity).to_hex());
    let program = kept.join("bin/python");
    if program.exists() {
        return Ok(program);
    }
    let parent = place.join(PIPS);
    fs::create_dir_all(&parent).map_err(InstallError::cache)?;
    let making = tempfile::Builder::new().prefix(super::MAKING).tempdir_in(&parent).map_err(InstallError::cache)?;
    let mut command = resolve::command(&python.executable, settings);
    command.args(["-I", "-m", "venv"]).arg(making.path().join("venv"));
    let made = command.output().await.is_ok_and(|output| output.status.success());
    if !made {
        return Err(InstallError::NoPip { python: python.executable.clone() });
    }
    match fs::rename(making.path().join("venv"), &kept) {
        // Another process was faster, and made the same.
        Err(_) if program.exists() => {}
        other => other.map_err(InstallError::cache)?,
    }
    Ok(program)
}

impl Making<'_> {
    /// The venv, still empty.
    fn venv(&self) -> PathBuf {
        self.scratch.join("venv")
    }

    /// Every distribution that meets the requirements, one a line, with its version and the digests of its files.
    pub(super) async fn resolve(&self, requirements: &str) -> Result<String, Failed> {
        fs::write(self.scratch.join(WANTED), requirements).map_err(InstallError::cache)?;
        match self.tool {
            Tool::Uv(_) => {
                let mut command = self.uv();
                command.args(["pip", "compile", WANTED, "--generate-hashes", "--no-header", "--no-annotate"]);
                self.wheels_for_uv(&mut command);
                command.arg("--python").arg(&self.python.executable);
                Ok(String::from_utf8_lossy(&self.run(command).await?).into_owned())
            }
            Tool::Pip(_) => {
                self.make_empty().await?;
                let mut command = self.pip();
                command.args(["install", "--dry-run", "--ignore-installed", "--report", REPORT, "-r", WANTED]);
                self.wheels_for_pip(&mut command);
                self.run(command).await?;
                let report = fs::read(self.scratch.join(REPORT)).map_err(InstallError::cache)?;
                let report: Report = serde_json::from_slice(&report).map_err(|error| {
                    InstallError::cache(io::Error::other(format!("the report of `pip` cannot be read: {error}")))
                })?;
                Ok(report.lock())
            }
        }
    }

    /// Makes a venv with exactly what a lock names; nothing at all for an empty one.
    pub(super) async fn install(&self, lock: &str) -> Result<PathBuf, Failed> {
        let path = self.scratch.join("requirements.txt");
        fs::write(&path, lock).map_err(InstallError::cache)?;
        if !self.venv().exists() {
            self.make_empty().await?;
        }
        if lock.trim().is_empty() {
            return Ok(self.venv());
        }
        let command = match self.tool {
            Tool::Uv(_) => {
                let mut command = self.uv();
                command.args(["pip", "install", "--no-deps", "--require-hashes", "--link-mode", "copy"]);
                self.wheels_for_uv(&mut command);
                command.arg("--python").arg(self.venv().join("bin/python")).arg("-r").arg(&path);
                command
            }
            Tool::Pip(_) => {
                let mut command = self.pip();
                command.args(["install", "--no-deps", "--require-hashes", "--no-compile", "--no-warn-script-location"]);
                self.wheels_for_pip(&mut command);
                command.arg("-r").arg(&path);
                command
            }
        };
        self.run(command).await?;
        Ok(self.venv())
    }

    async fn make_empty(&self) -> Result<(), Failed> {
        let command = match self.tool {
            Tool::Uv(_) => {
                let mut command = self.uv();
                command.args(["venv", "--no-config", "--no-project", "--offline", "--color", "never"]);
                command.arg("--python").arg(&self.python.executable).arg(self.venv());
                command
            }
            Tool::Pip(_) => {
                let mut command = resolve::command(&self.python.executable, self.settings);
                command.args(["-I", "-m", "venv", "--without-pip"]).arg(self.venv());
                command
            }
        };
        self.run(command).await?;
        Ok(())
    }

    fn uv(&self) -> Command {
        let mut command = resolve::command(self.tool.program(), self.settings);
        command.current_dir(self.scratch);
        command
    }

    /// Without any configuration of the machine or its user, for the venv that is made.
    fn pip(&self) -> Command {
        let mut command = resolve::command(self.tool.program(), self.settings);
        command.current_dir(self.scratch);
        command.args(["-I", "-m", "pip", "--no-input", "--disable-pip-version-check", "--no-color"]);
        command.arg("--quiet").arg("--cache-dir").arg(self.settings.cache.join("pip"));
        command.arg("--python").arg(self.venv().join("bin/python"));
        command
    }

    /// Where wheels come from, and that there is nothing else.
    fn wheels_for_uv(&self, command: &mut Command) {
        command.args(["--only-binary", ":all:", "--no-config", "--no-progress", "--system-certs", "--color", "never"]);
        command.arg("--cache-dir").arg(self.settings.cache.join("uv"));
        resolve::wheels_from(command, self.settings);
    }

    fn wheels_for_pip(&self, command: &mut Command) {
        command.args(["--only-binary", ":all:", "--progress-bar", "off"]);
        resolve::wheels_from_for_pip(command, self.settings);
    }

    async fn run(&self, mut command: Command) -> Result<Vec<u8>, Failed> {
        let program = self.tool.program().to_owned();
        let output = command.output().await.map_err(|source| InstallError::RunUv { uv: program, source })?;
        if output.status.success() { Ok(output.stdout) } else { Err(Failed::Said(output.stderr)) }
    }
}

/// What `pip install --report` writes, as far as it is read here.
#[derive(Debug, Deserialize)]
struct Report {
    install: Vec<Chosen>,
}

#[derive(Debug, Deserialize)]
struct Chosen {
    metadata: Metadata,
    download_info: Download,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Debug, Deserialize)]
struct Download {
    #[serde(default)]
    archive_info: Archive,
}

#[derive(Debug, Default, Deserialize)]
struct Archive {
    #[serde(default)]
    hashes: std::collections::BTreeMap<String, String>,
    /// What earlier versions write: `sha256=...`.
    #[serde(default)]
    hash: Option<String>,
}

impl Report {
    /// The same as requirements. What has no digest is refused when it is installed.
    fn lock(&self) -> String {
        let mut lines: Vec<String> = self.install.iter().map(Chosen::line).collect();
        lines.sort();
        lines.concat()
    }
}

impl Chosen {
    fn line(&self) -> String {
        let Archive { hashes, hash } = &self.download_info.archive_info;
        let digest = hashes.get("sha256").map(String::as_str);
        let digest = digest.or_else(|| hash.as_deref()?.strip_prefix("sha256="));
        let pinned: String = digest.map(|digest| format!(" --hash=sha256:{digest}")).unwrap_or_default();
        format!("{}=={}{pinned}\n", self.metadata.name, self.metadata.version)
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn a_report_of_pip_is_a_lock() {
        let text = r#"{"version": "1", "install": [
            {"metadata": {"name": "numpy", "version": "2.1"}, "download_info": {"url": "https://x", "archive_info": {"hash": "sha256=bb"}}},
            {"metadata": {"name": "idna", "version": "3.7"}, "download_info": {"url": "https://y", "archive_info": {"hashes": {"sha256": "aa"}}}},
            {"metadata": {"name": "own", "version": "1"}, "download_info": {"url": "file:///z", "dir_info": {}}}
        ]}"#;

        let report: Report = serde_json::from_str(text).unwrap();

        assert_eq!(report.lock(), "idna==3.7 --hash=sha256:aa\nnumpy==2.1 --hash=sha256:bb\nown==1\n");
    }
}
