//! What is odd about a package and yet no reason to refuse it.

use crate::quote::Quoted;

/// A remark about a package, for the log of whoever runs it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Notice {
    /// `rest.entry` and `http_server` are both present; the latter is served.
    #[error("`rest.entry` in `agent.yaml` is not used, because `http_server` is set")]
    RestEntryUnused,
    /// The entry point of the package does not exist. Nothing calls it while a surface does.
    #[error("`entrypoint` in `agent.yaml` names `{0}`, which is not a module of the package")]
    EntrypointMissing(String),
    /// An environment variable the package may not set.
    #[error("`{}` in `{file}` is not passed to the agent: the name is reserved", Quoted(.name))]
    ReservedName {
        /// The file that sets it.
        file: &'static str,
        /// The variable.
        name: String,
    },
    /// A line of `.env` that is not `NAME=VALUE`.
    #[error("`.env` line {line} is not `NAME=VALUE` and is ignored")]
    EnvironmentLine {
        /// Counted from 1.
        line: usize,
    },
    /// `${NAME}` for a name that nothing in the package sets.
    #[error("`{}` refers to `{}`, which nothing in the package sets", Quoted(.name), Quoted(.reference))]
    UnsetReference {
        /// The variable whose value has the reference.
        name: String,
        /// The name referred to.
        reference: String,
    },
    /// `install_requires` of a `setup.py` is computed, and that file is never run.
    #[error("`install_requires` in `setup.py` is not a plain list and is ignored: `setup.py` is never run")]
    SetupNotRun,
}
