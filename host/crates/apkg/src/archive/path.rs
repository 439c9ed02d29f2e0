//! The path of an entry, checked once and safe to join to a directory from then on.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use super::{ArchiveLimits, Refusal};
use crate::quote::is_deceptive;

/// A relative path of plain components: never empty, no `.` or `..`, no separators but `/`,
/// no control characters, no names with a meaning of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPath(String);

impl EntryPath {
    /// Checks the name of an archive entry. A `/` at the end, which marks a directory, must be
    /// removed before.
    pub(crate) fn parse(name: &str, limits: &ArchiveLimits) -> Result<Self, Refusal> {
        let refused = |because| Refusal::Name { name: name.to_owned(), because };

        if name.len() > limits.name_bytes {
            return Err(refused("is too long"));
        }
        if name.contains('\\') {
            return Err(refused("has a backslash"));
        }
        if name.chars().any(is_deceptive) {
            return Err(refused("has invisible or control characters"));
        }
        if name.starts_with('/') || has_drive(name) || name.split('/').any(|component| component == "..") {
            return Err(Refusal::Outside { name: name.to_owned() });
        }
        if name.split('/').count() > limits.depth {
            return Err(refused("is nested too deeply"));
        }
        for component in name.split('/') {
            if component.is_empty() || component == "." {
                return Err(refused("has an empty or `.` component"));
            }
            if component.len() > 255 {
                return Err(refused("is too long"));
            }
            if is_device(component) {
                return Err(refused("is the name of a device on some systems"));
            }
        }
        Ok(Self(name.to_owned()))
    }

    /// The path, with `/` between components.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Every directory above this path, outermost first, then the path itself.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(end, _)| &self.0[..end]).chain(std::iter::once(self.as_str()))
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<std::path::Path> for EntryPath {
    fn as_ref(&self) -> &std::path::Path {
        std::path::Path::new(&self.0)
    }
}

/// What two paths have in common when a file system somewhere would take them for one: their
/// letters without case, in one Unicode form, and components without dots and spaces at the end.
pub(super) fn folded(path: &str) -> String {
    // Upper case first: it maps `ß` and `ſ` to the letters other systems compare them by.
    let letters: String = path.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect();
    let components: Vec<&str> = letters.split('/').map(|component| component.trim_end_matches(['.', ' '])).collect();
    components.join("/")
}

fn has_drive(name: &str) -> bool {
    matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

fn is_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or(component).trim_end().to_ascii_uppercase();
    match stem.as_bytes() {
        b"CON" | b"PRN" | b"AUX" | b"NUL" => true,
        [b'C', b'O', b'M', digit] | [b'L', b'P', b'T', digit] => (b'1'..=b'9').contains(digit),
        _ => false,
    }
}
