//! YAML without its traps: one document, plain data, and the line of everything.
//!
//! The parser is serde-saphyr; `docs/adr/0003-yaml.md` says why. It is told to refuse
//! everything by which a short text becomes a large value or one text reads in two ways:
//! anchors and aliases, merge keys, tags, duplicate keys, further documents, deep nesting.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Spanned, Tagged};

/// Largest text that is parsed. Unit: bytes.
///
/// The largest real manifest seen has 8 KiB, most of it prose under `metadata`.
pub(crate) const LARGEST: usize = 256 * 1024;

/// Deepest nesting of lists and maps. Real manifests reach 5.
///
/// The parser calls itself once a level, so this bounds its stack as well: the test `memory` says how much that is.
const DEEPEST: usize = 32;

/// Most values, keys included. Real manifests reach 300.
const MOST_VALUES: usize = 20_000;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Counted from 1.
    pub(crate) line: u64,
    pub(crate) value: Value,
}

/// A value as YAML reads it. Numbers and booleans keep the text they were written as.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(String),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// Why a text is not accepted as YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Counted from 1; `None` when the text as a whole is refused.
    pub(crate) line: Option<u64>,
    pub(crate) because: Because,
}

/// What is wrong with the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Because {
    #[error("is larger than {} KiB", LARGEST >> 10)]
    TooLarge,
    #[error("is empty")]
    Empty,
    #[error("is not UTF-8 text")]
    NotUtf8,
    #[error("has a control character or an invisible character")]
    Invisible,
    #[error("has an anchor or alias (`&` or `*`), which is not accepted")]
    Anchor,
    #[error("has a merge key (`<<`), which is not accepted")]
    MergeKey,
    #[error("has the tag `{0}`; tags are not accepted")]
    Tag(String),
    #[error("has the key `{0}` twice")]
    DuplicateKey(String),
    #[error("has a second document")]
    SecondDocument,
    #[error("is nested deeper than {DEEPEST} levels")]
    TooDeep,
    #[error("has more than {MOST_VALUES} values")]
    TooMany,
    #[error("is not valid YAML: {0}")]
    Syntax(String),
}

/// Reads one document.
pub(crate) fn read(bytes: &[u8]) -> Result<Node, Refused> {
    let text = decode(bytes)?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST + 1,
            max_nodes: MOST_VALUES,
            max_events: 4 * MOST_VALUES,
            max_anchors: 0,
            max_aliases: 0,
            max_merge_keys: 0,
            max_total_scalar_bytes: LARGEST,
        },
        emit_comments: false,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
    };
    let root: Parsed = serde_saphyr::from_str_with_options(text, options).map_err(|error| refused(&error))?;
    if matches!(root.value, ParsedValue::Null) {
        return Err(Refused { line: None, because: Because::Empty });
    }
    convert(root, text)
}

fn decode(bytes: &[u8]) -> Result<&str, Refused> {
    let whole = |because| Refused { line: None, because };
    if bytes.len() > LARGEST {
        return Err(whole(Because::TooLarge));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| whole(Because::NotUtf8))?;
    // A byte order mark in front is what some editors write; anywhere else it hides.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, content) in (1..).zip(text.split('\n')) {
        let content = content.strip_suffix('\r').unwrap_or(content);
        if content.chars().any(|character| character != '\t' && crate::quote::is_hidden(character)) {
            return Err(Refused { line: Some(line), because: Because::Invisible });
        }
    }
    if text.trim().is_empty() {
        return Err(whole(Because::Empty));
    }
    Ok(text)
}

fn refused(error: &Error) -> Refused {
    let because = match error.without_snippet() {
        Error::Budget { breach, .. } => match breach {
            BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. } => Because::Anchor,
            BudgetBreach::Depth { .. } => Because::TooDeep,
            BudgetBreach::MergeKeys { .. } => Because::MergeKey,
            BudgetBreach::Documents { .. } => Because::SecondDocument,
            _ => Because::TooMany,
        },
        Error::UnknownAnchor { .. } | Error::AliasError { .. } => Because::Anchor,
        Error::MergeKeyNotAllowed { .. } => Because::MergeKey,
        Error::DuplicateMappingKey { key, .. } => {
            Because::DuplicateKey(shown(key.as_deref().unwrap_or("a list or map")))
        }
        Error::MultipleDocuments { .. } => Because::SecondDocument,
        Error::Eof { .. } => Because::Empty,
        // The scanner counts brackets before the budget sees them.
        Error::ExternalMessage { msg, .. } if msg == "recursion limit exceeded" => Because::TooDeep,
        other => Because::Syntax(sentence(other)),
    };
    let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
    Refused { line, because }
}

