//! The log: what is in it, and what nobody can put there.

use par_tests::{Package, TestHost};
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
    host.send(host.request(reqwest::Method::POST, "/forge").body("hello")).await;

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
            let reply = host.send(host.request(reqwest::Method::POST, "/forge").body("x".repeat(2_000))).await;
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

    let reply = host.send(host.request(reqwest::Method::POST, "/forge").body(text)).await;
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

    host.send(host.request(reqwest::Method::POST, "/forge").body("hello")).await;

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
    let request = host.request(reqwest::Method::GET, "/ping?api_key=hunter2").header("authorization", "Bearer hunter2");

    assert_eq!(host.send(request).await.status, 200);
    assert_eq!(host.stop().await, 0);

    let line = &host.events("Request processed")[0];
    assert_eq!(
        (line.text_of("method"), line.text_of("url"), line.detail("status_code")),
        ("GET", "/ping", &json!(200))
    );
    assert!(!host.log_text().contains("hunter2"));
}

/// hostile 83, 84: an agent that writes without end costs it lines, not the host its disk. The rate is low, so that
/// the slowest machine writes faster.
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
