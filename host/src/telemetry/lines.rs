//! Lines that are made without `tracing`: no level holds them back.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Level;
use super::fields::Fields;
use super::line::{Origin, Repeat};
use super::writer::Sink;

/// Somewhere lines of the form of the log go.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    origin: Arc<Origin>,
    sink: Sink,
}

impl Lines {
    pub(super) fn new(origin: Arc<Origin>, sink: Sink) -> Self {
        Self { origin, sink }
    }

    /// Writes a line with these fields in `details`; false when there is no room for it now.
    #[expect(clippy::disallowed_methods, reason = "lines have the time of day")]
    pub(crate) fn try_write(&self, level: Level, event: &str, details: Map<String, Value>) -> bool {
        let fields = Fields { message: event.to_owned(), details };
        self.sink.try_write(&self.origin.line(Timestamp::now(), level, fields, Repeat::Nothing))
    }

    /// Writes lines that are finished already; counted as dropped when there is no room.
    pub(crate) fn write_finished(&self, lines: &[u8]) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.sink.write(line);
        }
    }

    /// Waits until everything handed over is written, at most `longest`.
    pub(crate) fn flush(&self, longest: Duration) {
        self.sink.flush(longest);
    }
}
