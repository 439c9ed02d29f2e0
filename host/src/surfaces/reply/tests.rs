use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::{Asked, MAX_HEADERS};
use crate::backend::{HttpReply, ReplyBody};
use crate::surfaces::Payload;
use crate::surfaces::request_id::RequestId;

fn accept(reply: HttpReply, method: &Method) -> Response<Payload> {
    let asked = Asked {
        request_id: RequestId::of(&http::HeaderMap::new(), &http::Extensions::new()),
        agent: "weather",
        allowed: Duration::from_millis(500),
    };
    asked.accept(reply, method)
}

fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> HttpReply {
    let mut reply = Response::builder().status(status);
    for (name, value) in headers {
        reply = reply.header(*name, *value);
    }
    reply.body(ReplyBody::Complete(Bytes::from_static(body.as_bytes()))).unwrap()
}

fn streamed(length: &'static str, chunks: &[&'static str]) -> HttpReply {
    let (sender, receiver) = mpsc::channel(8);
    for chunk in chunks {
        sender.try_send(Ok(Bytes::from_static(chunk.as_bytes()))).unwrap();
    }
    let mut reply = Response::new(ReplyBody::Streamed(receiver.into()));
    reply.headers_mut().insert("content-length", length.parse().unwrap());
    reply
}

#[tokio::test]
async fn a_status_http_cannot_carry_is_a_bad_response() {
    for status in [100, 101, 103, 199, 600, 999] {
        let response = accept(reply(status, &[], "x"), &Method::GET);
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{status}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("bad_response"));
    }
    for status in [200, 404, 451, 599] {
        assert_eq!(accept(reply(status, &[], "x"), &Method::GET).status(), status);
    }
}

#[test]
fn too_many_or_too_large_headers_are_a_bad_response() {
    let with = |count: usize, size: usize| {
        let mut reply = reply(200, &[], "x");
        for n in 0..count {
            let name: http::HeaderName = format!("x-{n}").parse().unwrap();
            reply.headers_mut().insert(name, "v".repeat(size).parse().unwrap());
        }
        accept(reply, &Method::GET).status()
    };

    assert_eq!(with(MAX_HEADERS, 1), StatusCode::OK);
    assert_eq!(with(MAX_HEADERS + 1, 1), StatusCode::BAD_GATEWAY);
    assert_eq!(with(1, 60_000), StatusCode::OK);
    assert_eq!(with(1, 70_000), StatusCode::BAD_GATEWAY);
}

#[test]
fn hop_by_hop_headers_and_wrong_lengths_do_not_leave() {
    let headers = [
        ("connection", "x-mine"),
        ("x-mine", "1"),
        ("transfer-encoding", "chunked"),
        ("keep-alive", "1"),
        ("content-length", "999"),
        ("x-kept", "1"),
    ];

    let response = accept(reply(200, &headers, "four"), &Method::GET);

    let left: Vec<_> = response.headers().keys().map(|name| name.as_str()).collect();
    assert_eq!(left, ["x-kept"]);
    assert_eq!(response.body().size_hint().exact(), Some(4));
}

#[tokio::test]
async fn a_streamed_reply_is_held_to_its_length() {
    for (length, chunks, whole) in [
        ("4", vec!["ab", "cd"], true),
        ("4", vec!["ab"], false),
        ("4", vec!["ab", "cde"], false),
        ("nonsense", vec!["ab"], true),
    ] {
        let response = accept(streamed(length, &chunks), &Method::GET);
        assert_eq!(response.body().size_hint().exact(), length.parse().ok());
        let collected = response.into_body().collect().await;
        assert_eq!(collected.is_ok(), whole, "{length} {chunks:?}");
    }
}

#[test]
fn answers_without_a_body_have_none_and_head_tells_its_length() {
    for (method, status, headers, length) in [
        (Method::HEAD, 200, vec![("content-length", "999")], Some("4")),
        (Method::GET, 204, vec![("content-length", "4")], None),
        (Method::GET, 304, vec![], Some("4")),
    ] {
        let response = accept(reply(status, &headers, "four"), &method);
        let told = response.headers().get("content-length").map(|value| value.to_str().unwrap());
        assert_eq!(told, length, "{method} {status}");
        assert!(response.body().is_end_stream());
    }
    let response = accept(streamed("77", &[]), &Method::HEAD);
    assert_eq!(response.headers()["content-length"], "77");
}

#[tokio::test]
async fn a_timeout_says_how_long_was_allowed() {
    let asked = Asked {
        request_id: RequestId::of(&http::HeaderMap::new(), &http::Extensions::new()),
        agent: "weather",
        allowed: Duration::from_secs(30),
    };

    let response = asked.failed(&crate::backend::CallError::TimedOut);

    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["message"], "agent `weather` did not answer within 30 s");
}
