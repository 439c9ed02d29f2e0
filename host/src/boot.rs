//! The phases of a boot, timed.

use std::time::{Duration, Instant};

use crate::memory;
use crate::telemetry::events;

/// One phase of a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootPhase {
    /// Fetching the package.
    Download,
    /// Checking and reading the package.
    Extract,
    /// Preparing the dependencies.
    Install,
    /// Starting the sandbox and importing the agent.
    Load,
    /// Opening the surfaces.
    Serve,
}

impl BootPhase {
    /// All phases, in order.
    pub const ALL: [Self; 5] = [Self::Download, Self::Extract, Self::Install, Self::Load, Self::Serve];

    /// The name in logs and in `/meta`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Extract => "extract",
            Self::Install => "install",
            Self::Load => "load",
            Self::Serve => "serve",
        }
    }
}

/// The running clock of a boot.
#[derive(Debug)]
pub struct BootClock {
    started: Instant,
    spent: [Duration; BootPhase::ALL.len()],
    done: Vec<Done>,
}

/// One phase, or a part of one, that is over.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Which phase.
    pub phase: BootPhase,
    /// When it began.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
    /// Whether it succeeded.
    pub succeeded: bool,
}

/// How long a boot took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BootTimes {
    /// From the start of the process.
    pub total: Duration,
    spent: [Duration; BootPhase::ALL.len()],
}

impl BootClock {
    /// A clock of a process that started at `started`.
    #[must_use]
    pub const fn new(started: Instant) -> Self {
        Self { started, spent: [Duration::ZERO; BootPhase::ALL.len()], done: Vec::new() }
    }

    /// Does the work of one phase, and logs how long it took when it succeeds. A phase that comes
    /// in parts adds up.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn time<T, E>(&mut self, phase: BootPhase, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let begun = Instant::now();
        let result = work.await;
        let spent = begun.elapsed();
        self.spent[phase as usize] += spent;
        self.done.push(Done { phase, began: begun, took: spent, succeeded: result.is_ok() });
        if result.is_ok() {
            tracing::info!(
                phase = phase.as_str(),
                duration_ms = milliseconds(spent),
                memory_bytes = memory::resident(),
                "{}",
                events::BOOT_PHASE
            );
        }
        result
    }

    /// When the process started.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// What is over, in order.
    #[must_use]
    pub fn done(&self) -> &[Done] {
        &self.done
    }

    /// How long a phase took so far.
    #[must_use]
    pub const fn spent(&self, phase: BootPhase) -> Duration {
        self.spent[phase as usize]
    }

    /// The times so far.
    #[must_use]
    pub fn times(&self) -> BootTimes {
        BootTimes { total: self.started.elapsed(), spent: self.spent }
    }
}

impl BootTimes {
    /// The phases and their milliseconds, in order. A phase that was not needed took 0.
    pub fn phases_ms(&self) -> impl Iterator<Item = (&'static str, f64)> + use<> {
        BootPhase::ALL.into_iter().map(BootPhase::as_str).zip(self.spent_ms())
    }

    /// The milliseconds of the phases, in order.
    #[must_use]
    pub fn spent_ms(&self) -> [f64; BootPhase::ALL.len()] {
        self.spent.map(milliseconds)
    }

    /// From the start of the process, in milliseconds.
    #[must_use]
    pub fn total_ms(&self) -> f64 {
        milliseconds(self.total)
    }

    /// Warns when the boot took longer than it should, and names the phases.
    pub fn warn_over(&self, budget: Duration) {
        if self.total <= budget {
            return;
        }
        let [download, extract, install, load, serve] = self.spent_ms();
        tracing::warn!(
            boot_ms = self.total_ms(),
            budget_ms = milliseconds(budget),
            phases_ms.download = download,
            phases_ms.extract = extract,
            phases_ms.install = install,
            phases_ms.load = load,
            phases_ms.serve = serve,
            "{}",
            events::BOOT_OVER_BUDGET
        );
    }
}

/// Milliseconds, to the microsecond.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_phases_are_listed_in_order_and_parts_of_one_add_up() {
        let mut clock = BootClock::new(Instant::now());
        let part = async || {
            std::thread::sleep(Duration::from_millis(2));
            Ok::<_, ()>(())
        };

        clock.time(BootPhase::Load, part()).await.unwrap();
        clock.time(BootPhase::Load, part()).await.unwrap();

        let phases: Vec<_> = clock.times().phases_ms().collect();
        assert_eq!(
            phases.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["download", "extract", "install", "load", "serve"]
        );
        assert!(phases[3].1 >= 4.0 && phases[1].1 == 0.0, "{phases:?}");
        assert!(clock.times().total_ms() >= phases[3].1);
    }

    #[tokio::test]
    async fn the_time_of_a_phase_that_failed_counts_too() {
        let mut clock = BootClock::new(Instant::now());

        let work = async {
            std::thread::sleep(Duration::from_millis(2));
            Err::<(), _>("corrupt")
        };

        let result = clock.time(BootPhase::Extract, work).await;

        assert_eq!(result, Err("corrupt"));
        assert!(clock.times().phases_ms().any(|(name, ms)| name == "extract" && ms >= 2.0));
    }
}
