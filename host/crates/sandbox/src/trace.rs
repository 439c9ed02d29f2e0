//! W3C trace context: which trace a request belongs to. <https://www.w3.org/TR/trace-context/>

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that names the trace and the span a request comes from.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header with what tracing systems add.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Longest `tracestate` that is passed on, in bytes, and its most members. Everybody has to pass on so much.
const STATE_BYTES: usize = 512;
const STATE_MEMBERS: usize = 32;

/// Whether the one who sent the request may have recorded it.
const SAMPLED: u8 = 1;
/// Whether the id of the trace is random.
const RANDOM: u8 = 2;

const LENGTH: usize = 55;

/// A trace, and a span of it: the value of `traceparent`, in version 00.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent([u8; LENGTH]);

impl TraceParent {
    /// Reads a value strictly. Versions to come are read as far as this one goes, as the standard wants it.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_shaped = known.iter().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => *byte == b'-',
            _ => is_hex(byte),
        });
        let (version, trace, span) = (&known[..2], &known[3..35], &known[36..52]);
        let is_one = |id: &[u8]| id.iter().any(|byte| *byte != b'0');
        let ends = rest.is_empty() || (version != b"00" && rest[0] == b'-');
        if !is_shaped || version == b"ff" || !is_one(trace) || !is_one(span) || !ends {
            return None;
        }
        let flags = u8::from_str_radix(std::str::from_utf8(&known[53..]).ok()?, 16).ok()?;
        let known = std::str::from_utf8(&known[3..52]).ok()?;
        Self::written(&format!("00-{known}-{:02x}", flags & (SAMPLED | RANDOM)))
    }

    /// The span `span` of the trace `trace`. Zero is no id, and counts as one.
    #[must_use]
    pub fn new(trace: u128, span: u64, sampled: bool) -> Self {
        let flags = RANDOM | if sampled { SAMPLED } else { 0 };
        let text = format!("00-{:032x}-{:016x}-{flags:02x}", trace.max(1), span.max(1));
        // The text has this length by its form.
        Self::written(&text).unwrap_or(Self([b'0'; LENGTH]))
    }

    /// Another span of the same trace, with an id nobody has.
    #[must_use]
    pub fn next(&self) -> Self {
        let mut next = *self;
        next.0[36..52].copy_from_slice(format!("{:016x}", fastrand::u64(1..)).as_bytes());
        next
    }

    /// The same, recorded or not.
    #[must_use]
    pub fn with_sampled(mut self, sampled: bool) -> Self {
        let flags = self.flags() & RANDOM | if sampled { SAMPLED } else { 0 };
        self.0[53..].copy_from_slice(format!("{flags:02x}").as_bytes());
        self
    }

    /// Its flags, as one number.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.0[54] - b'0'
    }

    fn written(text: &str) -> Option<Self> {
        Some(Self(text.as_bytes().try_into().ok()?))
    }

    /// The one a request came with, if it came with exactly one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let first = values.next()?;
        values.next().is_none().then(|| Self::parse(first.as_bytes())).flatten()
    }

    /// The whole value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id of the trace, in 32 digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.as_str()[3..35]
    }

    /// The id of the span, in 16 digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        &self.as_str()[36..52]
    }

    /// Whether the one who sent it may have recorded it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.0[54] & SAMPLED != 0
    }

    /// The value of the header.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What tracing systems added to a request, as one value; nothing where any of it is not of its form.
#[must_use]
pub fn state_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut state = String::new();
    let mut keys = Vec::new();
    for value in headers.get_all(TRACESTATE) {
        for member in value.to_str().ok()?.split(',').map(|member| member.trim_matches([' ', '\t'])) {
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            if !is_key(key) || !is_value(value) || keys.contains(&key) || keys.len() == STATE_MEMBERS {
                return None;
            }
            keys.push(key);
            if !state.is_empty() {
                state.push(',');
            }
            state.push_str(member);
        }
    }
    if state.is_empty() || state.len() > STATE_BYTES {
        return None;
    }
    HeaderValue::from_str(&state).ok()
}

fn is_key(key: &str) -> bool {
    let is_part = |part: &str, most: usize| {
        let is_begun = part.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
        let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte);
        is_begun && part.len() <= most && part.bytes().all(is_inner)
    };
    match key.split_once('@') {
        Some((tenant, system)) => is_part(tenant, 241) && is_part(system, 14),
        None => is_part(key, 256),
    }
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len()) && value.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'=')
}

/// What a request is called in the log and on the record, and the trace it belongs to.
#[derive(Debug, Clone)]
pub struct RequestName(Arc<Named>);

#[derive(Debug)]
struct Named {
    id: Box<str>,
    parent: Option<TraceParent>,
    state: Option<HeaderValue>,
    recorded: bool,
}

impl RequestName {
    /// The request `id` of a trace.
    #[must_use]
    pub fn traced(id: &str, parent: TraceParent, state: Option<HeaderValue>) -> Self {
        Self(Arc::new(Named { id: id.into(), parent: Some(parent), state, recorded: false }))
    }

    /// The request `id` of a trace of which `span` is recorded by this process: what the request asks of others is a span
    /// each, below that one.
    #[must_use]
    pub fn recorded(id: &str, span: TraceParent, state: Option<HeaderValue>) -> Self {
        Self(Arc::new(Named { id: id.into(), parent: Some(span), state, recorded: true }))
    }

