//! What the manifest says about the surfaces, and the entry points they are reached by.

use std::fmt;

use super::ManifestError;
use super::modules::Modules;
use super::names::{EntryPoint, NotAnEntryPoint, check_module};
use super::raw::{RawA2a, RawManifest, RawUi};
use super::section::Located;
use crate::archive::{ArchiveLimits, EntryPath};
use crate::quote::Quoted;

/// How the REST surface is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestEntry {
    /// An application, a factory of one, or an object that has one (`http_server`).
    Application(EntryPoint),
    /// A function that mounts routes on a router it is given (`rest.entry`).
    Mount(EntryPoint),
}

/// How the A2A surface is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum A2aEntry {
    /// A function without arguments that returns the action handlers (`a2a.service`).
    Service(EntryPoint),
    /// An application that speaks A2A over HTTP, or a factory of one (`a2a.http_server`).
    HttpServer(EntryPoint),
    /// The surface is on and the agent has no actions (`a2a: {}`).
    WithoutActions,
}

/// The UI surface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ui {
    /// Where pages come from.
    pub source: UiSource,
    /// The prefix pages are served under.
    pub base_path: UiBasePath,
}

/// Where the pages of a UI come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UiSource {
    /// A directory of the package that has an `index.html` (`ui.path`).
    Files(EntryPath),
    /// An application that renders pages (`ui.entry`).
    Application(EntryPoint),
}

/// `/`, or `/` and plain segments without a `/` at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UiBasePath(String);

impl UiBasePath {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for UiBasePath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl fmt::Display for UiBasePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The function a REST module has when none is named.
const MOUNT: &str = "mount";

/// The functions an A2A module may have when none is named, the usual one first.
const SERVICES: [&str; 2] = ["create_grpc_server", "create_service"];

/// The function of an A2A HTTP module when none is named.
const HTTP_SERVER: &str = "main";

pub(super) fn entrypoint(raw: &RawManifest) -> Result<Option<EntryPoint>, ManifestError> {
    raw.entrypoint.as_ref().map(|text| parse("entrypoint", text)).transpose()
}

pub(super) fn rest(
    raw: &RawManifest,
    entrypoint: Option<&EntryPoint>,
    modules: Modules<'_>,
) -> Result<Option<RestEntry>, ManifestError> {
    if let Some(text) = &raw.http_server {
        let entry = parse("http_server", text)?;
        return existing("http_server", text, entry, modules).map(|entry| Some(RestEntry::Application(entry)));
    }
    let Some(rest) = &raw.rest else { return Ok(None) };
    let text = rest.entry.as_ref().ok_or_else(|| missing("rest.entry", "entry: module:function"))?;
    let entry = mount(text, entrypoint, modules)?;
    existing("rest.entry", text, entry, modules).map(|entry| Some(RestEntry::Mount(entry)))
}

/// `rest.entry` comes as `module:function`, as `module`, and from one builder as a function
/// of the entry point's module.
fn mount(
    text: &Located<String>,
    entrypoint: Option<&EntryPoint>,
    modules: Modules<'_>,
) -> Result<EntryPoint, ManifestError> {
    match entrypoint {
        Some(entrypoint) if is_bare(&text.value) && modules.root_of(&text.value).is_none() => {
            EntryPoint::new(entrypoint.module(), &text.value).map_err(|error| not_an_entry("rest.entry", text, error))
        }
        _ => with_default("rest.entry", text, MOUNT, modules),
    }
}

fn is_bare(text: &str) -> bool {
    !text.contains([':', '.'])
}

pub(super) fn a2a(raw: &RawManifest, modules: Modules<'_>) -> Result<Option<A2aEntry>, ManifestError> {
    let Some(RawA2a { service, entry, http_server }) = &raw.a2a else { return Ok(None) };
    if let Some(text) = http_server {
        let entry = with_default("a2a.http_server", text, HTTP_SERVER, modules)?;
        return existing("a2a.http_server", text, entry, modules).map(|entry| Some(A2aEntry::HttpServer(entry)));
    }
    // One builder writes the same entry point under both keys.
    if let (Some(service), Some(entry)) = (service, entry)
        && service.value != entry.value
    {
        return Err(ManifestError::Invalid {
            key: "a2a.entry".to_owned(),
            line: entry.line,
            because: format!("`{}` is not what `a2a.service` names", Quoted(&entry.value)),
            hint: Some("`a2a.entry` and `a2a.service` are one key; keep one of them".to_owned()),
        });
    }
    let (key, text) = match (service, entry) {
        (Some(service), _) => ("a2a.service", service),
        (None, Some(entry)) => ("a2a.entry", entry),
        (None, None) => return Ok(Some(A2aEntry::WithoutActions)),
    };
    let [usual, other] = SERVICES;
    let module = text.value.as_str();
    let default = if !modules.mentions(module, usual) && modules.mentions(module, other) { other } else { usual };
    let entry = with_default(key, text, default, modules)?;
    existing(key, text, entry, modules).map(|entry| Some(A2aEntry::Service(entry)))
}

pub(super) fn ui(raw: &RawManifest, modules: Modules<'_>) -> Result<Option<Ui>, ManifestError> {
    let Some(RawUi { line, path, entry, base_path }) = &raw.ui else { return Ok(None) };
    let source = match (path, entry) {
        (Some(path), None) => UiSource::Files(ui_directory(path, modules)?),
        (None, Some(text)) => UiSource::Application(existing("ui.entry", text, parse("ui.entry", text)?, modules)?),
        (Some(_), Some(_)) => {
            return Err(ManifestError::Invalid {
                key: "ui".to_owned(),
                line: *line,
                because: "has both `path` and `entry`".to_owned(),
                hint: Some("keep `path` for files, or `entry` for an application".to_owned()),
            });
        }
        (None, None) => return Err(missing("ui.path", "path: ui")),
    };
    let base_path = base_path.as_ref().map(ui_base_path).transpose()?.unwrap_or_default();
    Ok(Some(Ui { source, base_path }))
}

fn ui_directory(text: &Located<String>, modules: Modules<'_>) -> Result<EntryPath, ManifestError> {
    let invalid = |because: String, hint: Option<&str>| ManifestError::Invalid {
        key: "ui.path".to_owned(),
        line: text.line,
        because,
        hint: hint.map(str::to_owned),
    };
    let written = Quoted(&text.value);
    let plain = text.value.strip_prefix("./").unwrap_or(&text.value);
    let plain = plain.strip_suffix('/').unwrap_or(plain);
    if plain.is_empty() || plain == "." {
        return Err(invalid(
            format!("`{written}` would serve the whole package, its code included"),
            Some("move the pages into a directory such as `ui`"),
        ));
    }
    let path = EntryPath::parse(plain, &ArchiveLimits::PACKAGE)
        .map_err(|_| invalid(format!("`{written}` is not a path inside the package"), None))?;
    if !modules.0.metadata(format!("{path}/index.html")).is_ok_and(|index| index.is_file()) {
        return Err(invalid(format!("`{written}` has no `index.html` in the package"), None));
    }
    Ok(path)
}

fn ui_base_path(text: &Located<String>) -> Result<UiBasePath, ManifestError> {
    let is_plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.chars().all(|other| other.is_ascii_alphanumeric() || matches!(other, '-' | '_' | '.' | '~'))
    };
    let trimmed = text.value.trim_end_matches('/');
    if trimmed.is_empty() && text.value.starts_with('/') {
        return Ok(UiBasePath::default());
    }
    match trimmed.strip_prefix('/') {
        Some(segments) if segments.len() <= 256 && segments.split('/').all(is_plain) => {
            Ok(UiBasePath(trimmed.to_owned()))
        }
        _ => Err(ManifestError::Invalid {
            key: "ui.basePath".to_owned(),
            line: text.line,
            because: format!("`{}` is not a path such as `/` or `/app`", Quoted(&text.value)),
            hint: None,
        }),
    }
}

