//! `setup.py`, looked at and never run.

use super::{MOST_REQUIREMENTS, Requirement};

/// What a `setup.py` says about requirements, as far as that can be seen without running it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstallRequires {
    /// It does not mention them.
    Absent,
    /// A list of plain strings, all of them requirements.
    Plain(Vec<Requirement>),
    /// It computes them, has more than any real package, or names something that is no requirement.
    Computed,
}

/// Finds `install_requires=[...]` with nothing but string literals and comments inside.
#[must_use]
pub fn install_requires(source: &str) -> InstallRequires {
    let Some((_, after)) = source.split_once("install_requires") else { return InstallRequires::Absent };
    let plain = || {
        let mut rest = after.trim_start().strip_prefix('=')?.trim_start().strip_prefix('[')?;
        let mut requirements = Vec::new();
        loop {
            rest = skip_space_and_comments(rest);
            if rest.starts_with(']') {
                return Some(requirements);
            }
            if requirements.len() == MOST_REQUIREMENTS {
                return None;
            }
            let (literal, after) = string_literal(rest)?;
            requirements.push(literal.parse().ok()?);
            rest = skip_space_and_comments(after);
            match rest.strip_prefix(',') {
                Some(after) => rest = after,
                None if rest.starts_with(']') => {}
                None => return None,
            }
        }
    };
    match plain() {
        Some(requirements) => InstallRequires::Plain(requirements),
        None => InstallRequires::Computed,
    }
}

fn skip_space_and_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        match text.strip_prefix('#') {
            Some(comment) => text = comment.split_once('\n').map_or("", |(_, rest)| rest),
            None => return text,
        }
    }
}

/// A string in one pair of quotes, without escapes or prefixes.
fn string_literal(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let (literal, rest) = text[1..].split_once(quote)?;
    (!literal.is_empty() && !literal.contains(['\\', '\n'])).then_some((literal, rest))
}
