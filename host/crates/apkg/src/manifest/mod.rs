//! The manifest: what a package is called and how its surfaces are reached.
//!
//! [`Manifest::parse`] reads the file as it was written, then decides what it means. What it
//! returns needs no further checks: names can be paths, entry points exist, and nothing was
//! filled in that the author left out.

mod error;
mod modules;
mod names;
mod raw;
pub(crate) mod section;
mod surfaces;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cap_std::fs::Dir;
use par_policy::policy::Requested;

use crate::environment::is_variable_name;
use crate::notice::Notice;
use crate::quote::Quoted;
use crate::requirement::Requirement;
use crate::yaml;
use modules::Modules;
use raw::{RawExport, RawManifest, RawSubAgent};
use section::Located;

pub use error::{MANIFEST_FILE, ManifestError};
pub use names::{EntryPoint, PackageName, PackageVersion};
pub use surfaces::{A2aEntry, RestEntry, Ui, UiBasePath, UiSource};

/// Largest manifest that is read. Unit: bytes.
pub const LARGEST_MANIFEST: usize = yaml::LARGEST;

/// A manifest that was read and found right, for the package it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// `name`.
    pub name: PackageName,
    /// `version`, which is what the runtime reports. Builders write a literal `1.0`.
    pub version: PackageVersion,
    /// `metadata.version`, the version the author maintains, as written.
    pub metadata_version: Option<String>,
    /// `display_name`.
    pub display_name: Option<String>,
    /// `description`; empty when absent.
    pub description: String,
    /// `author`; empty when absent.
    pub author: String,
    /// `license`, as written.
    pub license: Option<String>,
    /// `entrypoint`. Never called by the surfaces; its module may be missing.
    pub entrypoint: Option<EntryPoint>,
    /// `http_server`, else `rest`.
    pub rest: Option<RestEntry>,
    /// `a2a`.
    pub a2a: Option<A2aEntry>,
    /// `ui`.
    pub ui: Option<Ui>,
    /// `exports`, the surface of the oldest packages.
    pub exports: Vec<Export>,
    /// `dependencies`.
    pub dependencies: Vec<Requirement>,
    /// `environment`, as written: references are not resolved yet.
    pub environment: BTreeMap<String, String>,
    /// `metadata.sub_agents`, for information.
    pub sub_agents: Vec<SubAgent>,
    /// Directories to import from, below the package root, most important first. Always
    /// starts with `""`, the root itself.
    pub python_path: Vec<&'static str>,
    /// `sandbox`: what the agent asks for; `None` without that key.
    pub requested: Option<Requested>,
    /// What is odd and yet accepted.
    pub notices: Vec<Notice>,
}

/// One function of `exports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Under which name it is offered.
    pub name: PackageName,
    /// The function. Written `module.function` in these packages.
    pub handler: EntryPoint,
}

/// One entry of `metadata.sub_agents`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAgent {
    /// Its name, as written.
    pub name: String,
    /// Its description; empty when absent.
    pub description: String,
    /// Its endpoint, as written.
    pub endpoint: Option<String>,
    /// Whether it is meant for callers outside; `true` when absent.
    pub public: bool,
}

impl Manifest {
    /// Reads `agent.yaml`, of which `bytes` is the content and `package` the directory.
    ///
    /// The package is only looked at: to see that modules and directories the manifest names
    /// are there.
    ///
    /// # Errors
    /// [`ManifestError`] for the first thing that is wrong.
    pub fn parse(bytes: &[u8], package: &Dir) -> Result<Self, ManifestError> {
        let raw = RawManifest::read(&yaml::read(bytes)?)?;
        Self::check(raw, Modules(package))
    }

    fn check(raw: RawManifest, modules: Modules<'_>) -> Result<Self, ManifestError> {
        check_runtime(&raw)?;
        let name = name(&raw)?;
        let version = version(&raw)?;
        let entrypoint = surfaces::entrypoint(&raw)?;
        let rest = surfaces::rest(&raw, entrypoint.as_ref(), modules)?;
        let a2a = surfaces::a2a(&raw, modules)?;
        let ui = surfaces::ui(&raw, modules)?;
        let exports = raw.exports.iter().map(|raw| export(raw, modules)).collect::<Result<Vec<_>, _>>()?;
        if rest.is_none() && a2a.is_none() && ui.is_none() && exports.is_empty() && entrypoint.is_none() {
            return Err(ManifestError::NothingToServe);
        }

        let mut notices = Vec::new();
        if raw.http_server.is_some() && raw.rest.is_some() {
            notices.push(Notice::RestEntryUnused);
        }
        if let Some(entrypoint) = &entrypoint
            && modules.root_of(entrypoint.module()).is_none()
        {
            notices.push(Notice::EntrypointMissing(entrypoint.module().to_owned()));
        }

        let mut manifest = Self {
            name,
            version,
            dependencies: dependencies(&raw)?,
            environment: environment(&raw)?,
            sub_agents: raw.sub_agents.iter().map(sub_agent).collect::<Result<_, _>>()?,
            requested: raw.requested,
            metadata_version: raw.metadata_version,
            display_name: text(raw.display_name),
            description: text(raw.description).unwrap_or_default(),
            author: text(raw.author).unwrap_or_default(),
            license: text(raw.license),
            entrypoint,
            rest,
            a2a,
            ui,
            exports,
            python_path: Vec::new(),
            notices,
        };
        manifest.python_path = manifest.roots(modules);
        Ok(manifest)
    }

