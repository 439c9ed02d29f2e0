//! The form of environment markers: variables, strings, comparisons, `and`, `or`, brackets.

/// Deepest nesting of brackets. Real markers have none or one.
const DEEPEST: usize = 8;

const VARIABLES: [&str; 12] = [
    "python_version",
    "python_full_version",
    "os_name",
    "sys_platform",
    "platform_release",
    "platform_system",
    "platform_version",
    "platform_machine",
    "platform_python_implementation",
    "implementation_name",
    "implementation_version",
    "extra",
];

const COMPARISONS: [&str; 8] = ["===", "==", "~=", "!=", "<=", ">=", "<", ">"];

/// Whether the whole text is one marker.
pub(super) fn is_well_formed(text: &str) -> bool {
    let mut rest = Rest(text.trim_start());
    rest.expression(0).is_some() && rest.0.is_empty()
}

/// What is left to read. Every method consumes what it names, and the spaces after it.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn expression(&mut self, depth: usize) -> Option<()> {
        self.term(depth)?;
        while self.word("and").is_some() || self.word("or").is_some() {
            self.term(depth)?;
        }
        Some(())
    }

    fn term(&mut self, depth: usize) -> Option<()> {
        if self.token("(").is_some() {
            if depth == DEEPEST {
                return None;
            }
            self.expression(depth + 1)?;
            return self.token(")");
        }
        self.operand()?;
        self.comparison()?;
        self.operand()
    }

    fn operand(&mut self) -> Option<()> {
        for quote in ['"', '\''] {
            if let Some(inner) = self.0.strip_prefix(quote) {
                let (string, rest) = inner.split_once(quote)?;
                if string.chars().any(char::is_control) {
                    return None;
                }
                self.0 = rest.trim_start();
                return Some(());
            }
        }
        VARIABLES.iter().find_map(|variable| self.word(variable))
    }

    fn comparison(&mut self) -> Option<()> {
        if self.word("not").is_some() {
            return self.word("in");
        }
        self.word("in").or_else(|| COMPARISONS.iter().find_map(|operator| self.token(operator)))
    }

    /// An exact text that no letter may follow.
    fn word(&mut self, word: &str) -> Option<()> {
        let rest = self.0.strip_prefix(word)?;
        if rest.starts_with(|next: char| next == '_' || next.is_ascii_alphanumeric()) {
            return None;
        }
        self.0 = rest.trim_start();
        Some(())
    }

    fn token(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(token)?.trim_start();
        Some(())
    }
}
