//! What clients may send, and what becomes of what they may not.

use par_tests::{Package, TestHost};

/// Hostile 133: a head that is too large in any way is refused, and the next one is answered.
#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let host = TestHost::agent(&Package::asgi(include_str!("python/probe.py"))).start().await;
    let head = |extra: &str| format!("GET /ping HTTP/1.1\r\nhost: agent.example\r\nconnection: close\r\n{extra}\r\n");
    let many: String = (0..500).map(|number| format!("x-{number}: 1\r\n")).collect();

    assert_eq!(host.raw(head("").as_bytes()).await.status, 200);
    assert_eq!(host.raw(head(&many).as_bytes()).await.status, 431, "many fields");
    assert_eq!(host.raw(head(&format!("x: {}\r\n", "a".repeat(100_000))).as_bytes()).await.status, 431, "a large one");
    assert_eq!(host.raw_get(&format!("/{}", "a".repeat(20_000))).await.status, 414, "a long target");
    assert_eq!(host.raw(head("").as_bytes()).await.status, 200);
}
