//! Reads the keys of one map of the manifest, with their types and lines.

use super::ManifestError;
use crate::quote::Quoted;
use crate::yaml::{Node, Value};

/// A value and the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub(crate) line: u64,
    pub(crate) value: T,
}

/// A map, and the keys under which it is found.
#[derive(Debug, Clone)]
pub(crate) struct Section<'a> {
    path: String,
    line: u64,
    entries: Vec<(&'a str, u64, &'a Node)>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(crate) fn root(node: &'a Node) -> Result<Self, ManifestError> {
        match &node.value {
            Value::Map(entries) => Self::from_entries(String::new(), node.line, entries),
            other => Err(ManifestError::Yaml {
                line: Some(node.line),
                because: format!("has {} where a map is expected", other.describe()),
            }),
        }
    }

    /// A value that must be a map. `path` names it in messages.
    pub(crate) fn map(path: &str, node: &'a Node) -> Result<Self, ManifestError> {
        match &node.value {
            Value::Map(entries) => Self::from_entries(path.to_owned(), node.line, entries),
            _ => Err(wrong_type(path, node, "a map")),
        }
    }

    fn from_entries(path: String, line: u64, entries: &'a [(Node, Node)]) -> Result<Self, ManifestError> {
        let entries = entries
            .iter()
            .map(|(key, value)| match key.value.scalar() {
                Some(name) => Ok((name, key.line, value)),
                None => Err(ManifestError::Yaml {
                    line: Some(key.line),
                    because: format!("has {} as a key, expected a string", key.value.describe()),
                }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { path, line, entries })
    }

    /// The line the map starts on.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The name of a key in messages.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Refuses every key that is not in `known`.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ManifestError> {
        match self.entries.iter().find(|(key, ..)| !known.contains(key)) {
            None => Ok(()),
            Some((key, line, _)) => Err(ManifestError::UnknownKey {
                key: self.path_of(key),
                line: *line,
                similar: similar(key, known).map(|known| self.path_of(known)),
            }),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(name, ..)| *name == key).map(|(.., node)| *node)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Node)> {
        self.entries.iter().map(|(key, _, node)| (*key, *node))
    }

    /// An optional map. Nothing after the colon is the same as no key.
    pub(crate) fn section_or_absent(&self, key: &str) -> Result<Option<Self>, ManifestError> {
        match self.get(key) {
            None => Ok(None),
            Some(node) if node.value == Value::Null => Ok(None),
            Some(node) => Self::map(&self.path_of(key), node).map(Some),
        }
    }

    /// An optional string. Nothing after the colon is the same as no key.
    pub(crate) fn text(&self, key: &str) -> Result<Option<Located<String>>, ManifestError> {
        match self.get(key) {
            None => Ok(None),
            Some(node) => match &node.value {
                Value::Null => Ok(None),
                Value::Text(text) => Ok(Some(Located { line: node.line, value: text.clone() })),
                _ => Err(wrong_type(&self.path_of(key), node, "a string")),
            },
        }
    }

    /// An optional list. Nothing after the colon is the same as no key.
    pub(crate) fn list(&self, key: &str) -> Result<&'a [Node], ManifestError> {
        match self.get(key) {
            None => Ok(&[]),
            Some(node) => match &node.value {
                Value::Null => Ok(&[]),
                Value::List(items) => Ok(items),
                _ => Err(wrong_type(&self.path_of(key), node, "a list")),
            },
        }
    }
}

/// An error for a value of another type than its key needs.
pub(crate) fn wrong_type(path: &str, node: &Node, expected: &str) -> ManifestError {
    let hint = match (&node.value, expected) {
        (Value::Number(text) | Value::Boolean(text), "a string") => {
            let key = path.rsplit('.').next().unwrap_or(path);
            let quoted = format!("\"{}\"", Quoted(text));
            // An item of a list has no key to repeat.
            let whole = if key.ends_with(']') { quoted } else { format!("{}: {quoted}", Quoted(key)) };
            Some(format!("quote it: `{whole}`"))
        }
        (Value::Null, "a map") if path == "a2a" => Some("for a surface without actions write `a2a: {}`".to_owned()),
        (Value::Text(text), "a list") => Some(format!("write `[\"{}\"]`", Quoted(text))),
        _ => None,
    };
    ManifestError::Invalid {
        key: path.to_owned(),
        line: node.line,
        because: format!("expected {expected}, got {}", node.value.describe()),
        hint,
    }
}

/// The known key that was probably meant.
fn similar<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    // Spelling with other case or separators is the same word; beyond that, a typing error.
    let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    let typed = plain(key);
    known
        .iter()
        .copied()
        .map(|candidate| (strsim::damerau_levenshtein(&typed, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(4).min(3))
        .min()
        .map(|(_, candidate)| candidate)
}
