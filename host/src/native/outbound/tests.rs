//! Unmodified clients of a Python whose sockets are the host's.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use par_policy::outbound::OutboundRule;
use par_policy::policy::{Line, Policy, PolicySecret, Requested, SecretSource};
use par_policy::secret::{SecretBinding, SecretName, SecretValue};
use par_policy::{Grants, InstanceCount, Limits, RuleId};
use par_sandbox::{AuditRecord, AuditSink, Outbound, OutboundSetup, Resolve, Roots};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Authority, Flights, NativeOutbound, pair};
use crate::native::launch::OUTBOUND;

#[derive(Debug, Default)]
struct Records(Mutex<Vec<AuditRecord>>);

impl AuditSink for Records {
    fn record(&self, record: AuditRecord) {
        self.0.lock().unwrap().push(record);
    }
}

/// Every name is this machine.
#[derive(Debug)]
struct Here;

impl Resolve for Here {
    fn resolve(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) }.boxed()
    }
}

/// A server that answers each request with what it heard.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    /// Its authority, in a file; for servers with TLS.
    roots: tempfile::NamedTempFile,
}

impl Server {
    async fn start(secure: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "authority of the test");
        let key = KeyPair::generate().unwrap();
        let roots = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(roots.path(), authority.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(authority, key);
        let own = KeyPair::generate().unwrap();
        let names = ["api.example".to_owned(), "other.example".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&own, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(own.serialize_der().into()))
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let hearing = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, hearing) = (acceptor.clone(), Arc::clone(&hearing));
                tokio::spawn(async move {
                    if !secure {
                        return answer(stream, &hearing).await;
                    }
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream, &hearing).await;
                    }
                });
            }
        });
        Self { port, heard, roots }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, heard: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    heard.lock().unwrap().push(String::from_utf8_lossy(&request).to_ascii_lowercase());
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").await;
    let _ = stream.shutdown().await;
}

struct Bench {
    way: Arc<NativeOutbound>,
    records: Arc<Records>,
    trusted: tempfile::NamedTempFile,
}

impl Bench {
    /// Rules as in a policy, `{}` being the port, and a secret for `api.example` where one is needed.
    fn new(server: &Server, rules: &[&str], secret: Option<&str>) -> Self {
        let line = |rule: &str| RuleId::new(rule.to_owned());
        let parse = |rule: &str| OutboundRule::parse(&rule.replace("{}", &server.port.to_string()), &[]).unwrap();
        let mut policy = Policy::default();
        policy.grant.outbound =
            rules.iter().map(|rule| Line { rule: line("grant.outbound"), value: parse(rule) }).collect();
        let loopback = Line { rule: line("grant.outbound_addresses"), value: "127.0.0.0/8".parse().unwrap() };
        policy.grant.outbound_addresses.push(loopback);
        let name = SecretName::parse("KEY").unwrap();
        if let Some(host) = secret {
            let binding = SecretBinding { hosts: vec![parse(host)] };
            let value =
                PolicySecret { name: name.clone(), binding, source: SecretSource::Environment("KEY".to_owned()) };
            policy.grant.secrets.push(Line { rule: line("grant.secrets"), value });
        }
        let limits = Limits::default_with(InstanceCount::new(1).unwrap());
        let grants = Grants::resolve(&Requested::default(), &policy, limits).unwrap();
        let setup = OutboundSetup {
            resolver: Arc::new(Here),
            roots: Roots::Files { file: Some(server.roots.path().to_owned()), directory: None },
            secrets: [(name, SecretValue::new("hunter2-value".to_owned().into()))].into_iter().collect(),
        };
        let records = Arc::<Records>::default();
        let audit = Arc::<Records>::clone(&records);
        let authority = Authority::new().unwrap();
        let trusted = tempfile::NamedTempFile::new().unwrap();
        let own = fs_err::read_to_string(server.roots.path()).unwrap();
        fs_err::write(trusted.path(), format!("{own}{}", authority.certificate())).unwrap();
        let way = Arc::new(NativeOutbound::new(Outbound::new(&grants, setup, audit), authority));
        Self { way, records, trusted }
    }

