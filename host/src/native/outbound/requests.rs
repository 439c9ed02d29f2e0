//! Requests of a native process, one after the other or at once, each taken through the one way out.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderMap, HeaderName, Request, Response, header};
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use par_sandbox::{Answer, Asked, AskedBody, Exchange, Failure, Reason};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::connection::Connection;
use super::hello::Begun;

/// A body of a known size up to this is taken complete. Unit: bytes.
const HELD_BYTES: u64 = 64 * 1024;

/// Longest head of a request. Unit: bytes.
const HEAD_BYTES: usize = 128 * 1024;

/// Headers about the connection between a client and the host, which makes its own to the server.
const OF_THE_CONNECTION: [HeaderName; 9] = [
    HOST,
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::EXPECT,
];

pub(super) const NOT_HTTP: &str = "what was sent is not HTTP; PAR carries HTTP requests of the agent and no other protocol, so use an HTTP API of the service";
const UPGRADES: &str =
    "the request asks for another protocol (`upgrade`); only HTTP leaves the process of the agent, no WebSocket";
const PROXIED: &str =
    "the request is for a proxy; PAR opens the connections itself, so unset `HTTP_PROXY` and `HTTPS_PROXY`";

type ReplyBody = UnsyncBoxBody<Bytes, Broken>;

/// The process was told why; nothing more is said on the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection is ended")]
struct Broken;

/// Serves requests without TLS.
pub(super) async fn plain(connection: &Arc<Connection>, first: Vec<u8>, stream: UnixStream) {
    serve(connection, Begun::new(first, stream), "http").await;
}

/// Serves requests inside of TLS, which ends here.
pub(super) async fn secure(connection: &Arc<Connection>, first: Vec<u8>, stream: UnixStream) {
    let config = match connection.way.authority.answering_for(&connection.host) {
        Ok(config) => config,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "No certificate for an outbound connection");
            return connection.tell(&Failure::protocol("PAR cannot answer for the host"));
        }
    };
    // A client that does not trust the authority says so by leaving.
    if let Ok(stream) = TlsAcceptor::from(config).accept(Begun::new(first, stream)).await {
        serve(connection, stream, "https").await;
    }
}

async fn serve(
    connection: &Arc<Connection>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    scheme: &'static str,
) {
    let ended = Arc::new(Notify::new());
    let service = service_fn(|request| carry(Arc::clone(connection), scheme, request, Arc::clone(&ended)));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(HEAD_BYTES).keep_alive(true);
    builder.http2().max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX));
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        outcome = serving => {
            if outcome.is_err_and(|error| is_about_the_request(&*error)) {
                connection.tell(&Failure::not_http(NOT_HTTP));
            }
        }
        // What the process was told holds for the whole connection.
        () = ended.notified() => {}
    }
}

fn is_about_the_request(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
}

/// Takes one request through the way out; an error ends the connection, and the process knows why.
async fn carry(
    connection: Arc<Connection>,
    scheme: &'static str,
    request: Request<Incoming>,
    ended: Arc<Notify>,
) -> Result<Response<ReplyBody>, Broken> {
    match exchange(&connection, scheme, request).await {
        Ok((exchange, answer)) => reply(connection, exchange, answer, ended).ok_or(Broken),
        Err(failure) => {
            connection.tell(&failure);
            ended.notify_one();
            // The connection is ended meanwhile.
            std::future::pending::<Infallible>().await;
            Err(Broken)
        }
    }
}

async fn exchange(
    connection: &Connection,
    scheme: &str,
    request: Request<Incoming>,
) -> Result<(Arc<Exchange>, Answer), Failure> {
    let head = head(connection, scheme, &request)?;
    let body = request.into_body();
    let (asked, pushed) = match body.size_hint().exact() {
        Some(length) if length <= HELD_BYTES => {
            let whole = body.collect().await.map_err(|_| broken_off())?.to_bytes();
            (AskedBody::Complete(whole), None)
        }
        length => (AskedBody::Pushed { length }, Some(body)),
    };
    let (flight, packages) = connection.behalf();
    let exchange = connection.way.outbound.begin(Asked { head, body: asked, packages }, flight.as_deref());
    let answer = match pushed {
        None => exchange.answer().await,
        Some(body) => tokio::select! {
            // A server may answer before it has read all of it.
            answer = exchange.answer() => answer,
            Err(failure) = push(&exchange, body) => Err(failure),
        },
    }?;
    Ok((Arc::new(exchange), answer))
}

