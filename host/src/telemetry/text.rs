//! Lines for people at a terminal.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::Level;
use super::fields::Fields;

/// `12:00:00 info  event  name=value name=value`; the lines of longer texts follow, indented.
pub(super) fn line(now: Timestamp, level: Level, fields: &Fields) -> Vec<u8> {
    let time = now.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string();
    let mut line = format!("{time} {:<7} {}", level.as_str(), visible(&fields.message));
    let mut blocks = Vec::new();
    write_fields(&mut line, &mut blocks, "", &fields.details);
    for block in blocks {
        for text in block.lines() {
            line.push_str("\n  | ");
            line.push_str(&visible(text));
        }
    }
    line.into_bytes()
}

fn write_fields<'a>(line: &mut String, blocks: &mut Vec<&'a str>, prefix: &str, fields: &'a Map<String, Value>) {
    for (name, value) in fields {
        match value {
            Value::String(text) if text.contains('\n') => blocks.push(text),
            Value::String(text) => line.push_str(&format!("  {prefix}{}={}", visible(name), visible(text))),
            Value::Object(inner) => write_fields(line, blocks, &format!("{prefix}{name}."), inner),
            other => line.push_str(&format!("  {prefix}{}={other}", visible(name))),
        }
    }
}

/// `text` with everything escaped that would steer the terminal.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for character in text.chars() {
        if steers(character) {
            visible.extend(character.escape_unicode());
        } else {
            visible.push(character);
        }
    }
    visible
}

/// Control characters, and the marks that reorder text.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
        || ('\u{202a}'..='\u{202e}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(message: &str, details: Value) -> String {
        let Value::Object(details) = details else { panic!("not an object") };
        let fields = Fields { message: message.to_owned(), details };
        String::from_utf8(line(Timestamp::UNIX_EPOCH, Level::Info, &fields)).unwrap()
    }

    #[test]
    fn a_line_has_time_level_event_and_fields() {
        let text = text("Runtime ready", json!({"rest_port": 8080, "phases_ms": {"load": 1.5}, "name": "grüße"}));

        assert_eq!(text, "00:00:00 info    Runtime ready  rest_port=8080  phases_ms.load=1.5  name=grüße");
    }

    #[test]
    fn a_traceback_follows_line_by_line() {
        assert_eq!(
            text("Agent log", json!({"text": "a\nb\u{1b}[31m"})),
            "00:00:00 info    Agent log\n  | a\n  | b\\u{1b}[31m"
        );
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let text = text("a\u{1b}]0;x\u{7}", json!({"t": "b\r\u{9b}31m\u{202e}\u{2028}"}));

        assert!(!text.chars().any(steers), "{text:?}");
    }
}
