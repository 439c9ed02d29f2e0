use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{Application, Meta, Rest, Surfaces};
use crate::backend::{CallError, HttpCall, HttpReply, ReplyBody, RequestBody, Surface};
use crate::lifecycle::Phase;
use crate::surfaces::serve::{Bound, Limits, Protocol, Server};
use crate::surfaces::testing::{BASE, Front, get, health_in, loopback, request_limits, routes, says, send};

/// An agent that says what it was asked.
async fn mirror(call: HttpCall) -> Result<HttpReply, CallError> {
    let path = call.head.uri.path().to_owned();
    let body = match call.body {
        RequestBody::Complete(bytes) => format!("complete {}", bytes.len()),
        RequestBody::Streamed(mut chunks) => {
            let mut total = 0;
            while let Some(chunk) = chunks.recv().await {
                match chunk {
                    Ok(bytes) => total += bytes.len(),
                    Err(broken) => return Ok(says(broken.to_string())),
                }
            }
            format!("streamed {total}")
        }
    };
    Ok(says(format!("{} {path} root={} {body}", call.head.method, call.root_path)))
}

fn start() -> Server {
    Front::ready().start(mirror)
}

#[tokio::test]
async fn agent_routes_answer_below_the_prefix_and_nowhere_else() {
    let server = start();

    for (path, expected) in [
        ("/agents/app-1/api/x?y=1", "GET /agents/app-1/api/x root=/agents/app-1 complete 0"),
        ("/agents/app-1//health", "GET /agents/app-1//health root=/agents/app-1 complete 0"),
        ("/agents%2Fapp-1/api/x", "GET /agents%2Fapp-1/api/x root=/agents/app-1 complete 0"),
    ] {
        let answer = get(server.address(), path).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, expected));
    }
    for path in ["/api/x", "/", "/deploy", "/metrics", "/agents/app-1/agents/app-1/api/x", "/agents/app-12/x"] {
        let answer = get(server.address(), path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.json(), json!({"detail": "Not Found"}), "{path}");
    }
}

#[tokio::test]
async fn the_root_serves_the_agent_where_asked_to_and_keeps_its_health() {
    let mut front = Front::ready();
    front.routes.serve_at_root = true;
    let server = front.start(mirror);

    let answer = get(server.address(), "/test").await;
    assert_eq!(answer.text(), "GET /test root= complete 0");
    assert_eq!(get(server.address(), "/health").await.json()["ok"], true);
}

