//! A server of the outside: what an agent's requests reach, or must not reach.

mod models;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::Authority;

/// What of a request arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Counters and gates the routes share with the test.
#[derive(Debug)]
struct Shared {
    connections: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    /// How many are in `seen`.
    arrivals: watch::Sender<usize>,
    inside: AtomicUsize,
    /// `/steps` sends one step for each permit.
    steps: Semaphore,
    /// Responses of `/steps` and `/forever` the client gave up on.
    dropped: Semaphore,
}

/// A running server on loopback; it ends with the test.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    secure: bool,
    shared: Arc<Shared>,
}

impl Upstream {
    /// A server without TLS.
    pub async fn http() -> Self {
        Self::start(None).await
    }

    /// A server with a certificate for `names`.
    pub async fn https(authority: &Authority, names: &[&str]) -> Self {
        Self::start(Some(TlsAcceptor::from(authority.server_for(names)))).await
    }

    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            connections: AtomicUsize::new(0),
            seen: Mutex::default(),
            arrivals: watch::Sender::new(0),
            inside: AtomicUsize::new(0),
            steps: Semaphore::new(0),
            dropped: Semaphore::new(0),
        });
        let secure = tls.is_some();
        tokio::spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { address, secure, shared }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of a path under a name of the host.
    #[must_use]
    pub fn url(&self, host: &str, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{host}:{}{path}", self.port())
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests have arrived in all, with their bodies.
    pub async fn arrived(&self, count: usize) {
        let mut arrivals = self.shared.arrivals.subscribe();
        arrivals.wait_for(|arrived| *arrived >= count).await.unwrap();
    }

    /// Lets `/steps` send one more step.
    pub fn step(&self) {
        self.shared.steps.add_permits(1);
    }

    /// Waits until a client gave up on a response that had no end.
    pub async fn dropped(&self) {
        self.shared.dropped.acquire().await.unwrap().forget();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, routes) = (tls.clone(), routes(Arc::clone(&shared)));
        tokio::spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, routes).await;
                    }
                }
                None => serve::<TcpStream>(stream, routes).await,
            }
        });
    }
}

async fn serve<S>(stream: S, routes: Router)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)).await;
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/echo", any(echo))
        .route("/echo/{*rest}", any(echo))
        .route("/redirect", any(redirect))
        .route("/encoded", get(encoded))
        .route("/cookie", get(cookie))
        .route("/vocabulary", get(vocabulary))
        .route("/together", get(together))
        .route("/steps", any(steps))
        .route("/forever", any(forever))
        .route("/endless", get(endless))
        .route("/large", get(large))
        .route("/headers", get(headers))
        .route("/cut", get(cut))
        .route("/v1/chat/completions", any(models::completions))
        .route("/v1/messages", any(models::messages))
        .with_state(shared)
}

/// The query of a request.
struct Parameters(HashMap<String, String>);

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(head: &mut http::request::Parts, _: &S) -> Result<Self, Infallible> {
        let url = reqwest::Url::parse(&format!("http://upstream{}", head.uri)).unwrap();
        Ok(Self(url.query_pairs().into_owned().collect()))
    }
}

async fn record(shared: &Shared, request: Request) -> Seen {
    let (head, body) = request.into_parts();
    let seen = Seen {
        method: head.method.to_string(),
        target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: head.headers,
        body: body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
    };
    shared.seen.lock().unwrap().push(seen.clone());
    shared.arrivals.send_modify(|arrived| *arrived += 1);
    seen
}

async fn echo(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let version = format!("{:?}", request.version());
    let seen = record(&shared, request).await;
    let headers: serde_json::Map<String, serde_json::Value> = seen
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let body = String::from_utf8_lossy(&seen.body[..seen.body.len().min(1024)]).into_owned();
    axum::Json(json!({
        "method": seen.method, "target": seen.target, "version": version, "headers": headers,
        "body": body, "length": seen.body.len(),
    }))
    .into_response()
}

async fn redirect(State(shared): State<Arc<Shared>>, Parameters(parameters): Parameters, request: Request) -> Response {
    record(&shared, request).await;
    let status: u16 = parameters.get("status").map_or(302, |status| status.parse().unwrap());
    (StatusCode::from_u16(status).unwrap(), [("location", parameters["to"].clone())]).into_response()
}

