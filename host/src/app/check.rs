//! `par check`: what a package has and needs, without running it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use par_apkg::Package;
use par_apkg::manifest::{A2aEntry, Manifest, RestEntry, UiSource};
use par_apkg::requirement::DependencySource;

use super::error::BootError;
use super::opening;
use crate::config::{Environment, Installing};

/// Opens a package and describes it.
pub(super) fn describe(path: &Path) -> Result<String, BootError> {
    let config = Installing::parse(&Environment::of_process()).map_err(BootError::Configuration)?;
    let scratch = tempfile::tempdir().map_err(BootError::System)?;
    let package = opening::open(path, &config.fetch, scratch.path())?;
    Ok(text(&package))
}

fn text(package: &Package) -> String {
    let manifest = &package.manifest;
    let mut text = format!("{} {}\n", manifest.name, manifest.version);
    if !manifest.description.is_empty() {
        line(&mut text, &manifest.description);
    }
    text.push_str("\nsurfaces\n");
    for (name, surface) in surfaces(manifest) {
        line(&mut text, &format!("{name:<5} {surface}"));
    }
    let _ = write!(text, "\ndependencies{}\n", source(package.requirements.source));
    if package.requirements.lock.is_some() {
        line(&mut text, "locked by pylock.toml");
    }
    for requirement in &package.requirements.list {
        line(&mut text, &requirement.to_string());
    }
    let environment = package.environment(&BTreeMap::new(), &BTreeMap::new());
    if !environment.variables.is_empty() {
        text.push_str("\nenvironment (values are not shown)\n");
        for name in environment.variables.keys() {
            line(&mut text, name);
        }
    }
    let mut notices = package.notices().chain(&environment.notices).peekable();
    if notices.peek().is_some() {
        text.push_str("\nremarks\n");
    }
    for notice in notices {
        line(&mut text, &notice.to_string());
    }
    text
}

fn surfaces(manifest: &Manifest) -> [(&'static str, String); 3] {
    let none = || "none".to_owned();
    let rest = manifest.rest.as_ref().map(|rest| match rest {
        RestEntry::Application(entry) => format!("application {entry}"),
        RestEntry::Mount(entry) => format!("routes mounted by {entry}"),
    });
    let a2a = manifest.a2a.as_ref().map(|a2a| match a2a {
        A2aEntry::Service(entry) => format!("actions of {entry}"),
        A2aEntry::HttpServer(entry) => format!("HTTP application {entry}"),
        A2aEntry::WithoutActions => "on, without actions".to_owned(),
    });
    let ui = manifest.ui.as_ref().map(|ui| match &ui.source {
        UiSource::Files(directory) => format!("files of {directory}, below {}", ui.base_path),
        UiSource::Application(entry) => format!("pages rendered by {entry}, below {}", ui.base_path),
    });
    [("rest", rest.unwrap_or_else(none)), ("a2a", a2a.unwrap_or_else(none)), ("ui", ui.unwrap_or_else(none))]
}

const fn source(source: DependencySource) -> &'static str {
    match source {
        DependencySource::Pyproject => " (pyproject.toml)",
        DependencySource::RequirementsTxt => " (requirements.txt)",
        DependencySource::Manifest => " (agent.yaml)",
        DependencySource::SetupPy => " (setup.py, read and not run)",
        DependencySource::Nothing => ": none",
    }
}

/// One indented line. Packages are written by others: nothing in their texts may steer the
/// terminal.
fn line(text: &mut String, content: &str) {
    let _ = writeln!(text, "  {}", crate::telemetry::visible(content));
}
