//! The record without an agent: what is counted, and what becomes of a file that breaks.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use par_policy::{AuditEvent, Capability, Denial, DenialCode};
use par_sandbox::AuditRecord;
use serde_json::Value;

use super::Audit;
use super::counted::Counted;
use super::file::Output;
use crate::telemetry::{Format, Level, Lines, Settings, Telemetry};

fn denied(target: &str, request_id: &str) -> AuditRecord {
    let denial = Denial::new(DenialCode::HostNotGranted, "no");
    AuditRecord::at_once(AuditEvent::denied(Capability::Outbound, target, &denial), Some(request_id.into()))
}

fn counts(counted: &mut Counted) -> Vec<(String, u64)> {
    let mut counts: Vec<_> =
        counted.take().into_iter().map(|(record, _)| (record.event.target, record.count)).collect();
    counts.sort();
    counts
}

#[test]
fn events_of_one_kind_are_one_record_with_their_number() {
    let mut counted = Counted::default();
    for request in ["1", "1", "2"] {
        counted.add(AuditRecord { sent_bytes: 5, ..denied("a", request) }, "sandbox");
    }
    counted.add(denied("b", "1"), "sandbox");
    counted.add(denied("b", "1"), "native");

    let mut records = counted.take();
    records.sort_by_key(|(record, backend)| (record.event.target.clone(), *backend));
    let shown: Vec<_> = records
        .iter()
        .map(|(record, backend)| {
            (record.event.target.as_str(), record.count, record.sent_bytes, record.request_id.as_deref(), *backend)
        })
        .collect();
    assert_eq!(
        shown,
        [("a", 3, 15, None, "sandbox"), ("b", 1, 0, Some("1"), "native"), ("b", 1, 0, Some("1"), "sandbox")]
    );
    assert!(counted.is_empty());
}

/// hostile 123: a hostile agent chooses the targets: they are told apart up to a number, and counted beyond it.
#[test]
fn targets_without_end_are_counted_together() {
    let mut counted = Counted::default();
    for number in 0..5000 {
        counted.add(denied(&format!("{number:04}"), "1"), "sandbox");
    }

    let counts = counts(&mut counted);
    assert_eq!(counts.len(), 1025);
    assert_eq!(counts[0], ("(others)".to_owned(), 5000 - 1024));
}

/// What was written, for tests.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A disk with room for so many bytes.
struct Disk {
    content: Written,
    room: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= taken;
        self.content.write(&bytes[..taken])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn telemetry(output: Written) -> (Telemetry, Lines) {
    let settings = Settings { app_id: None, deployment_id: None, level: Level::Info, format: Format::Json };
    let telemetry = Telemetry::start(settings, output).unwrap();
    let lines = telemetry.lines();
    (telemetry, lines)
}

/// Above the rate events are counted instead of written, and the counts add up.
#[test]
fn a_flood_is_counted_and_none_of_it_is_lost() {
    const EVENTS: u64 = 100_000;
    let log = Written::default();
    let (telemetry, _) = telemetry(log.clone());
    let audit = Audit::start(&telemetry).unwrap();
    let sink = audit.sink("sandbox");

    for number in 0..EVENTS {
        sink.record(denied(&format!("{}", number % 7), "1"));
    }
    audit.finish();
    telemetry.flush();

    let log = log.text();
    let counts = log.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["details"]["count"].as_u64().unwrap()
    });
    assert_eq!(counts.clone().sum::<u64>(), EVENTS);
    assert!(counts.clone().max() > Some(1) && counts.clone().count() < 100_000, "{}", counts.count());
}

/// What whoever reads the log is shown already is not in the log, and is counted and in the file all the same.
#[test]
fn what_is_shown_is_in_the_file_and_not_in_the_log() {
    let log = Written::default();
    let (telemetry, _) = telemetry(log.clone());
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("audit.jsonl");
    let audit = Audit::start(&telemetry).unwrap();

    audit.sink_of_shown("sandbox").record(denied("a", "1"));
    audit.sink("sandbox").record(denied("b", "1"));
    audit.finish();
    let targets = |text: &str| -> Vec<String> {
        let target =
            |line| serde_json::from_str::<Value>(line).unwrap()["details"]["target"].as_str().unwrap().to_owned();
        text.lines().map(target).collect()
    };
    assert_eq!(targets(&log.text()), ["b"]);
    assert_eq!(audit.totals().values().sum::<u64>(), 2);

    audit.write_to(&file, &telemetry).unwrap();
    audit.sink_of_shown("sandbox").record(denied("a", "1"));
    audit.finish();
    assert_eq!(targets(&fs_err::read_to_string(file).unwrap()), ["a"]);
    assert_eq!(log.text().lines().count(), 1);
}

/// A full disk is an error in the log, and the lines are there as well; none is cut or lost.
#[test]
fn what_a_full_disk_refuses_is_in_the_log() {
    let (log, content) = (Written::default(), Written::default());
    let (telemetry, lines) = telemetry(log.clone());
    let disk = Disk { content: content.clone(), room: 13 };
    let mut output = Output { file: disk, log: lines, torn: false, broken: false };

    telemetry.within(|| {
        output.write_all(b"{\"n\": 1}\n{\"n\": 2}\n").unwrap();
        output.write_all(b"{\"n\": 3}\n").unwrap();
        output.file.room = 100;
        output.write_all(b"{\"n\": 4}\n").unwrap();
    });
    telemetry.flush();

    assert_eq!(content.text(), "{\"n\": 1}\n{\"n\"\n{\"n\": 4}\n");
    let log = log.text();
    let parsed: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<_> = parsed.iter().filter_map(|line| line["n"].as_u64()).collect();
    assert_eq!(numbers, [2, 3]);
    let events: Vec<_> = parsed.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events, ["Audit file cannot be written", "Audit file written again"]);
}
