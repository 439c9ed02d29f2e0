//! A record as a line. `docs/audit.schema.json` describes it, and tests hold every line against it.

use par_policy::Decision;
use par_sandbox::AuditRecord;
use par_sandbox::trace::RequestName;
use serde_json::{Map, Value};

use crate::telemetry::{Level, Lines, events};

/// Longest target, and longest name of a package. Unit: bytes.
const MOST_TARGET: usize = 4096;
const MOST_PACKAGE: usize = 128;

/// Most packages of one event.
const MOST_PACKAGES: usize = 8;

/// Writes a record; false when there is no room for it now.
pub(super) fn write(lines: &Lines, record: &AuditRecord, backend: &str) -> bool {
    let (level, event) = match record.event.decision {
        Decision::Allowed => (Level::Info, events::CAPABILITY_USED),
        Decision::Denied => (Level::Warning, events::CAPABILITY_DENIED),
        Decision::Observed => (Level::Warning, events::CAPABILITY_OBSERVED),
    };
    lines.try_write(level, event, details(record, backend))
}

fn details(record: &AuditRecord, backend: &str) -> Map<String, Value> {
    let AuditRecord { event, request_id, span: _, packages, status, sent_bytes, received_bytes, duration, count } =
        record;
    let named = packages.iter().filter(|name| !name.is_empty()).take(MOST_PACKAGES);
    let packages: Vec<&str> = named.map(|name| cut(name, MOST_PACKAGE)).collect();
    let fields = [
        ("capability", Value::from(event.capability.as_str())),
        ("decision", Value::from(event.decision.as_str())),
        ("target", Value::from(cut(&event.target, MOST_TARGET))),
        ("rule", Value::from(event.rule.as_ref().map(|rule| rule.as_str()))),
        ("origin", Value::from(event.origin.map(|origin| origin.as_str()))),
        ("code", Value::from(event.code.map(|code| code.as_str()))),
        ("request_id", Value::from(request_id.as_deref())),
        ("trace_id", Value::from(request_id.as_ref().and_then(RequestName::trace_id))),
        ("status", Value::from(*status)),
        ("sent_bytes", Value::from(*sent_bytes)),
        ("received_bytes", Value::from(*received_bytes)),
        ("duration_ms", Value::from(duration.as_micros().min(u128::from(u32::MAX)) as f64 / 1000.0)),
        ("count", Value::from(*count)),
        ("backend", Value::from(backend)),
        ("packages", Value::from(packages)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
