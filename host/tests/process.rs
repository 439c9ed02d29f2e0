//! The process as an orchestrator sees it: exit codes, log lines, health, signals. What needs
//! no guest is here; what does is in the package `par-tests`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

struct Par {
    child: Child,
    output: BufReader<ChildStdout>,
    lines: Vec<Value>,
}

impl Par {
    /// Starts the binary with these variables and no others.
    #[expect(clippy::disallowed_methods, reason = "the test starts the program it tests")]
    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_par"))
            .args(arguments)
            .env_clear()
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output, lines: Vec::new() }
    }

    /// Reads log lines until this event.
    #[track_caller]
    fn until(&mut self, event: &str) -> Value {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            self.lines.push(serde_json::from_str(&line).unwrap());
            line.clear();
            let last = self.lines.last().unwrap();
            if last["event"] == event {
                return last.clone();
            }
        }
        panic!("`{event}` was not logged; got {:#?}", self.lines);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end: exit code, every log line, standard error.
    fn end(mut self) -> (i32, Vec<Value>, String) {
        for line in self.output.lines() {
            self.lines.push(serde_json::from_str(&line.unwrap()).unwrap());
        }
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code().unwrap(), self.lines, errors)
    }
}

fn events<'a>(lines: &'a [Value], event: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["event"] == event)
}

/// A port nobody listens on.
fn free_port() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port().to_string()
}