    /// What a piece of Python says, whose sockets are the host's. `URL` is in its environment as `url`.
    async fn python(&self, url: &str, code: &str) -> String {
        let (here, there) = pair().unwrap();
        let serving = self.way.serve(here, Arc::<Flights>::default()).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("guest-python/src");
        let start = "import sys; sys.path.append(sys.argv[1]); from par_guest.native import sockets; sockets.apply(4); url = sys.argv[2]\n";
        #[expect(clippy::disallowed_methods, reason = "the client under test is Python's")]
        let mut command = std::process::Command::new("/usr/bin/python3");
        command.args(["-I", "-B", "-c", &format!("{start}{code}")]).arg(source).arg(url);
        command.env_clear().env("SSL_CERT_FILE", self.trusted.path());
        command.fd_mappings(vec![FdMapping { parent_fd: there, child_fd: OUTBOUND }]).unwrap();
        let mut command = tokio::process::Command::from(command);
        let output = tokio::time::timeout(Duration::from_mins(2), command.kill_on_drop(true).output());
        let output = output.await.expect("the client ends").unwrap();
        drop(serving);
        self.way.outbound.recorded().await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn recorded(&self) -> Vec<String> {
        let text = |record: &AuditRecord| {
            let code = record.event.code.map(|code| format!(" {code}")).unwrap_or_default();
            format!("{} {}{code}", record.event.decision.as_str(), record.event.target)
        };
        self.records.0.lock().unwrap().iter().map(text).collect()
    }
}

const URLLIB: &str = "
import urllib.request
try:
    print(urllib.request.urlopen(url, timeout=60).read().decode())
except OSError as error:
    print(type(error).__name__, getattr(error.reason, 'code', ''))
";

const STREAMS: &str = "
import asyncio, urllib.parse
async def main():
    parts = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=parts.scheme == 'https' or None)
    writer.write(f'GET {parts.path} HTTP/1.1\\r\\nHost: {parts.netloc}\\r\\n\\r\\n'.encode())
    try:
        head = await reader.readuntil(b'\\r\\n\\r\\n')
    except OSError as error:
        return print(type(error).__name__, error.code)
    print((await reader.readexactly(5)).decode())
asyncio.run(main())
";

/// hostile 164: requests without TLS are judged one by one, whichever client makes them.
#[tokio::test]
async fn plain_requests_are_judged_one_by_one() {
    let server = Server::start(false).await;
    let bench = Bench::new(&server, &["http://api.example:{}/v1"], None);
    let url = |host: &str, path: &str| format!("http://{host}:{}{path}", server.port);

    for client in [URLLIB, STREAMS] {
        assert_eq!(bench.python(&url("api.example", "/v1/a"), client).await, "hello");
    }
    assert_eq!(bench.python(&url("api.example", "/v2"), URLLIB).await, "URLError path_not_granted");
    assert_eq!(bench.python(&url("other.example", "/"), URLLIB).await, "URLError host_not_granted");
    assert_eq!(bench.python(&url("169.254.169.254", "/"), STREAMS).await, "OutboundDenied host_not_granted");

    assert_eq!(server.heard().len(), 2);
    let allowed = format!("allowed GET {}", url("api.example", "/v1/a"));
    let denied = [
        format!("denied GET {} path_not_granted", url("api.example", "/v2")),
        format!("denied GET {} host_not_granted", url("other.example", "/")),
        format!("denied GET {} host_not_granted", url("169.254.169.254", "/")),
    ];
    assert_eq!(bench.recorded(), [[allowed.clone(), allowed].as_slice(), &denied].concat());
}

