//! Why an instance is replaced: counted, and said of each step when it happens.
//!
//! An instance goes in three steps. It takes no new calls any more; another one takes its place; and it ends, at once
//! or, where others still wait for what it has begun, with the last of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use par_policy::DenialCode;

use crate::instance::{Instance, Shared};

/// Why an instance is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It trapped, ended, or a call of it passed its deadline.
    Lost,
    /// It served as many requests as it may.
    Worn,
    /// Its memory has grown by as much as it may.
    Grown,
}

impl Reason {
    /// Of an instance that was taken out of service.
    pub(crate) fn of(instance: &Instance) -> Self {
        if instance.is_worn() {
            Self::Worn
        } else if instance.has_grown() {
            Self::Grown
        } else {
            Self::Lost
        }
    }

    /// The limit that was reached, if that is the reason.
    pub(crate) fn on_the_record(self) -> Option<DenialCode> {
        match self {
            Self::Lost => None,
            Self::Worn => Some(DenialCode::InstanceWorn),
            Self::Grown => Some(DenialCode::InstanceGrown),
        }
    }

    /// As the metric calls it.
    fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Worn => "worn",
            Self::Grown => "grown",
        }
    }

    /// Says that an instance takes no new calls any more; `instances` do.
    pub(crate) fn log_out_of_service(self, instances: usize) {
        let reason = self.word();
        match self {
            Self::Lost => tracing::warn!(reason, instances, "Instance taken out of service"),
            Self::Worn | Self::Grown => tracing::debug!(reason, instances, "Instance taken out of service"),
        }
    }

    /// Says that another one took its place, after `gap`; `instances` take calls now.
    pub(crate) fn log_replaced(self, instances: usize, gap: Duration) {
        let gap_ms = gap.as_secs_f64() * 1000.0;
        match self {
            Self::Lost => tracing::warn!(instances, gap_ms, "Instance replaced"),
            Self::Worn => tracing::info!(instances, gap_ms, "Instance replaced after its last request"),
            Self::Grown => tracing::info!(instances, gap_ms, "Instance replaced after its memory grew"),
        }
    }

    /// Says that the instance is no more.
    pub(crate) fn log_ended(self, instance: &Shared) {
        let (reason, cause) = (self.word(), instance.known_cause());
        match self {
            Self::Lost => tracing::warn!(reason, cause, "Instance ended"),
            Self::Worn | Self::Grown => tracing::debug!(reason, cause, "Instance ended"),
        }
    }
}

/// Instances that were taken out of service since the start, by reason.
#[derive(Debug, Default)]
pub(crate) struct Replaced {
    lost: AtomicU64,
    worn: AtomicU64,
    grown: AtomicU64,
}

impl Replaced {
    /// One more.
    pub(crate) fn add(&self, reason: Reason) {
        self.of(reason).fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn count(&self, reason: Reason) -> u64 {
        self.of(reason).load(Ordering::Relaxed)
    }

    fn of(&self, reason: Reason) -> &AtomicU64 {
        match reason {
            Reason::Lost => &self.lost,
            Reason::Worn => &self.worn,
            Reason::Grown => &self.grown,
        }
    }
}
