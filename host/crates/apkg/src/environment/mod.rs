//! The environment a package brings along.
//!
//! Three files may set variables; `deploy.json` wins over `agent.yaml`, which wins over
//! `.env`. What the operator's policy sets wins over all of them; what it lets through of the
//! environment of the host fills what they leave open. References to other variables are
//! resolved among these, and never in the rest of the environment of the host.

mod deploy;
mod dotenv;
mod merge;

use std::collections::BTreeMap;

use crate::notice::Notice;

pub use deploy::DeployError;
pub(crate) use deploy::{DEPLOY_FILE, LARGEST_DEPLOY, parse as parse_deploy};
pub(crate) use dotenv::{DOTENV_FILE, LARGEST_DOTENV, parse as parse_dotenv};
use merge::merge;
pub(crate) use merge::{Layer, Value};

/// The variables of a package, resolved, and what was odd about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageEnvironment {
    /// What the agent will see.
    pub variables: BTreeMap<String, String>,
    /// What was dropped or could not be resolved.
    pub notices: Vec<Notice>,
}

/// The files of a package that set variables, not yet resolved.
#[derive(Debug)]
pub(crate) struct EnvironmentFiles {
    /// The strongest first.
    pub(crate) layers: Vec<Layer>,
    /// What is odd about the files.
    pub(crate) notices: Vec<Notice>,
}

impl EnvironmentFiles {
    /// Which file decides about each variable a package may set.
    pub(crate) fn deciding(&self) -> BTreeMap<String, &'static str> {
        let weakest_first = self.layers.iter().rev();
        let names = weakest_first.flat_map(|layer| layer.variables.keys().map(move |name| (name.clone(), layer.file)));
        names.filter(|(name, _)| !is_reserved(name)).collect()
    }

    /// Resolves the variables between those of the operator that win and those that do not.
    pub(crate) fn resolve(
        &self,
        above: &BTreeMap<String, String>,
        below: &BTreeMap<String, String>,
    ) -> PackageEnvironment {
        // A value of the operator's is taken as it is: a `$` in a password is no reference.
        let literal = |(name, text): (&String, &String)| (name.clone(), Value::Literal(text.clone()));
        let operator = |file, variables: &BTreeMap<String, String>| Layer {
            file,
            trusted: true,
            variables: variables.iter().map(literal).collect(),
        };
        let mut layers = vec![operator("the policy", above)];
        layers.extend(self.layers.iter().cloned());
        layers.push(operator("the environment", below));
        let mut merged = merge(&layers);
        merged.notices.splice(0..0, self.notices.iter().cloned());
        merged
    }
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
