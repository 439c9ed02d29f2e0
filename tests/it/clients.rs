//! HTTP clients of Python, unmodified, from inside the guest: each behaves as on any machine.

use par_tests::{Authority, Inside, RunningInside, Upstream, repository};
use serde_json::{Value, json};

/// Every client of `python/clients.py`, and what is installed for them.
const STANDARD: [&str; 2] = ["urllib.request", "http.client"];
const SYNCHRONOUS: [&str; 4] = ["requests", "urllib3", "httpx", "httpx2"];
const ASYNCHRONOUS: [&str; 3] = ["httpx, async", "httpx2, async", "aiohttp"];
const DISTRIBUTIONS: [&str; 7] = ["requests", "urllib3", "httpx", "httpx2", "httpcore2", "truststore", "aiohttp"];

fn every() -> impl Iterator<Item = &'static str> {
    STANDARD.into_iter().chain(SYNCHRONOUS).chain(ASYNCHRONOUS)
}

/// Those that have the method: cookies and encodings are no business of the lowest.
fn installed() -> impl Iterator<Item = &'static str> {
    SYNCHRONOUS.into_iter().chain(ASYNCHRONOUS)
}

fn agent(main: &str) -> Inside {
    let clients = fs_err::read(repository().join("tests/it/python/clients.py")).unwrap();
    Inside::asgi(main).grant_addresses("127.0.0.0/8").file("clients.py", clients).with(&DISTRIBUTIONS)
}

/// An agent that may reach the server as `api.example`.
async fn reaching(upstream: &Upstream, authority: &Authority) -> RunningInside {
    agent(include_str!("python/run.py"))
        .grant(&upstream.url("api.example", ""))
        .resolve("api.example", &["127.0.0.1"])
        .trust(authority)
        .start()
        .await
}

async fn call(host: &RunningInside, client: &str, method: &str, arguments: &str) -> Value {
    let code = format!("from clients import CLIENTS\nreturn await CLIENTS[{client:?}]().{method}({arguments})");
    host.post("/", code).await
}

/// GET and POST with a JSON body over TLS, with every client.
#[tokio::test]
async fn every_client_gets_and_posts_over_tls() {
    let authority = Authority::new();
    let upstream = Upstream::https(&authority, &["api.example"]).await;
    let host = reaching(&upstream, &authority).await;
    let url = upstream.url("api.example", "/echo?a=1&b=%20");

    for client in every() {
        let got = call(&host, client, "get", &format!("{url:?}")).await;
        assert_eq!(got["done"][0], 200, "{client}: {got:#}");
        assert_eq!(got["done"][1]["target"], "/echo?a=1&b=%20", "{client}");
        assert_eq!(got["done"][1]["version"], "HTTP/2.0", "{client}");

        let posted = call(&host, client, "post", &format!("{url:?}, {{'place': 'Łódź', 'degrees': [1.5, 2]}}")).await;
        let body: Value = serde_json::from_str(posted["done"]["body"].as_str().unwrap_or_default()).unwrap_or_default();
        assert_eq!(body, json!({"place": "Łódź", "degrees": [1.5, 2]}), "{client}: {posted:#}");
    }
}

/// Without TLS, HTTP/1.1; and a body of several pieces streams.
#[tokio::test]
async fn every_client_uploads_in_pieces() {
    let upstream = Upstream::http().await;
    let host = reaching(&upstream, &Authority::new()).await;
    let url = upstream.url("api.example", "/echo");

    for client in every() {
        let sent = call(&host, client, "upload", &format!("{url:?}")).await;
        assert_eq!(sent["done"]["body"], "piece 0 piece 1 piece 2 piece 3 ", "{client}: {sent:#}");
        assert_eq!(sent["done"]["version"], "HTTP/1.1", "{client}");
        assert_eq!(sent["done"]["method"], "POST", "{client}");
    }
}

/// A redirect is followed by the client, cookies are kept by it, encodings are its own.
#[tokio::test]
async fn redirects_cookies_and_encodings_are_the_clients_own() {
    let upstream = Upstream::http().await;
    let host = reaching(&upstream, &Authority::new()).await;
    let to = upstream.url("api.example", "/redirect?to=/echo/there");

    for client in every().filter(|client| *client != "http.client") {
        let got = call(&host, client, "get", &format!("{to:?}")).await;
        assert_eq!(got["done"][1]["target"], "/echo/there", "{client}: {got:#}");
    }
    for client in installed().filter(|client| *client != "urllib3").chain(["urllib.request"]) {
        let got = call(&host, client, "cookies", &format!("{:?}", upstream.url("api.example", "/cookie"))).await;
        assert_eq!(got["done"][0], "", "{client}: {got:#}");
        let second = got["done"][1].as_str().unwrap_or_default();
        assert!(second.contains("session=one") && second.contains("second=two"), "{client}: {got:#}");
    }
    for client in installed() {
        for encoding in ["gzip", "deflate"] {
            let url = upstream.url("api.example", &format!("/encoded?as={encoding}"));
            let got = call(&host, client, "encoded", &format!("{url:?}")).await;
            assert_eq!(got["done"], "encoded ".repeat(64), "{client}: {got:#}");
        }
    }
}

