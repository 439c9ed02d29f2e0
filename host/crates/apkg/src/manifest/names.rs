//! Names in a manifest: of the package, its version, its entry points.

use std::fmt;

/// A name or version that may become part of a path or a log line as it is.
macro_rules! checked_name {
    ($(#[$documentation:meta])* $type:ident, $longest:literal, $also:literal, $expected:literal) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// What [`Self::parse`] accepts, for an error message.
            pub(crate) const EXPECTED: &str = $expected;

            pub(crate) fn parse(text: &str) -> Option<Self> {
                let plain = |character: char| character.is_ascii_alphanumeric() || $also.contains(character);
                let accepted = text.len() <= $longest
                    && text.starts_with(|first: char| first.is_ascii_alphanumeric())
                    && text.ends_with(|last: char| last.is_ascii_alphanumeric())
                    && text.chars().all(plain)
                    && !text.contains("..");
                accepted.then(|| Self(text.to_owned()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

checked_name!(
    /// The name of a package: ASCII letters, digits, `-`, `_` and `.`, at most 128.
    PackageName, 128, "-_.",
    "letters, digits, `-`, `_` and `.`, starting and ending with a letter or digit"
);

checked_name!(
    /// The version of a package: ASCII letters, digits, `.`, `-`, `_`, `+` and `!`, at most 64.
    ///
    /// Not necessarily a semantic version: builders write a literal `1.0` here.
    PackageVersion, 64, ".-_+!",
    "letters, digits, `.`, `-`, `_`, `+` and `!`, starting and ending with a letter or digit"
);

/// `module:attribute`, both spelt so that importing them can do nothing but import a module
/// and look up one name in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryPoint {
    module: String,
    attribute: String,
}

/// Why a text is no entry point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAnEntryPoint {
    #[error("is not `module:function`")]
    Shape,
    #[error("names a Python keyword")]
    Keyword,
    #[error("names something private to Python")]
    Dunder,
    #[error("has a letter that is not one of `a` to `z`")]
    Letter,
}

impl EntryPoint {
    pub(crate) fn parse(text: &str) -> Result<Self, NotAnEntryPoint> {
        let (module, attribute) = text.split_once(':').ok_or(NotAnEntryPoint::Shape)?;
        Self::new(module, attribute)
    }

    pub(crate) fn new(module: &str, attribute: &str) -> Result<Self, NotAnEntryPoint> {
        check_module(module)?;
        check_identifier(attribute)?;
        Ok(Self { module: module.to_owned(), attribute: attribute.to_owned() })
    }

    /// The dotted name of the module.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The name inside the module.
    #[must_use]
    pub fn attribute(&self) -> &str {
        &self.attribute
    }
}

impl fmt::Display for EntryPoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.module, self.attribute)
    }
}

pub(crate) fn check_module(module: &str) -> Result<(), NotAnEntryPoint> {
    if module.len() > 256 {
        return Err(NotAnEntryPoint::Shape);
    }
    module.split('.').try_for_each(check_identifier)
}

fn check_identifier(text: &str) -> Result<(), NotAnEntryPoint> {
    // Many letters of other scripts look like these; the file they name would be another one.
    if text.chars().any(|other| other.is_alphabetic() && !other.is_ascii()) {
        return Err(NotAnEntryPoint::Letter);
    }
    let mut characters = text.chars();
    let first = characters.next().is_some_and(|first| first == '_' || first.is_ascii_alphabetic());
    if !first || text.len() > 128 || !characters.all(|other| other == '_' || other.is_ascii_alphanumeric()) {
        return Err(NotAnEntryPoint::Shape);
    }
    if text.starts_with("__") {
        return Err(NotAnEntryPoint::Dunder);
    }
    if KEYWORDS.contains(&text) {
        return Err(NotAnEntryPoint::Keyword);
    }
    Ok(())
}

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];