/// Where rules have a path, the host ends TLS: the same rules, secrets and records as without.
#[tokio::test]
async fn requests_inside_of_tls_are_judged_one_by_one() {
    let server = Server::start(true).await;
    let bench = Bench::new(&server, &["https://api.example:{}/v1"], Some("https://api.example:{}"));
    let url = |host: &str, path: &str| format!("https://{host}:{}{path}", server.port);
    let with_secret = "
import http.client, urllib.parse
parts = urllib.parse.urlsplit(url)
connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=60)
connection.request('GET', parts.path, headers={'x-key': 'par-secret://KEY'})
print(connection.getresponse().read().decode())";

    for client in [URLLIB, STREAMS, with_secret] {
        assert_eq!(bench.python(&url("api.example", "/v1/a"), client).await, "hello");
    }
    assert_eq!(bench.python(&url("api.example", "/v2"), URLLIB).await, "URLError path_not_granted");
    assert_eq!(bench.python(&url("other.example", "/"), STREAMS).await, "OutboundDenied host_not_granted");

    let heard = server.heard();
    assert_eq!(heard.len(), 3);
    assert!(heard[2].contains("x-key: hunter2-value\r\n"), "{}", heard[2]);
    let recorded = bench.recorded();
    assert_eq!(recorded.iter().filter(|line| line.starts_with("allowed GET https://api.example")).count(), 3);
    let last = &recorded[recorded.len() - 2..];
    assert_eq!(last[0], format!("denied GET {} path_not_granted", url("api.example", "/v2")));
    assert_eq!(last[1], format!("denied GET {} host_not_granted", url("other.example", "/")));
}

/// Where a rule grants all of a host, the client speaks TLS with the host itself, under its name alone.
#[tokio::test]
async fn a_host_that_is_granted_whole_is_spoken_to_unseen() {
    let server = Server::start(true).await;
    let bench = Bench::new(&server, &["https://api.example:{}"], None);
    let port = server.port;
    let certificate = "
import socket, ssl, urllib.parse
parts = urllib.parse.urlsplit(url)
context = ssl.create_default_context()
context.check_hostname = False
with socket.create_connection((parts.hostname, parts.port), 60) as opened:
    try:
        with context.wrap_socket(opened, server_hostname=parts.path[1:]) as wrapped:
            print([name for _, name in wrapped.getpeercert()['subjectAltName']])
    except OSError as error:
        print(getattr(error, 'code', error))";

    let names = bench.python(&format!("https://api.example:{port}/api.example"), certificate).await;
    let refused = bench.python(&format!("https://api.example:{port}/other.example"), certificate).await;
    let read = bench.python(&format!("https://api.example:{port}/any"), URLLIB).await;
    let denied = bench.python(&format!("https://other.example:{port}/any"), URLLIB).await;

    assert_eq!((names.as_str(), refused.as_str()), ("['api.example', 'other.example']", "not_http"));
    assert_eq!((read.as_str(), denied.as_str()), ("hello", "URLError host_not_granted"));
    let connected = format!("allowed CONNECT https://api.example:{port}");
    let other = format!("denied GET https://other.example:{port}/any host_not_granted");
    assert_eq!(bench.recorded(), [connected.clone(), connected, other]);
    assert_eq!(server.heard().len(), 1);
}

/// What is no HTTP request is refused with a sentence, and nothing listens.
#[tokio::test]
async fn what_is_not_http_is_refused() {
    let server = Server::start(false).await;
    let bench = Bench::new(&server, &["http://api.example:{}"], None);
    let url = format!("http://api.example:{}/", server.port);
    let attempts = "
import socket, urllib.parse
parts = urllib.parse.urlsplit(url)
def attempt(what):
    try:
        what()
    except OSError as error:
        print(getattr(error, 'code', error), end=' ')
def raw(data):
    with socket.create_connection((parts.hostname, parts.port), 60) as opened:
        opened.sendall(data)
        opened.recv(100)
attempt(lambda: raw(b'SSH-2.0-client\\r\\n\\r\\n'))
attempt(lambda: raw(b'GET / HTTP/1.1\\r\\nHost: other.example\\r\\n\\r\\n'))
attempt(lambda: raw(b'GET / HTTP/1.1\\r\\nHost: %s\\r\\nUpgrade: websocket\\r\\nConnection: upgrade\\r\\n\\r\\n' % parts.netloc.encode()))
attempt(lambda: raw(b'GET http://other.example/ HTTP/1.1\\r\\nHost: other.example\\r\\n\\r\\n'))
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
attempt(lambda: socket.socket().bind(('127.0.0.1', 8000)))
attempt(lambda: socket.socket().listen())";

    assert_eq!(bench.python(&url, attempts).await, ["not_http"; 7].join(" "));
    assert!(server.heard().is_empty());
}
