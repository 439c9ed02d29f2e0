//! A process that runs: what it is asked, what it says, how it ends.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tokio::process::{Child, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{PATIENCE, TestHost};
use crate::a2a::AgentClient;
use crate::log::{Line, Log};
use crate::raw::{self, RawReply};
use crate::reply::Reply;

/// A process that was started. Dropping it ends it.
#[derive(Debug)]
pub struct RunningHost {
    pub(super) host: TestHost,
    pub(super) child: Child,
    pub(super) log: Log,
    pub(super) reading: JoinHandle<()>,
    pub(super) errors: Option<JoinHandle<String>>,
    pub(super) client: Client,
    pub(super) _unread: Option<ChildStdout>,
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

    /// GET, again and again for as long as the answer is 503.
    pub async fn get_once_served(&self, path: &str) -> Reply {
        loop {
            let reply = self.get(path).await;
            if reply.status != 503 {
                return reply;
            }
        }
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
