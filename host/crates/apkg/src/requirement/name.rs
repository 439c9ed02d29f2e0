//! Names of projects in a registry of Python packages.

use std::fmt;

/// The name of a project or of one of its extras, in normalized form.
///
/// Normalized as the name normalization of the packaging specifications has it: lower case, every run of `-`, `_`
/// and `.` a single `-`. Two spellings of one project are one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(String);

impl ProjectName {
    /// Parses and normalizes a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let accepted = text.len() <= 128
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.ends_with(|last: char| last.is_ascii_alphanumeric())
            && text.chars().all(is_name_character);
        if !accepted {
            return None;
        }
        let mut normalized = String::with_capacity(text.len());
        for part in text.split(['-', '_', '.']).filter(|part| !part.is_empty()) {
            if !normalized.is_empty() {
                normalized.push('-');
            }
            normalized.push_str(&part.to_ascii_lowercase());
        }
        Some(Self(normalized))
    }

    /// The normalized name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

pub(super) fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}
