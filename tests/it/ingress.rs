//! What reaches the agent through the two ports, and what ends before it.

use bytes::Bytes;
use futures::future::join_all;
use par_tests::frames::{self, Frames, flag, kind};
use par_tests::{A2aMessage, ActionRequest, Package, RunningHost, TestHost, Upstream};
use reqwest::{Client, Method, Response};
use serde_json::json;

use crate::rest::at_base;
use crate::streaming::upload;

fn service() -> TestHost {
    TestHost::agent(&Package::actions(include_str!("python/service.py")))
}

/// A client that speaks HTTP/2 alone, and is patient.
fn http2() -> Client {
    #[expect(clippy::disallowed_methods, reason = "a test is a client")]
    let client = Client::builder();
    client.http2_prior_knowledge().no_proxy().timeout(par_tests::PATIENCE).build().unwrap()
}

/// Calls a method of a gRPC service with bytes, without a client of gRPC in between.
async fn grpc(host: &RunningHost, path: &str, body: impl Into<reqwest::Body>) -> Response {
    let url = format!("http://127.0.0.1:{}{path}", host.setup().port("A2A_PORT"));
    let request = http2().post(url).header("content-type", "application/grpc").header("te", "trailers");
    request.body(body).send().await.unwrap()
}

const EMPTY: &[u8] = &[0; 5];

/// The status of a call that ended before it had an answer.
fn grpc_status(response: &Response) -> &str {
    response.headers().get("grpc-status").map_or("", |status| status.to_str().unwrap())
}

/// hostile 129: a body that does not arrive is the client's fault and costs the agent nothing; one that does is answered.
#[tokio::test]
async fn a_body_that_does_not_arrive_is_the_clients_fault() {
    let package = Package::asgi(include_str!("python/probe.py"));
    let host = TestHost::agent(&package).env("REQUEST_TIMEOUT_SEC", "5").start().await;
    let before = host.get("/identity").await.json();
    let post = |framing: &str, body: &str| {
        let head = format!("POST /echo HTTP/1.1\r\nhost: agent.example\r\nconnection: close\r\n{framing}\r\n\r\n");
        format!("{head}{body}")
    };

    let slow = [
        post("content-length: 100", "abc"),
        post("content-length: 1000000", "abc"),
        post("transfer-encoding: chunked", "3\r\nabc\r\n"),
        post("transfer-encoding: chunked", ""),
    ];
    for reply in join_all(slow.iter().map(|request| host.raw(request.as_bytes()))).await {
        assert_eq!(reply.status, 408, "{reply:?}");
        assert!(reply.body.contains("\"error_code\":\"body_timeout\""), "{reply:?}");
    }

    assert_eq!(host.get("/identity").await.json(), before, "the instance is the one it was");
    for request in [post("content-length: 3", "abc"), post("transfer-encoding: chunked", "3\r\nabc\r\n0\r\n\r\n")] {
        let reply = host.raw(request.as_bytes()).await;
        assert!(reply.status == 200 && reply.body.contains("abc"), "{reply:?}");
    }
}

/// hostile 129: nor does a gRPC call that never ends its message wait without end.
#[tokio::test]
async fn a_call_that_does_not_end_its_message_is_a_deadline() {
    let host = service().env("REQUEST_TIMEOUT_SEC", "5").start().await;
    let (sender, body) = upload();
    sender.send(Bytes::from_static(&[0, 0, 0, 0, 9, 1])).await.unwrap();

    let late = grpc(&host, "/pixell.agent.AgentService/Invoke", body).await;

    assert_eq!(grpc_status(&late), "4");
    assert_eq!(host.a2a().await.act("nothing", &[]).await.result, "None");
    drop(sender);
}

