//! What is wrong with a configuration, and how it is reported.

use std::fmt;

/// What a value should have been, as a noun phrase: `a whole number from 1 to 65535`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected(String);

impl Expected {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One variable PAR cannot start with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// A required variable is not set, or blank.
    #[error("`{variable}` is required")]
    Missing {
        /// The variable.
        variable: &'static str,
    },
    /// A value is not what the variable takes.
    #[error("invalid `{variable}`: expected {expected}, got `{value}`")]
    Invalid {
        /// The variable, by the name it was set under.
        variable: &'static str,
        /// The value; masked where it may hold a secret.
        value: String,
        /// What it should have been.
        expected: String,
    },
}

/// Every variable PAR cannot start with; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} mistake(s)", .0.len())]
pub struct Mistakes(pub(super) Vec<Mistake>);

impl Mistakes {
    /// The mistakes, in the order of the variables' documentation.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }

    /// Writes one log line a mistake and one with their number.
    pub fn log(&self) {
        for mistake in &self.0 {
            let error = mistake.to_string();
            match mistake {
                Mistake::Missing { variable } => {
                    tracing::error!(
                        variable,
                        value = "",
                        expected = "a value",
                        error,
                        "Configuration validation error"
                    );
                }
                Mistake::Invalid { variable, value, expected } => {
                    tracing::error!(variable, value, expected, error, "Configuration validation error");
                }
            }
        }
        tracing::error!(error_count = self.0.len(), "Runtime configuration validation failed");
    }
}

/// A setting that is odd, and accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The variable.
    pub variable: &'static str,
    /// Its value; masked where it may hold a secret.
    pub value: String,
    /// What is odd about it, and what happens now.
    pub text: &'static str,
}

impl Remark {
    /// Writes the remark to the log.
    pub fn log(&self) {
        tracing::warn!(variable = self.variable, value = self.value, remark = self.text, "Configuration remark");
    }
}
