//! `.env`: `NAME=VALUE` a line.

use super::is_variable_name;
use super::merge::Value;
use crate::notice::Notice;

/// Where it is in a package.
pub(crate) const DOTENV_FILE: &str = ".env";

/// Largest file that is read. Unit: bytes.
pub(crate) const LARGEST_DOTENV: usize = 64 * 1024;

/// Reads the lines. Empty lines and lines that start with `#` say nothing; a value in a pair
/// of quotes loses them, and in single quotes keeps its `$`.
pub(crate) fn parse(text: &str) -> (Vec<(String, Value)>, Vec<Notice>) {
    let mut variables = Vec::new();
    let mut notices = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let content = content.strip_prefix("export ").unwrap_or(content);
        match content.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, value)) if is_variable_name(name) && !value.contains('\0') => {
                variables.push((name.to_owned(), unquoted(value)));
            }
            _ => notices.push(Notice::EnvironmentLine { line }),
        }
    }
    (variables, notices)
}

fn unquoted(value: &str) -> Value {
    let between = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    match (between('\''), between('"')) {
        (Some(literal), _) => Value::Literal(literal.to_owned()),
        (None, Some(text)) => Value::Template(text.to_owned()),
        (None, None) => Value::Template(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_values_without_their_quotes() {
        let (variables, notices) =
            parse("# comment\n\n A = 1 \nB=\"two words\"\nC='${A}'\nD=a=b#c\nexport E=5\nF=\nG=\"half\n");

        let template = |text: &str| Value::Template(text.to_owned());
        let expected = [
            ("A", template("1")),
            ("B", template("two words")),
            ("C", Value::Literal("${A}".to_owned())),
            ("D", template("a=b#c")),
            ("E", template("5")),
            ("F", template("")),
            ("G", template("\"half")),
        ];
        assert_eq!(variables, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(notices, []);
    }

    #[test]
    fn other_lines_are_reported_by_number_and_not_repeated() {
        let (variables, notices) = parse("A=1\njust text s3cret\n1X=2\n");

        assert_eq!(variables.len(), 1);
        assert_eq!(notices, [Notice::EnvironmentLine { line: 2 }, Notice::EnvironmentLine { line: 3 }]);
    }
}
