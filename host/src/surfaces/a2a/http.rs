//! A2A over HTTP on the A2A port, for agents that bring an application of their own
//! (`a2a.http_server`) in the place of gRPC actions.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::backend::{Backend, Surface};
use crate::health::Health;
use crate::surfaces::Payload;
use crate::surfaces::agent::{self, Received, RequestLimits};
use crate::surfaces::reply::{Asked, ErrorCode};
use crate::surfaces::serve::{Peer, Serve};

/// The agent's application, and nothing else.
#[derive(Debug)]
pub struct A2aHttp {
    app_id: Arc<str>,
    /// `/agents/{id}/a2a`, which load balancers leave in front of the path.
    prefix: Arc<str>,
    at_root: Arc<str>,
    limits: RequestLimits,
    health: Health,
    backend: Arc<Backend>,
}

impl A2aHttp {
    /// The surface of the agent `app_id`.
    #[must_use]
    pub fn new(app_id: Arc<str>, limits: RequestLimits, health: Health, backend: Arc<Backend>) -> Self {
        let prefix = super::prefix(&app_id).into();
        Self { app_id, prefix, at_root: "".into(), limits, health, backend }
    }

    async fn respond(&self, received: Received) -> Response<Payload> {
        let asked = Asked { request_id: received.request_id, agent: &self.app_id, allowed: self.limits.timeout };
        let uri = &received.head.uri;
        let path = match asked.path(uri) {
            Ok(path) => path,
            Err(code) => return asked.error(code),
        };
        if !self.health.look().serves_agent() {
            return asked.error(ErrorCode::Unavailable);
        }
        let prefixed = path.strip_prefix(&*self.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let root_path = Arc::clone(if prefixed { &self.prefix } else { &self.at_root });
        drop(path);
        agent::ask(&self.backend, &self.app_id, self.limits, Surface::A2a, root_path, received).await
    }
}

impl Serve for A2aHttp {
    type Body = Payload;

    async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Response<Payload> {
        agent::answer(request, peer, async |received| self.respond(received).await).await
    }
}
