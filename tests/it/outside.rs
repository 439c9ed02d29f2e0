//! A hostile native agent, started by PAR as any other: what it tries is refused by the kernel with its errno, or by the
//! host with a code that is on the record, and it goes on serving.

use std::collections::BTreeMap;

use par_tests::{Package, RunningHost, TestHost, Upstream};
use reqwest::Method;
use rustix::process::geteuid;
use serde_json::{Value, json};

use crate::confinement::{USES, User, expected, pretty};

/// What depends on the one who starts the process, or means nothing here: `confinement.rs` has all of it.
const LEFT_OUT: [&str; 4] =
    ["start as root", "descriptors it was started with", "variables of the host", "fill the disk"];

/// What a process that stays root may do: start processes, keep its user, and see how many descriptors PAR has. Other
/// users may not, which `confinement.rs` has.
const OF_ROOT: [&str; 3] = ["fork without end", "become root", "descriptors of the host"];

fn agent() -> TestHost {
    let package = Package::asgi(include_str!("python/attempts.py"))
        .file("confined.py", include_str!("python/confined.py"))
        .file("data.txt", "0.5")
        .native();
    TestHost::agent(&package)
}

async fn asked(host: &RunningHost, path: &str, body: Value) -> Value {
    let reply = host.send(host.request(Method::POST, path).body(body.to_string())).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Every attempt, with landlock and without, and each with the exact answer of the system.
async fn holds(without: &str) {
    let other = agent().start().await;
    let policy = "version: 1\nnative: allow\ngrant: {env: {GRANTED: yes}, files: {scratch_mib: 4}}\n";
    let mut host = agent().env("PAR_POLICY", policy).env("TEST_CONFINEMENT_WITHOUT", without).start().await;
    let left_out: Vec<&str> = match geteuid().is_root() {
        true => LEFT_OUT.into_iter().chain(OF_ROOT).collect(),
        false => LEFT_OUT.into(),
    };
    let shared = format!("/dev/shm/par-{}", host.id());
    let beside = other.setup().directory().join("beside");
    let known = json!({
        "other": other.setup().package().join("data.txt"), "beside": beside, "shared": shared, "memory": 2_u64 << 30,
        "setuid": "/usr/bin/passwd", "left_out": left_out, "port": other.setup().port("REST_PORT"), "neighbour": std::process::id(),
    });

    let attempts = asked(&host, "/attempts", known).await;
    let attempts: BTreeMap<String, String> = serde_json::from_value(attempts).unwrap();

    let _ = fs_err::remove_file(&shared);
    assert!(attempts.len() >= USES.len() + 60, "{attempts:?}");
    let wanted =
        attempts.keys().map(|name| (name.clone(), expected(name, User::Ordinary, without.is_empty()).to_owned()));
    pretty(&attempts, &wanted.collect(), User::Ordinary);
    if without.is_empty() {
        assert!(!beside.exists());
        assert_eq!(fs_err::read(other.setup().package().join("data.txt")).unwrap(), b"0.5");
    }
    let none = asked(&host, "/requests", json!([])).await;
    assert_eq!((none, host.events("Process of the agent lost").len()), (json!([]), 0));
    assert_eq!(host.stop().await, 0);
}

/// hostile 159, 160, 161, 163, 164, 165, 166, 167, 168, 174, 175: an agent reaches neither the metadata service nor ports of the machine, nor another agent's files, nor
/// memory, environment and descriptors of PAR, nor the kernel.
#[tokio::test]
async fn a_hostile_agent_reaches_nothing() {
    holds("").await;
}

/// hostile 159, 160, 161, 163, 164, 165, 166, 167, 168, 174, 175: where the kernel has no landlock, it reaches the files of the user PAR runs as, and nothing else.
#[tokio::test]
async fn a_hostile_agent_reaches_files_of_its_user_where_there_is_no_landlock() {
    holds("files").await;
}

/// hostile 100, 164: what it asks of the host is judged, and each denial is on the record with its code.
#[tokio::test]
async fn each_request_of_a_hostile_agent_is_denied_and_on_the_record() {
    let (granted, other) = (Upstream::http().await, Upstream::http().await);
    let own = granted.url("127.0.0.1", "");
    let metadata = "'http://169.254.169.254', 'http://169.254.170.2', 'http://[fd00:ec2::254]'";
    let policy = format!(
        "version: 1\nnative: allow\ngrant: {{outbound: ['{own}', {metadata}], outbound_addresses: [127.0.0.0/8]}}\n"
    );
    let mut host = agent().env("PAR_POLICY", policy).start().await;
    let port = host.setup().port("REST_PORT");
    let attempts = [
        ("http://169.254.169.254/latest/meta-data/iam/".to_owned(), "metadata_address"),
        ("http://2852039166/latest/meta-data/".to_owned(), "metadata_address"),
        ("http://0xa9.0xfe.0xa9.0xfe/".to_owned(), "metadata_address"),
        ("http://169.254.170.2/v2/credentials".to_owned(), "metadata_address"),
        ("http://[fd00:ec2::254]/latest/".to_owned(), "metadata_address"),
        ("http://metadata.google.internal/".to_owned(), "host_not_granted"),
        (format!("http://127.0.0.1:{port}/health"), "port_not_granted"),
        (format!("http://localhost:{port}/health"), "host_not_granted"),
        (format!("http://[::1]:{port}/health"), "host_not_granted"),
        (format!("http://0.0.0.0:{port}/health"), "host_not_granted"),
        (other.url("127.0.0.1", "/echo"), "port_not_granted"),
        (format!("https://127.0.0.1:{}/echo", granted.port()), "scheme_not_granted"),
    ];
    let urls: Vec<&str> = attempts.iter().map(|(url, _)| url.as_str()).collect();

    let codes = asked(&host, "/requests", json!(urls)).await;
    let allowed = asked(&host, "/requests", json!([granted.url("127.0.0.1", "/echo")])).await;

    let expected: Vec<Value> = attempts.iter().map(|(_, code)| json!(code)).collect();
    assert_eq!(codes, json!(expected), "{urls:#?}");
    assert_eq!((allowed, granted.seen().len(), other.seen().len()), (json!([200]), 1, 0));
    assert_eq!(host.stop().await, 0);
    let records = host.records().into_iter().filter(|line| line.text_of("capability") == "outbound");
    let denied: Vec<Value> =
        records.filter(|line| line.text_of("decision") == "denied").map(|line| line.detail("code").clone()).collect();
    assert_eq!(denied, expected);
}
