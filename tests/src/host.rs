//! The program `par` as a child process.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::a2a::AgentClient;
use crate::built;
use crate::command::{self, Said};
use crate::log::{Line, Log};
use crate::package::Package;
use crate::ports::free_port;
use crate::raw::{self, RawReply};
use crate::reply::Reply;
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

/// A process that was started. Dropping it ends it.
#[derive(Debug)]
pub struct RunningHost {
    host: TestHost,
    child: Child,
    log: Log,
    reading: JoinHandle<()>,
    errors: Option<JoinHandle<String>>,
    client: Client,
    _unread: Option<ChildStdout>,
}

impl RunningHost {
    /// Waits until every surface is up.
    pub async fn ready(&self) -> Line {
        self.wait_for_event("Runtime ready").await
    }

    /// Waits until every surface is up, or the process has ended: says whether it is up.
    pub async fn ready_or_gone(&mut self) -> bool {
        // The log ends with the process.
        if self.log.wait(PATIENCE, |line| line.event() == "Runtime ready").await.is_some() {
            return true;
        }
        self.wait_exit().await;
        false
    }

    /// Waits until every surface is up, where nothing is known of the log.
    pub async fn healthy(&self) {
        let healthy = async {
            while !self.try_send(self.request(Method::GET, "/health")).await.is_ok_and(|reply| reply.status == 200) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, healthy).await.expect("the agent comes up");
    }

    /// The line that says that every surface is up, or why none is: for what may be refused.
    ///
    /// # Panics
    /// When neither was logged after `patience`.
    pub async fn booted(&self, patience: Duration) -> Line {
        let wanted = |line: &Line| ["Runtime ready", "Boot failed"].contains(&line.event());
        match self.log.wait(patience, wanted).await {
            Some(line) => line,
            None => panic!("the agent neither came up nor was refused; the log was:\n{}", self.log.text()),
        }
    }

    /// The id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Room in the table of the process's open descriptors, which grows in powers of two and never shrinks. Everybody
    /// may read it; the descriptors themselves are hidden from all but root.
    #[must_use]
    pub fn descriptor_room(&self) -> usize {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        line.trim().parse().unwrap()
    }

