//! The REST port: built-ins, the agent's application, and the UI where it is multiplexed.
//!
//! The port is served from the first moment: health answers 503 until everything is up, agent
//! routes answer 503 until [`Rest::mount`] and readiness.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use serde_json::Value;

pub use super::agent::RequestLimits;
use super::agent::{self, Received, X_REQUEST_ID};
pub use super::builtin::{Meta, Surfaces};
use super::cors::CrossOrigin;
use super::reply::{Asked, ErrorCode, not_found, redirect, without_body};
use super::request_id::RequestId;
use super::route::{Route, Routes};
use super::serve::{Peer, Serve};
use super::spans::Matched;
use super::ui::{Ui, UiAnswer};
use super::{Payload, builtin};
use crate::backend::{Backend, Surface};
use crate::health::Health;
use crate::telemetry::events;

/// The REST surface.
#[derive(Debug)]
pub struct Rest {
    routes: Routes,
    limits: RequestLimits,
    health: Health,
    /// The root path of calls below the prefix, and of calls at the root.
    at_base: Arc<str>,
    at_root: Arc<str>,
    /// `{BASE_PATH}/`, where a request for the prefix alone is sent.
    base_slash: String,
    mounted: OnceLock<Mounted>,
    meta: OnceLock<Value>,
}

/// What the REST port serves besides built-ins.
#[derive(Debug)]
pub struct Mounted {
    /// What answers.
    pub backend: Arc<Backend>,
    /// How the agent's application takes part.
    pub application: Application,
    /// The UI, where it is served on this port.
    pub ui: Option<Arc<Ui>>,
}

/// What kind of REST application the agent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Application {
    /// None: its routes are 404.
    None,
    /// Routes mounted on a router of ours (`rest.entry`); `GET {BASE_PATH}/` is the built-in
    /// index.
    Mounted,
    /// An application of its own (`http_server`); it has everything but the built-ins.
    Own,
}

impl Rest {
    /// A surface that knows its paths and not yet its agent.
    #[must_use]
    pub fn new(routes: Routes, limits: RequestLimits, health: Health) -> Self {
        Self {
            limits,
            health,
            at_base: Arc::clone(&routes.base_path),
            at_root: "".into(),
            base_slash: format!("{}/", routes.base_path),
            mounted: OnceLock::new(),
            meta: OnceLock::new(),
            routes,
        }
    }

    /// Puts the agent in place. A second call changes nothing.
    pub fn mount(&self, mounted: Mounted) {
        let _ = self.mounted.set(mounted);
    }

    /// Fills `/meta`. A second call changes nothing.
    pub fn describe(&self, meta: &Meta) {
        let _ = self.meta.set(meta.to_json());
    }

    async fn respond(
        &self,
        head: Parts,
        body: Incoming,
        peer: Peer,
        at: Instant,
        request_id: RequestId,
    ) -> Response<Payload> {
        let asked = Asked { request_id, agent: &self.routes.agent_app_id, allowed: self.limits.timeout };
        // The target is shared with the head, which the agent may be given below.
        let uri = head.uri.clone();
        let path = match asked.path(&uri) {
            Ok(path) => path,
            Err(code) => return asked.error(code),
        };
        let mounted = self.mounted.get();
        let ui = mounted.and_then(|mounted| mounted.ui.as_deref());
        let route = self.routes.decide(&path, ui.map(Ui::prefix));
        let received = Received { head, body, peer, at, request_id };
        match route {
            Route::Nothing => not_found(),
            Route::Agent { prefixed } => self.agent(prefixed, received).await,
            Route::Base if matches!(received.head.method, Method::GET | Method::HEAD) => {
                redirect(&self.base_slash, uri.query())
            }
            // Clients post to the prefix itself; a redirect would lose the body of some.
            Route::Base => match agent::with_path(&uri, &self.base_slash) {
                Some(uri) => {
                    let mut received = received;
                    received.head.uri = uri;
                    self.agent(true, received).await
                }
                None => not_found(),
            },
            Route::Index => {
                let owns = mounted.is_some_and(|mounted| mounted.application == Application::Own);
                let reads = matches!(received.head.method, Method::GET | Method::HEAD);
                if reads && !owns { builtin::index() } else { self.agent(true, received).await }
            }
            Route::Ui(place) => {
                let (Some(mounted), Some(ui)) = (mounted, ui) else { return not_found() };
                match ui.answer(place, &received.head).await {
                    UiAnswer::Done(response) => response,
                    UiAnswer::Rendered(root_path) => {
                        if !self.health.look().serves_agent() {
                            return asked.error(ErrorCode::Unavailable);
                        }
                        let backend = &mounted.backend;
                        agent::ask(backend, asked.agent, self.limits, Surface::Ui, root_path, received).await
                    }
                    UiAnswer::NotMine => self.agent(true, received).await,
                }
            }
            built_in => {
                let mut response = self.built_in(built_in, &received.head);
                if let Some(pattern) = built_in.pattern() {
                    response.extensions_mut().insert(Matched(pattern));
                }
                response
            }
        }
    }

