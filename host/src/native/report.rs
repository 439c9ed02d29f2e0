//! What a process says about its confinement, before it becomes the agent's Python.

use std::os::unix::net::UnixStream as StdStream;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use super::confinement::Report;

/// Longest report. Unit: bytes.
const REPORT_BYTES: u64 = 16 * 1024;

/// Reads the report of a process and logs what does not hold.
pub(super) async fn hear(stream: StdStream, process: i32) {
    let mut line = Vec::new();
    let opened = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
    if let Ok(stream) = opened {
        // A process that ends meanwhile has said what it could.
        let _ = stream.take(REPORT_BYTES).read_to_end(&mut line).await;
    }
    let Ok(report) = serde_json::from_slice::<Report>(&line) else {
        tracing::warn!(process, "Confinement unknown");
        return;
    };
    for missing in report.missing {
        tracing::warn!(process, part = missing.part.as_str(), because = missing.because, "Confinement incomplete");
    }
}
