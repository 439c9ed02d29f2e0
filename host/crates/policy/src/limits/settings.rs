//! Limits as files set them: a key and a whole number.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{CpuShare, InstanceCount, Limits, MemoryLimit, RequestTimeout};
use crate::RuleId;
use crate::policy::Line;

/// A limit a policy can set and a package can ask for. More is always wider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LimitKey(usize);

/// What there is to know about a limit.
struct Entry {
    key: &'static str,
    least: u64,
    most: u64,
    get: fn(&Limits) -> u64,
    set: fn(&mut Limits, u64),
}

const MIB: u64 = 1 << 20;
const DAY_MS: u64 = 86_400_000;

/// Every limit, in the order of the documentation. The setters see values in range only.
static ENTRIES: [Entry; 17] = [
    Entry {
        key: "memory_mib",
        least: 64,
        most: 4096,
        get: |limits| limits.memory.bytes() as u64 / MIB,
        set: |limits, mib| limits.memory = MemoryLimit::from_mib(mib).unwrap_or(limits.memory),
    },
    Entry {
        key: "request_timeout_ms",
        least: 1,
        most: DAY_MS,
        get: |limits| milliseconds(limits.request_timeout.duration()),
        set: |limits, ms| {
            let timeout = RequestTimeout::new(Duration::from_millis(ms));
            limits.request_timeout = timeout.unwrap_or(limits.request_timeout);
        },
    },
    Entry {
        key: "instances",
        least: 1,
        most: 256,
        get: |limits| limits.instances.get() as u64,
        set: |limits, count| limits.instances = InstanceCount::new(count).unwrap_or(limits.instances),
    },
    Entry {
        key: "cpu_percent",
        least: 1,
        most: 100,
        get: |limits| u64::from(limits.cpu.percent()),
        set: |limits, percent| limits.cpu = u8::try_from(percent).map_or(limits.cpu, CpuShare),
    },
    Entry {
        key: "concurrent_requests",
        least: 1,
        most: 65_536,
        get: |limits| u64::from(limits.concurrent_requests),
        set: |limits, count| limits.concurrent_requests = narrowed(count),
    },
    Entry {
        key: "queued_requests",
        least: 0,
        most: 65_536,
        get: |limits| u64::from(limits.queued_requests),
        set: |limits, count| limits.queued_requests = narrowed(count),
    },
    Entry {
        key: "requests_per_instance",
        least: 1,
        most: u64::MAX,
        get: |limits| limits.requests_per_instance,
        set: |limits, count| limits.requests_per_instance = count,
    },
    Entry {
        key: "memory_growth_mib",
        least: 1,
        most: 4096,
        get: |limits| limits.memory_growth / MIB,
        set: |limits, mib| limits.memory_growth = mib * MIB,
    },
    Entry {
        key: "open_files",
        least: 16,
        most: 10_000,
        get: |limits| u64::from(limits.open_files),
        set: |limits, count| limits.open_files = narrowed(count),
    },
    Entry {
        key: "log_lines_per_second",
        least: 1,
        most: 100_000,
        get: |limits| u64::from(limits.log_lines_per_second),
        set: |limits, count| limits.log_lines_per_second = narrowed(count),
    },
    Entry {
        key: "outbound_requests_per_request",
        least: 1,
        most: 100_000,
        get: |limits| u64::from(limits.outbound.requests_per_request),
        set: |limits, count| limits.outbound.requests_per_request = narrowed(count),
    },
    Entry {
        key: "outbound_concurrent_requests",
        least: 1,
        most: 10_000,
        get: |limits| u64::from(limits.outbound.concurrent_requests),
        set: |limits, count| limits.outbound.concurrent_requests = narrowed(count),
    },
    Entry {
        key: "outbound_request_mib",
        least: 1,
        most: 65_536,
        get: |limits| limits.outbound.request_bytes / MIB,
        set: |limits, mib| limits.outbound.request_bytes = mib * MIB,
    },
    Entry {
        key: "outbound_response_mib",
        least: 1,
        most: 65_536,
        get: |limits| limits.outbound.response_bytes / MIB,
        set: |limits, mib| limits.outbound.response_bytes = mib * MIB,
    },
    Entry {
        key: "outbound_connect_timeout_ms",
        least: 1,
        most: DAY_MS,
        get: |limits| milliseconds(limits.outbound.connect_timeout),
        set: |limits, ms| limits.outbound.connect_timeout = Duration::from_millis(ms),
    },
    Entry {
        key: "outbound_idle_timeout_ms",
        least: 1,
        most: DAY_MS,
        get: |limits| milliseconds(limits.outbound.idle_timeout),
        set: |limits, ms| limits.outbound.idle_timeout = Duration::from_millis(ms),
    },
    Entry {
        key: "outbound_timeout_ms",
        least: 1,
        most: DAY_MS,
        get: |limits| milliseconds(limits.outbound.total_timeout),
        set: |limits, ms| limits.outbound.total_timeout = Duration::from_millis(ms),
    },
];

