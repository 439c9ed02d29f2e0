//! The endpoints the platform asks: health in its shapes, metadata, the index.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::backend::Backend;
use crate::health::{Snapshot, Standing};
use crate::lifecycle::Phase;
use crate::surfaces::Payload;
use crate::surfaces::reply::{json_response, method_not_allowed};
use crate::surfaces::route::Routes;

/// What `{BASE_PATH}/meta` tells.
#[derive(Debug, Clone)]
pub struct Meta {
    /// `name` of the manifest.
    pub name: String,
    /// `version` of the manifest.
    pub version: String,
    /// `description` of the manifest.
    pub description: String,
    /// `author` of the manifest.
    pub author: String,
    /// When the package was built, ISO 8601 without a zone; unknown for most packages.
    pub build_time: Option<String>,
    /// Whether the agent has REST, A2A and UI.
    pub surfaces: Surfaces,
    /// `sandbox` or `native`.
    pub backend: &'static str,
    /// Why it runs outside the sandbox, where it does.
    pub because: Option<String>,
    /// From the start of the process to ready, in milliseconds.
    pub boot_ms: f64,
    /// The phases of that, in milliseconds, in order.
    pub phases_ms: Vec<(&'static str, f64)>,
}

/// Which surfaces an agent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surfaces {
    /// REST.
    pub rest: bool,
    /// A2A.
    pub a2a: bool,
    /// UI.
    pub ui: bool,
}

impl Meta {
    pub(crate) fn to_json(&self) -> Value {
        let phases: serde_json::Map<_, _> =
            self.phases_ms.iter().map(|(name, ms)| ((*name).to_owned(), json!(ms))).collect();
        json!({
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "author": self.author,
            "build_time": self.build_time,
            "surfaces": {"a2a": self.surfaces.a2a, "rest": self.surfaces.rest, "ui": self.surfaces.ui},
            "backend": self.backend,
            "backend_because": self.because,
            "boot_stats": {"total_ms": self.boot_ms, "phases_ms": phases},
        })
    }
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "answers have the time of day")]
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Built-ins are read, never written.
pub(crate) fn reads_only(method: &Method) -> Option<Response<Payload>> {
    (!matches!(*method, Method::GET | Method::HEAD)).then(|| method_not_allowed("GET, HEAD"))
}

fn ok_or_503(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn health_body(now: Snapshot) -> Value {
    let ok = now.is_ok();
    let mut body = json!({
        "ok": ok,
        "surfaces": {
            "rest": ok && now.rest.is_up(),
            "a2a": ok && now.a2a.is_up(),
            "ui": ok && now.ui.is_up(),
        },
        "timestamp": now_ms(),
    });
    if now.is_native {
        body["backend"] = json!(Backend::NATIVE);
    }
    body
}

/// `/health`: 200 only while every configured surface is up.
pub(crate) fn health(now: Snapshot) -> Response<Payload> {
    json_response(ok_or_503(now.is_ok()), &health_body(now))
}

/// `/agents/{id}/health`: the shape of `/health` and the one a supervisor asks for, in one.
pub(crate) fn agent_health(now: Snapshot, routes: &Routes, id: &str, loaded: bool) -> Response<Payload> {
    if id != &*routes.agent_app_id {
        let body = json!({"error": "Agent not found", "agentId": id, "loaded": false});
        return json_response(StatusCode::NOT_FOUND, &body);
    }
    let mut body = health_body(now);
    body["agentId"] = json!(id);
    if loaded {
        body["status"] = json!(now.phase.word());
    } else {
        body["error"] = json!("No package loaded");
        body["status"] = json!(Phase::Starting.word());
    }
    body["loaded"] = json!(loaded);
    json_response(ok_or_503(now.is_ok() && loaded), &body)
}

/// `/a2a/health`.
pub(crate) fn a2a_health(now: Snapshot) -> Response<Payload> {
    match now.a2a {
        Standing::Up => json_response(StatusCode::OK, &json!({"ok": true, "service": "a2a", "timestamp": now_ms()})),
        Standing::Absent => json_response(StatusCode::NOT_FOUND, &json!({"detail": "A2A service not available"})),
        Standing::Down => json_response(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({"detail": "gRPC health failed: the service is not listening"}),
        ),
    }
}

/// `/ui/health`: 200 whether or not there is a UI; `ok` tells.
pub(crate) fn ui_health(now: Snapshot) -> Response<Payload> {
    let body = json!({"ok": now.ui.is_up(), "service": "ui", "timestamp": now_ms()});
    json_response(StatusCode::OK, &body)
}

/// `/meta`, before and after the package is loaded.
pub(crate) fn meta(meta: Option<&Value>) -> Response<Payload> {
    match meta {
        Some(meta) => json_response(StatusCode::OK, meta),
        None => json_response(StatusCode::NOT_FOUND, &json!({"detail": "No package loaded"})),
    }
}

/// `{BASE_PATH}/` for agents that are handed a router and have no page of their own there.
pub(crate) fn index() -> Response<Payload> {
    let body = json!({
        "service": "Pixell Agent Runtime",
        "version": env!("CARGO_PKG_VERSION"),
        "endpoints": {
            "health": "/health",
            "metadata": "/meta",
            "a2a_health": "/a2a/health",
            "ui_health": "/ui/health",
        },
    });
    json_response(StatusCode::OK, &body)
}
