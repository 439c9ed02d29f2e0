//! Lines of the log as records.

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use prost::Message as _;
use serde_json::Value;

use super::resource::{self, Resource};
use super::sending::Sent;
use super::value::{id, pairs, text};
use crate::telemetry::{Entry, Level};

/// The fields that have a place of their own in a record.
const TRACE: &str = "trace_id";
const SPAN: &str = "span_id";
/// What the agent wrote.
const TEXT: &str = "text";

/// One line of the log.
#[derive(Debug)]
pub(super) struct Record(LogRecord);

impl Record {
    /// The record of a line that is about to be written: nothing is in it that is not in that line.
    pub(super) fn of(entry: &Entry<'_>) -> Self {
        let Entry { time, level, event, details } = entry;
        let of_trace = |key: &str, bytes: usize| {
            let digits = details.get(key).and_then(Value::as_str);
            digits.and_then(id).filter(|id| id.len() == bytes).unwrap_or_default()
        };
        let (trace_id, span_id) = (of_trace(TRACE, 16), of_trace(SPAN, 8));
        let body = details.get(TEXT).and_then(Value::as_str).unwrap_or(event);
        let mut attributes = pairs(details);
        attributes.retain(|pair| ![TRACE, SPAN, TEXT].contains(&pair.key.as_str()));
        let nanoseconds = u64::try_from(time.as_nanosecond()).unwrap_or_default();
        let severity = match level {
            Level::Debug => SeverityNumber::Debug,
            Level::Info => SeverityNumber::Info,
            Level::Warning => SeverityNumber::Warn,
            Level::Error => SeverityNumber::Error,
        };
        Self(LogRecord {
            time_unix_nano: nanoseconds,
            observed_time_unix_nano: nanoseconds,
            severity_number: severity.into(),
            severity_text: level.as_str().to_owned(),
            event_name: (*event).to_owned(),
            body: Some(text(body)),
            attributes,
            trace_id,
            span_id,
            ..LogRecord::default()
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.encoded_len()
    }
}

impl Sent for Record {
    fn message(batch: Vec<Self>, resource: &Resource) -> Vec<u8> {
        let log_records = batch.into_iter().map(|Self(record)| record).collect();
        let scope_logs = vec![ScopeLogs { scope: Some(resource::scope()), log_records, ..ScopeLogs::default() }];
        let of_one = ResourceLogs { resource: Some(resource.message()), scope_logs, ..ResourceLogs::default() };
        ExportLogsServiceRequest { resource_logs: vec![of_one] }.encode_to_vec()
    }

    fn refused(answer: &[u8]) -> u64 {
        let answer = ExportLogsServiceResponse::decode(answer).ok();
        let partial = answer.and_then(|answer| answer.partial_success);
        partial.and_then(|partial| u64::try_from(partial.rejected_log_records).ok()).unwrap_or_default()
    }
}
