//! What the process of an agent gives up before any code of the agent runs.
//!
//! `par confined` applies it to itself and becomes the agent's Python. Nothing of it needs a privilege, so it works
//! in containers that have none. What the system does not offer is said on a descriptor, in one line of JSON, for the host's log
//! and the record.

mod call_lists;
mod calls;
mod descriptors;
mod files;
mod identity;
mod limits;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use rustix::process::{Pid, getpid, getppid, setsid};
use serde::{Deserialize, Serialize};

use crate::config::variables_given_to_an_agent;
use crate::exit::Exit;

pub use limits::ConfinedLimits;

/// What `par confined` is told, as its first argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confinement {
    /// Files and directories the process may read, beside those of the system every program needs. Nothing in them
    /// can be executed but the program itself.
    pub readable: Vec<PathBuf>,
    /// Directories it may write to. Nothing in them can be executed.
    pub writable: Vec<PathBuf>,
    /// Descriptors it keeps, beside its three standard ones.
    pub keep: Vec<i32>,
    /// The descriptor the [`Report`] goes to; closed before the agent's Python starts.
    pub report: i32,
    /// What the system holds it to.
    pub limits: ConfinedLimits,
    /// Whether it must not run when a part cannot be applied.
    pub strict: bool,
    /// Parts that are left out, for tests of what holds without them.
    #[serde(default)]
    pub without: Vec<Part>,
}

/// One part of the confinement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// A session and a process group of its own.
    Session,
    /// Limits of the system: memory, processes, files, no core file.
    Limits,
    /// Another user than root, where PAR runs as root.
    Identity,
    /// No capability, and no way to one.
    Capabilities,
    /// Every descriptor closed that is not named.
    Descriptors,
    /// Files, by landlock.
    Files,
    /// Signals to no process outside, by landlock.
    Signals,
    /// System calls, by seccomp.
    Calls,
    /// A control group of its own; made by PAR, not by the process.
    ControlGroup,
}

impl Part {
    /// The word for it in log and record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Limits => "limits",
            Self::Identity => "identity",
            Self::Capabilities => "capabilities",
            Self::Descriptors => "descriptors",
            Self::Files => "files",
            Self::Signals => "signals",
            Self::Calls => "calls",
            Self::ControlGroup => "control-group",
        }
    }
}

/// A part that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Which.
    pub part: Part,
    /// Why, for people.
    pub because: String,
}

/// What became of the confinement, one line of JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What holds.
    pub applied: Vec<Part>,
    /// What does not.
    pub missing: Vec<Missing>,
}

impl Report {
    /// Adds a part and what became of it.
    pub(super) fn note(&mut self, part: Part, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.applied.push(part),
            Err(because) => self.missing.push(Missing { part, because }),
        }
    }
}

/// What stands in front of the names of an agent's variables on their way through `par confined`: the loader of
/// programs and PAR itself must not take `LD_PRELOAD` of a package for their own.
pub const GIVEN: &str = "PAR_GIVEN_";

/// Variables that make a program load or run something else than it was told to. No package sets them.
const LOADING: [&str; 10] = [
    "BASH_ENV",
    "ENV",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "LOCPATH",
    "NLSPATH",
    "OPENSSL_CONF",
    "RES_OPTIONS",
];
const LOADING_PREFIXES: [&str; 6] = ["LD_", "PYTHON", "MALLOC_", "OPENSSL_MODULES", "OPENSSL_ENGINES", GIVEN];

