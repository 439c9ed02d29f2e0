//! The one door through which a process of an agent starts.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;

use command_fds::{CommandFdExt as _, FdMapping};
use par_policy::{Limits, policy};
use tokio::process::{Child, Command};

use super::confinement::{ConfinedLimits, Confinement, GIVEN, Part};
use super::outbound::pair;

/// The descriptor of the child over which requests and responses go: a stream socket.
pub const MESSAGES: i32 = 3;

/// The descriptor of the child over which it asks for connections, by messages: [`super::outbound`].
pub const OUTBOUND: i32 = 4;

/// The descriptor of the child on which its confinement says, in one JSON line, what could not be applied. A stream
/// socket; it is closed before Python starts.
pub const REPORT: i32 = 5;

/// Everything a process of an agent is started with.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The interpreter.
    pub python: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its whole environment; nothing is inherited.
    pub environment: Vec<(String, String)>,
    /// Where it starts: its scratch directory, or an empty one.
    pub directory: PathBuf,
    /// Directories and files it may read and nothing else: the package, the venv, `par_guest`, the interpreter,
    /// data that was granted.
    pub readable: Vec<PathBuf>,
    /// Directories it may write to.
    pub writable: Vec<PathBuf>,
    /// Largest file it may write there. Unit: bytes.
    pub largest_file: u64,
    /// What the system holds it to.
    pub limits: Limits,
    /// Whether it runs where a part of its confinement cannot be applied.
    pub confinement: policy::Confinement,
    /// Parts of it that are left out, in tests.
    pub without: Vec<Part>,
}

/// A process that was started, and the host's ends of what it inherited.
#[derive(Debug)]
pub struct Launched {
    /// The process, the leader of its own group. Its output is piped.
    pub child: Child,
    /// The other end of [`MESSAGES`].
    pub messages: UnixStream,
    /// The other end of [`OUTBOUND`].
    pub outbound: OwnedFd,
    /// The other end of [`REPORT`].
    pub report: UnixStream,
}

impl Launch {
    /// Starts the process. It ends when the returned [`Child`] is dropped.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(&self) -> io::Result<Launched> {
        let (messages, inner_messages) = UnixStream::pair()?;
        let (outbound, inner_outbound) = pair()?;
        let (report, inner_report) = UnixStream::pair()?;
        let mut command = self.command()?;
        let inherited = [
            FdMapping { parent_fd: inner_messages.into(), child_fd: MESSAGES },
            FdMapping { parent_fd: inner_outbound, child_fd: OUTBOUND },
            FdMapping { parent_fd: inner_report.into(), child_fd: REPORT },
        ];
        command.fd_mappings(inherited.into()).map_err(io::Error::other)?;
        let mut command = Command::from(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Ok(Launched { child: command.spawn()?, messages, outbound, report })
    }

    /// The command that becomes the agent's Python once it has confined itself.
    fn command(&self) -> io::Result<std::process::Command> {
        let confinement = serde_json::to_string(&self.confinement()).map_err(io::Error::other)?;
        #[expect(clippy::disallowed_methods, reason = "the one place that starts the process of an agent")]
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.arg("confined").arg(confinement).arg("--").arg(&self.python).args(&self.arguments);
        // Its session, and with it its group, is made by itself.
        let given = self.environment.iter().map(|(name, value)| (format!("{GIVEN}{name}"), value));
        command.env_clear().envs(given).current_dir(&self.directory);
        Ok(command)
    }

    fn confinement(&self) -> Confinement {
        Confinement {
            readable: self.readable.iter().cloned().chain([self.directory.clone()]).collect(),
            writable: self.writable.clone(),
            keep: vec![MESSAGES, OUTBOUND],
            report: REPORT,
            limits: ConfinedLimits::of(&self.limits, self.writable.first().map(|_| self.largest_file)),
            strict: self.confinement == policy::Confinement::Strict,
            without: self.without.clone(),
        }
    }
}
