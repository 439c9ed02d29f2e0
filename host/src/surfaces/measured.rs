//! A surface whose requests are counted, timed and traced.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::health::SurfaceName;
use crate::metrics::{Metrics, Outcome};
use crate::otlp::Tracer;
use crate::surfaces::serve::{Peer, Serve};
use crate::surfaces::spans::{self, Spanned};

/// A surface, where its requests are counted, and what makes a span of each.
#[derive(Debug)]
pub struct Measured<S> {
    surface: Arc<S>,
    name: SurfaceName,
    metrics: Metrics,
    tracer: Tracer,
}

impl<S> Measured<S> {
    /// Counts and traces the requests of `surface` under its name.
    #[must_use]
    pub const fn new(surface: Arc<S>, name: SurfaceName, metrics: Metrics, tracer: Tracer) -> Self {
        Self { surface, name, metrics, tracer }
    }
}

impl<S: Serve> Serve for Measured<S> {
    type Body = Spanned<S::Body>;

    async fn answer(self: Arc<Self>, mut request: Request<Incoming>, peer: Peer) -> Response<Self::Body> {
        let begun = Instant::now();
        let request_in_flight =
            Unanswered { metrics: &self.metrics, name: self.name, begun, outcome: Outcome::Abandoned };
        let in_flight = self.metrics.in_flight(self.name);
        let serving = spans::begin(&self.tracer, self.name, &mut request, peer, begun);
        let response = Arc::clone(&self.surface).answer(request, peer).await;
        request_in_flight.ended(outcome(response.status(), response.headers()));
        spans::spanned(serving, in_flight, response)
    }
}

/// A request until the head of its answer; one that is dropped before was abandoned by its client.
struct Unanswered<'a> {
    metrics: &'a Metrics,
    name: SurfaceName,
    begun: Instant,
    outcome: Outcome,
}

impl Unanswered<'_> {
    fn ended(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.metrics.request(self.name, self.outcome, self.begun.elapsed());
    }
}

/// How a request went, by what its head says. An answer of gRPC that failed before its body began has its status there.
fn outcome(status: StatusCode, headers: &HeaderMap) -> Outcome {
    match headers.get("grpc-status").map(http::HeaderValue::as_bytes) {
        None | Some(b"0") => {}
        // UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
        Some(b"2" | b"4" | b"8" | b"13" | b"14" | b"15") => return Outcome::ServerError,
        Some(_) => return Outcome::ClientError,
    }
    match status.as_u16() {
        500.. => Outcome::ServerError,
        400.. => Outcome::ClientError,
        _ => Outcome::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_count_by_their_status_and_those_of_grpc_by_theirs() {
        let of = |status: u16, grpc: Option<&'static str>| {
            let headers =
                grpc.map(|code| (http::HeaderName::from_static("grpc-status"), http::HeaderValue::from_static(code)));
            outcome(StatusCode::from_u16(status).unwrap(), &headers.into_iter().collect())
        };

        assert_eq!([of(200, None), of(304, None), of(200, Some("0"))], [Outcome::Ok; 3]);
        assert_eq!([of(404, None), of(200, Some("12")), of(200, Some("3"))], [Outcome::ClientError; 3]);
        assert_eq!([of(503, None), of(200, Some("14")), of(200, Some("8"))], [Outcome::ServerError; 3]);
    }
}
