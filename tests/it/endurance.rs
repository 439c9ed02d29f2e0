//! Thousands of requests leave the process as it was.

use futures::StreamExt;
use par_tests::{AgentClient, Package, RunningHost, TestHost};
use reqwest::Method;
use serde_json::{Value, json};

/// One of each kind of request.
async fn one(host: &RunningHost, client: &AgentClient, number: usize) {
    let (request, status) = match number % 11 {
        0 => (host.request(Method::GET, "/ping"), 200),
        1 => (host.request(Method::POST, "/echo").body("x".repeat(number % 5000)), 200),
        2 => (host.request(Method::GET, "/nowhere"), 404),
        3 => (host.request(Method::GET, "/fail"), 500),
        4 => (host.request(Method::GET, "/wait?seconds=0.001"), 200),
        5 => (host.request(Method::GET, "/health"), 200),
        6 => (host.request(Method::GET, "/allocate?mib=2"), 200),
        7 => return assert_eq!(client.act("nothing", &[]).await.result, "None"),
        8 => return assert_eq!(client.act("fails", &[]).await.error, "it went wrong"),
        9 => {
            let answer = host.request(Method::GET, "/pieces").send().await.unwrap();
            return assert_eq!(answer.bytes().await.unwrap(), "0123456789");
        }
        _ => {
            // A client that leaves before it has an answer.
            let asking = host.request(Method::GET, "/wait?seconds=30").send();
            let _ = tokio::time::timeout(std::time::Duration::from_millis(5), asking).await;
            return;
        }
    };
    let reply = host.send(request).await;
    assert_eq!(reply.status, status, "{number}: {}", reply.text());
}

async fn many(host: &RunningHost, client: &AgentClient, count: usize) {
    futures::stream::iter(0..count).for_each_concurrent(16, |number| one(host, client, number)).await;
}

/// Memory in KiB.
fn memory(host: &RunningHost) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{}/status", host.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn identity(host: &RunningHost) -> Value {
    host.get("/identity").await.json()
}

/// 10 000 mixed requests, failures and departures among them, leave memory, descriptors and the
/// instance where they were.
#[tokio::test]
async fn ten_thousand_mixed_requests_leave_everything_where_it_was() {
    let manifest = "http_server: main:app\na2a:\n  service: service:create_service\n";
    let package = Package::new("probe", manifest)
        .file("main.py", include_str!("python/probe.py"))
        .file("service.py", include_str!("python/service.py"));
    let host = TestHost::agent(&package).start().await;
    let client = host.a2a().await;
    let before = identity(&host).await;
    many(&host, &client, 2_000).await;
    let before_memory = memory(&host);

    many(&host, &client, 10_000).await;

    let after_memory = memory(&host);
    assert_eq!(identity(&host).await, before, "the same instance");
    assert!(after_memory < before_memory + (24 << 10), "from {before_memory} to {after_memory} KiB");
    // A descriptor lost by one kind of request would be lost a thousand times.
    assert!(host.descriptor_room() <= 512, "{}", host.descriptor_room());
    assert_eq!(host.health().await.json()["surfaces"], json!({"rest": true, "a2a": true, "ui": false}));
}
