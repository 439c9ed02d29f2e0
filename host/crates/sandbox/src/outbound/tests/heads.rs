//! The head of a request, as it leaves.

use super::super::Reason;
use super::server::Server;
use super::{HELLO, bench};

/// The head leaves as it was asked for, and the response comes back.
#[tokio::test]
async fn a_granted_request_is_sent_and_answered() {
    let server = Server::answering(HELLO).await;
    let way = bench(&[&format!("http://api.example:{}", server.port)]).build();
    let url = format!("http://api.example:{}/a%20b?q=1", server.port);

    let (status, headers, body) = way.send(&["POST", &url, "x-One", "1", "x-one", "2"]).await.unwrap();

    assert_eq!((status, body.as_ref()), (200, b"hello".as_slice()));
    assert_eq!(String::from_utf8(headers).unwrap(), "content-length\u{0}5\u{0}x-note\u{0}a");
    let head = &server.heard()[0];
    assert!(head.starts_with("POST /a%20b?q=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: api.example:{}\r\n", server.port)), "{head}");
    assert!(head.contains("x-one: 1\r\nx-one: 2\r\n"), "{head}");
    assert_eq!(way.asked(), ["api.example"]);
    assert_eq!(way.recorded(), ["outbound allowed"]);
}

/// hostile 103, 105, 107, 115: headers by which two readers of a request could disagree, or by
/// which it becomes another protocol. Refused before anything is looked up; others pass.
#[tokio::test]
async fn headers_about_the_connection_are_the_hosts() {
    let server = Server::answering(HELLO).await;
    let way = bench(&[&format!("http://api.example:{}", server.port)]).build();
    let url = format!("http://api.example:{}/", server.port);

    for name in [
        "Host",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Content-Length",
        "Upgrade",
        "Expect",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Proxy-Anything",
        "HTTP2-Settings",
        ":authority",
        "",
    ] {
        assert_eq!(way.refused(&["POST", &url, name, "1"]).await, (Reason::Denied, "forbidden_header"), "{name}");
    }
    assert_eq!(way.asked(), [""; 0]);

    assert_eq!(way.send(&["POST", &url, "authorization", "Bearer a", "te-amo", "1"]).await.unwrap().0, 200);
    let head = server.heard().concat();
    assert_eq!(head.matches("content-length").count(), 1, "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
}

/// hostile 104: a line break in a name or a value of a header, or too many headers.
#[tokio::test]
async fn a_header_is_one_line() {
    let way = bench(&["http://api.example"]).build();
    let url = "http://api.example/";
    let long = "v".repeat(200_000);
    let mut many = vec!["GET", url];
    many.extend(["x-a", "1"].iter().cycle().take(1000));

    for head in [
        vec!["GET", url, "x-a", "1\r\nx-b: 2"],
        vec!["GET", url, "x-a", "1\nx-b: 2"],
        vec!["GET", url, "x-a\r\nx-b", "1"],
        vec!["GET", url, "x a", "1"],
        vec!["GET", url, "x-a"],
        vec!["GET", url, "x-a", &long],
        many,
    ] {
        assert_eq!(way.refused(&head).await, (Reason::Denied, "forbidden_header"));
    }
    assert_eq!(way.asked(), [""; 0]);
}
