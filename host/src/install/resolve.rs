//! Requirements -> [`Lock`], by the pinned `uv` in a process of its own.
//!
//! The resolver reads metadata only: it is told to use wheels and never to build, so no code of
//! a package runs. It inherits nothing of our environment but what [`PASSED_TO_RESOLVER`] names,
//! reads no configuration file, and writes only below the cache directory.
//!
//! [`PASSED_TO_RESOLVER`]: super::settings::PASSED_TO_RESOLVER

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fs_err as fs;
use tokio::process::Command;

use super::InstallError;
use super::choose::WheelName;
use super::error::Needed;
use super::explain;
use super::guest::GuestFiles;
use super::lock::{Lock, Locked};
use super::placeholder;
use super::settings::{InstallSettings, PYTHON_VERSION, RESOLVE_PLATFORM, UV_VERSION};
use super::standin::STAND_INS;
use crate::cache::trim;
use par_apkg::requirement::ProjectName;

/// One requirement of the agent, as it is handed to the resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: ProjectName,
    pub(super) line: String,
}

/// What the resolver says of each distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// The wheels there are of it, with their digests. To know the digest of a wheel in a directory, the resolver unpacks
    /// all of it.
    Wheels,
    /// Its version. The wheels of the result are for the caller to find.
    Version,
}

/// Resolves requirements for Python 3.14, to what the guest carries wherever that may be.
///
/// `extra` are directories of wheels that count as if the index had them.
///
/// What replaces a distribution of the guest may not suit those beside it, which an agent need
/// not name to use. So in that case the rest of the guest takes part in the resolution.
pub(super) async fn resolve(
    package: &str,
    wanted: &[Wanted],
    guest: &GuestFiles,
    settings: &InstallSettings,
    scratch: &Path,
    extra: &[&Path],
    detail: Detail,
) -> Result<Lock, InstallError> {
    let uv = find(settings).map_err(|error| error.needed_for(Needed::Versions(uncarried(wanted, guest))))?;
    let _kept = keep_cache(settings).await?;
    let run = Run { uv: &uv, package, guest, settings, scratch, extra, detail };
    // Another version is refused whatever it answers; it takes as long to say which it is as to begin.
    let (version, lock) = tokio::join!(check_version(&uv, settings), run.resolve(wanted));
    version?;
    let lock = lock?;
    let is_replaced =
        |locked: &Locked| guest.carried(&locked.name).is_some() && !guest.has(&locked.name, &locked.version);
    if !lock.distributions.iter().any(is_replaced) {
        return Ok(lock);
    }
    let is_absent = |name: &ProjectName| lock.distributions.iter().all(|locked| locked.name != *name);
    let rest = guest.all_carried().map(|(name, _)| name).filter(|name| is_absent(name));
    let rest = rest.map(|name| Wanted { name: name.clone(), line: name.to_string() });
    let all: Vec<Wanted> = wanted.iter().cloned().chain(rest).collect();
    match run.resolve(&all).await {
        // Nothing suits both: the agent has what it asked for, and not the rest.
        Err(InstallError::Unresolvable { .. }) => Ok(lock),
        other => other,
    }
}

/// What the guest does not have, in any version; all of it where a version is the matter.
fn uncarried(wanted: &[Wanted], guest: &GuestFiles) -> Vec<String> {
    let lines = |all: bool| {
        let other = wanted.iter().filter(move |wanted| all || guest.carried(&wanted.name).is_none());
        other.map(|wanted| wanted.line.clone()).collect::<Vec<_>>()
    };
    Some(lines(false)).filter(|other| !other.is_empty()).unwrap_or_else(|| lines(true))
}

/// One question to the resolver, but for the requirements.
struct Run<'a> {
    uv: &'a Path,
    package: &'a str,
    guest: &'a GuestFiles,
    settings: &'a InstallSettings,
    scratch: &'a Path,
    extra: &'a [&'a Path],
    detail: Detail,
}

