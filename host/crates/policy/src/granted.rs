//! Where a grant comes from.

use std::fmt;
use std::sync::Arc;

/// The name of one line of policy, as a reviewer finds it: `grant.outbound[0]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(Arc<str>);

impl RuleId {
    /// Names the rule at `path`, the keys that lead to it.
    #[must_use]
    pub fn new(path: impl Into<Arc<str>>) -> Self {
        Self(path.into())
    }

    /// The line of the policy that sets a limit, or would: what holds by default is set there, too.
    #[must_use]
    pub fn of_limit(key: &str) -> Self {
        Self::new(format!("limits.{key}"))
    }

    /// The key of the limit, where the rule is one that sets a limit.
    #[must_use]
    pub fn limit(&self) -> Option<&str> {
        self.0.strip_prefix("limits.")
    }

    /// The keys that lead to the rule.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who wanted a thing to be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The package asked for it, and the policy allows it.
    Asked,
    /// The operator grants it to packages that did not ask.
    Unasked,
}

impl Origin {
    /// The word for it in tables and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Unasked => "unasked",
        }
    }
}

/// Something granted, with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted<T> {
    /// What is granted.
    pub value: T,
    /// Who wanted it.
    pub origin: Origin,
    /// The line of policy that decided.
    pub rule: RuleId,
}
