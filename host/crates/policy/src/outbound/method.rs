//! The method of a request.

use std::fmt;

use crate::{Denial, DenialCode};

/// Longest method that is accepted. Real ones have up to 17 letters.
const LONGEST: usize = 32;

/// Methods that make a connection something else than a request and its response, or that
/// repeat a request's headers, credentials among them, to whoever asked.
const FORBIDDEN: [&str; 4] = ["CONNECT", "TRACE", "TRACK", "PRI"];

/// A method that may be asked for. Always in upper case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Method(String);

impl Method {
    /// Parses a method in any case.
    ///
    /// # Errors
    /// `invalid_method` for what is no token of letters and hyphens, `forbidden_method` for
    /// `CONNECT`, `TRACE`, `TRACK` and `PRI`.
    pub fn parse(text: &str) -> Result<Self, Denial> {
        let is_token = (1..=LONGEST).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
        if !is_token {
            return Err(Denial::new(DenialCode::InvalidMethod, "the method of the request is not a word of letters"));
        }
        let method = text.to_ascii_uppercase();
        if FORBIDDEN.contains(&method.as_str()) {
            let sentence = format!("the method `{method}` cannot be granted");
            return Err(Denial::new(DenialCode::ForbiddenMethod, sentence));
        }
        Ok(Self(method))
    }

    /// The method in upper case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
