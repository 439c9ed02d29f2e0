//! `par check --verdict`: where a package would run, and what says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cap_std::fs::Dir;
use par_sandbox::NoAudit;
use serde::Serialize;

use super::error::BootError;
use super::installing::Tools;
use super::{check, locking, opening};
use crate::backend::choice;
use crate::config::{Environment, Installing};
use crate::install::{HostPython, InstallError, Judged, Progress, Runs};
use crate::jobs::{Import, ImportKind};

/// Largest file that is parsed, and how many. Unit: bytes.
const LARGEST_SOURCE: u64 = 4 << 20;
const MOST_SOURCES: usize = 5000;

/// Everything that was found out about a package.
#[derive(Debug, Serialize)]
struct Verdict {
    package: String,
    version: String,
    /// `sandbox`, `native` or `none`.
    backend: &'static str,
    /// Why, in a sentence.
    because: String,
    /// The way out, where something stands in the way and there is one.
    hint: Option<String>,
    distributions: Vec<Row>,
    left_out: Vec<LeftOut>,
    imports: Vec<Import>,
}

/// One distribution.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    version: String,
    /// `sandbox`, `native` or `none`.
    runs: &'static str,
    /// The wheel that was looked into; none for what the guest carries.
    wheel: Option<String>,
    /// The file inside of it that decided.
    file: Option<String>,
    because: String,
}

/// A distribution that is not installed.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct LeftOut {
    name: String,
    because: &'static str,
}

/// For people.
pub(super) fn text(path: &Path) -> Result<String, BootError> {
    let described = check::describe(path)?;
    let verdict = find_out(path)?;
    let mut text = format!("{described}\nwhat it requires, and where that runs\n");
    for row in &verdict.distributions {
        let decided = match (&row.wheel, &row.file) {
            (Some(wheel), Some(file)) => format!("`{file}` in {wheel} is {}", row.because),
            (Some(wheel), None) => format!("{}, {wheel}", row.because),
            (None, _) => row.because.clone(),
        };
        line(&mut text, &format!("{:<8} {} {}: {decided}", row.runs, row.name, row.version));
    }
    for LeftOut { name, because } in &verdict.left_out {
        line(&mut text, &format!("left out {name}: {because}"));
    }
    if !verdict.imports.is_empty() {
        text.push_str("\nimports\n");
    }
    for import in &verdict.imports {
        line(&mut text, &sentence(import));
    }
    let _ = write!(text, "\nbackend: {}\n", verdict.backend);
    line(&mut text, &verdict.because);
    if let Some(hint) = &verdict.hint {
        line(&mut text, &format!("hint: {hint}"));
    }
    Ok(text)
}

/// For programs.
pub(super) fn json(path: &Path) -> Result<String, BootError> {
    let verdict = find_out(path)?;
    let text = serde_json::to_string_pretty(&verdict).map_err(|error| BootError::System(error.into()))?;
    Ok(text + "\n")
}

fn find_out(path: &Path) -> Result<Verdict, BootError> {
    let config = Installing::parse(&Environment::of_process()).map_err(BootError::Configuration)?;
    let scratch = tempfile::tempdir().map_err(BootError::System)?;
    let package = opening::open(path, &config.fetch, scratch.path())?;
    let left_out = Mutex::new(BTreeSet::new());
    let listen = |step: Progress<'_>| match step {
        Progress::StandIn { name, because } => {
            let one = LeftOut { name: name.to_owned(), because };
            left_out.lock().unwrap_or_else(PoisonError::into_inner).insert(one);
        }
        other => locking::say(other),
    };
    let sources = sources(&package.root).map_err(BootError::System)?;
    let deadline = Instant::now() + config.install.timeout;
    let (judged, imports) = locking::runtime()?.block_on(async {
        let tools = Tools::open(&config.cache_dir, &config.guest_dir, config.limits, Arc::new(NoAudit)).await?;
        let name = package.manifest.name.as_str();
        let (installer, requirements) = (tools.installer(&config.install, &listen), &package.requirements);
        let judged = match installer.judge(name, requirements).await {
            // What has no solution here may have one for another Python; that is a verdict, too.
            Err(error @ InstallError::Unresolvable { .. }) => {
                let extra = choice::needed_outside(&package);
                let python = installer.elsewhere(name, requirements, extra, &error).await?;
                Err(Unsolved { because: error.to_string(), hint: error.hint(), python })
            }
            judged => Ok(judged?),
        };
        let known = known(&sources, judged.as_deref().unwrap_or_default());
        let scanned = tools.jobs().scan(&sources, &known, deadline).await;
        let mut imports = scanned.map_err(|error| BootError::System(std::io::Error::other(error)))?;
        // Without a solution nobody knows what is brought.
        imports.retain(|import| judged.is_ok() || import.kind != ImportKind::NotInstalled);
        Ok::<_, BootError>((judged, imports))
    })?;
    let (backend, because) = sum(&judged, &imports);
    let hint = judged.as_ref().err().and_then(|unsolved| unsolved.hint.clone());
    Ok(Verdict {
        package: package.manifest.name.to_string(),
        version: package.manifest.version.to_string(),
        backend,
        because,
        hint,
        distributions: judged.unwrap_or_default().into_iter().map(Row::from).collect(),
        left_out: left_out.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect(),
        imports,
    })
}

