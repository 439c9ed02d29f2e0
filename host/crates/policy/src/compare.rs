//! What became wider, from one policy or request to another.
//!
//! Lists are compared rule by rule: a new rule that no single old one covers is wider, even where
//! several old ones cover it together. A reviewer then looks at a rule too many, never at one too few.

mod list;
mod policies;
mod requests;
#[cfg(test)]
mod tests;

use crate::RuleId;

pub use policies::policies;
pub use requests::requests;

/// What a change does to what an agent can touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// More than before.
    Widened,
    /// Something else than before, and no more of it.
    Changed,
    /// Less than before.
    Narrowed,
}

impl Direction {
    /// The word for it in tables and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Widened => "widened",
            Self::Changed => "changed",
            Self::Narrowed => "narrowed",
        }
    }

    /// The same seen from the other side: a rule that denies and goes makes things wider.
    const fn opposite(self) -> Self {
        match self {
            Self::Widened => Self::Narrowed,
            Self::Changed => Self::Changed,
            Self::Narrowed => Self::Widened,
        }
    }
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// Hosts, and addresses that are not public.
    Hosts,
    /// Secrets, and towards whom.
    Secrets,
    /// Data directories and scratch space.
    Files,
    /// Variables.
    Env,
    /// Limits.
    Limits,
    /// Clock and random numbers.
    Determinism,
    /// What is installed.
    Dependencies,
    /// Code that is not Python, and whether it may run outside the sandbox.
    Native,
    /// Whether denials hold.
    Mode,
    /// On which surfaces the agent answers.
    Surfaces,
}

impl Area {
    /// Every area, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Hosts,
        Self::Secrets,
        Self::Files,
        Self::Env,
        Self::Limits,
        Self::Determinism,
        Self::Dependencies,
        Self::Native,
        Self::Mode,
        Self::Surfaces,
    ];

    /// The word for it in tables and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Secrets => "secrets",
            Self::Files => "files",
            Self::Env => "env",
            Self::Limits => "limits",
            Self::Determinism => "determinism",
            Self::Dependencies => "dependencies",
            Self::Native => "native",
            Self::Mode => "mode",
            Self::Surfaces => "surfaces",
        }
    }
}

/// In which of the two files a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The old one: the line is gone, or says something else now.
    Old,
    /// The new one.
    New,
}

/// One difference between old and new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub area: Area,
    /// Whether it gives more.
    pub direction: Direction,
    /// The line that shows it.
    pub at: RuleId,
    /// In which file that line is.
    pub side: Side,
    /// What happened, as a sentence without subject and full stop: ``now grants `https://a.example` ``.
    pub sentence: String,
}
