//! What an agent can touch, asked from inside: each refusal beside what is allowed.

use std::net::{TcpListener, UdpSocket};

use par_tests::{Package, RunningHost, TestHost};
use serde_json::{Value, json};

fn probe() -> Package {
    Package::asgi(include_str!("python/probe.py")).file("data/notes.txt", "notes of the agent")
}

async fn ask(host: &RunningHost, path: &str) -> Value {
    let reply = host.get(path).await;
    assert_eq!(reply.status, 200, "{}\n{}", reply.text(), host.log_text());
    reply.json()
}

fn assert_refused(answer: &Value, what: &str) {
    assert!(answer.get("refused").is_some(), "{what}: {answer}");
}

/// hostile 90, 94: the package, its dependencies, the standard library and the platform libraries are read-only.
#[tokio::test]
async fn nothing_that_is_mounted_can_be_changed() {
    let host = TestHost::agent(&probe()).start().await;
    let before = fs_err::read(host.setup().package().join("main.py")).unwrap();

    for (directory, file) in [
        ("/agent", "/agent/main.py"),
        ("/agent/data", "/agent/data/notes.txt"),
        ("/python", "/python/json/__init__.py"),
        ("/platform", "/platform/starlette/__init__.py"),
        ("/", "/agent/main.py"),
    ] {
        let answer = ask(&host, &format!("/change?directory={directory}&file={file}")).await;
        for (way, result) in answer.as_object().unwrap() {
            assert_refused(result, &format!("{way} in {directory}"));
        }
        let read = ask(&host, &format!("/read?path={file}")).await;
        assert!(read.get("done").is_some(), "{file} can be read: {read}");
    }

    assert_eq!(fs_err::read(host.setup().package().join("main.py")).unwrap(), before);
    let mut left: Vec<_> = fs_err::read_dir(host.setup().package())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["agent.yaml", "data", "main.py"]);
}

/// Hostile 91, 93. R062: no path of the host can be opened, however it is spelt.
#[tokio::test]
async fn no_file_of_the_host_can_be_opened() {
    let setup = TestHost::agent(&probe());
    let beside = setup.directory().join("packages/beside.txt");
    fs_err::write(&beside, "beside the package").unwrap();
    let host = setup.start().await;

    for path in [
        "/etc/passwd",
        "/agent/../etc/passwd",
        "/agent/../../../../../../../../etc/passwd",
        "../etc/passwd",
        "/agent/../beside.txt",
        "/agent/data/../../beside.txt",
        "/python/../beside.txt",
        beside.to_str().unwrap(),
        "/proc/self/environ",
        "/proc/1/environ",
        "/dev/null",
        "/agent/data/notes.txt/../../../beside.txt",
    ] {
        assert_refused(&ask(&host, &format!("/read?path={path}")).await, path);
    }
    for path in ["/etc", "/agent/..", "/proc", "..", "/tmp"] {
        let listing = ask(&host, &format!("/listing?path={path}")).await;
        assert!(!listing.to_string().contains("beside.txt") && !listing.to_string().contains("passwd"), "{listing}");
    }

    for path in ["/agent/data/notes.txt", "/agent/./data/../data/notes.txt"] {
        assert_eq!(ask(&host, &format!("/read?path={path}")).await, json!({"done": "b'notes of the age'"}), "{path}");
    }
}

/// hostile 92: a link in the package is no way out of it, whether it is refused at the start or not followed.
#[tokio::test]
async fn a_link_in_the_package_leads_nowhere() {
    let setup = TestHost::agent(&probe());
    let beside = setup.directory().join("packages/beside.txt");
    fs_err::write(beside, "beside the package").unwrap();
    for (link, target) in [("relative", "../beside.txt"), ("absolute", "/etc/passwd"), ("folder", "/")] {
        fs_err::os::unix::fs::symlink(target, setup.package().join("data").join(link)).unwrap();
    }
    let mut host = setup.spawn();
    let started =
        host.wait_for("ready or refused", |line| ["Runtime ready", "Boot failed"].contains(&line.event())).await;

    if started.event() == "Boot failed" {
        assert!(started.text_of("error").contains("link"), "{}", started.text);
        assert_eq!(host.wait_exit().await, 1);
        return;
    }
    for path in ["relative", "absolute", "folder/etc/passwd"] {
        assert_refused(&ask(&host, &format!("/read?path=/agent/data/{path}")).await, path);
    }
    assert_eq!(ask(&host, "/read?path=/agent/data/notes.txt").await, json!({"done": "b'notes of the age'"}));
}

