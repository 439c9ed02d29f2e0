//! What is on the record: one record for each use of a capability and for each denial.

use std::sync::Arc;
use std::time::Duration;

use par_policy::{AuditEvent, DenialCode};

/// One event of the policy with the facts of its occasion. Holds no query, header or value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// What was used or denied, and by which rule.
    pub event: AuditEvent,
    /// The request to the agent during which it happened; `None` at start-up and in background
    /// work. The guest names it, so a hostile agent can name another one of its own.
    pub request_id: Option<Arc<str>>,
    /// The Python packages that led to it, from the one the agent called to the one that made
    /// it; empty where that cannot be told. The guest names them, so a hostile agent can lie.
    pub packages: Vec<String>,
    /// Status of the response, when there was one.
    pub status: Option<u16>,
    /// Bytes of the body that was sent.
    pub sent_bytes: u64,
    /// Bytes of the body that was received.
    pub received_bytes: u64,
    /// From the decision to the end; zero for a denial.
    pub duration: Duration,
    /// How many events this is: what was left out of something counts as one record. At least 1.
    pub count: u64,
}

impl AuditRecord {
    /// A record of something that took no time and moved no bytes.
    #[must_use]
    pub fn at_once(event: AuditEvent, request_id: Option<Arc<str>>) -> Self {
        Self {
            event,
            request_id,
            packages: Vec::new(),
            status: None,
            sent_bytes: 0,
            received_bytes: 0,
            duration: Duration::ZERO,
            count: 1,
        }
    }
}

/// Where records go. Called from async tasks: it must not block.
pub trait AuditSink: std::fmt::Debug + Send + Sync {
    /// Takes one record.
    fn record(&self, record: AuditRecord);
}

/// Keeps no record: for guests that run on nobody's behalf.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAudit;

impl AuditSink for NoAudit {
    fn record(&self, _: AuditRecord) {}
}

/// Puts a limit that was reached on the record. `target` says what reached it.
pub(crate) fn limit(audit: &dyn AuditSink, code: DenialCode, target: &str, request_id: Option<&Arc<str>>) {
    audit.record(AuditRecord::at_once(AuditEvent::limit(code, None, target), request_id.cloned()));
}
