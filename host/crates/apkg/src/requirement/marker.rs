//! Environment markers: variables, strings, comparisons, `and`, `or`, brackets.

use std::cmp::Ordering;

/// Deepest nesting of brackets. Real markers have none or one.
const DEEPEST: usize = 8;

/// The variables of the dependency specifiers (PEP 508) and what they are for an agent.
///
/// Requirements are resolved for Linux on the most common processor, whatever the sandbox is:
/// packages publish for that platform what they publish at all.
const VARIABLES: [(&str, &str); 12] = [
    ("python_version", "3.14"),
    ("python_full_version", "3.14.0"),
    ("os_name", "posix"),
    ("sys_platform", "linux"),
    ("platform_release", ""),
    ("platform_system", "Linux"),
    ("platform_version", ""),
    ("platform_machine", "x86_64"),
    ("platform_python_implementation", "CPython"),
    ("implementation_name", "cpython"),
    ("implementation_version", "3.14.0"),
    ("extra", ""),
];

const COMPARISONS: [&str; 8] = ["===", "==", "~=", "!=", "<=", ">=", "<", ">"];

/// Whether the marker holds for an agent; `None` when the text is not one marker.
#[must_use]
pub fn holds(text: &str) -> Option<bool> {
    let mut rest = Rest(after_blanks(text));
    let value = rest.alternatives(0)?;
    rest.0.is_empty().then_some(value)
}

/// What is left to read. Every method consumes what it names, and the spaces after it.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn alternatives(&mut self, depth: usize) -> Option<bool> {
        let mut value = self.conjunction(depth)?;
        while self.word("or").is_some() {
            value |= self.conjunction(depth)?;
        }
        Some(value)
    }

    fn conjunction(&mut self, depth: usize) -> Option<bool> {
        let mut value = self.term(depth)?;
        while self.word("and").is_some() {
            value &= self.term(depth)?;
        }
        Some(value)
    }

    fn term(&mut self, depth: usize) -> Option<bool> {
        if self.token("(").is_some() {
            if depth == DEEPEST {
                return None;
            }
            let value = self.alternatives(depth + 1)?;
            return self.token(")").map(|()| value);
        }
        let left = self.operand()?;
        let operator = self.comparison()?;
        let right = self.operand()?;
        Some(compare(left, operator, right))
    }

    fn operand(&mut self) -> Option<&'a str> {
        for quote in ['"', '\''] {
            if let Some(inner) = self.0.strip_prefix(quote) {
                let (string, rest) = inner.split_once(quote)?;
                if string.chars().any(char::is_control) {
                    return None;
                }
                self.0 = after_blanks(rest);
                return Some(string);
            }
        }
        VARIABLES.iter().find_map(|(variable, value)| self.word(variable).map(|()| *value))
    }

    fn comparison(&mut self) -> Option<&'static str> {
        if self.word("not").is_some() {
            return self.word("in").map(|()| "not in");
        }
        if self.word("in").is_some() {
            return Some("in");
        }
        COMPARISONS.into_iter().find(|operator| self.token(operator).is_some())
    }

    /// An exact text that no letter may follow.
    fn word(&mut self, word: &str) -> Option<()> {
        let rest = self.0.strip_prefix(word)?;
        if rest.starts_with(|next: char| next == '_' || next.is_ascii_alphanumeric()) {
            return None;
        }
        self.0 = after_blanks(rest);
        Some(())
    }

    fn token(&mut self, token: &str) -> Option<()> {
        self.0 = after_blanks(self.0.strip_prefix(token)?);
        Some(())
    }
}

/// The specification's white space is the space and the tab. A line's end above all is none: a
/// marker is handed on as part of a line.
fn after_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// Two versions are compared as versions, anything else as text.
fn compare(left: &str, operator: &str, right: &str) -> bool {
    match operator {
        "in" => return right.contains(left),
        "not in" => return !right.contains(left),
        "===" => return left == right,
        _ => {}
    }
    let (right, is_prefix) = right.strip_suffix(".*").map_or((right, false), |prefix| (prefix, true));
    let Some((one, other)) = release(left).zip(release(right)) else {
        return match operator {
            "==" => left == right,
            "!=" => left != right,
            "<=" => left <= right,
            ">=" => left >= right,
            "<" => left < right,
            ">" => left > right,
            _ => false,
        };
    };
    let starts_alike = one.iter().chain(std::iter::repeat(&0)).zip(&other).all(|(one, other)| one == other);
    let ordering = in_order(&one, &other);
    match operator {
        "==" if is_prefix => starts_alike,
        "!=" if is_prefix => !starts_alike,
        "==" => ordering == Ordering::Equal,
        "!=" => ordering != Ordering::Equal,
        "<=" => ordering != Ordering::Greater,
        ">=" => ordering != Ordering::Less,
        "<" => ordering == Ordering::Less,
        ">" => ordering == Ordering::Greater,
        // `~= 3.8.1` is `>= 3.8.1, == 3.8.*`.
        _ => {
            let series = &other[..other.len().saturating_sub(1)];
            ordering != Ordering::Less && series.iter().zip(&one).all(|(one, other)| one == other)
        }
    }
}

/// The numbers of a version; `None` for what has more than numbers.
fn release(text: &str) -> Option<Vec<u64>> {
    text.trim().split('.').map(|part| part.parse().ok()).collect()
}

/// Missing parts count as 0: `3.14` is `3.14.0`.
fn in_order(one: &[u64], other: &[u64]) -> Ordering {
    let longest = one.len().max(other.len());
    let part = |version: &[u64], index: usize| version.get(index).copied().unwrap_or(0);
    (0..longest)
        .map(|index| part(one, index).cmp(&part(other, index)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_holds_as_on_linux_with_python_3_14() {
        for text in [
            "python_version >= '3.9'",
            "python_version > '3.2'",
            "python_full_version == '3.14.*'",
            "python_version ~= '3.8'",
            "'3.8' <= python_version",
            "sys_platform == 'linux' and os_name != 'nt'",
            "sys_platform in 'linux darwin'",
            "sys_platform == 'win32' or python_version >= '3.10' and os_name == 'posix'",
            "(sys_platform == 'win32' or os_name == 'posix') and platform_machine == 'x86_64'",
            "platform_python_implementation != 'PyPy'",
        ] {
            assert_eq!(holds(text), Some(true), "{text}");
        }
        for text in [
            "python_version < '3.11'",
            "python_version == '3.1'",
            "python_version ~= '3.8.0'",
            "sys_platform == 'win32'",
            "sys_platform not in 'linux'",
            "extra == 'test'",
            "os_name == 'posix' and sys_platform == 'win32' or python_version < '3'",
        ] {
            assert_eq!(holds(text), Some(false), "{text}");
        }
        assert_eq!(holds("python_version <"), None);
    }
}
