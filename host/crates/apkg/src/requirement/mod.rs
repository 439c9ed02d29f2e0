//! What a package needs installed, and which of its files says so.
//!
//! Nothing is executed to find out: `pyproject.toml` and `requirements.txt` are read, a
//! `setup.py` is only looked at.

mod lines;
mod marker;
mod name;
mod parse;
mod pyproject;
mod setup;
#[cfg(test)]
mod tests;

use crate::notice::Notice;

pub use marker::holds as marker_holds;
pub use name::ProjectName;
pub use parse::{NotARequirement, Requirement, Specifier};

pub use lines::parse as parse_lines;
pub use pyproject::parse as parse_pyproject;
pub use setup::{InstallRequires, install_requires};

/// Most requirements one package may have. Real ones stay below 100.
pub const MOST_REQUIREMENTS: usize = 1000;

/// Largest file of requirements that is read. Unit: bytes.
pub(crate) const LARGEST_FILE: usize = 256 * 1024;

/// `pyproject.toml`.
pub(crate) const PYPROJECT_FILE: &str = "pyproject.toml";
/// `requirements.txt`.
pub(crate) const REQUIREMENTS_FILE: &str = "requirements.txt";
/// `pylock.toml`.
pub(crate) const LOCK_FILE: &str = "pylock.toml";
/// Largest `pylock.toml` that is read. A large one, for 300 distributions, has 500 KiB. Unit: bytes.
pub(crate) const LARGEST_LOCK: usize = 4 << 20;
/// `setup.py`.
pub(crate) const SETUP_FILE: &str = "setup.py";

/// Which files with install metadata a package has, whether or not they are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InstallMetadata {
    /// `pyproject.toml`.
    pub pyproject: bool,
    /// `requirements.txt`.
    pub requirements: bool,
    /// `setup.py`. Never executed.
    pub setup: bool,
}

/// Which file the requirements were taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependencySource {
    /// `project.dependencies` of `pyproject.toml`.
    Pyproject,
    /// `requirements.txt`.
    RequirementsTxt,
    /// `dependencies` of the manifest.
    Manifest,
    /// A plain `install_requires` list of `setup.py`.
    SetupPy,
    /// No file says anything.
    Nothing,
}

/// What a package needs installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirements {
    /// Where this was said.
    pub source: DependencySource,
    /// In the order of the file. May be empty.
    pub list: Vec<Requirement>,
    /// The text of the package's `pylock.toml`, which then decides alone what is installed.
    pub lock: Option<String>,
    /// What is odd and yet accepted.
    pub notices: Vec<Notice>,
}

/// A requirement that is not accepted, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequirementError {
    /// The file is not text, or not in the format its name promises.
    #[error("`{file}` {because}")]
    File {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        because: String,
    },
    /// A line that is an option of an installer.
    #[error("`{file}` line {line} has the option `{option}`; only requirements are accepted")]
    InstallerOption {
        /// The file.
        file: &'static str,
        /// Counted from 1.
        line: usize,
        /// The option without its value, which may hold a password.
        option: String,
    },
    /// A line that is no requirement.
    #[error("`{file}` line {line} {because}")]
    Line {
        /// The file.
        file: &'static str,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        because: NotARequirement,
    },
    /// More requirements than any real package has.
    #[error("`{file}` has more than {MOST_REQUIREMENTS} requirements")]
    TooMany {
        /// The file.
        file: &'static str,
    },
}

impl RequirementError {
    /// A way out, as a sentence without a full stop.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InstallerOption { option, .. } => match option.as_str() {
                "-r" | "--requirement" | "-c" | "--constraint" => {
                    Some("write the requirements of the other file into this one")
                }
                "-e" | "--editable" => Some("put the code into the package; its root is importable"),
                _ => Some("which registry is used is the operator's choice; remove the line"),
            },
            Self::Line { because: NotARequirement::Location, .. } => {
                Some("publish the project to the registry the operator uses, or put its code into the package")
            }
            Self::File { .. } | Self::Line { .. } | Self::TooMany { .. } => None,
        }
    }
}
