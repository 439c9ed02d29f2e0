//! The record: one line for each use and each denial, in the log or in its file, and none is lost.

use std::os::unix::fs::PermissionsExt as _;

use par_tests::{Line, Package, RunningHost, TestHost, Upstream};
use reqwest::Method;
use serde_json::{Value, json};

fn agent() -> Package {
    Package::asgi(include_str!("python/execute.py"))
}

async fn execute(host: &RunningHost, code: &str) -> Value {
    let reply = host.send(host.request(Method::POST, "/").body(code.to_owned())).await;
    assert_eq!(reply.status, 200, "{}\n{}", reply.text(), host.log_text());
    reply.json()
}

/// `capability decision target reason`, where the reason is the rule of what was allowed and the code
/// of what was denied.
fn short(line: &Line) -> String {
    let reason = if line.text_of("decision") == "allowed" { "rule" } else { "code" };
    ["capability", "decision", "target", reason].map(|name| line.text_of(name)).join(" ")
}

fn fetch(url: &str) -> String {
    format!("import urllib.request; result = urllib.request.urlopen({url:?}, timeout=20).status")
}

/// Every capability, used and denied, is one line with the facts of its occasion.
#[tokio::test]
async fn each_use_and_each_denial_is_one_line() {
    let upstream = Upstream::http().await;
    let own = upstream.url("127.0.0.1", "");
    let package = agent().and("environment: {A: \"${NOBODY_SET_THIS}\", DENIED: x}\n");
    let policy = format!(
        "version: 1
grant:
  outbound: [{own:?}]
  outbound_addresses: [127.0.0.0/8]
  env: {{GREETING: hello}}
  secrets: {{KEY: {{hosts: [{own:?}]}}}}
  files: {{scratch_mib: 1}}
deny: {{env: [DENIED]}}
limits: {{instances: 1}}
"
    );
    let mut host = TestHost::agent(&package).env("PAR_POLICY", policy).env("KEY", "hunter2-value").start().await;

    let url = upstream.url("127.0.0.1", "/echo?query=1");
    let code = format!(
        "
import urllib.request
request = urllib.request.Request({url:?}, headers={{'authorization': 'Bearer par-secret://KEY'}})
result = urllib.request.urlopen(request, timeout=20).status"
    );
    assert_eq!(execute(&host, &code).await, json!({"done": 200}));
    execute(&host, &fetch("http://other.example/x?query=1")).await;
    execute(&host, "import os; os.pwrite(os.open('/scratch/a', os.O_WRONLY | os.O_CREAT), b'x', 2 << 20)").await;
    assert_eq!(host.stop().await, 0);

    let mut lines: Vec<String> = host.records().iter().map(short).collect();
    lines.sort();
    let target = upstream.url("127.0.0.1", "/echo");
    assert_eq!(
        lines,
        [
            "env allowed GREETING grant.env.GREETING".to_owned(),
            "env denied DENIED denied_by_policy".to_owned(),
            "env denied NOBODY_SET_THIS variable_not_granted".to_owned(),
            "files allowed /scratch/a grant.files.scratch_mib".to_owned(),
            "files denied /scratch scratch_full".to_owned(),
            format!("outbound allowed GET {target} grant.outbound[0]"),
            "outbound denied GET http://other.example/x host_not_granted".to_owned(),
            format!("secrets allowed KEY in GET {target} grant.secrets.KEY"),
            format!("secrets denied KEY in GET {target} secret_reflected"),
        ]
    );
    let records = host.records();
    let used = records.iter().find(|line| line.event() == "Capability used" && line.detail("status") == 200).unwrap();
    assert!(
        !used.text_of("request_id").is_empty() && used.detail("received_bytes").as_u64() > Some(0),
        "{}",
        used.text
    );
    // A file is put to the account of the one request that was served.
    for of_a_file in records.iter().filter(|line| line.text_of("capability") == "files") {
        assert!(!of_a_file.text_of("request_id").is_empty(), "{}", of_a_file.text);
    }
    assert_eq!(json!([used.detail("origin"), used.detail("backend")]), json!(["unasked", "sandbox"]));
    let all = host.log_text();
    assert!(!all.contains("query=1") && !all.contains("hunter2"), "{all}");
}

