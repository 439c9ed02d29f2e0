//! The operator's policy.

use std::collections::BTreeSet;

use par_policy::Mode;
use par_policy::name::{DataName, DataPath, VariableName};
use par_policy::policy::{
    Allow, Confinement, Deny, Grant, Line, Native, Policy, PolicySecret, SecretSource, VariableSource,
};

use super::PolicyError;
use super::entries::{
    binding, clock, data_name, denying, entries, granting, invalid, items, limits, not_a_variable, pattern, random,
    range, scratch, secret_name, string, whole,
};
use crate::manifest::ManifestError;
use crate::manifest::section::{Section, wrong_type};
use crate::quote::Quoted;
use crate::requirement::ProjectName;
use crate::yaml::{self, Node, Value};

/// Reads a policy. `file` names it in messages.
///
/// # Errors
/// [`PolicyError`] for the first thing that is wrong.
pub fn parse_policy(bytes: &[u8], file: &str) -> Result<Policy, PolicyError> {
    let read = || {
        let root = yaml::read(bytes)?;
        policy(&Section::root(&root)?)
    };
    read().map_err(|error| PolicyError::in_file(&Quoted(file).to_string(), error))
}

fn policy(root: &Section<'_>) -> Result<Policy, ManifestError> {
    root.only(&["allow", "confinement", "deny", "grant", "limits", "mode", "native", "version"])?;
    version(root, true)?;
    Ok(Policy {
        grant: root.section_or_absent("grant")?.map(|section| grant(&section)).transpose()?.unwrap_or_default(),
        allow: root.section_or_absent("allow")?.map(|section| allow(&section)).transpose()?.unwrap_or_default(),
        deny: root.section_or_absent("deny")?.map(|section| deny(&section)).transpose()?.unwrap_or_default(),
        native: native(root)?,
        confinement: confinement(root)?,
        limits: limits(root)?,
        mode: mode(root)?,
    })
}

/// `version`, which is 1. A later version may mean something else by the same keys.
pub(super) fn version(root: &Section<'_>, required: bool) -> Result<(), ManifestError> {
    let path = root.path_of("version");
    match root.get("version") {
        None if required => {
            Err(ManifestError::Missing { key: path, hint: "the first line of a policy is `version: 1`".to_owned() })
        }
        None => Ok(()),
        Some(node) if whole(&path, node)? == 1 => Ok(()),
        Some(node) => {
            let because = format!("expected `1`, got {}", node.value.describe());
            Err(invalid(&path, node.line, because, Some("a later version needs a later release of PAR")))
        }
    }
}

fn files<'a>(section: &Section<'a>, keys: &[&str]) -> Result<Option<Section<'a>>, ManifestError> {
    let files = section.section_or_absent("files")?;
    if let Some(files) = &files {
        files.only(keys)?;
    }
    Ok(files)
}

fn grant(section: &Section<'_>) -> Result<Grant, ManifestError> {
    section.only(&["clock", "env", "files", "outbound", "outbound_addresses", "random", "secrets"])?;
    let files = files(section, &["data", "scratch_mib"])?;
    Ok(Grant {
        outbound: items(section, "outbound", granting)?,
        outbound_addresses: items(section, "outbound_addresses", range)?,
        env: entries(section, "env", given_variable)?,
        secrets: entries(section, "secrets", secret)?,
        data: directories(files.as_ref())?,
        scratch: scratch(files.as_ref())?,
        clock: clock(section)?,
        random: random(section)?,
    })
}

fn allow(section: &Section<'_>) -> Result<Allow, ManifestError> {
    section.only(&["env", "files", "outbound", "outbound_addresses", "secrets"])?;
    let files = files(section, &["data", "scratch_mib"])?;
    Ok(Allow {
        outbound: items(section, "outbound", granting)?,
        outbound_addresses: items(section, "outbound_addresses", range)?,
        env: items(section, "env", pattern)?,
        secrets: entries(section, "secrets", secret)?,
        data: directories(files.as_ref())?,
        scratch: scratch(files.as_ref())?,
    })
}

fn deny(section: &Section<'_>) -> Result<Deny, ManifestError> {
    section.only(&["env", "files", "outbound", "outbound_addresses", "secrets"])?;
    let files = files(section, &["data"])?;
    let data = |path: &str, node: &Node| data_name(path, string(path, node)?, node.line);
    Ok(Deny {
        outbound: items(section, "outbound", denying)?,
        outbound_addresses: items(section, "outbound_addresses", range)?,
        env: items(section, "env", pattern)?,
        secrets: items(section, "secrets", |path, node| secret_name(path, string(path, node)?, node.line))?,
        data: files.map(|files| items(&files, "data", data)).transpose()?.unwrap_or_default(),
    })
}

