//! How much of a granted thing an agent may use.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::outbound::OutboundLimits;

mod settings;

pub use settings::{LimitKey, LimitSettings};

/// A limit the operator set to a value no instance can run with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got `{got}`")]
pub struct OutOfRange {
    expected: &'static str,
    got: u64,
}

impl OutOfRange {
    /// What the limit should have been, as a noun phrase.
    #[must_use]
    pub const fn expected(&self) -> &'static str {
        self.expected
    }
}

/// Most linear memory one instance may hold, its own image included.
///
/// Unit: bytes. Source: `PAR_MEMORY_MIB`; default 512 MiB. Enforced by the resource limiter
/// of the store; the agent sees a `MemoryError`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemoryLimit(usize);

impl MemoryLimit {
    /// What an instance gets when nobody sets a limit.
    pub const DEFAULT: Self = Self(512 << 20);

    /// Parses a limit in mebibytes.
    ///
    /// # Errors
    /// [`OutOfRange`] below 64 MiB, where the interpreter does not start, and above 4096 MiB,
    /// the most a 32-bit guest can address.
    pub fn from_mib(mib: u64) -> Result<Self, OutOfRange> {
        let out_of_range = OutOfRange { expected: "64 to 4096 MiB", got: mib };
        if !(64..=4096).contains(&mib) {
            return Err(out_of_range);
        }
        usize::try_from(mib << 20).map(Self).map_err(|_| out_of_range)
    }

    /// The limit in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0
    }
}

/// Longest wall-clock time one request may take, waiting for an instance included.
///
/// Unit: seconds. Source: `REQUEST_TIMEOUT_SEC`; default 30. Enforced by a timer around the
/// call; its safepoints make guest code that never yields reachable by that timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestTimeout(Duration);

impl RequestTimeout {
    /// What a request gets when nobody sets a limit.
    pub const DEFAULT: Self = Self(Duration::from_secs(30));

    /// Wraps a duration.
    ///
    /// # Errors
    /// [`OutOfRange`] for zero and for more than a day.
    pub fn new(duration: Duration) -> Result<Self, OutOfRange> {
        if duration.is_zero() || duration > Duration::from_secs(86_400) {
            return Err(OutOfRange { expected: "more than 0 and at most 86400 s", got: duration.as_secs() });
        }
        Ok(Self(duration))
    }

    /// The limit as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

/// How many instances of the agent share the load.
///
/// Source: `PAR_INSTANCES`; default: the number of cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceCount(NonZeroUsize);

impl InstanceCount {
    const HIGHEST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

    /// One instance a core, as far as that is allowed.
    #[must_use]
    pub fn one_per_core(cores: NonZeroUsize) -> Self {
        Self(cores.min(Self::HIGHEST))
    }

    /// Wraps a count.
    ///
    /// # Errors
    /// [`OutOfRange`] for 0 and above 256.
    pub fn new(count: u64) -> Result<Self, OutOfRange> {
        let out_of_range = OutOfRange { expected: "1 to 256", got: count };
        usize::try_from(count)
            .ok()
            .and_then(NonZeroUsize::new)
            .filter(|count| *count <= Self::HIGHEST)
            .map(Self)
            .ok_or(out_of_range)
    }

    /// The count.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0.get()
    }
}

/// Part of one core an instance may use over time.
///
/// Unit: percent of a core. Source: `limits.cpu_percent`; default 100, which is all one thread
/// can use. Enforced by the task that drives the instance: it pauses after work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuShare(u8);

impl CpuShare {
    /// All of a core.
    pub const WHOLE: Self = Self(100);

    /// The share in percent, 1 to 100.
    #[must_use]
    pub const fn percent(self) -> u8 {
        self.0
    }
}

/// Every limit one agent runs under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory of one instance.
    pub memory: MemoryLimit,
    /// Time of one request.
    pub request_timeout: RequestTimeout,
    /// Instances that share the load.
    pub instances: InstanceCount,
    /// Part of a core one instance may use.
    pub cpu: CpuShare,
    /// Requests that are served at a time, over all instances.
    pub concurrent_requests: u32,
    /// Requests that wait for their turn; one more is answered with `overloaded`.
    pub queued_requests: u32,
    /// Requests one instance serves before it is replaced.
    pub requests_per_instance: u64,
    /// Growth of the memory of an instance after which it is replaced. Unit: bytes. Linear memory
    /// is never given back, so this catches slow leaks; as much as all memory means never.
    pub memory_growth: u64,
    /// Files and directories one instance may have open.
    pub open_files: u32,
    /// Lines of the agent's log that are written in a second; the others are counted.
    pub log_lines_per_second: u32,
    /// Outbound requests.
    pub outbound: OutboundLimits,
}

impl Limits {
    /// What an agent gets when nobody sets a limit.
    ///
    /// As many requests at a time as one socket accepts connections; four times as many would
    /// only wait.
    #[must_use]
    pub const fn default_with(instances: InstanceCount) -> Self {
        Self {
            memory: MemoryLimit::DEFAULT,
            request_timeout: RequestTimeout::DEFAULT,
            instances,
            cpu: CpuShare::WHOLE,
            concurrent_requests: 1024,
            queued_requests: 4096,
            requests_per_instance: u64::MAX,
            memory_growth: 4096 << 20,
            open_files: 256,
            log_lines_per_second: 1000,
            outbound: OutboundLimits::DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{InstanceCount, MemoryLimit, OutOfRange, RequestTimeout};
    use std::time::Duration;

    #[test]
    fn memory_is_between_what_the_interpreter_needs_and_what_it_can_address() {
        assert_eq!(MemoryLimit::from_mib(63), Err(OutOfRange { expected: "64 to 4096 MiB", got: 63 }));
        assert_eq!(MemoryLimit::from_mib(64).map(MemoryLimit::bytes), Ok(64 << 20));
        assert_eq!(MemoryLimit::from_mib(4096).map(MemoryLimit::bytes), Ok(4096 << 20));
        assert_eq!(
            MemoryLimit::from_mib(4097).map_err(|error| error.to_string()),
            Err("expected 64 to 4096 MiB, got `4097`".to_owned())
        );
        assert!(MemoryLimit::from_mib(u64::MAX).is_err());
    }

    #[test]
    fn a_request_takes_more_than_nothing_and_at_most_a_day() {
        let day = Duration::from_secs(86_400);
        assert!(RequestTimeout::new(Duration::ZERO).is_err());
        assert_eq!(
            RequestTimeout::new(Duration::from_millis(1)).map(RequestTimeout::duration),
            Ok(Duration::from_millis(1))
        );
        assert_eq!(RequestTimeout::new(day).map(RequestTimeout::duration), Ok(day));
        assert!(RequestTimeout::new(day + Duration::from_millis(1)).is_err());
    }

    #[test]
    fn there_are_1_to_256_instances() {
        assert!(InstanceCount::new(0).is_err());
        assert_eq!(InstanceCount::new(1).map(InstanceCount::get), Ok(1));
        assert_eq!(InstanceCount::new(256).map(InstanceCount::get), Ok(256));
        assert!(InstanceCount::new(257).is_err());
    }
}
