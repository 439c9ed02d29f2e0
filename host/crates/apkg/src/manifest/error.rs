//! What can be wrong with a manifest, said to the person who wrote it.

use crate::quote::Quoted;
use crate::yaml;

/// The file a manifest is in, at the root of every package.
pub const MANIFEST_FILE: &str = "agent.yaml";

/// A manifest that is not accepted. Displays as one sentence; [`ManifestError::hint`] is a
/// way out, for a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file is not YAML, or uses a part of YAML that is not accepted.
    #[error("`{MANIFEST_FILE}`{} {because}", in_line(*.line))]
    Yaml {
        /// Counted from 1; `None` when the file as a whole is refused.
        line: Option<u64>,
        /// What is wrong.
        because: String,
    },
    /// A key this program does not know.
    #[error("unknown key `{}` in `{MANIFEST_FILE}` line {line}", Quoted(.key))]
    UnknownKey {
        /// The key, with the keys above it.
        key: String,
        /// Counted from 1.
        line: u64,
        /// The known key it resembles.
        similar: Option<String>,
    },
    /// A key that is required and absent.
    #[error("missing `{key}` in `{MANIFEST_FILE}`")]
    Missing {
        /// The key, with the keys above it.
        key: String,
        /// What to write.
        hint: String,
    },
    /// A value that is not what its key needs.
    #[error("invalid `{}` in `{MANIFEST_FILE}` line {line}: {because}", Quoted(.key))]
    Invalid {
        /// The key, with the keys above it.
        key: String,
        /// Counted from 1.
        line: u64,
        /// What is wrong with the value.
        because: String,
        /// A way out.
        hint: Option<String>,
    },
    /// The agent is written in a language this program does not run.
    #[error("unsupported runtime `{}` in `{MANIFEST_FILE}` line {line}", Quoted(.runtime))]
    UnsupportedRuntime {
        /// The runtime as written.
        runtime: String,
        /// Counted from 1.
        line: u64,
    },
    /// A manifest that names neither a surface nor an entry point.
    #[error("`{MANIFEST_FILE}` names nothing to serve")]
    NothingToServe,
}

fn in_line(line: Option<u64>) -> String {
    line.map(|line| format!(" line {line}")).unwrap_or_default()
}

impl ManifestError {
    /// A way out, as a sentence without a full stop.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { similar: Some(similar), .. } => Some(format!("did you mean `{similar}`?")),
            Self::UnknownKey { similar: None, key, .. } if key.starts_with("sandbox.") => None,
            Self::UnknownKey { similar: None, .. } => Some("keys of your own go under `metadata`".to_owned()),
            Self::Missing { hint, .. } => Some(hint.clone()),
            Self::Invalid { hint, .. } => hint.clone(),
            Self::UnsupportedRuntime { .. } => Some("only Python agents run here: `runtime: python3.11`".to_owned()),
            Self::NothingToServe => {
                Some("add `rest`, `a2a`, `ui`, `http_server`, `exports` or `entrypoint`".to_owned())
            }
            Self::Yaml { .. } => None,
        }
    }
}

impl From<yaml::Refused> for ManifestError {
    fn from(refused: yaml::Refused) -> Self {
        Self::Yaml { line: refused.line, because: refused.because.to_string() }
    }
}
