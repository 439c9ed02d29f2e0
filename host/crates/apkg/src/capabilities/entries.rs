//! The entries requests and policies have in common.

use std::fmt::Display;
use std::time::Duration;

use par_policy::name::{DataName, NotAVariable, VariableName, VariablePattern};
use par_policy::outbound::{AddressRange, NotARule, OutboundRule};
use par_policy::policy::{FixedClock, FixedRandom, Line, ScratchLimit};
use par_policy::secret::{SecretBinding, SecretName};
use par_policy::{LimitKey, LimitSettings, RuleId};

use crate::manifest::ManifestError;
use crate::manifest::section::{Section, wrong_type};
use crate::quote::Quoted;
use crate::yaml::{Node, Value};

/// A value that is not what its key needs.
pub(super) fn invalid(key: &str, line: u64, because: impl Display, hint: Option<&str>) -> ManifestError {
    ManifestError::Invalid { key: key.to_owned(), line, because: because.to_string(), hint: hint.map(str::to_owned) }
}

pub(super) fn line<T>(path: &str, value: T) -> Line<T> {
    Line { rule: RuleId::new(path), value }
}

/// A list, every item parsed with its path: `allow.outbound[0]`.
pub(super) fn items<T>(
    section: &Section<'_>,
    key: &str,
    parse: impl Fn(&str, &Node) -> Result<T, ManifestError>,
) -> Result<Vec<Line<T>>, ManifestError> {
    let read = |(index, node): (usize, &Node)| {
        let path = format!("{}[{index}]", section.path_of(key));
        parse(&path, node).map(|value| line(&path, value))
    };
    section.list(key)?.iter().enumerate().map(read).collect()
}

/// A map, every entry parsed with its path: `grant.env.LOG_LEVEL`.
pub(super) fn entries<T>(
    section: &Section<'_>,
    key: &str,
    parse: impl Fn(&str, &str, &Node) -> Result<T, ManifestError>,
) -> Result<Vec<Line<T>>, ManifestError> {
    let Some(map) = section.section_or_absent(key)? else { return Ok(Vec::new()) };
    let read = |(name, node): (&str, &Node)| {
        let path = map.path_of(name);
        parse(&path, name, node).map(|value| line(&path, value))
    };
    map.entries().map(read).collect()
}

pub(super) fn string<'n>(path: &str, node: &'n Node) -> Result<&'n str, ManifestError> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(wrong_type(path, node, "a string")),
    }
}

