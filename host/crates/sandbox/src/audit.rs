//! What is on the record: one record for each use of a capability and for each denial.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use par_policy::{AuditEvent, DenialCode};

use crate::trace::{RequestName, TraceParent};

/// One event of the policy with the facts of its occasion. Holds no query, header or value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// What was used or denied, and by which rule.
    pub event: AuditEvent,
    /// The request to the agent during which it happened; `None` at start-up, in background
    /// work, and of files and memory while several requests are served. Of outbound requests and
    /// secrets the guest names it, so a hostile agent can name another one of its own.
    pub request_id: Option<RequestName>,
    /// Which span of the request's trace it is, where that is recorded: an outbound request told it to the other side.
    pub span: Option<TraceParent>,
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
    pub fn at_once(event: AuditEvent, request_id: Option<RequestName>) -> Self {
        Self {
            event,
            request_id,
            span: None,
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

/// The record of one instance, for what happens without the name of a request: files and memory. What happens while the
/// instance serves one request and no other is put to the account of that one.
#[derive(Debug)]
pub(crate) struct Accounted {
    sink: Arc<dyn AuditSink>,
    only: Mutex<Option<RequestName>>,
}

impl Accounted {
    /// Of an instance that serves nothing yet.
    pub(crate) fn new(sink: Arc<dyn AuditSink>) -> Arc<Self> {
        Arc::new(Self { sink, only: Mutex::default() })
    }

    /// From now on the instance serves this request and no other, or none, or several.
    pub(crate) fn serves_only(&self, request_id: Option<RequestName>) {
        *self.only.lock().unwrap_or_else(PoisonError::into_inner) = request_id;
    }
}

impl AuditSink for Accounted {
    fn record(&self, record: AuditRecord) {
        let only = || self.only.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request_id = record.request_id.clone().or_else(only);
        self.sink.record(AuditRecord { request_id, ..record });
    }
}

/// Puts a limit that was reached on the record. `target` says what reached it.
pub(crate) fn limit(audit: &dyn AuditSink, code: DenialCode, target: &str, request_id: Option<&RequestName>) {
    audit.record(AuditRecord::at_once(AuditEvent::limit(code, None, target), request_id.cloned()));
}
