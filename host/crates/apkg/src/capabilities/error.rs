//! What can be wrong with a policy, said to the operator who wrote it.

use crate::manifest::ManifestError;
use crate::quote::Quoted;

/// A policy, or a `pak.yaml`, that is not accepted. Displays as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct PolicyError {
    sentence: String,
    hint: Option<String>,
    code: &'static str,
}

impl PolicyError {
    /// The same mistake in another file than a manifest.
    pub(crate) fn in_file(file: &str, error: ManifestError) -> Self {
        let at = |line: Option<u64>| line.map(|line| format!(" line {line}")).unwrap_or_default();
        let hint = match &error {
            ManifestError::UnknownKey { similar: None, .. } => None,
            other => other.hint(),
        };
        let (code, sentence) = match error {
            ManifestError::Yaml { line, because } => ("invalid_yaml", format!("`{file}`{} {because}", at(line))),
            ManifestError::UnknownKey { key, line, .. } => {
                ("unknown_key", format!("unknown key `{}` in `{file}` line {line}", Quoted(&key)))
            }
            ManifestError::Missing { key, .. } => ("missing_key", format!("missing `{key}` in `{file}`")),
            ManifestError::Invalid { key, line, because, .. } => {
                ("invalid_value", format!("invalid `{}` in `{file}` line {line}: {because}", Quoted(&key)))
            }
            other => ("invalid_value", format!("`{file}`: {other}")),
        };
        Self { sentence, hint, code }
    }

    /// A way out, as a sentence without a full stop.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// A stable word for the kind of mistake.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }
}
