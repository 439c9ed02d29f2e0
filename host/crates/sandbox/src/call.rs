//! What a surface asks of an agent and what it gets back, whichever backend answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::flight::Flight;
use crate::trace::RequestName;

/// Which of the agent's applications answers an HTTP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The application or router of `rest.entry` or `http_server`.
    Rest,
    /// The application of `ui.entry`.
    Ui,
    /// The application of `a2a.http_server`.
    A2a,
}

/// The body of a request.
#[derive(Debug)]
pub enum RequestBody {
    /// Complete and in memory; may be empty.
    Complete(Bytes),
    /// Still arriving. The sender closes the channel at the end, and sends an error when the
    /// client broke off.
    Streamed(mpsc::Receiver<Result<Bytes, BodyBroken>>),
}

/// The other side ended a body before it was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body ended before it was complete")]
pub struct BodyBroken;

/// One HTTP request for the agent.
#[derive(Debug)]
pub struct HttpCall {
    /// Which application answers.
    pub surface: Surface,
    /// Method, URI, version and headers as received; hop-by-hop headers already removed.
    pub head: http::request::Parts,
    /// The body.
    pub body: RequestBody,
    /// The prefix of the path that mounts the agent, `""` at the root.
    pub root_path: Arc<str>,
    /// The peer of the connection.
    pub client: Option<SocketAddr>,
    /// The local address of the connection.
    pub server: SocketAddr,
    /// When the caller gets its 504.
    pub deadline: Instant,
    /// What the caller was told its request is called; the agent's log records of this call
    /// carry it.
    pub request_id: RequestName,
}

/// The body of a response.
#[derive(Debug)]
pub enum ReplyBody {
    /// Complete and in memory; may be empty.
    Complete(Bytes),
    /// Still being produced. An error ends a body that will never be complete.
    Streamed(ReplyChunks),
}

/// The chunks of a response body. Dropping them tells the agent that the client went away.
#[derive(Debug)]
pub struct ReplyChunks {
    chunks: mpsc::Receiver<Result<Bytes, CallError>>,
    flight: Option<Arc<Flight>>,
}

impl ReplyChunks {
    /// Chunks of a call; dropping them ends its flight.
    #[must_use]
    pub fn new(chunks: mpsc::Receiver<Result<Bytes, CallError>>, flight: Arc<Flight>) -> Self {
        Self { chunks, flight: Some(flight) }
    }

    /// The next chunk, `None` at the end, an error when there will be no end.
    pub async fn recv(&mut self) -> Option<Result<Bytes, CallError>> {
        self.chunks.recv().await
    }

    /// [`ReplyChunks::recv`] for bodies.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CallError>>> {
        self.chunks.poll_recv(cx)
    }
}

impl From<mpsc::Receiver<Result<Bytes, CallError>>> for ReplyChunks {
    /// Chunks of another backend, which watches its sender for the client's leaving.
    fn from(chunks: mpsc::Receiver<Result<Bytes, CallError>>) -> Self {
        Self { chunks, flight: None }
    }
}

impl Drop for ReplyChunks {
    fn drop(&mut self) {
        if let Some(flight) = &self.flight {
            flight.end();
        }
    }
}

/// One HTTP response of the agent.
pub type HttpReply = http::Response<ReplyBody>;

/// Parameters of an action, in the form the caller used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameters {
    /// `ActionRequest.parameters`, strings to strings.
    Text(Vec<(String, String)>),
    /// A JSON object, from a request in A2A form.
    Json(String),
}

/// One action for the agent's handlers.
#[derive(Debug)]
pub struct ActionCall {
    /// The name of the action.
    pub action: String,
    /// Its parameters.
    pub parameters: Parameters,
    /// When the caller gets its error.
    pub deadline: Instant,
    /// What the log calls this request.
    pub request_id: RequestName,
}

/// Why a call has no answer. The text is for the log; callers see only the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The deadline passed.
    #[error("the agent did not answer before the deadline")]
    TimedOut,
    /// The instance was dropped while it served the call.
    #[error("the instance was dropped while it served the call: {0}")]
    InstanceLost(Arc<str>),
    /// No instance could take the call: all are starting, or the backend is stopping.
    #[error("no instance is ready")]
    Unavailable,
    /// Too many calls are waiting already.
    #[error("too many calls are waiting")]
    Overloaded,
    /// Instances trapped again and again; calls are let in again after this time.
    #[error("instances trapped again and again; calls are refused for {} s more", .0.as_secs_f32())]
    CircuitOpen(Duration),
    /// The agent has no action of that name.
    #[error("no action `{0}`")]
    ActionNotFound(String),
    /// The agent raised; `message` is `str()` of its exception.
    #[error("the agent raised: {message}")]
    Raised {
        /// `str()` of the exception.
        message: String,
        /// The formatted traceback, for the log only.
        traceback: String,
    },
    /// The agent broke the protocol of its surface, or answered what HTTP cannot carry.
    #[error("the agent answered something that is not a response: {0}")]
    Protocol(String),
}
