//! `docs/python.md`: every row of its tables is tried in the guest.

use par_tests::{Inside, repository};
use serde_json::Value;

/// The cells of the table below a heading, without code marks around the first.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let section = page.split(&format!("## {heading}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<_> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "no rows below `{heading}`");
    rows
}

fn code(cell: &str) -> &str {
    cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap_or(cell)
}

#[tokio::test]
async fn the_page_says_what_the_guest_does() {
    let page = fs_err::read_to_string(repository().join("docs/python.md")).unwrap();
    let host = Inside::asgi(include_str!("python/run.py")).start().await;
    let mut wrong = Vec::new();

    for row in table(&page, "Present") {
        let answer: Value = host.post("/", format!("import {}", code(&row[0]))).await;
        if answer.get("done").is_none() {
            wrong.push(format!("{}: {answer}", row[0]));
        }
    }
    for row in table(&page, "Absent") {
        let answer: Value = host.post("/", format!("import {}", code(&row[0]))).await;
        if answer["raised"][0]["type"] != "ModuleNotFoundError" {
            wrong.push(format!("{}: {answer}", row[0]));
        }
    }
    for row in table(&page, "Refused") {
        let answer: Value = host.post("/", code(&row[0]).to_owned()).await;
        let first = &answer["raised"][0];
        let says = first["text"].as_str().unwrap_or_default();
        if first["type"] != code(&row[1]) || !says.contains(&row[2]) {
            wrong.push(format!("{}: {answer}", row[0]));
        }
    }

    assert!(wrong.is_empty(), "{wrong:#?}");
}
