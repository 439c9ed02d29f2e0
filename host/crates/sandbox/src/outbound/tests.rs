//! What leaves and what does not, without a guest: raw requests as a hostile one would make them.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use par_policy::outbound::{OutboundLimits, OutboundRule};
use par_policy::policy::{Line, Policy, PolicySecret, Requested, SecretSource};
use par_policy::secret::{SecretBinding, SecretName, SecretValue, SecretValues};
use par_policy::{Grants, InstanceCount, Limits, RuleId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Answer, Asked, AskedBody, Failure, Outbound, OutboundSetup, Reason, Resolve, Roots};
use crate::audit::{AuditRecord, AuditSink};

#[derive(Debug, Default)]
struct Records(Mutex<Vec<AuditRecord>>);

impl AuditSink for Records {
    fn record(&self, record: AuditRecord) {
        self.0.lock().unwrap().push(record);
    }
}

/// Answers every look-up with the next of its answers, and the last one from then on.
#[derive(Debug, Default)]
struct Names {
    answers: Vec<Vec<IpAddr>>,
    asked: Mutex<Vec<String>>,
}

impl Resolve for Names {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut asked = self.asked.lock().unwrap();
        let answer = self.answers.get(asked.len()).or(self.answers.last()).cloned().unwrap_or_default();
        asked.push(name);
        async move { Ok(answer) }.boxed()
    }
}

struct Bench {
    rules: Vec<String>,
    addresses: Vec<&'static str>,
    answers: Vec<Vec<&'static str>>,
    secrets: Vec<(&'static str, &'static str, String)>,
    limits: OutboundLimits,
}

struct Way {
    outbound: Outbound,
    records: Arc<Records>,
    names: Arc<Names>,
}

fn bench(rules: &[&str]) -> Bench {
    Bench {
        rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        addresses: vec!["127.0.0.0/8"],
        answers: vec![vec!["127.0.0.1"]],
        secrets: Vec::new(),
        limits: OutboundLimits::DEFAULT,
    }
}

impl Bench {
    fn build(self) -> Way {
        let line = |rule: &str| RuleId::new(rule.to_owned());
        let mut policy = Policy::default();
        policy.grant.outbound = self
            .rules
            .iter()
            .map(|rule| Line { rule: line("grant.outbound"), value: OutboundRule::parse(rule, &[]).unwrap() })
            .collect();
        policy.grant.outbound_addresses = self
            .addresses
            .iter()
            .map(|range| Line { rule: line("grant.outbound_addresses"), value: range.parse().unwrap() })
            .collect();
        let mut values = Vec::new();
        for (name, value, host) in self.secrets {
            let name = SecretName::parse(name).unwrap();
            let binding = SecretBinding { hosts: vec![OutboundRule::parse(&host, &[]).unwrap()] };
            let source = SecretSource::Environment(name.to_string());
            let secret = PolicySecret { name: name.clone(), binding, source };
            policy.grant.secrets.push(Line { rule: line("grant.secrets"), value: secret });
            values.push((name, SecretValue::new(value.to_owned().into())));
        }
        let limits = Limits { outbound: self.limits, ..Limits::default_with(InstanceCount::new(1).unwrap()) };
        let grants = Grants::resolve(&Requested::default(), &policy, limits).unwrap();
        let answers = self.answers.iter().map(|list| list.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        let names = Arc::new(Names { answers, asked: Mutex::default() });
        let records = Arc::<Records>::default();
        let setup = OutboundSetup {
            resolver: Arc::<Names>::clone(&names),
            roots: Roots::Platform,
            secrets: values.into_iter().collect::<SecretValues>(),
        };
        let audit = Arc::<Records>::clone(&records);
        Way { outbound: Outbound::new(&grants, setup, audit), records, names }
    }
}

impl Way {
    /// Sends a request with these values of its head; the whole response, or why there is none.
    async fn send(&self, head: &[&str]) -> Result<(u16, Vec<u8>, Bytes), Failure> {
        self.send_body(head, AskedBody::Complete(Bytes::new())).await
    }

    async fn send_body(&self, head: &[&str], body: AskedBody) -> Result<(u16, Vec<u8>, Bytes), Failure> {
        let asked = Asked { head: head.join("\0").into_bytes(), body, packages: Vec::new() };
        let exchange = self.outbound.begin(asked, None);
        let Answer { status, headers, body } = exchange.answer().await?;
        let mut whole = body.clone().unwrap_or_default().to_vec();
        while body.is_none() {
            match exchange.pull().await? {
                end if end.is_empty() => break,
                chunk => whole.extend_from_slice(&chunk),
            }
        }
        Ok((status.as_u16(), headers, whole.into()))
    }

