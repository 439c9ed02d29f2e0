//! JSON as log readers of the platform match it: a space after `:` and `,`, ASCII only.
//!
//! ASCII only also means that nothing in a value can end a line, colour a terminal or reorder
//! text in one: newlines, U+2028, C1 controls, ANSI sequences and bidirectional marks all come
//! out as `\uXXXX`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(start) = rest.find(|character: char| !(' '..='~').contains(&character)) {
            let (plain, tail) = rest.split_at(start);
            writer.write_all(plain.as_bytes())?;
            let mut characters = tail.chars();
            for unit in characters.by_ref().take(1).flat_map(|character| {
                let mut units = [0; 2];
                character.encode_utf16(&mut units).to_vec()
            }) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// `value` on one line, without a line end.
pub(super) fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::with_capacity(512);
    // Writing JSON values with string keys to memory cannot fail.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut line, Spaced));
    line
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(value: &Value) -> String {
        String::from_utf8(to_line(value)).unwrap()
    }

    #[test]
    fn separators_are_followed_by_a_space() {
        let value = json!({"event": "Runtime ready", "ports": [8080, 50051], "details": {}, "none": null});

        assert_eq!(line(&value), r#"{"event": "Runtime ready", "ports": [8080, 50051], "details": {}, "none": null}"#);
    }

    #[test]
    fn nothing_outside_printable_ascii_is_written_and_everything_comes_back() {
        let text = "a\n\r\t\"\\ é \u{1b}[31m \u{7f}\u{85}\u{9b}\u{2028}\u{202e}\u{feff} 😀\u{0}";

        let line = line(&json!({ "text": text }));

        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), json!({ "text": text }));
    }
}
