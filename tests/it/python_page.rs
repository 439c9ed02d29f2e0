//! `docs/python.md`: every row of its tables is tried in the guest, and its lists come from there.

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
        let twin: Value = host.post("/", code(&row[3]).to_owned()).await;
        if twin["done"] != true {
            wrong.push(format!("{}: {twin}", row[3]));
        }
    }

    for row in table(&page, "Shimmed") {
        let answer: Value = host.post("/", code(&row[1]).to_owned()).await;
        if answer["done"] != true {
            wrong.push(format!("{}: {answer}", row[1]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    let lists: Value = host.post("/", EVERY_MODULE).await;
    let (head, _) = page.split_once(HEADING).unwrap();
    let mut whole = format!("{head}{HEADING}");
    for (kind, title) in [("present", "Present"), ("shimmed", "Shimmed"), ("absent", "Absent")] {
        let names: Vec<&str> =
            lists["done"][kind].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        whole += &format!("\n**{title}**: `{}`.\n", names.join("`, `"));
    }
    if whole != page {
        fs_err::write(repository().join("docs/python.md"), whole).unwrap();
        panic!("`docs/python.md` was not what the guest has; it is now");
    }
}

/// Where the part of the page begins that is not written by hand.
const HEADING: &str = "## Every module

Made by the test `python_page::the_page_says_what_the_guest_does`, which imports each module of the standard library in the guest.
";

/// A module counts as shimmed when it is a stand-in, or stands on one.
const EVERY_MODULE: &str = r#"
import importlib, sys
shims = {"ctypes": "_ctypes", "bz2": "_bz2", "lzma": "_lzma", "ssl": "_ssl", "multiprocessing": "_multiprocessing"}
lists = {"present": [], "shimmed": [], "absent": []}
for name in sorted(sys.stdlib_module_names):
    if name.startswith("_") or name in ("antigravity", "this", "idlelib", "turtledemo"):
        continue
    try:
        module = importlib.import_module(name)
    except ImportError:
        lists["absent"].append(name)
        continue
    stand_in = sys.modules.get(shims.get(name, name))
    is_shim = (getattr(stand_in, "__file__", None) or "").startswith("/platform/")
    lists["shimmed" if is_shim else "present"].append(name)
return lists
"#;