/// Whether a variable of a package is kept from the process.
#[must_use]
pub fn is_withheld(name: &str) -> bool {
    LOADING.contains(&name) || LOADING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Why there is no confined process.
#[derive(Debug, thiserror::Error)]
enum NotConfined {
    #[error("the confinement is not what `par confined` understands: {0}")]
    Unreadable(serde_json::Error),
    #[error("the report of the confinement cannot be written: {0}")]
    NoReport(io::Error),
    #[error("the confinement is strict, and a part of it cannot be applied: {part}: {because}", part = .0.part.as_str(), because = .0.because)]
    Strict(Missing),
    #[error("`{program}` cannot be run: {error}", program = .0.display(), error = .1)]
    NotRun(PathBuf, io::Error),
}

/// Confines this process and becomes `command`; returns only when it cannot.
///
/// To be called before a second thread exists: most of what is given up belongs to a thread.
#[must_use]
pub fn confine(confinement: &str, command: &[OsString]) -> Exit {
    let Err(error) = become_confined(confinement, command);
    let _ = writeln!(io::stderr(), "error: {error}");
    Exit::Failed
}

fn become_confined(confinement: &str, command: &[OsString]) -> Result<std::convert::Infallible, NotConfined> {
    let confinement: Confinement = serde_json::from_str(confinement).map_err(NotConfined::Unreadable)?;
    let (program, arguments) = command
        .split_first()
        .map_or((PathBuf::new(), &[][..]), |(program, arguments)| (PathBuf::from(program), arguments));
    let mut channel = File::from(descriptors::adopt(confinement.report).map_err(NotConfined::NoReport)?);
    let report = confinement.apply(&program);
    let mut line = serde_json::to_vec(&report).map_err(NotConfined::Unreadable)?;
    line.push(b'\n');
    channel.write_all(&line).map_err(NotConfined::NoReport)?;
    drop(channel);
    if let Some(missing) = report.missing.into_iter().find(|_| confinement.strict) {
        return Err(NotConfined::Strict(missing));
    }
    #[expect(clippy::disallowed_methods, reason = "this process becomes the one that was started; none is added")]
    let mut becoming = std::process::Command::new(&program);
    let environment = variables_given_to_an_agent(GIVEN).filter(|(name, _)| !name.to_str().is_some_and(is_withheld));
    becoming.args(arguments).env_clear().envs(environment);
    Err(NotConfined::NotRun(program, becoming.exec()))
}

impl Confinement {
    /// Applies each part, the ones that need something before those that take it away.
    fn apply(&self, program: &std::path::Path) -> Report {
        let mut report = Report::default();
        let text = |error: io::Error| error.to_string();
        let wanted = |part: Part| if self.without.contains(&part) { Err("left out".to_owned()) } else { Ok(()) };
        let host = getppid();
        report.note(Part::Session, wanted(Part::Session).and_then(|()| own_session().map_err(text)));
        report.note(Part::Limits, wanted(Part::Limits).and_then(|()| self.limits.apply().map_err(text)));
        report.note(Part::Capabilities, wanted(Part::Capabilities).and_then(|()| identity::bound().map_err(text)));
        if rustix::process::geteuid().is_root() {
            let readable = self.readable.iter().map(PathBuf::as_path).chain([program]);
            let changed = wanted(Part::Identity).and_then(|()| identity::become_nobody(readable, &self.writable));
            report.note(Part::Identity, changed);
        }
        if let Err(error) = identity::without_capabilities() {
            report.applied.retain(|part| *part != Part::Capabilities);
            report.note(Part::Capabilities, Err(error.to_string()));
        }
        let closed = || descriptors::close_on_exec(&self.keep).map_err(text);
        report.note(Part::Descriptors, wanted(Part::Descriptors).and_then(|()| closed()));
        let landlock = wanted(Part::Files).and_then(|()| files::restrict(&self.readable, &self.writable, program));
        let scoped = match landlock {
            Ok(files::Held { files, signals }) => {
                report.note(Part::Files, files);
                report.note(Part::Signals, signals.clone());
                signals.is_ok()
            }
            Err(because) => {
                report.note(Part::Files, Err(because.clone()));
                report.note(Part::Signals, Err(because));
                false
            }
        };
        let signals = if scoped { calls::Signals::Scoped } else { calls::Signals::Own(getpid()) };
        let calls = wanted(Part::Calls)
            .and_then(|()| calls::restrict(host.unwrap_or(Pid::INIT), signals).map_err(|error| error.to_string()));
        report.note(Part::Calls, calls);
        report
    }
}

/// A session without a terminal, whose only process group nothing in it can leave afterwards.
fn own_session() -> io::Result<()> {
    setsid()?;
    // So that what others make is not theirs to change either.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    Ok(())
}