impl Run<'_> {
    async fn resolve(&self, wanted: &[Wanted]) -> Result<Lock, InstallError> {
        match self.ask(wanted, true).await {
            // The first interpreter may be one the resolver cannot use; it looks for another itself.
            Err(InstallError::ResolverFailed { .. } | InstallError::NoInterpreter) => self.ask(wanted, false).await,
            other => other,
        }
    }

    /// Asks once; `named` with the interpreter named.
    async fn ask(&self, wanted: &[Wanted], named: bool) -> Result<Lock, InstallError> {
        let requirements: String = wanted.iter().map(|wanted| format!("{}\n", wanted.line)).collect();
        write(self.scratch, &requirements, &constraints(self.guest, self.settings))?;
        if self.settings.offline {
            placeholder::write_carried(self.guest, self.scratch)?;
        }
        let mut command = compile(self.uv, self.settings, self.guest, self.scratch);
        // An answer that exists already says what to prefer.
        let (file, preferences) = match self.detail {
            Detail::Wheels => (LOCK, preferred_in_lock(self.guest)),
            Detail::Version => (VERSIONS, preferred_versions(self.guest)),
        };
        fs::write(self.scratch.join(file), preferences).map_err(InstallError::cache)?;
        match self.detail {
            Detail::Wheels => command.args(["--format", "pylock.toml"]),
            Detail::Version => command.args(["--format", "requirements.txt", "--no-annotate"]),
        };
        command.args(["--output-file", file]);
        if let Some(interpreter) = interpreter(self.settings).filter(|_| named) {
            command.arg("--python").arg(interpreter);
        }
        for directory in self.extra {
            command.arg("--find-links").arg(directory);
        }
        let output = command.output().await.map_err(|source| InstallError::RunUv { uv: self.uv.to_owned(), source })?;
        let printed = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            let answer = String::from_utf8_lossy(&output.stdout);
            return Ok(match self.detail {
                Detail::Wheels => Lock::parse(&answer)?,
                Detail::Version => Lock::of_versions(&answer)?,
            });
        }
        let package = self.package.to_owned();
        if printed.contains("No solution found") {
            let unresolvable = explain::explain(&printed, wanted, self.guest);
            return Err(InstallError::Unresolvable { package, unresolvable });
        }
        if printed.contains("No interpreter found") {
            return Err(InstallError::NoInterpreter);
        }
        Err(InstallError::ResolverFailed { package, reason: explain::reason(&printed) })
    }
}

/// A lock with nothing but names and versions: those the guest has.
fn preferred_in_lock(guest: &GuestFiles) -> String {
    let mut text = String::from("lock-version = \"1.0\"\ncreated-by = \"par\"\npackages = [\n");
    for (name, version) in guest.preferred() {
        let _ = writeln!(text, "  {{ name = \"{name}\", version = \"{version}\" }},");
    }
    text + "]\n"
}

/// The same, one a line.
fn preferred_versions(guest: &GuestFiles) -> String {
    guest.preferred().iter().map(|(name, version)| format!("{name}=={version}\n")).collect()
}

/// Keeps out what a wheelhouse has of distributions that are tied to the guest: its wheels count
/// beside every index.
fn constraints(guest: &GuestFiles, settings: &InstallSettings) -> String {
    let entries = settings.wheelhouse.iter().flat_map(fs::read_dir).flatten().flatten();
    let names = entries.filter_map(|entry| WheelName::parse(entry.file_name().to_str()?));
    let (mut text, mut all) = (String::new(), BTreeSet::new());
    for name in names.filter(|name| guest.tied(name.distribution()).is_some()) {
        if !guest.has(name.distribution(), name.version()) {
            all.insert((name.distribution().clone(), name.version().to_owned()));
        }
    }
    for (name, version) in all {
        let _ = writeln!(text, "{name}!={version}");
    }
    text
}

fn write(scratch: &Path, requirements: &str, constraints: &str) -> Result<(), InstallError> {
    let excludes: String = STAND_INS.iter().map(|stand_in| format!("{}\n", stand_in.name)).collect();
    for (file, text) in [(REQUIREMENTS, requirements), (CONSTRAINTS, constraints), (EXCLUDES, excludes.as_str())] {
        fs::write(scratch.join(file), text).map_err(InstallError::cache)?;
    }
    Ok(())
}

/// Which requirements of the agent lead to a distribution, asked after [`resolve`] in the same `scratch`.
///
/// Only for error texts: when the resolver does not answer a second time, nobody is named.
pub(super) async fn requirers(
    name: &ProjectName,
    wanted: &[Wanted],
    guest: &GuestFiles,
    settings: &InstallSettings,
    scratch: &Path,
) -> Vec<String> {
    let (Ok(uv), Ok(_kept)) = (find(settings), keep_cache(settings).await) else { return Vec::new() };
    let output = compile(&uv, settings, guest, scratch).args(["--annotation-style", "line"]).output().await;
    match output {
        Ok(output) if output.status.success() => {
            explain::requirers(&String::from_utf8_lossy(&output.stdout), name, wanted)
        }
        _ => Vec::new(),
    }
}

/// The command all questions have in common. Distributions that are tied to the guest have no releases but its own.
fn compile(uv: &Path, settings: &InstallSettings, guest: &GuestFiles, scratch: &Path) -> Command {
    let mut command = command(uv, settings);
    command.current_dir(scratch).args(["pip", "compile", REQUIREMENTS]);
    command.args(["--constraints", CONSTRAINTS, "--excludes", EXCLUDES]);
    command.args(["--no-header", "--only-binary", ":all:"]);
    command.args(["--python-version", PYTHON_VERSION, "--python-platform", RESOLVE_PLATFORM]);
    command.args(["--no-config", "--no-progress", "--system-certs", "--color", "never"]);
    command.arg("--cache-dir").arg(settings.cache.join(RESOLVER_CACHE));
    if let Some(index) = guest.index() {
        // The first index that has a name is the only one that is asked for it.
        command.arg("--index").arg(index);
        for name in guest.all_tied().filter(|_| settings.offline) {
            command.arg("--find-links").arg(index.join(name.as_str()));
        }
    }
    if settings.offline {
        // An index would have what the guest carries.
        command.arg("--find-links").arg(scratch.join(placeholder::CARRIED));
    }
    wheels_from(&mut command, settings);
    command
}

