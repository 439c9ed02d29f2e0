//! A reply on its way out: what the agent answered made fit for the wire, and what it did not
//! answer told to the caller without telling on the host.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use http_body::Body;
use serde_json::json;

use crate::backend::{CallError, HttpReply, ReplyBody};
use crate::surfaces::Payload;
use crate::surfaces::intake::{self, Refused};
use crate::surfaces::paths::{self, MAX_TARGET_BYTES};
use crate::surfaces::request_id::RequestId;

/// Most header fields an answer may have.
const MAX_HEADERS: usize = 256;

/// Most bytes the header fields of an answer may have together.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Seconds after which a caller may try again.
const RETRY_AFTER_SECONDS: u16 = 1;

/// What a caller is told about a request that has no answer of the agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    CallTimeout,
    InstanceLost,
    Unavailable,
    Overloaded,
    CircuitOpen,
    AgentError,
    BadResponse,
    BadPath,
    BadRequest,
    UriTooLong,
    BodyTooLarge,
    BodyTimeout,
}

impl ErrorCode {
    /// The word in `error_code`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::CallTimeout => "call_timeout",
            Self::InstanceLost => "instance_lost",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::CircuitOpen => "circuit_open",
            Self::AgentError => "agent_error",
            Self::BadResponse => "bad_response",
            Self::BadPath => "bad_path",
            Self::BadRequest => "bad_request",
            Self::UriTooLong => "uri_too_long",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::CallTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::InstanceLost | Self::BadResponse => StatusCode::BAD_GATEWAY,
            Self::Unavailable | Self::Overloaded | Self::CircuitOpen => StatusCode::SERVICE_UNAVAILABLE,
            Self::AgentError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BadPath | Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Whether the same request may do better a moment later.
    fn is_passing(self) -> bool {
        matches!(self, Self::Unavailable | Self::Overloaded | Self::CircuitOpen)
    }

    /// The code of a call that failed.
    pub(crate) fn of(error: &CallError) -> Self {
        match error {
            CallError::TimedOut => Self::CallTimeout,
            CallError::InstanceLost(_) => Self::InstanceLost,
            CallError::Unavailable => Self::Unavailable,
            CallError::Overloaded => Self::Overloaded,
            CallError::CircuitOpen(_) => Self::CircuitOpen,
            CallError::Raised { .. } => Self::AgentError,
            CallError::ActionNotFound(_) | CallError::Protocol(_) => Self::BadResponse,
        }
    }

    /// The sentence for the caller: nothing in it comes from the agent or the host.
    pub(crate) fn message(self, agent: &str, allowed: Duration) -> String {
        match self {
            Self::CallTimeout => format!("agent `{agent}` did not answer within {}", Seconds(allowed)),
            Self::InstanceLost => format!("agent `{agent}` stopped while it served the request"),
            Self::Unavailable => format!("agent `{agent}` is not ready"),
            Self::Overloaded => format!("agent `{agent}` has too many requests waiting"),
            Self::CircuitOpen => format!("agent `{agent}` failed too often and is given a rest"),
            Self::AgentError => format!("agent `{agent}` failed to answer"),
            Self::BadResponse => format!("agent `{agent}` answered something that is not a response"),
            Self::BadPath => "the path of the request is not accepted".to_owned(),
            Self::BadRequest => "the request is not accepted".to_owned(),
            Self::UriTooLong => "the target of the request is too long".to_owned(),
            Self::BodyTooLarge => "the body of the request is too large".to_owned(),
            Self::BodyTimeout => "the body of the request did not arrive in time".to_owned(),
        }
    }
}

/// A duration as a reader says it: `30 s`, `0.5 s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} s", self.0.as_secs_f64())
    }
}

/// Who is asking and of whom, for the texts of errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) request_id: RequestId,
    pub(crate) agent: &'a str,
    pub(crate) allowed: Duration,
}

