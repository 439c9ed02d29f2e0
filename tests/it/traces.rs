//! W3C trace context: from the client to the agent, into the log and the record, and on to whom the agent asks.

use par_tests::{ActionRequest, Package, RunningHost, TestHost, Upstream};
use reqwest::Method;
use serde_json::Value;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Answers with the headers of its request, after asking the URL in its body, if there is one.
const AGENT: &str = "
import json
import logging
import urllib.request


def fetch(url, headers):
    urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20).read()


async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        return await send({'type': 'lifespan.startup.complete'})
    url = (await receive())['body'].decode()
    if url:
        own = {'traceparent': '00-' + 'a' * 32 + '-' + 'b' * 16 + '-00'} if scope['path'] == '/own' else {}
        fetch(url, own)
    logging.getLogger('agent').info('asked')
    headers = [[name.decode(), value.decode()] for name, value in scope['headers']]
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': json.dumps(headers).encode()})


def create_service():
    return {'custom_handlers': {'fetch': lambda parameters: fetch(parameters['url'], {})}}
";

async fn agent(upstream: &Upstream) -> RunningHost {
    let origin = upstream.url("127.0.0.1", "");
    let policy = format!("version: 1\ngrant:\n  outbound: [{origin:?}]\n  outbound_addresses: [127.0.0.0/8]\n");
    let package = Package::asgi(AGENT).and("a2a:\n  service: main:create_service\n");
    TestHost::agent(&package).env("PAR_POLICY", policy).start().await
}

/// What the agent found under a name.
fn found<'a>(headers: &'a Value, name: &str) -> Vec<&'a str> {
    let all = headers.as_array().unwrap().iter();
    all.filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap()).collect()
}

/// A trace of the client's is the agent's, is in the log and on the record, and goes on with the agent's own requests; unless the agent
/// says another one.
#[tokio::test]
async fn a_trace_goes_through_to_whom_the_agent_asks() {
    let upstream = Upstream::http().await;
    let host = agent(&upstream).await;
    let ask = async |path: &str| {
        let request = host.request(Method::POST, path).header("traceparent", PARENT).header("tracestate", "a=1, b=2");
        host.send(request.body(upstream.url("127.0.0.1", "/echo"))).await.json()
    };

    let headers = ask("/").await;
    ask("/own").await;

    assert_eq!(found(&headers, "traceparent"), [PARENT]);
    assert_eq!(found(&headers, "tracestate"), ["a=1,b=2"]);
    let seen = upstream.seen();
    assert_eq!(
        (&seen[0].headers["traceparent"], &seen[0].headers["tracestate"]),
        (&PARENT.parse().unwrap(), &"a=1,b=2".parse().unwrap())
    );
    assert!(seen[1].headers["traceparent"].to_str().unwrap().starts_with("00-aaaa"));
    assert!(!seen[1].headers.contains_key("tracestate"));
    host.wait_for("the trace in the log", |line| line.text_of("text") == "asked" && line.text_of("trace_id") == TRACE)
        .await;
    host.wait_for("the trace on the record", |line| line.is_audit() && line.text_of("trace_id") == TRACE).await;
}

/// The same for gRPC.
#[tokio::test]
async fn a_trace_goes_through_an_action() {
    let upstream = Upstream::http().await;
    let host = agent(&upstream).await;
    let parameters = [("url".to_owned(), upstream.url("127.0.0.1", "/echo"))].into();
    let request = ActionRequest { action: "fetch".into(), parameters, ..ActionRequest::default() };
    let client = host.a2a().await;

    assert!(client.traced(PARENT).invoke(request.clone()).await.unwrap().success);
    assert!(client.invoke(request).await.unwrap().success);

    let seen = upstream.seen();
    assert_eq!(seen[0].headers["traceparent"], PARENT);
    let begun = seen[1].headers["traceparent"].to_str().unwrap();
    assert!(begun.len() == PARENT.len() && !begun.contains(TRACE), "{begun}");
}

/// hostile 144: garbage is no trace: the agent gets one that PAR began, and nothing of it.
#[tokio::test]
async fn a_trace_that_is_garbage_is_replaced() {
    let upstream = Upstream::http().await;
    let host = agent(&upstream).await;
    let long = format!("a={}", "b".repeat(1_000));

    for (parents, state) in [
        (vec!["00-0-0-0"], "a=1"),
        (vec!["zz"], "a=1"),
        (vec!["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"], "a=1"),
        (vec![PARENT, PARENT], "a=1"),
        (vec![], "a=1"),
        (vec![PARENT], "=,=,="),
        (vec![PARENT], long.as_str()),
    ] {
        let mut request = host.request(Method::POST, "/").header("tracestate", state);
        for parent in &parents {
            request = request.header("traceparent", *parent);
        }
        let headers = host.send(request).await.json();

        let [parent] = found(&headers, "traceparent")[..] else { panic!("{headers}") };
        assert_eq!(parent == PARENT, parents == [PARENT], "{parents:?} {parent}");
        assert!(parent.len() == PARENT.len() && parent.starts_with("00-"), "{parent}");
        assert_eq!(found(&headers, "tracestate"), [""; 0], "{parents:?}");
    }
}