    /// Resident memory. Unit: KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most memory that was resident at once. Unit: KiB.
    #[must_use]
    pub fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The time the process took of a core so far, to a hundredth of a second.
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        let line = fs_err::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The name in brackets may hold anything; the times in user and in system are 12 and 13 fields after it.
        let (_, fields) = line.rsplit_once(')').unwrap();
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Open descriptors, for who may see them: root.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs_err::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }

    /// What it was started with.
    #[must_use]
    pub fn setup(&self) -> &TestHost {
        &self.host
    }

    /// `REST_PORT`.
    #[must_use]
    pub fn rest_port(&self) -> u16 {
        self.host.port("REST_PORT")
    }

    /// The address of a path on the REST port.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.rest_port())
    }

    /// A request to the REST port, for the test to complete.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// The client, for other ports.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Reply {
        match self.try_send(request).await {
            Ok(reply) => reply,
            Err(error) => panic!("{error:?}\n{}", self.log.text()),
        }
    }

    /// Sends a request and reads the whole answer, if there is one.
    ///
    /// # Errors
    /// When the connection is refused or the answer breaks off.
    pub async fn try_send(&self, request: RequestBuilder) -> Result<Reply, reqwest::Error> {
        Reply::of(request.send().await?).await
    }

    /// `/health` of the REST port.
    pub async fn health(&self) -> Reply {
        self.get("/health").await
    }

    /// Sends bytes to the REST port and reads until it closes the connection.
    pub async fn raw(&self, request: &[u8]) -> RawReply {
        raw::exchange(self.rest_port(), request, PATIENCE).await
    }

    /// GET of a target that no client library would send.
    pub async fn raw_get(&self, target: &str) -> RawReply {
        self.raw(format!("GET {target} HTTP/1.1\r\nhost: agent.example\r\nconnection: close\r\n\r\n").as_bytes()).await
    }

    /// A client of the A2A port.
    pub async fn a2a(&self) -> AgentClient {
        AgentClient::connect(self.host.port("A2A_PORT")).await
    }

    /// Everything logged so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.log.lines()
    }

    /// Everything logged so far, as text, for messages and for what must not be in it.
    #[must_use]
    pub fn log_text(&self) -> String {
        self.lines().iter().map(|line| format!("{}\n", line.text)).collect()
    }

    /// The lines of one event so far.
    #[must_use]
    pub fn events(&self, event: &str) -> Vec<Line> {
        self.lines().into_iter().filter(|line| line.event() == event).collect()
    }

    /// What is on the record in the log so far.
    #[must_use]
    pub fn records(&self) -> Vec<Line> {
        self.lines().into_iter().filter(Line::is_audit).collect()
    }

    /// The first line of the record with this code, waiting for it.
    pub async fn wait_for_denial(&self, code: &str) -> Line {
        self.wait_for(&format!("`{code}` on the record"), |line| line.is_audit() && line.text_of("code") == code).await
    }

    /// What is on the record in the audit file so far, each line held against the schema.
    #[must_use]
    pub fn audit_file(&self) -> Vec<Line> {
        let Some(path) = self.host.environment.get("PAR_AUDIT_FILE") else { return Vec::new() };
        let path = PathBuf::from(path);
        let text = if path.is_file() { fs_err::read_to_string(path).unwrap() } else { String::new() };
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let lines: Vec<Line> = whole.map(|line| Line::parse(line).unwrap_or_else(|wrong| panic!("{wrong}"))).collect();
        assert!(lines.iter().all(Line::is_audit), "the audit file has other lines: {lines:#?}");
        lines
    }

    /// The first line of an event, waiting for it.
    pub async fn wait_for_event(&self, event: &str) -> Line {
        self.wait_for(&format!("the event `{event}`"), |line| line.event() == event).await
    }

    /// The first line with what the agent printed or logged, waiting for it.
    pub async fn wait_for_agent(&self, text: &str) -> Line {
        let wanted = |line: &Line| line.event().starts_with("Agent ") && line.text_of("text").contains(text);
        self.wait_for(&format!("`{text}` from the agent"), wanted).await
    }

    /// The first line that `wanted` accepts, waiting for it; `what` names it in messages.
    pub async fn wait_for(&self, what: &str, wanted: impl Fn(&Line) -> bool) -> Line {
        match self.log.wait(PATIENCE, wanted).await {
            Some(line) => line,
            None => panic!("{what} was not logged; the log was:\n{}", self.log.text()),
        }
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Sends TERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits for the end of the process and of its log; says the exit code.
    pub async fn wait_exit(&mut self) -> i32 {
        let status = match timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("the process did not end; the log was:\n{}", self.log.text()),
        };
        timeout(PATIENCE, &mut self.reading).await.expect("the log ends with the process").unwrap();
        status.code().unwrap_or_else(|| panic!("the process ended by {status}:\n{}", self.log.text()))
    }

    /// Waits for the end of a process that was killed.
    pub async fn gone(mut self) {
        timeout(PATIENCE, self.child.wait()).await.expect("a killed process ends").unwrap();
    }

    /// Kills the process, as nobody can refuse, and waits until it is gone.
    pub async fn kill(mut self) {
        // The last line may be torn.
        self.host.text = true;
        self.child.kill().await.unwrap();
    }

    /// Sends TERM and waits for the end; says the exit code.
    pub async fn stop(&mut self) -> i32 {
        self.terminate();
        self.wait_exit().await
    }

    /// What it wrote to standard error, after its end.
    pub async fn standard_error(&mut self) -> String {
        self.errors.take().expect("standard error is read once").await.unwrap()
    }

    /// Lines of standard output that are no log lines.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.log.violations()
    }
}

impl Drop for RunningHost {
    /// Whatever the test was about, the log must have kept its schema.
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.host.text {
            let _ = self.audit_file();
            let violations = self.log.violations();
            assert!(violations.is_empty(), "lines of the log are not of its schema: {violations:#?}");
        }
    }
}
