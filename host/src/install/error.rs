//! What can go wrong while dependencies are installed.

use std::fmt;
use std::path::PathBuf;

use par_apkg::Quoted;
use par_apkg::archive::ArchiveError;
use par_apkg::digest::Sha256;
use par_apkg::requirement::ProjectName;
use par_apkg::wheel::{RecordFault, Unusable};

use super::classify::Native;
use super::lock::LockError;
use super::settings::{PYTHON_VERSION, UV_VERSION};
use crate::fetch::AddressRefused;

/// The way out where another Python may help.
const OUTSIDE: &str =
    "let the operator allow it outside the sandbox: `native: allow` in the policy, `PAR_NATIVE=allow` without one";

/// Why there is no deps layer. The way out, where there is one, is [`InstallError::hint`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The resolver is not there.
    #[error("`uv` {UV_VERSION} is needed to install {} and was not found{}", wanted(.needed), at(.asked.as_ref()))]
    NoUv {
        /// Where the operator said it is.
        asked: Option<PathBuf>,
        /// What it was to find.
        needed: Needed,
    },
    /// There is nothing that could fill a venv.
    #[error("neither `uv` {UV_VERSION} nor the `pip` of `{}` was found, and a native agent needs one of them", .python.display())]
    NoPip {
        /// The interpreter.
        python: PathBuf,
    },
    /// The resolver does not start.
    #[error("cannot run `{}`", .uv.display())]
    RunUv {
        /// The program.
        uv: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The resolver is another version than the one this release was tested with.
    #[error("`{}` is version `{}`, expected `{UV_VERSION}`", .uv.display(), Quoted(.got))]
    UvVersion {
        /// The program.
        uv: PathBuf,
        /// What it says it is.
        got: String,
    },
    /// The resolver found no interpreter to start from.
    #[error("`uv` found no Python on the search path, and it needs one to resolve for another")]
    NoInterpreter,
    /// There is no interpreter for native agents.
    #[error("the native backend needs CPython 3.11 or newer, and there is none{}", at(.asked.as_ref()))]
    NoPython {
        /// Where the operator said it is.
        asked: Option<PathBuf>,
    },
    /// The resolver failed for a reason other than the requirements: network, index, disk.
    #[error("cannot resolve the requirements of agent `{}`: {reason}", Quoted(.package))]
    ResolverFailed {
        /// The agent.
        package: String,
        /// What the resolver printed, on one line.
        reason: String,
    },
    /// The requirements have no solution.
    #[error("{}", .unresolvable.sentence(.package))]
    Unresolvable {
        /// The agent.
        package: String,
        /// Why.
        unresolvable: Unresolvable,
    },
    /// The resolver's answer was not believed.
    #[error("`uv` wrote a lock that cannot be used")]
    Lock(#[from] LockError),
    /// The lock of the package was not believed.
    #[error("`pylock.toml` cannot be used")]
    PackageLock {
        /// Why.
        #[source]
        source: LockError,
    },
    /// The lock of the package is not for this package, or not any more.
    #[error("`pylock.toml` of agent `{}` {because}", Quoted(.package))]
    StaleLock {
        /// The agent.
        package: String,
        /// What is wrong, as the rest of the sentence.
        because: String,
    },
    /// Some requirements have hashes, and one has not.
    #[error("agent `{}` has hashes for some requirements and none, or no exact version, for `{requirement}`", Quoted(.package))]
    PartlyHashed {
        /// The agent.
        package: String,
        /// The requirement.
        requirement: String,
    },
    /// What a package pins is nowhere.
    #[error("{} cannot be found{}", list(.which), reason_of(.reason))]
    NotFound {
        /// `name==version` of each.
        which: Vec<String>,
        /// What the index has instead, if it was asked.
        reason: String,
    },
    /// The files a lock led to are not the ones it was made with.
    #[error("the dependencies of agent `{}` do not unpack to the tree of its lock\n  expected {expected}\n  got      {got}", Quoted(.package))]
    Tree {
        /// The agent.
        package: String,
        /// From the lock.
        expected: Sha256,
        /// Of the files.
        got: Sha256,
    },
    /// A source distribution was not built.
    #[error("cannot build `{sdist}` in the sandbox: {because}")]
    Build {
        /// The file name of the source distribution.
        sdist: String,
        /// What happened.
        because: String,
        /// The end of what the build printed, for the log.
        output: String,
    },
    /// The wheels of a layer are together larger than a layer may be.
    #[error("`{wheel}` and the wheels before it unpack to more than a layer may hold")]
    TooLarge {
        /// The file name of the wheel that did not fit.
        wheel: String,
    },
    /// A wheel needs native code that does not run in the sandbox.
    #[error(
        "agent `{}` needs {}, which has no wheel that runs in the sandbox (`{}` is native code for {})",
        Quoted(.package), through(.distribution, .needs), Quoted(.file), .native.system()
    )]
    NativeCode {
        /// The agent.
        package: String,
        /// `name==version`.
        distribution: String,
        /// The requirements of the agent that lead to it, where they are known.
        needs: Vec<String>,
        /// The file, in the installed tree.
        file: String,
        /// What it is.
        native: Native,
    },
    /// A wheel could not be had.
    #[error("cannot download `{wheel}`: {because}")]
    Download {
        /// The file name of the wheel.
        wheel: String,
        /// What happened, without the URL, which may hold credentials.
        because: String,
    },
    /// The index does not say which files it has of a project.
    #[error("cannot ask the package index for `{project}`: {because}")]
    Index {
        /// Its name.
        project: String,
        /// What happened, without the URL, which may hold credentials.
        because: String,
    },
    /// What the index has is, or leads, where nothing is fetched from.
    #[error("cannot fetch {what}: {refused}")]
    Address {
        /// The file, or the page.
        what: String,
        /// The host, and what is wrong with its address.
        refused: AddressRefused,
    },
    /// The bytes that came are not the ones the lock names.
    #[error("digest mismatch for `{wheel}`\n  expected {expected}\n  got      {got}")]
    Digest {
        /// The file name of the wheel.
        wheel: String,
        /// From the lock.
        expected: Sha256,
        /// Of the bytes.
        got: Sha256,
    },
    /// The archive rules refuse a wheel.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A wheel is an archive, but not an acceptable wheel.
    #[error("`{wheel}` {because}")]
    Wheel {
        /// The file name of the wheel.
        wheel: String,
        /// What is wrong, as the rest of the sentence.
        because: WheelFault,
    },
    /// Two wheels bring different files for one place.
    #[error("`{first}` and `{second}` both install `{}`, with different content", Quoted(.path))]
    Conflict {
        /// The place in the installed tree.
        path: String,
        /// The wheel that came first.
        first: String,
        /// The wheel that came second.
        second: String,
    },
    /// Installing took too long and was stopped.
    #[error("installing the dependencies of agent `{}` timed out after {seconds} s", Quoted(.package))]
    TimedOut {
        /// The agent.
        package: String,
        /// The limit.
        seconds: u64,
    },
    /// Installing went on after its time was over, and stopped itself. Nobody waits for this answer.
    #[error("installing was stopped")]
    Stopped,
    /// The guest directory is not usable.
    #[error("the guest {reason}")]
    Guest {
        /// What is wrong, as the rest of the sentence.
        reason: String,
        /// What the system says, if it was asked.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The cache directory cannot be used.
    #[error("cannot use the dependency cache")]
    Cache(#[source] std::io::Error),
}

fn at(asked: Option<&PathBuf>) -> String {
    asked.map(|path| format!(" at `{}`", path.display())).unwrap_or_default()
}

fn reason_of(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

impl InstallError {
    /// The same, with what the resolver was to find.
    pub(super) fn needed_for(self, what: Needed) -> Self {
        match self {
            Self::NoUv { asked, .. } => Self::NoUv { asked, needed: what },
            other => other,
        }
    }

    pub(crate) fn cache(source: impl Into<std::io::Error>) -> Self {
        Self::Cache(source.into())
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoUv { needed: Needed::Versions(_), .. } => Some(format!(
                "run `par lock` where `uv` is and put its `pylock.toml` into the package; or run `just tools`, or set \
                 `PAR_UV` to a `uv` of version {UV_VERSION}"
            )),
            Self::NoUv { needed: Needed::Unsaid, .. } | Self::UvVersion { .. } => {
                Some(format!("run `just tools`, or set `PAR_UV` to a `uv` of version {UV_VERSION}"))
            }
            Self::NoPip { .. } => Some(format!(
                "run `just tools`, set `PAR_UV` to a `uv` of version {UV_VERSION}, or on Debian: `apt-get install \
                 python3-venv`"
            )),
            Self::NoInterpreter => {
                Some("install Python 3.9 or newer; it is asked for its version and runs nothing else".to_owned())
            }
            Self::NoPython { .. } => Some("install it, or set `PAR_PYTHON` to it".to_owned()),
            Self::NativeCode { .. } => Some(format!("use a library that is written in Python, or {OUTSIDE}")),
            Self::Unresolvable { unresolvable, .. } => unresolvable.hint(),
            Self::PackageLock { source: LockError::From { .. } } => {
                Some("build a wheel with `par wheelhouse add`, and lock again with `par lock`".to_owned())
            }
            Self::StaleLock { .. } => Some("run `par lock` again, or remove `pylock.toml`".to_owned()),
            Self::PartlyHashed { .. } => {
                Some("pin every requirement with `==` and a `--hash`, those of dependencies too, or none".to_owned())
            }
            Self::Address { refused, .. } if refused.may_be_named() => {
                Some("an operator may name the host in `PACKAGE_INTERNAL_HOSTS`".to_owned())
            }
            Self::NotFound { .. } => Some("add the wheel to `WHEELHOUSE_DIR`, or let the index be asked".to_owned()),
            Self::TimedOut { .. } => Some("pin versions, so that the resolver has less to try".to_owned()),
            Self::Conflict { .. } => Some("require only one of the two".to_owned()),
            _ => None,
        }
    }
}

/// What a resolver that is not there was to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// Nobody said.
    Unsaid,
    /// Versions of these, which nothing pins.
    Versions(Vec<String>),
}

