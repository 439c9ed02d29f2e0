//! What one agent may touch. Everything that builds a sandbox starts from here.

use std::collections::BTreeMap;

use crate::Limits;

/// What the operator's policy and the package's request agreed on.
///
/// There is no policy language yet, so there is nothing to agree on: an agent gets its own
/// package, its dependencies, the environment its package brings along, and limits. No
/// network, no writable directory, nothing of the host's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    environment: BTreeMap<String, String>,
    limits: Limits,
}

impl Grants {
    /// The grants of an agent without a policy.
    ///
    /// `environment` comes from the package itself and from the identity of the deployment,
    /// never from the environment of the host.
    #[must_use]
    pub fn baseline(environment: BTreeMap<String, String>, limits: Limits) -> Self {
        Self { environment, limits }
    }

    /// The environment variables the agent sees, and no others.
    #[must_use]
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The limits it runs under.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}
