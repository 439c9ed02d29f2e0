use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use tokio::sync::Notify;
use tokio::time::Instant;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::proto::agent_service_client::AgentServiceClient;
use super::proto::{A2aMessage, ActionRequest, ActionResult, Empty};
use super::{A2a, A2aAgent};
use crate::backend::scripted::Script;
use crate::backend::{ActionCall, Backend, CallError};
use crate::health::Health;
use crate::lifecycle::Phase;
use crate::surfaces::serve::{Bound, Limits, Protocol, Server};
use crate::surfaces::testing::{health_in, loopback};

const FOUR_MIB: usize = 4 * 1024 * 1024;

fn start<F>(health: Health, act: impl Fn(ActionCall) -> F + Send + Sync + 'static) -> Server
where
    F: Future<Output = Result<String, CallError>> + Send + 'static,
{
    let agent = A2aAgent {
        app_id: "app-1".into(),
        name: "weather".into(),
        version: "0.3.0".into(),
        description: "tells it".into(),
        timeout: Duration::from_secs(30),
        message_bytes: FOUR_MIB,
        health,
        backend: Arc::new(Backend::Scripted(Script::act(act))),
    };
    let bound = Bound::bind("A2A", loopback()).unwrap();
    bound.serve(Arc::new(A2a::new(agent)), Protocol::Grpc, Limits::default())
}

fn ready() -> Server {
    start(health_in(Phase::Ready), |call| async move { Ok(format!("{}: {:?}", call.action, call.parameters)) })
}

async fn channel(server: &Server) -> Channel {
    Endpoint::from_shared(format!("http://{}", server.address())).unwrap().connect().await.unwrap()
}

async fn client(server: &Server) -> AgentServiceClient<Channel> {
    AgentServiceClient::new(channel(server).await)
}

fn action(name: &str) -> ActionRequest {
    ActionRequest { action: name.to_owned(), ..ActionRequest::default() }
}

async fn invoke(server: &Server, request: ActionRequest) -> Result<ActionResult, Status> {
    client(server).await.invoke(request).await.map(tonic::Response::into_inner)
}

/// Messages as they are on the wire.
#[derive(Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, bytes: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(bytes);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

async fn raw(server: &Server, path: &'static str, bytes: Bytes) -> Result<Bytes, Status> {
    let mut grpc = Grpc::new(channel(server).await);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(path);
    grpc.unary(Request::new(bytes), path, Raw).await.map(tonic::Response::into_inner)
}

const INVOKE: &str = "/pixell.agent.AgentService/Invoke";
const PING: &str = "/pixell.agent.AgentService/Ping";

#[tokio::test]
async fn the_runtime_answers_for_itself() {
    let server = ready();
    let mut client = client(&server).await;
    assert_eq!(client.ping(Empty {}).await.unwrap().into_inner().message, "pong");
    let health = client.health(Empty {}).await.unwrap().into_inner();
    assert_eq!((health.ok, health.message.as_str()), (true, "Agent is healthy"));
    assert!(health.timestamp > 1_600_000_000_000);
    let capabilities = client.describe_capabilities(Empty {}).await.unwrap().into_inner();
    assert_eq!(capabilities.methods, ["Health", "DescribeCapabilities", "Invoke", "Ping"]);
    let expected: BTreeMap<String, String> = [("name", "weather"), ("version", "0.3.0"), ("description", "tells it")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    assert_eq!(capabilities.metadata, expected);
}

#[tokio::test]
async fn both_forms_reach_the_handler_and_ids_are_echoed_or_made() {
    let server = ready();

    let plain = ActionRequest {
        parameters: [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())].into(),
        request_id: "mine".into(),
        ..action("greet")
    };
    let result = invoke(&server, plain).await.unwrap();
    assert!(result.success);
    assert_eq!(result.result, r#"greet: Text([("a", "1"), ("b", "2")])"#);
    assert_eq!((result.request_id.as_str(), result.error.as_str()), ("mine", ""));

    let message = A2aMessage {
        params_json: r#"{"message":{"metadata":{"skill":"greet","params":{"n":[1]}}}}"#.into(),
        ..A2aMessage::default()
    };
    let result = invoke(&server, ActionRequest { message: Some(message), ..action("") }).await.unwrap();
    assert_eq!(result.result, r#"greet: Json("{\"n\":[1]}")"#);
    let made = result.request_id.strip_prefix("req_").unwrap();
    assert!(made.parse::<u64>().is_ok_and(|ms| ms > 1_600_000_000_000));
}

#[tokio::test]
async fn what_the_agent_got_wrong_is_in_band_and_what_the_host_could_not_do_is_a_status() {
    let raised = CallError::Raised { message: "'k'".into(), traceback: "File \"/agent/x.py\"".into() };
    for (error, text) in
        [(raised, "'k'"), (CallError::ActionNotFound("fly".into()), "No handler found for action: fly")]
    {
        let server = start(health_in(Phase::Ready), move |_| futures::future::ready(Err(error.clone())));
        let result = invoke(&server, action("fly")).await.unwrap();
        assert_eq!((result.success, result.error.as_str(), result.result.as_str()), (false, text, ""));
    }
    for (error, code, word) in [
        (CallError::TimedOut, Code::DeadlineExceeded, "call_timeout"),
        (CallError::InstanceLost("trap in /agent/x.py".into()), Code::Unavailable, "instance_lost"),
        (CallError::Unavailable, Code::Unavailable, "unavailable"),
        (CallError::Overloaded, Code::ResourceExhausted, "overloaded"),
        (CallError::Protocol("/agent/x.py".into()), Code::Internal, "bad_response"),
    ] {
        let server = start(health_in(Phase::Ready), move |_| futures::future::ready(Err(error.clone())));
        let status = invoke(&server, action("fly")).await.unwrap_err();
        assert_eq!(status.code(), code);
        assert_eq!(status.metadata().get("x-error-code").unwrap(), word);
        assert_eq!(status.metadata().get("x-request-id").unwrap().len(), 26);
        assert!(!status.message().contains("/agent/"), "{}", status.message());
    }
    let server = ready();
    let unclear = invoke(&server, action("")).await.unwrap();
    assert_eq!((unclear.success, unclear.error.as_str()), (false, "No action/skill specified in request"));
}

#[tokio::test]
async fn the_path_may_carry_the_prefix_of_this_agent_and_of_no_other() {
    let server = ready();

    for path in [PING, "/agents/app-1/a2a/pixell.agent.AgentService/Ping"] {
        let answer = raw(&server, path, Bytes::new()).await.unwrap();
        assert!(answer.windows(4).any(|window| window == b"pong"), "{path}");
    }
    for path in [
        "/agents/other/a2a/pixell.agent.AgentService/Ping",
        "/agents/app-1/a2a/agents/app-1/a2a/pixell.agent.AgentService/Ping",
        "/agents/app-1/pixell.agent.AgentService/Ping",
        "/pixell.agent.AgentService/Deploy",
        "/pixell.agent.Other/Ping",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ] {
        let status = raw(&server, path, Bytes::new()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unimplemented, "Method not found!"), "{path}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_are_unknown() {
    let server = ready();

    for bytes in
        [&b"\xff\xff\xff\xff"[..], b"\x0a\x05ab", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x0a\x01\xff"]
    {
        let status = raw(&server, INVOKE, Bytes::from_static(bytes)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unknown, "{bytes:?}: {}", status.message());
    }
    let answer = raw(&server, INVOKE, Bytes::from_static(b"\x0a\x02ab")).await.unwrap();
    assert!(answer.windows(2).any(|window| window == b"ab"));
}

/// Hostile 146.
#[tokio::test]
async fn messages_over_the_limit_are_resource_exhausted_plain_or_compressed() {
    let server = ready();
    let with = |length: usize| ActionRequest {
        parameters: [("text".to_owned(), "x".repeat(length))].into(),
        ..action("measure")
    };
    let most = FOUR_MIB - 64;

    assert!(invoke(&server, with(most)).await.unwrap().success);
    assert_eq!(invoke(&server, with(FOUR_MIB)).await.unwrap_err().code(), Code::ResourceExhausted);

    let gzip = tonic::codec::CompressionEncoding::Gzip;
    let mut client = client(&server).await.send_compressed(gzip);
    assert!(client.invoke(with(most)).await.unwrap().into_inner().success);
    let bomb = client.invoke(with(64 * 1024 * 1024)).await.unwrap_err();
    assert_eq!(bomb.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn the_clients_deadline_ends_the_call_and_the_agent_feels_it() {
    let felt = Arc::new(Notify::new());
    let deadline = Arc::new(Mutex::new(None));
    let (feels, told) = (Arc::clone(&felt), Arc::clone(&deadline));
    let server = start(health_in(Phase::Ready), move |call| {
        *told.lock().unwrap() = Some(call.deadline);
        let guard = Guard(Arc::clone(&feels));
        async move {
            let _guard = guard;
            if call.action == "wait" { futures::future::pending().await } else { Ok(String::new()) }
        }
    });
    let before = std::time::Instant::now();

    // Not by the gRPC client, which would give up by itself.
    assert_eq!(status_of_wait(&server, "50m").await, "4");
    tokio::time::timeout(Duration::from_secs(10), felt.notified()).await.unwrap();
    // The host's own deadline is not the client's to shorten.
    let told = deadline.lock().unwrap().unwrap();
    assert!(told >= before + Duration::from_secs(30));

    let mut request = Request::new(action("quick"));
    request.set_timeout(Duration::from_secs(10));
    assert!(client(&server).await.invoke(request).await.unwrap().into_inner().success);
}

/// The status of an action `wait` asked for with `grpc-timeout` by an HTTP client.
#[expect(clippy::disallowed_methods, reason = "a client of the test's own, to loopback")]
async fn status_of_wait(server: &Server, timeout: &str) -> String {
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let answer = client
        .post(format!("http://{}{INVOKE}", server.address()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .body(&b"\0\0\0\0\x06\x0a\x04wait"[..])
        .send()
        .await
        .unwrap();
    answer.headers()["grpc-status"].to_str().unwrap().to_owned()
}

struct Guard(Arc<Notify>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn standard_health_follows_the_process() {
    let health = health_in(Phase::Ready);
    let server = start(health.clone(), |_| futures::future::ready(Ok(String::new())));
    let mut client = HealthClient::new(channel(&server).await);
    let ask = |service: &str| HealthCheckRequest { service: service.to_owned() };

    for service in ["", "pixell.agent.AgentService"] {
        let answer = client.check(ask(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    assert_eq!(client.check(ask("other")).await.unwrap_err().code(), Code::NotFound);

    health.lifecycle().advance(Phase::Draining);
    assert_eq!(client.check(ask("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn a_drain_lets_a_call_finish_and_a_watcher_go() {
    let (arrived, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arrives, finishes) = (Arc::clone(&arrived), Arc::clone(&finish));
    let health = health_in(Phase::Ready);
    let server = start(health.clone(), move |_| {
        let (arrives, finishes) = (Arc::clone(&arrives), Arc::clone(&finishes));
        async move {
            arrives.notify_one();
            finishes.notified().await;
            Ok("done".to_owned())
        }
    });
    let address = server.address();
    let mut watcher = HealthClient::new(channel(&server).await);
    let mut changes = watcher.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(changes.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let mut caller = client(&server).await;
    let call = tokio::spawn(async move { caller.invoke(action("slow")).await });
    arrived.notified().await;

    health.lifecycle().advance(Phase::Draining);
    let drain = tokio::spawn(server.drain(Instant::now() + Duration::from_secs(20)));
    assert_eq!(changes.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(changes.message().await.unwrap().is_none());
    finish.notify_one();

    assert_eq!(call.await.unwrap().unwrap().into_inner().result, "done");
    assert_eq!(drain.await.unwrap().cut, 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn calls_before_ready_are_unavailable() {
    let server = start(health_in(Phase::Starting), |_| futures::future::ready(Ok(String::new())));

    let status = invoke(&server, action("x")).await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert!(!client(&server).await.health(Empty {}).await.unwrap().into_inner().ok);
}
