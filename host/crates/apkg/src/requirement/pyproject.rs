//! `pyproject.toml`: only `project.dependencies`, and only if it is there as a list.

use serde::Deserialize;
use toml::Spanned;

use super::{LARGEST_FILE, MOST_REQUIREMENTS, PYPROJECT_FILE, Requirement, RequirementError};

const FILE: &str = PYPROJECT_FILE;

#[derive(Deserialize)]
struct File {
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Project {
    dependencies: Option<Vec<Spanned<String>>>,
}

/// Reads the requirements. `None` when the file does not state them: it may configure a
/// formatter only, or name them `dynamic`.
///
/// # Errors
/// [`RequirementError`] when it is not TOML, or for the first entry that is no requirement.
pub fn parse(bytes: &[u8]) -> Result<Option<Vec<Requirement>>, RequirementError> {
    let refused = |because: String| RequirementError::File { file: FILE, because };
    if bytes.len() > LARGEST_FILE {
        return Err(refused("is larger than 256 KiB".to_owned()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| refused("is not UTF-8 text".to_owned()))?;
    let line_of = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| format!(" in line {}", line_of(span.start))).unwrap_or_default();
        refused(format!("is not valid TOML{line}"))
    })?;
    let Some(dependencies) = file.project.and_then(|project| project.dependencies) else { return Ok(None) };
    if dependencies.len() > MOST_REQUIREMENTS {
        return Err(RequirementError::TooMany { file: FILE });
    }
    let parse = |text: &Spanned<String>| {
        text.get_ref().parse().map_err(|because| RequirementError::Line {
            file: FILE,
            line: line_of(text.span().start),
            because,
        })
    };
    dependencies.iter().map(parse).collect::<Result<_, _>>().map(Some)
}
