//! The name of one request, in the answer and in the log, and the trace it belongs to.

use std::fmt;

use http::Extensions;
use http::HeaderValue;
use http::header::HeaderMap;
use ulid::Ulid;

use crate::backend::trace::{self, RequestName, TRACEPARENT, TRACESTATE, TraceParent};
use crate::otlp::Span;
use crate::surfaces::spans::Continued;

/// A ULID: sorted by time, unique without coordination. Never taken from the client, as the trace is.
#[derive(Clone, Copy)]
pub(crate) struct RequestId {
    text: [u8; ulid::ULID_LEN],
    parent: TraceParent,
}

impl RequestId {
    /// A new id, for a request with these headers. Where spans are made, the trace goes on with that of the request. Elsewhere
    /// one without a trace begins one, which may be recorded: whether it is, those decide who record.
    pub(crate) fn of(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let mut text = [0; ulid::ULID_LEN];
        Ulid::generate().array_to_str(&mut text);
        let continued = extensions.get::<Continued>().map(|continued| continued.context);
        let begun = || TraceParent::new(fastrand::u128(..), fastrand::u64(..), true);
        Self { text, parent: continued.or_else(|| TraceParent::of(headers)).unwrap_or_else(begun) }
    }

    /// The 26 characters.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The id of the trace.
    pub(crate) fn trace_id(&self) -> &str {
        self.parent.trace_id()
    }

    /// The id as the value of `x-request-id`.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }

    /// What the request is called from here on, inside the span `call` where that is recorded. Its headers say the same trace: what
    /// was garbage in them is replaced.
    pub(crate) fn settle(&self, headers: &mut HeaderMap, call: Option<&Span>) -> RequestName {
        let came = TraceParent::of(headers).is_some();
        // What tracing systems added belongs to the trace they added it to.
        let state = came.then(|| trace::state_of(headers)).flatten();
        let parent = call.map_or(self.parent, Span::context);
        headers.insert(TRACEPARENT, parent.header());
        match &state {
            Some(state) => drop(headers.insert(TRACESTATE, state.clone())),
            None => drop(headers.remove(TRACESTATE)),
        }
        match call {
            Some(_) => RequestName::recorded(self.as_str(), parent, state),
            None => RequestName::traced(self.as_str(), parent, state),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::RequestId;

    const PARENT: HeaderValue = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

    fn of(headers: &HeaderMap) -> RequestId {
        RequestId::of(headers, &http::Extensions::new())
    }

    #[test]
    fn ids_are_26_characters_and_differ() {
        let (first, second) = (of(&HeaderMap::new()), of(&HeaderMap::new()));

        assert_eq!(first.as_str().len(), 26);
        assert_ne!(first.as_str(), second.as_str());
        assert_ne!(first.trace_id(), second.trace_id());
        assert_eq!(first.header().as_bytes(), first.as_str().as_bytes());
    }

    #[test]
    fn a_trace_goes_on_and_garbage_does_not() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", PARENT);
        headers.insert("tracestate", HeaderValue::from_static("a=1"));
        let id = of(&headers);
        let name = id.settle(&mut headers, None);
        assert_eq!(name.trace_id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!((&headers["traceparent"], &headers["tracestate"]), (&PARENT, &HeaderValue::from_static("a=1")));

        // Two of them are none.
        headers.append("traceparent", PARENT);
        let id = of(&headers);
        id.settle(&mut headers, None);
        assert_ne!(id.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(headers.get_all("traceparent").iter().count(), 1);
        assert!(!headers.contains_key("tracestate"));
    }
}
