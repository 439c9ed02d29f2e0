//! For an issue, a merge request, a wiki.

use std::fmt::Write as _;

use par_apkg::escaped;

use super::model::Review;
use super::page::{Cell, Section, page, pieces};

/// Writes a review in GitHub's Markdown. Nothing a package says becomes markup or a link.
#[must_use]
pub fn markdown(review: &Review) -> String {
    let page = page(review);
    let mut text = format!("# {}\n\n", prose(&page.title));
    let mark = if page.granted { "Granted" } else { "Above the policy" };
    let _ = writeln!(text, "**{mark}.** {}", prose(&page.verdict));
    for warning in &page.warnings {
        let _ = writeln!(text, "\n**Warning.** {}", prose(warning));
    }
    for section in &page.sections {
        write_section(&mut text, section);
    }
    text.push_str("\n## How to read this\n\n");
    for (word, meaning) in page.glossary {
        let _ = writeln!(text, "- **{word}**: {}", prose(meaning));
    }
    text
}

fn write_section(text: &mut String, section: &Section) {
    let _ = writeln!(text, "\n## {}\n", section.title);
    if section.rows.is_empty() {
        let _ = writeln!(text, "{}", section.empty);
        return;
    }
    let _ = writeln!(text, "{}\n", prose(&section.caption));
    let _ = writeln!(text, "| {} |", section.columns.join(" | "));
    let _ = writeln!(text, "|{}", " --- |".repeat(section.columns.len()));
    for row in &section.rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Value(text) => code(text),
        Cell::Values(values) => values.iter().map(|value| code(value)).collect::<Vec<_>>().join("<br>"),
        Cell::Prose(text) => prose(text),
        Cell::Verdict(true) => "yes".to_owned(),
        Cell::Verdict(false) => "**NO**".to_owned(),
    }
}

/// A value as code, where nothing is markup and no address becomes a link. What would end the code or the
/// cell is written as its number.
fn code(text: &str) -> String {
    let text = escaped(text).replace('`', "\\u{60}").replace('|', "\\u{7c}");
    if text.trim().is_empty() { String::new() } else { format!("`{text}`") }
}

/// A sentence; what stands between backticks is code.
fn prose(sentence: &str) -> String {
    let piece = |(quoted, text): (bool, &str)| if quoted { code(text) } else { plain(text) };
    pieces(sentence).into_iter().map(piece).collect()
}

/// Text with everything escaped that is markup somewhere.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in escaped(text).chars() {
        if "\\`*_{}[]<>()#+!|~&$@:^=".contains(character) {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain
}
