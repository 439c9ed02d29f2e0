//! The life of the process: starting, ready, draining, stopped; or failed.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;

use crate::telemetry::events;

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not every configured surface is up. Agent routes answer 503.
    Starting,
    /// Every configured surface is up.
    Ready,
    /// A signal came: no new connections, requests that still arrive on open ones are served.
    Draining,
    /// The boot failed, or something that was up broke. The process is about to exit.
    Failed,
    /// Nothing is served any more.
    Stopped,
}

impl Phase {
    /// The word health answers use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "healthy",
            Self::Draining => "draining",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    const ALL: [Self; 5] = [Self::Starting, Self::Ready, Self::Draining, Self::Failed, Self::Stopped];
}

/// The phase of the process, and its only way forward.
///
/// Phases follow each other in the order of [`Phase`] and are never taken back: what was not
/// ready when a signal came does not get ready afterwards.
#[derive(Debug)]
pub struct Lifecycle {
    /// What requests look at, without a lock.
    now: AtomicU8,
    changes: watch::Sender<Phase>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { now: AtomicU8::new(0), changes: watch::Sender::new(Phase::Starting) }
    }
}

impl Lifecycle {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::ALL.get(usize::from(self.now.load(Ordering::Acquire))).copied().unwrap_or(Phase::Stopped)
    }

    /// Goes on to `next` and logs it. Says whether that was a step forward.
    pub fn advance(&self, next: Phase) -> bool {
        self.changes.send_if_modified(|phase| {
            if next <= *phase {
                return false;
            }
            let before = std::mem::replace(phase, next);
            self.now.store(next as u8, Ordering::Release);
            tracing::info!(
                from = before.word(),
                to = next.word(),
                ok = next == Phase::Ready,
                "{}",
                events::HEALTH_CHANGED
            );
            true
        })
    }

    /// Waits until the phase is `at_least` or a later one. Cancel-safe.
    pub async fn reached(&self, at_least: Phase) -> Phase {
        let mut changes = self.changes.subscribe();
        // The sender lives as long as `self`.
        changes.wait_for(|phase| *phase >= at_least).await.map_or(Phase::Stopped, |phase| *phase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_starts_then_serves_then_drains_then_stops() {
        let life = Lifecycle::default();
        assert_eq!(life.phase(), Phase::Starting);

        for phase in [Phase::Ready, Phase::Draining, Phase::Stopped] {
            assert!(life.advance(phase));
            assert_eq!(life.phase(), phase);
        }
    }

    #[test]
    fn what_drains_or_failed_never_gets_ready() {
        for end in [Phase::Draining, Phase::Failed, Phase::Stopped] {
            let life = Lifecycle::default();
            life.advance(end);

            assert!(!life.advance(Phase::Ready), "{end:?}");
            assert_eq!(life.phase(), end);
        }
    }

    #[tokio::test]
    async fn waiting_for_a_phase_ends_with_it_or_a_later_one() {
        let life = Lifecycle::default();
        let waits = life.reached(Phase::Draining);
        let moves = async {
            life.advance(Phase::Ready);
            tokio::task::yield_now().await;
            life.advance(Phase::Failed);
        };

        let (reached, ()) = tokio::join!(waits, moves);

        assert_eq!(reached, Phase::Failed);
    }

    #[test]
    fn every_phase_is_found_again_by_its_number() {
        for (number, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, number);
        }
    }
}
