//! What is on the record of an outbound request, as a span.

use std::time::Instant;

use par_policy::{Capability, Decision};
use par_sandbox::AuditRecord;
use url::Url;

use crate::otlp::{Kind, Span, Tracer, known_method};

/// Makes the span of an outbound request that is over or was denied, if its trace is recorded. Nothing is in it that is not on
/// the record: no query, no header, no body.
pub(super) fn of(record: &AuditRecord, tracer: &Tracer) {
    let AuditRecord { event, request_id: Some(request), span: Some(context), .. } = record else { return };
    let recording = request.recorded_span().and_then(|parent| tracer.below(*parent));
    let Some(recording) = recording.filter(|_| event.capability == Capability::Outbound) else { return };
    let now = Instant::now();
    let began = now.checked_sub(record.duration).unwrap_or(now);
    let asked =
        event.target.split_once(' ').and_then(|(method, url)| Some((known_method(method), Url::parse(url).ok()?)));
    let method = asked.as_ref().and_then(|(method, _)| *method);
    let mut span = recording.child_as(*context, method.unwrap_or("HTTP"), Kind::Client, began);
    if let Some((_, url)) = &asked {
        span.set("http.request.method", method.unwrap_or("_OTHER"));
        describe(&mut span, url);
    }
    if let Some(status) = record.status {
        span.set("http.response.status_code", status);
        if status >= 400 {
            span.fail(&status.to_string());
        }
    } else if event.decision == Decision::Allowed {
        span.fail("no_response");
    }
    span.set("par.decision", event.decision.as_str());
    if let Some(rule) = &event.rule {
        span.set("par.rule", rule.as_str());
    }
    if let (Decision::Denied, Some(code)) = (event.decision, event.code) {
        span.fail(code.as_str());
    }
    span.ended_at(now);
}

fn describe(span: &mut Span, url: &Url) {
    span.set("url.full", url.as_str());
    if let Some(host) = url.host_str() {
        span.set("server.address", host);
    }
    if let Some(port) = url.port_or_known_default() {
        span.set("server.port", port);
    }
}
