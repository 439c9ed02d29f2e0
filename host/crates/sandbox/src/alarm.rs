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

#[cfg(test)]
mod tests {
    use super::Alarm;
    use std::time::Duration;
    use tokio::time::timeout;

    const HOUR: u64 = 3_600_000_000_000;
    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn an_alarm_that_is_moved_while_somebody_waits_rings_at_the_new_time() {
        let alarm = Alarm::default();
        alarm.set(HOUR);

        let (rang, ()) = tokio::join!(timeout(PATIENCE, alarm.rings()), async { alarm.set(0) });

        assert!(rang.is_ok());
    }

    #[tokio::test]
    async fn an_alarm_nobody_set_or_set_out_of_reach_does_not_ring() {
        let alarm = Alarm::default();
        assert!(timeout(Duration::from_millis(20), alarm.rings()).await.is_err());

        alarm.set(u64::MAX);
        assert!(timeout(Duration::from_millis(20), alarm.rings()).await.is_err());

        alarm.set(1);
        assert!(timeout(PATIENCE, alarm.rings()).await.is_ok());
    }
}
