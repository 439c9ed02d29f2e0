//! `par wheelhouse`: the wheels that are tried before the package index.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use par_apkg::requirement::{DependencySource, Requirements};
use par_sandbox::NoAudit;

use super::error::BootError;
use super::installing::Tools;
use super::locking::{runtime, say};
use super::opening;
use crate::cli;
use crate::config::{Environment, Installing};
use crate::install::wheelhouse::{Statistics, Wheelhouse};

/// Does what was asked; says what to print.
pub(super) fn run(command: &cli::Wheelhouse, directory: Option<PathBuf>) -> Result<String, BootError> {
    let mut config = Installing::parse(&Environment::of_process()).map_err(BootError::Configuration)?;
    let directory = directory.or_else(|| config.install.wheelhouse.clone()).ok_or(BootError::NoWheelhouse)?;
    config.install.wheelhouse = Some(directory.clone());
    match command {
        cli::Wheelhouse::List => Ok(list(&Wheelhouse::open(&directory)?)),
        cli::Wheelhouse::Info => Ok(info(&directory, Wheelhouse::open(&directory)?.statistics())),
        cli::Wheelhouse::Add { what } => add(&config, &directory, what),
        cli::Wheelhouse::Clear => {
            let wheelhouse = Wheelhouse::open(&directory)?;
            wheelhouse.clear()?;
            let Statistics { wheels, bytes, .. } = wheelhouse.statistics();
            Ok(format!("removed {wheels} wheels, {}\n", size(bytes)))
        }
    }
}

fn list(wheelhouse: &Wheelhouse) -> String {
    let mut text = String::new();
    for wheel in wheelhouse.wheels() {
        let _ = writeln!(text, "{} {}  {}", wheel.name.distribution(), wheel.name.version(), wheel.name);
    }
    for file in wheelhouse.ignored() {
        let _ = writeln!(text, "ignored: {}", crate::telemetry::visible(file));
    }
    text
}

fn info(directory: &Path, statistics: Statistics) -> String {
    let Statistics { wheels, distributions, in_several_versions, bytes, ignored } = statistics;
    format!(
        "directory      {}\nwheels         {wheels}\ndistributions  {distributions}, {in_several_versions} in several versions\n\
         size           {}\nignored        {ignored}\n",
        directory.display(),
        size(bytes),
    )
}

fn size(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20)
}

fn add(config: &Installing, directory: &Path, what: &[String]) -> Result<String, BootError> {
    let mut added = Vec::new();
    let mut requirements = nothing();
    for each in what {
        let path = Path::new(each);
        let is_wheel = path.extension().is_some_and(|extension| extension == "whl");
        if is_wheel && opening::is_url(path) {
            return Err(BootError::WheelAtUrl);
        } else if is_wheel {
            added.push(Wheelhouse::add_file(directory, path)?.to_string());
        } else if path.exists() || opening::is_url(path) {
            let scratch = tempfile::tempdir().map_err(BootError::System)?;
            let package = opening::open(path, &config.fetch, scratch.path())?;
            added.extend(fetch(config, directory, &package.manifest.name, &package.requirements)?);
        } else {
            let requirement = each.parse();
            requirements
                .list
                .push(requirement.map_err(|source| BootError::NothingToAdd { what: each.clone(), source })?);
        }
    }
    if !requirements.list.is_empty() {
        added.extend(fetch(config, directory, "the wheelhouse", &requirements)?);
    }
    Ok(added.iter().map(|file| format!("added {file}\n")).collect())
}

fn nothing() -> Requirements {
    Requirements { source: DependencySource::RequirementsTxt, list: Vec::new(), lock: None, notices: Vec::new() }
}

/// Fetches the wheels requirements lead to, and adds them.
fn fetch(
    config: &Installing,
    directory: &Path,
    name: impl std::fmt::Display,
    requirements: &Requirements,
) -> Result<Vec<String>, BootError> {
    let wheels = runtime()?.block_on(async {
        let tools = Tools::open(&config.cache_dir, &config.guest_dir, config.limits, Arc::new(NoAudit)).await?;
        let installer = tools.installer(&config.install, &say);
        Ok::<_, BootError>(installer.wheels(&name.to_string(), requirements).await?)
    })?;
    let mut added = Vec::new();
    for (name, mut content) in wheels {
        Wheelhouse::add(directory, &name, &mut content)?;
        added.push(name.to_string());
    }
    Ok(added)
}
