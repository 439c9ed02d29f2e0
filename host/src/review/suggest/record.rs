//! Reads the lines of a record. `docs/audit.schema.json` describes them.

use std::io::{BufRead, Read as _};

use serde::Deserialize;

use super::NotARecord;

/// Longest line that is read. PAR writes none above 200 KiB. Unit: bytes.
const LONGEST: u64 = 1 << 20;

/// The events of a record, whatever else stands in the log.
const EVENTS: [&str; 3] = ["Capability used", "Capability denied", "Capability observed"];

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    event: String,
    #[serde(default)]
    ts: String,
    #[serde(default)]
    details: serde_json::Value,
}

/// What of a line matters here.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Event {
    #[serde(skip)]
    pub(super) time: String,
    pub(super) capability: String,
    pub(super) decision: String,
    pub(super) target: String,
    pub(super) rule: Option<String>,
    pub(super) code: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) count: u64,
    #[serde(default)]
    pub(super) packages: Vec<String>,
}

/// Hands over each event. A last line that was cut off is left out: the process may have been killed.
pub(super) fn read(mut record: impl BufRead, mut take: impl FnMut(Event)) -> Result<(), NotARecord> {
    for number in 1.. {
        let mut bytes = Vec::new();
        (&mut record).take(LONGEST).read_until(b'\n', &mut bytes).map_err(NotARecord::Read)?;
        if bytes.is_empty() {
            break;
        }
        let whole = bytes.ends_with(b"\n");
        let text = bytes.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let Ok(line) = serde_json::from_slice::<Line>(text) else {
            if whole || bytes.len() as u64 == LONGEST {
                return Err(NotARecord::Line(number));
            }
            break;
        };
        if !EVENTS.contains(&line.event.as_str()) {
            continue;
        }
        let mut event: Event = serde_json::from_value(line.details).map_err(|_| NotARecord::Line(number))?;
        event.time = line.ts;
        take(event);
    }
    Ok(())
}
