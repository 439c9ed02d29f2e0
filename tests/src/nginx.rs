//! nginx as a load balancer in front of instances, with the configuration the documents recommend, as anybody may start it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::built::repository;
use crate::host::{PATIENCE, RunningHost};
use crate::ports::free_port;

/// Debian has it where only root looks.
const DEBIAN: &str = "/usr/sbin/nginx";

/// How often a state outside of the test is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A running nginx in front of instances. It ends with the test.
#[derive(Debug)]
pub struct LoadBalancer {
    child: Child,
    prefix: TempDir,
    rest: u16,
    a2a: u16,
    asked: u16,
    generation: u32,
}

impl LoadBalancer {
    /// Starts it in front of `targets`.
    ///
    /// # Panics
    /// When nginx is not installed.
    pub async fn before(targets: &[&RunningHost]) -> Self {
        let program = if Path::new(DEBIAN).is_file() { DEBIAN } else { "nginx" };
        let prefix = tempfile::Builder::new().prefix("par-nginx-").tempdir().unwrap();
        let (rest, a2a, asked) = (free_port(), free_port(), free_port());
        #[expect(clippy::disallowed_methods, reason = "the load balancer is a program")]
        let mut command = Command::new(program);
        command.arg("-p").arg(prefix.path()).args(["-c", "nginx.conf", "-e", "error.log"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        write(prefix.path(), [rest, a2a, asked], 1, targets);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("this test replaces instances behind nginx, which is not installed ({error}): apt-get install nginx-light")
        });
        let balancer = Self { child, prefix, rest, a2a, asked, generation: 1 };
        balancer.is_in_force().await;
        balancer
    }

    /// The port for REST.
    #[must_use]
    pub fn rest_port(&self) -> u16 {
        self.rest
    }

    /// The port for gRPC.
    #[must_use]
    pub fn a2a_port(&self) -> u16 {
        self.a2a
    }

    /// What nginx says went wrong.
    #[must_use]
    pub fn errors(&self) -> String {
        fs_err::read_to_string(self.prefix.path().join("error.log")).unwrap_or_default()
    }

    /// Names other instances. When it returns, every connection that is made meets a process of nginx that knows them.
    pub async fn names(&mut self, targets: &[&RunningHost]) {
        let before = self.processes();
        self.generation += 1;
        write(self.prefix.path(), [self.rest, self.a2a, self.asked], self.generation, targets);
        rustix::process::kill_process(self.id().unwrap(), rustix::process::Signal::HUP).unwrap();
        self.is_in_force().await;
        let all = async {
            while before.iter().any(|id| is_taking_connections(*id)) {
                sleep(LOOK).await;
            }
        };
        timeout(PATIENCE, all).await.expect("processes of nginx let go");
    }

    /// Waits until the configuration of this generation answers.
    async fn is_in_force(&self) {
        let url = format!("http://127.0.0.1:{}/", self.asked);
        let wanted = self.generation.to_string();
        let answers = async {
            loop {
                #[expect(clippy::disallowed_methods, reason = "a test is a client")]
                let client = reqwest::Client::builder().no_proxy().build().unwrap();
                if let Ok(answer) = client.get(&url).send().await
                    && answer.text().await.is_ok_and(|text| text == wanted)
                {
                    return;
                }
                sleep(LOOK).await;
            }
        };
        if timeout(PATIENCE, answers).await.is_err() {
            panic!("nginx does not answer:\n{}", self.errors());
        }
    }

    fn id(&self) -> Option<rustix::process::Pid> {
        rustix::process::Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    /// The processes that take connections, which are children of the one that was started.
    fn processes(&self) -> Vec<u32> {
        let parent = self.child.id().unwrap();
        let children = fs_err::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        children.split_whitespace().map(|id| id.parse().unwrap()).collect()
    }
}

impl Drop for LoadBalancer {
    /// Asked to, it ends with all of its processes; killed, it would leave them.
    fn drop(&mut self) {
        if let Some(id) = self.id() {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
    }
}

/// nginx says in its name what a process does.
fn is_taking_connections(id: u32) -> bool {
    let name = fs_err::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).into_owned();
    name.contains("worker process") && !name.contains("shutting down")
}

/// The recommended configuration with the ports of this test and nothing else changed, in a frame that needs no rights.
fn write(prefix: &Path, [rest, a2a, asked]: [u16; 3], generation: u32, targets: &[&RunningHost]) {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let recommended = fs_err::read_to_string(repository().join("docs/platform/nginx.conf")).unwrap();
    let mut agent = String::new();
    for line in recommended.lines() {
        match line.trim() {
            "server 10.0.0.11:8080 max_fails=0;" => agent += &servers(targets, "REST_PORT"),
            "server 10.0.0.11:50051 max_fails=0;" => agent += &servers(targets, "A2A_PORT"),
            other if other.starts_with("server 10.0.0.12:") => {}
            "listen 80;" => agent += &format!("listen 127.0.0.1:{rest};"),
            "listen 50051 http2;" => agent += &format!("listen 127.0.0.1:{a2a} http2;"),
            _ => agent += line,
        }
        agent.push('\n');
    }
    let configuration = format!(
        "daemon off;
{user}
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{ listen 127.0.0.1:{asked}; return 200 '{generation}'; }}
{agent}
}}
"
    );
    fs_err::write(prefix.join("nginx.conf"), configuration).unwrap();
}

fn servers(targets: &[&RunningHost], port: &str) -> String {
    let line = |target: &&RunningHost| format!("server 127.0.0.1:{} max_fails=0;", target.setup().port(port));
    targets.iter().map(line).collect()
}
