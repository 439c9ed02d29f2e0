//! Every capability from inside an agent, twice: granted it works, not granted it is denied with its code, the
//! other side sees nothing of it, and exactly one denial is on the record.
//!
//! Each row is held by every backend: the same decision, code and event. What the kernel decides alone, outside the
//! sandbox, is on no record ([`Row::unheard`]); `docs/threat-model.md` says why.

use par_tests::{Line, Package, TestHost, Upstream};
use reqwest::Method;
use serde_json::{Value, json};

/// The backends that hold the table, by the word that is on the record.
const BACKENDS: [&str; 2] = ["sandbox", NATIVE];
const NATIVE: &str = "native";

/// One thing an agent may or may not do. `OWN` stands for the address of a server of the test, `PORT` for its port,
/// `DATA` for a directory with the file `weights.txt`, `MODELS` for where the agent finds it, `SCRATCH` for where it
/// finds the scratch directory.
struct Row {
    capability: &'static str,
    code: &'static str,
    /// Beside `version: 1` in the policy: where it is granted, and where it is not.
    granted: &'static str,
    denied: &'static str,
    /// What the agent runs, and what it answers.
    runs: &'static str,
    answers: [&'static str; 2],
    /// Uses on the record where it is granted.
    uses: usize,
    /// Requests the server sees: granted, and not granted.
    seen: [usize; 2],
    /// Outside the sandbox the kernel decides it, which tells nobody; and what the agent is answered then.
    unheard: Option<&'static str>,
}

const FETCH: &str = "import urllib.request; result = urllib.request.urlopen('OWN/echo', timeout=20).status";
const WITH_SECRET: &str = "
import urllib.request
request = urllib.request.Request('OWN/cookie', headers={'x-key': 'par-secret://KEY'})
result = urllib.request.urlopen(request, timeout=20).status";
const LOOPBACK: &str = "outbound_addresses: [127.0.0.0/8]";

const DONE: &str = r#"{"done":200}"#;
const DENIED: &str = "URLError";

/// A row about outbound requests: what is granted, and what is not enough.
const fn outbound(code: &'static str, granted: &'static str, denied: &'static str) -> Row {
    Row {
        capability: "outbound",
        code,
        granted,
        denied,
        runs: FETCH,
        answers: [DONE, DENIED],
        uses: 1,
        seen: [1, 0],
        unheard: None,
    }
}

const ROWS: &[Row] = &[
    outbound(
        "host_not_granted",
        "grant: {outbound: [OWN], LOOPBACK}",
        "grant: {outbound: ['http://a.example'], LOOPBACK}",
    ),
    outbound(
        "port_not_granted",
        "grant: {outbound: [OWN], LOOPBACK}",
        "grant: {outbound: ['http://127.0.0.1:1'], LOOPBACK}",
    ),
    outbound(
        "scheme_not_granted",
        "grant: {outbound: [OWN], LOOPBACK}",
        "grant: {outbound: ['https://127.0.0.1:PORT'], LOOPBACK}",
    ),
    outbound("path_not_granted", "grant: {outbound: [OWN/echo], LOOPBACK}", "grant: {outbound: [OWN/v1], LOOPBACK}"),
    outbound(
        "method_not_granted",
        "grant: {outbound: [{url: OWN, methods: [GET]}], LOOPBACK}",
        "grant: {outbound: [{url: OWN, methods: [POST]}], LOOPBACK}",
    ),
    outbound(
        "denied_by_policy",
        "grant: {outbound: [OWN], LOOPBACK}",
        "grant: {outbound: [OWN], LOOPBACK}\ndeny: {outbound: [127.0.0.1]}",
    ),
    outbound("loopback_address", "grant: {outbound: [OWN], LOOPBACK}", "grant: {outbound: [OWN]}"),
    Row {
        runs: "import urllib.request; result = urllib.request.urlopen('OWN/echo', data=b'x' * (2 << 20), timeout=20).status",
        ..outbound(
            "outbound_request_too_large",
            "grant: {outbound: [OWN], LOOPBACK}\nlimits: {outbound_request_mib: 3}",
            "grant: {outbound: [OWN], LOOPBACK}\nlimits: {outbound_request_mib: 1}",
        )
    },
    Row {
        runs: "
import urllib.request
for _ in range(3): result = urllib.request.urlopen('OWN/echo', timeout=20).status",
        uses: 3,
        seen: [3, 2],
        ..outbound(
            "outbound_requests_exhausted",
            "grant: {outbound: [OWN], LOOPBACK}\nlimits: {outbound_requests_per_request: 3}",
            "grant: {outbound: [OWN], LOOPBACK}\nlimits: {outbound_requests_per_request: 2}",
        )
    },
    Row {
        runs: "import urllib.request; result = len(urllib.request.urlopen('OWN/large', timeout=20).read())",
        answers: [r#"{"done":2097152}"#, "OutboundTooLarge"],
        seen: [1, 1],
        ..outbound(
            "outbound_response_too_large",
            "grant: {outbound: [OWN], LOOPBACK}\nlimits: {outbound_response_mib: 3}",
            "grant: {outbound: [OWN], LOOPBACK}\nlimits: {outbound_response_mib: 1}",
        )
    },
    // A secret that may not be used stays a placeholder; the request is another matter.
    Row {
        capability: "secrets",
        runs: WITH_SECRET,
        answers: [DONE, DONE],
        seen: [1, 1],
        ..outbound(
            "secret_not_bound",
            "grant: {outbound: [OWN], LOOPBACK, secrets: {KEY: {hosts: [OWN]}}}",
            "grant: {outbound: [OWN], LOOPBACK, secrets: {KEY: {hosts: ['http://a.example']}}}",
        )
    },
    Row {
        capability: "secrets",
        runs: WITH_SECRET,
        answers: [DONE, DONE],
        seen: [1, 1],
        ..outbound(
            "secret_not_granted",
            "grant: {outbound: [OWN], LOOPBACK, secrets: {KEY: {hosts: [OWN]}}}",
            "grant: {outbound: [OWN], LOOPBACK}",
        )
    },
    row(
        ("env", "variable_not_granted"),
        ["grant: {env: {REGION: eu}}", "grant: {}"],
        "import os; result = os.environ.get('REFERS', '')",
        [r#"{"done":"eu"}"#, r#"{"done":""}"#],
        1,
    ),
    row(
        ("env", "denied_by_policy"),
        ["grant: {env: {REGION: eu}}", "grant: {env: {REGION: eu}}\ndeny: {env: [SETS]}"],
        "import os; result = os.environ.get('SETS')",
        [r#"{"done":"x"}"#, r#"{"done":null}"#],
        1,
    ),
    unheard(
        "PermissionError",
        row(
            ("files", "file_not_granted"),
            ["grant: {files: {data: {models: DATA}}}", "grant: {}"],
            "result = open('MODELS/weights.txt').read()",
            [r#"{"done":"0.5"}"#, "FileNotFoundError"],
            1,
        ),
    ),
    unheard(
        "PermissionError",
        row(
            ("files", "file_not_granted"),
            ["grant: {files: {scratch_mib: 1}}", "grant: {}"],
            "result = open('SCRATCH/a', 'w').write('a')",
            [r#"{"done":1}"#, "PermissionError"],
            1,
        ),
    ),
    unheard(
        "OSError",
        row(
            ("files", "scratch_full"),
            ["grant: {files: {scratch_mib: 3}}", "grant: {files: {scratch_mib: 1}}"],
            "import os; result = os.pwrite(os.open('SCRATCH/a', os.O_WRONLY | os.O_CREAT), b'x' * 10, 2 << 20)",
            [r#"{"done":10}"#, "OSError"],
            1,
        ),
    ),
    unheard(
        "MemoryError",
        row(
            ("limits", "memory_exhausted"),
            ["limits: {memory_mib: 1024}", "limits: {memory_mib: 96}"],
            "result = len(b'x' * (512 << 20))",
            [r#"{"done":536870912}"#, "MemoryError"],
            0,
        ),
    ),
    unheard(
        "OSError",
        row(
            ("limits", "open_files_exhausted"),
            ["limits: {open_files: 256}", "limits: {open_files: 16}"],
            "opened = []\nfor _ in range(128): opened.append(open(__import__('main').__file__))\nresult = len(opened)",
            [r#"{"done":128}"#, "OSError"],
            0,
        ),
    ),
    row(
        ("limits", "call_timeout"),
        ["limits: {request_timeout_ms: 60000}", "limits: {request_timeout_ms: 200}"],
        "import time; time.sleep(1); result = 1",
        [r#"{"done":1}"#, "call_timeout"],
        0,
    ),
    row(
        ("limits", "instance_worn"),
        ["limits: {requests_per_instance: 2}", "limits: {requests_per_instance: 1}"],
        "result = 1",
        [r#"{"done":1}"#, r#"{"done":1}"#],
        0,
    ),
    row(
        ("limits", "instance_grown"),
        ["limits: {memory_growth_mib: 4096}", "limits: {memory_growth_mib: 1}"],
        "import sys; sys.kept = b'x' * (32 << 20); result = len(sys.kept)",
        [r#"{"done":33554432}"#, r#"{"done":33554432}"#],
        0,
    ),
];

const fn row(
    (capability, code): (&'static str, &'static str),
    [granted, denied]: [&'static str; 2],
    runs: &'static str,
    answers: [&'static str; 2],
    uses: usize,
) -> Row {
    Row { capability, code, granted, denied, runs, answers, uses, seen: [0, 0], unheard: None }
}

const fn unheard(answer: &'static str, row: Row) -> Row {
    Row { unheard: Some(answer), ..row }
}

/// Runs the row under a policy; what the agent answered, what is on the record of the capability, and how many
/// requests the server saw.
async fn run(row: &Row, policy: &str, upstream: &Upstream, backend: &str) -> (String, Vec<Line>, usize) {
    let package =
        Package::asgi(include_str!("python/execute.py")).and("environment: {REFERS: \"${REGION}\", SETS: x}\n");
    let package = if backend == NATIVE { package.native() } else { package };
    let setup = TestHost::agent(&package);
    let data = setup.directory().join("data");
    fs_err::create_dir(&data).unwrap();
    fs_err::write(data.join("weights.txt"), "0.5").unwrap();
    let own = upstream.url("127.0.0.1", "");
    let filled = |text: &str| {
        let text = text.replace("LOOPBACK", LOOPBACK).replace("OWN", &own);
        let [models, scratch] =
            if backend == NATIVE { [data.to_str().unwrap(), "."] } else { ["/data/models", "/scratch"] };
        let text = text.replace("MODELS", models).replace("SCRATCH", scratch);
        text.replace("PORT", &upstream.port().to_string()).replace("DATA", data.to_str().unwrap())
    };
    let before = upstream.seen().len();
    let text = format!("version: 1\nnative: allow\n{}\n", filled(policy));
    let mut host = setup.env("PAR_POLICY", text).env("KEY", "hunter2-value").start().await;
    let reply = host.send(host.request(Method::POST, "/").body(filled(row.runs))).await;
    let answer = match reply.status {
        200 => match reply.json().get("raised") {
            Some(raised) => raised.as_str().unwrap().to_owned(),
            None => reply.text().to_owned(),
        },
        _ => reply.error_code(),
    };
    if row.code.starts_with("instance_") && policy == row.denied {
        // Said once the instance has ended, which may be after the answer.
        host.wait_for_denial(row.code).await;
    }
    assert_eq!(host.stop().await, 0);
    let records = host.records();
    assert!(records.iter().all(|line| line.text_of("backend") == backend), "{records:#?}");
    let records = records.into_iter().filter(|line| line.text_of("capability") == row.capability).collect();
    (answer.replace(": ", ":"), records, upstream.seen().len() - before)
}

async fn holds(capability: &str) {
    let rows = || ROWS.iter().filter(|row| row.capability == capability);
    assert!(rows().count() > 1, "the table has rows about {capability}");
    for backend in BACKENDS {
        for row in rows() {
            let upstream = Upstream::http().await;
            let count = |records: &[Line], decision: &str| {
                let of_kind = records.iter().filter(|line| line.text_of("decision") == decision);
                usize::try_from(of_kind.map(|line| line.detail("count").as_u64().unwrap()).sum::<u64>()).unwrap()
            };
            let what = |records: &[Line]| format!("{backend} {} {}: {records:#?}", row.capability, row.code);

            let (answer, records, seen) = run(row, row.granted, &upstream, backend).await;
            assert_eq!((answer.as_str(), seen), (row.answers[0], row.seen[0]), "granted {}", what(&records));
            let unheard = row.unheard.filter(|_| backend == NATIVE);
            let uses = if unheard.is_some() { 0 } else { row.uses };
            assert_eq!((count(&records, "allowed"), count(&records, "denied")), (uses, 0), "{}", what(&records));

            let (answer, records, seen) = run(row, row.denied, &upstream, backend).await;
            let refused = unheard.unwrap_or(row.answers[1]);
            assert_eq!((answer.as_str(), seen), (refused, row.seen[1]), "denied {}", what(&records));
            if unheard.is_some() {
                assert_eq!(records.len(), 0, "{}", what(&records));
                continue;
            }
            assert_eq!(count(&records, "denied"), 1, "{}", what(&records));
            let denial = records.iter().find(|line| line.text_of("decision") == "denied").unwrap();
            assert_eq!(denial.text_of("code"), row.code, "{}", what(&records));
        }
    }
    let secret = "hunter2-value";
    assert!(ROWS.iter().all(|row| !row.runs.contains(secret)), "no row knows the secret");
}

/// hostile 100, 112, 114: outbound requests, by host, port, scheme, path, method, address, size and number.
#[tokio::test]
async fn outbound_requests_are_what_was_granted() {
    holds("outbound").await;
}

/// hostile 126: secrets, by name and host.
#[tokio::test]
async fn secrets_are_what_was_granted() {
    holds("secrets").await;
}

/// hostile 118: variables.
#[tokio::test]
async fn variables_are_what_was_granted() {
    holds("env").await;
}

/// hostile 90, 95: files, by place and size.
#[tokio::test]
async fn files_are_what_was_granted() {
    holds("files").await;
}

/// hostile 75, 82, 87: memory, open files, time, requests and growth.
#[tokio::test]
async fn limits_are_what_was_granted() {
    holds("limits").await;
}

/// Runs code in two processes of an agent under one policy: whether both answered the same, and what is on the record
/// of a capability.
async fn repeats(runs: &str, policy: &str, capability: &str, backend: &str) -> (bool, Vec<(String, Value, Value)>) {
    let mut answers = Vec::new();
    let mut records = Vec::new();
    for _ in 0..2 {
        let package = Package::asgi(include_str!("python/execute.py"));
        let package = if backend == NATIVE { package.native() } else { package };
        let text = format!("version: 1\nnative: allow\n{policy}\n");
        let mut host = TestHost::agent(&package).env("PAR_POLICY", text).start().await;
        let reply = host.send(host.request(Method::POST, "/").body(runs.to_owned())).await;
        answers.push(reply.json()["done"].to_string());
        assert_eq!(host.stop().await, 0);
        let lines = host.records().into_iter().filter(|line| line.text_of("capability") == capability);
        records = lines
            .map(|line| (line.text_of("target").to_owned(), line.detail("rule").clone(), line.detail("code").clone()))
            .collect();
    }
    (answers[0] == answers[1], records)
}

/// A clock that stands and random numbers that repeat: granted they do, with one event; not granted they do not, with
/// none. Outside the sandbox they cannot, and the record says so; where all of a confinement is demanded, no agent starts.
#[tokio::test]
async fn a_clock_and_random_numbers_are_what_was_granted() {
    let date = "import datetime; result = datetime.datetime.now(datetime.UTC).isoformat()";
    let numbers = "import os, random; result = [os.urandom(16).hex(), random.random()]";
    let time = "2026-01-02T03:04:05Z";
    for (capability, runs, fixed, target) in
        [("clock", date, format!("{time:?}"), time), ("random", numbers, "7".to_owned(), "7")]
    {
        let policy = format!("grant: {{{capability}: {fixed}}}");
        let event = |code: Value| (target.to_owned(), json!(format!("grant.{capability}")), code);

        let granted = repeats(runs, &policy, capability, "sandbox").await;
        assert_eq!(granted, (true, vec![event(Value::Null)]), "{capability}");
        let outside = repeats(runs, &policy, capability, NATIVE).await;
        assert_eq!(outside, (false, vec![event(json!("not_confined"))]), "{capability}");
        for backend in BACKENDS {
            let free = repeats(runs, "grant: {}", capability, backend).await;
            assert_eq!(free, (false, vec![]), "{capability} {backend}");
        }

        let strict = format!("version: 1\nnative: allow\nconfinement: strict\n{policy}\n");
        let native = Package::asgi("app = None\n").native();
        let refused = TestHost::agent(&native).env("PAR_POLICY", strict).refused().await;
        let failed = refused.wait_for_event("Boot failed").await;
        assert!(failed.text_of("error").contains(&format!("`{capability}` cannot be applied")), "{}", failed.text);
    }
}

/// hostile 56: what a package asks for and does not get refuses its start, with one event each on the record; what it
/// asks for and gets starts.
#[tokio::test]
async fn what_is_asked_for_above_the_policy_is_on_the_record() {
    let asks = "sandbox: {outbound: ['https://a.example/v1'], env: [REGION], secrets: {KEY: {hosts: ['https://a.example']}}, files: {data: [models], scratch_mib: 8}, clock: '2026-01-02T03:04:05Z', random: 7, limits: {memory_mib: 512}}\n";
    let package = Package::asgi("app = None\n").and(&asks.replace('\'', "\""));
    let narrow = "version: 1
grant: {clock: '2026-01-01T00:00:00Z', random: 8}
allow: {env: [REGION], files: {scratch_mib: 4}}
deny: {env: [REGION]}
limits: {memory_mib: 256}
";

    let host = TestHost::agent(&package).env("PAR_POLICY", narrow.replace('\'', "\"")).refused().await;

    let mut denied: Vec<_> = host
        .records()
        .iter()
        .map(|line| {
            assert_eq!((line.event(), line.text_of("decision")), ("Capability denied", "denied"), "{}", line.text);
            json!([line.detail("capability"), line.detail("target"), line.detail("code"), line.detail("rule")])
        })
        .collect();
    denied.sort_by_key(ToString::to_string);
    let above = |capability: &str, target: &str, rule: Option<&str>| json!([capability, target, "above_policy", rule]);
    assert_eq!(
        denied,
        [
            above("clock", "a fixed clock", Some("grant.clock")),
            json!(["env", "REGION", "asked_for_denied", "deny.env[0]"]),
            above("files", "8 MiB of scratch space", None),
            above("files", "models", None),
            above("limits", "memory_mib: 512", None),
            above("outbound", "https://a.example/v1", None),
            above("random", "a fixed random", Some("grant.random")),
            above("secrets", "KEY", None),
        ]
    );
    assert_eq!(host.wait_for_event("Boot failed").await.detail("exit_code"), 1);

    let package =
        Package::asgi(include_str!("python/execute.py")).and("sandbox: {files: {scratch_mib: 8}, random: 7}\n");
    let policy = "version: 1\nallow: {files: {scratch_mib: 8}}\n";
    let mut host = TestHost::agent(&package).env("PAR_POLICY", policy).start().await;
    assert_eq!(host.stop().await, 0);
    assert!(host.records().iter().all(|line| line.text_of("decision") == "allowed"));
}
