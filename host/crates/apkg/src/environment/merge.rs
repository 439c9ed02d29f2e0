//! Merges the files that set variables and resolves references among them.

use std::collections::{BTreeMap, BTreeSet};

use super::{PackageEnvironment, is_reserved, is_variable_name};
use crate::notice::Notice;

/// Longest value after resolution. Unit: bytes.
///
/// References to references could double a value with every line; this is where that ends.
const LONGEST_VALUE: usize = 64 * 1024;

/// A value as a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Taken as it is.
    Literal(String),
    /// May have `${NAME}` and `${NAME:-default}` in it.
    Template(String),
}

/// Longest chain of references that is followed. Real ones have two links.
const LONGEST_CHAIN: usize = 16;

/// The variables of one file.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) file: &'static str,
    /// Whether the operator wrote it, who may set names a package may not.
    pub(crate) trusted: bool,
    pub(crate) variables: BTreeMap<String, Value>,
}

/// Merges files, the strongest first.
pub(crate) fn merge(layers: &[Layer]) -> PackageEnvironment {
    let mut notices = Vec::new();
    let mut names = BTreeSet::new();
    for layer in layers {
        for name in layer.variables.keys() {
            if is_out_of_reach(layer, name) {
                notices.push(Notice::ReservedName { file: layer.file, name: name.clone() });
            } else {
                names.insert(name.as_str());
            }
        }
    }
    let mut resolver = Resolver { layers, active: Vec::new(), done: BTreeMap::new(), notices };
    let variables =
        names.into_iter().filter_map(|name| resolver.value(name, 0).map(|value| (name.to_owned(), value))).collect();
    PackageEnvironment { variables, notices: resolver.notices }
}

struct Resolver<'a> {
    layers: &'a [Layer],
    /// What is being resolved: a name, and the layer its value is in.
    active: Vec<(String, usize)>,
    done: BTreeMap<(String, usize), String>,
    notices: Vec<Notice>,
}

impl Resolver<'_> {
    /// The value of a variable, from the strongest layer at or below `from` that has it.
    fn value(&mut self, name: &str, from: usize) -> Option<String> {
        let (layer, value) = (from..self.layers.len())
            .filter(|layer| !is_out_of_reach(&self.layers[*layer], name))
            .find_map(|layer| self.layers[layer].variables.get(name).map(|value| (layer, value)))?;
        let template = match value {
            Value::Literal(text) => return Some(text.clone()),
            Value::Template(template) => template,
        };
        let key = (name.to_owned(), layer);
        if let Some(done) = self.done.get(&key) {
            return Some(done.clone());
        }
        if self.active.contains(&key) || self.active.len() == LONGEST_CHAIN {
            return None;
        }
        self.active.push(key.clone());
        let resolved = self.fill(template, &key);
        self.active.pop();
        self.done.insert(key, resolved.clone());
        Some(resolved)
    }

    fn fill(&mut self, template: &str, (name, layer): &(String, usize)) -> String {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, reference, after)) = next_reference(rest) {
            filled.push_str(before);
            // A variable that refers to itself means its value in a weaker file:
            // `DEBUG: ${DEBUG:-false}` takes `DEBUG` from `.env`.
            let from = if reference.name == name { layer + 1 } else { 0 };
            let value = self.value(reference.name, from);
            match (value.filter(|value| !value.is_empty()), reference.default) {
                (Some(value), _) => filled.push_str(&value),
                (None, Some(default)) => filled.push_str(default),
                (None, None) => self
                    .notices
                    .push(Notice::UnsetReference { name: name.clone(), reference: reference.name.to_owned() }),
            }
            rest = after;
            if filled.len() > LONGEST_VALUE {
                break;
            }
        }
        filled.push_str(rest);
        truncate(&mut filled);
        filled
    }
}

/// Whether a package sets a name only others may set.
fn is_out_of_reach(layer: &Layer, name: &str) -> bool {
    !layer.trusted && is_reserved(name)
}

