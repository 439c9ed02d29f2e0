//! What a process of the agent writes and logs, on its way into the host's log.
//!
//! The agent's text is only ever the value of a field: it cannot end a line or name a key. The log itself keeps to
//! the rate of the grants.

use par_sandbox::trace::RequestName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A longer line is logged in pieces.
const LINE_BYTES: usize = 8 * 1024;

/// Logs what comes out of a pipe, line by line, until its end. `stream` is its name.
pub(super) async fn drain(mut pipe: impl AsyncRead + Unpin, stream: &'static str) {
    let mut bytes = vec![0; LINE_BYTES];
    let mut line = Vec::new();
    while let Ok(count @ 1..) = pipe.read(&mut bytes).await {
        for part in bytes[..count].split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part.strip_suffix(b"\n").unwrap_or(part));
            if part.ends_with(b"\n") || line.len() >= LINE_BYTES {
                emit(&line, stream);
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        emit(&line, stream);
    }
}

fn emit(line: &[u8], stream: &'static str) {
    for piece in line.chunks(LINE_BYTES) {
        tracing::info!(target: "agent", stream, text = %String::from_utf8_lossy(piece), "Agent output");
    }
}

/// A record of the agent's `logging`.
#[derive(Debug, Deserialize)]
struct Entry {
    level: String,
    logger: String,
    message: String,
    traceback: Option<String>,
}

/// Logs one record, made while `request` was served. What is none is left out.
pub(super) fn log_entry(payload: &[u8], request: Option<&RequestName>) {
    let (request_id, trace_id) = (request.map(|request| &**request), request.and_then(RequestName::trace_id));
    let span_id = request.and_then(RequestName::span_id);
    let Ok(Entry { level, logger, message, traceback }) = serde_json::from_slice(payload) else { return };
    let (logger, text, traceback) = (logger.as_str(), message.as_str(), traceback.as_deref());
    match level.as_str() {
        "debug" => {
            tracing::debug!(target: "agent", logger, text, traceback, request_id, trace_id, span_id, "Agent log")
        }
        "warning" => {
            tracing::warn!(target: "agent", logger, text, traceback, request_id, trace_id, span_id, "Agent log")
        }
        "error" => {
            tracing::error!(target: "agent", logger, text, traceback, request_id, trace_id, span_id, "Agent log")
        }
        _ => tracing::info!(target: "agent", logger, text, traceback, request_id, trace_id, span_id, "Agent log"),
    }
}
