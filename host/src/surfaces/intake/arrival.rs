//! How a streamed body arrives, for the one who waits for the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Whose turn it is.
const CLIENT: u8 = 0;
const AGENT: u8 = 1;
const COMPLETE: u8 = 2;
const TOO_LARGE: u8 = 3;

/// The state of one body. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrival(Arc<State>);

#[derive(Debug, Default)]
struct State {
    turn: AtomicU8,
    paused: Notify,
    given_up: Notify,
}

impl Arrival {
    /// All of it is here.
    pub(super) fn complete(&self) {
        self.0.turn.store(COMPLETE, Ordering::Release);
    }

    /// It was cut for its size.
    pub(super) fn too_large(&self) {
        self.0.turn.store(TOO_LARGE, Ordering::Release);
    }

    /// The client was silent for too long.
    pub(super) fn paused(&self) {
        self.0.paused.notify_one();
    }

    /// The agent has not taken the last chunk yet.
    pub(super) fn chunk_waits(&self) {
        self.0.turn.store(AGENT, Ordering::Release);
    }

    /// The client is waited for.
    pub(super) fn chunk_taken(&self) {
        self.0.turn.store(CLIENT, Ordering::Release);
    }

    /// Returns when nobody waits for the rest any more.
    pub(super) async fn given_up(&self) {
        self.0.given_up.notified().await;
    }

    /// Whether it was cut for its size.
    pub(crate) fn was_too_large(&self) -> bool {
        self.0.turn.load(Ordering::Acquire) == TOO_LARGE
    }

    /// Returns when the client took too long over it: silent for a while, or not done by `deadline`. A client must not
    /// cost an agent its instance by sending slowly, as an agent does that answers slowly; so this has to be
    /// asked before the call is.
    pub(crate) async fn is_too_slow(&self, deadline: Instant) {
        tokio::select! {
            () = self.0.paused.notified() => {}
            () = sleep_until(deadline) => {
                if self.0.turn.load(Ordering::Acquire) != CLIENT {
                    std::future::pending::<()>().await;
                }
                self.0.given_up.notify_one();
            }
        }
    }
}
