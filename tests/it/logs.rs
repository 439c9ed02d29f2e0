//! The log: what is in it, and what nobody can put there.

use std::time::{Duration, Instant};

use par_tests::{Line, Package, TestHost};
use reqwest::Method;
use serde_json::json;

fn probe() -> Package {
    Package::asgi(include_str!("python/probe.py"))
}

/// R098, R100, R136, R005, R004: every line, from the first to the last, is one JSON object with the identity.
#[tokio::test]
async fn every_line_carries_the_identity_and_the_schema() {
    let mut host = TestHost::agent(&probe()).env("LOG_LEVEL", "debug").start().await;
    host.get("/ping").await;
    host.get("/fail").await;
    host.send(host.request(Method::POST, "/forge").body("hello")).await;

    assert_eq!(host.stop().await, 0);

    let lines = host.lines();
    assert!(lines.len() > 15, "{}", host.log_text());
    for line in &lines {
        assert_eq!((&line.value["agentAppId"], &line.value["deploymentId"]), (&json!("app-1"), &json!("deployment-1")));
        assert!(line.text.contains("\"event\": \""), "readers look for a space: {}", line.text);
    }
    assert_eq!(host.violations(), Vec::<String>::new());
    assert_eq!(host.standard_error().await, "");
}

/// Hostile 184: nobody reads the log, or nobody can: far more of it than a pipe holds keeps no request waiting, nor the end.
#[tokio::test]
async fn an_output_that_is_stuck_or_closed_holds_nobody_up() {
    for setup in [TestHost::agent(&probe()).unread(), TestHost::agent(&probe()).unheard()] {
        let mut host = setup.spawn();
        host.healthy().await;

        for _ in 0..300 {
            let reply = host.send(host.request(Method::POST, "/forge").body("x".repeat(2_000))).await;
            assert_eq!(reply.status, 200);
        }

        assert_eq!(host.get("/health").await.status, 200);
        assert_eq!(host.stop().await, 0);
    }
}

/// R005, R137: without `DEPLOYMENT_ID` the field is there and empty.
#[tokio::test]
async fn the_deployment_is_null_where_it_is_not_known() {
    let host = TestHost::agent(&probe()).unset("DEPLOYMENT_ID").start().await;

    assert!(host.lines().iter().all(|line| line.value["deploymentId"].is_null()));
}

/// Hostile 121, 122. R098, R100: whatever the agent prints or logs is a value inside `details`, and never a line or a key.
#[tokio::test]
async fn an_agent_cannot_forge_a_line() {
    let forged = json!({
        "level": "error", "ts": "2026-01-01T00:00:00Z", "timestamp": "2026-01-01T00:00:00Z", "agentAppId": "another",
        "deploymentId": "another", "event": "Forged", "details": {},
    });
    let text = format!(
        "before\n{forged}\r\n{forged}\u{2028}{forged}\u{85}\u{0}\u{1b}[2J\", \"event\": \"Forged\", \"x\": \"\n\u{202e}end\n"
    );
    let host = TestHost::agent(&probe()).start().await;

    let reply = host.send(host.request(Method::POST, "/forge").body(text)).await;
    host.wait_for_agent("forged").await;

    assert_eq!(reply.status, 200);
    let said: Vec<_> = host.lines().into_iter().filter(|line| line.text.contains("Forged")).collect();
    // Standard output and error, two lines each, one record, one exception.
    assert!(said.len() >= 6, "{said:#?}");
    for line in host.lines() {
        assert_ne!(line.event(), "Forged");
        assert_eq!(line.value["agentAppId"], "app-1", "{}", line.text);
        assert!(line.value.get("x").is_none() && line.value.get("text").is_none(), "{}", line.text);
    }
    for line in said {
        assert!(["Agent output", "Agent log"].contains(&line.event()), "{}", line.text);
        let said = [line.text_of("text"), line.text_of("traceback")];
        assert!(said.iter().any(|text| text.contains("Forged")), "{}", line.text);
        assert!(!line.text.contains('\u{1b}') && !line.text.contains('\u{0}'));
    }
}

/// Python's logging arrives with its level, its logger and its traceback.
#[tokio::test]
async fn records_of_pythons_logging_keep_their_level_logger_and_traceback() {
    let host = TestHost::agent(&probe()).start().await;

    host.send(host.request(Method::POST, "/forge").body("hello")).await;

    let warning = host.wait_for_agent("hello").await;
    let caught = host.wait_for_agent("caught").await;
    let record = host.wait_for("the warning", |line| line.event() == "Agent log" && line.level() == "warning").await;
    assert_eq!(warning.event(), "Agent output");
    assert_eq!((record.text_of("logger"), record.text_of("text")), ("probe", "hello"));
    assert_eq!(caught.level(), "error");
    assert!(caught.text_of("traceback").contains("RuntimeError: hello"), "{}", caught.text);
}