fn status_of_health(port: &str) -> String {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn without_an_identity_it_exits_with_1_and_says_so() {
    for id in [None, Some(""), Some("   ")] {
        let variables: Vec<(&str, &str)> =
            id.map(|id| ("AGENT_APP_ID", id)).into_iter().chain([("DEPLOYMENT_ID", "dep-1")]).collect();

        let (code, lines, _) = Par::start(&[], &variables).end();

        assert_eq!(code, 1, "{id:?}");
        assert_eq!(lines[0]["event"], "Configuration validation error");
        assert_eq!(lines[0]["details"]["variable"], "AGENT_APP_ID");
        assert_eq!((&lines[0]["agentAppId"], &lines[0]["deploymentId"]), (&Value::Null, &Value::from("dep-1")));
    }
}

#[test]
fn two_bad_variables_give_two_lines_and_a_count() {
    let (code, lines, errors) =
        Par::start(&[], &[("AGENT_APP_ID", "app-1"), ("REST_PORT", "0"), ("UI_PORT", "abc")]).end();

    assert_eq!((code, errors.as_str()), (1, ""));
    let mistakes: Vec<&Value> = events(&lines, "Configuration validation error").map(|line| &line["details"]).collect();
    assert_eq!(mistakes.len(), 2);
    assert_eq!((&mistakes[0]["variable"], &mistakes[0]["value"]), (&Value::from("REST_PORT"), &Value::from("0")));
    assert_eq!(mistakes[1]["expected"], "a whole number from 1 to 65535");
    assert_eq!(lines.last().unwrap()["error_count"], 2);
}

#[test]
fn without_a_package_it_exits_with_1_and_says_how_to_name_one() {
    let port = free_port();
    let (code, lines, _) = Par::start(&[], &[("AGENT_APP_ID", "app-1"), ("REST_PORT", &port)]).end();

    assert_eq!(code, 1);
    assert_eq!(events(&lines, "No package source provided: PACKAGE_URL env var or package_path required").count(), 1);
    assert_eq!(events(&lines, "Boot failed").next().unwrap()["exit_code"], 1);
}

#[test]
fn a_package_url_is_refused_without_its_signature() {
    let (port, url) = (free_port(), "s3://agents/a.apkg?versionId=5ec4e7");
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().to_str().unwrap();
    let variables = [("AGENT_APP_ID", "app-1"), ("REST_PORT", &port), ("PACKAGE_URL", url), ("PAR_CACHE_DIR", cache)];
    let (code, lines, _) = Par::start(&[], &variables).end();

    assert_eq!(code, 1);
    assert_eq!(events(&lines, "Failed to download package").count(), 1);
    let failed = events(&lines, "Boot failed").next().unwrap();
    assert_eq!(failed["error"], "cannot fetch `s3://agents/a.apkg`: there are no credentials for S3");
    assert!(!format!("{lines:?}").contains("5ec4e7"));
}

#[test]
fn at_the_most_verbose_level_no_variable_is_printed() {
    let (port, cache) = (free_port(), tempfile::tempdir().unwrap());
    let variables = [
        ("AGENT_APP_ID", "app-1"),
        ("REST_PORT", port.as_str()),
        ("LOG_LEVEL", "debug"),
        ("AWS_ACCESS_KEY_ID", "5ec4e7-aws"),
        ("AWS_SECRET_ACCESS_KEY", "5ec4e7-aws"),
        ("PAR_INDEX_URL", "https://token:5ec4e7-index@index.example/simple"),
        ("HTTPS_PROXY", "http://user:5ec4e7-proxy@proxy.example"),
        ("PACKAGE_URL", "https://10.0.0.1/key?5ec4e7-url"),
        ("PAR_CACHE_DIR", cache.path().to_str().unwrap()),
    ];

    let (_, lines, errors) = Par::start(&[], &variables).end();

    assert!(lines.len() > 3);
    assert!(!format!("{lines:?}{errors}").contains("5ec4e7"), "{lines:#?}");
}

#[test]
fn a_port_that_is_taken_is_an_exit_and_never_another_port() {
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();

    let (code, lines, _) = Par::start(&["run", "x.apkg"], &[("AGENT_APP_ID", "app-1"), ("REST_PORT", &port)]).end();

    assert_eq!(code, 1);
    let failed = events(&lines, "Boot failed").next().unwrap();
    assert!(failed["error"].as_str().unwrap().contains(&port), "{failed}");
    assert_eq!(events(&lines, "Listening").count(), 0);
}

#[test]
fn a_package_that_is_no_package_is_refused_and_every_line_is_correlated() {
    let package = tempfile::Builder::new().suffix(".apkg").tempfile().unwrap();
    fs_err::write(package.path(), "not a zip").unwrap();
    let port = free_port();
    let variables = [("AGENT_APP_ID", "app-1"), ("DEPLOYMENT_ID", "dep-1"), ("REST_PORT", port.as_str())];

    let (code, lines, _) = Par::start(&["run", package.path().to_str().unwrap()], &variables).end();

    assert_eq!(code, 1);
    assert_eq!(events(&lines, "Boot failed").next().unwrap()["phase"], "extract");
    for line in &lines {
        assert_eq!((&line["agentAppId"], &line["deploymentId"]), (&Value::from("app-1"), &Value::from("dep-1")));
        for key in ["level", "ts", "timestamp", "event", "details"] {
            assert!(line.get(key).is_some(), "{line} lacks `{key}`");
        }
    }
}

#[test]
fn a_failed_boot_backs_off_with_health_at_503_until_a_signal_ends_the_wait() {
    let port = free_port();
    let variables = [("AGENT_APP_ID", "app-1"), ("REST_PORT", port.as_str()), ("BOOT_FAILURE_COUNT", "9")];
    let mut par = Par::start(&["run", "missing.apkg"], &variables);

    let backing_off = par.until("Boot failed, backing off before exit to avoid hot-restart loop");
    let health = status_of_health(&port);
    let signalled = Instant::now();
    par.signal(Signal::TERM);
    let (code, _, _) = par.end();

    assert_eq!((&backing_off["failure_count"], &backing_off["backoff_seconds"]), (&Value::from(9), &Value::from(60)));
    assert!(health.starts_with("HTTP/1.1 503 "), "{health}");
    assert!(health.contains(r#""ok":false,"surfaces":{"rest":false,"a2a":false,"ui":false},"timestamp":"#), "{health}");
    assert_eq!(code, 1);
    assert!(signalled.elapsed() < PATIENCE);
}

#[test]
fn a_refused_configuration_backs_off_too() {
    let started = Instant::now();
    let (code, lines, _) = Par::start(&[], &[("BOOT_FAILURE_COUNT", "1")]).end();

    assert_eq!(code, 1);
    assert_eq!(lines.last().unwrap()["backoff_seconds"], 2);
    assert!(started.elapsed() >= Duration::from_secs(2));
}

#[test]
fn wrong_arguments_exit_with_64_and_help_with_0() {
    assert_eq!(Par::start(&["bogus"], &[]).end().0, 64);
    assert_eq!(Par::start(&["check"], &[]).end().0, 64);

    let (code, _, errors) = Par::start(&["status"], &[]).end();
    assert_eq!(code, 1);
    assert!(errors.contains("hint: ask the process itself"), "{errors}");
}

#[test]
fn check_names_what_is_wrong_with_a_package_and_exits_with_1() {
    let directory = tempfile::tempdir().unwrap();

    let (code, _, errors) = Par::start(&["check", directory.path().to_str().unwrap()], &[]).end();

    assert_eq!(code, 1);
    assert!(errors.starts_with("error: ") && errors.contains("agent.yaml") && errors.contains("hint: "), "{errors}");
}
