//! One requirement: name, extras, version specifiers, marker. Nothing else.

use std::fmt;
use std::str::FromStr;

use super::marker;
use super::name::{ProjectName, is_name_character};
use crate::digest::Sha256;

/// Longest requirement that is parsed. Unit: bytes. Real ones stay below 120.
const LONGEST: usize = 1024;

/// A requirement by name, in the subset of the dependency specifiers (PEP 508) that a
/// registry can satisfy: no URLs, no paths, no options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The project.
    pub name: ProjectName,
    /// The extras asked for, sorted.
    pub extras: Vec<ProjectName>,
    /// All must hold; empty means any version.
    pub specifiers: Vec<Specifier>,
    /// The condition under which it applies: checked for its form, kept as text.
    pub marker: Option<String>,
    /// The files that may be installed for it; empty means any. Not part of its text.
    pub hashes: Vec<Sha256>,
}

impl Requirement {
    /// Whether it applies to an agent at all.
    #[must_use]
    pub fn applies(&self) -> bool {
        self.marker.as_deref().is_none_or(|marker| marker::holds(marker) != Some(false))
    }

    /// The version it is pinned to with `==`.
    #[must_use]
    pub fn pin(&self) -> Option<&str> {
        match self.specifiers.as_slice() {
            [Specifier { operator: "==" | "===", version }] if !version.ends_with(".*") => Some(version),
            _ => None,
        }
    }
}

/// One condition on a version, such as `>=2.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Specifier {
    /// One of `===`, `==`, `~=`, `!=`, `<=`, `>=`, `<`, `>`.
    pub operator: &'static str,
    /// The version, possibly ending in `.*`.
    pub version: String,
}

/// Longest first, so that `<=` is not read as `<` and a version starting with `=`.
const OPERATORS: [&str; 8] = ["===", "==", "~=", "!=", "<=", ">=", "<", ">"];

/// Why a text is no requirement. Never repeats a URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotARequirement {
    /// Does not start with a name.
    #[error("does not start with the name of a project")]
    Name,
    /// Asks for a URL, a path or a repository.
    #[error("asks for a URL or a path; only names and versions are accepted")]
    Location,
    /// The extras are malformed.
    #[error("has malformed extras; expected `[one,two]`")]
    Extras,
    /// A version specifier is malformed.
    #[error("has a malformed version specifier; expected for example `>=1.2,<2`")]
    Specifier,
    /// The marker is malformed or uses an unknown variable.
    #[error("has a malformed marker after `;`; expected for example `python_version < \"3.13\"`")]
    Marker,
    /// A hash that is not SHA-256, or not one at all.
    #[error("has a malformed hash; expected `--hash=sha256:` and 64 hexadecimal digits")]
    Hash,
    /// Longer than any real requirement.
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
}

impl FromStr for Requirement {
    type Err = NotARequirement;

    fn from_str(text: &str) -> Result<Self, NotARequirement> {
        if text.len() > LONGEST {
            return Err(NotARequirement::TooLong);
        }
        let text = text.trim();
        if looks_like_location(text) {
            return Err(NotARequirement::Location);
        }
        let end = text.find(|character| !is_name_character(character)).unwrap_or(text.len());
        let name = ProjectName::parse(&text[..end]).ok_or(NotARequirement::Name)?;

        let (extras, rest) = extras(text[end..].trim_start())?;
        if rest.starts_with('@') {
            return Err(NotARequirement::Location);
        }
        let (specifiers, marker) = match rest.split_once(';') {
            Some((specifiers, marker)) => (specifiers, Some(marker.trim())),
            None => (rest, None),
        };
        let specifiers = self::specifiers(specifiers.trim())?;
        if marker.is_some_and(|marker| marker::holds(marker).is_none()) {
            return Err(NotARequirement::Marker);
        }
        Ok(Self { name, extras, specifiers, marker: marker.map(str::to_owned), hashes: Vec::new() })
    }
}

/// Whether the text names a place instead of a project: `git+https://`, `./wheel.whl`, `C:\`.
fn looks_like_location(text: &str) -> bool {
    let head = text.split([';', ' ', '\t', '@', '[']).next().unwrap_or_default();
    text.contains("://") || head.contains(['/', '\\', ':']) || head.starts_with('.') || has_archive_suffix(head)
}

fn has_archive_suffix(head: &str) -> bool {
    let head = head.to_ascii_lowercase();
    [".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2"].iter().any(|suffix| head.ends_with(suffix))
}

fn extras(text: &str) -> Result<(Vec<ProjectName>, &str), NotARequirement> {
    let Some(inner) = text.strip_prefix('[') else { return Ok((Vec::new(), text)) };
    let (inner, rest) = inner.split_once(']').ok_or(NotARequirement::Extras)?;
    let mut extras = Vec::new();
    if !inner.trim().is_empty() {
        for extra in inner.split(',') {
            extras.push(ProjectName::parse(extra.trim()).ok_or(NotARequirement::Extras)?);
        }
    }
    extras.sort();
    extras.dedup();
    Ok((extras, rest.trim_start()))
}

fn specifiers(text: &str) -> Result<Vec<Specifier>, NotARequirement> {
    let inner = match text.strip_prefix('(') {
        Some(inner) => inner.strip_suffix(')').ok_or(NotARequirement::Specifier)?,
        None => text,
    };
    if inner.trim().is_empty() {
        return Ok(Vec::new());
    }
    inner.trim().trim_end_matches(',').split(',').map(|part| specifier(part.trim())).collect()
}

fn specifier(text: &str) -> Result<Specifier, NotARequirement> {
    let (operator, version) = OPERATORS
        .into_iter()
        .find_map(|operator| text.strip_prefix(operator).map(|version| (operator, version.trim())))
        .ok_or(NotARequirement::Specifier)?;
    let plain = match version.strip_suffix(".*") {
        Some(plain) if matches!(operator, "==" | "!=") => plain,
        _ => version,
    };
    let accepted = plain.starts_with(|first: char| first.is_ascii_alphanumeric())
        && plain.chars().all(|other| other.is_ascii_alphanumeric() || matches!(other, '.' | '-' | '_' | '+' | '!'));
    if !accepted {
        return Err(NotARequirement::Specifier);
    }
    Ok(Specifier { operator, version: version.to_owned() })
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.name)?;
        for (index, extra) in self.extras.iter().enumerate() {
            write!(formatter, "{}{extra}", if index == 0 { '[' } else { ',' })?;
        }
        if !self.extras.is_empty() {
            formatter.write_str("]")?;
        }
        for (index, Specifier { operator, version }) in self.specifiers.iter().enumerate() {
            write!(formatter, "{}{operator}{version}", if index == 0 { "" } else { "," })?;
        }
        match &self.marker {
            Some(marker) => write!(formatter, " ; {marker}"),
            None => Ok(()),
        }
    }
}