    async fn refused(&self, head: &[&str]) -> (Reason, &'static str) {
        match self.send(head).await {
            Err(failure) => (failure.reason, failure.code),
            Ok(response) => panic!("{head:?} was answered: {response:?}"),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.names.asked.lock().unwrap().clone()
    }

    /// `capability decision code`, one for each record.
    fn recorded(&self) -> Vec<String> {
        let records = self.records.0.lock().unwrap();
        let word = |record: &AuditRecord| {
            let event = &record.event;
            let code = event.code.map_or_else(String::new, |code| format!(" {code}"));
            format!("{} {}{code}", event.capability.as_str(), event.decision.as_str())
        };
        records.iter().map(word).collect()
    }
}

/// A server that answers every request with these bytes; it keeps the heads it read, and counts
/// connections.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (list, count, answer) = (Arc::clone(&heard), Arc::clone(&connections), Arc::new(answer.into()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&list), Arc::clone(&answer)));
            }
        });
        Self { port, heard, connections }
    }

    /// Sends a body byte by byte, without ever falling silent.
    async fn trickling(bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // What was not read would break the connection when it is closed.
                    let mut asked = Vec::new();
                    while !asked.ends_with(b"\r\n\r\n") {
                        asked.push(stream.read_u8().await?);
                    }
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
                    stream.write_all(head.as_bytes()).await?;
                    for _ in 0..bytes {
                        stream.write_all(b"x").await?;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    stream.read_u8().await
                });
            }
        });
        Self { port, heard: Arc::default(), connections: Arc::default() }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Answers heads, one after the other, until the client leaves.
async fn serve(mut stream: TcpStream, heard: Arc<Mutex<Vec<String>>>, answer: Arc<Vec<u8>>) {
    let mut read = Vec::new();
    loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(size) => read.extend_from_slice(&piece[..size]),
        }
        if let Some(end) = read.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read.drain(..end + 4).collect::<Vec<_>>()).into_owned();
            heard.lock().unwrap().push(head);
            let _ = stream.write_all(&answer).await;
        }
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-note: a\r\n\r\nhello";

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

/// hostile 98, 99, 100: addresses that are not public, and those of the machine's metadata, which
/// nobody can grant, in the URL itself. Nothing is looked up.
#[tokio::test]
async fn addresses_that_are_not_public_are_not_dialled() {
    let spellings = [
        ("169.254.169.254", "metadata_address"),
        ("2852039166", "metadata_address"),
        ("0xa9fea9fe", "metadata_address"),
        ("0251.0376.0251.0376", "metadata_address"),
        ("169.254.170.2", "metadata_address"),
        ("169.254.170.23", "metadata_address"),
        ("[fd00:ec2::23]", "metadata_address"),
        ("[fd00:ec2::254]", "metadata_address"),
        ("[::ffff:169.254.169.254]", "metadata_address"),
        ("[64:ff9b::a9fe:a9fe]", "metadata_address"),
        ("10.0.0.1", "private_address"),
        ("192.168.1.1", "private_address"),
        ("172.16.0.1", "private_address"),
        ("100.64.0.1", "shared_address"),
        ("[fc00::1]", "private_address"),
        ("[fe80::1]", "link_local_address"),
        ("224.0.0.1", "multicast_address"),
        ("0.0.0.0", "unspecified_address"),
        ("[::]", "unspecified_address"),
        ("127.0.0.1", "loopback_address"),
        ("[::1]", "loopback_address"),
        ("[::ffff:127.0.0.1]", "loopback_address"),
    ];
    for (host, code) in spellings {
        let url = format!("http://{host}/latest/meta-data");
        // Granted by its canonical name, or there would be no look at the address at all.
        let target = par_policy::outbound::OutboundTarget::parse("GET", &url).unwrap();
        let mut bench = bench(&[&format!("http://{}", target.host())]);
        bench.addresses.clear();
        let way = bench.build();

        assert_eq!(way.refused(&["GET", &url]).await, (Reason::Denied, code), "{host}");
        assert_eq!(way.recorded(), [format!("outbound denied {code}")], "{host}");
        assert_eq!(way.asked(), [""; 0], "{host}");
    }
}

