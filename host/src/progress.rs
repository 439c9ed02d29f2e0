//! What a person at a terminal sees while an agent boots. Containers see the log alone.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::boot::{BootPhase, milliseconds};

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(80);

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
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style.tick_chars("|/-\\ "));
        }
        bar.enable_steady_tick(TURN);
        Self { bar }
    }

    /// Says what is going on now.
    pub fn now(&self, text: impl Into<Cow<'static, str>>) {
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