impl Asked<'_> {
    /// The answer for `code`, in the one shape all errors of ours have.
    pub(crate) fn error(&self, code: ErrorCode) -> Response<Payload> {
        let body = json!({
            "request_id": self.request_id.as_str(),
            "error_code": code.word(),
            "message": code.message(self.agent, self.allowed),
        });
        let mut response = json_response(code.status(), &body);
        if code.is_passing() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        response
    }

    /// The answer for a call that failed; the log gets the whole of it under the same id.
    pub(crate) fn failed(&self, error: &CallError) -> Response<Payload> {
        let code = ErrorCode::of(error);
        log_failure(self.request_id, code, error);
        let mut response = self.error(code);
        if let CallError::CircuitOpen(left) = error {
            let seconds = left.as_secs().saturating_add(1);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// The answer for a request that never became a call.
    pub(crate) fn refused(&self, refused: Refused) -> Response<Payload> {
        tracing::debug!(request_id = self.request_id.as_str(), error = %refused, "Request refused");
        match refused {
            Refused::Method => method_not_allowed("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
            Refused::Host | Refused::BodyBroken => self.error(ErrorCode::BadRequest),
            Refused::BodyTooLarge => self.error(ErrorCode::BodyTooLarge),
            Refused::BodyTimeout => self.error(ErrorCode::BodyTimeout),
        }
    }

    /// The path that is asked for, decoded once; or the error for one that is too long, or that two readers could
    /// disagree about.
    pub(crate) fn path<'uri>(&self, uri: &'uri Uri) -> Result<Cow<'uri, str>, ErrorCode> {
        if uri.path().len() + uri.query().map_or(0, str::len) > MAX_TARGET_BYTES {
            return Err(ErrorCode::UriTooLong);
        }
        paths::decode(uri.path()).map_err(|refused| {
            tracing::debug!(request_id = self.request_id.as_str(), error = %refused, "Request refused");
            ErrorCode::BadPath
        })
    }

    /// What the agent answered, fit for the wire; or the error for what it cannot carry.
    pub(crate) fn accept(&self, reply: HttpReply, method: &Method) -> Response<Payload> {
        match fit(reply, method, self.request_id) {
            Ok(response) => response,
            Err(why) => self.failed(&CallError::Protocol(why)),
        }
    }
}

/// Writes what the caller is not told.
pub(crate) fn log_failure(request_id: RequestId, code: ErrorCode, error: &CallError) {
    let traceback = match error {
        CallError::Raised { traceback, .. } => traceback.as_str(),
        _ => "",
    };
    tracing::error!(
        request_id = request_id.as_str(),
        trace_id = request_id.trace_id(),
        error_code = code.word(),
        error = %error,
        traceback,
        "Request failed"
    );
}

/// Checks the head, removes what is not the agent's to say, and settles the length.
fn fit(reply: HttpReply, method: &Method, request_id: RequestId) -> Result<Response<Payload>, String> {
    let (mut head, body) = reply.into_parts();
    let status = head.status;
    if !(200..600).contains(&status.as_u16()) {
        return Err(format!("status {}", status.as_u16()));
    }
    check_headers(&head.headers)?;
    intake::remove_hop_by_hop(&mut head.headers);
    let declared = take_length(&mut head.headers);

    let has_no_body = *method == Method::HEAD
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    let body = if has_no_body {
        let length = match body {
            _ if status == StatusCode::NO_CONTENT || status == StatusCode::RESET_CONTENT => None,
            // What the body of a GET would have been.
            ReplyBody::Complete(bytes) if !bytes.is_empty() => Some(bytes.len() as u64),
            ReplyBody::Complete(_) | ReplyBody::Streamed(_) => declared,
        };
        if let Some(length) = length {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        Payload::empty()
    } else {
        match body {
            ReplyBody::Complete(bytes) => Payload::known(bytes),
            ReplyBody::Streamed(chunks) => Payload::agent(chunks, declared, request_id),
        }
    };
    Ok(Response::from_parts(head, body))
}

/// Names and values are valid by their types; this is about how many there are.
fn check_headers(headers: &HeaderMap) -> Result<(), String> {
    if headers.len() > MAX_HEADERS {
        return Err(format!("{} header fields, more than {MAX_HEADERS}", headers.len()));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > MAX_HEADER_BYTES {
        return Err(format!("{bytes} bytes of header fields, more than {MAX_HEADER_BYTES}"));
    }
    Ok(())
}

/// Takes `content-length` out and reads it; the wire gets its own from the body. One that is not
/// a number, or two that differ, count as none.
fn take_length(headers: &mut HeaderMap) -> Option<u64> {
    if !headers.contains_key(CONTENT_LENGTH) {
        return None;
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let first = lengths.next().cloned();
    let agree = lengths.all(|other| Some(other) == first.as_ref());
    headers.remove(CONTENT_LENGTH);
    first.filter(|_| agree)?.to_str().ok()?.parse().ok()
}

/// A JSON answer.
pub(crate) fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Payload> {
    let mut response = Response::new(Payload::known(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to HEAD: the head of the answer to GET, whatever the HTTP version leaves to us.
pub(crate) fn without_body(response: Response<Payload>) -> Response<Payload> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact()
        && length > 0
    {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(head, Payload::empty())
}

/// 404, as FastAPI words it.
pub(crate) fn not_found() -> Response<Payload> {
    json_response(StatusCode::NOT_FOUND, &json!({"detail": "Not Found"}))
}

/// 405, as FastAPI words it.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Response<Payload> {
    let mut response = json_response(StatusCode::METHOD_NOT_ALLOWED, &json!({"detail": "Method Not Allowed"}));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// 307 to a path of ours.
pub(crate) fn redirect(path: &str, query: Option<&str>) -> Response<Payload> {
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let Ok(location) = HeaderValue::from_str(&target) else { return not_found() };
    let mut response = Response::new(Payload::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert(http::header::LOCATION, location);
    response
}

#[cfg(test)]
mod tests;
