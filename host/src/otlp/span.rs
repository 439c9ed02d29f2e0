//! Spans: who makes them, what is in one, and how it ends.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Message, Status};
use par_sandbox::trace::TraceParent;
use prost::Message as _;

use super::queue::Queue;
use super::resource::{self, Resource};
use super::sampler::Sampler;
use super::sending::Sent;
use super::value::{id, pair, text};

/// Whether the context says that its own or its parent's place is known, and that the parent is elsewhere.
const REMOTE_IS_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// Longest text of an attribute. Unit: bytes.
const MOST_TEXT: usize = 1024;

/// On which side of a conversation a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It answers somebody else's request.
    Server,
    /// It is a request to somebody else.
    Client,
    /// It is neither.
    Internal,
}

/// The method of a request, if it is one that everybody has: others are no names for spans.
#[must_use]
pub fn known_method(method: &str) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method)
}

/// What an attribute may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// A text; a long one is cut.
    Text(String),
    /// A whole number.
    Number(i64),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text[..text.floor_char_boundary(MOST_TEXT)].to_owned())
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u16> for Attribute {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<Attribute> for AnyValue {
    fn from(attribute: Attribute) -> Self {
        match attribute {
            Attribute::Text(value) => text(value),
            Attribute::Number(number) => Self { value: Some(Any::IntValue(number)) },
        }
    }
}

/// Makes spans, where they are sent anywhere.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<(Arc<Queue<Finished>>, Sampler)>);

/// The trace of one request, as it goes on from here.
#[derive(Debug)]
pub struct Trace {
    /// What comes after is told this: the span of the request, and whether it is recorded.
    pub context: TraceParent,
    /// That span, if it is recorded.
    pub span: Option<Span>,
}

impl Tracer {
    pub(super) fn new(queue: Arc<Queue<Finished>>, sampler: Sampler) -> Self {
        Self(Some((queue, sampler)))
    }

    /// The span of something that `came` with a trace, or begins one; nothing where no spans are made at all.
    #[must_use]
    pub fn begin(&self, name: &str, kind: Kind, came: Option<TraceParent>, at: Instant) -> Option<Trace> {
        let (queue, sampler) = self.0.as_ref()?;
        let own = came.unwrap_or_else(|| TraceParent::new(fastrand::u128(1..), 1, true)).next();
        let recorded = sampler.records(came.as_ref(), &own);
        let context = own.with_sampled(recorded);
        let span = recorded.then(|| {
            let mut span = Recording { queue: Arc::clone(queue), context }.open(name, kind, came.as_ref(), at);
            if came.is_some() {
                span.message.flags |= REMOTE;
            }
            span
        });
        Some(Trace { context, span })
    }

    /// What records spans below `parent`, which is one of this process.
    #[must_use]
    pub fn below(&self, parent: TraceParent) -> Option<Recording> {
        self.0.as_ref().map(|(queue, _)| Recording { queue: Arc::clone(queue), context: parent })
    }
}

/// A recorded span as others see it: they make the spans below it.
#[derive(Debug, Clone)]
pub struct Recording {
    queue: Arc<Queue<Finished>>,
    context: TraceParent,
}

impl Recording {
    /// A span below this one that began at `at`.
    #[must_use]
    pub fn child(&self, name: &str, kind: Kind, at: Instant) -> Span {
        self.child_as(self.context.next(), name, kind, at)
    }

    /// The same under an id that somebody was told already.
    #[must_use]
    pub fn child_as(&self, context: TraceParent, name: &str, kind: Kind, at: Instant) -> Span {
        Self { queue: Arc::clone(&self.queue), context }.open(name, kind, Some(&self.context), at)
    }

    fn open(self, name: &str, kind: Kind, parent: Option<&TraceParent>, at: Instant) -> Span {
        let kind = match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        };
        let message = Box::new(Message {
            trace_id: id(self.context.trace_id()).unwrap_or_default(),
            span_id: id(self.context.span_id()).unwrap_or_default(),
            parent_span_id: parent.and_then(|parent| id(parent.span_id())).unwrap_or_default(),
            flags: REMOTE_IS_KNOWN | u32::from(self.context.flags()),
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: nanoseconds(at),
            ..Message::default()
        });
        Span { recording: self, message, began: at, ended: None }
    }
}

/// A span that goes on until it is dropped.
#[derive(Debug)]
pub struct Span {
    recording: Recording,
    message: Box<Message>,
    began: Instant,
    ended: Option<Instant>,
}

impl Span {
    /// Its place in the trace.
    #[must_use]
    pub const fn context(&self) -> TraceParent {
        self.recording.context
    }

    /// What makes the spans below it.
    #[must_use]
    pub fn recording(&self) -> Recording {
        self.recording.clone()
    }

    /// Names it anew.
    pub fn name(&mut self, name: &str) {
        name.clone_into(&mut self.message.name);
    }

    /// What tracing systems added to the trace.
    pub fn state(&mut self, state: &str) {
        state.clone_into(&mut self.message.trace_state);
    }

    /// Adds an attribute, which must not be there yet. Nothing of a body, a header or a query belongs in one.
    pub fn set(&mut self, key: &'static str, value: impl Into<Attribute>) {
        self.message.attributes.push(pair(key, value.into().into()));
    }

    /// It failed, in a way of which there are few.
    pub fn fail(&mut self, kind: &str) {
        if self.message.status.is_none() {
            self.set("error.type", kind);
            self.message.status = Some(Status { code: StatusCode::Error.into(), message: String::new() });
        }
    }

    /// It is over since then.
    pub fn ended_at(mut self, at: Instant) {
        self.ended = Some(at);
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let mut message = std::mem::take(&mut self.message);
        let took = self.ended.unwrap_or_else(Instant::now).saturating_duration_since(self.began);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        message.end_time_unix_nano = message.start_time_unix_nano.saturating_add(nanos);
        let bytes = message.encoded_len();
        self.recording.queue.push(Finished(message), bytes);
    }
}

/// The time of day at an instant.
#[expect(clippy::disallowed_methods, reason = "spans have the time of day")]
fn nanoseconds(at: Instant) -> u64 {
    let at = SystemTime::now().checked_sub(at.elapsed()).unwrap_or(UNIX_EPOCH);
    at.duration_since(UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or_default()
}

/// A span that is over.
#[derive(Debug)]
pub(super) struct Finished(Box<Message>);

impl Sent for Finished {
    fn message(batch: Vec<Self>, resource: &Resource) -> Vec<u8> {
        let spans = batch.into_iter().map(|Self(span)| *span).collect();
        let scope_spans = vec![ScopeSpans { scope: Some(resource::scope()), spans, ..ScopeSpans::default() }];
        let of_one = ResourceSpans { resource: Some(resource.message()), scope_spans, ..ResourceSpans::default() };
        ExportTraceServiceRequest { resource_spans: vec![of_one] }.encode_to_vec()
    }

    fn refused(answer: &[u8]) -> u64 {
        let answer = ExportTraceServiceResponse::decode(answer).ok();
        let partial = answer.and_then(|answer| answer.partial_success);
        partial.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or_default()
    }
}
