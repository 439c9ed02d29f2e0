//! The form of `WHEEL` and `METADATA`: header fields as in mail, then perhaps a text.

/// Most fields that are read; what follows is text. Real files have some hundred.
const MOST_FIELDS: usize = 10_000;

/// The fields before the first line that is none, each with its value in one line.
///
/// As Python's own reader has it: an empty line ends the fields, and so does a line that is
/// neither a field nor the continuation of one.
pub(super) fn fields(text: &str) -> Vec<(&str, String)> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) && !line.trim().is_empty() {
            let Some((_, value)) = fields.last_mut() else { break };
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        match line.split_once(':') {
            Some((name, value)) if is_name(name) && fields.len() < MOST_FIELDS => {
                fields.push((name, value.trim().to_owned()))
            }
            _ => break,
        }
    }
    fields
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The value of a field that may be there once. Names of fields have no case.
///
/// # Errors
/// When it is there twice: readers differ in which of the two they take.
pub(super) fn once<'a>(fields: &'a [(&str, String)], name: &str) -> Result<Option<&'a str>, Twice> {
    let mut values = every(fields, name);
    let value = values.next();
    if values.next().is_some() { Err(Twice) } else { Ok(value) }
}

/// A field is there twice.
#[derive(Debug)]
pub(super) struct Twice;

/// The values of a field that may be there often.
pub(super) fn every<'a>(fields: &'a [(&str, String)], name: &str) -> impl Iterator<Item = &'a str> {
    fields.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_where_the_text_begins() {
        let fields = fields("Name: x\r\nLicense: one\r\n        two\nA:\n\nName: y\n");

        assert_eq!(fields, [("Name", "x".into()), ("License", "one two".into()), ("A", String::new())]);
    }

    #[test]
    fn a_line_that_is_no_field_ends_them() {
        for text in
            ["Name: x\nno field\nName: y\n", "Name: x\n: y\nName: y", "Name: x\nä: y\nName: y", "Name: x\n  \nName: y"]
        {
            assert_eq!(fields(text), [("Name", "x".to_owned())], "{text}");
        }
        assert!(fields(" continues nothing\nName: x").is_empty());
    }

    #[test]
    fn a_field_is_there_once_or_not() {
        let fields = fields("a: 1\nB: 2\nb: 3");

        assert_eq!(once(&fields, "A").unwrap(), Some("1"));
        assert_eq!(once(&fields, "c").unwrap(), None);
        assert!(once(&fields, "b").is_err());
        assert_eq!(every(&fields, "b").collect::<Vec<_>>(), ["2", "3"]);
    }
}
