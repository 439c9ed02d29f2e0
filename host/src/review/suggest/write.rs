//! The policy as YAML, each line with its evidence.

use std::fmt::Write as _;

use par_apkg::escaped;
use par_policy::policy::{Line, Policy, PolicySecret, SecretSource, VariableSource};
use serde_json::Value;

use super::super::line::item;
use super::Found;
use super::evidence::Evidence;
use crate::grants::time_of;

/// Writes what was found as a policy that grants it to every package.
pub(super) fn policy(found: &Found, known: &Policy) -> String {
    let mut grant = String::new();
    outbound(&mut grant, found);
    addresses(&mut grant, found, known);
    variables(&mut grant, found, known);
    secrets(&mut grant, found, known);
    files(&mut grant, found, known);
    fixed(&mut grant, found, known);
    let mut text = format!("# Suggested by par policy suggest: {}\n", found.all);
    for (note, evidence) in &found.notes {
        let _ = writeln!(text, "# not covered: {}: {evidence}", escaped(note));
    }
    missing(&mut text, found, known);
    text.push_str("version: 1\n");
    if !grant.is_empty() {
        text.push_str("grant:\n");
        text.push_str(&grant);
    }
    limits(&mut text, known);
    text
}

fn outbound(text: &mut String, found: &Found) {
    let rules = found.rules.smallest();
    if !rules.is_empty() {
        text.push_str("  outbound:\n");
    }
    for rule in rules {
        let paths = if rule.paths > 1 { format!("; {} paths", rule.paths) } else { String::new() };
        let methods: Vec<&str> = rule.methods.iter().map(String::as_str).collect();
        let _ = writeln!(text, "    # {}{paths}\n    - {}", rule.evidence, item(&rule.url, &methods));
    }
}

fn addresses(text: &mut String, found: &Found, known: &Policy) {
    let ranges = known.grant.outbound_addresses.iter().chain(&known.allow.outbound_addresses);
    let kept: Vec<String> = ranges.filter(|_| found.by_name).map(|line| line.value.to_string()).collect();
    let named = |address: &str| {
        let address = address.parse().ok();
        let within = |line: &Line<par_policy::outbound::AddressRange>| {
            address.is_some_and(|address| line.value.contains(address))
        };
        found.by_name && known.grant.outbound_addresses.iter().chain(&known.allow.outbound_addresses).any(within)
    };
    let seen: Vec<_> = found.addresses.iter().filter(|(address, _)| !named(address)).collect();
    if kept.is_empty() && seen.is_empty() {
        return;
    }
    text.push_str("  outbound_addresses:\n");
    for (address, evidence) in seen {
        let _ = writeln!(text, "    # {evidence}\n    - {}", Value::from(address.as_str()));
    }
    for range in kept {
        let _ = writeln!(
            text,
            "    # kept: the record does not say which addresses names had\n    - {}",
            Value::from(range)
        );
    }
}

fn variables(text: &mut String, found: &Found, known: &Policy) {
    if !found.variables.is_empty() {
        text.push_str("  env:\n");
    }
    for (name, (evidence, rule)) in &found.variables {
        let source = known.grant.env.iter().find(|line| line.value.0.as_str() == name).map(|line| &line.value.1);
        let (value, note) = match source {
            Some(VariableSource::Value(value)) => (Value::from(value.as_str()).to_string(), ""),
            Some(VariableSource::Host(from)) => (format!("{{from: {from}}}"), ""),
            None if rule.starts_with("grant.") => (
                format!("{{from: {name}}}"),
                "; the record does not say its value: name the policy of the run with --policy",
            ),
            None => (format!("{{from: {name}}}"), ""),
        };
        let _ = writeln!(text, "    # {evidence}; by {}{note}\n    {name}: {value}", escaped(rule));
    }
}

fn secrets(text: &mut String, found: &Found, known: &Policy) {
    if !found.secrets.is_empty() {
        text.push_str("  secrets:\n");
    }
    for (name, places) in &found.secrets {
        let mut evidence = Evidence::default();
        places.values().for_each(|each| evidence.merge(each));
        let hosts: Vec<Value> = places.keys().map(|place| Value::from(place.as_str())).collect();
        let known: Option<&Line<PolicySecret>> =
            known.grant.secrets.iter().chain(&known.allow.secrets).find(|line| line.value.name.as_str() == name);
        let source = match known.map(|line| &line.value.source) {
            Some(SecretSource::File(path)) => format!(", file: {}", Value::from(path.as_str())),
            Some(SecretSource::Environment(variable)) if variable != name => format!(", env: {variable}"),
            _ => String::new(),
        };
        let hosts = Value::from(hosts);
        let _ = writeln!(text, "    # {evidence}\n    {name}: {{hosts: {hosts}{source}}}");
    }
}

/// Directories are named by the record; where they are, and how large the scratch directory may be, the policy
/// of the run says.
fn files(text: &mut String, found: &Found, known: &Policy) {
    let place = |name: &str| {
        let line = known.grant.data.iter().chain(&known.allow.data).find(|line| line.value.0.as_str() == name);
        line.map(|line| Value::from(line.value.1.as_str()))
    };
    let placed: Vec<_> =
        found.data.iter().filter_map(|(name, evidence)| Some((name, place(name)?, evidence))).collect();
    let known = known.grant.scratch.as_ref().or(known.allow.scratch.as_ref());
    let scratch = found.scratch.as_ref().and_then(|evidence| Some((evidence, known?.value.mib())));
    if placed.is_empty() && scratch.is_none() {
        return;
    }
    text.push_str("  files:\n");
    if !placed.is_empty() {
        text.push_str("    data:\n");
    }
    for (name, place, evidence) in placed {
        let _ = writeln!(text, "      # {evidence}\n      {name}: {place}");
    }
    if let Some((evidence, mib)) = scratch {
        let _ = writeln!(text, "    # {evidence}\n    scratch_mib: {mib}");
    }
}

/// What the policy of the run fixed; what a package fixes for itself needs no line.
fn fixed(text: &mut String, found: &Found, known: &Policy) {
    if let (Some(evidence), Some(line)) = (&found.clock, &known.grant.clock) {
        let _ = writeln!(text, "  # {evidence}\n  clock: \"{}\"", time_of(line.value));
    }
    if let (Some(evidence), Some(line)) = (&found.random, &known.grant.random) {
        let _ = writeln!(text, "  # {evidence}\n  random: {}", line.value.0);
    }
}

/// Files that were used, of which the record does not say enough.
fn missing(text: &mut String, found: &Found, known: &Policy) {
    let why = "the record does not say where it is: name the policy of the run with --policy";
    let known_data =
        |name: &str| known.grant.data.iter().chain(&known.allow.data).any(|line| line.value.0.as_str() == name);
    for (name, evidence) in found.data.iter().filter(|(name, _)| !known_data(name)) {
        let _ = writeln!(text, "# not covered: the data directory {name}: {why}: {evidence}");
    }
    if let Some(evidence) =
        found.scratch.as_ref().filter(|_| known.grant.scratch.is_none() && known.allow.scratch.is_none())
    {
        let _ = writeln!(text, "# not covered: the scratch directory: how large it may be: {evidence}");
    }
}

fn limits(text: &mut String, known: &Policy) {
    let mut lines = known.limits.iter().peekable();
    if lines.peek().is_some() {
        text.push_str("# kept: what the run was held to\nlimits:\n");
    }
    for (key, line) in lines {
        let _ = writeln!(text, "  {}: {}", key.as_str(), line.value);
    }
}