    /// The span that is recorded, where one is.
    #[must_use]
    pub fn recorded_span(&self) -> Option<&TraceParent> {
        self.0.parent.as_ref().filter(|_| self.0.recorded)
    }

    /// The id of the span that is recorded, where one is.
    #[must_use]
    pub fn span_id(&self) -> Option<&str> {
        self.recorded_span().map(TraceParent::span_id)
    }

    /// The id of the trace, where it belongs to one.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.0.parent.as_ref().map(TraceParent::trace_id)
    }

    /// Puts the trace into the headers of a request, which is the span `span` of it where that is recorded. What somebody put
    /// there before stays, and nothing is added to it.
    pub(crate) fn pass_on(&self, span: Option<&TraceParent>, headers: &mut HeaderMap) {
        let Some(parent) = span.or(self.0.parent.as_ref()) else { return };
        if headers.contains_key(TRACEPARENT) || headers.contains_key(TRACESTATE) {
            return;
        }
        headers.insert(TRACEPARENT, parent.header());
        if let Some(state) = &self.0.state {
            headers.insert(TRACESTATE, state.clone());
        }
    }
}

impl From<&str> for RequestName {
    /// A request that belongs to no trace.
    fn from(id: &str) -> Self {
        Self(Arc::new(Named { id: id.into(), parent: None, state: None, recorded: false }))
    }
}

impl Deref for RequestName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0.id
    }
}

impl PartialEq for RequestName {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for RequestName {}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{RequestName, TRACEPARENT, TRACESTATE, TraceParent, state_of};

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(text: &str) -> Option<String> {
        TraceParent::parse(text.as_bytes()).map(|parent| parent.as_str().to_owned())
    }

    fn state(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACESTATE, HeaderValue::from_str(value).unwrap());
        }
        state_of(&headers).map(|state| state.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_parent_is_read_and_written() {
        let parent = TraceParent::parse(GOOD.as_bytes()).unwrap();

        assert_eq!(parent.as_str(), GOOD);
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id(), "00f067aa0ba902b7");
        assert!(parent.is_sampled());
        assert_eq!(TraceParent::new(1, 2, false).as_str(), "00-00000000000000000000000000000001-0000000000000002-02");
        assert_eq!(parse(TraceParent::new(0, 0, true).as_str()).unwrap().len(), 55);
    }

    #[test]
    fn another_span_is_of_the_same_trace_and_only_a_recorded_one_is_told() {
        let parent = TraceParent::parse(GOOD.as_bytes()).unwrap();

        let next = parent.next();

        assert_eq!((next.trace_id(), next.is_sampled()), (parent.trace_id(), true));
        assert_ne!(next.span_id(), parent.span_id());
        assert_eq!(parse(next.as_str()).as_deref(), Some(next.as_str()));
        assert_eq!(next.with_sampled(false).as_str(), format!("{}00", &next.as_str()[..53]));
        assert_eq!(RequestName::traced("01J", next, None).span_id(), None);
        assert_eq!(RequestName::recorded("01J", next, None).span_id(), Some(next.span_id()));
    }

    /// Hostile 144.
    #[test]
    fn a_parent_of_any_other_form_is_none() {
        for text in [
            "",
            "00",
            "zz-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-more";
        assert_eq!(parse(later).as_deref(), Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"));
        assert_eq!(TraceParent::parse(&[0xff; 55]), None);
    }

    /// Hostile 144.
    #[test]
    fn a_state_is_passed_on_whole_or_not_at_all() {
        assert_eq!(state(&["a=1, b@c=2 x", ",", "z9/_-*=~"]).as_deref(), Some("a=1,b@c=2 x,z9/_-*=~"));
        let many: Vec<String> = (0..33).map(|number| format!("k{number}=v")).collect();
        let many = many.join(",");
        let long = format!("a={}", "x".repeat(257));
        for wrong in ["=,=,=", "a", "A=1", "a=1,a=2", "a=", "a=b=c", "a@b@c=1", "@a=1", &many, &long] {
            assert_eq!(state(&[wrong]), None, "{wrong}");
        }
        let large: Vec<String> = (0..20).map(|number| format!("k{number}={}", "x".repeat(50))).collect();
        assert_eq!(state(&[&large.join(",")]), None);
        assert_eq!(state(&[]), None);
    }

    #[test]
    fn a_trace_is_passed_on_unless_somebody_says_another_one() {
        let parent = TraceParent::parse(GOOD.as_bytes()).unwrap();
        let name = RequestName::traced("01J", parent, Some(HeaderValue::from_static("a=1")));

        let mut headers = HeaderMap::new();
        name.pass_on(None, &mut headers);
        assert_eq!(
            (&headers[TRACEPARENT], &headers[TRACESTATE]),
            (&HeaderValue::from_static(GOOD), &HeaderValue::from_static("a=1"))
        );
        let span = parent.next();
        let mut headers = HeaderMap::new();
        name.pass_on(Some(&span), &mut headers);
        assert_eq!(headers[TRACEPARENT], span.header());

        for own in [TRACEPARENT, TRACESTATE] {
            let mut headers = HeaderMap::from_iter([(own, HeaderValue::from_static("own"))]);
            name.pass_on(None, &mut headers);
            assert_eq!(headers.len(), 1);
        }
        let mut headers = HeaderMap::new();
        RequestName::from("01J").pass_on(None, &mut headers);
        assert!(headers.is_empty());
    }
}
