//! The fields of an event, as JSON.

use std::error::Error;
use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};

use super::{bounds, redaction};
use crate::redact::REDACTED;

/// Longest text of a field. Long enough for a traceback.
const MOST_TEXT: usize = 16 << 10;

/// The fields of one event.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The message of the event.
    pub(super) message: String,
    /// Everything else, by name.
    pub(super) details: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let value = if redaction::is_secret(name) { Value::from(REDACTED) } else { value };
        let mut place = &mut self.details;
        let mut path = name;
        while let Some((outer, inner)) = path.split_once('.') {
            let slot = place.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            let Value::Object(object) = slot else { return };
            (place, path) = (object, inner);
        }
        place.insert(path.to_owned(), value);
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        let short = bounds::shortened(text, MOST_TEXT);
        if field.name() == "message" {
            self.message = short.unwrap_or_else(|| text.to_owned());
        } else {
            self.put(field, Value::from(short.unwrap_or_else(|| text.to_owned())));
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    /// The whole chain, outermost first: no error repeats its source in its own text.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put_text(field, &chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }
}

/// An error and its sources, outermost first.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