    /// Every entry point that is called.
    pub fn entry_points(&self) -> impl Iterator<Item = &EntryPoint> {
        let rest = self.rest.iter().map(|rest| match rest {
            RestEntry::Application(entry) | RestEntry::Mount(entry) => entry,
        });
        let a2a = self.a2a.iter().filter_map(|a2a| match a2a {
            A2aEntry::Service(entry) | A2aEntry::HttpServer(entry) => Some(entry),
            A2aEntry::WithoutActions => None,
        });
        let ui = self.ui.iter().filter_map(|ui| match &ui.source {
            UiSource::Application(entry) => Some(entry),
            UiSource::Files(_) => None,
        });
        let exports = self.exports.iter().map(|export| &export.handler);
        rest.chain(a2a).chain(ui).chain(exports)
    }

    fn roots(&self, modules: Modules<'_>) -> Vec<&'static str> {
        let mut roots = vec![""];
        for root in self.entry_points().filter_map(|entry| modules.root_of(entry.module())) {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        roots
    }
}

fn text(located: Option<Located<String>>) -> Option<String> {
    located.map(|located| located.value)
}

fn check_runtime(raw: &RawManifest) -> Result<(), ManifestError> {
    match &raw.runtime {
        Some(runtime) if !runtime.value.to_ascii_lowercase().starts_with("python") => {
            Err(ManifestError::UnsupportedRuntime { runtime: runtime.value.clone(), line: runtime.line })
        }
        _ => Ok(()),
    }
}

fn name(raw: &RawManifest) -> Result<PackageName, ManifestError> {
    let name = raw.name.as_ref().ok_or_else(|| ManifestError::Missing {
        key: "name".to_owned(),
        hint: "write for example `name: weather-agent`".to_owned(),
    })?;
    let hint = name.value.contains(' ').then_some("a name for people goes under `display_name`");
    PackageName::parse(&name.value).ok_or_else(|| unexpected("name", name, PackageName::EXPECTED, hint))
}

fn version(raw: &RawManifest) -> Result<PackageVersion, ManifestError> {
    let version = raw.version.as_ref().ok_or_else(|| ManifestError::Missing {
        key: "version".to_owned(),
        hint: format!(
            "write `version: \"{}\"` at the top level",
            Quoted(raw.metadata_version.as_deref().unwrap_or("1.0.0"))
        ),
    })?;
    PackageVersion::parse(&version.value).ok_or_else(|| unexpected("version", version, PackageVersion::EXPECTED, None))
}

fn unexpected(key: &str, text: &Located<String>, expected: &str, hint: Option<&str>) -> ManifestError {
    ManifestError::Invalid {
        key: key.to_owned(),
        line: text.line,
        because: format!("expected {expected}, got `{}`", Quoted(&text.value)),
        hint: hint.map(str::to_owned),
    }
}

fn export(raw: &RawExport, modules: Modules<'_>) -> Result<Export, ManifestError> {
    let missing = |key: &str| ManifestError::Missing {
        key: format!("{}.{key}", raw.path),
        hint: format!("the export on line {} needs `name` and `handler`", raw.line),
    };
    let name_text = raw.name.as_ref().ok_or_else(|| missing("name"))?;
    let name = PackageName::parse(&name_text.value)
        .ok_or_else(|| unexpected(&format!("{}.name", raw.path), name_text, PackageName::EXPECTED, None))?;
    let text = raw.handler.as_ref().ok_or_else(|| missing("handler"))?;
    // These packages write a dot where all others have a colon.
    let spelt = match text.value.rsplit_once('.') {
        Some((module, function)) if !text.value.contains(':') => format!("{module}:{function}"),
        _ => text.value.clone(),
    };
    let spelt = Located { line: text.line, value: spelt };
    let key = format!("{}.handler", raw.path);
    let handler = surfaces::existing(&key, &spelt, surfaces::parse(&key, &spelt)?, modules)?;
    Ok(Export { name, handler })
}

fn sub_agent(raw: &RawSubAgent) -> Result<SubAgent, ManifestError> {
    let name = raw.name.clone().ok_or_else(|| ManifestError::Missing {
        key: format!("{}.name", raw.path),
        hint: "every sub-agent has a name".to_owned(),
    })?;
    Ok(SubAgent {
        name: name.value,
        description: text(raw.description.clone()).unwrap_or_default(),
        endpoint: text(raw.endpoint.clone()),
        public: raw.public,
    })
}

fn dependencies(raw: &RawManifest) -> Result<Vec<Requirement>, ManifestError> {
    let parse = |(index, text): (usize, &Located<String>)| {
        text.value.parse().map_err(|error: crate::requirement::NotARequirement| ManifestError::Invalid {
            key: format!("dependencies[{index}]"),
            line: text.line,
            because: error.to_string(),
            hint: None,
        })
    };
    raw.dependencies.iter().enumerate().map(parse).collect()
}

fn environment(raw: &RawManifest) -> Result<BTreeMap<String, String>, ManifestError> {
    let check = |(name, text): &(String, Located<String>)| {
        let because = if !is_variable_name(name) {
            format!("`{}` is not the name of an environment variable", Quoted(name))
        } else if text.value.contains('\0') {
            format!("the value of `{name}` has a NUL character")
        } else {
            return Ok((name.clone(), text.value.clone()));
        };
        Err(ManifestError::Invalid { key: "environment".to_owned(), line: text.line, because, hint: None })
    };
    raw.environment.iter().map(check).collect()
}
