//! How large, how long, how many at once.

use std::time::Duration;

use bytes::Bytes;

use super::super::{Asked, AskedBody, Reason};
use super::server::Server;
use super::{HELLO, bench};

/// hostile 108: responses without end, longer than allowed, with a head that is too large.
#[tokio::test]
async fn a_response_is_no_larger_than_allowed() {
    let huge = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 10_u64 << 30);
    let endless = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
        "400\r\n{}\r\n".replace("{}", &"x".repeat(1024)).repeat(8)
    );
    let many: String = (0..100_000).map(|number| format!("x-{number}: v\r\n")).collect();
    let many = format!("HTTP/1.1 200 OK\r\n{many}\r\n");
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "v".repeat(1 << 20));
    for (answer, expected) in [
        (huge, (Reason::TooLarge, "outbound_response_too_large")),
        (endless, (Reason::TooLarge, "outbound_response_too_large")),
        (many, (Reason::Protocol, "protocol_error")),
        (long, (Reason::Protocol, "protocol_error")),
    ] {
        let server = Server::answering(answer).await;
        let mut bench = bench(&[&format!("http://api.example:{}", server.port)]);
        bench.limits.response_bytes = 4096;
        let way = bench.build();

        let url = format!("http://api.example:{}/", server.port);
        assert_eq!(way.refused(&["GET", &url]).await, expected);
        assert_eq!(way.recorded().len(), 1);
    }
}

/// hostile 109: a server that says nothing, and one that never comes to an end.
#[tokio::test]
async fn a_response_comes_in_time() {
    let silent = Server::answering("").await;
    let unfinished = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel").await;
    for (server, idle, total) in [(&silent, 20, 60_000), (&silent, 60_000, 20), (&unfinished, 20, 60_000)] {
        let mut bench = bench(&[&format!("http://api.example:{}", server.port)]);
        bench.limits.idle_timeout = Duration::from_millis(idle);
        bench.limits.total_timeout = Duration::from_millis(total);
        let way = bench.build();

        let url = format!("http://api.example:{}/", server.port);
        assert_eq!(way.refused(&["GET", &url]).await, (Reason::Timeout, "outbound_timeout"));
        assert_eq!(way.recorded(), ["outbound denied outbound_timeout"]);
    }
}

/// hostile 109: what trickles is never idle, and ends by the time all of it may take; what comes slowly and in that time
/// comes whole.
#[tokio::test]
async fn a_response_that_trickles_ends() {
    for (bytes, total) in [(usize::MAX >> 1, 50), (5, 600_000)] {
        let server = Server::trickling(bytes).await;
        let mut bench = bench(&[&format!("http://api.example:{}", server.port)]);
        bench.limits.response_bytes = u64::MAX;
        bench.limits.idle_timeout = Duration::from_secs(600);
        bench.limits.total_timeout = Duration::from_millis(total);
        let way = bench.build();
        let url = format!("http://api.example:{}/", server.port);

        if bytes == 5 {
            assert_eq!(way.send(&["GET", &url]).await.unwrap().2.as_ref(), b"xxxxx");
        } else {
            assert_eq!(way.refused(&["GET", &url]).await, (Reason::Timeout, "outbound_timeout"));
            assert_eq!(way.recorded(), ["outbound denied outbound_timeout"]);
        }
    }
}

/// A body is no larger than allowed, nor of another length than declared.
#[tokio::test]
async fn a_request_is_no_larger_than_allowed() {
    let server = Server::answering(HELLO).await;
    let mut bench = bench(&[&format!("http://api.example:{}", server.port)]);
    bench.limits.request_bytes = 8;
    let way = bench.build();
    let url = format!("http://api.example:{}/", server.port);
    let head = ["POST", url.as_str()];

    for body in [AskedBody::Complete(Bytes::from_static(b"123456789")), AskedBody::Pushed { length: Some(9) }] {
        let failure = way.send_body(&head, body).await.unwrap_err();
        assert_eq!((failure.reason, failure.code), (Reason::TooLarge, "outbound_request_too_large"));
    }
    let asked =
        Asked { head: head.join("\0").into_bytes(), body: AskedBody::Pushed { length: None }, packages: Vec::new() };
    let exchange = way.outbound.begin(asked, None);
    exchange.push(Bytes::from_static(b"12345678")).await.unwrap();
    assert_eq!(exchange.push(Bytes::from_static(b"9")).await.unwrap_err().reason, Reason::TooLarge);

    let asked =
        Asked { head: head.join("\0").into_bytes(), body: AskedBody::Pushed { length: Some(3) }, packages: Vec::new() };
    let exchange = way.outbound.begin(asked, None);
    assert_eq!(exchange.push(Bytes::from_static(b"1234")).await.unwrap_err().reason, Reason::Protocol);

    assert_eq!(way.send_body(&head, AskedBody::Complete(Bytes::from_static(b"12345678"))).await.unwrap().0, 200);
}

/// hostile 110: more requests at once than allowed wait for their turn.
#[tokio::test]
async fn requests_at_once_are_bounded() {
    let server = Server::answering("").await;
    let mut bench = bench(&[&format!("http://api.example:{}", server.port)]);
    bench.limits.concurrent_requests = 3;
    let way = bench.build();
    let head = format!("GET\0http://api.example:{}/", server.port).into_bytes();
    let begin = || {
        way.outbound
            .begin(Asked { head: head.clone(), body: AskedBody::Complete(Bytes::new()), packages: Vec::new() }, None)
    };

    let exchanges: Vec<_> = (0..20).map(|_| begin()).collect();
    while server.heard().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(way.outbound.running.available_permits(), 0);
    assert_eq!(server.connections(), 3);

    drop(exchanges);
    while way.outbound.running.available_permits() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(way.recorded().len(), 20, "each is on the record, the abandoned ones too");
}
