//! A response body that says when its request is over.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

use super::clock::{InFlight, Stall};

/// A body; the request it answers is in flight for as long as it lives.
#[derive(Debug)]
pub(super) struct Tracked<B> {
    body: B,
    stall: Option<Stall>,
    _in_flight: InFlight,
}

impl<B> Tracked<B> {
    /// With a `stall`, notes how long nobody asks for more.
    pub(super) fn new(body: B, in_flight: InFlight, stall: Option<Stall>) -> Self {
        Self { body, stall, _in_flight: in_flight }
    }
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Some(stall) = &self.stall {
            stall.polled(polled.is_pending());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
