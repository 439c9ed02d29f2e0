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
    /// The same, with a code that says in which part.
    FailedIn(FailureClass),
    /// A review found something to object to: a package above the policy, something denied, something wider.
    Findings,
    /// What was tested is allowed only to a package that asks for it.
    WhenAsked,
    /// The arguments were wrong.
    Usage,
    /// A second signal came before the end was reached.
    Interrupted(Signal),
}

/// Why there is no agent, as far as it decides who has to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// A variable, the policy or the record's file is wrong.
    Configuration,
    /// The package cannot be had, or is not the one that was demanded.
    Fetch,
    /// The package or its manifest was refused.
    Package,
    /// The package asks for more than the policy allows, or needs a value nobody gave.
    Capabilities,
    /// What the package requires cannot be installed.
    Dependencies,
    /// The agent's own code failed on its way up.
    Agent,
    /// A port cannot be had.
    Port,
    /// The boot took too long.
    Time,
    /// There is not enough memory.
    Memory,
    /// The machine or the image lacks something PAR needs.
    Machine,
    /// Something that was up broke.
    Serving,
}

impl FailureClass {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 11] = [
        Self::Configuration,
        Self::Fetch,
        Self::Package,
        Self::Capabilities,
        Self::Dependencies,
        Self::Agent,
        Self::Port,
        Self::Time,
        Self::Memory,
        Self::Machine,
        Self::Serving,
    ];

    /// The word in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Fetch => "fetch",
            Self::Package => "package",
            Self::Capabilities => "capabilities",
            Self::Dependencies => "dependencies",
            Self::Agent => "agent",
            Self::Port => "port",
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Machine => "machine",
            Self::Serving => "serving",
        }
    }

    /// The exit code of the class. A wrong configuration has always been 1.
    const fn code(self) -> u8 {
        match self {
            Self::Configuration => 1,
            Self::Fetch => 10,
            Self::Package => 11,
            Self::Capabilities => 12,
            Self::Dependencies => 13,
            Self::Agent => 14,
            Self::Port => 15,
            Self::Time => 16,
            Self::Memory => 17,
            Self::Machine => 18,
            Self::Serving => 19,
        }
    }
}

/// Which codes failures exit with (`PAR_EXIT_CODES`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCodes {
    /// 1 for all of them, as earlier runtimes did and the platform's scripts expect.
    One,
    /// One for each class.
    ByClass,
}

impl ExitCodes {
    /// The end of a process that failed so.
    #[must_use]
    pub const fn failed(self, class: FailureClass) -> Exit {
        match self {
            Self::One => Exit::Failed,
            Self::ByClass => Exit::FailedIn(class),
        }
    }
}

impl Exit {
    /// The code the process exits with.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::FailedIn(class) => class.code(),
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
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = include_str!("../../docs/errors.md");

    #[test]
    fn the_page_lists_every_exit_code() {
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::Findings,
            Exit::WhenAsked,
            Exit::Usage,
            Exit::Interrupted(Signal::Interrupt),
            Exit::Interrupted(Signal::Terminate),
        ] {
            assert!(PAGE.contains(&format!("| {} |", exit.code())), "docs/errors.md lacks exit code {}", exit.code());
        }
        for class in FailureClass::ALL {
            let row = format!("| {} | `{}` |", ExitCodes::ByClass.failed(class).code(), class.as_str());
            assert!(PAGE.contains(&row), "docs/errors.md lacks the row {row}");
        }
    }

    #[test]
    fn each_class_has_a_code_of_its_own_and_all_have_1_where_nobody_asked() {
        let codes: BTreeSet<u8> =
            FailureClass::ALL.iter().map(|class| ExitCodes::ByClass.failed(*class).code()).collect();

        assert_eq!(codes.len(), FailureClass::ALL.len());
        assert!(!codes.contains(&0) && !codes.contains(&2) && !codes.contains(&3) && !codes.contains(&64));
        for class in FailureClass::ALL {
            assert_eq!(ExitCodes::One.failed(class).code(), 1);
        }
    }
}
