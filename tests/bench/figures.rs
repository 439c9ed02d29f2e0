//! What was measured: a table for people, JSON for programs.

use std::error::Error;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Outcome;

/// Results in the order in which they were measured.
pub(crate) struct Figures {
    rows: Vec<Row>,
}

struct Row {
    key: String,
    what: String,
    value: f64,
    unit: &'static str,
    ratio: Option<f64>,
}

impl Figures {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, key: &str, what: &str, value: f64, unit: &'static str) {
        self.rows.push(Row { key: key.to_owned(), what: what.to_owned(), value, unit, ratio: None });
    }

    /// `ratio` is to uvicorn with one process.
    pub(crate) fn add_with_ratio(&mut self, key: &str, what: &str, value: f64, unit: &'static str, ratio: f64) {
        self.rows.push(Row { key: key.to_owned(), what: what.to_owned(), value, unit, ratio: Some(ratio) });
    }

    /// Prints a table in Markdown, ready for `docs/specification.md`.
    pub(crate) fn print(&self) {
        self.print_beside("uvicorn = 1");
    }

    /// The same with other words above the ratios.
    #[expect(clippy::print_stdout, reason = "the table is what the program is run for")]
    pub(crate) fn print_beside(&self, ratios: &str) {
        println!("| what | median | {ratios} |\n|---|---|---|");
        for Row { what, value, unit, ratio, .. } in &self.rows {
            let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            println!("| {what} | {} {unit} | {ratio} |", readable(*value));
        }
    }

    /// Writes `{key: {value, unit, ratio?}}`.
    pub(crate) fn write(&self, file: &str) -> Outcome<()> {
        let figures: Map<String, Value> = self.rows.iter().map(|row| (row.key.clone(), row.json())).collect();
        if let Some(directory) = Path::new(file).parent() {
            fs_err::create_dir_all(directory)?;
        }
        fs_err::write(file, serde_json::to_string_pretty(&figures)? + "\n")?;
        say(&format!("wrote {file}"));
        Ok(())
    }
}

impl Row {
    fn json(&self) -> Value {
        let mut value = json!({ "what": self.what, "value": self.value, "unit": self.unit });
        if let Some(ratio) = self.ratio {
            value["ratio"] = json!(ratio);
        }
        value
    }
}

fn readable(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// The middle of the values; of two, the lower.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// Tells the person at the terminal what is going on.
#[expect(clippy::print_stderr, reason = "progress, beside the table on standard output")]
pub(crate) fn say(text: &str) {
    eprintln!("bench: {text}");
}

/// Tells what went wrong, with its causes.
#[expect(clippy::print_stderr, reason = "the whole interface of this program")]
pub(crate) fn complain(error: &dyn Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    eprintln!("error: {text}");
}