/// A value, or `{from: NAME}` for a variable of the operator's environment.
fn given_variable(path: &str, name: &str, node: &Node) -> Result<(VariableName, VariableSource), ManifestError> {
    let parse = |text: &str, line| VariableName::parse(text).map_err(|error| not_a_variable(path, line, &error));
    let name = parse(name, node.line)?;
    if let Value::Map(_) = &node.value {
        let map = Section::map(path, node)?;
        map.only(&["from"])?;
        let from = map.text("from")?.ok_or_else(|| ManifestError::Missing {
            key: map.path_of("from"),
            hint: format!("name the variable of the operator's environment: `{{from: {name}}}`"),
        })?;
        return Ok((name, VariableSource::Host(parse(&from.value, from.line)?)));
    }
    let value = node.value.scalar().filter(|value| !value.contains('\0'));
    let value = value.ok_or_else(|| wrong_type(path, node, "a string or `{from: NAME}`"))?;
    Ok((name, VariableSource::Value(value.to_owned())))
}

fn secret(path: &str, name: &str, node: &Node) -> Result<PolicySecret, ManifestError> {
    // The value itself may stand here by mistake: it is not repeated.
    if !matches!(node.value, Value::Map(_)) {
        let hint = Some("the value stays in a variable or a file: `{hosts: [...], file: /run/secrets/name}`");
        return Err(invalid(path, node.line, "expected a map with `hosts`", hint));
    }
    let section = Section::map(path, node)?;
    section.only(&["env", "file", "hosts"])?;
    let name = secret_name(path, name, node.line)?;
    let source = match (section.text("env")?, section.text("file")?) {
        (None, None) => SecretSource::Environment(name.as_str().to_owned()),
        (Some(variable), None) => {
            secret_name(&section.path_of("env"), &variable.value, variable.line)?;
            SecretSource::Environment(variable.value)
        }
        (None, Some(file)) if file.value.starts_with('/') => SecretSource::File(file.value),
        (None, Some(file)) => {
            let because = format!("expected an absolute path, got `{}`", Quoted(&file.value));
            return Err(invalid(&section.path_of("file"), file.line, because, None));
        }
        (Some(_), Some(file)) => {
            let because = "the value comes from `env` or from `file`, not from both";
            return Err(invalid(&section.path_of("file"), file.line, because, None));
        }
    };
    Ok(PolicySecret { name, binding: binding(&section)?, source })
}

/// `files.data`: names and the directories behind them.
fn directories(files: Option<&Section<'_>>) -> Result<Vec<Line<(DataName, DataPath)>>, ManifestError> {
    let Some(files) = files else { return Ok(Vec::new()) };
    entries(files, "data", |path, name, node| {
        let directory = string(path, node)?;
        let expected =
            || invalid(path, node.line, format!("expected {}, got `{}`", DataPath::EXPECTED, Quoted(directory)), None);
        Ok((data_name(path, name, node.line)?, DataPath::parse(directory).ok_or_else(expected)?))
    })
}

fn native(root: &Section<'_>) -> Result<Native, ManifestError> {
    let expected = "`refuse`, `allow` or a list of distributions";
    let Some(node) = root.get("native") else { return Ok(Native::Refuse) };
    match &node.value {
        Value::Text(word) if word == "refuse" => Ok(Native::Refuse),
        Value::Text(word) if word == "allow" => Ok(Native::Allow),
        Value::List(_) => {
            let name = |path: &str, node: &Node| {
                let text = string(path, node)?;
                let because = || format!("`{}` is not the name of a distribution", Quoted(text));
                ProjectName::parse(text).ok_or_else(|| invalid(path, node.line, because(), None))
            };
            let names: BTreeSet<String> =
                items(root, "native", name)?.into_iter().map(|line| line.value.to_string()).collect();
            if names.is_empty() {
                return Err(invalid("native", node.line, "the list is empty", Some("write `native: refuse`")));
            }
            Ok(Native::Distributions(names))
        }
        _ => Err(wrong_type("native", node, expected)),
    }
}

fn confinement(root: &Section<'_>) -> Result<Confinement, ManifestError> {
    let Some(node) = root.get("confinement") else { return Ok(Confinement::Available) };
    match &node.value {
        Value::Text(word) if word == "available" => Ok(Confinement::Available),
        Value::Text(word) if word == "strict" => Ok(Confinement::Strict),
        _ => Err(wrong_type("confinement", node, "`available` or `strict`")),
    }
}

fn mode(root: &Section<'_>) -> Result<Mode, ManifestError> {
    match root.get("mode").map(|node| (node, &node.value)) {
        None => Ok(Mode::Enforce),
        Some((_, Value::Text(word))) if word == "enforce" => Ok(Mode::Enforce),
        Some((_, Value::Text(word))) if word == "observe" => Ok(Mode::Observe),
        Some((node, _)) => Err(wrong_type("mode", node, "`enforce` or `observe`")),
    }
}