fn wanted(needed: &Needed) -> String {
    match needed {
        Needed::Versions(names) if !names.is_empty() => list(names),
        _ => "dependencies".to_owned(),
    }
}

/// Why requirements have no solution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolvable {
    /// They contradict what the guest carries.
    ContradictsGuest {
        /// The requirements of the agent that take part in it.
        needs: Vec<String>,
        /// `name==version` of the guest.
        carried: String,
        /// The resolver's reason, where the two sides alone do not show it.
        because: Option<String>,
    },
    /// The index does not know a distribution.
    Unknown {
        /// Its name.
        name: String,
        /// The requirements of the agent that lead to it.
        needs: Vec<String>,
    },
    /// No version that is asked for has a wheel for the guest's Python.
    NoWheel {
        /// `name` or `name==version`.
        which: String,
        /// The requirements of the agent that lead to it.
        needs: Vec<String>,
    },
    /// No such version exists.
    NoVersion {
        /// `name` and the specifier.
        which: String,
        /// The requirements of the agent that lead to it.
        needs: Vec<String>,
    },
    /// Anything else, in the resolver's words.
    Other {
        /// The reason, on one line.
        reason: String,
    },
}

impl Unresolvable {
    fn sentence(&self, package: &str) -> String {
        let package = Quoted(package);
        match self {
            Self::ContradictsGuest { needs, carried, because } => {
                let reason = because.as_ref().map(|because| format!(": {because}")).unwrap_or_default();
                format!("agent `{package}` needs {}, but the guest carries `{carried}`{reason}", list(needs))
            }
            Self::Unknown { name, needs } => {
                format!("agent `{package}` needs {}, which the package index does not have", through(name, needs))
            }
            Self::NoWheel { which, needs } => {
                format!(
                    "agent `{package}` needs {}, which has no wheel for Python {PYTHON_VERSION}",
                    through(which, needs)
                )
            }
            Self::NoVersion { which, needs } => {
                format!("agent `{package}` needs {}, which was never published", through(which, needs))
            }
            Self::Other { reason } => format!("cannot resolve the requirements of agent `{package}`: {reason}"),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            // The one whose own name says little: it comes with `pydantic`, which is what people pin.
            Self::ContradictsGuest { carried, .. } if carried.starts_with("pydantic-core==") => Some(format!(
                "ask for `pydantic>=2.12`, before which none runs on Python {PYTHON_VERSION}, and leave the rest open; or {OUTSIDE}"
            )),
            Self::ContradictsGuest { carried, .. } => {
                Some(format!("allow `{carried}`, or leave its version open; or {OUTSIDE}"))
            }
            Self::Unknown { .. } => Some("check the spelling".to_owned()),
            Self::NoWheel { .. } => {
                Some("ask for a version with a wheel, put one into `WHEELHOUSE_DIR`, or let the operator set `PAR_BUILD_FROM_SOURCE=in_sandbox`".to_owned())
            }
            Self::NoVersion { .. } | Self::Other { .. } => None,
        }
    }
}

