//! The body of a request on its way out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use par_policy::{Denial, DenialCode};
use tokio::sync::{Notify, mpsc};

use super::AskedBody;
use super::failure::Failure;

/// Pieces the host holds for a slow server; then the guest waits.
const PIECES_IN_FLIGHT: usize = 4;

/// What the guest and the task that sends both know about a body.
#[derive(Debug, Default)]
pub(super) struct Progress {
    sent: AtomicU64,
    /// Something was sent.
    pub(super) moved: Notify,
}

impl Progress {
    /// Bytes that were handed to the connection.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.moved.notify_one();
    }
}

/// A body as the client sends it.
#[derive(Debug)]
pub(super) struct SentBody {
    pieces: Pieces,
    /// Bytes to come, where that is known.
    left: Option<u64>,
    pub(super) progress: Arc<Progress>,
}

impl SentBody {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.left == Some(0)
    }
}

#[derive(Debug)]
enum Pieces {
    Complete(Bytes),
    Pushed(mpsc::Receiver<Bytes>),
}

/// Where the guest pushes pieces of a body, if it does not come complete.
#[derive(Debug)]
pub(super) struct Pushes {
    pieces: mpsc::Sender<Bytes>,
    declared: Option<u64>,
    most: u64,
    pushed: AtomicU64,
}

/// A body from what the guest said about it, held to the limit.
pub(super) fn sent(asked: AskedBody, most: u64) -> Result<(SentBody, Option<Pushes>), Denial> {
    let progress = Arc::<Progress>::default();
    match asked {
        AskedBody::Complete(bytes) if bytes.len() as u64 > most => Err(too_large(most)),
        AskedBody::Complete(bytes) => {
            let left = Some(bytes.len() as u64);
            Ok((SentBody { pieces: Pieces::Complete(bytes), left, progress }, None))
        }
        AskedBody::Pushed { length: Some(length) } if length > most => Err(too_large(most)),
        AskedBody::Pushed { length } => {
            let (sender, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
            let pushes = Pushes { pieces: sender, declared: length, most, pushed: AtomicU64::new(0) };
            Ok((SentBody { pieces: Pieces::Pushed(pieces), left: length, progress }, Some(pushes)))
        }
    }
}

pub(super) fn too_large(most: u64) -> Denial {
    let sentence = format!("the body of the request is larger than {most} bytes");
    Denial::new(DenialCode::OutboundRequestTooLarge, sentence)
}

impl Pushes {
    /// A way to send a piece once there is room, or what is wrong with it.
    pub(super) fn admit(&self, piece: &Bytes) -> Result<mpsc::Sender<Bytes>, NotPushed> {
        let pushed = self.pushed.fetch_add(piece.len() as u64, Ordering::Relaxed) + piece.len() as u64;
        if pushed > self.most {
            return Err(NotPushed::TooLarge(too_large(self.most)));
        }
        if self.declared.is_some_and(|declared| pushed > declared) {
            return Err(NotPushed::Length);
        }
        Ok(self.pieces.clone())
    }

    /// Whether the body may end here.
    pub(super) fn is_complete(&self) -> bool {
        self.declared.is_none_or(|declared| declared == self.pushed.load(Ordering::Relaxed))
    }
}

/// Why a piece was not taken.
#[derive(Debug)]
pub(super) enum NotPushed {
    TooLarge(Denial),
    Length,
}

impl NotPushed {
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::TooLarge(denial) => Failure::denied(denial),
            Self::Length => Failure::protocol("the body of the request is not as long as its `content-length`"),
        }
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = match &mut self.pieces {
            Pieces::Complete(bytes) => Poll::Ready(Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty())),
            Pieces::Pushed(pieces) => pieces.poll_recv(cx),
        };
        piece.map(|piece| {
            let piece = piece?;
            self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
            self.progress.add(piece.len());
            Some(Ok(Frame::data(piece)))
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.pieces {
            Pieces::Complete(bytes) => bytes.is_empty(),
            Pieces::Pushed(_) => self.left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