/// A whole number, in decimal digits and nothing else.
pub(super) fn whole(path: &str, node: &Node) -> Result<u64, ManifestError> {
    let number = match &node.value {
        Value::Number(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| wrong_type(path, node, "a whole number"))
}

type ParseRule = fn(&str, &[&str]) -> Result<OutboundRule, NotARule>;

/// A rule: a string, or a map with `url` and `methods`.
pub(super) fn rule(path: &str, node: &Node, parse: ParseRule) -> Result<OutboundRule, ManifestError> {
    let (text, at, methods) = match &node.value {
        Value::Map(_) => {
            let map = Section::map(path, node)?;
            map.only(&["url", "methods"])?;
            let url = map.text("url")?.ok_or_else(|| ManifestError::Missing {
                key: map.path_of("url"),
                hint: "write for example `url: \"https://api.example.com\"`".to_owned(),
            })?;
            let methods = items(&map, "methods", |path, node| string(path, node).map(str::to_owned))?;
            if methods.is_empty() {
                let hint = Some("write for example `methods: [GET]`, or the URL alone for all methods");
                return Err(invalid(&map.path_of("methods"), node.line, "expected at least one method", hint));
            }
            (url.value, url.line, methods)
        }
        Value::Text(text) => (text.clone(), node.line, Vec::new()),
        _ => return Err(wrong_type(path, node, "a string or a map")),
    };
    let methods: Vec<&str> = methods.iter().map(|method| method.value.as_str()).collect();
    parse(&text, &methods)
        .map_err(|error| invalid(path, at, format!("`{}` is no rule: {error}", Quoted(&text)), error.hint()))
}

pub(super) fn granting(path: &str, node: &Node) -> Result<OutboundRule, ManifestError> {
    rule(path, node, OutboundRule::parse)
}

pub(super) fn denying(path: &str, node: &Node) -> Result<OutboundRule, ManifestError> {
    rule(path, node, OutboundRule::parse_denying)
}

pub(super) fn range(path: &str, node: &Node) -> Result<AddressRange, ManifestError> {
    let text = string(path, node)?;
    text.parse().map_err(|error| invalid(path, node.line, format!("`{}`: {error}", Quoted(text)), None))
}

pub(super) fn variable(path: &str, node: &Node) -> Result<VariableName, ManifestError> {
    VariableName::parse(string(path, node)?).map_err(|error| not_a_variable(path, node.line, &error))
}

pub(super) fn pattern(path: &str, node: &Node) -> Result<VariablePattern, ManifestError> {
    VariablePattern::parse(string(path, node)?).map_err(|error| not_a_variable(path, node.line, &error))
}

pub(super) fn not_a_variable(path: &str, line: u64, error: &NotAVariable) -> ManifestError {
    invalid(path, line, Quoted(&error.to_string()), None)
}

pub(super) fn data_name(path: &str, text: &str, line: u64) -> Result<DataName, ManifestError> {
    DataName::parse(text)
        .ok_or_else(|| invalid(path, line, format!("expected {}, got `{}`", DataName::EXPECTED, Quoted(text)), None))
}

pub(super) fn secret_name(path: &str, text: &str, line: u64) -> Result<SecretName, ManifestError> {
    let hint = Some("a secret is named like an environment variable: `OPENAI_API_KEY`");
    SecretName::parse(text)
        .filter(|name| VariableName::parse(name.as_str()).is_ok())
        .ok_or_else(|| invalid(path, line, format!("`{}` cannot be the name of a secret", Quoted(text)), hint))
}

/// `hosts` of a secret.
pub(super) fn binding(section: &Section<'_>) -> Result<SecretBinding, ManifestError> {
    let hosts: Vec<OutboundRule> = items(section, "hosts", granting)?.into_iter().map(|line| line.value).collect();
    if hosts.is_empty() {
        return Err(ManifestError::Missing {
            key: section.path_of("hosts"),
            hint: "name the hosts the secret is for: `hosts: [\"https://api.example.com\"]`".to_owned(),
        });
    }
    Ok(SecretBinding { hosts })
}

/// `files.scratch_mib`.
pub(super) fn scratch(files: Option<&Section<'_>>) -> Result<Option<Line<ScratchLimit>>, ManifestError> {
    let Some((files, node)) = files.and_then(|files| Some((files, files.get("scratch_mib")?))) else { return Ok(None) };
    let path = files.path_of("scratch_mib");
    let mib = whole(&path, node)?;
    let expected = || invalid(&path, node.line, format!("expected {}, got `{mib}`", ScratchLimit::EXPECTED), None);
    ScratchLimit::from_mib(mib).map(|limit| Some(line(&path, limit))).ok_or_else(expected)
}

/// `clock`: the time it stands at.
pub(super) fn clock(section: &Section<'_>) -> Result<Option<Line<FixedClock>>, ManifestError> {
    let Some(text) = section.text("clock")? else { return Ok(None) };
    let path = section.path_of("clock");
    let time = text.value.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_second()).ok());
    let expected = || {
        let because = format!("expected a time since 1970, got `{}`", Quoted(&text.value));
        invalid(&path, text.line, because, Some("write for example `clock: \"2026-01-01T00:00:00Z\"`"))
    };
    time.map(|seconds| Some(line(&path, FixedClock(Duration::from_secs(seconds))))).ok_or_else(expected)
}

/// `random`: the seed.
pub(super) fn random(section: &Section<'_>) -> Result<Option<Line<FixedRandom>>, ManifestError> {
    let Some(node) = section.get("random") else { return Ok(None) };
    let path = section.path_of("random");
    Ok(Some(line(&path, FixedRandom(whole(&path, node)?))))
}

/// `limits`.
pub(super) fn limits(section: &Section<'_>) -> Result<LimitSettings, ManifestError> {
    let mut settings = LimitSettings::default();
    let Some(map) = section.section_or_absent("limits")? else { return Ok(settings) };
    let keys: Vec<&str> = LimitKey::all().map(LimitKey::as_str).collect();
    map.only(&keys)?;
    for (name, node) in map.entries() {
        let path = map.path_of(name);
        let value = whole(&path, node)?;
        if let Some(key) = LimitKey::parse(name)
            && !settings.set(key, line(&path, value))
        {
            let (least, most) = key.range();
            return Err(invalid(&path, node.line, format!("expected {least} to {most}, got `{value}`"), None));
        }
    }
    Ok(settings)
}
