//! `par lock`: writes the lock of a package.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use par_sandbox::NoAudit;

use super::error::BootError;
use super::installing::Tools;
use super::opening;
use crate::config::{Environment, Installing};
use crate::install::Progress;

/// What a package's lock is called.
const FILE: &str = "pylock.toml";

/// Installs what a package requires, and writes down what that was.
pub(super) fn run(path: &Path, output: Option<&Path>) -> Result<String, BootError> {
    let config = Installing::parse(&Environment::of_process()).map_err(BootError::Configuration)?;
    let output = match output {
        Some(output) => output.to_owned(),
        None if path.is_dir() => path.join(FILE),
        None => return Err(BootError::NowhereToWrite),
    };
    let scratch = tempfile::tempdir().map_err(BootError::System)?;
    let package = opening::open(path, &config.fetch, scratch.path())?;
    let text = runtime()?.block_on(async {
        let tools = Tools::open(&config.cache_dir, &config.guest_dir, config.limits, Arc::new(NoAudit)).await?;
        let installer = tools.installer(&config.install, &say);
        Ok::<_, BootError>(installer.lock(package.manifest.name.as_str(), &package.requirements).await?)
    })?;
    if output == Path::new("-") {
        return Ok(text);
    }
    write(&output, &text).map_err(|source| BootError::Write { path: output.clone(), source })?;
    Ok(format!("{} wheels are locked in {}\n", text.matches("[[packages]]").count(), output.display()))
}

/// Replaces the file in one step: a lock is whole or not there.
pub(super) fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned);
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

/// What a command works on: one thread, for a person waits.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, BootError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(BootError::System)
}

/// Tells the person at the terminal what would otherwise pass in silence.
pub(super) fn say(step: Progress<'_>) {
    let text = match step {
        Progress::StandIn { name, because } => format!("{name} is not installed: {because}"),
        Progress::NoWheelhouse { directory } => format!("the wheelhouse `{}` cannot be read", directory.display()),
        Progress::Building { sdist } => format!("building {sdist} in the sandbox"),
        _ => return,
    };
    // Nobody is left to tell when this fails.
    let _ = writeln!(std::io::stderr(), "note: {}", crate::telemetry::visible(&text));
}
