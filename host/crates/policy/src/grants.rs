//! What one agent may touch. Everything that builds a sandbox starts from here.

use std::collections::BTreeMap;

use crate::Limits;
use crate::outbound::Outbound;
use crate::secret::Secrets;

/// What the operator's policy and the package's request agreed on.
///
/// There is no policy language yet, so there is nothing to agree on: an agent gets its own
/// package, its dependencies, the environment its package brings along, and limits. No
/// network, no writable directory, nothing of the host's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    environment: BTreeMap<String, String>,
    limits: Limits,
    outbound: Outbound,
    secrets: Secrets,
    mode: Mode,
}

impl Grants {
    /// The grants of an agent without a policy.
    ///
    /// `environment` comes from the package itself and from the identity of the deployment,
    /// never from the environment of the host.
    #[must_use]
    pub fn baseline(environment: BTreeMap<String, String>, limits: Limits) -> Self {
        Self { environment, limits, outbound: Outbound::default(), secrets: Secrets::default(), mode: Mode::Enforce }
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

    /// Which outbound requests it may make.
    #[must_use]
    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// Which secrets it may use by name, and towards whom.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Whether denials hold, or are only written down.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// These grants with other rules about outbound requests and other secrets.
    #[must_use]
    pub fn with_outbound(self, outbound: Outbound, secrets: Secrets) -> Self {
        Self { outbound, secrets, ..self }
    }
}

/// Whether denials hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// What is denied does not happen.
    #[default]
    Enforce,
    /// Outbound requests no rule grants happen, and are written down. For finding out what an
    /// agent needs. Addresses, limits and rules that deny hold all the same.
    Observe,
}