/// R099: fields that are named like secrets are hidden, and the query of a request is not logged.
#[tokio::test]
async fn queries_and_header_fields_of_requests_are_not_logged() {
    let mut host = TestHost::agent(&probe()).env("LOG_LEVEL", "debug").start().await;
    let request = host.request(Method::GET, "/ping?api_key=hunter2").header("authorization", "Bearer hunter2");

    assert_eq!(host.send(request).await.status, 200);
    assert_eq!(host.stop().await, 0);

    let line = &host.events("Request processed")[0];
    assert_eq!(
        (line.text_of("method"), line.text_of("url"), line.detail("status_code")),
        ("GET", "/ping", &json!(200))
    );
    assert!(!host.log_text().contains("hunter2"));
}

/// hostile 84: an agent that logs without end loses lines, and the host no disk. The rate is low, so that the slowest
/// machine writes faster.
#[tokio::test]
async fn an_agent_that_logs_without_end_is_held_back() {
    let main = "
import logging

async def app(scope, receive, send):
    if scope['type'] != 'http':
        raise NotImplementedError(scope['type'])
    for number in range(3_000):
        print('line', number)
        logging.getLogger('loud').warning('record %d', number)
    print('x' * 1_000_000)
    await send({'type': 'http.response.start', 'status': 204, 'headers': []})
    await send({'type': 'http.response.body', 'body': b''})
";
    let policy = "version: 1\nlimits: {log_lines_per_second: 20}\n";
    let host = TestHost::agent(&Package::asgi(main)).env("PAR_POLICY", policy).start().await;

    assert_eq!(host.get("/").await.status, 204);

    host.wait_for_event("Agent log lines dropped").await;
    let lines = host.lines();
    assert!(lines.len() < 6_000, "{} lines", lines.len());
    assert!(lines.iter().all(|line| line.text.len() <= 200 << 10));
}

/// Writes a gigabyte, all in one line or in lines of a kibibyte, and goes on until somebody else was answered meanwhile.
const FLOOD: &str = "
import asyncio, sys

MIB = 1 << 20
begun, greeted = asyncio.Event(), asyncio.Event()

async def app(scope, receive, send):
    if scope['type'] != 'http':
        raise NotImplementedError(scope['type'])
    written = 0
    if scope['path'] == '/greet':
        await begun.wait()
        greeted.set()
    elif scope['path'] == '/few':
        print('one line')
        print('x' * 20_000)
        print('last line')
    else:
        chunk = 'x' * MIB if scope['path'] == '/line' else ('x' * 1023 + chr(10)) * 1024
        greeted.clear()
        begun.set()
        while written < 1024 * MIB or not greeted.is_set():
            sys.stdout.write(chunk)
            written += MIB
            await asyncio.sleep(0)
        begun.clear()
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': str(written).encode()})
";

/// hostile 83: a gigabyte of output, in one line and in many, costs the agent lines. The log keeps its rate, what is left
/// out of it is counted and on the record, the process stays as large as it was, and others are answered meanwhile. An
/// ordinary amount arrives whole.
#[tokio::test]
async fn a_gigabyte_of_output_is_counted_and_not_kept() {
    let policy = "version: 1\nlimits: {log_lines_per_second: 20, request_timeout_ms: 600000}\n";
    let started = Instant::now();
    let mut host = TestHost::agent(&Package::asgi(FLOOD)).env("PAR_POLICY", policy).start().await;

    assert_eq!(host.get("/few").await.status, 200);
    host.wait_for_agent("last line").await;
    let whole = host.events("Agent output");
    let text: String = whole.iter().map(|line| line.text_of("text")).collect();
    assert_eq!(text, format!("one line{}last line", "x".repeat(20_000)));
    assert!(host.events("Agent log lines dropped").is_empty());

    let before = host.resident_kib();
    let mut expected = whole.len() as u64;
    for (path, piece) in [("/line", 8 << 10), ("/lines", 1 << 10)] {
        let flood = host.request(Method::GET, path).timeout(Duration::from_secs(600)).send();
        let flood = tokio::spawn(async move { flood.await.unwrap().text().await.unwrap() });
        let (greeted, health) = tokio::join!(host.get("/greet"), host.health());
        assert_eq!((greeted.status, health.status), (200, 200));
        let written: u64 = flood.await.unwrap().parse().unwrap();
        assert!(written >= 1 << 30);
        expected += written / piece;
    }
    assert!(host.peak_kib() < before + (64 << 10), "{before} KiB, then {} KiB", host.peak_kib());
    assert_eq!(host.stop().await, 0);

    let dropped = |line: &Line| line.detail("dropped").as_u64().unwrap();
    let dropped: u64 = host.events("Agent log lines dropped").iter().map(dropped).sum();
    let denied = host.records().into_iter().filter(|line| line.text_of("code") == "log_lines_dropped");
    let denied: u64 = denied.map(|line| line.detail("count").as_u64().unwrap()).sum();
    let lines = host.events("Agent output").len() as u64;
    assert_eq!((lines + dropped, denied), (expected, dropped));
    assert!(lines <= 20 * (started.elapsed().as_secs() + 10), "{lines} lines");
}
