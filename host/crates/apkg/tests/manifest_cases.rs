//! Every folder below `tests/cases/manifest` is a package and what must come of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folders;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use par_apkg::Package;
use par_apkg::archive::ArchiveLimits;
use par_apkg::manifest::{A2aEntry, RestEntry, UiSource};

use folders::{Outcome, cases, hold, write_missing};

fn outcome(case: &Path) -> Outcome {
    match Package::open(case, Path::new("unused: directories are not unpacked"), ArchiveLimits::PACKAGE) {
        Ok(package) => ("ok.txt", describe(&package)),
        Err(error) => {
            let mut text = format!("error: {error}\n");
            if let Some(hint) = error.hint() {
                writeln!(text, "hint: {hint}").unwrap();
            }
            ("error.txt", text)
        }
    }
}

fn describe(package: &Package) -> String {
    let manifest = &package.manifest;
    let mut lines = vec![format!("package {} {}", manifest.name, manifest.version)];
    let mut line = |key: &str, value: String| lines.push(format!("{key}: {value}"));
    for (key, value) in [
        ("display name", manifest.display_name.as_deref()),
        ("metadata version", manifest.metadata_version.as_deref()),
        ("description", Some(manifest.description.as_str()).filter(|text| !text.is_empty())),
        ("author", Some(manifest.author.as_str()).filter(|text| !text.is_empty())),
    ] {
        if let Some(value) = value {
            line(key, value.to_owned());
        }
    }
    if let Some(entry) = &manifest.entrypoint {
        line("entrypoint", entry.to_string());
    }
    match &manifest.rest {
        Some(RestEntry::Application(entry)) => line("rest", format!("application {entry}")),
        Some(RestEntry::Mount(entry)) => line("rest", format!("mount {entry}")),
        None => {}
    }
    match &manifest.a2a {
        Some(A2aEntry::Service(entry)) => line("a2a", format!("service {entry}")),
        Some(A2aEntry::HttpServer(entry)) => line("a2a", format!("HTTP server {entry}")),
        Some(A2aEntry::WithoutActions) => line("a2a", "without actions".to_owned()),
        None => {}
    }
    if let Some(ui) = &manifest.ui {
        let source = match &ui.source {
            UiSource::Files(path) => format!("files {path}"),
            UiSource::Application(entry) => format!("application {entry}"),
        };
        line("ui", format!("{source} under {}", ui.base_path));
    }
    for export in &manifest.exports {
        line("export", format!("{} = {}", export.name, export.handler));
    }
    for agent in &manifest.sub_agents {
        let endpoint = agent.endpoint.as_deref().unwrap_or("no endpoint");
        line("sub-agent", format!("{} at {endpoint}, {}", agent.name, if agent.public { "public" } else { "private" }));
    }
    if manifest.python_path.len() > 1 {
        line("python path", format!("{:?}", manifest.python_path));
    }
    let requirements: Vec<_> = package.requirements.list.iter().map(ToString::to_string).collect();
    line(
        "requirements",
        format!("{:?} {}", package.requirements.source, requirements.join(", ")).trim_end().to_owned(),
    );
    for asked in asked(package) {
        line("asks", asked);
    }
    let environment = package.environment(&BTreeMap::new(), &BTreeMap::new());
    for (name, value) in &environment.variables {
        line("environment", format!("{name}={value}"));
    }
    for notice in package.notices().chain(&environment.notices) {
        line("notice", notice.to_string());
    }
    lines.join("\n") + "\n"
}

/// Every request, with the line it stands on.
fn asked(package: &Package) -> Vec<String> {
    let requested = &package.requested;
    let mut lines = Vec::new();
    let mut line = |rule: &dyn std::fmt::Display, value: String| lines.push(format!("{rule} {value}"));
    requested.outbound.iter().for_each(|asked| line(&asked.rule, asked.value.to_string()));
    requested.outbound_addresses.iter().for_each(|asked| line(&asked.rule, asked.value.to_string()));
    requested.env.iter().for_each(|asked| line(&asked.rule, asked.value.to_string()));
    for asked in &requested.secrets {
        let hosts: Vec<_> = asked.value.1.hosts.iter().map(ToString::to_string).collect();
        line(&asked.rule, format!("{} for {}", asked.value.0, hosts.join(", ")));
    }
    requested.data.iter().for_each(|asked| line(&asked.rule, asked.value.guest_path()));
    requested.scratch.iter().for_each(|asked| line(&asked.rule, format!("{} MiB", asked.value.mib())));
    requested.clock.iter().for_each(|asked| line(&asked.rule, format!("{:?}", asked.value.0)));
    requested.random.iter().for_each(|asked| line(&asked.rule, asked.value.0.to_string()));
    requested.limits.iter().for_each(|(key, asked)| line(&asked.rule, format!("{}={}", key.as_str(), asked.value)));
    lines
}

#[test]
fn every_case_comes_out_as_written_beside_it() {
    hold("manifest", outcome);
}

#[test]
fn there_are_cases_of_both_outcomes() {
    let (good, bad): (Vec<_>, Vec<_>) = cases("manifest").into_iter().partition(|case| case.join("ok.txt").exists());
    assert!(good.len() >= 10 && bad.len() >= 30, "{} good, {} bad", good.len(), bad.len());
}

#[test]
#[ignore = "writes the expectations of new cases"]
fn write_missing_expectations() {
    write_missing("manifest", outcome);
}