/// Hostile 135.
#[tokio::test]
async fn paths_two_readers_could_disagree_about_are_refused() {
    let server = start();

    for path in [
        "/agents/app-1/../app-2/x",
        "/agents/app-1/%2e%2e/x",
        "/agents/app-1/./x",
        "/agents/app-1/a%2f..%2fb",
        "/agents/app-1/a%00b",
    ] {
        let answer = get(server.address(), path).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (StatusCode::BAD_REQUEST, "bad_path"), "{path}");
    }
    let answer = get(server.address(), "/agents/app-1/%252e%252e/x").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn built_ins_cannot_be_shadowed_however_they_are_spelt() {
    let server = start();

    for path in ["/health", "/agents/app-1/health", "/agents/app-1/%68ealth", "/agents/app-1%2fhealth"] {
        let answer = get(server.address(), path).await;
        assert_eq!(answer.json()["surfaces"], json!({"rest": true, "a2a": false, "ui": false}), "{path}");
        assert!(answer.json()["timestamp"].is_i64(), "{path}");
    }
    let posted = send(server.address(), "POST /agents/app-1/meta", b"").await;
    assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(posted.json(), json!({"detail": "Method Not Allowed"}));
    assert_eq!(posted.header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn health_has_the_shapes_its_callers_know() {
    let server = start();

    let own = get(server.address(), "/agents/app-1/health").await;
    assert_eq!(own.status, StatusCode::OK);
    assert_eq!(own.json()["status"], "healthy");
    assert_eq!(own.json()["agentId"], "app-1");
    assert_eq!(own.json()["loaded"], true);
    assert_eq!(own.json()["ok"], true);

    let other = get(server.address(), "/agents/other/health").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    assert_eq!(other.json(), json!({"error": "Agent not found", "agentId": "other", "loaded": false}));

    let doubled = get(server.address(), "/agents/app-1/agents/app-1/health").await;
    assert_eq!(doubled.json()["status"], "healthy");

    let a2a = get(server.address(), "/agents/app-1/a2a/health").await;
    assert_eq!((a2a.status, a2a.json()), (StatusCode::NOT_FOUND, json!({"detail": "A2A service not available"})));

    for path in ["/ui/health", "/agents/app-1/ui/health"] {
        let ui = get(server.address(), path).await;
        assert_eq!((ui.status, &ui.json()["ok"], &ui.json()["service"]), (StatusCode::OK, &json!(false), &json!("ui")));
    }
}

#[tokio::test]
async fn health_is_503_before_and_after_ready_and_agent_routes_only_before() {
    for (phase, health, agent) in
        [(Phase::Starting, 503, 503), (Phase::Ready, 200, 200), (Phase::Draining, 503, 200), (Phase::Failed, 503, 503)]
    {
        let mut front = Front::ready();
        front.health = health_in(phase);
        let server = front.start(mirror);

        let answer = get(server.address(), "/health").await;
        assert_eq!(answer.status, health, "{phase:?}");
        assert_eq!(answer.json()["ok"], health == 200);
        assert!(answer.json()["timestamp"].is_i64());

        let answer = get(server.address(), "/agents/app-1/api/x").await;
        assert_eq!(answer.status, agent, "{phase:?}");
        if agent == 503 {
            assert_eq!(answer.error_code(), "unavailable");
            assert_eq!(answer.header("retry-after"), "1");
            assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
        }
    }
}

#[tokio::test]
async fn before_the_agent_is_there_its_absence_is_said() {
    let rest = Arc::new(Rest::new(routes(), request_limits(), health_in(Phase::Starting)));
    let server = Bound::bind("REST", loopback()).unwrap().serve(Arc::clone(&rest), Protocol::Http, Limits::default());

    let health = get(server.address(), "/agents/app-1/health").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((&health.json()["loaded"], &health.json()["error"]), (&json!(false), &json!("No package loaded")));
    let meta = get(server.address(), "/agents/app-1/meta").await;
    assert_eq!((meta.status, meta.json()), (StatusCode::NOT_FOUND, json!({"detail": "No package loaded"})));

    rest.describe(&Meta {
        name: "weather".into(),
        version: "0.3.0".into(),
        description: String::new(),
        author: "a".into(),
        build_time: None,
        surfaces: Surfaces { rest: true, a2a: false, ui: false },
        backend: "sandbox",
        because: None,
        boot_ms: 12.5,
        phases_ms: vec![("load", 4.0)],
    });
    let meta = get(server.address(), "/agents/app-1/meta").await;
    assert_eq!(meta.status, StatusCode::OK);
    assert_eq!(meta.json()["surfaces"], json!({"a2a": false, "rest": true, "ui": false}));
    assert_eq!(meta.json()["boot_stats"], json!({"total_ms": 12.5, "phases_ms": {"load": 4.0}}));
}

#[tokio::test]
async fn the_prefix_alone_redirects_readers_and_serves_writers() {
    let server = start();

    let answer = get(server.address(), "/agents/app-1?a=b").await;
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(answer.header("location"), "/agents/app-1/?a=b");

    for path in ["/agents/app-1", "/agents/app-1/"] {
        let answer = send(server.address(), &format!("POST {path}\ncontent-length: 2"), b"{}").await;
        assert_eq!(answer.text(), "POST /agents/app-1/ root=/agents/app-1 complete 2");
    }
}

#[tokio::test]
async fn the_index_is_ours_unless_the_agent_is_an_application_of_its_own() {
    for (application, expected) in
        [(Application::Mounted, "Pixell Agent Runtime"), (Application::Own, "GET /agents/app-1/ root=/agents/app-1")]
    {
        let mut front = Front::ready();
        front.application = application;
        let server = front.start(mirror);
        let answer = get(server.address(), "/agents/app-1/").await;
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
    let mut front = Front::ready();
    front.application = Application::None;
    let server = front.start(mirror);
    assert_eq!(get(server.address(), "/agents/app-1/api/x").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(server.address(), "/health").await.status, StatusCode::OK);
}

#[tokio::test]
async fn small_bodies_arrive_whole_and_large_or_open_ended_ones_as_streams() {
    let server = start();

    for (length, expected) in
        [(0, "complete 0"), (5, "complete 5"), (65_536, "complete 65536"), (65_537, "streamed 65537")]
    {
        let head = format!("POST /agents/app-1/x\ncontent-length: {length}");
        let answer = send(server.address(), &head, &vec![b'x'; length]).await;
        assert!(answer.text().ends_with(expected), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_body_over_the_cap_is_413_whether_it_says_so_or_not() {
    let mut front = Front::ready();
    front.request_limits.body_bytes = Some(100_000);
    let server = front.start(mirror);

    let said = send(server.address(), "POST /agents/app-1/x\ncontent-length: 100001", b"").await;
    assert_eq!((said.status, said.error_code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));

    let mut chunked = Vec::new();
    for _ in 0..3 {
        chunked.extend_from_slice(format!("{:x}\r\n", 40_000).as_bytes());
        chunked.extend_from_slice(&[b'x'; 40_000]);
        chunked.extend_from_slice(b"\r\n");
    }
    let fits = [&chunked[..chunked.len() / 3 * 2], b"0\r\n\r\n"].concat();
    let head = "POST /agents/app-1/x\ntransfer-encoding: chunked";
    let unsaid = send(server.address(), head, &[&chunked[..], b"0\r\n\r\n"].concat()).await;
    assert_eq!((unsaid.status, unsaid.error_code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));

    let answer = send(server.address(), head, &fits).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().ends_with(" 80000"), "{}", answer.text());
}

#[tokio::test]
async fn a_slow_body_is_408_at_the_deadline() {
    let mut front = Front::ready();
    front.request_limits.timeout = Duration::from_millis(50);
    let server = front.start(mirror);

    let answer = send(server.address(), "POST /agents/app-1/x\ncontent-length: 9", b"abc").await;

    assert_eq!((answer.status, answer.error_code().as_str()), (StatusCode::REQUEST_TIMEOUT, "body_timeout"));
}

#[tokio::test]
async fn oversized_targets_and_heads_are_refused() {
    let server = start();

    let long = get(server.address(), &format!("{BASE}/{}", "a".repeat(17_000))).await;
    assert_eq!((long.status, long.error_code().as_str()), (StatusCode::URI_TOO_LONG, "uri_too_long"));
    let fits = get(server.address(), &format!("{BASE}/{}", "a".repeat(15_000))).await;
    assert_eq!(fits.status, StatusCode::OK);

    let many: String = (0..200).map(|n| format!("x-{n}: 1\n")).collect();
    let answer = send(server.address(), &format!("GET {BASE}/x\n{many}"), b"").await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn cross_origin_rules_hold_for_the_agent_and_for_built_ins() {
    let server = start();

    for path in ["/health", "/agents/app-1/x", "/nowhere"] {
        let answer = send(server.address(), &format!("GET {path}\norigin: https://a.example"), b"").await;
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), "true", "{path}");
        assert_eq!(get(server.address(), path).await.header("access-control-allow-origin"), "", "{path}");
    }
    let preflight = "OPTIONS /agents/app-1/x\norigin: https://a.example\naccess-control-request-method: PUT";
    let answer = send(server.address(), preflight, b"").await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "OK"));
}

#[tokio::test]
async fn failures_are_typed_and_tell_nothing_of_the_host() {
    let raised = CallError::Raised { message: "secret /agent/x.py".into(), traceback: "Traceback".into() };
    for (error, status, code) in [
        (CallError::TimedOut, 504, "call_timeout"),
        (CallError::InstanceLost("trap at /agent/x.py".into()), 502, "instance_lost"),
        (CallError::Unavailable, 503, "unavailable"),
        (CallError::Overloaded, 503, "overloaded"),
        (raised, 500, "agent_error"),
        (CallError::Protocol("secret /agent/x.py".into()), 502, "bad_response"),
        (CallError::ActionNotFound("x".into()), 502, "bad_response"),
    ] {
        let server = Front::ready().start(move |_| futures::future::ready(Err(error.clone())));

        let answer = get(server.address(), "/agents/app-1/x").await;

        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (status, code));
        let keys: Vec<_> = answer.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["request_id", "error_code", "message"]);
        assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
        assert!(!answer.text().contains("/agent/"), "{}", answer.text());
        assert!(!answer.text().contains("Traceback"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_streamed_reply_leaves_chunk_by_chunk_and_an_error_cuts_it() {
    for broken in [false, true] {
        let arrived = Arc::new(Notify::new());
        let seen = Arc::clone(&arrived);
        let server = Front::ready().start(move |_| {
            let seen = Arc::clone(&seen);
            async move {
                let (chunks, receiver) = mpsc::channel(4);
                tokio::spawn(async move {
                    chunks.send(Ok(Bytes::from_static(b"data: 1\n\n"))).await.unwrap();
                    seen.notified().await;
                    if broken {
                        chunks.send(Err(CallError::TimedOut)).await.unwrap();
                    }
                });
                Ok(http::Response::new(ReplyBody::Streamed(receiver.into())))
            }
        });
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(b"GET /agents/app-1/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();

        let mut bytes = Vec::new();
        while !bytes.ends_with(b"data: 1\n\n\r\n") {
            bytes.push(stream.read_u8().await.unwrap());
        }
        arrived.notify_one();
        bytes.clear();
        stream.read_to_end(&mut bytes).await.unwrap();

        assert_eq!(bytes == b"0\r\n\r\n", !broken, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_felt_before_and_during_the_answer() {
    let (felt, mut feels) = mpsc::unbounded_channel();
    let server = Front::ready().start(move |call: HttpCall| {
        let felt = felt.clone();
        async move {
            if call.head.uri.path().ends_with("/wait") {
                let _dropped = Felt(felt);
                return futures::future::pending().await;
            }
            let (chunks, receiver) = mpsc::channel(1);
            tokio::spawn(async move {
                chunks.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
                chunks.closed().await;
                felt.send(()).unwrap();
            });
            Ok(http::Response::new(ReplyBody::Streamed(receiver.into())))
        }
    });

    for path in ["wait", "stream"] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let request = format!("GET {BASE}/{path} HTTP/1.1\r\nhost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        if path == "stream" {
            stream.read_u8().await.unwrap();
        } else {
            // A second round trip on another connection: by its answer the first has arrived.
            get(server.address(), "/health").await;
        }
        drop(stream);
        tokio::time::timeout(Duration::from_secs(10), feels.recv()).await.unwrap().unwrap();
    }
}

/// Says when it is dropped.
struct Felt(mpsc::UnboundedSender<()>);

impl Drop for Felt {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn the_call_carries_what_the_agent_may_know_and_no_more() {
    let (tell, told) = oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    let server = Front::ready().start(move |call| {
        let tell = tell.lock().unwrap().take();
        async move {
            let _ = tell.unwrap().send(call);
            Ok(says(""))
        }
    });

    send(server.address(), "GET /agents/app-1/x?q=1\nx-forwarded-for: 9.9.9.9\nte: trailers", b"").await;

    let call = told.await.unwrap();
    assert_eq!(call.surface, Surface::Rest);
    assert_eq!(&*call.root_path, BASE);
    assert_eq!(call.server, server.address());
    assert!(call.client.is_some_and(|client| client.ip().is_loopback()));
    assert_eq!(call.head.uri.query(), Some("q=1"));
    assert!(!call.head.headers.contains_key("te"));
    assert!(!call.head.headers.contains_key("connection"));
    assert_eq!(call.head.headers["x-forwarded-for"], "9.9.9.9");
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let server = Front::ready().start(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        futures::future::ready(Ok(says("12345")))
    });

    for path in ["/agents/app-1/x", "/agents/app-1/a2a/health"] {
        let answer = send(server.address(), &format!("HEAD {path}"), b"").await;
        assert_ne!(answer.header("content-length"), "0", "{path}");
        assert_ne!(answer.header("content-length"), "", "{path}");
        assert!(answer.body.is_empty());
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}
