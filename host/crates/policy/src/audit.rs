//! One use of a capability, or one denial, as a value. Who writes it down is not decided here.

use crate::policy::Confinement;
use crate::resolve::Difference;
use crate::{Denial, DenialCode, Granted, Origin, RuleId};

/// What was used or denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Capability {
    /// An outbound request.
    Outbound,
    /// A secret put into a header.
    Secrets,
    /// A variable of the environment.
    Env,
    /// A file or directory outside the package.
    Files,
    /// A clock that stands.
    Clock,
    /// Random numbers that repeat.
    Random,
    /// A limit that was reached.
    Limits,
    /// Running outside the sandbox.
    Native,
}

impl Capability {
    /// The word for it: the key in policy, table and event.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Secrets => "secrets",
            Self::Env => "env",
            Self::Files => "files",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Limits => "limits",
            Self::Native => "native",
        }
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decision {
    /// It was granted and happened.
    Allowed,
    /// It was denied and did not happen.
    Denied,
    /// It would have been denied and happened, because the policy only observes.
    Observed,
}

impl Decision {
    /// The word for it in events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Observed => "observed",
        }
    }
}

/// One use of a capability, or one denial. Holds no query, header or value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// What was used or denied.
    pub capability: Capability,
    /// What was decided.
    pub decision: Decision,
    /// What it was about: method and URL without query, a name, a path.
    pub target: String,
    /// The rule that decided; `None` where nothing was granted.
    pub rule: Option<RuleId>,
    /// Who wanted the grant; `None` for a denial.
    pub origin: Option<Origin>,
    /// Why it was denied, or would have been.
    pub code: Option<DenialCode>,
}

impl AuditEvent {
    /// Something granted was used.
    #[must_use]
    pub fn allowed<T>(capability: Capability, target: impl Into<String>, granted: &Granted<T>) -> Self {
        Self {
            capability,
            decision: Decision::Allowed,
            target: target.into(),
            rule: Some(granted.rule.clone()),
            origin: Some(granted.origin),
            code: None,
        }
    }

    /// Something was denied.
    #[must_use]
    pub fn denied(capability: Capability, target: impl Into<String>, denial: &Denial) -> Self {
        Self {
            capability,
            decision: Decision::Denied,
            target: target.into(),
            rule: denial.rule().cloned().or_else(|| denial.code().limit().map(RuleId::of_limit)),
            origin: None,
            code: Some(denial.code()),
        }
    }

    /// A package asks for something and does not get it, and therefore does not start.
    #[must_use]
    pub fn above_policy(difference: &Difference) -> Self {
        Self {
            capability: difference.capability,
            decision: Decision::Denied,
            target: difference.asked.replace('`', ""),
            rule: difference.rule.clone(),
            origin: None,
            code: Some(difference.code),
        }
    }

    /// A clock or random numbers that were to be fixed, and are not: the agent runs outside the sandbox.
    #[must_use]
    pub fn not_fixed(self) -> Self {
        Self { decision: Decision::Denied, origin: None, code: Some(DenialCode::NotConfined), ..self }
    }

    /// An agent runs outside the sandbox. `because` says why; `origin` whether its package asks for it.
    #[must_use]
    pub fn outside_sandbox(because: impl Into<String>, origin: Origin) -> Self {
        Self {
            capability: Capability::Native,
            decision: Decision::Allowed,
            target: because.into(),
            rule: Some(RuleId::new("native")),
            origin: Some(origin),
            code: None,
        }
    }

    /// A process of a native agent is confined; `parts` says by what.
    #[must_use]
    pub fn confined(parts: &str) -> Self {
        Self {
            capability: Capability::Native,
            decision: Decision::Allowed,
            target: format!("confined: {parts}"),
            rule: Some(RuleId::new("confinement")),
            origin: Some(Origin::Unasked),
            code: None,
        }
    }

    /// A `part` of the confinement of a native agent could not be applied, `because` of the system. Denied where the
    /// policy wants all of it.
    #[must_use]
    pub fn not_confined(part: &str, because: &str, rule: Confinement) -> Self {
        let event = Self { target: format!("not confined: {part}: {because}"), ..Self::confined("") };
        match rule {
            Confinement::Available => event,
            Confinement::Strict => {
                Self { decision: Decision::Denied, origin: None, code: Some(DenialCode::NotConfined), ..event }
            }
        }
    }

    /// A limit was reached: `key` is the one of the policy, if there is one for it.
    #[must_use]
    pub fn limit(code: DenialCode, key: Option<&str>, target: impl Into<String>) -> Self {
        Self {
            capability: Capability::Limits,
            decision: Decision::Denied,
            target: target.into(),
            rule: key.or_else(|| code.limit()).map(RuleId::of_limit),
            origin: None,
            code: Some(code),
        }
    }

    /// Something would have been denied, and the policy only observes.
    #[must_use]
    pub fn observed(capability: Capability, target: impl Into<String>, denial: &Denial) -> Self {
        Self { decision: Decision::Observed, ..Self::denied(capability, target, denial) }
    }
}
