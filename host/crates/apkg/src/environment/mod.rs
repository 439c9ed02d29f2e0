//! The environment a package brings along.
//!
//! Three files may set variables; `deploy.json` wins over `agent.yaml`, which wins over
//! `.env`. References to other variables are resolved among these, and never in the
//! environment of the host: a package cannot ask for what the operator has.

mod deploy;
mod dotenv;
mod merge;

use std::collections::BTreeMap;

use crate::notice::Notice;

pub use deploy::DeployError;
pub(crate) use deploy::{DEPLOY_FILE, LARGEST_DEPLOY, parse as parse_deploy};
pub(crate) use dotenv::{DOTENV_FILE, LARGEST_DOTENV, parse as parse_dotenv};
pub(crate) use merge::{Layer, Value, merge};

/// The variables of a package, resolved, and what was odd about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageEnvironment {
    /// What the agent will see.
    pub variables: BTreeMap<String, String>,
    /// What was dropped or could not be resolved.
    pub notices: Vec<Notice>,
}

/// Whether a text can be the name of a variable.
pub(crate) fn is_variable_name(text: &str) -> bool {
    text.len() <= 256
        && text.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
        && text.chars().all(|other| other == '_' || other.is_ascii_alphanumeric())
}

/// Whether a package may not set this variable.
///
/// These steer the loader, the interpreter, the clients of the cloud, or this program, whose
/// settings an agent must not be able to pretend.
pub(crate) fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name == "PATH" || ["LD_", "DYLD_", "PYTHON", "AWS_", "PAR_"].iter().any(|prefix| name.starts_with(prefix))
}
