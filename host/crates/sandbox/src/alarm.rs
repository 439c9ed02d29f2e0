//! The one timer behind all timers of a guest's event loop.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A timer that can be moved while somebody waits for it.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    rings_at: Mutex<Option<Instant>>,
    moved: Notify,
}

impl Alarm {
    /// Lets the alarm ring `delay` nanoseconds from now. Out of reach means never.
    pub(crate) fn set(&self, delay: u64) {
        let rings_at = Instant::now().checked_add(Duration::from_nanos(delay));
        *self.rings_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = rings_at;
        self.moved.notify_one();
    }

    /// Returns when it rings.
    pub(crate) async fn rings(&self) {
        loop {
            let rings_at = *self.rings_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match rings_at {
                Some(rings_at) => tokio::select! {
                    () = sleep_until(rings_at) => return,
                    () = self.moved.notified() => {}
                },
                None => self.moved.notified().await,
            }
        }
    }
}