fn list(lines: &[String]) -> String {
    match lines {
        [] => "a version".to_owned(),
        lines => lines.iter().map(|line| format!("`{}`", Quoted(line))).collect::<Vec<_>>().join(" and "),
    }
}

fn through(which: &str, needs: &[String]) -> String {
    let name = |text: &str| {
        let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter)));
        ProjectName::parse(&text[..end.unwrap_or(text.len())])
    };
    let own = needs.iter().any(|line| name(line) == name(which));
    if own || needs.is_empty() {
        format!("`{}`", Quoted(which))
    } else {
        format!("`{}` (through {})", Quoted(which), list(needs))
    }
}

/// What makes an archive no acceptable wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WheelFault {
    /// There is not exactly one `.dist-info` directory for the distribution.
    DistInfo,
    /// A file every wheel has in its `.dist-info` directory is not there.
    Absent(&'static str),
    /// A file of the `.dist-info` directory cannot be read.
    Unreadable(String),
    /// The files are not those `RECORD` names.
    Record(RecordFault),
    /// Another file of the `.dist-info` directory is not in its form.
    Unusable(Unusable),
    /// `METADATA` is that of another distribution, or of another version.
    Impostor {
        /// The distribution it names.
        name: String,
        /// The version it names.
        version: String,
    },
    /// A file in a `.data` directory that is not known.
    Data(String),
    /// A file would take the place of a module of the standard library or of the guest.
    Shadows(String),
    /// A file would be run by the interpreter at start.
    RunsAtStart(String),
    /// Two files of the wheel would be installed in one place.
    Twice(String),
    /// Bytecode without its source: nobody could say what it does, and nothing would load it.
    BytecodeOnly(String),
}