/// hostile 140: JSON made to confuse is a mistake of its sender, in the sandbox and before it.
#[tokio::test]
async fn json_that_is_made_to_confuse_is_refused() {
    let host = at_base(&Package::example("fastapi")).start().await;
    let url = "/agents/app-1/api/summary";
    let (deep, objects) = ("[".repeat(1_000_000), r#"{"a":"#.repeat(200_000));
    let nested = format!("{{\"text\": {}1{}}}", "[".repeat(5_000), "]".repeat(5_000));

    for (body, statuses) in [
        (deep.as_bytes(), [422, 400]),
        (objects.as_bytes(), [422, 400]),
        // FastAPI repeats what it refuses, and cannot write these.
        (nested.as_bytes(), [422, 500]),
        (br#"{"text": NaN}"#, [422, 500]),
        (br#"{"text": "a", "longest": 1e400}"#, [422, 500]),
        (br#"{"text": "a", "longest": 99999999999999999999999999}"#, [422, 400]),
        (b"{\"text\": \"\xff\xfe\"}", [422, 400]),
        (br#"{"text": "\ud800"}"#, [422, 500]),
        (b"", [422, 400]),
        // The last one counts, as it does for Python.
        (br#"{"text": "first", "text": "one two"}"#, [200, 200]),
    ] {
        let request = host.request(Method::POST, url).header("content-type", "application/json").body(body.to_vec());
        let reply = host.send(request).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert!(statuses.contains(&reply.status), "{shown}: {} {}", reply.status, reply.text());
    }

    let reply = host.post(url, &json!({"text": "one two"})).await;
    assert_eq!((reply.status, &reply.json()["words"]), (200, &json!(2)));
    assert!(host.events("Instance trapped").is_empty());
}

/// hostile 140: and in the JSON of an action.
#[tokio::test]
async fn json_of_an_action_that_is_made_to_confuse_is_refused() {
    let host = service().start().await;
    let client = host.a2a().await;
    let message = |params: &str| ActionRequest {
        message: Some(A2aMessage { params_json: params.into(), ..A2aMessage::default() }),
        ..ActionRequest::default()
    };
    let with =
        |value: &str| format!(r#"{{"message":{{"metadata":{{"skill":"parameters","params":{{"n":{value}}}}}}}}}"#);

    for value in [&"[".repeat(100_000), "NaN", "1e400", r#""\ud800""#, "01", "'a'", "1,}"] {
        let result = client.invoke(message(&with(value))).await.unwrap();
        assert!(result.error.starts_with("Invalid JSON in A2A params_json: "), "{result:?}");
    }

    for (value, expected) in
        [(r#"1,"n":2"#, "[('n', 2)]"), (r#""\ud83d\ude00""#, "[('n', '😀')]"), ("1e300", "[('n', 1e+300)]")]
    {
        let result = client.invoke(message(&with(value))).await.unwrap();
        assert_eq!(result.result, format!("dict {expected}"));
    }
}

const FORMS: &str = "
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def form(request):
    async with request.form() as form:
        return PlainTextResponse(str(len(form)))


app = Starlette(routes=[Route('/', form, methods=['POST'])])
";

/// hostile 141: a form of too many parts, or of parts too large, is refused by the agent's framework, which has what it takes.
#[tokio::test]
async fn forms_made_to_blow_up_are_refused() {
    let host = TestHost::agent(&Package::asgi(FORMS)).env("PAR_MEMORY_MIB", "256").start().await;
    let part = |number: usize, value: &str| {
        format!("--b\r\ncontent-disposition: form-data; name=\"f{number}\"\r\n\r\n{value}\r\n")
    };
    // Over HTTP/2 an answer may overtake the body; over HTTP/1.1 it would break off with it.
    let form = async |parts: String| {
        let request = http2().post(host.url("/")).header("content-type", "multipart/form-data; boundary=b");
        let response = request.body(format!("{parts}--b--\r\n")).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };

    let many = form((0..50_000).map(|number| part(number, "x")).collect()).await;
    let large = form(part(0, &"x".repeat(8 << 20))).await;
    let endless = form(format!("--b\r\nx-a: {}", "a".repeat(1 << 20))).await;
    let whole = form((0..3).map(|number| part(number, "x")).collect()).await;

    assert_eq!([many.0, large.0, endless.0], [400; 3], "{many:?} {large:?} {endless:?}");
    assert_eq!(whole, (200, "3".to_owned()));
    assert!(host.events("Instance trapped").is_empty());
}

/// hostile 142: the host a client names decides nothing: not where it is sent, and not who may read. What is no host, or
/// differs from the target, is refused.
#[tokio::test]
async fn the_host_a_client_names_decides_nothing() {
    let host = at_base(&Package::example("fastapi")).start().await;
    let get = |target: &str, headers: &str| {
        let request = format!("GET {target} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        let host = &host;
        async move { host.raw(request.as_bytes()).await }
    };

    let sent = get(
        "/agents/app-1",
        "host: evil.example\r\nx-forwarded-host: evil.example\r\nforwarded: host=evil.example\r\n",
    )
    .await;
    assert_eq!(sent.status, 307);
    assert!(sent.head.contains("location: /agents/app-1/\r\n") && !sent.head.contains("evil"), "{}", sent.head);
    for headers in ["host: user@agent.example\r\n", "host: a b\r\n", "host: \r\n", "host: a\r\nhost: a\r\n", ""] {
        assert_eq!(get("/agents/app-1/api/ping", headers).await.status, 400, "{headers:?}");
    }
    let ping = "http://agent.example/agents/app-1/api/ping";
    assert_eq!(get(ping, "host: evil.example\r\n").await.status, 400);
    assert_eq!(get(ping, "host: agent.example\r\n").await.status, 200);

    // With cookies an origin is answered by name, so that a browser never takes `*` for them.
    let foreign = get("/agents/app-1/api/ping", "host: a\r\norigin: https://evil.example\r\n").await;
    let with_cookies = get("/agents/app-1/api/ping", "host: a\r\norigin: https://b.example\r\ncookie: a=1\r\n").await;
    assert!(foreign.head.contains("access-control-allow-origin: *\r\n"), "{}", foreign.head);
    assert!(with_cookies.head.contains("access-control-allow-origin: https://b.example\r\n"), "{}", with_cookies.head);
    assert!(with_cookies.head.contains("vary: Origin"), "{}", with_cookies.head);
}

/// The head of a gRPC call, with metadata.
fn call(path: &str, metadata: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = vec![("content-type", "application/grpc"), ("te", "trailers")];
    fields.extend(metadata);
    frames::head("POST", path, &fields)
}

/// Sends a head in as many frames as it takes, and an empty message.
async fn send_call(client: &mut Frames, stream: u32, head: &[u8]) {
    let mut pieces = head.chunks(16_000).peekable();
    let mut frame = kind::HEADERS;
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
        client.send(frame, flags, stream, piece).await;
        frame = kind::CONTINUATION;
    }
    client.send(kind::DATA, flag::END_STREAM, stream, EMPTY).await;
}

const PING: &str = "/pixell.agent.AgentService/Ping";

/// hostile 147: metadata beyond the limit is refused before anything reads it; some, binary and broken too, is not.
#[tokio::test]
async fn metadata_beyond_the_limit_is_refused() {
    let host = service().start().await;
    let mut client = Frames::connect(host.setup().port("A2A_PORT")).await;
    let many: Vec<(String, String)> = (0..2_000).map(|number| (format!("x-{number}"), "a".repeat(50))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let large = "a".repeat(100_000);

    send_call(&mut client, 1, &call(PING, &[("x-binary-bin", "!!!"), ("x-text", "1")])).await;
    assert!(client.answer(1).await.is_some_and(|head| head.is_ok()));
    send_call(&mut client, 3, &call(PING, &many)).await;
    assert!(client.answer(3).await.is_none_or(|head| !head.is_ok()));
    let mut client = Frames::connect(host.setup().port("A2A_PORT")).await;
    send_call(&mut client, 1, &call(PING, &[("x-large-bin", &large)])).await;
    assert!(client.answer(1).await.is_none_or(|head| !head.is_ok()));

    assert_eq!(host.a2a().await.act("nothing", &[]).await.result, "None");
}

/// hostile 149, 150: a call whose client leaves, or whose `grpc-timeout` passes, ends in the agent as well: its handler is cancelled, and
/// the instance goes on.
#[tokio::test]
async fn a_call_nobody_waits_for_is_cancelled_in_the_agent() {
    is_cancelled(&service().start().await).await;
}

/// Hostile 149, 150: the same outside of the sandbox.
#[tokio::test]
async fn a_call_nobody_waits_for_is_cancelled_in_a_process_of_the_agent() {
    let package = Package::actions(include_str!("python/service.py")).native();
    is_cancelled(&TestHost::agent(&package).start().await).await;
}

async fn is_cancelled(host: &RunningHost) {
    let client = host.a2a().await;
    let wait = |name: &str| ActionRequest {
        action: "wait_and_tell".into(),
        parameters: [("name".to_owned(), name.to_owned())].into(),
        ..ActionRequest::default()
    };

    let leaving = client.clone();
    let asking = tokio::spawn(async move { leaving.invoke(wait("left")).await });
    host.wait_for_agent("waiting").await;
    asking.abort();
    host.wait_for_agent("cancelled left").await;
    // By a client that does not give up by itself.
    let url = format!("http://127.0.0.1:{}/pixell.agent.AgentService/Invoke", host.setup().port("A2A_PORT"));
    let call = http2().post(url).header("content-type", "application/grpc").header("te", "trailers");
    let message = frames::message(&wait("late"));
    let late = call.header("grpc-timeout", "300m").body(message).send().await.unwrap();
    assert_eq!(grpc_status(&late), "4");
    host.wait_for_agent("cancelled late").await;

    assert!(client.act("release", &[("name", "kept")]).await.success);
    assert_eq!(client.act("hold", &[("name", "kept")]).await.result, "released");
    assert!(host.events("Instance trapped").is_empty());
}

/// hostile 151: what the service is made of is told to nobody.
#[tokio::test]
async fn there_is_no_reflection() {
    let host = service().start().await;
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        assert_eq!(grpc_status(&grpc(&host, &path, EMPTY).await), "12", "{version}");
    }
    let ping = grpc(&host, PING, EMPTY).await;
    assert_eq!((ping.status().as_u16(), grpc_status(&ping)), (200, ""));
}

/// hostile 155: as many watchers of health as connections may have cost nobody an answer, and let the process go.
#[tokio::test]
async fn watchers_without_end_cost_nobody_an_answer() {
    let mut host = service().start().await;
    let port = host.setup().port("A2A_PORT");
    let watch = call("/grpc.health.v1.Health/Watch", &[]);
    let mut watchers = Vec::new();

    for _ in 0..8 {
        let mut client = Frames::connect(port).await;
        for stream in (1..).step_by(2).take(256) {
            send_call(&mut client, stream, &watch).await;
        }
        for _ in 0..256 {
            let head = client.receive_until(|frame| frame.kind == kind::HEADERS).await;
            assert!(head.is_some_and(|head| head.is_ok()));
        }
        // One more than a connection may have.
        send_call(&mut client, 513, &watch).await;
        assert_eq!(client.answer(513).await.map(|frame| frame.kind), Some(kind::RST_STREAM));
        watchers.push(client);
    }

    assert_eq!(host.health().await.status, 200);
    assert_eq!(host.a2a().await.act("nothing", &[]).await.result, "None");
    assert_eq!(host.stop().await, 0);
    assert!(host.events("In-flight requests did not complete in time").is_empty());
}

const NOTIFIES: &str = "
import json
import urllib.request


def notify(parameters):
    request = urllib.request.Request(parameters['pushNotificationConfig']['url'], b'{}')
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.status


def create_service():
    return {'custom_handlers': {'notify': notify}}
";

/// hostile 156: an address that a caller wants to be notified at is an outbound request like others.
#[tokio::test]
async fn a_push_notification_goes_where_the_agent_may_go_and_nowhere_else() {
    let (inside, granted) = (Upstream::http().await, Upstream::http().await);
    let origin = granted.url("127.0.0.1", "");
    let policy = format!("version: 1\ngrant:\n  outbound: [{origin:?}]\n  outbound_addresses: [127.0.0.0/8]\n");
    let host = TestHost::agent(&Package::actions(NOTIFIES)).env("PAR_POLICY", policy).start().await;
    let client = host.a2a().await;
    let notify = |url: String| {
        let params =
            json!({"message": {"metadata": {"skill": "notify", "params": {"pushNotificationConfig": {"url": url}}}}});
        let message = A2aMessage { params_json: params.to_string(), ..A2aMessage::default() };
        client.invoke(ActionRequest { message: Some(message), ..ActionRequest::default() })
    };

    for url in [
        inside.url("127.0.0.1", "/echo"),
        inside.url("localhost", "/echo"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://169.254.170.2/v2/credentials".to_owned(),
    ] {
        let refused = notify(url.clone()).await.unwrap();
        assert!(!refused.success && refused.error.contains("_not_granted)"), "{url}: {refused:?}");
    }
    let sent = notify(granted.url("127.0.0.1", "/echo")).await.unwrap();

    assert_eq!((sent.success, sent.result.as_str()), (true, "200"));
    assert_eq!((inside.connections(), granted.connections()), (0, 1));
    let denied: Vec<String> = host.records().iter().map(|line| line.text_of("code").to_owned()).collect();
    assert_eq!(denied.iter().filter(|code| code.ends_with("_not_granted")).count(), 4, "{denied:?}");
}
