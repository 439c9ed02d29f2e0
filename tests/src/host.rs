//! The program `par` as a child process, before it is started.

mod process;
mod running;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reqwest::Client;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

pub use self::running::RunningHost;
use crate::built;
use crate::command::{self, Said};
use crate::log::Log;
use crate::package::Package;
use crate::ports::free_port;
use crate::terminal::Terminal;

/// How long anything may take before a test gives up. Generous: machines that run tests are
/// busy, and no test measures time.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs what follows as a user that is not the one of the test. It replaces itself, so that the process is the program.
const AS_ANOTHER_USER: [&str; 3] = ["/usr/bin/unshare", "--map-user=1234", "--map-group=1234"];

/// The same, and nothing of the machine can be written to but what `$1` names. What could not be done for a test is said by
/// the program's standard error.
const ON_A_READ_ONLY_ROOT: &str = "mount --bind \"$0\" \"$0\" && cd \"$0\" && mount -o remount,bind,ro / && \
     exec unshare --map-user=1234 --map-group=1234 \"$@\"";

/// A process that is about to be started.
#[derive(Debug)]
pub struct TestHost {
    directory: TempDir,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    package: Option<PathBuf>,
    text: bool,
    umask: Option<&'static str>,
    other_user: bool,
    read_only_root: bool,
    output: Output,
}

/// What becomes of standard output.
#[derive(Debug, Clone, Copy)]
enum Output {
    Read,
    Unread,
    Closed,
}

impl TestHost {
    /// Runs `package`, written into a directory.
    #[must_use]
    pub fn agent(package: &Package) -> Self {
        let host = Self::bare();
        let path = package.write_directory(&host.directory.path().join("packages"));
        host.run(path, package)
    }

    /// Runs `package`, written into an archive.
    #[must_use]
    pub fn archive(package: &Package) -> Self {
        let host = Self::bare();
        let path = package.write_archive(&host.directory.path().join("packages"));
        host.run(path, package)
    }

    fn run(mut self, path: PathBuf, package: &Package) -> Self {
        self.environment.insert("AGENT_PACKAGE_PATH".to_owned(), path.clone().into());
        self.package = Some(path);
        if package.is_native() {
            self.environment.insert("PAR_NATIVE".to_owned(), "allow".into());
        }
        if package.is_installed() { self.installing() } else { self }
    }

    /// With what installing dependencies needs of the machine.
    #[must_use]
    pub fn installing(mut self) -> Self {
        let needed = built::installing().into_iter();
        self.environment.extend(needed.map(|(name, value)| (name.to_owned(), value.into())));
        self
    }