/// What `/vocabulary` has: `a`, `b`, `c` and `ab`.
pub const VOCABULARY: &str = "YQ== 0\nYg== 1\nYw== 2\nYWI= 3\n";

/// `encoded ` 64 times, compressed by Brotli's own program.
const BROTLI: &[u8] = b"\x1b\xff\x01\xf8\x25\x00\xaa\x10\xc2\xca\x81\x79\x1c\x95\x05";

async fn encoded(Parameters(parameters): Parameters) -> Response {
    let text = b"encoded ".repeat(64);
    let encoding = parameters["as"].clone();
    let body = match encoding.as_str() {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut encoder, &text).unwrap();
            encoder.finish().unwrap()
        }
        "br" => BROTLI.to_vec(),
        _ => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut encoder, &text).unwrap();
            encoder.finish().unwrap()
        }
    };
    ([("content-encoding", encoding)], body).into_response()
}

/// Tokens of one byte each, in the form of tiktoken's files: the token in base64, and its number.
async fn vocabulary(State(shared): State<Arc<Shared>>, request: Request) -> &'static str {
    record(&shared, request).await;
    VOCABULARY
}

async fn cookie(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let seen = record(&shared, request).await;
    let sent = seen.headers.get("cookie").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let cookies = AppendHeaders([("set-cookie", "session=one; Path=/"), ("set-cookie", "second=two; Path=/")]);
    (cookies, sent).into_response()
}

/// Answers when as many requests as asked for are here at once.
async fn together(State(shared): State<Arc<Shared>>, Parameters(parameters): Parameters) -> String {
    let count: usize = parameters["count"].parse().unwrap();
    let inside = shared.inside.fetch_add(1, Ordering::SeqCst) + 1;
    if inside == count {
        shared.steps.add_permits(count);
    }
    shared.steps.acquire().await.unwrap().forget();
    count.to_string()
}

struct Dropped(Arc<Shared>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.add_permits(1);
    }
}

/// Server-sent events, one for each `Upstream::step`, three in all.
async fn steps(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    record(&shared, request).await;
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let gate = Arc::clone(&shared);
    tokio::spawn(async move {
        for number in 0..3 {
            gate.steps.acquire().await.unwrap().forget();
            if sender.send(format!("data: step {number}\n\n").into()).await.is_err() {
                return;
            }
        }
    });
    let dropped = Dropped(shared);
    let stream = futures::stream::poll_fn(move |context| {
        let _ = &dropped;
        receiver.poll_recv(context).map(|chunk| chunk.map(Ok::<_, Infallible>))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(stream)).into_response()
}

/// Never answers.
async fn forever(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    record(&shared, request).await;
    let _dropped = Dropped(shared);
    std::future::pending().await
}

/// A body without end.
async fn endless(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    record(&shared, request).await;
    let dropped = Dropped(shared);
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let stream = futures::stream::poll_fn(move |_| {
        let _ = &dropped;
        std::task::Poll::Ready(Some(Ok::<_, Infallible>(chunk.clone())))
    });
    Body::from_stream(stream).into_response()
}

/// Two MiB, of a length nobody knows before.
async fn large(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    record(&shared, request).await;
    let chunks = std::iter::repeat_n(Bytes::from(vec![b'x'; 64 * 1024]), 32).map(Ok::<_, Infallible>);
    Body::from_stream(futures::stream::iter(chunks)).into_response()
}

/// As many headers as asked for, each as long as asked for.
async fn headers(Parameters(parameters): Parameters) -> Response {
    let (count, size): (usize, usize) = (parameters["count"].parse().unwrap(), parameters["size"].parse().unwrap());
    let mut response = Response::new(Body::from("headers"));
    for number in 0..count {
        let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
        response.headers_mut().insert(name, "v".repeat(size).try_into().unwrap());
    }
    response
}

/// A body that breaks off, after its beginning has been sent.
async fn cut() -> Response {
    let pieces = futures::stream::unfold(false, |begun| async move {
        if begun {
            // The server flushes what it has when the body makes it wait.
            tokio::task::yield_now().await;
            return Some((Err(std::io::Error::other("cut")), true));
        }
        Some((Ok(Bytes::from("begun")), true))
    });
    Body::from_stream(pieces).into_response()
}
