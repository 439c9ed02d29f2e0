//! The body of every answer on REST and UI.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::backend::{CallError, ReplyChunks};
use crate::surfaces::request_id::RequestId;

/// A body that will never be complete; the connection or stream is cut so that the client
/// cannot take it for a whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body was cut before it was complete")]
pub struct Aborted;

/// The body of an answer: known, produced by the agent, or read from a file.
#[derive(Debug)]
pub struct Payload(Source);

#[derive(Debug)]
enum Source {
    Known(Option<Bytes>),
    Agent(AgentStream),
    File { chunks: mpsc::Receiver<Result<Bytes, Aborted>>, remaining: u64 },
}

/// What the agent still sends. Dropped with the connection, which tells the agent.
#[derive(Debug)]
struct AgentStream {
    chunks: ReplyChunks,
    /// What the declared `content-length` still allows.
    remaining: Option<u64>,
    /// Apart, so that answers of a known length are not larger for it.
    request_id: Box<RequestId>,
}

impl Payload {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Source::Known(None))
    }

    /// A body that is in memory.
    #[must_use]
    pub fn known(bytes: Bytes) -> Self {
        Self(Source::Known(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }

    /// A body the agent is producing; `declared` is its `content-length`, which is then held to.
    pub(crate) fn agent(chunks: ReplyChunks, declared: Option<u64>, request_id: RequestId) -> Self {
        Self(Source::Agent(AgentStream { chunks, remaining: declared, request_id: Box::new(request_id) }))
    }

    /// A body of `length` bytes that is being read.
    pub(crate) fn file(chunks: mpsc::Receiver<Result<Bytes, Aborted>>, length: u64) -> Self {
        Self(Source::File { chunks, remaining: length })
    }
}

impl AgentStream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let Some(next) = std::task::ready!(self.chunks.poll_recv(context)) else {
            return match self.remaining {
                None | Some(0) => Poll::Ready(None),
                Some(missing) => Poll::Ready(Some(Err(self.cut("short", missing)))),
            };
        };
        match next {
            Ok(bytes) => {
                if let Some(remaining) = &mut self.remaining {
                    let length = bytes.len() as u64;
                    match remaining.checked_sub(length) {
                        Some(left) => *remaining = left,
                        None => {
                            let surplus = length - *remaining;
                            return Poll::Ready(Some(Err(self.cut("long", surplus))));
                        }
                    }
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Err(error) => {
                let traceback = match &error {
                    CallError::Raised { traceback, .. } => traceback.as_str(),
                    _ => "",
                };
                tracing::error!(
                    request_id = self.request_id.as_str(),
                    trace_id = self.request_id.trace_id(),
                    error = %error,
                    traceback,
                    "Response body failed"
                );
                Poll::Ready(Some(Err(Aborted)))
            }
        }
    }

    fn cut(&self, how: &str, bytes: u64) -> Aborted {
        tracing::error!(
            request_id = self.request_id.as_str(),
            how,
            bytes,
            "Response body does not match its content-length"
        );
        Aborted
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match &mut self.0 {
            Source::Known(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Agent(stream) => stream.poll(context),
            Source::File { chunks, remaining } => {
                let next = std::task::ready!(chunks.poll_recv(context));
                Poll::Ready(match next {
                    Some(Ok(bytes)) => {
                        *remaining = remaining.saturating_sub(bytes.len() as u64);
                        Some(Ok(Frame::data(bytes)))
                    }
                    Some(Err(aborted)) => Some(Err(aborted)),
                    None if *remaining == 0 => None,
                    None => Some(Err(Aborted)),
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Source::Known(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Known(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Agent(stream) => stream.remaining.map_or_else(SizeHint::default, SizeHint::with_exact),
            Source::File { remaining, .. } => SizeHint::with_exact(*remaining),
        }
    }
}
