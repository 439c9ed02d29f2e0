//! How the process ends. `docs/errors.md` has the table for operators.

use std::process::ExitCode;

use crate::signals::Signal;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// A signal came and everything was brought to an end, or there was nothing to do.
    Done,
    /// The configuration, the package or the agent was refused, or a surface died.
    Failed,
    /// A review found something to object to: a package above the policy, something denied, something wider.
    Findings,
    /// What was tested is allowed only to a package that asks for it.
    WhenAsked,
    /// The arguments were wrong.
    Usage,
    /// A second signal came before the end was reached.
    Interrupted(Signal),
}

impl Exit {
    /// The code the process exits with.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Findings => 2,
            Self::WhenAsked => 3,
            Self::Usage => 64,
            Self::Interrupted(signal) => 128 + signal.number(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_every_exit_code() {
        let page = include_str!("../../docs/errors.md");

        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::Findings,
            Exit::WhenAsked,
            Exit::Usage,
            Exit::Interrupted(Signal::Interrupt),
            Exit::Interrupted(Signal::Terminate),
        ] {
            assert!(page.contains(&format!("| {} |", exit.code())), "docs/errors.md lacks exit code {}", exit.code());
        }
    }
}