/// `module:function`, or `module` alone with a function everybody knows.
fn with_default(
    key: &str,
    text: &Located<String>,
    default: &str,
    modules: Modules<'_>,
) -> Result<EntryPoint, ManifestError> {
    let module = text.value.as_str();
    if module.contains(':') {
        return parse(key, text);
    }
    // A dot where the colon belongs reads as a module that is not there.
    if module.contains('.') && check_module(module).is_ok() && modules.root_of(module).is_none() {
        return Err(not_an_entry(key, text, NotAnEntryPoint::Shape));
    }
    EntryPoint::new(module, default).map_err(|error| not_an_entry(key, text, error))
}

pub(super) fn parse(key: &str, text: &Located<String>) -> Result<EntryPoint, ManifestError> {
    EntryPoint::parse(&text.value).map_err(|error| not_an_entry(key, text, error))
}

fn not_an_entry(key: &str, text: &Located<String>, error: NotAnEntryPoint) -> ManifestError {
    let suggestion = text.value.rsplit_once('.').and_then(|(module, name)| EntryPoint::new(module, name).ok());
    ManifestError::Invalid {
        key: key.to_owned(),
        line: text.line,
        because: format!("`{}` {error}", Quoted(&text.value)),
        hint: suggestion.filter(|_| error == NotAnEntryPoint::Shape).map(|suggestion| format!("write `{suggestion}`")),
    }
}

/// An entry point whose module is a file of the package: not of the standard library, not of
/// a dependency.
pub(super) fn existing(
    key: &str,
    text: &Located<String>,
    entry: EntryPoint,
    modules: Modules<'_>,
) -> Result<EntryPoint, ManifestError> {
    if modules.root_of(entry.module()).is_some() {
        return Ok(entry);
    }
    let path = entry.module().replace('.', "/");
    Err(ManifestError::Invalid {
        key: key.to_owned(),
        line: text.line,
        because: format!("the package has no module `{}`", Quoted(entry.module())),
        hint: Some(format!("add `{path}.py` or `{path}/__init__.py`, or correct the name")),
    })
}

fn missing(key: &str, write: &str) -> ManifestError {
    ManifestError::Missing { key: key.to_owned(), hint: format!("write `{write}`") }
}