    fn built_in(&self, route: Route<'_>, head: &Parts) -> Response<Payload> {
        if let Some(refused) = builtin::reads_only(&head.method) {
            return refused;
        }
        let now = self.health.look();
        let loaded = self.mounted.get().is_some();
        match route {
            Route::Health => builtin::health(now),
            Route::AgentHealth(id) => builtin::agent_health(now, &self.routes, id, loaded),
            Route::A2aHealth => builtin::a2a_health(now),
            Route::UiHealth => builtin::ui_health(now),
            Route::Meta => builtin::meta(self.meta.get()),
            Route::Base | Route::Index | Route::Ui(_) | Route::Agent { .. } | Route::Nothing => not_found(),
        }
    }

    async fn agent(&self, prefixed: bool, received: Received) -> Response<Payload> {
        let Some(mounted) = self.mounted.get().filter(|_| self.health.look().serves_agent()) else {
            return self.asked(received.request_id).error(ErrorCode::Unavailable);
        };
        if mounted.application == Application::None {
            return not_found();
        }
        let root_path = Arc::clone(if prefixed { &self.at_base } else { &self.at_root });
        let agent = &self.routes.agent_app_id;
        agent::ask(&mounted.backend, agent, self.limits, Surface::Rest, root_path, received).await
    }

    fn asked(&self, request_id: RequestId) -> Asked<'_> {
        Asked { request_id, agent: &self.routes.agent_app_id, allowed: self.limits.timeout }
    }
}

impl Serve for Rest {
    type Body = Payload;

    async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Response<Payload> {
        let at = Instant::now();
        let request_id = RequestId::of(request.headers(), request.extensions());
        let (head, body) = request.into_parts();
        let origin = CrossOrigin::of(&head);
        let is_head = head.method == Method::HEAD;
        let logged =
            tracing::enabled!(tracing::Level::DEBUG).then(|| (head.method.clone(), head.uri.path().to_owned()));

        let mut response = match origin.as_ref().and_then(|origin| origin.preflight(&head)) {
            Some(preflight) => preflight,
            None => {
                let mut response = self.respond(head, body, peer, at, request_id).await;
                if let Some(origin) = origin {
                    origin.open(response.headers_mut());
                }
                response
            }
        };
        if is_head {
            response = without_body(response);
        }
        response.headers_mut().insert(X_REQUEST_ID, request_id.header());

        if let Some((method, path)) = logged {
            tracing::debug!(
                request_id = request_id.as_str(),
                trace_id = request_id.trace_id(),
                method = method.as_str(),
                url = path,
                status_code = response.status().as_u16(),
                process_time = at.elapsed().as_secs_f64(),
                "{}",
                events::REQUEST_PROCESSED
            );
        }
        response
    }
}

#[cfg(test)]
mod tests;