/// hostile 98, 101: a granted name that resolves to such an address, alone or among public ones.
#[tokio::test]
async fn a_name_does_not_lead_to_an_address_that_is_not_public() {
    let server = Server::answering(HELLO).await;
    for (answer, code) in [
        (vec!["169.254.169.254"], "metadata_address"),
        (vec!["127.0.0.1"], "loopback_address"),
        (vec!["93.184.215.14", "10.0.0.1"], "private_address"),
        (vec!["::ffff:169.254.170.2"], "metadata_address"),
    ] {
        let mut bench = bench(&[&format!("http://api.example:{}", server.port)]);
        bench.addresses.clear();
        bench.answers = vec![answer];
        let way = bench.build();

        let url = format!("http://api.example:{}/", server.port);
        assert_eq!(way.refused(&["GET", &url]).await, (Reason::Denied, code));
        assert_eq!(way.recorded(), [format!("outbound denied {code}")]);
    }
    assert_eq!(server.connections(), 0);
}

/// hostile 101: the address that is judged is the one that is dialled. A second look-up, which would
/// lead elsewhere, does not happen for the request.
#[tokio::test]
async fn a_name_is_looked_up_once_for_a_connection() {
    let server = Server::answering(HELLO).await;
    let mut bench = bench(&[&format!("http://api.example:{}", server.port)]);
    bench.answers = vec![vec!["127.0.0.1"], vec!["169.254.169.254"]];
    let way = bench.build();

    let url = format!("http://api.example:{}/", server.port);
    assert_eq!(way.send(&["GET", &url]).await.unwrap().0, 200);

    assert_eq!(way.asked(), ["api.example"]);
    assert_eq!(server.connections(), 1);
}

