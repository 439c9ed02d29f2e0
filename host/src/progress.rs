//! How far a boot is: what a person at a terminal sees, and lines of the log for everybody else.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::boot::{BootPhase, milliseconds};
use crate::telemetry::events;

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(80);

/// How often a log says how far a download is. Short downloads are over before.
const INTERVAL: Duration = Duration::from_secs(2);

/// What is shown when nothing is counted.
const WITHOUT_BAR: &str = "{spinner} {msg} {elapsed}";

/// What is shown when the end is known.
const WITH_BAR: &str = "{spinner} {msg} [{bar:24}] {bytes} of {total_bytes}";

/// One line of standard error that says what is going on, or nothing at all.
#[derive(Debug, Clone)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden() }
    }

    /// Shows on standard error, if that is a terminal.
    #[must_use]
    pub fn on_terminal() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        set_style(&bar, WITHOUT_BAR);
        bar.enable_steady_tick(TURN);
        Self { bar }
    }

    /// Says what is going on now.
    pub fn now(&self, text: impl Into<Cow<'static, str>>) {
        if self.bar.length().is_some() {
            // In this order: what has no length is drawn as soon as it has none.
            set_style(&self.bar, WITHOUT_BAR);
            self.bar.unset_length();
        }
        self.bar.set_message(text);
    }

    /// Says what is going on now, and how much of it is done. Unit: bytes.
    pub fn counted(&self, text: impl Into<Cow<'static, str>>, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            set_style(&self.bar, WITH_BAR);
        }
        self.bar.set_position(done);
        self.bar.set_message(text);
    }

    /// Leaves a line about a phase that is over.
    pub fn done(&self, phase: BootPhase, detail: &str, spent: Duration) {
        self.bar.println(format!("  {:<8} {detail}  ({:.0} ms)", phase.as_str(), milliseconds(spent)));
    }

    /// Whether nobody sees it.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.bar.is_hidden()
    }

    /// Ends the display, with these lines as the last.
    pub fn end(&self, lines: &[String]) {
        for line in lines {
            self.bar.println(line);
        }
        self.bar.finish_and_clear();
    }

    /// An output that writes between two drawings, so that neither tears the other.
    #[must_use]
    pub fn beside<W: Write + Send + 'static>(&self, output: W) -> impl Write + Send + 'static + use<W> {
        Beside { bar: self.bar.clone(), output }
    }
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.tick_chars("|/-\\ ").progress_chars("=> "));
    }
}

/// Says in the log how far a download is, now and then.
#[derive(Debug)]
pub struct Meter {
    phase: BootPhase,
    begun: Instant,
    said: Mutex<Instant>,
}

impl Meter {
    /// A download that begins now.
    #[must_use]
    pub fn new(phase: BootPhase) -> Self {
        let begun = Instant::now();
        Self { phase, begun, said: Mutex::new(begun) }
    }

    /// Bytes that are here by now, since it began.
    #[must_use]
    pub fn rate(&self, bytes: u64) -> u64 {
        rate(bytes, self.begun.elapsed())
    }

    /// Writes a line, if the last one is a while ago.
    pub fn log(&self, what: &str, bytes: u64, total: Option<u64>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.elapsed() < INTERVAL {
            return;
        }
        *said = Instant::now();
        let (phase, bytes_per_second) = (self.phase.as_str(), self.rate(bytes));
        tracing::info!(phase, what, bytes, total, bytes_per_second, "{}", events::DOWNLOAD_PROGRESS);
    }
}

/// Bytes a second.
#[must_use]
pub fn rate(bytes: u64, spent: Duration) -> u64 {
    let micros = spent.as_micros().max(1);
    u64::try_from(u128::from(bytes) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

struct Beside<W> {
    bar: ProgressBar,
    output: W,
}

impl<W: Write> Write for Beside<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let output = &mut self.output;
        self.bar.suspend(|| {
            let written = output.write(bytes)?;
            output.flush()?;
            Ok(written)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_in_bytes_a_second() {
        assert_eq!(rate(1 << 20, Duration::from_millis(500)), 2 << 20);
        assert_eq!(rate(0, Duration::from_secs(1)), 0);
        assert_eq!(rate(1, Duration::ZERO), 1_000_000);
    }
}
