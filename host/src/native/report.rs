//! What a process says about its confinement, before it becomes the agent's Python.

use std::os::unix::net::UnixStream as StdStream;

use par_policy::AuditEvent;
use par_policy::policy::Confinement;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use super::confinement::{Missing, Part, Report};
use crate::telemetry::events;

/// Longest report. Unit: bytes.
const REPORT_BYTES: u64 = 16 * 1024;

/// Reads the report of a process. `None` when it ended before it had said it.
pub(super) async fn hear(stream: StdStream) -> Option<Report> {
    stream.set_nonblocking(true).ok()?;
    let mut line = Vec::new();
    // A process that ends meanwhile has said what it could.
    let _ = UnixStream::from_std(stream).ok()?.take(REPORT_BYTES).read_to_end(&mut line).await;
    serde_json::from_slice(&line).ok()
}

/// Logs what holds and what does not.
pub(super) fn log(report: &Report, process: i32) {
    tracing::info!(process, parts = words(report), "{}", events::PROCESS_CONFINED);
    for Missing { part, because } in &report.missing {
        tracing::warn!(process, part = part.as_str(), because, "{}", events::CONFINEMENT_INCOMPLETE);
    }
}

/// The same for the record.
pub(super) fn on_record(report: &Report, rule: Confinement) -> Vec<AuditEvent> {
    let missing =
        report.missing.iter().map(|missing| AuditEvent::not_confined(missing.part.as_str(), &missing.because, rule));
    std::iter::once(AuditEvent::confined(&words(report))).chain(missing).collect()
}

/// The parts that hold.
fn words(report: &Report) -> String {
    report.applied.iter().map(|part| Part::as_str(*part)).collect::<Vec<_>>().join(", ")
}
