//! One page that needs nothing else: to be attached to a review, opened from disk, printed.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use par_apkg::escaped;

use super::model::Review;
use super::page::{Cell, Page, Section, page, pieces};

const STYLE: &str = include_str!("page.css");

/// What the page may load: its own style, and nothing else. It holds even if an escape were missing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Writes a review as one self-contained page.
#[must_use]
pub fn html(review: &Review) -> String {
    let page = page(review);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "par " (review.par) };
                title { (escaped(&page.title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body(&page))
            }
        }
    };
    markup.into_string()
}

fn body(page: &Page) -> Markup {
    html! {
        header {
            h1 { (escaped(&page.title)) }
            p.verdict.refused[!page.granted] role="status" {
                strong { @if page.granted { "Granted." } @else { "Above the policy." } }
                " " (prose(&page.verdict))
            }
            @for warning in &page.warnings {
                p.warning { strong { "Warning." } " " (prose(warning)) }
            }
        }
        nav aria-label="Questions" {
            ul {
                @for section in &page.sections { li { a href={ "#" (section.id) } { (section.title) } } }
                li { a href="#words" { "How to read this" } }
            }
        }
        main {
            @for section in &page.sections { (answer(section)) }
            section aria-labelledby="words" {
                h2 id="words" { "How to read this" }
                dl {
                    @for (word, meaning) in page.glossary { dt { (word) } dd { (prose(meaning)) } }
                }
            }
        }
    }
}

fn answer(section: &Section) -> Markup {
    html! {
        section aria-labelledby=(section.id) {
            h2 id=(section.id) { (section.title) }
            @if section.rows.is_empty() {
                p { (section.empty) }
            } @else {
                div.table tabindex="0" role="region" aria-labelledby=(section.id) {
                    table {
                        caption { (prose(&section.caption)) }
                        thead { tr { @for column in section.columns { th scope="col" { (column) } } } }
                        tbody {
                            @for row in &section.rows {
                                tr.no[row.contains(&Cell::Verdict(false))] {
                                    @for (index, cell) in row.iter().enumerate() {
                                        @if index == 0 { th scope="row" { (inner(cell)) } } @else { td { (inner(cell)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn inner(cell: &Cell) -> Markup {
    html! {
        @match cell {
            Cell::Value(text) => code { (escaped(text)) },
            Cell::Values(values) => ul { @for value in values { li { code { (escaped(value)) } } } },
            Cell::Prose(text) => (prose(text)),
            Cell::Verdict(true) => span.yes { "yes" },
            Cell::Verdict(false) => strong.no { "NO" },
        }
    }
}

/// A sentence; what stands between backticks is code.
fn prose(sentence: &str) -> Markup {
    html! {
        @for (quoted, text) in pieces(sentence) {
            @if quoted { code { (escaped(text)) } } @else { (escaped(text)) }
        }
    }
}
