//! Events that are counted instead of written one by one.

use std::collections::HashMap;

use par_policy::{AuditEvent, Capability, Decision, DenialCode};
use par_sandbox::AuditRecord;

/// Most kinds of events that are told apart. Targets are the agent's to choose, and must not fill
/// the host's memory.
const MOST_KINDS: usize = 1024;

/// What stands for the targets of events beyond that.
const OTHERS: &str = "(others)";

/// Events of one kind differ in time, request, size and duration alone.
type Kind = (Capability, Decision, Option<DenialCode>, String, &'static str);

/// Records, one for each kind of event.
#[derive(Debug, Default)]
pub(super) struct Counted(HashMap<Kind, AuditRecord>);

impl Counted {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a record to those of its kind.
    pub(super) fn add(&mut self, record: AuditRecord, backend: &'static str) {
        let kind = |target| (record.event.capability, record.event.decision, record.event.code, target, backend);
        let known = kind(record.event.target.clone());
        if let Some(sum) = self.0.get_mut(&known) {
            return merge(sum, record);
        }
        if self.0.len() < MOST_KINDS {
            self.0.insert(known, record);
            return;
        }
        let others = kind(OTHERS.to_owned());
        let event = AuditEvent { target: OTHERS.to_owned(), rule: None, origin: None, ..record.event.clone() };
        let record = AuditRecord { event, request_id: None, packages: Vec::new(), status: None, ..record };
        match self.0.get_mut(&others) {
            Some(sum) => merge(sum, record),
            None => drop(self.0.insert(others, record)),
        }
    }

    /// Everything counted so far.
    pub(super) fn take(&mut self) -> Vec<(AuditRecord, &'static str)> {
        self.0.drain().map(|((.., backend), record)| (record, backend)).collect()
    }
}

/// What only one of them has is nobody's any more; what can be added is.
fn merge(sum: &mut AuditRecord, other: AuditRecord) {
    sum.count = sum.count.saturating_add(other.count);
    sum.sent_bytes = sum.sent_bytes.saturating_add(other.sent_bytes);
    sum.received_bytes = sum.received_bytes.saturating_add(other.received_bytes);
    sum.duration = sum.duration.saturating_add(other.duration);
    sum.request_id = sum.request_id.take().filter(|id| other.request_id.as_ref() == Some(id));
    sum.status = sum.status.filter(|status| other.status == Some(*status));
    if sum.packages != other.packages {
        sum.packages.clear();
    }
}
