//! The boot as a trace.

use std::time::Instant;

use super::error::BootError;
use crate::boot::BootClock;
use crate::otlp::{Kind, Tracer};

/// Makes one span of the boot, from the start of the process, and one of each of its phases.
pub(super) fn boot(tracer: &Tracer, clock: &BootClock, failed: Option<&BootError>) {
    let trace = tracer.begin("boot", Kind::Internal, None, clock.started());
    let Some(mut boot) = trace.and_then(|trace| trace.span) else { return };
    let phases = boot.recording();
    for done in clock.done() {
        let mut span = phases.child(done.phase.as_str(), Kind::Internal, done.began);
        if let Some(error) = failed.filter(|_| !done.succeeded) {
            span.fail(error.class().as_str());
        }
        span.ended_at(done.began + done.took);
    }
    if let Some(error) = failed {
        boot.fail(error.class().as_str());
    }
    boot.ended_at(Instant::now());
}
