//! The body of a request that has to be here in time: every method takes one message, so a client that does not end its
//! request would be waited for without end.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

/// A body, and when it has to have ended.
#[derive(Debug)]
pub(super) struct Timely<B> {
    body: B,
    deadline: Instant,
    /// Made when the body is waited for: most are here at once.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<B> Timely<B> {
    /// `body`, which has to end within `allowed` from now.
    pub(super) fn new(body: B, allowed: Duration) -> Self {
        Self { body, deadline: Instant::now() + allowed, alarm: None }
    }
}

impl<B> Body for Timely<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| Status::from_error(Box::new(error)))));
        }
        let deadline = self.deadline;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        match alarm.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(Status::deadline_exceeded("the request did not arrive in time")))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
