//! Between the types of a call and those of the world.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;
use wasmtime::component::{Access, HasSelf, StreamReader};

use crate::StartError;
use crate::bindings::exports::pixell::agent::{actions, http as world};
use crate::bindings::pixell::agent::failure::{Failure, Reason};
use crate::body::{CHUNKS_IN_FLIGHT, ReplySink, RequestSource};
use crate::call::{
    ActionCall, CallError, HttpCall, HttpReply, Parameters, ReplyBody, ReplyChunks, RequestBody, Surface,
};
use crate::flight::Flight;
use crate::store::State;

type Store<'a> = Access<'a, State, HasSelf<State>>;

pub(crate) fn request(
    mut store: Store<'_>,
    id: u64,
    call: HttpCall,
    flight: &Arc<Flight>,
) -> wasmtime::Result<world::Request> {
    let HttpCall { surface, head, body, root_path, client, server, .. } = call;
    let body = match body {
        RequestBody::Complete(bytes) if bytes.is_empty() => world::Body::Empty,
        RequestBody::Complete(bytes) => world::Body::Complete(bytes.into()),
        RequestBody::Streamed(chunks) => {
            let source = RequestSource::new(chunks, Arc::clone(flight));
            world::Body::Streamed(StreamReader::new(&mut store, source)?)
        }
    };
    let raw_path = head.uri.path();
    Ok(world::Request {
        id,
        surface: match surface {
            Surface::Rest => world::Surface::Rest,
            Surface::Ui => world::Surface::Ui,
        },
        http_version: match head.version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        }
        .to_owned(),
        scheme: "http".to_owned(),
        path: percent_decode_str(raw_path).decode_utf8_lossy().into_owned(),
        raw_path: raw_path.into(),
        query: head.uri.query().unwrap_or_default().into(),
        root_path: root_path.to_string(),
        headers: head.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().into())).collect(),
        client: client.map(|address| (address.ip().to_string(), address.port())),
        server: (server.ip().to_string(), server.port()),
        method: head.method.to_string(),
        body,
    })
}

pub(crate) fn reply(
    mut store: Store<'_>,
    response: world::Response,
    flight: &Arc<Flight>,
) -> Result<HttpReply, CallError> {
    let body = match response.body {
        world::Body::Empty => ReplyBody::Complete(Bytes::new()),
        world::Body::Complete(bytes) => ReplyBody::Complete(bytes.into()),
        world::Body::Streamed(reader) => {
            let (sender, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
            let sink = ReplySink::new(sender, Arc::clone(flight));
            reader.pipe(&mut store, sink).map_err(|error| CallError::Protocol(error.to_string()))?;
            ReplyBody::Streamed(ReplyChunks::new(chunks, Arc::clone(flight)))
        }
    };
    let mut reply = http::Response::new(body);
    *reply.status_mut() = status(response.status)?;
    *reply.headers_mut() = headers(response.headers)?;
    Ok(reply)
}

fn status(status: u16) -> Result<StatusCode, CallError> {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| CallError::Protocol(format!("`{status}` is not the status of a response")))
}

fn headers(list: Vec<(Vec<u8>, Vec<u8>)>) -> Result<HeaderMap, CallError> {
    let mut headers = HeaderMap::with_capacity(list.len());
    for (name, value) in list {
        let Ok(name) = HeaderName::from_bytes(&name) else {
            return Err(CallError::Protocol(format!("`{}` is not a header name", name.escape_ascii())));
        };
        let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) else {
            return Err(CallError::Protocol(format!("the value of header `{name}` holds a control character")));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

pub(crate) fn action(id: u64, call: ActionCall) -> actions::Request {
    let parameters = match call.parameters {
        Parameters::Text(pairs) => actions::Parameters::Text(pairs),
        Parameters::Json(object) => actions::Parameters::Json(object),
    };
    actions::Request { id, action: call.action, parameters }
}

pub(crate) fn call_error(failure: Failure) -> CallError {
    let Failure { reason, message, traceback } = failure;
    match reason {
        Reason::ActionNotFound => CallError::ActionNotFound(message),
        Reason::Protocol => CallError::Protocol(message),
        _ => CallError::Raised { message, traceback },
    }
}

pub(crate) fn start_error(failure: Failure) -> StartError {
    let Failure { reason, message, traceback } = failure;
    let reason = match reason {
        Reason::ModuleNotFound => "module_not_found",
        Reason::AttributeNotFound => "attribute_not_found",
        Reason::ImportFailed => "import_failed",
        Reason::WrongShape => "wrong_shape",
        Reason::StartupFailed => "startup_failed",
        _ => "load_failed",
    };
    StartError::Agent { reason, message, traceback }
}

#[cfg(test)]
mod tests {
    use super::{headers, status};
    use crate::call::CallError;

    fn refusal<T: std::fmt::Debug>(result: Result<T, CallError>) -> String {
        match result {
            Err(CallError::Protocol(text)) => text,
            other => format!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_status_is_one_that_ends_a_request() {
        assert_eq!(status(204).map(|status| status.as_u16()), Ok(204));
        assert_eq!(status(599).map(|status| status.as_u16()), Ok(599));
        assert_eq!(refusal(status(101)), "`101` is not the status of a response");
        assert_eq!(refusal(status(7)), "`7` is not the status of a response");
        assert_eq!(refusal(status(1000)), "`1000` is not the status of a response");
    }

    #[test]
    fn headers_keep_their_order_and_never_carry_a_second_line() {
        let pair = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());

        let kept = headers(vec![pair(b"set-cookie", b"a=1"), pair(b"Set-Cookie", b"b=\xfc")]).unwrap_or_default();
        let values: Vec<&[u8]> = kept.get_all("set-cookie").iter().map(http::HeaderValue::as_bytes).collect();
        assert_eq!(values, [b"a=1".as_slice(), b"b=\xfc"]);

        let forged = headers(vec![pair(b"x-note", b"a\r\nset-cookie: b")]);
        assert_eq!(refusal(forged), "the value of header `x-note` holds a control character");
        let nameless = headers(vec![pair(b"x note", b"")]);
        assert_eq!(refusal(nameless), "`x note` is not a header name");
    }
}
