//! Where the operator's policy is.

use std::path::PathBuf;

use par_policy::policy::{Confinement, Native};

use super::mistake::Expected;
use super::places;
use crate::native::confinement::Part;

/// Where the operator's policy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicySource {
    /// In this file.
    File(PathBuf),
    /// In the variable itself.
    Inline(String),
}

impl PolicySource {
    /// A text that begins like a policy is one; anything else is a path.
    pub(super) fn parse(text: &str) -> Result<Self, Expected> {
        let start = text.trim_start();
        if text.contains('\n') || start.starts_with('{') || start.starts_with("version:") {
            return Ok(Self::Inline(text.to_owned()));
        }
        places::directory(text).map(Self::File)
    }
}

/// Whether a policy may say `mode: observe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observing {
    /// It may.
    Allow,
    /// It may not: this installation holds what is denied, whatever the policy says.
    Refuse,
}

impl Observing {
    pub(super) fn parse(text: &str) -> Result<Self, Expected> {
        match text {
            "allow" => Ok(Self::Allow),
            "refuse" => Ok(Self::Refuse),
            _ => Err(Expected::new("`allow` or `refuse`")),
        }
    }
}

/// Reads `PAR_NATIVE`: whether agents may leave the sandbox where no policy says it.
pub(super) fn native(text: &str) -> Result<Native, Expected> {
    match text {
        "allow" => Ok(Native::Allow),
        "refuse" => Ok(Native::Refuse),
        _ => Err(Expected::new("`allow` or `refuse`")),
    }
}

/// Reads `PAR_CONFINEMENT`: whether native agents run where they cannot be confined completely.
pub(super) fn confinement(text: &str) -> Result<Confinement, Expected> {
    match text {
        "available" => Ok(Confinement::Available),
        "strict" => Ok(Confinement::Strict),
        _ => Err(Expected::new("`available` or `strict`")),
    }
}

/// Reads `TEST_CONFINEMENT_WITHOUT`: parts of the confinement that are left out, separated by commas.
pub(super) fn parts(text: &str) -> Result<Vec<Part>, Expected> {
    let part = |word: &str| {
        serde_json::from_value(serde_json::Value::from(word)).map_err(|_| Expected::new("parts of the confinement"))
    };
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_from_its_path() {
        for text in ["version: 1", " version: 1", "version: 1\ngrant: {}\n", "{version: 1, mode: observe}", "# all\n"] {
            assert_eq!(PolicySource::parse(text).ok(), Some(PolicySource::Inline(text.to_owned())), "{text}");
        }
        for text in ["/etc/par/policy.yaml", "policy.yaml", "./version"] {
            assert!(matches!(PolicySource::parse(text), Ok(PolicySource::File(_))), "{text}");
        }
    }
}
