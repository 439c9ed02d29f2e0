//! Bodies between tokio channels and component streams.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, Source, StreamConsumer, StreamProducer, StreamResult, VecBuffer};

use crate::call::{BodyBroken, CallError};
use crate::flight::Flight;
use crate::store::State;

/// Most bytes taken from the guest at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Chunks of a response the host holds for a slow client; then the guest waits.
pub(crate) const CHUNKS_IN_FLIGHT: usize = 4;

/// Feeds a request body to the guest.
pub(crate) struct RequestSource {
    chunks: mpsc::Receiver<Result<Bytes, BodyBroken>>,
    flight: Arc<Flight>,
}

impl RequestSource {
    pub(crate) fn new(chunks: mpsc::Receiver<Result<Bytes, BodyBroken>>, flight: Arc<Flight>) -> Self {
        Self { chunks, flight }
    }
}

impl StreamProducer<State> for RequestSource {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _store: StoreContextMut<'a, State>,
        mut destination: Destination<'a, u8, VecBuffer<u8>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.chunks.poll_recv(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                destination.set_buffer(Vec::from(chunk).into());
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(Some(Err(BodyBroken))) => {
                self.flight.mark_request_broken();
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Poll::Ready(None) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Takes a response body from the guest.
pub(crate) struct ReplySink {
    chunks: PollSender<Result<Bytes, CallError>>,
    flight: Arc<Flight>,
}

impl ReplySink {
    pub(crate) fn new(chunks: mpsc::Sender<Result<Bytes, CallError>>, flight: Arc<Flight>) -> Self {
        Self { chunks: PollSender::new(chunks), flight }
    }
}

impl StreamConsumer<State> for ReplySink {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, State>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if finish {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        if ready!(self.chunks.poll_reserve(cx)).is_err() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        let mut source = source.as_direct(store);
        let available = source.remaining();
        let taken = available.len().min(CHUNK_BYTES);
        let chunk = Bytes::copy_from_slice(&available[..taken]);
        source.mark_read(taken);
        if taken > 0 && self.chunks.send_item(Ok(chunk)).is_err() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl Drop for ReplySink {
    fn drop(&mut self) {
        if let (true, Some(sender)) = (self.flight.reply_is_broken(), self.chunks.get_ref().cloned()) {
            // The channel may be full, and a response that just ends looks complete: the
            // error waits for its place behind the chunks.
            let broken = CallError::Protocol("the response ended before it was complete".to_owned());
            tokio::spawn(async move { sender.send(Err(broken)).await });
        }
        self.flight.end();
    }
}
