//! What is on the record: one record for each use of a capability and for each denial.

use std::sync::Arc;
use std::time::Duration;

use par_policy::{AuditEvent, Decision};

/// One event of the policy with the facts of its occasion. Holds no query, header or value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// What was used or denied, and by which rule.
    pub event: AuditEvent,
    /// The request to the agent during which it happened; `None` at start-up and in background
    /// work. The guest names it, so a hostile agent can name another one of its own.
    pub request_id: Option<Arc<str>>,
    /// Status of the response, when there was one.
    pub status: Option<u16>,
    /// Bytes of the body that was sent.
    pub sent_bytes: u64,
    /// Bytes of the body that was received.
    pub received_bytes: u64,
    /// From the decision to the end; zero for a denial.
    pub duration: Duration,
}

impl AuditRecord {
    /// A record of something that took no time and moved no bytes.
    #[must_use]
    pub fn at_once(event: AuditEvent, request_id: Option<Arc<str>>) -> Self {
        Self { event, request_id, status: None, sent_bytes: 0, received_bytes: 0, duration: Duration::ZERO }
    }
}

/// Where records go. Called from async tasks: it must not block.
pub trait AuditSink: std::fmt::Debug + Send + Sync {
    /// Takes one record.
    fn record(&self, record: AuditRecord);
}

/// Writes records to the log of the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditLog;

impl AuditSink for AuditLog {
    fn record(&self, record: AuditRecord) {
        let AuditRecord { event, request_id, status, sent_bytes, received_bytes, duration } = record;
        let (capability, target, decision) = (event.capability.as_str(), event.target, event.decision.as_str());
        let rule = event.rule.as_ref().map(|rule| rule.as_str());
        let code = event.code.map(|code| code.as_str());
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        match event.decision {
            Decision::Allowed => tracing::info!(
                capability,
                decision,
                target,
                rule,
                request_id = request_id.as_deref(),
                status,
                sent_bytes,
                received_bytes,
                duration_ms,
                "Capability used"
            ),
            Decision::Denied | Decision::Observed => tracing::warn!(
                capability,
                decision,
                target,
                code,
                rule,
                request_id = request_id.as_deref(),
                "Capability denied"
            ),
        }
    }
}