/// What a file was used for is told when it can be: not while two requests are served.
#[tokio::test]
async fn a_file_has_the_request_that_was_served_alone() {
    let app = "
import asyncio
import os

inside = []

async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    if scope['path'] == '/two':
        inside.append(asyncio.get_running_loop().create_future())
        if len(inside) == 2:
            open('/scratch/two', 'w').close()
            for waiting in inside:
                waiting.set_result(None)
        await inside[-1]
    else:
        open('/scratch/one', 'w').close()
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b''})
";
    let policy = "version: 1\ngrant: {files: {scratch_mib: 1}}\nlimits: {instances: 1}\n";
    let mut host = TestHost::agent(&Package::asgi(app)).env("PAR_POLICY", policy).start().await;

    let one = host.get("/one").await;
    let (first, second) = tokio::join!(host.get("/two"), host.get("/two"));
    assert_eq!([one.status, first.status, second.status], [200, 200, 200]);
    host.stop().await;

    let records = host.records();
    let of = |path: &str| records.iter().find(|line| line.text_of("target") == path).unwrap();
    assert_eq!(of("/scratch/one").text_of("request_id"), one.header("x-request-id"));
    assert!(of("/scratch/two").detail("request_id").is_null());
}

/// Each limit that is reached is on the record with its code and the key that sets it.
#[tokio::test]
async fn a_limit_that_is_reached_is_on_the_record() {
    let policy =
        "version: 1\nlimits: {memory_mib: 96, instances: 1, log_lines_per_second: 5, request_timeout_ms: 2000}\n";
    let mut host = TestHost::agent(&agent()).env("PAR_POLICY", policy).start().await;

    assert_eq!(execute(&host, "result = len(b'x' * (128 << 20))").await["raised"], "MemoryError");
    execute(&host, "for number in range(1000): print('line', number)").await;
    let late = host.send(host.request(Method::POST, "/").body("while True: pass")).await;
    assert_eq!((late.status, late.error_code().as_str()), (504, "call_timeout"));
    host.stop().await;

    for (code, rule) in [
        ("memory_exhausted", "limits.memory_mib"),
        ("log_lines_dropped", "limits.log_lines_per_second"),
        ("call_timeout", "limits.request_timeout_ms"),
    ] {
        let line = host.wait_for_denial(code).await;
        assert_eq!(line.text_of("rule"), rule, "{}", line.text);
    }
    let late = host.wait_for_denial("call_timeout").await;
    assert!(late.detail("duration_ms").as_f64() >= Some(1900.0) && !late.text_of("request_id").is_empty());
    let dropped = host.records().into_iter().filter(|line| line.text_of("code") == "log_lines_dropped");
    let dropped: u64 = dropped.map(|line| line.detail("count").as_u64().unwrap()).sum();
    let said: u64 =
        host.events("Agent log lines dropped").iter().map(|line| line.detail("dropped").as_u64().unwrap()).sum();
    assert_eq!(dropped, said);
    assert!(dropped > 500);
}

/// hostile 86: a trap and the last request of an instance are on the record.
#[tokio::test]
async fn an_instance_that_ends_early_is_on_the_record() {
    let probe = Package::asgi(include_str!("python/probe.py"));
    let host = TestHost::agent(&probe).start().await;
    assert_eq!(host.get("/abort").await.error_code(), "instance_lost");
    assert!(host.wait_for_denial("instance_trapped").await.detail("rule").is_null());

    let policy = "version: 1\nlimits: {requests_per_instance: 1}\n";
    let host = TestHost::agent(&probe).env("PAR_POLICY", policy).start().await;
    host.get("/ping").await;
    assert_eq!(host.wait_for_denial("instance_worn").await.text_of("rule"), "limits.requests_per_instance");
}