    /// Runs without a package and without a guest: what is refused before either is needed.
    #[must_use]
    pub fn bare() -> Self {
        let directory = tempfile::Builder::new().prefix("par-test-").tempdir().unwrap();
        for name in ["home", "tmp", "packages"] {
            fs_err::create_dir(directory.path().join(name)).unwrap();
        }
        let path = |name: &str| directory.path().join(name).into_os_string();
        let environment = [
            ("AGENT_APP_ID", "app-1".into()),
            ("DEPLOYMENT_ID", "deployment-1".into()),
            ("HOME", path("home")),
            ("TMPDIR", path("tmp")),
            ("PAR_CACHE_DIR", path("cache")),
            ("PAR_INSTANCES", "1".into()),
            // A test of the sandbox never passes because its agent ran elsewhere.
            ("PAR_NATIVE", "refuse".into()),
            ("REST_PORT", free_port().to_string().into()),
            ("A2A_PORT", free_port().to_string().into()),
            ("UI_PORT", free_port().to_string().into()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        Self {
            directory,
            arguments: Vec::new(),
            environment,
            package: None,
            text: false,
            umask: None,
            other_user: false,
            read_only_root: false,
            output: Output::Read,
        }
    }

    /// Runs the package of a URL. Servers of tests are slow when the machine is, and not silent.
    #[must_use]
    pub fn fetching(url: &str) -> Self {
        Self::bare().env("PACKAGE_URL", url).env("FETCH_IDLE_TIMEOUT_SEC", "60")
    }

    /// With the guest, which whatever is not refused before needs.
    #[must_use]
    pub fn with_guest(self) -> Self {
        self.env("PAR_GUEST_DIR", built::guest())
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a variable out.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Adds arguments to the command line.
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Says that standard output is for people, so that it is not held against the schema of
    /// the log.
    #[must_use]
    pub fn for_people(mut self) -> Self {
        self.text = true;
        self
    }

    /// Leaves standard output unread, as a log driver that is stuck does. Nothing is known of the log then.
    #[must_use]
    pub fn unread(mut self) -> Self {
        self.output = Output::Unread;
        self
    }

    /// Closes the other end of standard output, as a log driver that died does. Nothing is known of the log then.
    #[must_use]
    pub fn unheard(mut self) -> Self {
        self.output = Output::Closed;
        self
    }

    /// Starts the process with this umask, as another user or machine would.
    #[must_use]
    pub fn umask(mut self, umask: &'static str) -> Self {
        self.umask = Some(umask);
        self
    }

    /// Starts the process as another user, with the umask of another user, where the system lets a test do that:
    /// it takes a user namespace. Without one, the umask is what differs.
    #[must_use]
    pub fn as_another_user(mut self) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test asks the system what it allows")]
        let tried = std::process::Command::new(AS_ANOTHER_USER[0]).args(&AS_ANOTHER_USER[1..]).arg("true").output();
        self.other_user = tried.is_ok_and(|tried| tried.status.success());
        self.umask("077")
    }

    /// Starts the process as another user on a machine of which nothing can be written to but the directory of this
    /// test, where the system lets a test make namespaces. Without them, it runs as any other.
    #[must_use]
    pub fn on_a_read_only_root(mut self) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test asks the system what it allows")]
        let mut tried = std::process::Command::new("/usr/bin/unshare");
        let tried = tried.args(["--map-root-user", "--mount", "/bin/sh", "-c", ON_A_READ_ONLY_ROOT]);
        let tried = tried.arg(self.directory.path()).arg("true").output();
        self.read_only_root = tried.is_ok_and(|tried| tried.status.success());
        self
    }

    /// Where the package was written.
    #[must_use]
    pub fn package(&self) -> &Path {
        self.package.as_deref().unwrap()
    }

    /// A directory only this test has.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The port a variable names.
    #[must_use]
    pub fn port(&self, variable: &str) -> u16 {
        self.environment[variable].to_str().unwrap().parse().unwrap()
    }

    /// Starts the process.
    #[must_use]
    pub fn spawn(mut self) -> RunningHost {
        if self.package.is_some() && !self.environment.contains_key("PAR_GUEST_DIR") {
            self.environment.insert("PAR_GUEST_DIR".to_owned(), built::guest().into());
        }
        let par = built::par();
        let mut line: Vec<OsString> = Vec::new();
        if self.read_only_root {
            line.extend(["/usr/bin/unshare", "--map-root-user", "--mount", "/bin/sh", "-c"].map(OsString::from));
            line.extend([ON_A_READ_ONLY_ROOT.into(), self.directory.path().into()]);
        }
        if self.other_user {
            line.extend(AS_ANOTHER_USER.map(OsString::from));
        }
        if let Some(umask) = self.umask {
            let script = format!("umask {umask}; exec \"$0\" \"$@\"");
            line.extend(["/bin/sh".into(), "-c".into(), script.into()]);
        }
        line.push(par.into());
        #[expect(clippy::disallowed_methods, reason = "the program under test is a process")]
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let (log, reading, unread) = match self.output {
            Output::Read => {
                let (log, reading) = Log::read(output);
                (log, reading, None)
            }
            Output::Unread | Output::Closed => {
                let (log, reading) = Log::read(tokio::io::empty());
                (log, reading, Some(output).filter(|_| matches!(self.output, Output::Unread)))
            }
        };
        let mut output = child.stderr.take().unwrap();
        let errors = tokio::spawn(async move {
            let mut text = String::new();
            let _ = output.read_to_string(&mut text).await;
            text
        });
        // A client of its own for each process: no proxy, no redirects, no cookies.
        #[expect(clippy::disallowed_methods, reason = "a test is a client")]
        let client = Client::builder();
        let client = client.no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build().unwrap();
        RunningHost { host: self, child, log, reading, errors: Some(errors), client, _unread: unread }
    }

    /// Runs one command of `par` instead, in the same environment, with the guest.
    pub async fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Said {
        let guest = built::guest();
        let guest = ("PAR_GUEST_DIR", guest.to_str().unwrap());
        let variables = self.environment.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let variables: Vec<_> = std::iter::once(guest).chain(variables).collect();
        command::par(self.directory.path(), &variables, arguments).await
    }

    /// Starts the process at a terminal.
    #[must_use]
    pub fn at_terminal(self) -> Terminal {
        let port = self.port("REST_PORT");
        let Self { directory, arguments, mut environment, .. } = self;
        environment.entry("PAR_GUEST_DIR".to_owned()).or_insert_with(|| built::guest().into());
        let line: Vec<OsString> = std::iter::once(built::par().into()).chain(arguments).collect();
        Terminal::start(&line, environment, port, directory)
    }

    /// Starts the process and waits until it is ready.
    pub async fn start(self) -> RunningHost {
        let host = self.spawn();
        host.ready().await;
        host
    }

    /// Starts the process and waits for its end: for what is refused.
    pub async fn refused(self) -> RunningHost {
        let mut host = self.spawn();
        let code = host.wait_exit().await;
        assert_ne!(code, 0, "a refusal is a failure\n{}", host.log.text());
        host
    }
}