/// What is not granted raises what the client raises when it cannot connect, with the sentence
/// and the code in it or among its causes; nothing is looked up, nobody is reached.
#[tokio::test]
async fn every_client_says_why_a_request_was_denied() {
    let upstream = Upstream::http().await;
    let host = reaching(&upstream, &Authority::new()).await;
    let mut denials = 0;

    for client in every() {
        for scheme in ["http", "https"] {
            let got = call(&host, client, "get", &format!("'{scheme}://other.example:{}/echo'", upstream.port())).await;
            let text = got["raised"].to_string();
            assert!(text.contains("(host_not_granted)"), "{client}: {got:#}");
            let first = got["raised"][0]["text"].as_str().unwrap();
            assert!(first.contains("host_not_granted"), "{client} says nothing itself: {got:#}");
            // One client tries what it may repeat a second time when its connection breaks.
            denials += if client == "aiohttp" { 2 } else { 1 };
        }
    }

    assert_eq!(upstream.connections(), 0);
    assert_eq!(host.looked_up(), [""; 0]);
    let lines = host.lines(denials).await;
    assert_eq!(lines.len(), denials, "one record for each attempt: {lines:#?}");
    assert!(lines.iter().all(|line| line.ends_with("/echo host_not_granted")), "{lines:#?}");
}

/// `verify=False` is refused with a sentence; the same request with verification works.
#[tokio::test]
async fn certificates_are_always_verified() {
    let authority = Authority::new();
    let upstream = Upstream::https(&authority, &["api.example"]).await;
    let host = reaching(&upstream, &authority).await;
    let url = upstream.url("api.example", "/echo");

    for client in installed() {
        let got = call(&host, client, "unverified", &format!("{url:?}")).await;
        let text = got["raised"].to_string();
        assert!(text.contains("certificates are always verified in the sandbox"), "{client}: {got:#}");
        let got = call(&host, client, "get", &format!("{url:?}")).await;
        assert_eq!(got["done"][0], 200, "{client}: {got:#}");
    }
}

/// The timeout of a client is its own, and gives the request up.
#[tokio::test]
async fn a_client_that_loses_patience_gives_the_request_up() {
    let upstream = Upstream::http().await;
    let host = reaching(&upstream, &Authority::new()).await;
    let url = upstream.url("api.example", "/forever");

    for client in every() {
        let got = call(&host, client, "impatient", &format!("{url:?}")).await;
        let kind = got["raised"].to_string();
        assert!(kind.contains("Timeout") || kind.contains("timed out"), "{client}: {got:#}");
        upstream.dropped().await;
    }
}

/// Server-sent events of the upstream leave the agent one by one: none waits for the next.
#[tokio::test]
async fn a_streamed_response_reaches_the_caller_piece_by_piece() {
    let authority = Authority::new();
    let upstream = Upstream::https(&authority, &["api.example"]).await;
    let host = reaching(&upstream, &authority).await;
    let url = upstream.url("api.example", "/steps");

    for client in every().filter(|client| *client != "urllib3") {
        let code = format!(
            "from clients import CLIENTS\nasync for line in CLIENTS[{client:?}]().lines({url:?}):\n    yield line"
        );
        upstream.step();
        let mut chunks = host.stream("/stream", code).await;
        for number in 0..3 {
            let mut text = Vec::new();
            while !String::from_utf8_lossy(&text).contains(&format!("data: step {number}\n")) {
                let chunk = chunks.recv().await.unwrap_or_else(|| panic!("{client} ended before step {number}"));
                text.extend_from_slice(&chunk.unwrap());
            }
            if number < 2 {
                upstream.step();
            }
        }
        upstream.dropped().await;
    }
}

/// Fifty requests at once are at the server at once.
#[tokio::test]
async fn requests_of_an_event_loop_overlap() {
    let upstream = Upstream::http().await;
    let host = reaching(&upstream, &Authority::new()).await;
    let url = upstream.url("api.example", "/together?count=50");

    let got = host
        .post(
            "/",
            format!(
                "
import asyncio, httpx
async with httpx.AsyncClient(timeout=30) as client:
    responses = await asyncio.gather(*(client.get({url:?}) for _ in range(50)))
return [response.text for response in responses]
"
            ),
        )
        .await;

    assert_eq!(got["done"], json!(vec!["50"; 50]), "{got:#}");
}
