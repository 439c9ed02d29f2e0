//! The A2A port: `pixell.agent.AgentService` and `grpc.health.v1`, over HTTP/2 without TLS; or, in [`http`], the
//! application of an agent that speaks A2A over HTTP.
//!
//! The standard A2A protocol (JSON-RPC over HTTP, agent card) is no gRPC service: its place is
//! on the REST port, beside [`rest`](crate::surfaces::rest); see `docs/surfaces.md`.

pub mod codec;
mod deadline;
mod health;
pub mod http;
mod invoke;
pub mod proto;
mod service;
mod timely;

use std::sync::Arc;
use std::time::Duration;

use ::http::uri::PathAndQuery;
use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tower::ServiceExt;

use crate::backend::Backend;
use crate::health::Health;
use crate::surfaces::serve::{Peer, Serve};
use proto::agent_service_server::AgentServiceServer;
use service::AgentService;
use timely::Timely;

/// What the service says about the agent, and what answers it.
#[derive(Debug)]
pub struct A2aAgent {
    /// `AGENT_APP_ID`.
    pub app_id: Arc<str>,
    /// `name` of the manifest.
    pub name: String,
    /// `version` of the manifest.
    pub version: String,
    /// `description` of the manifest.
    pub description: String,
    /// Longest time one action may take. Source: `REQUEST_TIMEOUT_SEC`, default 30 s.
    pub timeout: Duration,
    /// Largest message taken, in bytes. Source: `A2A_MAX_MESSAGE_BYTES`, default 4 MiB.
    pub message_bytes: usize,
    /// The state of the process.
    pub health: Health,
    /// What runs actions.
    pub backend: Arc<Backend>,
}

/// The A2A surface.
#[derive(Debug)]
pub struct A2a {
    router: axum::Router,
    /// `/agents/{id}/a2a`, which load balancers leave in front of the path.
    prefix: String,
    timeout: Duration,
}

impl A2a {
    /// The surface for `agent`.
    #[must_use]
    pub fn new(agent: A2aAgent) -> Self {
        let prefix = prefix(&agent.app_id);
        let (most, health, timeout) = (agent.message_bytes, agent.health.clone(), agent.timeout);
        let agent = AgentServiceServer::new(AgentService::new(agent))
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(most);
        let health = HealthServer::new(health::Standard::new(health));
        let router = Routes::new(agent).add_service(health).prepare().into_axum_router();
        Self { router, prefix, timeout }
    }

    /// The target without the prefix of the load balancer, where it has it.
    fn without_prefix(&self, uri: &Uri) -> Option<Uri> {
        let rest = uri.path().strip_prefix(&self.prefix).filter(|rest| rest.starts_with('/'))?;
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(rest).ok()?);
        Uri::from_parts(parts).ok()
    }
}

impl Serve for A2a {
    type Body = axum::body::Body;

    async fn answer(self: Arc<Self>, mut request: Request<Incoming>, _peer: Peer) -> Response<axum::body::Body> {
        if !is_grpc(request.headers()) {
            let mut response = Response::new(axum::body::Body::empty());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        if let Some(uri) = self.without_prefix(request.uri()) {
            *request.uri_mut() = uri;
        }
        let request = request.map(|body| axum::body::Body::new(Timely::new(body, self.timeout)));
        let mut response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        word_as_grpc_python(response.headers_mut());
        response
    }
}

/// What load balancers that route by path leave in front of it.
fn prefix(app_id: &str) -> String {
    format!("/agents/{app_id}/a2a")
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Two answers of the library are worded as the platform's clients know them from the original
/// server: a message over the limit, and a method that does not exist.
fn word_as_grpc_python(headers: &mut HeaderMap) {
    const STATUS: &str = "grpc-status";
    const MESSAGE: &str = "grpc-message";
    // Only answers that failed before a body began have their status here.
    match headers.get(STATUS).map(HeaderValue::as_bytes) {
        // OUT_OF_RANGE, which nothing of ours answers: the message was too large.
        Some(b"11") => {
            headers.insert(STATUS, HeaderValue::from_static("8"));
        }
        Some(b"12") if !headers.contains_key(MESSAGE) => {
            headers.insert(MESSAGE, HeaderValue::from_static("Method not found!"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
