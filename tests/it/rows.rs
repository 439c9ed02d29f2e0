//! `ROWS.md`: which test holds which row of the checklist. Made from the doc comments of the
//! tests, so that it cannot rot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::RangeInclusive;

use par_tests::repository;

use crate::claims;

/// Every row there is.
const ROWS: RangeInclusive<u16> = 1..=241;

/// Rows that no single test can claim: where they are held, and the words there that say so.
const ELSEWHERE: [(u16, &str, &str); 2] = [
    (139, "tests/src/host.rs", "(\"AGENT_APP_ID\", \"app-1\".into())"),
    (211, "host/src/config/variables.rs", "fn the_page_has_exactly_the_rows_of_the_table()"),
];

/// A row of `CHECKLIST.md`.
struct Row {
    number: u16,
    requirement: String,
    /// Why no test holds it, or what does instead.
    argument: String,
}

fn checklist() -> Vec<Row> {
    let page = fs_err::read_to_string(repository().join("tests/CHECKLIST.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| R")?.strip_suffix(" |"));
    let rows = rows.filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).map(|line| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [number, requirement @ .., argument] = cells.as_slice() else { panic!("{line}") };
        Row {
            number: number.parse().unwrap(),
            requirement: requirement.join(" | "),
            argument: argument.trim().to_owned(),
        }
    });
    rows.collect()
}

/// What `just image-test` holds: the rows in the first line of each promise.
fn of_the_image() -> Vec<(u16, String)> {
    let files = fs_err::read_dir(repository().join(".ci/image_test/promises")).unwrap();
    let sources = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "py"));
    let all: String = sources.map(|path| fs_err::read_to_string(path).unwrap()).collect();
    let promises = all.split("\ndef ").filter_map(|definition| {
        let (name, rest) = definition.split_once("(tests: Tests) -> None:")?;
        let said = rest.split("\"\"\"").nth(1)?.split(": ").next()?;
        Some(rows_in(said).map(|row| (row, format!("just image-test {name}"))).collect::<Vec<_>>())
    });
    promises.flatten().collect()
}

/// `R031`, `R150` …
fn rows_in(text: &str) -> impl Iterator<Item = u16> {
    text.split(|character: char| !character.is_ascii_alphanumeric())
        .filter_map(|word| word.strip_prefix('R').filter(|digits| digits.len() == 3)?.parse().ok())
}

/// Each row with its tests.
fn held() -> BTreeMap<u16, BTreeSet<String>> {
    let mut held: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for claim in claims::all() {
        for row in rows_in(&claim.comment) {
            held.entry(row).or_default().insert(claim.test.clone());
        }
    }
    held
}

/// The page is what the sources say; a page that is not is written anew, for the next commit.
#[test]
fn the_page_names_the_test_of_every_row() {
    let held = held();
    let mut page = String::from(
        "# Rows of the checklist and the tests that hold them\n\n\
         Made by the test `rows::the_page_names_the_test_of_every_row` from the doc comments of the tests; not edited by hand.\n\n\
         | Row | Held by |\n|---|---|\n",
    );
    for (row, tests) in &held {
        let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
        writeln!(page, "| R{row:03} | {} |", tests.join("<br>")).unwrap();
    }
    for (row, file, words) in ELSEWHERE {
        let text = fs_err::read_to_string(repository().join(file)).unwrap();
        assert!(text.contains(words), "`{file}` does not hold R{row:03} any more");
        writeln!(page, "| R{row:03} | `{file}` |").unwrap();
    }

    up_to_date("tests/ROWS.md", &page);
}

/// The whole checklist, each row with the tests that prove it or with an argument; one with neither fails.
#[test]
fn every_row_of_the_checklist_is_proven_or_argued() {
    let (mut held, checklist) = (held(), checklist());
    let numbers: Vec<u16> = checklist.iter().map(|row| row.number).collect();
    assert_eq!(numbers, ROWS.collect::<Vec<_>>(), "the checklist has every row once");
    let promises = of_the_image();
    assert!(promises.len() > 10, "the promises of the image are read");
    for (row, promise) in promises {
        held.entry(row).or_default().insert(promise);
    }
    for (row, file, _) in ELSEWHERE {
        held.entry(row).or_default().insert(file.to_owned());
    }
    let proven = checklist.iter().filter(|row| held.contains_key(&row.number)).count();
    let mut page = format!(
        "# Conformance\n\n\
         Every requirement of the seeds and the test that proves it. Made by the test\n\
         `it rows::every_row_of_the_checklist_is_proven_or_argued` from the doc comments of the tests and from\n\
         [the checklist](../tests/CHECKLIST.md); not edited by hand. A row with neither test nor argument fails the suite.\n\n\
         {proven} rows are proven by a test, {} are argued.\n\n\
         | Row | Requirement | Proven by, or why not |\n|---|---|---|\n",
        checklist.len() - proven
    );
    let mut missing = Vec::new();
    for Row { number, requirement, argument } in &checklist {
        let tests = held.get(number).map(|tests| tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>());
        let shown = match (tests, argument.as_str()) {
            (Some(tests), "") => tests.join("<br>"),
            (Some(tests), argument) => format!("{}<br>{argument}", tests.join("<br>")),
            (None, "") => {
                missing.push(format!("R{number:03}"));
                continue;
            }
            (None, argument) => argument.to_owned(),
        };
        writeln!(page, "| R{number:03} | {requirement} | {shown} |").unwrap();
    }
    assert!(missing.is_empty(), "neither a test nor an argument for {missing:?}");
    up_to_date("docs/conformance.md", &page);
}

/// A page that is made from the sources is what they say; else it is written, for the next commit.
fn up_to_date(name: &str, page: &str) {
    let path = repository().join(name);
    if fs_err::read_to_string(&path).unwrap_or_default() != page {
        fs_err::write(&path, page).unwrap();
        panic!("`{name}` was out of date and is written anew; commit it");
    }
}

/// R002, R017, R106, R107, R111, R120, R171, R172, R173, R178, R182, R185, R193: nothing PAR is built from can talk to a control plane or a database.
#[test]
fn no_library_for_a_control_plane_or_a_database_is_linked() {
    let lock = fs_err::read_to_string(repository().join("Cargo.lock")).unwrap();
    let linked: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    let banned = [
        "aws-sdk-ecs",
        "aws-sdk-elasticloadbalancing",
        "aws-sdk-elasticloadbalancingv2",
        "aws-sdk-servicediscovery",
        "aws-sdk-route53",
        "aws-sdk-dynamodb",
        "aws-sdk-rds",
        "aws-sdk-ec2",
        "kube",
        "k8s-openapi",
        "bollard",
        "sqlx",
        "diesel",
        "postgres",
        "tokio-postgres",
        "mysql",
        "mysql_async",
        "rusqlite",
        "redis",
        "mongodb",
        "etcd-client",
        "consul",
        "zookeeper",
    ];

    assert!(linked.contains(&"wasmtime"), "the list is read");
    for name in banned {
        assert!(!linked.contains(&name), "{name} is linked");
    }
}
