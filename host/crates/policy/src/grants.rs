//! What one agent may touch. Everything that builds a sandbox starts from here.

use std::collections::BTreeMap;

use crate::granted::{Granted, RuleId};
use crate::name::{DataName, DataPath, VariableName, VariablePattern};
use crate::outbound::Outbound;
use crate::policy::{FixedClock, FixedRandom, PolicySecret, ScratchLimit, SecretSource, VariableSource};
use crate::secret::{SecretName, Secrets};
use crate::{Limits, Mode};

/// What the operator's policy and the package's request agreed on.
///
/// [`Grants::resolve`] is the only constructor. The rules and what is behind them are complete
/// then; the environment is filled in by whoever can read variables, with
/// [`Grants::with_environment`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    contents: Contents,
    secrets: Secrets,
    environment: BTreeMap<String, String>,
}

/// The parts, as resolution leaves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) outbound: Outbound,
    pub(crate) variables: Vec<GrantedVariable>,
    pub(crate) denied_variables: Vec<(RuleId, VariablePattern)>,
    pub(crate) secrets: Vec<(SecretName, Granted<PolicySecret>)>,
    pub(crate) data: Vec<(DataName, Granted<DataPath>)>,
    pub(crate) scratch: Option<Granted<ScratchLimit>>,
    pub(crate) clock: Option<Granted<FixedClock>>,
    pub(crate) random: Option<Granted<FixedRandom>>,
    pub(crate) limits: Limits,
    pub(crate) mode: Mode,
}

/// Whether a variable wins over the one of the same name a package sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precedence {
    /// It does: the operator set it in the policy.
    AbovePackage,
    /// It does not: it is the operator's environment, for packages that leave it open.
    BelowPackage,
}

/// A variable of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedVariable {
    /// Its name in the agent's environment.
    pub name: VariableName,
    /// Where its value is.
    pub source: Granted<VariableSource>,
    /// Whether it wins over the package's own.
    pub precedence: Precedence,
}

/// Where an agent finds the directory it may write to.
const SCRATCH: &str = "/scratch";

impl Grants {
    pub(crate) fn of(contents: Contents) -> Self {
        let granted = |(name, secret): &(SecretName, Granted<PolicySecret>)| {
            let Granted { value, origin, rule } = secret.clone();
            (name.clone(), Granted { value: value.binding, origin, rule })
        };
        let secrets = contents.secrets.iter().map(granted).collect();
        Self { contents, secrets, environment: BTreeMap::new() }
    }

    /// The environment variables the agent sees, and no others.
    #[must_use]
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The limits it runs under.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.contents.limits
    }

    /// Which outbound requests it may make.
    #[must_use]
    pub fn outbound(&self) -> &Outbound {
        &self.contents.outbound
    }

    /// Which secrets it may use by name, and towards whom.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Where the values of its secrets are.
    pub fn secret_sources(&self) -> impl Iterator<Item = (&SecretName, &SecretSource)> {
        self.contents.secrets.iter().map(|(name, secret)| (name, &secret.value.source))
    }

    /// The operator's variables it gets.
    #[must_use]
    pub fn variables(&self) -> &[GrantedVariable] {
        &self.contents.variables
    }

    /// The rule that denies a variable, whoever sets it.
    #[must_use]
    pub fn denied_variable(&self, name: &str) -> Option<&RuleId> {
        self.contents.denied_variables.iter().find(|(_, pattern)| pattern.denies(name)).map(|(rule, _)| rule)
    }

    /// The directories of the host it may read, each at [`DataName::guest_path`].
    #[must_use]
    pub fn data(&self) -> &[(DataName, Granted<DataPath>)] {
        &self.contents.data
    }

    /// How much it may keep in the directory it may write to.
    #[must_use]
    pub fn scratch(&self) -> Option<&Granted<ScratchLimit>> {
        self.contents.scratch.as_ref()
    }

    /// Where it finds that directory.
    #[must_use]
    pub const fn scratch_path() -> &'static str {
        SCRATCH
    }

    /// The time its clock stands at.
    #[must_use]
    pub fn clock(&self) -> Option<&Granted<FixedClock>> {
        self.contents.clock.as_ref()
    }

    /// The seed of its random numbers.
    #[must_use]
    pub fn random(&self) -> Option<&Granted<FixedRandom>> {
        self.contents.random.as_ref()
    }

    /// Whether denials hold, or are only written down.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.contents.mode
    }

    /// These grants with the environment the agent sees: `variables` without those a rule
    /// denies, the placeholder of every secret under its name, and the place of the scratch
    /// directory.
    #[must_use]
    pub fn with_environment(mut self, variables: BTreeMap<String, String>) -> Self {
        self.environment = variables.into_iter().filter(|(name, _)| self.denied_variable(name).is_none()).collect();
        let placeholders = self.secrets.iter().map(|(name, _)| (name.as_str().to_owned(), name.placeholder()));
        self.environment.extend(placeholders);
        if self.scratch().is_some() {
            self.environment.insert("TMPDIR".to_owned(), SCRATCH.to_owned());
        }
        self
    }
}
