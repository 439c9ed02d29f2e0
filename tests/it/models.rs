//! Agents that ask a model and send on what it says while it says it: the SDKs and clients of the field,
//! unmodified, installed from the package index, in the real program under a real policy.

use std::time::Duration;

use futures::StreamExt as _;
use par_tests::{Authority, Package, RunningHost, TestHost, Upstream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::streaming::next;

const KEY: &str = "sk-of-the-operator";

/// Longest time until an SDK is installed, whatever else the machine does.
const INSTALL: Duration = Duration::from_secs(240);

/// A model and an agent that may ask it. The key is a secret of the operator's.
struct Setup {
    upstream: Upstream,
    /// Its certificate is read when the first connection needs it.
    _authority: Authority,
    host: RunningHost,
}

async fn asking(requirements: &str) -> Setup {
    asking_with(requirements, 1).await
}

async fn asking_with(requirements: &str, instances: u16) -> Setup {
    let authority = Authority::new();
    let upstream = Upstream::https(&authority, &["localhost"]).await;
    let model = upstream.url("localhost", "");
    let package = Package::asgi(include_str!("python/models.py"))
        .file("requirements.txt", requirements)
        .and(&format!("environment: {{OPENAI_BASE_URL: {model}/v1, ANTHROPIC_BASE_URL: {model}}}\n"));
    let secret = format!("{{hosts: [\"{model}\"], env: KEY_OF_THE_MODEL}}");
    let policy = format!(
        "version: 1
grant:
  outbound: [\"{model}/v1\"]
  outbound_addresses: [127.0.0.0/8, \"::1\"]
  secrets:
    OPENAI_API_KEY: {secret}
    ANTHROPIC_API_KEY: {secret}
"
    );
    let host = TestHost::agent(&package)
        .env("PAR_POLICY", policy)
        .env("KEY_OF_THE_MODEL", KEY)
        .env("PAR_INSTANCES", instances.to_string())
        .env("SSL_CERT_FILE", authority.file())
        .start()
        .await;
    Setup { upstream, _authority: authority, host }
}

/// Each word is at the agent's caller before the model has said the next one.
async fn streams_word_by_word(setup: &Setup, path: &str) {
    let before = setup.upstream.seen().len();
    let mut pieces = None;
    let mut text = String::new();
    for number in 0..3 {
        setup.upstream.step();
        if pieces.is_none() {
            let response = setup.host.request(Method::GET, path).send().await.unwrap();
            let kind = &response.headers()["content-type"];
            assert_eq!(kind, "text/event-stream; charset=utf-8", "{path}\n{}", setup.host.log_text());
            pieces = Some(response.bytes_stream());
        }
        while text.matches("\n\n").count() <= number {
            text.push_str(std::str::from_utf8(&next(pieces.as_mut().unwrap()).await).unwrap());
        }
    }
    assert!(pieces.unwrap().next().await.is_none(), "{path} goes on: {text}");
    let words: Vec<Value> =
        text.split_terminator("\n\n").map(|event| serde_json::from_str(&event["data: ".len()..]).unwrap()).collect();
    let expected: Vec<Value> =
        (0..3).map(|number| json!({"text": format!("word{number} "), "number": number})).collect();
    assert_eq!(words, expected, "{path}");

    let seen = &setup.upstream.seen()[before..];
    assert_eq!(seen.len(), 1, "{path} asked more than once");
    let body: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(body["stream"], true, "{path}");
    let key = ["authorization", "x-api-key"].iter().find_map(|name| seen[0].headers.get(*name)).unwrap();
    assert!(key.to_str().unwrap().ends_with(KEY), "{path}: the model got another key");
    assert!(!setup.host.log_text().contains(KEY), "the key is in the log");
}

#[tokio::test]
async fn an_agent_streams_what_a_model_says_with_plain_clients() {
    let setup = asking("httpx==0.28.1\nrequests==2.34.2\naiohttp==3.14.5\n").await;

    for path in ["/httpx/async", "/httpx/sync", "/requests/async", "/requests/sync", "/aiohttp/async"] {
        streams_word_by_word(&setup, path).await;
    }
}

/// A synchronous client that waits for its answer holds up its own instance, and no other.
#[tokio::test]
async fn a_blocked_instance_does_not_stall_the_others() {
    let setup = asking_with("httpx==0.28.1\nrequests==2.34.2\n", 2).await;
    let (host, upstream) = (&setup.host, &setup.upstream);
    let first = host.get("/instance").await.text().to_owned();
    // A call of the first instance that waits without blocking: the next call goes to the second.
    let waiting = host.request(Method::GET, "/httpx/async").send();
    let waiting = tokio::spawn(waiting);
    upstream.arrived(1).await;
    while host.get("/instance").await.text() == first {}

    let blocked = host.request(Method::GET, "/requests/sync").send();
    let blocked = tokio::spawn(blocked);
    upstream.arrived(2).await;
    for _ in 0..5 {
        assert_eq!(host.get("/instance").await.text(), first, "it waits for the blocked one");
    }

    assert!(!blocked.is_finished());
    for _ in 0..6 {
        upstream.step();
    }
    for answer in [blocked, waiting] {
        let text = answer.await.unwrap().unwrap().text().await.unwrap();
        assert_eq!(text.matches("word").count(), 3);
    }
}

#[tokio::test]
async fn an_agent_streams_what_a_model_says_with_openai() {
    let setup = asking("openai==3.54.0\n").await;

    for path in ["/openai/async", "/openai/sync"] {
        streams_word_by_word(&setup, path).await;
    }
}

#[tokio::test]
async fn an_agent_streams_what_a_model_says_with_anthropic() {
    let setup = asking("anthropic==2.12.0\n").await;

    for path in ["/anthropic/async", "/anthropic/sync"] {
        streams_word_by_word(&setup, path).await;
    }
}

/// Asks both servers of `python/protocols.py`.
const ASKING: &str = "
import httpx
from a2a.client import ClientConfig, ClientFactory
from a2a.helpers import get_message_text, new_text_message
from a2a.types import Role, SendMessageRequest
from mcp import Client
from protocols import card

async with Client(URL + '/mcp') as tools:
    names = [tool.name for tool in (await tools.list_tools()).tools]
    answer = (await tools.call_tool('add', {'a': 1, 'b': 2})).structured_content
async with httpx.AsyncClient() as http:
    agent = ClientFactory(ClientConfig(httpx_client=http)).create(card(URL + '/a2a'))
    message = SendMessageRequest(message=new_text_message('hello', role=Role.ROLE_USER))
    said = [get_message_text(event.message) async for event in agent.send_message(message)]
return [names, answer, said]
";

/// The SDKs of the two protocols agents speak to each other and to tools, unmodified, on both sides: one agent serves, another
/// asks it, each in a sandbox.
#[tokio::test]
async fn an_agent_asks_others_with_the_clients_of_mcp_and_a2a() {
    let requirements = "a2a-sdk==1.3.0\nhttpx==0.28.1\nmcp==2.3.0\n";
    let protocols = include_str!("python/protocols.py");
    let package = Package::new("server", "http_server: protocols:app\n").file("protocols.py", protocols);
    let server = TestHost::agent(&package.file("requirements.txt", requirements)).spawn();
    assert_eq!(server.booted(INSTALL).await.event(), "Runtime ready", "{}", server.log_text());
    let url = format!("http://127.0.0.1:{}", server.setup().port("REST_PORT"));
    let package = Package::asgi(include_str!("python/run.py")).file("protocols.py", protocols);
    let policy = format!("version: 1\ngrant: {{outbound: [\"{url}\"], outbound_addresses: [127.0.0.0/8]}}\n");
    let package = package.file("requirements.txt", requirements);
    let host = TestHost::agent(&package).env("PAR_POLICY", policy).spawn();
    assert_eq!(host.booted(INSTALL).await.event(), "Runtime ready", "{}", host.log_text());

    let code = format!("URL = {url:?}{ASKING}");
    let got = host.send(host.request(Method::POST, "/").body(code)).await.json();

    assert_eq!(got["done"], json!([["add"], {"result": 3}, ["you said hello"]]), "{got:#}\n{}", server.log_text());
}
