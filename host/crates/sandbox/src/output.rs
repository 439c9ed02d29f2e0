//! Standard output and log records of a guest, on their way into the host's log.
//!
//! Guest text is only ever the value of a field: it cannot end a line or name a key.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::bindings::pixell::agent::log;
use crate::trace::RequestName;

/// A longer line is logged in pieces.
const LINE_BYTES: usize = 8 * 1024;

/// One of the standard streams of an instance.
#[derive(Debug, Clone)]
pub(crate) struct OutputLog {
    name: &'static str,
    line: Arc<Mutex<Vec<u8>>>,
}

impl OutputLog {
    pub(crate) fn stdout() -> Self {
        Self { name: "stdout", line: Arc::default() }
    }

    pub(crate) fn stderr() -> Self {
        Self { name: "stderr", line: Arc::default() }
    }

    fn take(&self, bytes: &[u8]) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part.strip_suffix(b"\n").unwrap_or(part));
            if part.ends_with(b"\n") || line.len() >= LINE_BYTES {
                self.emit(&line);
                line.clear();
            }
        }
    }

    fn emit(&self, line: &[u8]) {
        for piece in line.chunks(LINE_BYTES) {
            tracing::info!(target: "agent", stream = self.name, text = %String::from_utf8_lossy(piece), "Agent output");
        }
    }
}

impl IsTerminal for OutputLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for OutputLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for OutputLog {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Logs one record of the guest's `logging`, made while `request` was served.
pub(crate) fn log_entry(entry: &log::Entry, request: Option<&RequestName>) {
    let (request_id, trace_id) = (request.map(|request| &**request), request.and_then(RequestName::trace_id));
    let span_id = request.and_then(RequestName::span_id);
    let log::Entry { level, logger, message, traceback, call: _ } = entry;
    let traceback = traceback.as_deref();
    match level {
        log::Level::Debug => {
            tracing::debug!(target: "agent", logger, text = message, traceback, request_id, trace_id, span_id, "Agent log");
        }
        log::Level::Info => {
            tracing::info!(target: "agent", logger, text = message, traceback, request_id, trace_id, span_id, "Agent log");
        }
        log::Level::Warning => {
            tracing::warn!(target: "agent", logger, text = message, traceback, request_id, trace_id, span_id, "Agent log");
        }
        log::Level::Error => {
            tracing::error!(target: "agent", logger, text = message, traceback, request_id, trace_id, span_id, "Agent log");
        }
    }
}
