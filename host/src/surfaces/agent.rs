//! One HTTP request, handed to the agent and brought back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderName, Method, Request, Response, Uri};
use hyper::body::Incoming;

use crate::backend::{Backend, HttpCall, Surface};
use crate::surfaces::Payload;
use crate::surfaces::intake::{self, Intake, Refused};
use crate::surfaces::reply::{Asked, ErrorCode, without_body};
use crate::surfaces::request_id::RequestId;
use crate::surfaces::serve::Peer;
use crate::surfaces::spans::{Below, Continued};

/// The id of a request, on its answer.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What bounds one request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// From the last byte of the head to the head of the answer. Source:
    /// `REQUEST_TIMEOUT_SEC`, default 30 s.
    pub timeout: Duration,
    /// Largest body of a request, in bytes; nothing means that only the agent's own memory
    /// bounds it, since bodies are streamed.
    pub body_bytes: Option<u64>,
}

/// One request, as the surface received it.
pub(crate) struct Received {
    pub(crate) head: Parts,
    pub(crate) body: Incoming,
    pub(crate) peer: Peer,
    pub(crate) at: Instant,
    pub(crate) request_id: RequestId,
}

/// Answers what came on the port of one surface, as `respond` says: with its id, and without a body where none was asked
/// for.
pub(crate) async fn answer(
    request: Request<Incoming>,
    peer: Peer,
    respond: impl AsyncFnOnce(Received) -> Response<Payload>,
) -> Response<Payload> {
    let request_id = RequestId::of(request.headers(), request.extensions());
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let mut response = respond(Received { head, body, peer, at: Instant::now(), request_id }).await;
    if is_head {
        response = without_body(response);
    }
    response.headers_mut().insert(X_REQUEST_ID, request_id.header());
    response
}

/// Asks the agent and waits for the head of its answer.
pub(crate) async fn ask(
    backend: &Backend,
    agent: &str,
    limits: RequestLimits,
    surface: Surface,
    root_path: Arc<str>,
    received: Received,
) -> Response<Payload> {
    let Received { mut head, body, peer, at, request_id } = received;
    let asked = Asked { request_id, agent, allowed: limits.timeout };
    let deadline = at + limits.timeout;
    if let Err(refused) = intake::clean(&mut head) {
        return asked.refused(refused);
    }
    let length = head.headers.get(CONTENT_LENGTH);
    let Intake { body, arrival } = match intake::take(body, length, limits.body_bytes, deadline.into()).await {
        Ok(intake) => intake,
        Err(refused) => return asked.refused(refused),
    };
    let method = head.method.clone();
    let mut span = Continued::call(&head.extensions, "agent");
    head.extensions.remove::<Continued>();
    let name = request_id.settle(&mut head.headers, span.as_ref());
    let call = HttpCall {
        surface,
        head,
        body,
        root_path,
        client: Some(peer.client),
        server: peer.server,
        deadline,
        request_id: name,
    };
    let reply = match &arrival {
        None => backend.http(call).await,
        Some(arrival) => {
            let reply = tokio::select! {
                biased;
                () = arrival.is_too_slow(deadline.into()) => return asked.refused(Refused::BodyTimeout),
                reply = backend.http(call) => reply,
            };
            if arrival.was_too_large() {
                return asked.error(ErrorCode::BodyTooLarge);
            }
            reply
        }
    };
    let mut response = match reply {
        Ok(reply) => asked.accept(reply, &method),
        Err(error) => {
            span.iter_mut().for_each(|span| span.fail(ErrorCode::of(&error).word()));
            asked.failed(&error)
        }
    };
    Below::attach(span, &mut response);
    response
}

/// The same target with another path.
pub(crate) fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}
