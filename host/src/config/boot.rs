//! How long a boot may take, and what a failed one does.

use std::time::Duration;

use super::mistake::Expected;
use super::raw::Environment;
use super::reader::{Reader, duration, number, positive_duration, whole};
use super::variables as v;

/// Longest wait before a failed boot exits.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// How long a boot may take, and what a failed one does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Boot {
    /// Time a boot should take; a longer one warns.
    pub budget: Duration,
    /// Time after which a boot counts as failed although it got ready.
    pub hard_limit: Option<Duration>,
    /// Time after which PAR no longer waits to get ready.
    pub startup_timeout: Duration,
    /// For tests: time to wait before ready.
    pub test_delay: Duration,
    /// Boots that failed before this one.
    pub failures: u32,
}

impl Boot {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let budget = reader.value(&v::BOOT_BUDGET_MS, |text| positive_duration(text, 0.001));
        let factor = reader.value(&v::BOOT_HARD_LIMIT_MULTIPLIER, factor);
        let startup_timeout = reader.value(&v::STARTUP_TIMEOUT_SEC, |text| positive_duration(text, 1.0));
        let failures = reader.value(&v::BOOT_FAILURE_COUNT, failures);
        let test_delay = reader.value(&v::TEST_BOOT_DELAY_MS, |text| duration(text, 0.001));

        let (budget, factor) = (budget?, factor?);
        Some(Self {
            budget,
            hard_limit: (factor > 0.0).then(|| budget.mul_f64(factor)),
            startup_timeout: startup_timeout?,
            test_delay: test_delay?,
            failures: failures?,
        })
    }

    /// How long a boot that failed waits before it exits, so that a container that is started
    /// again and again does not spin.
    #[must_use]
    pub fn back_off(&self) -> Option<Duration> {
        back_off(self.failures)
    }
}

/// How many boots failed, and how long to wait before the exit, when the configuration as a
/// whole was refused.
#[must_use]
pub fn back_off_of(environment: &Environment) -> Option<(u32, Duration)> {
    let count = Reader::new(environment).value(&v::BOOT_FAILURE_COUNT, failures)?;
    back_off(count).map(|wait| (count, wait))
}

/// 2 to the power of the count in seconds, at most a minute; nothing for the first failure.
fn back_off(failures: u32) -> Option<Duration> {
    let seconds = 1_u64.checked_shl(failures).unwrap_or(u64::MAX);
    (failures > 0).then(|| Duration::from_secs(seconds).min(LONGEST_BACK_OFF))
}

fn factor(text: &str) -> Result<f64, Expected> {
    number(text)
        .filter(|factor| (0.0..=1e6).contains(factor))
        .ok_or_else(|| Expected::new("a number from 0 to 1000000"))
}

fn failures(text: &str) -> Result<u32, Expected> {
    let count = whole(text, 0, u64::from(u32::MAX))?;
    u32::try_from(count).map_err(|_| Expected::new("a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_boot_waits_twice_as_long_each_time_up_to_a_minute() {
        let seconds: Vec<Option<u64>> =
            [0, 1, 2, 5, 6, 63, 64, u32::MAX].map(|failures| back_off(failures).map(|wait| wait.as_secs())).to_vec();

        assert_eq!(seconds, [None, Some(2), Some(4), Some(32), Some(60), Some(60), Some(60), Some(60)]);
    }
}
