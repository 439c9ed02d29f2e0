//! How a boot that failed ends, and what outlives it.

use std::error::Error;
use std::io::{self, Write};

use super::console::Console;
use super::error::{BootError, Broken};
use crate::boot::BootPhase;
use crate::exit::{Exit, ExitCodes, FailureClass};
use crate::failures::Failures;
use crate::health::Health;
use crate::lifecycle::Phase;
use crate::signals::Signals;
use crate::telemetry::events;

/// What somebody needs to know who started the image with nothing.
const EXPLANATION: &str = "\
PAR runs one agent package, sandboxed, and needs to know who it is and where the package is:

  AGENT_APP_ID   identity of the agent, required
  PACKAGE_URL    https://... or s3://bucket/key, or AGENT_PACKAGE_PATH for a file or a directory

for example

  docker run -e AGENT_APP_ID=my-agent -e PACKAGE_URL=https://packages.example/my-agent-1.0.0.apkg -p 8080:8080 IMAGE

`par --help` has more, docs/configuration.md has every variable.
";

/// Says on standard error what is needed to start.
pub(super) fn explain() {
    // Nobody is left to tell when this fails; the log says what is missing as well.
    let _ = io::stderr().write_all(EXPLANATION.as_bytes());
}

/// What every failure of a boot needs.
pub(super) struct Ending<'a> {
    pub(super) failures: &'a Failures,
    pub(super) codes: ExitCodes,
    pub(super) health: &'a Health,
    pub(super) console: &'a Console,
}

impl Ending<'_> {
    /// Tells why there is no agent, and waits before the exit when this is not the first time.
    pub(super) async fn boot_failed(&self, error: &BootError, signals: &mut Signals) -> Exit {
        self.health.lifecycle().advance(Phase::Failed);
        self.console.end();
        let (hint, traceback) = (error.hint(), error.traceback());
        let cause = error as &dyn Error;
        if let Some(event) = error.event() {
            tracing::error!(error = cause, hint, traceback, "{event}");
        }
        let phase = error.phase().map(BootPhase::as_str);
        let class = error.class();
        let exit = self.codes.failed(class);
        let (class, exit_code) = (class.as_str(), exit.code());
        tracing::error!(phase, error = cause, hint, class, exit_code, "{}", events::BOOT_FAILED);
        back_off(self.failures, exit, signals).await
    }

    /// Tells why there is no agent any more.
    pub(super) fn broke(&self, broken: &Broken) -> Exit {
        self.health.lifecycle().advance(Phase::Failed);
        let exit = self.codes.failed(FailureClass::Serving);
        let class = FailureClass::Serving.as_str();
        tracing::error!(error = broken as &dyn Error, class, exit_code = exit.code(), "{}", events::SURFACE_FAILED);
        exit
    }
}

/// Waits before a failed exit, so that a container that is started again and again does not
/// spin. A signal ends the wait.
pub(super) async fn back_off(failures: &Failures, exit: Exit, signals: &mut Signals) -> Exit {
    if let Some(wait) = failures.back_off() {
        tracing::error!(
            failure_count = failures.before(),
            backoff_seconds = wait.as_secs(),
            exit_code = exit.code(),
            "{}",
            events::BOOT_BACK_OFF
        );
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            signal = signals.next() => tracing::info!(signal = signal.as_str(), "{}", events::SIGNAL_RECEIVED),
        }
    }
    exit
}

/// Counts this boot as failed until something else is known.
pub(super) fn count(failures: &Failures) {
    remark(failures.count());
}

/// A signal ended the boot: it neither failed nor succeeded.
pub(super) fn take_back(failures: &Failures) {
    remark(failures.take_back());
}

/// The boot succeeded.
pub(super) fn forget(failures: &Failures) {
    remark(failures.forget());
}

/// A place to keep the count is welcome and not needed.
fn remark(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        tracing::debug!(error = &error as &dyn Error, "{}", events::FAILURES_NOT_KEPT);
    }
}
