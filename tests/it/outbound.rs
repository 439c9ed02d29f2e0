//! Outbound requests from inside the guest: what was granted works, the rest reaches nobody, and
//! both are on the record once.

use par_tests::{Authority, Inside, RunningInside, Upstream};
use serde_json::{Value, json};

/// What came of the body of an async function in the agent.
pub(crate) async fn run(host: &RunningInside, code: &str) -> Value {
    host.post("/", code.to_owned()).await
}

pub(crate) fn agent() -> Inside {
    Inside::asgi(include_str!("python/run.py")).grant_addresses("127.0.0.0/8")
}

/// The type, the text and the code of the exception that came of it.
pub(crate) fn raised(answer: &Value) -> (&str, &str, &str) {
    let first = &answer["raised"][0];
    let word = |key: &str| first[key].as_str().unwrap_or_default();
    (word("type"), word("text"), word("code"))
}

/// `urllib.request`, unmodified: granted works, and is on the record once.
#[tokio::test]
async fn what_was_granted_is_fetched_and_on_the_record() {
    let upstream = Upstream::http().await;
    let host = agent().grant(&upstream.url("api.example", "")).resolve("api.example", &["127.0.0.1"]).start().await;
    let url = upstream.url("api.example", "/echo?q=1");

    let answer = run(
        &host,
        &format!(
            "
import json, urllib.request
with urllib.request.urlopen({url:?}, timeout=20) as response:
    return [response.status, json.load(response)]
"
        ),
    )
    .await;

    assert_eq!(answer["done"][0], 200, "{answer}");
    let seen = &answer["done"][1];
    assert_eq!(seen["method"], "GET");
    assert_eq!(seen["target"], "/echo?q=1");
    assert_eq!(seen["headers"]["host"], format!("api.example:{}", upstream.port()));
    assert_eq!(host.looked_up(), ["api.example"]);
    let target = upstream.url("api.example", "/echo");
    assert_eq!(host.lines(1).await, [format!("outbound allowed GET {target} grant.outbound[0]")]);
    let record = &host.records(1).await[0];
    assert_eq!(record.request_id.as_deref(), Some("request-1"));
    assert_eq!(record.status, Some(200));
}

/// What was not granted: no look-up, no connection, the code, and one record.
#[tokio::test]
async fn what_was_not_granted_reaches_nobody() {
    let upstream = Upstream::http().await;
    let host = agent()
        .grant(&upstream.url("api.example", ""))
        .resolve("api.example", &["127.0.0.1"])
        .resolve("other.example", &["127.0.0.1"])
        .start()
        .await;
    let url = upstream.url("other.example", "/echo?secret=1");

    let answer = run(
        &host,
        &format!(
            "
import urllib.request
urllib.request.urlopen({url:?}, timeout=20)
"
        ),
    )
    .await;

    let (kind, text, _) = raised(&answer);
    assert_eq!(kind, "URLError", "{answer}");
    assert!(text.contains("other.example") && text.contains("(host_not_granted)"), "{text}");
    assert_eq!(upstream.connections(), 0);
    assert_eq!(host.looked_up(), [""; 0]);
    let target = upstream.url("other.example", "/echo");
    assert_eq!(host.lines(1).await, [format!("outbound denied GET {target} host_not_granted")]);
}

/// The packages that made a request are on the record, whether it was granted or denied; the agent's own code is none.
#[tokio::test]
async fn the_packages_that_made_a_request_are_on_the_record() {
    let upstream = Upstream::http().await;
    let fetch = "import urllib.request\ndef fetch(url): return urllib.request.urlopen(url, timeout=20).status\n";
    let host = agent()
        .module("inner", fetch)
        .module("outer", "import inner\ndef fetch(url): return inner.fetch(url)\n")
        .grant(&upstream.url("api.example", ""))
        .resolve("api.example", &["127.0.0.1"])
        .start()
        .await;
    let granted = upstream.url("api.example", "/echo");
    let own = format!("import urllib.request; return urllib.request.urlopen({granted:?}, timeout=20).status");

    assert_eq!(run(&host, &format!("import outer; return outer.fetch({granted:?})")).await["done"], 200);
    assert!(run(&host, "import outer; outer.fetch('http://other.example/')").await.get("raised").is_some());
    assert_eq!(run(&host, &own).await["done"], 200);

    let records = host.records(3).await;
    let packages: Vec<_> = records.iter().map(|record| record.packages.clone()).collect();
    assert_eq!(packages, [vec!["outer", "inner"], vec!["outer", "inner"], vec![]]);
}