/// No socket of any kind, through Python's module or below it; a listener of the test hears nothing.
#[tokio::test]
async fn there_are_no_sockets() {
    let (listener, datagrams) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    listener.set_nonblocking(true).unwrap();
    datagrams.set_nonblocking(true).unwrap();
    let host = TestHost::agent(&probe()).start().await;

    for port in [listener.local_addr().unwrap().port(), datagrams.local_addr().unwrap().port()] {
        let answer = ask(&host, &format!("/connect?port={port}")).await;
        for (way, result) in answer.as_object().unwrap() {
            assert_refused(result, way);
        }
    }

    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(datagrams.recv(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(ask(&host, "/ping").await, "pong", "the instance lives");
}

/// R191, R192: no thread, no process.
#[tokio::test]
async fn there_are_no_threads_and_no_processes() {
    let host = TestHost::agent(&probe()).start().await;

    let answer = ask(&host, "/start").await;

    for (way, result) in answer.as_object().unwrap() {
        assert_refused(result, way);
    }
    assert_eq!(ask(&host, "/ping").await, "pong", "the instance lives");
}

/// hostile 118: the environment holds what the package sets, who the agent is and where it lives; nothing of
/// the host's.
#[tokio::test]
async fn the_environment_holds_only_what_was_granted() {
    let package = probe()
        .and("environment:\n  FROM_MANIFEST: manifest\n  BOTH: manifest\n")
        .file(".env", "FROM_FILE=file\nBOTH=file\nAGENT_APP_ID=forged\n");
    let host = TestHost::agent(&package)
        .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2")
        .env("FROM_MANIFEST", "host")
        .env("PYTHONPATH", "/tmp")
        .env("BASE_PATH", "/agents/app-1")
        .start()
        .await;

    let seen = ask(&host, "/agents/app-1/environment").await;

    assert_eq!(
        seen,
        json!({
            "AGENT_APP_ID": "app-1",
            "BASE_PATH": "/agents/app-1",
            "BOTH": "manifest",
            "DEPLOYMENT_ID": "deployment-1",
            "FROM_FILE": "file",
            "FROM_MANIFEST": "manifest",
            "HOME": "/agent",
        })
    );
}

/// hostile 75: more memory than granted is a `MemoryError`; less is memory.
#[tokio::test]
async fn memory_above_the_cap_is_a_memory_error() {
    let host = TestHost::agent(&probe()).env("PAR_MEMORY_MIB", "128").start().await;
    let identity = ask(&host, "/identity").await;

    assert_eq!(ask(&host, "/allocate?mib=256").await, "MemoryError");
    assert_eq!(ask(&host, "/allocate?mib=1500").await, "MemoryError");

    assert_eq!(ask(&host, "/allocate?mib=32").await, 32 << 20);
    assert_eq!(ask(&host, "/identity").await, identity, "the same instance");
}

/// hostile 76: recursion without end is an exception of Python's.
#[tokio::test]
async fn recursion_without_end_is_a_recursion_error() {
    let host = TestHost::agent(&probe()).start().await;
    let identity = ask(&host, "/identity").await;

    assert_eq!(ask(&host, "/recurse").await, "RecursionError");

    assert_eq!(ask(&host, "/nest?depth=500").await, 1002);
    assert_eq!(ask(&host, "/identity").await, identity, "the same instance");
}
