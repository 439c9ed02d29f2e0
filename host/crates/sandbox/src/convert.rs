//! Between the types of a call and those of the world.

use std::sync::Arc;

use bytes::Bytes;
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
use crate::head::{headers, joined_head, status};
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
    let surface = match surface {
        Surface::Rest => world::Surface::Rest,
        Surface::Ui => world::Surface::Ui,
        Surface::A2a => world::Surface::A2a,
    };
    Ok(world::Request { id, surface, head: joined_head(&head, &root_path, client, server), body })
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