/// What the parser says, in one line and without the place, which is named apart.
fn sentence(error: &Error) -> String {
    let text = match error {
        Error::Message { msg, .. } | Error::ExternalMessage { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    let first = text.lines().next().unwrap_or_default();
    shown(first.trim_end_matches('.'))
}

fn shown(text: &str) -> String {
    crate::quote::Quoted(text).to_string()
}

/// What the parser hands over: every node with its place and its tag.
struct Parsed {
    line: u64,
    bytes: std::ops::Range<usize>,
    tag: Option<String>,
    value: ParsedValue,
}

enum ParsedValue {
    Null,
    Boolean(bool),
    Number,
    Text(String),
    List(Vec<Parsed>),
    Map(Vec<(Parsed, Parsed)>),
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Tagged<ParsedValue>>::deserialize(deserializer)?;
        let span = spanned.referenced.span();
        let offset = |value: Option<u64>| usize::try_from(value.unwrap_or(0)).unwrap_or(usize::MAX);
        let start = offset(span.byte_offset());
        let Tagged(value, tag) = spanned.value;
        Ok(Self {
            line: spanned.referenced.line(),
            bytes: start..start.saturating_add(offset(span.byte_len())),
            tag,
            value,
        })
    }
}

impl<'de> Deserialize<'de> for ParsedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = ParsedValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<ParsedValue, E> {
        Ok(ParsedValue::Null)
    }

    fn visit_none<E>(self) -> Result<ParsedValue, E> {
        Ok(ParsedValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<ParsedValue, E> {
        Ok(ParsedValue::Boolean(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<ParsedValue, E> {
        Ok(ParsedValue::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<ParsedValue, E> {
        Ok(ParsedValue::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<ParsedValue, E> {
        Ok(ParsedValue::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<ParsedValue, E> {
        Ok(ParsedValue::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<ParsedValue, E> {
        Ok(ParsedValue::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ParsedValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(ParsedValue::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ParsedValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(ParsedValue::Map(entries))
    }
}

fn convert(parsed: Parsed, text: &str) -> Result<Node, Refused> {
    let Parsed { line, bytes, tag, value } = parsed;
    if let Some(tag) = tag {
        return Err(Refused { line: Some(line), because: Because::Tag(shown(&tag)) });
    }
    let value = match value {
        ParsedValue::Null => Value::Null,
        ParsedValue::Boolean(value) => Value::Boolean(value.to_string()),
        ParsedValue::Number => Value::Number(shown(text.get(bytes).unwrap_or_default().trim())),
        ParsedValue::Text(text) => Value::Text(text),
        ParsedValue::List(items) => {
            Value::List(items.into_iter().map(|item| convert(item, text)).collect::<Result<_, _>>()?)
        }
        ParsedValue::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| Ok((convert(key, text)?, convert(value, text)?)))
                .collect::<Result<_, _>>()?,
        ),
    };
    Ok(Node { line, value })
}

impl Value {
    /// What it is, for "expected a string, got ...".
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Boolean(text) => format!("the boolean `{text}`"),
            Self::Number(text) => format!("the number `{text}`"),
            Self::Text(text) => format!("the string `{}`", shown(text)),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }

    /// A scalar as it was written.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match self {
            Self::Boolean(text) | Self::Number(text) | Self::Text(text) => Some(text),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn because(text: impl AsRef<[u8]>) -> (Option<u64>, Because) {
        let refused = read(text.as_ref()).unwrap_err();
        (refused.line, refused.because)
    }

    fn entry<'a>(node: &'a Node, name: &str) -> &'a Node {
        let Value::Map(entries) = &node.value else { panic!("no map") };
        &entries.iter().find(|(key, _)| key.value == Value::Text(name.to_owned())).unwrap().1
    }

    #[test]
    fn numbers_and_booleans_keep_their_spelling_and_their_line() {
        let root =
            read("é: ü\nnumber: 1.0\nflag: true\nword: yes\nhex: 0x1F\nquoted: \"1.0\"\nlast: 1_0".as_bytes()).unwrap();

        assert_eq!(*entry(&root, "number"), Node { line: 2, value: Value::Number("1.0".into()) });
        assert_eq!(*entry(&root, "flag"), Node { line: 3, value: Value::Boolean("true".into()) });
        assert_eq!(entry(&root, "word").value, Value::Text("yes".into()));
        assert_eq!(entry(&root, "hex").value, Value::Number("0x1F".into()));
        assert_eq!(entry(&root, "quoted").value, Value::Text("1.0".into()));
    }

    #[test]
    fn tricks_are_refused_with_their_line() {
        assert_eq!(because("a: &x 1\nb: *x\n"), (Some(1), Because::Anchor));
        assert_eq!(because("a: 1\nb: *x\n").1, Because::Anchor);
        assert_eq!(because("a: 1\n<<: {b: 1}\n"), (Some(2), Because::MergeKey));
        assert_eq!(because("a: 1\nb: !x 2\n"), (Some(2), Because::Tag("!x".into())));
        assert_eq!(because("a: 1\nb: !!str 2\n"), (Some(2), Because::Tag("tag:yaml.org,2002:str".into())));
        assert_eq!(because("a: 1\n!!str b: 2\n").1, Because::Tag("tag:yaml.org,2002:str".into()));
        assert_eq!(because("a: 1\nb: 2\na: 3\n"), (Some(3), Because::DuplicateKey("a".into())));
        assert_eq!(because("a: 1\n---\nb: 2\n").1, Because::SecondDocument);
        assert_eq!(because("a: 1\n---\n").1, Because::SecondDocument);
        assert_eq!(because(format!("a: {}{}", "[".repeat(33), "]".repeat(33))).1, Because::TooDeep);
        assert_eq!(because("[".repeat(100_000)).1, Because::TooDeep);
        assert_eq!(because(format!("a: [{}]", "1,".repeat(30_000))).1, Because::TooMany);
        assert_eq!(because("a".repeat(LARGEST + 1)), (None, Because::TooLarge));
        assert_eq!(because("# only a comment\n").1, Because::Empty);
        assert_eq!(because(b"\xff\xfea\0"), (None, Because::NotUtf8));
        assert_eq!(because("a: 1\nb: \"\0\"\n"), (Some(2), Because::Invisible));
        assert_eq!(because("a: 1\nb: x\u{202e}y\n"), (Some(2), Because::Invisible));
    }

    #[test]
    fn nesting_up_to_the_limit_is_read() {
        read(format!("a: {}{}", "[".repeat(DEEPEST - 2), "]".repeat(DEEPEST - 2)).as_bytes()).unwrap();
    }
}
