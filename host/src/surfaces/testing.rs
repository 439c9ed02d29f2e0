//! What the tests of the surfaces share: real sockets on loopback, a scripted agent behind them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::backend::scripted::Script;
use crate::backend::{Backend, HttpCall, HttpReply, ReplyBody};
use crate::health::{Health, Standing, SurfaceName};
use crate::lifecycle::Phase;
use crate::surfaces::rest::{Application, Mounted, RequestLimits, Rest};
use crate::surfaces::route::Routes;
use crate::surfaces::serve::{Bound, Limits, Protocol, Server};
use crate::surfaces::ui::Ui;

pub(crate) const BASE: &str = "/agents/app-1";

/// The health of a process in `phase`, with REST alone.
pub(crate) fn health_in(phase: Phase) -> Health {
    let health = Health::default();
    health.set(SurfaceName::Rest, Standing::Up);
    health.lifecycle().advance(phase);
    health
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn routes() -> Routes {
    Routes { base_path: BASE.into(), agent_app_id: "app-1".into(), serve_at_root: false }
}

pub(crate) fn request_limits() -> RequestLimits {
    RequestLimits { timeout: Duration::from_secs(30), body_bytes: Some(1024 * 1024) }
}

/// A REST surface in front of a scripted agent.
pub(crate) struct Front {
    pub(crate) routes: Routes,
    pub(crate) limits: Limits,
    pub(crate) request_limits: RequestLimits,
    pub(crate) application: Application,
    pub(crate) ui: Option<Ui>,
    pub(crate) health: Health,
}

impl Front {
    pub(crate) fn ready() -> Self {
        Self {
            routes: routes(),
            limits: Limits::default(),
            request_limits: request_limits(),
            application: Application::Mounted,
            ui: None,
            health: health_in(Phase::Ready),
        }
    }

    pub(crate) fn start<F>(self, answer: impl Fn(HttpCall) -> F + Send + Sync + 'static) -> Server
    where
        F: Future<Output = Result<HttpReply, crate::backend::CallError>> + Send + 'static,
    {
        let rest = Rest::new(self.routes, self.request_limits, self.health);
        rest.mount(Mounted {
            backend: Arc::new(Backend::Scripted(Script::http(answer))),
            application: self.application,
            ui: self.ui.map(Arc::new),
        });
        Bound::bind("REST", loopback()).unwrap().serve(Arc::new(rest), Protocol::Http, self.limits)
    }
}

/// A reply of the scripted agent.
pub(crate) fn says(text: impl Into<String>) -> HttpReply {
    http::Response::new(ReplyBody::Complete(Bytes::from(text.into())))
}

/// An answer read off the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn error_code(&self) -> String {
        self.json()["error_code"].as_str().unwrap_or("none").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends exactly `head` and `body`, adding `host` and `connection: close`, and reads to the end.
pub(crate) async fn send(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let mut request = format!("{line} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n");
    for header in headers.lines() {
        request.push_str(header.trim());
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    parse(&bytes)
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, &format!("GET {path}"), b"").await
}

/// Reads one answer with `content-length` or chunks, or until the end.
pub(crate) fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, value.trim().parse().unwrap());
    }
    let mut body = bytes[end + 4..].to_vec();
    if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        body = dechunk(&body);
    }
    Answer { status, headers, body }
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        let start = end + 2;
        if size == 0 {
            break;
        }
        body.extend_from_slice(&bytes[start..start + size]);
        bytes = &bytes[start + size + 2..];
    }
    body
}