/// TLS is the host's: an `https` URL works, with the authorities of the host.
#[tokio::test]
async fn https_works_with_the_authorities_of_the_host() {
    let authority = Authority::new();
    let upstream = Upstream::https(&authority, &["api.example"]).await;
    let host = agent()
        .grant(&upstream.url("api.example", ""))
        .grant(&upstream.url("wrong.example", ""))
        .resolve("api.example", &["127.0.0.1"])
        .resolve("wrong.example", &["127.0.0.1"])
        .trust(&authority)
        .start()
        .await;
    let code = |name: &str| {
        format!(
            "
import json, urllib.request
with urllib.request.urlopen({:?}, timeout=20) as response:
    return json.load(response)
",
            upstream.url(name, "/echo")
        )
    };

    let answer = run(&host, &code("api.example")).await;
    assert_eq!(answer["done"]["method"], "GET", "{answer}");
    assert_eq!(answer["done"]["version"], "HTTP/2.0", "the host speaks HTTP/2 where the server does");

    let answer = run(&host, &code("wrong.example")).await;
    let (kind, text, _) = raised(&answer);
    assert_eq!(kind, "URLError");
    assert!(text.contains("no TLS with `wrong.example`"), "{answer}");
    assert_eq!(upstream.seen().len(), 1);
}

