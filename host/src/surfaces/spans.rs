//! The span of a request: what is told of it, and where it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::{Extensions, HeaderMap, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};

use super::serve::Peer;
use crate::backend::trace::{TraceParent, state_of};
use crate::health::SurfaceName;
use crate::metrics::InFlight;
use crate::otlp::{Kind, Recording, Span, Trace, Tracer, known_method};

/// Longest path that is told. Unit: bytes.
const MOST_PATH: usize = 512;

/// The methods of gRPC there are here; what else a client names is no name for a span.
const METHODS: [&str; 7] = [
    "pixell.agent.AgentService/Health",
    "pixell.agent.AgentService/DescribeCapabilities",
    "pixell.agent.AgentService/Invoke",
    "pixell.agent.AgentService/Ping",
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/List",
    "grpc.health.v1.Health/Watch",
];

/// The trace of a request, in its extensions, where spans are made.
#[derive(Debug, Clone)]
pub(crate) struct Continued {
    /// The span of the request.
    pub(crate) context: TraceParent,
    /// What makes the spans below it, if it is recorded.
    pub(crate) recording: Option<Recording>,
}

impl Continued {
    /// The span of what the agent does for the request, if it is recorded.
    pub(crate) fn call(extensions: &Extensions, name: &str) -> Option<Span> {
        let recording = extensions.get::<Self>()?.recording.as_ref()?;
        Some(recording.child(name, Kind::Internal, Instant::now()))
    }
}

/// The pattern of paths that answered, in the extensions of a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matched(pub(crate) &'static str);

/// What goes on until the body of a response is over, in its extensions.
#[derive(Debug, Clone)]
pub(crate) struct Below(#[expect(dead_code, reason = "held, not read")] Arc<Span>);

impl Below {
    /// Lets a span end with the body.
    pub(crate) fn attach<B>(span: Option<Span>, response: &mut Response<B>) {
        if let Some(span) = span {
            response.extensions_mut().insert(Self(Arc::new(span)));
        }
    }
}

/// Begins the span of a request and lets whoever answers it know. Nothing where no spans are made.
pub(super) fn begin<B>(
    tracer: &Tracer,
    surface: SurfaceName,
    request: &mut Request<B>,
    peer: Peer,
    at: Instant,
) -> Option<Box<Serving>> {
    let came = TraceParent::of(request.headers());
    let method = known_method(request.method().as_str());
    let Trace { context, span } = tracer.begin(method.unwrap_or("HTTP"), Kind::Server, came, at)?;
    let recording = span.as_ref().map(Span::recording);
    let serving = span.map(|mut span| {
        if let Some(state) = came.and_then(|_| state_of(request.headers())) {
            span.state(state.to_str().unwrap_or_default());
        }
        describe(&mut span, surface, request, peer);
        let rpc = rpc(request);
        if let Some(rpc) = rpc {
            span.name(rpc);
        }
        Box::new(Serving { method, is_rpc: rpc.is_some(), is_answered: false, below: None, span })
    });
    request.extensions_mut().insert(Continued { context, recording });
    serving
}

/// What the head of a request tells, but for headers and query.
fn describe<B>(span: &mut Span, surface: SurfaceName, request: &Request<B>, peer: Peer) {
    let path = request.uri().path();
    span.set("http.request.method", known_method(request.method().as_str()).unwrap_or("_OTHER"));
    span.set("url.scheme", "http");
    span.set("url.path", &path[..path.floor_char_boundary(MOST_PATH)]);
    span.set("network.protocol.version", if request.version() == Version::HTTP_2 { "2" } else { "1.1" });
    span.set("server.port", peer.server.port());
    span.set("par.surface", surface.as_str());
    if let Some((service, method)) = rpc(request).and_then(|rpc| rpc.split_once('/')) {
        span.set("rpc.system", "grpc");
        span.set("rpc.service", service);
        span.set("rpc.method", method);
    }
}

/// The method of gRPC a request asks for, if it is one.
fn rpc<B>(request: &Request<B>) -> Option<&'static str> {
    let kind = request.headers().get(header::CONTENT_TYPE)?;
    let path = request.uri().path();
    let is_asked = |method: &&str| path.strip_suffix(*method).is_some_and(|before| before.ends_with('/'));
    METHODS.into_iter().find(is_asked).filter(|_| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The span of a request, until its answer is over.
#[derive(Debug)]
pub(super) struct Serving {
    method: Option<&'static str>,
    is_rpc: bool,
    is_answered: bool,
    /// Before the span, so that it ends before it.
    below: Option<Below>,
    span: Span,
}

impl Serving {
    /// The head of the answer is there.
    fn answered(&mut self, status: StatusCode, headers: &HeaderMap, extensions: &mut Extensions) {
        self.is_answered = true;
        self.below = extensions.remove();
        self.span.set("http.response.status_code", status.as_u16());
        if let Some(Matched(route)) = extensions.get() {
            self.span.set("http.route", *route);
            self.span.name(&format!("{} {route}", self.method.unwrap_or("HTTP")));
        }
        if let Some(id) = headers.get("x-request-id").and_then(|id| id.to_str().ok()) {
            self.span.set("par.request_id", id);
        }
        if status.is_server_error() {
            self.span.fail(status.as_str());
        }
        self.grpc(headers);
    }

    /// The status of gRPC, where these headers or trailers have it.
    fn grpc(&mut self, headers: &HeaderMap) {
        let status = headers.get("grpc-status").filter(|_| self.is_rpc);
        let Some(status) = status.and_then(|status| status.to_str().ok()?.parse::<u16>().ok()) else { return };
        self.span.set("rpc.grpc.status_code", status);
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
        if [2, 4, 12, 13, 14, 15].contains(&status) {
            self.span.fail(&status.to_string());
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.is_answered {
            self.span.fail("abandoned");
        }
    }
}

/// A body whose end is that of its request: of what is in flight, and of its span.
#[derive(Debug)]
pub struct Spanned<B> {
    body: B,
    span: Option<Box<Serving>>,
    _in_flight: InFlight,
}

/// Hands what ends with a request to the body of its answer.
pub(super) fn spanned<B>(
    serving: Option<Box<Serving>>,
    in_flight: InFlight,
    response: Response<B>,
) -> Response<Spanned<B>> {
    let (mut head, body) = response.into_parts();
    let span = serving.map(|mut serving| {
        serving.answered(head.status, &head.headers, &mut head.extensions);
        serving
    });
    Response::from_parts(head, Spanned { body, span, _in_flight: in_flight })
}

impl<B: Body + Unpin> Body for Spanned<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(serving) = &mut self.span {
            match &frame {
                Some(Ok(frame)) => frame.trailers_ref().into_iter().for_each(|trailers| serving.grpc(trailers)),
                Some(Err(_)) => serving.span.fail("cut"),
                None => {}
            }
            if !matches!(frame, Some(Ok(_))) {
                self.span = None;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
