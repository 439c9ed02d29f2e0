//! The port Prometheus reads: `/metrics` and nothing else.

use std::sync::Arc;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::audit::Audit;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::otlp::Export;
use crate::surfaces::Payload;
use crate::surfaces::reply::not_found;
use crate::surfaces::serve::{Peer, Serve};

/// What is read, and what it is looked up in.
#[derive(Debug)]
pub struct Scraped {
    /// What was counted.
    pub metrics: Metrics,
    /// The state of the process.
    pub health: Health,
    /// The record, whose events are counted.
    pub audit: Audit,
    /// What is sent to collectors, which is counted.
    pub export: Arc<Export>,
}

impl Serve for Scraped {
    type Body = Payload;

    async fn answer(self: Arc<Self>, request: Request<Incoming>, _peer: Peer) -> Response<Payload> {
        if request.uri().path() != "/metrics" {
            return not_found();
        }
        if request.method() != Method::GET {
            let mut response = Response::new(Payload::empty());
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        let text = self.metrics.text(&self.health, &self.audit, &self.export);
        let mut response = Response::new(Payload::known(text.into()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
