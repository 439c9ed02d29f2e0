//! The CPython of the host that runs native agents.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fs_err as fs;
use par_apkg::digest::Sha256;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::{InstallError, InstallSettings};

/// The oldest version agents are run with.
const OLDEST: (u8, u8) = (3, 11);

/// Names it has on a search path, best first.
const NAMES: [&str; 5] = ["python3.14", "python3.13", "python3.12", "python3.11", "python3"];

/// What an interpreter is asked. It runs isolated, and nothing of any agent is near.
const QUESTION: &str = "
import json, os, sys, sysconfig
print(json.dumps({
    'implementation': sys.implementation.name,
    'major': sys.version_info[0], 'minor': sys.version_info[1], 'version': sys.version.split()[0],
    'executable': os.path.realpath(sys.executable), 'prefix': sys.base_prefix,
    'platform': sysconfig.get_platform(),
}))";

/// An interpreter that was asked what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPython {
    /// The program.
    pub executable: PathBuf,
    /// `3.12.1`.
    pub version: String,
    /// `3.12`.
    pub series: String,
    /// Where its own library lies.
    pub prefix: PathBuf,
    /// `linux-x86_64`.
    pub platform: String,
}

#[derive(Deserialize)]
struct Answer {
    implementation: String,
    major: u8,
    minor: u8,
    version: String,
    executable: PathBuf,
    prefix: PathBuf,
    platform: String,
}

impl HostPython {
    /// The one the operator named, else the first on the search path that is new enough.
    ///
    /// # Errors
    /// [`InstallError::NoPython`].
    pub async fn find(settings: &InstallSettings) -> Result<Self, InstallError> {
        let known = Known::at(settings);
        if let Some(python) = known.read() {
            return Ok(python);
        }
        let python = Self::look(settings).await?;
        known.write(&python);
        Ok(python)
    }

    async fn look(settings: &InstallSettings) -> Result<Self, InstallError> {
        if let Some(asked) = &settings.python {
            let found = ask(asked).await;
            return found.ok_or_else(|| InstallError::NoPython { asked: Some(asked.clone()) });
        }
        let path = settings.search_path.clone().unwrap_or_default();
        for name in NAMES {
            for directory in std::env::split_paths(&path) {
                let candidate = directory.join(name);
                if candidate.is_file()
                    && let Some(found) = ask(&candidate).await
                {
                    return Ok(found);
                }
            }
        }
        Err(InstallError::NoPython { asked: None })
    }
}

/// What was found by an earlier start: an interpreter takes longer to ask than an agent to load.
struct Known {
    path: PathBuf,
}

/// The answer, and what the program was then.
#[derive(Serialize, Deserialize)]
struct Remembered {
    python: HostPython,
    size: u64,
    modified: i64,
}

impl Known {
    /// By where it was looked for.
    fn at(settings: &InstallSettings) -> Self {
        let asked = settings.python.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let path = settings.search_path.clone().unwrap_or_default();
        let name = Sha256::of(format!("{asked}\n{path}")).to_hex();
        Self { path: settings.cache.join("venvs/pythons").join(name) }
    }

    fn read(&self) -> Option<HostPython> {
        let Remembered { python, size, modified } = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        let metadata = fs::metadata(&python.executable).ok()?;
        (metadata.len() == size && metadata.mtime() == modified).then_some(python)
    }

    fn write(&self, python: &HostPython) {
        // Next time it is asked again, at worst.
        let _ = self.try_write(python);
    }

    fn try_write(&self, python: &HostPython) -> io::Result<()> {
        let metadata = fs::metadata(&python.executable)?;
        let (size, modified) = (metadata.len(), metadata.mtime());
        let text = serde_json::to_string(&Remembered { python: python.clone(), size, modified })?;
        super::venv::write(&self.path, &text)
    }
}

/// What an interpreter says it is; `None` for one that says nothing, or is not new enough.
async fn ask(python: &Path) -> Option<HostPython> {
    #[expect(clippy::disallowed_methods, reason = "the interpreter is asked what it is before it may run an agent")]
    let mut command = Command::new(python);
    command.args(["-I", "-S", "-B", "-c", QUESTION]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.ok()?;
    let answer: Answer = serde_json::from_slice(&output.stdout).ok()?;
    let is_usable = answer.implementation == "cpython" && (answer.major, answer.minor) >= OLDEST && answer.major == 3;
    is_usable.then(|| HostPython {
        executable: answer.executable,
        version: answer.version,
        series: format!("{}.{}", answer.major, answer.minor),
        prefix: answer.prefix,
        platform: answer.platform,
    })
}