/// Sends the body, and then waits for ever: it is the answer that counts.
async fn push(exchange: &Exchange, mut body: Incoming) -> Result<Infallible, Failure> {
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| broken_off())?.into_data() else { continue };
        if let Err(failure) = exchange.push(data).await {
            // What ended it is its answer.
            return if failure.reason == Reason::Cancelled { std::future::pending().await } else { Err(failure) };
        }
    }
    exchange.finish();
    std::future::pending().await
}

fn broken_off() -> Failure {
    Failure::protocol("the request broke off")
}

/// Method, URL and headers, as they cross every boundary.
fn head(connection: &Connection, scheme: &str, request: &Request<Incoming>) -> Result<Vec<u8>, Failure> {
    let headers = request.headers();
    if headers.contains_key(UPGRADE) {
        return Err(Failure::not_http(UPGRADES));
    }
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(request.method().as_str().as_bytes());
    head.push(0);
    head.extend_from_slice(url(connection, scheme, request)?.as_bytes());
    let named = named_by_connection(headers);
    for (name, value) in headers {
        if OF_THE_CONNECTION.contains(name) || named.iter().any(|own| name.as_str() == own) {
            continue;
        }
        head.push(0);
        head.extend_from_slice(name.as_str().as_bytes());
        head.push(0);
        head.extend_from_slice(value.as_bytes());
    }
    Ok(head)
}

/// The headers a client says are for the connection only.
fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// The absolute URL of a request: of the host the process is connected to, whatever the request names.
fn url(connection: &Connection, scheme: &str, request: &Request<Incoming>) -> Result<String, Failure> {
    let Connection { host, port, .. } = connection;
    let usual = if scheme == "https" { 443 } else { 80 };
    let name = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let own = if *port == usual { name.clone() } else { format!("{name}:{port}") };
    let uri = request.uri();
    // HTTP/2 names the host in the URL; in HTTP/1.1 that is how a proxy is spoken to.
    let is_second = request.version() == http::Version::HTTP_2;
    if uri.authority().is_some() && !is_second {
        return Err(Failure::not_http(PROXIED));
    }
    let said = uri.authority().map(|authority| authority.as_str());
    let said = said.or_else(|| request.headers().get(HOST).and_then(|value| value.to_str().ok()));
    if let Some(said) = said.filter(|said| !is_own(said, &[&own, &format!("{name}:{port}")])) {
        let sentence = format!(
            "the `host` header names `{}`, and the connection is to `{own}`; connect to the host the request is for",
            said.escape_default()
        );
        return Err(Failure::not_http(sentence));
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target == "*" { "/" } else { target };
    Ok(format!("{scheme}://{own}{target}"))
}

fn is_own(said: &str, own: &[&str]) -> bool {
    own.iter().any(|own| said.eq_ignore_ascii_case(own))
}

/// The response as it goes to the process. What breaks it off is told, and ends the connection.
fn reply(
    connection: Arc<Connection>,
    exchange: Arc<Exchange>,
    answer: Answer,
    ended: Arc<Notify>,
) -> Option<Response<ReplyBody>> {
    let Answer { status, headers, body } = answer;
    let body = match body {
        Some(whole) => Full::new(whole).map_err(|never: Infallible| match never {}).boxed_unsync(),
        None => {
            let pieces = stream::unfold(Some((connection, exchange, ended)), |following| async move {
                let (connection, exchange, ended) = following?;
                match exchange.pull().await {
                    Ok(piece) if piece.is_empty() => None,
                    Ok(piece) => Some((Ok(Frame::data(piece)), Some((connection, exchange, ended)))),
                    Err(failure) => {
                        connection.tell(&failure);
                        Some((Err(Broken), None))
                    }
                }
            });
            StreamBody::new(pieces.boxed()).boxed_unsync()
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let mut values = headers.split(|byte| *byte == 0).filter(|_| !headers.is_empty());
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        let name = HeaderName::from_bytes(name).ok()?;
        response.headers_mut().append(name, http::HeaderValue::from_bytes(value).ok()?);
    }
    Some(response)
}