/// With `mode: observe` what no rule grants happens and says so; what a rule denies, and addresses nobody granted,
/// stay denied.
#[tokio::test]
async fn observing_lets_happen_what_no_rule_grants_and_says_so() {
    let upstream = Upstream::http().await;
    let policy =
        "version: 1\nmode: observe\ngrant: {outbound_addresses: [127.0.0.1/32]}\ndeny: {outbound: [denied.example]}\n";
    let mut host = TestHost::agent(&agent()).env("PAR_POLICY", policy).start().await;

    assert_eq!(execute(&host, &fetch(&upstream.url("127.0.0.1", "/echo"))).await, json!({"done": 200}));
    assert_eq!(execute(&host, &fetch(&upstream.url("127.0.0.2", "/echo"))).await["raised"], "URLError");
    assert_eq!(execute(&host, &fetch("http://denied.example/")).await["raised"], "URLError");
    host.stop().await;

    // A request that happened is on the record when its response has ended, which may be after the next denial.
    let mut lines: Vec<String> = host.records().iter().map(short).collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            format!("outbound denied GET {} loopback_address", upstream.url("127.0.0.2", "/echo")),
            "outbound denied GET http://denied.example/ denied_by_policy".to_owned(),
            format!("outbound observed GET {} host_not_granted", upstream.url("127.0.0.1", "/echo")),
        ]
    );
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(host.events("Capability observed").len(), 1);
    assert_eq!(host.events("Policy observes and does not enforce").len(), 1);
}

/// hostile 120, 167: the memory of PAR, which holds the values of secrets, is in no core file.
#[tokio::test]
async fn no_core_file_is_written() {
    let host = TestHost::agent(&agent()).start().await;

    let limits = fs_err::read_to_string(format!("/proc/{}/limits", host.id())).unwrap();

    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
}

/// Whether events become lines one by one or are counted: each is on the record.
#[tokio::test]
async fn no_event_is_lost_in_a_flood() {
    let mut host = TestHost::agent(&agent()).start().await;
    let flood = "
import urllib.request
for number in range(500):
    try:
        urllib.request.urlopen(f'http://other.example/{number % 7}')
    except OSError:
        pass
";
    execute(&host, flood).await;
    host.stop().await;

    let records = host.records();
    let counts = records.iter().map(|line| line.detail("count").as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 500);
    assert!(records.iter().all(|line| line.text_of("code") == "host_not_granted"));
}

/// `PAR_AUDIT_FILE` holds the record in place of the log, for its owner only, and is appended to.
#[tokio::test]
async fn the_record_is_kept_in_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("audit.jsonl");
    for starts in 1..=2 {
        let mut host = TestHost::agent(&agent()).env("PAR_AUDIT_FILE", &file).start().await;
        execute(&host, &fetch("http://other.example/")).await;
        assert_eq!(host.stop().await, 0);

        let lines: Vec<String> = host.audit_file().iter().map(short).collect();
        assert_eq!(lines, vec!["outbound denied GET http://other.example/ host_not_granted"; starts]);
        assert_eq!(host.records().len(), 0);
    }
    assert_eq!(fs_err::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A file others could reach, or that is none, is refused before anything is loaded.
#[tokio::test]
async fn a_file_that_is_not_its_own_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs_err::write(path("target"), "").unwrap();
    fs_err::os::unix::fs::symlink(path("target"), path("link")).unwrap();
    fs_err::write(path("open"), "").unwrap();
    fs_err::set_permissions(path("open"), std::fs::Permissions::from_mode(0o666)).unwrap();
    fs_err::write(path("one-name"), "").unwrap();
    fs_err::hard_link(path("one-name"), path("two-names")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();

    for (name, because) in [
        ("link", "it is a link"),
        ("open", "others may write to it"),
        ("two-names", "it has more than one name"),
        ("pipe", "it is not a file"),
        (".", "cannot open the audit file"),
        ("missing/audit.jsonl", "cannot open the audit file"),
    ] {
        let host = TestHost::agent(&agent()).env("PAR_AUDIT_FILE", path(name)).refused().await;
        let line = host.wait_for_event("Boot failed").await;
        assert!(line.text_of("error").contains(because), "{name}: {}", line.text);
        assert_eq!(host.events("Loading agent package").len(), 0);
    }
    assert_eq!(fs_err::read(path("target")).unwrap(), b"");

    let first = TestHost::agent(&agent()).env("PAR_AUDIT_FILE", path("shared")).start().await;
    let second = TestHost::agent(&agent()).env("PAR_AUDIT_FILE", path("shared")).refused().await;
    let line = second.wait_for_event("Boot failed").await;
    assert!(line.text_of("error").ends_with("another process writes to it"), "{}", line.text);
    drop(first);
}