/// Says where wheels come from.
pub(super) fn wheels_from(command: &mut Command, settings: &InstallSettings) {
    if settings.offline {
        command.args(["--offline", "--no-index"]);
    } else if let Some(index) = &settings.index {
        // As a variable, because the arguments of a process are open for every user to read.
        command.env("UV_DEFAULT_INDEX", index.expose().as_str());
    }
    if let Some(wheelhouse) = settings.wheelhouse.as_ref().filter(|directory| is_readable(directory)) {
        command.arg("--find-links").arg(wheelhouse);
    }
}

/// The same for `pip`, which has other names for it; and that no configuration of the machine is read.
pub(super) fn wheels_from_for_pip(command: &mut Command, settings: &InstallSettings) {
    command.env("PIP_CONFIG_FILE", "/dev/null");
    if settings.offline {
        command.arg("--no-index");
    } else if let Some(index) = &settings.index {
        command.env("PIP_INDEX_URL", index.expose().as_str());
    }
    if let Some((_, authorities)) = settings.resolver_environment.iter().find(|(name, _)| *name == "SSL_CERT_FILE") {
        command.env("PIP_CERT", authorities.expose());
    }
    if let Some(wheelhouse) = settings.wheelhouse.as_ref().filter(|directory| is_readable(directory)) {
        command.arg("--find-links").arg(wheelhouse);
    }
}

/// Whether a wheelhouse can be used: the resolver fails on one that cannot be listed.
pub(super) fn is_readable(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok()
}

/// Keeps what the resolver remembers from being removed while it runs.
async fn keep_cache(settings: &InstallSettings) -> Result<std::fs::File, InstallError> {
    let directory = settings.cache.join(RESOLVER_CACHE);
    let kept = tokio::task::spawn_blocking(move || trim::lease(&directory)).await;
    kept.map_err(std::io::Error::other).flatten().map_err(InstallError::cache)
}

/// Where the resolver keeps what it remembers, below the cache directory. What lies there is its own affair, so
/// it goes as a whole.
pub const RESOLVER_CACHE: &str = "uv";

const REQUIREMENTS: &str = "requirements.in";
const CONSTRAINTS: &str = "constraints.txt";
const LOCK: &str = "pylock.toml";
const VERSIONS: &str = "versions.txt";
const EXCLUDES: &str = "excludes.txt";

/// Some interpreter. The resolver, left to itself, asks every one there is whether it is the version it resolves for, and
/// then takes any: that takes longer than resolving.
fn interpreter(settings: &InstallSettings) -> Option<PathBuf> {
    let directories = || settings.search_path.iter().flat_map(std::env::split_paths);
    let names = [format!("python{PYTHON_VERSION}"), "python3".to_owned()];
    names.iter().flat_map(|name| directories().map(move |directory| directory.join(name))).find(|path| path.is_file())
}

/// The `uv` to run: the configured one, else the one this release's recipe installs, else the search path.
pub(super) fn find(settings: &InstallSettings) -> Result<PathBuf, InstallError> {
    if let Some(uv) = &settings.uv {
        return if uv.is_file() {
            Ok(uv.clone())
        } else {
            Err(InstallError::NoUv { asked: Some(uv.clone()), needed: Needed::Unsaid })
        };
    }
    let pinned = settings.cache.join(format!("tools/uv-{UV_VERSION}/bin/uv"));
    let on_path = settings.search_path.iter().flat_map(std::env::split_paths).map(|directory| directory.join("uv"));
    std::iter::once(pinned)
        .chain(on_path)
        .find(|path| path.is_file())
        .ok_or(InstallError::NoUv { asked: None, needed: Needed::Unsaid })
}

pub(super) async fn check_version(uv: &Path, settings: &InstallSettings) -> Result<(), InstallError> {
    let output = command(uv, settings)
        .arg("--version")
        .output()
        .await
        .map_err(|source| InstallError::RunUv { uv: uv.to_owned(), source })?;
    let printed = String::from_utf8_lossy(&output.stdout);
    match printed.split_whitespace().nth(1) {
        Some(version) if version == UV_VERSION => Ok(()),
        other => Err(InstallError::UvVersion { uv: uv.to_owned(), got: other.unwrap_or("nothing").to_owned() }),
    }
}

/// A process that has no environment but what the resolver needs, and dies with its caller.
pub(super) fn command(uv: &Path, settings: &InstallSettings) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the resolver is the one program that installing runs")]
    let mut command = Command::new(uv);
    command.env_clear();
    command.env("UV_PYTHON_DOWNLOADS", "never");
    // The resolver insists on finding some interpreter before it resolves for another.
    command.env("PATH", settings.search_path.as_deref().unwrap_or_default());
    command.envs(settings.resolver_environment.iter().map(|(name, value)| (name, value.expose())));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}