/// On the event loop: `asyncio.open_connection` carries what any client writes.
#[tokio::test]
async fn streams_of_asyncio_carry_http() {
    let authority = Authority::new();
    let upstream = Upstream::https(&authority, &["api.example"]).await;
    let host = agent()
        .grant(&upstream.url("api.example", ""))
        .resolve("api.example", &["127.0.0.1"])
        .trust(&authority)
        .start()
        .await;
    let port = upstream.port();

    let answer = run(
        &host,
        &format!(
            "
import asyncio
reader, writer = await asyncio.open_connection('api.example', {port}, ssl=True)
writer.write(b'POST /echo HTTP/1.1\\r\\nHost: api.example:{port}\\r\\nContent-Length: 5\\r\\n\\r\\nhel')
await writer.drain()
writer.write(b'lo')
head = await reader.readuntil(b'\\r\\n\\r\\n')
length = int(head.lower().split(b'content-length: ')[1].split(b'\\r\\n')[0])
body = await reader.readexactly(length)
writer.close()
return [head.decode(), body.decode()]
"
        ),
    )
    .await;

    assert!(answer["done"][0].as_str().unwrap().starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let seen: Value = serde_json::from_str(answer["done"][1].as_str().unwrap()).unwrap();
    assert_eq!(seen["body"], "hello");
    assert_eq!(json!([seen["method"], seen["length"]]), json!(["POST", 5]));
}

/// hostile 102: a redirect from a granted host to one that is not, or to an address nobody may
/// reach, is followed by the client and denied by the host. One within the grant works.
#[tokio::test]
async fn a_redirect_is_judged_again() {
    let (upstream, other) = (Upstream::http().await, Upstream::http().await);
    let host = agent()
        .grant(&upstream.url("api.example", ""))
        .resolve("api.example", &["127.0.0.1"])
        .resolve("other.example", &["127.0.0.1"])
        .start()
        .await;
    let follow = |to: &str| {
        let url = upstream.url("api.example", &format!("/redirect?to={to}"));
        format!(
            "
import urllib.request
with urllib.request.urlopen({url:?}, timeout=20) as response:
    return response.status
"
        )
    };

    for (to, code) in [
        (other.url("other.example", "/echo"), "host_not_granted"),
        (other.url("127.0.0.1", "/echo"), "host_not_granted"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "host_not_granted"),
    ] {
        let answer = run(&host, &follow(&to)).await;
        assert!(raised(&answer).1.contains(&format!("({code})")), "{to}: {answer}");
    }
    assert_eq!(other.connections(), 0);
    assert!(host.looked_up().iter().all(|name| name == "api.example"), "{:?}", host.looked_up());

    assert_eq!(run(&host, &follow(&upstream.url("api.example", "/echo"))).await["done"], 200);
}

/// hostile 103, 115, 117: what is written to a connection is for the host it was opened to, in
/// HTTP/1.1, and for no proxy. Refused in the guest: nobody is reached.
#[tokio::test]
async fn a_connection_carries_http_to_its_host_only() {
    let upstream = Upstream::http().await;
    let host = agent()
        .grant(&upstream.url("api.example", ""))
        .grant(&upstream.url("proxy.example", ""))
        .resolve("api.example", &["127.0.0.1"])
        .start()
        .await;
    let port = upstream.port();
    let speak = |text: &str| {
        format!(
            "
import socket
with socket.create_connection(('api.example', {port}), 20) as opened:
    opened.sendall({text:?}.encode())
    return opened.recv(15).decode()
"
        )
    };
    let own = format!("Host: api.example:{port}");

    for (text, says) in [
        ("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n".to_owned(), "the `host` header names `other.example`"),
        ("GET http://other.example/ HTTP/1.1\r\n\r\n".to_owned(), "for a proxy"),
        ("CONNECT other.example:443 HTTP/1.1\r\n\r\n".to_owned(), "for a proxy"),
        (format!("GET / HTTP/1.1\r\n{own}\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"), "no WebSocket"),
        ("*1\r\n$4\r\nPING\r\n".to_owned(), "what was sent is not HTTP"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "HTTP/2"),
    ] {
        let answer = run(&host, &speak(&text)).await;
        let (kind, said, code) = raised(&answer);
        assert_eq!((kind, code), ("OutboundDenied", "not_http"), "{answer}");
        assert!(said.contains(says), "{said}");
    }
    let proxied = run(
        &host,
        &format!(
            "
import os, urllib.request
os.environ['http_proxy'] = {:?}
with urllib.request.urlopen({:?}, timeout=20) as response:
    return response.status
",
            upstream.url("proxy.example", ""),
            upstream.url("api.example", "/echo")
        ),
    )
    .await;
    assert!(raised(&proxied).1.contains("proxy"), "{proxied}");
    assert_eq!(upstream.connections(), 0);

    let answer = run(&host, &speak(&format!("GET /echo HTTP/1.1\r\n{own}\r\n\r\n"))).await;
    assert_eq!(answer["done"], "HTTP/1.1 200 OK");
}

/// hostile 116: TLS for a granted name on a connection to another address is refused and reaches nobody. With the address
/// in the name's place it works.
#[tokio::test]
async fn tls_is_for_the_host_that_is_connected_to() {
    let authority = Authority::new();
    let upstream = Upstream::https(&authority, &["api.example"]).await;
    let granted = agent().grant(&upstream.url("api.example", "")).trust(&authority);
    let host = granted.resolve("api.example", &["127.0.0.1"]).start().await;
    let speak = |to: &str| {
        format!(
            "
import asyncio
reader, writer = await asyncio.open_connection({to:?}, {port}, ssl=True, server_hostname='api.example')
writer.write(b'GET /echo HTTP/1.1\\r\\nHost: api.example:{port}\\r\\n\\r\\n')
return (await reader.readline()).decode()
",
            port = upstream.port()
        )
    };

    let answer = run(&host, &speak("127.0.0.1")).await;
    let (kind, text, _) = raised(&answer);
    assert_eq!(kind, "SSLCertVerificationError", "{answer}");
    assert!(text.contains("TLS was started for `api.example` on a connection to `127.0.0.1`"), "{text}");
    assert_eq!(upstream.connections(), 0);

    let answer = run(&host, &speak("api.example")).await;
    assert_eq!(answer["done"], "HTTP/1.1 200 OK\r\n", "{answer}");
    assert_eq!(upstream.seen().len(), 1);
}

/// hostile 116: a granted name that leads to the address of somebody else gets no request there: he has no certificate for
/// it that anybody trusts, or only one for a name of his own. With the right one, the same address is spoken to.
#[tokio::test]
async fn a_granted_name_at_an_address_of_somebody_else_gets_no_request() {
    let authority = Authority::new();
    let own = Upstream::https(&authority, &["api.example"]).await;
    let untrusted = Upstream::https(&Authority::new(), &["api.example"]).await;
    let other_name = Upstream::https(&authority, &["attacker.example"]).await;
    let granted = [&own, &untrusted, &other_name]
        .iter()
        .fold(agent(), |agent, upstream| agent.grant(&upstream.url("api.example", "")));
    let host = granted.trust(&authority).resolve("api.example", &["127.0.0.1"]).start().await;
    let fetch = |upstream: &Upstream| {
        let url = upstream.url("api.example", "/echo");
        format!(
            "
import urllib.request
with urllib.request.urlopen({url:?}, timeout=20) as response:
    return response.status
"
        )
    };

    for upstream in [&untrusted, &other_name] {
        let answer = run(&host, &fetch(upstream)).await;
        assert!(answer["raised"][2]["text"].to_string().contains("code='tls_failed'"), "{answer}");
        assert_eq!(upstream.seen().len(), 0, "{answer}");
    }
    assert_eq!(run(&host, &fetch(&own)).await["done"], 200);
    assert_eq!(own.seen().len(), 1);
    let statuses: Vec<_> = host.records(3).await.into_iter().map(|record| record.status).collect();
    assert_eq!(statuses, [None, None, Some(200)]);
}

/// What is not TCP, listens, or looks names up is refused with a sentence that says what to do.
#[tokio::test]
async fn what_is_no_http_client_is_told_what_to_do() {
    let host = agent().start().await;

    for code in [
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "import socket; socket.socket().bind(('0.0.0.0', 8080))",
        "import socket; socket.socket().listen()",
        "import asyncio; await asyncio.start_server(print, port=8080)",
        "import asyncio; await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol)",
        "import socket; socket.gethostbyname('db.example')",
        "import socket; socket.create_connection(('db.example', 5432)).recv(1)",
    ] {
        let answer = run(&host, code).await;
        let (kind, text, exact) = raised(&answer);
        assert_eq!((kind, exact), ("OutboundDenied", "not_http"), "{code}: {answer}");
        assert!(text.contains("HTTP") || text.contains("PAR serves"), "{code}: {text}");
    }
    assert_eq!(host.looked_up(), [""; 0]);
}

/// hostile 118, 119, 126: the agent holds a placeholder, whatever it does with it; the host the
/// secret is for gets the value, every other one the placeholder.
#[tokio::test]
async fn a_secret_is_a_placeholder_in_the_guest() {
    let upstream = Upstream::http().await;
    let mine = upstream.url("mine.example", "");
    let host = agent()
        .grant(&mine)
        .grant(&upstream.url("other.example", ""))
        .resolve("mine.example", &["127.0.0.1"])
        .resolve("other.example", &["127.0.0.1"])
        .secret("API_KEY", "hunter2-value", &[&mine])
        .start()
        .await;
    let send = |name: &str| {
        format!(
            "
import os, urllib.request
key = os.environ['API_KEY']
request = urllib.request.Request({:?}, headers={{'authorization': f'Bearer {{key}}'}})
urllib.request.urlopen(request, timeout=20).read()
return [dict(os.environ), key, key[::-1], repr(key)]
",
            upstream.url(name, "/cookie")
        )
    };

    let answer = run(&host, &send("mine.example")).await;
    assert_eq!(answer["done"][1], "par-secret://API_KEY");
    assert!(!answer.to_string().contains("hunter2"), "{answer}");
    let answer = run(&host, &send("other.example")).await;
    assert_eq!(answer["done"][1], "par-secret://API_KEY");

    let sent: Vec<_> = upstream.seen().iter().map(|seen| seen.headers["authorization"].clone()).collect();
    assert_eq!(sent, ["Bearer hunter2-value", "Bearer par-secret://API_KEY"]);
    let mut lines = host.lines(4).await;
    lines.sort();
    assert!(lines.iter().any(|line| line.starts_with("secrets allowed API_KEY")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.ends_with("secret_not_bound")), "{lines:#?}");
}

/// One request to the agent makes as many outbound requests as allowed; the next one makes as many
/// again.
#[tokio::test]
async fn a_request_has_a_number_of_outbound_requests() {
    let upstream = Upstream::http().await;
    let host = agent()
        .grant(&upstream.url("api.example", ""))
        .resolve("api.example", &["127.0.0.1"])
        .limits(|limits| limits.requests_per_request = 2)
        .start()
        .await;
    let fetch = |count: usize| {
        format!(
            "
import urllib.request
for _ in range({count}):
    urllib.request.urlopen({:?}, timeout=20).read()
",
            upstream.url("api.example", "/echo")
        )
    };

    let answer = run(&host, &fetch(3)).await;
    assert!(raised(&answer).1.contains("(outbound_requests_exhausted)"), "{answer}");
    assert_eq!(upstream.seen().len(), 2);

    assert!(run(&host, &fetch(2)).await.get("done").is_some());
    assert_eq!(upstream.seen().len(), 4);
}
