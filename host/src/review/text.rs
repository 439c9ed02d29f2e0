//! For a terminal, or a file read like one.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table, TableComponent};
use par_apkg::escaped;

use super::model::Review;
use super::page::{Cell, Section, page};

/// Narrowest width tables are made for; below it nothing is readable. Unit: columns.
const NARROWEST: u16 = 60;

/// Where a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Unit: columns.
    pub width: u16,
    /// Whether colours mean something there.
    pub colours: bool,
}

impl Screen {
    /// What a text has that nobody looks at in a terminal.
    pub const FILE: Self = Self { width: 120, colours: false };

    /// Standard output: its width and colours when it is a terminal.
    #[must_use]
    pub fn of_standard_output() -> Self {
        let terminal = console::Term::stdout();
        match terminal.size_checked() {
            Some((_, width)) if terminal.is_term() => Self { width, colours: console::colors_enabled() },
            _ => Self::FILE,
        }
    }

    pub(crate) fn paint(self, text: &str, style: &console::Style) -> String {
        style.clone().force_styling(self.colours).apply_to(text).to_string()
    }
}

/// Writes a review as tables as wide as the screen.
#[must_use]
pub fn text(review: &Review, screen: Screen) -> String {
    let page = page(review);
    let (bold, dim) = (console::Style::new().bold(), console::Style::new().dim());
    let verdict = if page.granted { console::Style::new().green() } else { console::Style::new().red().bold() };
    let mut text = String::new();
    let mut line = |content: String| {
        text.push_str(&content);
        text.push('\n');
    };
    line(screen.paint(&escaped(&page.title), &bold));
    line(screen.paint(&wrapped(&escaped(&page.verdict), screen), &verdict));
    for warning in &page.warnings {
        line(
            screen.paint(&wrapped(&format!("warning: {}", escaped(warning)), screen), &console::Style::new().yellow()),
        );
    }
    for section in &page.sections {
        line(String::new());
        line(screen.paint(section.title, &bold));
        if section.rows.is_empty() {
            line(format!("  {}", section.empty));
            continue;
        }
        line(screen.paint(&wrapped(&escaped(&section.caption), screen), &dim));
        line(table(section, screen));
    }
    line(String::new());
    for (word, meaning) in page.glossary {
        line(wrapped(&format!("{word}: {meaning}"), screen));
    }
    text
}

fn table(section: &Section, screen: Screen) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_style(TableComponent::HeaderLines, '─');
    for lines in [TableComponent::HorizontalLines, TableComponent::MiddleIntersections] {
        table.remove_style(lines);
    }
    table.set_width(screen.width.max(NARROWEST)).set_header(section.columns);
    for row in &section.rows {
        table.add_row(row.iter().map(cell));
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Value(text) | Cell::Prose(text) => escaped(text),
        Cell::Values(values) => values.iter().map(|value| escaped(value)).collect::<Vec<_>>().join("\n"),
        Cell::Verdict(true) => "yes".to_owned(),
        Cell::Verdict(false) => "NO".to_owned(),
    }
}

/// A sentence in lines as long as the screen is wide, cut between words.
fn wrapped(sentence: &str, screen: Screen) -> String {
    let width = usize::from(screen.width.max(NARROWEST));
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        let full = lines.last().is_some_and(|line| {
            !line.is_empty() && console::measure_text_width(line) + 1 + console::measure_text_width(word) > width
        });
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}