const fn is_equal(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut index = 0;
    while index < one.len() && index < other.len() && one[index] == other[index] {
        index += 1;
    }
    index == one.len() && index == other.len()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn narrowed(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl LimitKey {
    /// Until an outbound connection stands.
    pub const OUTBOUND_CONNECT_TIMEOUT: Self = Self::named("outbound_connect_timeout_ms");
    /// While nothing arrives.
    pub const OUTBOUND_IDLE_TIMEOUT: Self = Self::named("outbound_idle_timeout_ms");
    /// All of an outbound request.
    pub const OUTBOUND_TIMEOUT: Self = Self::named("outbound_timeout_ms");
    /// Outbound requests at a time.
    pub const OUTBOUND_CONCURRENT_REQUESTS: Self = Self::named("outbound_concurrent_requests");

    /// The limit with this key; one that is not there does not compile.
    const fn named(key: &str) -> Self {
        let mut index = 0;
        while !is_equal(ENTRIES[index].key, key) {
            index += 1;
        }
        Self(index)
    }

    /// Every limit.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..ENTRIES.len()).map(Self)
    }

    /// The limit with this key.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        Self::all().find(|limit| limit.as_str() == key)
    }

    /// The key, with its unit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        ENTRIES[self.0].key
    }

    /// Least and largest value it takes.
    #[must_use]
    pub const fn range(self) -> (u64, u64) {
        (ENTRIES[self.0].least, ENTRIES[self.0].most)
    }

    /// Its value among these limits.
    #[must_use]
    pub fn value_in(self, limits: &Limits) -> u64 {
        (ENTRIES[self.0].get)(limits)
    }
}

/// The limits a file sets. What it does not set stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitSettings(BTreeMap<LimitKey, Line<u64>>);

impl LimitSettings {
    /// Sets a limit; `false` for a value out of its range.
    #[must_use]
    pub fn set(&mut self, key: LimitKey, line: Line<u64>) -> bool {
        let (least, most) = key.range();
        let valid = (least..=most).contains(&line.value);
        if valid {
            self.0.insert(key, line);
        }
        valid
    }

    /// The limits that are set.
    pub fn iter(&self) -> impl Iterator<Item = (LimitKey, &Line<u64>)> {
        self.0.iter().map(|(key, line)| (*key, line))
    }

    /// These settings without some of their lines.
    pub(crate) fn without(&self, lines: &[RuleId]) -> Self {
        let rest = self.0.iter().filter(|(_, line)| !lines.contains(&line.rule));
        Self(rest.map(|(key, line)| (*key, line.clone())).collect())
    }

    /// The line that sets this limit.
    #[must_use]
    pub fn get(&self, key: LimitKey) -> Option<&Line<u64>> {
        self.0.get(&key)
    }

    /// These limits, over others.
    #[must_use]
    pub fn over(&self, base: Limits) -> Limits {
        let mut limits = base;
        for (key, line) in &self.0 {
            (ENTRIES[key.0].set)(&mut limits, line.value);
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(value: u64) -> Line<u64> {
        Line { rule: RuleId::new("limits.x"), value }
    }

    #[test]
    fn every_limit_is_set_and_read_by_its_key_alone() {
        let base = Limits::default_with(InstanceCount::one_per_core(std::num::NonZeroUsize::MIN));
        for key in LimitKey::all() {
            let (least, most) = key.range();
            assert_eq!(LimitKey::parse(key.as_str()), Some(key));
            for value in [least, (least / 2).saturating_add(most / 2), most] {
                let mut settings = LimitSettings::default();
                assert!(settings.set(key, line(value)), "{} takes {value}", key.as_str());

                let limits = settings.over(base);

                assert_eq!(key.value_in(&limits), value, "{}", key.as_str());
                for other in LimitKey::all().filter(|other| *other != key) {
                    assert_eq!(
                        other.value_in(&limits),
                        other.value_in(&base),
                        "{} leaves {}",
                        key.as_str(),
                        other.as_str()
                    );
                }
            }
            let mut settings = LimitSettings::default();
            for value in [least.checked_sub(1), most.checked_add(1)].into_iter().flatten() {
                assert!(!settings.set(key, line(value)), "{} refuses {value}", key.as_str());
            }
            assert_eq!(settings, LimitSettings::default());
        }
    }

    #[test]
    fn a_key_is_found_by_all_of_its_name() {
        for (one, other) in [("", "m"), ("memory", "memory_mib"), ("memory_mib", "memory"), ("a_mib", "b_mib")] {
            assert!(!is_equal(one, other), "{one} {other}");
        }
        assert!(is_equal("", "") && is_equal("memory_mib", "memory_mib"));
    }
}
