//! `requirements.txt`: one requirement a line, and nothing of what installers make of it.

use super::{LARGEST_FILE, MOST_REQUIREMENTS, NotARequirement, REQUIREMENTS_FILE, Requirement, RequirementError};
use crate::digest::Sha256;
use crate::quote::Quoted;

const FILE: &str = REQUIREMENTS_FILE;

/// Reads the file. Comments and empty lines say nothing; a backslash at the end of a line
/// joins it to the next.
///
/// # Errors
/// [`RequirementError`] for the first line that is no requirement, with its number.
pub fn parse(bytes: &[u8]) -> Result<Vec<Requirement>, RequirementError> {
    let refused = |because: &str| RequirementError::File { file: FILE, because: because.to_owned() };
    if bytes.len() > LARGEST_FILE {
        return Err(refused("is larger than 256 KiB"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| refused("is not UTF-8 text"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);

    let mut requirements = Vec::new();
    for (line, content) in logical_lines(text) {
        let content = without_comment(&content).trim();
        if content.is_empty() {
            continue;
        }
        if content.starts_with('-') {
            return Err(option(line, content));
        }
        let (content, hashes) = hashes(content, line)?;
        let parsed = content.parse().map_err(|because| RequirementError::Line { file: FILE, line, because })?;
        let requirement = Requirement { hashes, ..parsed };
        if requirements.len() == MOST_REQUIREMENTS {
            return Err(RequirementError::TooMany { file: FILE });
        }
        requirements.push(requirement);
    }
    Ok(requirements)
}

/// Lines after joining, each with the number of its first part.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, part) in (1..).zip(text.lines()) {
        let (start, mut line) = open.take().unwrap_or((number, String::new()));
        // Installers do not join a comment to the next line either.
        match part.strip_suffix('\\') {
            Some(part) if !part.trim_start().starts_with('#') => {
                line.push_str(part);
                open = Some((start, line));
            }
            _ => {
                line.push_str(part);
                lines.push((start, line));
            }
        }
    }
    lines.extend(open);
    lines
}

/// A `#` starts a comment at the start of a line or after a space: `#` is also part of URLs.
fn without_comment(line: &str) -> &str {
    let is_start = |at: usize| line[..at].chars().next_back().is_none_or(char::is_whitespace);
    match line.match_indices('#').find(|(at, _)| is_start(*at)) {
        Some((at, _)) => &line[..at],
        None => line,
    }
}

/// Takes off `--hash=sha256:...`, the one option that says something about its own requirement
/// only. Any other option after a requirement is refused, and so is a hash nobody here checks.
fn hashes(content: &str, line: usize) -> Result<(&str, Vec<Sha256>), RequirementError> {
    let Some((requirement, options)) = content.split_once(" --") else { return Ok((content, Vec::new())) };
    let options = format!("--{options}");
    let mut hashes = Vec::new();
    for word in options.split_whitespace() {
        let hash = word.strip_prefix("--hash=").ok_or_else(|| option(line, word))?;
        let digest = hash.strip_prefix("sha256:").and_then(|digest| digest.parse().ok());
        let because = NotARequirement::Hash;
        hashes.push(digest.ok_or(RequirementError::Line { file: FILE, line, because })?);
    }
    Ok((requirement, hashes))
}

fn option(line: usize, content: &str) -> RequirementError {
    let word = content.split([' ', '\t', '=']).next().unwrap_or(content);
    // `-rbase.txt` is an option and its value in one word.
    let word = match word.as_bytes() {
        [b'-', letter, _, ..] if *letter != b'-' => {
            &word[..word.char_indices().nth(2).map_or(word.len(), |(at, _)| at)]
        }
        _ => word,
    };
    RequirementError::InstallerOption { file: FILE, line, option: Quoted(word).to_string() }
}
