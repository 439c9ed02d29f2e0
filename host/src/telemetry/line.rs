//! What a JSON line is made of.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::{Format, Level, Settings, json, text};

/// Longest line. Log collectors cut lines of 256 KiB and more.
const MOST_LINE: usize = 200 << 10;

/// Longest value, as JSON, that is repeated beside `details`.
const MOST_REPEATED: usize = 1024;

/// Keys a field cannot take: repeated beside `details` it would replace them.
const RESERVED: &[&str] = &["level", "ts", "timestamp", "agentAppId", "deploymentId", "event", "details"];

/// Who logs, in every line.
#[derive(Debug)]
pub(super) struct Origin {
    app_id: Value,
    deployment_id: Value,
    format: Format,
}

/// Whether readers of earlier runtimes look for the fields of an event beside `details`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// PAR's own events.
    Fields,
    /// Everything somebody else wrote.
    Nothing,
}

impl Origin {
    /// The same, as JSON whoever reads the log.
    pub(super) fn for_machines(&self) -> Self {
        Self { app_id: self.app_id.clone(), deployment_id: self.deployment_id.clone(), format: Format::Json }
    }

    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            app_id: Value::from(settings.app_id.clone()),
            deployment_id: Value::from(settings.deployment_id.clone()),
            format: settings.format,
        }
    }

    /// One finished line, its line end included.
    pub(super) fn line(&self, now: Timestamp, level: Level, fields: Fields, repeat: Repeat) -> Vec<u8> {
        let mut line = match self.format {
            Format::Json => self.json(now, level, fields, repeat),
            Format::Text => text::line(now, level, &fields),
        };
        line.push(b'\n');
        line
    }

    /// The line that tells how many lines are missing.
    #[expect(clippy::disallowed_methods, reason = "lines have the time of day")]
    pub(super) fn dropped_notice(&self, event: &str, dropped: u64) -> Vec<u8> {
        let details = Map::from_iter([("dropped".to_owned(), Value::from(dropped))]);
        let fields = Fields { message: event.to_owned(), details };
        self.line(Timestamp::now(), Level::Warning, fields, Repeat::Fields)
    }

    fn json(&self, now: Timestamp, level: Level, fields: Fields, repeat: Repeat) -> Vec<u8> {
        let time = format!("{now:.6}");
        let mut object = Map::with_capacity(8 + fields.details.len());
        object.insert("level".to_owned(), Value::from(level.as_str()));
        object.insert("ts".to_owned(), Value::from(time.as_str()));
        object.insert("timestamp".to_owned(), Value::from(time));
        object.insert("agentAppId".to_owned(), self.app_id.clone());
        object.insert("deploymentId".to_owned(), self.deployment_id.clone());
        object.insert("event".to_owned(), Value::from(fields.message));
        let repeated: Vec<(String, Value)> = fields
            .details
            .iter()
            .filter(|(name, value)| repeat == Repeat::Fields && !RESERVED.contains(&name.as_str()) && is_short(value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        object.insert("details".to_owned(), Value::Object(fields.details));
        object.extend(repeated);

        let line = json::to_line(&object);
        if line.len() <= MOST_LINE {
            return line;
        }
        object.insert("details".to_owned(), Value::from_iter([("left_out_bytes", line.len())]));
        json::to_line(&object)
    }
}

fn is_short(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= MOST_REPEATED,
        Value::Array(_) | Value::Object(_) => json::to_line(value).len() <= MOST_REPEATED,
        _ => true,
    }
}