impl fmt::Display for WheelFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DistInfo => formatter.write_str("has not exactly one `.dist-info` directory of its own name"),
            Self::Absent(file) => write!(formatter, "has an unusable `{file}`: it is missing"),
            Self::Unreadable(path) => write!(formatter, "has `{}`, which cannot be read", Quoted(path)),
            Self::Record(fault) => fault.fmt(formatter),
            Self::Unusable(unusable) => unusable.fmt(formatter),
            Self::Impostor { name, version } => {
                write!(formatter, "says in its `METADATA` that it is `{}` {}", Quoted(name), Quoted(version))
            }
            Self::Data(path) => {
                write!(formatter, "has `{}`, which belongs in no place of a virtual environment", Quoted(path))
            }
            Self::Shadows(path) => {
                write!(
                    formatter,
                    "has `{}`, which would replace a module of the standard library or of the guest",
                    Quoted(path)
                )
            }
            Self::RunsAtStart(path) => {
                write!(formatter, "has `{}`, which the interpreter would run at start", Quoted(path))
            }
            Self::BytecodeOnly(path) => {
                write!(formatter, "has `{}`, which is bytecode without its source", Quoted(path))
            }
            Self::Twice(path) => write!(formatter, "installs two files as `{}`", Quoted(path)),
        }
    }
}

impl From<RecordFault> for WheelFault {
    fn from(fault: RecordFault) -> Self {
        Self::Record(fault)
    }
}

impl From<Unusable> for WheelFault {
    fn from(unusable: Unusable) -> Self {
        Self::Unusable(unusable)
    }
}
