//! The UI on a port of its own, for `MULTIPLEXED=false`.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::{Ui, UiAnswer};
use crate::backend::{Backend, Surface};
use crate::health::Health;
use crate::surfaces::Payload;
use crate::surfaces::agent::{self, Received, RequestLimits};
use crate::surfaces::builtin::{self, reads_only};
use crate::surfaces::reply::{Asked, ErrorCode, json_response, not_found, redirect};
use crate::surfaces::route::{Route, Routes};
use crate::surfaces::serve::{Peer, Serve};

/// The UI and its health, and nothing else.
#[derive(Debug)]
pub struct UiAlone {
    /// The same paths as on the REST port.
    pub routes: Routes,
    /// For pages the agent renders.
    pub limits: RequestLimits,
    /// The state of the process.
    pub health: Health,
    /// The UI.
    pub ui: Arc<Ui>,
    /// What renders pages.
    pub backend: Arc<Backend>,
}

impl UiAlone {
    async fn respond(&self, received: Received) -> Response<Payload> {
        let allowed = self.limits.timeout;
        let asked = Asked { request_id: received.request_id, agent: &self.routes.agent_app_id, allowed };
        let uri = received.head.uri.clone();
        let path = match asked.path(&uri) {
            Ok(path) => path,
            Err(code) => return asked.error(code),
        };
        let read = |answer: fn(&Self, &Received) -> Response<Payload>| {
            reads_only(&received.head.method).unwrap_or_else(|| answer(self, &received))
        };
        match self.routes.decide(&path, Some(self.ui.prefix())) {
            Route::Health => read(|_, received| {
                let port = received.peer.server.port();
                json_response(StatusCode::OK, &json!({"ok": true, "service": "ui", "port": port}))
            }),
            Route::UiHealth => read(|alone, _| builtin::ui_health(alone.health.look())),
            Route::Ui(place) => match self.ui.answer(place, &received.head).await {
                UiAnswer::Done(response) => response,
                UiAnswer::Rendered(root_path) if self.health.look().serves_agent() => {
                    agent::ask(&self.backend, asked.agent, self.limits, Surface::Ui, root_path, received).await
                }
                UiAnswer::Rendered(_) => asked.error(ErrorCode::Unavailable),
                UiAnswer::NotMine => not_found(),
            },
            Route::Base | Route::Index => read(|alone, _| redirect(alone.ui.home(), None)),
            _ if path == "/" => read(|alone, _| redirect(alone.ui.home(), None)),
            _ => not_found(),
        }
    }
}

impl Serve for UiAlone {
    type Body = Payload;

    async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Response<Payload> {
        agent::answer(request, peer, async |received| self.respond(received).await).await
    }
}
