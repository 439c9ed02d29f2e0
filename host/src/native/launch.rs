//! The one door through which a process of an agent starts.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;

use command_fds::{CommandFdExt as _, FdMapping};
use par_policy::Limits;
use tokio::process::{Child, Command};

/// The descriptor of the child over which requests and responses go: a stream socket.
pub const MESSAGES: i32 = 3;

/// The descriptor of the child over which it asks for connections: it sends one end of a socket pair with the
/// name and the port, and the host serves the other. A stream socket.
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
    /// What the system holds it to.
    pub limits: Limits,
}

/// A process that was started, and the host's ends of what it inherited.
#[derive(Debug)]
pub struct Launched {
    /// The process, the leader of its own group. Its output is piped.
    pub child: Child,
    /// The other end of [`MESSAGES`].
    pub messages: UnixStream,
    /// The other end of [`OUTBOUND`].
    pub outbound: UnixStream,
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
        let (outbound, inner_outbound) = UnixStream::pair()?;
        let (report, inner_report) = UnixStream::pair()?;
        let mut command = self.command();
        let inherited = [(MESSAGES, inner_messages), (OUTBOUND, inner_outbound), (REPORT, inner_report)];
        let inherited = inherited.map(|(child_fd, end)| FdMapping { parent_fd: OwnedFd::from(end), child_fd });
        command.fd_mappings(inherited.into()).map_err(io::Error::other)?;
        let mut command = Command::from(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Ok(Launched { child: command.spawn()?, messages, outbound, report })
    }

    /// The command that becomes the agent's Python.
    fn command(&self) -> std::process::Command {
        use std::os::unix::process::CommandExt as _;

        #[expect(clippy::disallowed_methods, reason = "the one place that starts the process of an agent")]
        let mut command = std::process::Command::new(&self.python);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.directory).process_group(0);
        command
    }
}
