//! How long a boot may take, and what a failed one does.

use std::time::Duration;

use super::mistake::Expected;
use super::places;
use super::raw::Environment;
use super::reader::{Reader, duration, number, positive_duration, whole};
use super::variables as v;
use crate::exit::ExitCodes;
use crate::failures::Failures;

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
    /// Boots that failed before this one, as far as the environment knows.
    pub failures: u32,
    /// Which codes failures exit with.
    pub exit_codes: ExitCodes,
}

impl Boot {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let budget = reader.value(&v::BOOT_BUDGET_MS, |text| positive_duration(text, 0.001));
        let factor = reader.value(&v::BOOT_HARD_LIMIT_MULTIPLIER, factor);
        let startup_timeout = reader.value(&v::STARTUP_TIMEOUT_SEC, |text| positive_duration(text, 1.0));
        let failures = reader.value(&v::BOOT_FAILURE_COUNT, failures);
        let exit_codes = reader.value(&v::PAR_EXIT_CODES, |text| match text {
            "one" => Ok(ExitCodes::One),
            "by_class" => Ok(ExitCodes::ByClass),
            _ => Err(Expected::new("`one` or `by_class`")),
        });
        let test_delay = reader.value(&v::TEST_BOOT_DELAY_MS, |text| duration(text, 0.001));

        let (budget, factor) = (budget?, factor?);
        Some(Self {
            budget,
            hard_limit: (factor > 0.0).then(|| budget.mul_f64(factor)),
            startup_timeout: startup_timeout?,
            test_delay: test_delay?,
            failures: failures?,
            exit_codes: exit_codes?,
        })
    }
}

/// The count of boots that failed before this one, kept where `PAR_CACHE_DIR` is set, whether or not the configuration is valid.
#[must_use]
pub fn failures_of(environment: &Environment) -> Failures {
    let mut reader = Reader::new(environment);
    let told = reader.value(&v::BOOT_FAILURE_COUNT, failures).unwrap_or(0);
    let cache_dir = reader.optional(&v::PAR_CACHE_DIR, places::directory).flatten();
    let (app_id, _) = environment.identity();
    Failures::of(cache_dir.as_deref(), app_id.as_deref(), told)
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