impl From<Judged> for Row {
    fn from(judged: Judged) -> Self {
        let Judged { name, version, runs, wheel, file, because, modules: _ } = judged;
        let runs = match runs {
            Runs::Sandbox => "sandbox",
            Runs::Native => "native",
            Runs::Nowhere => "none",
        };
        Self { name, version, runs, wheel, file, because }
    }
}

/// Requirements without a solution in the sandbox.
struct Unsolved {
    because: String,
    hint: Option<String>,
    /// The host's Python that has one.
    python: Option<HostPython>,
}

/// The backend, and what decided. What is worst decides.
fn sum(judged: &Result<Vec<Judged>, Unsolved>, imports: &[Import]) -> (&'static str, String) {
    let judged = match judged {
        Ok(judged) => judged,
        Err(Unsolved { because, python: None, .. }) => return ("none", because.clone()),
        Err(Unsolved { because, python: Some(python), .. }) => {
            return ("native", format!("{because}; CPython {} of this machine can have all of it", python.version));
        }
    };
    let first = |runs: Runs| judged.iter().find(|one| one.runs == runs);
    let needed = |kind: ImportKind| imports.iter().find(|import| import.kind == kind && !import.optional);
    if let Some(one) = first(Runs::Nowhere) {
        return ("none", format!("{} {} runs nowhere: {}", one.name, one.version, one.because));
    }
    if let Some(import) = needed(ImportKind::NotInstalled).or_else(|| needed(ImportKind::Unreadable)) {
        return ("none", sentence(import));
    }
    if let Some(one) = first(Runs::Native) {
        let file = one.file.as_deref().unwrap_or_default();
        return ("native", format!("{} {} has `{file}`, which is {}", one.name, one.version, one.because));
    }
    if let Some(import) = needed(ImportKind::Absent) {
        return ("native", sentence(import));
    }
    ("sandbox", "everything it requires and imports is there".to_owned())
}

fn sentence(import: &Import) -> String {
    let place = format!("{} line {}", import.file, import.line);
    let end = if import.optional { ", and goes on without it" } else { "" };
    let module = &import.module;
    match import.kind {
        ImportKind::Absent => format!("{place} imports `{module}`, which the sandbox does not have{end}"),
        ImportKind::NotInstalled => format!("{place} imports `{module}`, which nothing it requires brings{end}"),
        ImportKind::Refuses => format!("{place} imports `{module}`: {}", import.because),
        ImportKind::Unreadable => format!("{place} is not Python 3.14: {}", import.because),
    }
}

/// Modules that come from the package itself and from what it requires.
fn known(sources: &BTreeMap<String, String>, judged: &[Judged]) -> BTreeSet<String> {
    let own = sources.keys().flat_map(|path| {
        // The package's root and its `src` are on the path.
        let path = path.strip_prefix("src/").into_iter().chain([path.as_str()]);
        path.filter_map(|path| path.split(['/', '.']).next()).map(str::to_owned)
    });
    own.chain(judged.iter().flat_map(|one| one.modules.iter().cloned())).collect()
}

/// The Python files of a package, by their paths in it.
fn sources(root: &Dir) -> std::io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![(root.try_clone()?, String::new())];
    while let Some((directory, prefix)) = waiting.pop() {
        for entry in directory.entries()? {
            let entry = entry?;
            let (kind, name) = (entry.file_type()?, entry.file_name());
            // A name that is no text is none Python imports.
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            if kind.is_dir() {
                waiting.push((entry.open_dir()?, format!("{prefix}{name}/")));
            } else if kind.is_file() && name.ends_with(".py") && found.len() < MOST_SOURCES {
                let mut source = Vec::new();
                entry.open()?.take(LARGEST_SOURCE).read_to_end(&mut source)?;
                found.insert(format!("{prefix}{name}"), String::from_utf8_lossy(&source).into_owned());
            }
        }
    }
    Ok(found)
}

fn line(text: &mut String, content: &str) {
    let _ = writeln!(text, "  {}", crate::telemetry::visible(content));
}