/// hostile 106, 111, 114: no name is looked up before a rule grants the request, whatever is wrong with it.
#[tokio::test]
async fn nothing_is_looked_up_before_the_rule() {
    let way = bench(&["https://api.example", "https://*.wild.example"]).build();
    let denied = [
        ("GET", "https://stolen-data.attacker.example/", "host_not_granted"),
        ("GET", "https://wild.example/", "host_not_granted"),
        ("GET", "http://api.example/", "scheme_not_granted"),
        ("GET", "https://api.example:8443/", "port_not_granted"),
        ("GET", "https://api.example.attacker.example/", "host_not_granted"),
        ("GET", "https://api.example@attacker.example/", "url_credentials"),
        ("GET", "ftp://api.example/", "unsupported_scheme"),
        ("GET", "file:///etc/passwd", "unsupported_scheme"),
        ("GET", "https://api.example:0/", "invalid_port"),
        ("GET", "/only/a/path", "invalid_url"),
        ("GET", "https://api.example/\r\nx-injected: 1", "invalid_url"),
        ("GET", "https://api.example\\@attacker.example/", "invalid_url"),
        ("CONNECT", "https://api.example/", "forbidden_method"),
        ("TRACE", "https://api.example/", "forbidden_method"),
        ("G ET", "https://api.example/", "invalid_method"),
        ("GET\r\nx: 1", "https://api.example/", "invalid_method"),
    ];

    for (method, url, code) in denied {
        assert_eq!(way.refused(&[method, url]).await, (Reason::Denied, code), "{method} {url}");
    }

    assert_eq!(way.asked(), [""; 0]);
    assert_eq!(way.recorded().len(), denied.len());
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

/// hostile 126: a placeholder becomes the value towards the host the secret is for, and stays a
/// placeholder, with an alarm, towards every other.
#[tokio::test]
async fn a_secret_goes_to_its_host_and_to_no_other() {
    let server = Server::answering(HELLO).await;
    let mine = format!("http://mine.example:{}", server.port);
    let other = format!("http://other.example:{}", server.port);
    let mut bench = bench(&[&mine, &other]);
    bench.secrets = vec![("KEY", "hunter2", mine.clone())];
    let way = bench.build();
    let value = "Bearer par-secret://KEY, again par-secret://KEY.";

    way.send(&["GET", &format!("{mine}/"), "authorization", value]).await.unwrap();
    way.send(&["GET", &format!("{other}/"), "authorization", value]).await.unwrap();
    way.send(&["GET", &format!("{mine}/?q=par-secret://KEY"), "x-a", "par-secret://UNKNOWN"]).await.unwrap();

    let heard = server.heard();
    assert!(heard[0].contains("authorization: Bearer hunter2, again hunter2.\r\n"), "{}", heard[0]);
    assert!(heard[1].contains(&format!("authorization: {value}\r\n")), "{}", heard[1]);
    assert!(heard[2].contains("x-a: par-secret://UNKNOWN\r\n") && !heard[2].contains("hunter2"), "{}", heard[2]);
    let mut recorded = way.recorded();
    recorded.sort();
    assert_eq!(
        recorded,
        [
            "outbound allowed",
            "outbound allowed",
            "outbound allowed",
            "secrets allowed",
            "secrets denied secret_not_bound",
            "secrets denied secret_not_granted",
        ]
    );
}

fn basic(credentials: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
}

/// hostile 119: inside of `Basic` credentials a placeholder becomes the value as well, for its host.
#[tokio::test]
async fn a_secret_is_put_into_basic_credentials() {
    let server = Server::answering(HELLO).await;
    let mine = format!("http://mine.example:{}", server.port);
    let other = format!("http://other.example:{}", server.port);
    let mut bench = bench(&[&mine, &other]);
    bench.secrets = vec![("KEY", "hunter2-value", mine.clone())];
    let way = bench.build();
    let held = basic("user:par-secret://KEY");

    for host in [&mine, &other] {
        way.send(&["GET", &format!("{host}/"), "authorization", &held]).await.unwrap();
    }
    way.send(&["GET", &format!("{mine}/"), "authorization", "Basic ???"]).await.unwrap();

    let heard = server.heard();
    assert!(heard[0].contains(&format!("authorization: {}\r\n", basic("user:hunter2-value"))), "{}", heard[0]);
    assert!(heard[1].contains(&format!("authorization: {held}\r\n")), "{}", heard[1]);
    assert!(heard[2].contains("authorization: Basic ???\r\n"), "{}", heard[2]);
    assert!(way.recorded().contains(&"secrets denied secret_not_bound".to_owned()), "{:?}", way.recorded());
}

/// hostile 127: a host that echoes a secret, in a header or in its body, as it is or encoded, does not give it to
/// the agent.
#[tokio::test]
async fn a_secret_that_comes_back_is_masked() {
    let body = format!(
        "{{\"seen\": \"Bearer hunter2/value\", \"json\": \"hunter2\\/value\", \"url\": \"hunter2%2Fvalue\", \"basic\": \"{}\"}}",
        basic("user:hunter2/value")
    );
    let answer = format!("HTTP/1.1 200 OK\r\nx-echo: hunter2/value\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let server = Server::answering(answer).await;
    let mine = format!("http://mine.example:{}", server.port);
    let other = format!("http://other.example:{}", server.port);
    let mut bench = bench(&[&mine, &other]);
    bench.secrets = vec![("KEY", "hunter2/value", mine.clone())];
    let way = bench.build();
    let sent = basic("user:par-secret://KEY");

    let head = ["GET", &format!("{mine}/"), "authorization", &sent, "accept-encoding", "gzip"];
    let (_, headers, received) = way.send(&head).await.unwrap();

    let (headers, text) = (String::from_utf8(headers).unwrap(), String::from_utf8(received.to_vec()).unwrap());
    assert!(!headers.contains("hunter2") && headers.contains("x-echo\0*************"), "{headers:?}");
    assert!(!text.contains("hunter2") && !text.contains(&basic("user:hunter2/value")), "{text}");
    assert_eq!(text.len(), body.len());
    assert!(server.heard()[0].contains("accept-encoding: identity\r\n"), "{}", server.heard()[0]);
    let mut recorded = way.recorded();
    recorded.sort();
    assert_eq!(recorded, ["outbound allowed", "secrets allowed", "secrets denied secret_reflected"]);

    // A host the secret is not for does not have it: nothing is looked for.
    let (_, _, received) = way.send(&["GET", &format!("{other}/"), "accept-encoding", "gzip"]).await.unwrap();
    assert_eq!(received, body);
    assert!(server.heard()[1].contains("accept-encoding: gzip\r\n"));
}

/// hostile 120: what is on the record, and every `Debug` on the way, is without query and value.
#[tokio::test]
async fn no_secret_is_on_the_record() {
    let server = Server::answering(HELLO).await;
    let mine = format!("http://mine.example:{}", server.port);
    let mut bench = bench(&[&mine]);
    bench.secrets = vec![("KEY", "hunter2", mine.clone())];
    let way = bench.build();

    way.send(&["GET", &format!("{mine}/p?token=swordfish"), "authorization", "par-secret://KEY"]).await.unwrap();
    let _ = way.send(&["GET", "http://denied.example/?token=swordfish", "authorization", "par-secret://KEY"]).await;

    let shown = format!("{:?} {:?}", way.records.0.lock().unwrap(), way.outbound);
    assert!(!shown.contains("hunter2") && !shown.contains("swordfish"), "{shown}");
    assert!(server.heard()[0].contains("authorization: hunter2\r\n"));
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
