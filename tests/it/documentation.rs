//! The documentation points at things that are there.

use std::path::{Path, PathBuf};

use par_tests::repository;

/// Where pages are looked for. Packages among the cases bring their own.
const PLACES: [&str; 4] = ["README.md", "CHANGELOG.md", "guest-python/README.md", "docs"];

/// How pages name tests: the name of the crate or of the test program, then the path.
const PROGRAMS: [(&str, &str); 5] = [
    ("it ", "tests/it"),
    ("par_policy ", "host/crates/policy"),
    ("par_apkg ", "host/crates/apkg"),
    ("par_sandbox ", "host/crates/sandbox"),
    ("par_host ", "host"),
];

fn files(place: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    if place.is_dir() {
        for entry in fs_err::read_dir(place).unwrap() {
            files(&entry.unwrap().path(), extension, found);
        }
    } else if place.extension().is_some_and(|ending| ending == extension) {
        found.push(place.to_owned());
    }
}

fn pages() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for place in PLACES {
        files(&repository().join(place), "md", &mut found);
    }
    found.into_iter().map(|path| (path.clone(), fs_err::read_to_string(path).unwrap())).collect()
}

/// The targets of links that do not leave the repository.
fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|target| !target.contains("://"))
}

/// The anchors of a page, as readers of Markdown make them from headings.
fn anchors(page: &str) -> impl Iterator<Item = String> {
    page.lines().filter(|line| line.starts_with('#')).map(|heading| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
        kept.collect::<String>().replace(' ', "-")
    })
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    assert!(pages.len() > 10, "the pages are read");
    for (path, text) in pages {
        for link in links(&text) {
            let (target, anchor) = link.split_once('#').map_or((link, None), |(target, anchor)| (target, Some(anchor)));
            let file = if target.is_empty() { path.clone() } else { path.parent().unwrap().join(target) };
            assert!(file.exists(), "`{link}` in `{}` leads nowhere", path.display());
            if let Some(anchor) = anchor {
                let there = fs_err::read_to_string(&file).unwrap();
                assert!(
                    anchors(&there).any(|known| known == anchor),
                    "`{link}` in `{}` has no heading",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_test_a_page_names_exists() {
    let mut named = 0;
    for (path, text) in pages() {
        for code in text.split('`').skip(1).step_by(2) {
            let Some((program, test)) =
                PROGRAMS.iter().find_map(|(name, place)| Some((place, code.strip_prefix(name)?)))
            else {
                continue;
            };
            if !test.contains("::") || test.contains('…') {
                continue;
            }
            named += 1;
            assert!(exists(program, test), "`{code}` in `{}` is no test", path.display());
        }
    }
    assert!(named > 30, "the names are read");
}

/// Every limit the specification promises names the test that holds it.
#[test]
fn every_promised_limit_names_its_test() {
    let page = fs_err::read_to_string(repository().join("docs/specification.md")).unwrap();
    let limits = page.split("## Limits").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> =
        limits.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Promise")).collect();
    assert!(rows.len() > 20, "the table is read");
    for row in rows {
        let holder = row.rsplit(" | ").next().unwrap();
        assert!(PROGRAMS.iter().any(|(name, _)| holder.contains(&format!("`{name}"))), "nothing holds: {row}");
    }
}

/// Whether a test function, or a module of tests, has that path.
fn exists(place: &str, test: &str) -> bool {
    let (module, name) = test.rsplit_once("::").unwrap();
    let mut sources = Vec::new();
    files(&repository().join(place), "rs", &mut sources);
    let words = if name == "tests" { "mod tests".to_owned() } else { format!("fn {name}(") };
    let module = module.trim_end_matches("::tests").replace("::", "/");
    sources.iter().any(|source| {
        let path = source.with_extension("");
        let path = path.to_str().unwrap();
        let path = path.trim_end_matches("/tests").trim_end_matches("/mod");
        path.ends_with(&module) && fs_err::read_to_string(source).unwrap().contains(&words)
    })
}