fn truncate(text: &mut String) {
    if text.len() > LONGEST_VALUE {
        let end = (0..=LONGEST_VALUE).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

struct Reference<'a> {
    name: &'a str,
    default: Option<&'a str>,
}

/// The text before the first reference, the reference, and the text after it. Anything that
/// is not exactly a reference stays what it is.
fn next_reference(text: &str) -> Option<(&str, Reference<'_>, &str)> {
    text.match_indices("${").find_map(|(start, _)| {
        let (inner, after) = text[start + 2..].split_once('}')?;
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        is_variable_name(name).then_some((&text[..start], Reference { name, default }, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(file: &'static str, variables: &[(&str, &str)]) -> Layer {
        let template = |(name, text): &(&str, &str)| ((*name).to_owned(), Value::Template((*text).to_owned()));
        Layer { file, trusted: false, variables: variables.iter().map(template).collect() }
    }

    fn resolved(layers: &[Layer]) -> Vec<(String, String)> {
        merge(layers).variables.into_iter().collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_stronger_file_wins() {
        let layers = [
            layer("deploy.json", &[("A", "deploy")]),
            layer("agent.yaml", &[("A", "manifest"), ("B", "manifest")]),
            layer(".env", &[("A", "env"), ("B", "env"), ("C", "env")]),
        ];

        assert_eq!(resolved(&layers), pairs(&[("A", "deploy"), ("B", "manifest"), ("C", "env")]));
    }

    #[test]
    fn references_are_resolved_among_the_files_and_fall_back() {
        let layers = [
            layer("agent.yaml", &[("DEBUG", "${DEBUG:-false}"), ("URL", "http://${HOST}:${PORT:-80}/$x${1}")]),
            layer(".env", &[("DEBUG", "true"), ("HOST", "a.example")]),
        ];

        assert_eq!(
            resolved(&layers),
            pairs(&[("DEBUG", "true"), ("HOST", "a.example"), ("URL", "http://a.example:80/$x${1}")])
        );
        assert_eq!(resolved(&layers[..1])[0].1, "false");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the variable must be there to be out of reach")]
    fn the_environment_of_the_host_is_out_of_reach() {
        assert_eq!(std::env::var("CARGO_PKG_NAME").as_deref(), Ok("par-apkg"));

        let environment = merge(&[layer(".env", &[("A", "[${CARGO_PKG_NAME}]"), ("B", "[${PATH:-none}]")])]);

        assert_eq!(environment.variables.into_iter().collect::<Vec<_>>(), pairs(&[("A", "[]"), ("B", "[none]")]));
        assert_eq!(
            environment.notices,
            [Notice::UnsetReference { name: "A".to_owned(), reference: "CARGO_PKG_NAME".to_owned() }]
        );
    }

    #[test]
    fn circles_end_and_doubling_is_cut() {
        assert_eq!(resolved(&[layer(".env", &[("A", "a${B}"), ("B", "b${A}")])])[0].1, "ab");

        let doubling: Vec<_> =
            (0..40).map(|n| (format!("V{n:02}"), format!("${{V{:02}}}${{V{:02}}}", n + 1, n + 1))).collect();
        let mut doubling: Vec<_> = doubling.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        doubling.push(("V40", "0123456789"));
        assert!(resolved(&[layer(".env", &doubling)]).iter().all(|(_, value)| value.len() <= LONGEST_VALUE));
    }

    #[test]
    fn reserved_names_are_dropped_with_a_notice_and_their_neighbours_are_not() {
        let names = ["AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "PATH", "PYTHONPATH", "PAR_MEMORY_MIB", "ld_preload"];
        let mut variables: Vec<_> = names.iter().map(|name| (*name, "x")).collect();
        variables.extend([("AWSOME", "1"), ("PATHS", "2"), ("MY_PYTHON", "3")]);

        let environment = merge(&[layer("agent.yaml", &variables)]);

        assert_eq!(environment.variables.len(), 3);
        assert_eq!(environment.notices.len(), names.len());
        assert_eq!(
            environment.notices[0].to_string(),
            "`AWS_SECRET_ACCESS_KEY` in `agent.yaml` is not passed to the agent: the name is reserved"
        );
    }

    #[test]
    fn the_operator_sets_names_a_package_may_not_and_references_find_them() {
        let operator = |variables| Layer { trusted: true, ..layer("the policy", variables) };
        let layers = [
            operator(&[("AWS_REGION", "eu-1"), ("A", "policy")]),
            layer(
                "agent.yaml",
                &[("A", "manifest"), ("AWS_REGION", "forged"), ("URL", "${AWS_REGION}/${BELOW}/${BOTH}")],
            ),
            layer(".env", &[("BOTH", "env")]),
            operator(&[("BELOW", "host"), ("BOTH", "host")]),
        ];

        assert_eq!(
            resolved(&layers),
            pairs(&[
                ("A", "policy"),
                ("AWS_REGION", "eu-1"),
                ("BELOW", "host"),
                ("BOTH", "env"),
                ("URL", "eu-1/host/env")
            ])
        );
    }
}
